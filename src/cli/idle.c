/* hark idle: what idle connections cost, measured on each backend in turn, as a table, as data and
 * as a picture.
 *
 * This file reads the options, scales the plan to what this machine allows and says so, and leads
 * the backends through it; idle.h tells how the processes play together. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "show/format.h"
#include "idle.h"
#include "idle_system.h"
#include "options.h"
#include "tool.h"

/* Descriptors of the server that are no connections: the standard ones, the control socket, the
 * listener, the loop's own, and one to spare. */
enum { OWN_DESCRIPTORS = 16, FIRST_LEVEL = 100 };

static const char about[] =
    "Holds many TCP connections on loopback with one thread while a few of them talk in turn, one\n"
    "message and its echo at a time, and compares every byte. Server and clients are processes of\n"
    "their own, on one processor. For 100, 1,000, ... idle connections up to --connections it\n"
    "tells what a round trip costs: processor time and system calls of the server, median and\n"
    "99th percentile of what the client waits; and the server's resident memory for each idle\n"
    "connection. System calls are counted by ptrace(2), after the timing; not on Windows. Each\n"
    "backend is asked for by name, whatever HARK_BACKEND says; select is measured as far as its\n"
    "1,024 descriptors go.\n"
    "Ctrl-C prints what was measured so far and exits with 0, or 130 if that is nothing. A wrong\n"
    "byte or a lost connection is told and ends with 1.\n";

/* 100, 1,000, ... below the largest, and the largest; with a small largest a tenth of it first,
 * since one point makes no line. */
static void set_levels(struct idle_plan *plan)
{
    int64_t largest = plan->connections, level = FIRST_LEVEL;
    plan->level_count = 0;
    if (largest <= FIRST_LEVEL && largest >= 10) plan->levels[plan->level_count++] = largest / 10;
    for (; level < largest && plan->level_count < IDLE_LEVELS - 1; level *= 10)
        plan->levels[plan->level_count++] = level;
    plan->levels[plan->level_count++] = largest;
}

/* Keeps the two leading digits. */
static int64_t round_down(int64_t number)
{
    int64_t unit = 1;
    while (number / unit >= 100) unit *= 10;
    return number / unit * unit;
}

/* Takes fewer connections if there are too few descriptors, and says so. */
static int scale(struct idle_plan *plan, struct idle_report *report)
{
    int64_t limit = tool_raise_descriptor_limit();
    int64_t room = limit - OWN_DESCRIPTORS - plan->active;
    if (room >= plan->connections) return TOOL_OK;
    char limit_text[32], asked[32], scaled[48];
    format_count(limit, limit_text, sizeof limit_text);
    if (room < 1) {
        tool_complain("idle", "the limit of %s open descriptors leaves no room for connections",
                      limit_text);
        return TOOL_FAILED;
    }
    format_count(plan->connections, asked, sizeof asked);
    plan->connections = round_down(room);
    snprintf(report->scaled, sizeof report->scaled,
             "measured up to %s instead of %s: the limit of open descriptors is %s",
             format_things(plan->connections, "idle connection", scaled, sizeof scaled), asked,
             limit_text);
    return TOOL_OK;
}

static bool has_row(const struct idle_report *report, const char *backend)
{
    for (int i = 0; i < report->row_count; i++)
        if (strcmp(report->rows[i].backend, backend) == 0) return true;
    return false;
}

static int add_row(struct idle_report *report, const char *backend)
{
    if (has_row(report, backend)) {
        tool_complain("idle", "--backend names %s twice", backend);
        return TOOL_MISUSED;
    }
    struct idle_row *row = &report->rows[report->row_count++];
    snprintf(row->backend, sizeof row->backend, "%s", backend);
    return TOOL_OK;
}

/* One row for each backend: those named, or all of the build, the dearest first. */
static int add_rows(struct idle_report *report)
{
    const char *named = report->plan->backends;
    int code = TOOL_OK;
    if (named) {
        char *copy = strdup(named), *rest = copy;
        if (!copy) return TOOL_FAILED;
        for (char *name; code == TOOL_OK && (name = strsep(&rest, ","));)
            code = add_row(report, name);
        free(copy);
        return code;
    }
    size_t count = 0;
    while (count < IDLE_BACKENDS && hark_backend_name(count)) count++;
    while (code == TOOL_OK && count-- > 0) code = add_row(report, hark_backend_name(count));
    return code;
}

/* Makes sure that the picture can be written, before a minute is spent on it. */
static int claim_picture(const char *path, bool *is_new)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    *is_new = fd >= 0;
    if (fd < 0 && errno == EEXIST) fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return TOOL_OK;
    }
    tool_complain("idle", "cannot write %s: %s; --picture FILE puts it elsewhere", path,
                  strerror(errno));
    return TOOL_FAILED;
}

static int write_picture(struct idle_report *report)
{
    const char *path = report->plan->picture;
    if (!path) return TOOL_OK;
    report->has_picture = idle_report_picture(report) == 0;
    if (report->has_picture) return TOOL_OK;
    tool_complain("idle", "cannot write %s: %s", path, strerror(errno));
    return TOOL_FAILED;
}

/* Measures until the end or Ctrl-C. Rows that were never begun are dropped. */
static void measure(struct idle_report *report)
{
    int planned = report->row_count;
    report->row_count = 0;
    while (report->row_count < planned && !tool_is_interrupted())
        idle_measure(report->plan, &report->rows[report->row_count++]);
    report->is_interrupted = tool_is_interrupted();
    tool_progress(NULL);
}

/* Gives the exit code that the rows deserve and tells the first reason for a bad one. A refused
 * backend is one only if it was asked for. */
static int judge(const struct idle_report *report)
{
    int code = TOOL_OK;
    for (int i = 0; i < report->row_count; i++) {
        const struct idle_row *row = &report->rows[i];
        const char *why = report->plan->backends && row->refused[0] ? row->refused : row->failure;
        if (!why[0]) continue;
        if (code == TOOL_OK) tool_complain("idle", "%s: %s", row->backend, why);
        code = TOOL_FAILED;
    }
    return code;
}

static int show(struct idle_report *report)
{
    int code = judge(report), drawn = write_picture(report);
    if (report->plan->as_json) idle_report_json(report);
    else idle_report_text(report);
    return report->is_interrupted || code == TOOL_OK ? drawn : code;
}

/* Nothing was measured: says why. */
static int explain(const struct idle_report *report)
{
    if (report->is_interrupted) return TOOL_INTERRUPTED;
    const struct idle_row *row = &report->rows[0];
    tool_complain("idle", "nothing could be measured on %s: %s", row->backend,
                  row->refused[0] ? row->refused : row->cells[0].note);
    return TOOL_FAILED;
}

static int run(struct idle_plan *plan)
{
    static struct idle_report report;
    bool is_new = false;
    report.plan = plan;
    tool_show_progress(!plan->is_quiet);
    int code = add_rows(&report);
    if (code == TOOL_OK) code = scale(plan, &report);
    if (code == TOOL_OK && plan->picture) code = claim_picture(plan->picture, &is_new);
    if (code != TOOL_OK) return code;
    set_levels(plan);
    machine_look(&report.machine);
    report.step_ns = idle_clock_step_ns();
    idle_child_begin();
    tool_catch_interrupts(NULL);
    measure(&report);
    if (idle_report_has_figures(&report)) return show(&report);
    if (is_new) unlink(plan->picture);
    return explain(&report);
}

int idle_main(int argc, char **argv)
{
    struct idle_plan plan = {
        .connections = 10000, .active = 3, .message_bytes = 64, .duration_ns = HARK_SECOND,
        .picture = "hark-idle.svg",
    };
    bool has_no_picture = false;
    int child_code = idle_child_main(argc, argv);
    if (child_code >= 0) return child_code;
    const struct option table[] = {
        { "--connections", "N", "idle connections at the last level (10,000)", OPTION_COUNT,
          &plan.connections, 1, 1000000 },
        { "--active", "N", "connections that talk (3)", OPTION_COUNT, &plan.active, 1,
          IDLE_ACTIVE_MAX },
        { "--size", "BYTES", "of a message (64)", OPTION_SIZE, &plan.message_bytes, 1, 1 << 20 },
        { "--duration", "TIME", "of timing at each level (1s)", OPTION_DURATION, &plan.duration_ns,
          HARK_MILLISECOND, 600 * HARK_SECOND },
        { "--backend", "LIST", "measure these only, in this order", OPTION_BACKEND, &plan.backends,
          0, 0 },
        { "--picture", "FILE", "where the picture goes (hark-idle.svg)", OPTION_TEXT, &plan.picture,
          0, 0 },
        { "--no-picture", NULL, "no picture", OPTION_FLAG, &has_no_picture, 0, 0 },
        { "--json", NULL, "prints the result as data", OPTION_FLAG, &plan.as_json, 0, 0 },
        { "--quiet", NULL, "no progress on the terminal", OPTION_FLAG, &plan.is_quiet, 0, 0 },
    };
    const struct command command = {
        .name = "idle", .summary = "what idle connections cost on each backend", .about = about,
        .options = table, .option_count = sizeof table / sizeof *table,
    };
    switch (options_parse(&command, argc, argv, NULL)) {
    case OPTIONS_WRONG: return TOOL_MISUSED;
    case OPTIONS_HELPED: return TOOL_OK;
    default: break;
    }
    if (has_no_picture) plan.picture = NULL;
    return run(&plan);
}
