/* hark stalls: which call holds the loop of a program, which is started here or runs already.
 *
 * This file reads the options; watching is stalls/watch.h, what is said of it stalls/report.h. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "stalls/opening.h"
#include "stalls/report.h"
#include "stalls/watch.h"
#include "tool.h"

enum { COMMAND_ROOM = 1024 };

static const char about[] =
    "Starts COMMAND, or attaches to the process PID, and watches each thread that runs an event\n"
    "loop: Node, asyncio, uvloop, libuv, libevent, hark, or any loop on epoll, poll, select or\n"
    "io_uring. A thread that does not come back to its loop within --threshold is looked at while\n"
    "it is held, and a line on standard error says when, how long, what it did, in which system\n"
    "call on which descriptor, and in which line of whose code. At the end the causes are ranked\n"
    "by the time that they cost, each with its stack. The program need not be changed, and root\n"
    "is not needed for one's own.\n"
    "\n"
    "    hark stalls -- node server.js\n"
    "    hark stalls -p 4711 --duration 30s --svg stalls.svg\n"
    "\n"
    "--mode says how turns are seen: preload by a small library in a program that is started,\n"
    "bpf by the kernel (as root), procfs by looking from outside; auto takes the best that works.\n"
    "Ctrl-C ends the watch of a PID, and the report follows; a command started here gets it as\n"
    "usual. The exit code of a command started here is passed on.\n";

static const struct { const char *name; enum watch_mode mode; } modes[] = {
    { "preload", WATCH_HEARTBEAT }, { "bpf", WATCH_BPF }, { "procfs", WATCH_PROCFS },
};
enum { MODES = sizeof modes / sizeof *modes };

struct plan {
    struct watch_options watch;
    struct report_options report;
    char **command;
    int64_t pid;
    const char *mode;
    bool is_quiet;
};

static int set_mode(struct plan *plan)
{
    const char *words[MODES + 1] = { [MODES] = "auto" };
    if (strcmp(plan->mode, "auto") == 0) return TOOL_OK;
    for (size_t i = 0; i < MODES; i++) {
        words[i] = modes[i].name;
        if (strcmp(plan->mode, modes[i].name) != 0) continue;
        plan->watch.has_mode = true;
        plan->watch.mode = modes[i].mode;
        return TOOL_OK;
    }
    const char *nearest = options_nearest(plan->mode, words, MODES + 1);
    tool_complain("stalls", "--mode takes auto, preload, bpf or procfs, not '%s'%s%s%s", plan->mode,
                  nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return TOOL_MISUSED;
}

/* What the table of options cannot say. */
static int check(struct plan *plan)
{
    if (!plan->command && plan->pid == 0) {
        tool_complain("stalls", "say what to watch, such as 'hark stalls -- node server.js' or"
                      " 'hark stalls -p PID'");
        return TOOL_MISUSED;
    }
    if (plan->command && plan->pid != 0) {
        tool_complain("stalls", "watches a process by -p or starts '%s', not both",
                      plan->command[0]);
        return TOOL_MISUSED;
    }
    const char *files[] = { plan->report.json, plan->report.fold, plan->report.svg };
    int count = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        count += files[i] && strcmp(files[i], "-") == 0;
    if (count > 1) {
        tool_complain("stalls", "only one of --json, --fold and --svg can go to standard output");
        return TOOL_MISUSED;
    }
    if (plan->watch.has_mode && plan->watch.mode == WATCH_HEARTBEAT && plan->pid != 0) {
        tool_complain("stalls", "--mode preload works for a command that is started, not with -p");
        return TOOL_MISUSED;
    }
    return TOOL_OK;
}

/* The words of a started command, with a space between. */
static void join(char *const *words, char *text, size_t room)
{
    text[0] = '\0';
    for (size_t used = 0; *words && used + 1 < room; words++) {
        int len = snprintf(text + used, room - used, "%s%s", used ? " " : "", *words);
        used += len > 0 ? (size_t)len : 0;
    }
}

/* "process 77 (node server.js)" */
static void name_process(int64_t pid, char *text, size_t room)
{
    char path[64], words[COMMAND_ROOM / 2];
    snprintf(path, sizeof path, "/proc/%lld/cmdline", (long long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, words, sizeof words - 1) : 0;
    if (fd >= 0) close(fd);
    if (len < 0) len = 0;
    while (len > 0 && words[len - 1] == '\0') len--;
    words[len] = '\0';
    for (ssize_t i = 0; i < len; i++)
        if (words[i] == '\0') words[i] = ' ';
    snprintf(text, room, "process %lld%s%s%s", (long long)pid, len ? " (" : "", words,
             len ? ")" : "");
}

/* The folder that the target's paths are said from. */
static const char *find_folder(int64_t pid, char *text, size_t room)
{
    char path[64] = "/proc/self/cwd";
    if (pid != 0) snprintf(path, sizeof path, "/proc/%lld/cwd", (long long)pid);
    ssize_t len = readlink(path, text, room - 1);
    if (len <= 0) return NULL;
    text[len] = '\0';
    return text;
}

static int run(struct plan *plan)
{
    char command[COMMAND_ROOM], folder[PATH_MAX];
    if (plan->command) join(plan->command, command, sizeof command);
    else name_process(plan->pid, command, sizeof command);
    plan->watch.command = plan->command;
    plan->watch.pid = (pid_t)plan->pid;
    plan->watch.threshold_ns = plan->report.threshold_ns;
    plan->report.command = command;
    plan->report.folder = find_folder(plan->pid, folder, sizeof folder);
    plan->report.wants_lines = !plan->is_quiet;
    struct report *report = report_open(&plan->report);
    if (!report) return TOOL_FAILED;
    struct report_facts facts = { 0 };
    int code = watch_run(&plan->watch, report, &facts);
    if (code < 0) {
        tool_complain("stalls", "%s", facts.exit_text);
        code = -code;
    } else if (report_end(report, &facts) < 0 && code == 0) {
        code = TOOL_FAILED;
    }
    report_close(report);
    if (opening_has_left_a_thread()) _exit(tool_finish(code));
    return code;
}

int stalls_main(int argc, char **argv)
{
    struct plan plan = { .report.threshold_ns = 20 * HARK_MILLISECOND, .mode = "auto" };
    const struct option table[] = {
        { "-p", "PID", "watches this process until it ends or Ctrl-C", OPTION_COUNT, &plan.pid, 1,
          INT32_MAX },
        { "--threshold", "TIME", "what is held longer is a stall (20ms)", OPTION_DURATION,
          &plan.report.threshold_ns, HARK_MILLISECOND, 60 * HARK_SECOND },
        { "--duration", "TIME", "ends the watch after that; the program goes on", OPTION_DURATION,
          &plan.watch.duration_ns, HARK_MILLISECOND, 168 * 3600 * HARK_SECOND },
        { "--json", "FILE", "writes all of it as data; - is standard output", OPTION_TEXT,
          &plan.report.json, 0, 0 },
        { "--fold", "FILE", "writes folded stacks, for flame graphs", OPTION_TEXT,
          &plan.report.fold, 0, 0 },
        { "--svg", "FILE", "draws a timeline and a graph of the time held", OPTION_TEXT,
          &plan.report.svg, 0, 0 },
        { "--mode", "MODE", "auto, preload, bpf or procfs (auto)", OPTION_TEXT, &plan.mode, 0, 0 },
        { "--quiet", NULL, "no lines while it runs, only the report", OPTION_FLAG, &plan.is_quiet,
          0, 0 },
    };
    const struct command command = {
        .name = "stalls", .summary = "which call holds the loop", .about = about,
        .operand = "-p PID | -- COMMAND...", .rest = &plan.command, .options = table,
        .option_count = sizeof table / sizeof *table,
    };
    switch (options_parse(&command, argc, argv, NULL)) {
    case OPTIONS_WRONG: return TOOL_MISUSED;
    case OPTIONS_HELPED: return TOOL_OK;
    default: break;
    }
    int code = set_mode(&plan);
    if (code == TOOL_OK) code = check(&plan);
    return code == TOOL_OK ? run(&plan) : code;
}
