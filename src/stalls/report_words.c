/* The words of the report: kinds, places, causes. Names come from someone's program, so each is
 * made safe for a terminal here, and short enough for a line. */
#include <stdlib.h>
#include <string.h>

#include "show/format.h"
#include "stalls/report_parts.h"

enum { CALL_WIDTH = 60, FUNCTION_WIDTH = 60, PLACE_WIDTH = 60 };

const char *words_kind(enum stall_kind kind)
{
    static const char *const names[STALL_KINDS] = {
        [STALL_ONE_CALL] = "one call", [STALL_MANY_CALLBACKS] = "many callbacks",
        [STALL_COLLECTION] = "garbage collection", [STALL_DESCHEDULED] = "descheduled",
    };
    return names[kind];
}

const char *words_mode(enum watch_mode mode)
{
    static const char *const names[] = {
        [WATCH_HEARTBEAT] = "preload", [WATCH_HARK] = "hark", [WATCH_BPF] = "bpf",
        [WATCH_PROCFS] = "procfs",
    };
    return names[mode];
}

/* A path as it is said in the target's folder. */
static const char *relative(const struct report *report, const char *file)
{
    static const char scheme[] = "file://";
    if (strncmp(file, scheme, sizeof scheme - 1) == 0) file += sizeof scheme - 1;
    size_t len = strlen(report->folder);
    return len > 1 && strncmp(file, report->folder, len) == 0 && file[len] ? file + len : file;
}

/* Gives where the package begins that a file is of, or the path itself. */
static const char *package_of(const char *path)
{
    static const char *const folders[] = { "node_modules/", "site-packages/", "dist-packages/" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        for (const char *at; (at = strstr(path, folders[i])) != NULL;)
            path = at + strlen(folders[i]);
    return path;
}

/* Leaves out what stands before the package, then folders in the middle, then letters: the package
 * and the file's own name say most. */
static void shorten_path(const char *path, size_t width, char *text)
{
    char whole[WORDS_ROOM];
    format_safe(path, whole, sizeof whole);
    const char *safe = format_width(whole) > width ? package_of(whole) : whole;
    const char *tail = strchr(safe[0] == '/' ? safe + 1 : safe, '/');
    size_t head = tail ? (size_t)(tail - safe) : 0;
    while (tail && head + 4 + format_width(tail) > width) tail = strchr(tail + 1, '/');
    if (format_width(safe) > width && tail && tail > safe + head)
        snprintf(text, WORDS_ROOM, "%.*s/...%s", (int)head, safe, tail);
    else format_elided(safe, width, text, WORDS_ROOM);
}

char *words_place(const struct report *report, const struct frame *frame, size_t width, char *text)
{
    text[0] = '\0';
    if (frame->file == NULL) return text;
    char line[16] = "";
    if (frame->line > 0) snprintf(line, sizeof line, ":%d", frame->line);
    size_t used = strlen(line);
    shorten_path(relative(report, frame->file), width > used + 8 ? width - used : 8, text);
    strncat(text, line, WORDS_ROOM - 1 - strlen(text));
    return text;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *words_origin(const struct report *report, const struct frame *frame, size_t width, char *text)
{
    char safe[WORDS_ROOM];
    words_place(report, frame, width, text);
    /* A name without a file is told where it is from; module+offset says so already. */
    if (text[0] || frame->module == NULL || strcmp(frame->function, "?") == 0) return text;
    return format_elided(format_safe(base_name(frame->module), safe, sizeof safe), width, text,
                         WORDS_ROOM);
}

char *words_function(const struct frame *frame, size_t width, char *text)
{
    char full[WORDS_ROOM], safe[WORDS_ROOM];
    const char *name = frame->function, *module = frame->module;
    if (strcmp(name, "?") == 0 && module != NULL) {
        snprintf(full, sizeof full, "%s+0x%llx", base_name(module),
                 (unsigned long long)frame->offset);
        name = full;
    }
    return format_elided(format_safe(name, safe, sizeof safe), width, text, WORDS_ROOM);
}

char *words_frame(const struct report *report, const struct frame *frame, size_t width, char *text)
{
    char from[WORDS_ROOM], function[WORDS_ROOM];
    words_function(frame, width / 2, function);
    words_origin(report, frame, width - 1 - format_width(function), from);
    size_t used = (size_t)snprintf(text, WORDS_ROOM, "%s%s", from, from[0] ? " " : "");
    if (used < WORDS_ROOM) format_safe(function, text + used, WORDS_ROOM - used);
    return text;
}

static enum stall_kind main_kind(const struct group *group)
{
    int most = 0;
    for (int i = 1; i < STALL_KINDS; i++)
        if (group->kind_held_ns[i] > group->kind_held_ns[most]) most = i;
    return (enum stall_kind)most;
}

char *words_cause(const struct report *report, const struct group *group, char *text)
{
    const struct record *worst = &group->worst;
    const struct frame *guilty = record_guilty(worst);
    enum stall_kind kind = main_kind(group);
    char frame[WORDS_ROOM] = "", call[WORDS_ROOM], safe[WORDS_ROOM];
    if (kind == STALL_DESCHEDULED) {
        snprintf(text, WORDS_ROOM, "no code: ready to run, but the system gave it no processor");
        return text;
    }
    if (guilty) words_frame(report, guilty, PLACE_WIDTH + FUNCTION_WIDTH, frame);
    call[0] = '\0';
    if (worst->call_text) {
        format_safe(worst->call_text, safe, sizeof safe);
        format_elided(safe, CALL_WIDTH, call, sizeof call);
    }
    if (kind == STALL_COLLECTION)
        snprintf(text, WORDS_ROOM, "garbage collection%s%.400s", guilty ? " in " : "", frame);
    else if (kind == STALL_MANY_CALLBACKS)
        snprintf(text, WORDS_ROOM, "many callbacks in one turn%s%.400s",
                 guilty ? ", such as " : "", frame);
    else if (worst->look_count == 0)
        snprintf(text, WORDS_ROOM, "not seen: it was over before it could be looked at");
    else
        snprintf(text, WORDS_ROOM, "%.300s%s%s%s%.180s", frame, guilty ? ", " : "",
                 !worst->is_running ? "waiting" : call[0] ? "running" : "computing",
                 call[0] ? " in " : "", call);
    return text;
}

double words_share(const struct report *report, const struct report_facts *facts)
{
    double time = (double)(facts->ended_ns - facts->began_ns);
    if (facts->loop_count > 1) time *= facts->loop_count;
    if (time <= 0) return 0;
    double share = (double)report->held_ns / time;
    return share > 1 ? 1 : share;
}

/* "20 ms": as exact as it was asked for. */
static void format_threshold(int64_t ns, char *text, size_t room)
{
    char joined[32];
    size_t digits = strspn(format_duration(ns, joined, sizeof joined), "0123456789");
    snprintf(text, room, "%.*s %s", (int)digits, joined, joined + digits);
}

char *words_verdict(const struct report *report, const struct report_facts *facts, char *text)
{
    char threshold[32], time[32], held[32], stalls[48], turns[48], loops[48];
    format_threshold(report->options.threshold_ns, threshold, sizeof threshold);
    format_time(facts->ended_ns - facts->began_ns, time, sizeof time);
    format_things(facts->turn_count, "turn", turns, sizeof turns);
    format_things(facts->loop_count, "loop", loops, sizeof loops);
    if (facts->loop_count == 0 && report->stall_count == 0) {
        snprintf(text, WORDS_ROOM, "No event loop was seen in %s.", time);
    } else if (report->stall_count == 0) {
        snprintf(text, WORDS_ROOM, "No stall over %s in %s (%s%s%s).", threshold, time,
                 facts->turn_count > 0 ? turns : "", facts->turn_count > 0 ? " of " : "", loops);
    } else {
        snprintf(text, WORDS_ROOM, "%s over %s held %s for %s of %s (%.*f %%).",
                 format_things(report->stall_count, "stall", stalls, sizeof stalls), threshold,
                 facts->loop_count > 1 ? loops : "the loop",
                 format_time(report->held_ns, held, sizeof held), time,
                 words_share(report, facts) < 0.0995 ? 1 : 0, words_share(report, facts) * 100);
    }
    return text;
}

/* Adds a name to a list of at most three, once. */
static int add_name(const char **names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return count;
    if (count < FOLD_NAMES) names[count++] = name;
    return count;
}

static const char *runtime_of(const struct frame *frame)
{
    if (frame->kind == FRAME_PYTHON) return "Python's library";
    if (frame->kind == FRAME_JAVASCRIPT) return "node";
    if (frame->module == NULL) return "the runtime";
    const char *name = base_name(frame->module), *abi = strstr(name, ".cpython-");
    if (abi) return text_format("%.*s", (int)(abi - name), name); /* the rest says nothing more */
    if (name[0] == '[') return "compiled code"; /* memory without a file */
    return strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc-", 5) == 0 ? "libc" : name;
}

int words_fold(const struct record *record, int from, char *text, size_t room)
{
    const struct kept_stack *stack = record->stack;
    const char *names[FOLD_NAMES];
    int name_count = 0, at = from;
    for (; at < stack->count && stack->frames[at].is_runtime && at != record->guilty; at++)
        name_count = add_name(names, name_count, runtime_of(&stack->frames[at]));
    text[0] = '\0';
    for (int i = 0; i < name_count; i++) {
        char safe[64];
        size_t used = strlen(text);
        const char *between = i == 0 ? "" : i + 1 == name_count ? " and " : ", ";
        snprintf(text + used, room - used, "%s%s", between,
                 format_safe(names[i], safe, sizeof safe));
    }
    return at - from;
}
