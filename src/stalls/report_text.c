/* The report as text: a line for each stall while it runs, and causes ranked by the time they cost.
 *
 * What went wrong comes first, in words of the reader's own code; how that is known comes last. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "show/format.h"
#include "stalls/report_parts.h"

enum {
    CALL_WIDTH = 44, PLACE_WIDTH = 76,        /* of a live line's columns, at most */
    GROUPS_SHOWN = 20, ROWS_SHOWN = 40,
    NAME_WIDTH = 44, PATH_WIDTH = 60, COMMAND_WIDTH = 76,
    LINE_WIDTH = 96,
};

#define NANOSECONDS 1000000000

enum color { PLAIN, BOLD, DIM, RED, YELLOW };

bool report_has_color(FILE *to)
{
    const char *no_color = getenv("NO_COLOR");
    return (no_color == NULL || !*no_color) && isatty(fileno(to));
}

static const char *color(bool has_color, enum color which)
{
    static const char *const codes[] = { "\033[0m", "\033[1m", "\033[2m", "\033[31m", "\033[33m" };
    return has_color ? codes[which] : "";
}

/* Prints text and fills up to a width that is counted in characters. */
static void put_column(FILE *to, const char *text, size_t width)
{
    fputs(text, to);
    for (size_t used = format_width(text); used < width; used++) fputc(' ', to);
}

static void format_wall(int64_t wall_ns, char *text, size_t room)
{
    time_t seconds = (time_t)(wall_ns / NANOSECONDS);
    struct tm local;
    if (localtime_r(&seconds, &local) == NULL) memset(&local, 0, sizeof local);
    snprintf(text, room, "%02d:%02d:%02d.%03d", local.tm_hour, local.tm_min, local.tm_sec,
             (int)(wall_ns / 1000000 % 1000));
}

/* A column is as wide as it ever had to be. */
static size_t widen(size_t *width, const char *text)
{
    size_t needed = format_width(text);
    if (needed > *width) *width = needed;
    return *width;
}

void report_print_line(struct report *report, const struct record *record)
{
    char when[32], held[32], call[WORDS_ROOM] = "", place[WORDS_ROOM] = "", safe[WORDS_ROOM];
    const struct frame *guilty = record_guilty(record);
    bool is_long = record->held_ns >= 10 * report->options.threshold_ns, dyes = report->has_color;
    if (record->call_text)
        format_elided(format_safe(record->call_text, safe, sizeof safe), CALL_WIDTH, call,
                      sizeof call);
    if (guilty) words_frame(report, guilty, PLACE_WIDTH, place);
    else if (record->look_count == 0) snprintf(place, sizeof place, "not seen: over too soon");
    format_wall(record->wall_ns, when, sizeof when);
    format_time(record->held_ns, held, sizeof held);
    const char *kind = words_kind(record->kind);
    fprintf(stderr, "%s%s%s  %s%8s%s  ", color(dyes, DIM), when, color(dyes, PLAIN),
            color(dyes, is_long ? RED : YELLOW), held, color(dyes, PLAIN));
    put_column(stderr, kind, widen(&report->kind_width, kind));
    fprintf(stderr, "  %s", record->is_running ? "running" : "waiting");
    widen(&report->call_width, call);
    if (call[0] || place[0]) fputs("  ", stderr);
    put_column(stderr, call, place[0] ? report->call_width : 0);
    if (place[0])
        fprintf(stderr, "  %s%s%s", color(dyes, BOLD), place, color(dyes, PLAIN));
    fputc('\n', stderr);
    fflush(stderr);
}

/* A line of a stack: a frame, or a run of frames that are not shown. */
struct row {
    char name[WORDS_ROOM], place[WORDS_ROOM];
    bool is_guilty, is_fold;
};

static void make_fold(struct row *row, int count, const char *of)
{
    row->is_fold = true;
    snprintf(row->name, sizeof row->name, "... %d %s%s%s", count, count == 1 ? "frame" : "frames",
             of[0] ? " of " : "", of);
}

/* Makes the rows of a stack, innermost first; gives their number. */
static int make_rows(const struct report *report, const struct record *record, struct row *rows)
{
    int count = 0, at = 0;
    for (; at < record->stack->count && count < ROWS_SHOWN - 1; count++) {
        struct row *row = &rows[count];
        char of[160];
        int folded = words_fold(record, at, of, sizeof of);
        memset(row, 0, sizeof *row);
        if (folded > 0) {
            make_fold(row, folded, of);
            at += folded;
            continue;
        }
        const struct frame *frame = &record->stack->frames[at];
        words_function(frame, NAME_WIDTH, row->name);
        words_origin(report, frame, PATH_WIDTH, row->place);
        row->is_guilty = at++ == record->guilty;
    }
    if (at < record->stack->count) {
        memset(&rows[count], 0, sizeof *rows);
        make_fold(&rows[count++], record->stack->count - at, "");
    }
    return count;
}

static void print_stack(const struct report *report, const struct record *record, FILE *to)
{
    struct row *rows = calloc(ROWS_SHOWN, sizeof *rows);
    if (rows == NULL) return;
    bool dyes = report->has_color_at_end;
    int count = make_rows(report, record, rows);
    size_t width = 0;
    for (int i = 0; i < count; i++)
        if (!rows[i].is_fold) widen(&width, rows[i].name);
    for (int i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        fprintf(to, "     %s%s", color(dyes, row->is_guilty ? BOLD : row->is_fold ? DIM : PLAIN),
                row->is_guilty ? "> " : "  ");
        put_column(to, row->name, row->place[0] ? width : 0);
        fprintf(to, "%s%s%s\n", row->place[0] ? "  " : "", row->place, color(dyes, PLAIN));
    }
    free(rows);
}

/* "one call 3, garbage collection 1"; one kind alone needs no count. */
static void list_kinds(const struct group *group, char *text, size_t room)
{
    text[0] = '\0';
    for (int i = 0; i < STALL_KINDS; i++) {
        if (group->kind_count[i] == 0) continue;
        char count[32] = "";
        if (group->kind_count[i] != group->count)
            snprintf(count, sizeof count, " %" PRId64, group->kind_count[i]);
        size_t used = strlen(text);
        snprintf(text + used, room - used, "%s%s%s", used ? ", " : "",
                 words_kind((enum stall_kind)i), count);
    }
}

static void print_group(const struct report *report, int index, FILE *to)
{
    const struct group *group = &report->groups[index];
    char cause[WORDS_ROOM], held[32], times[48], worst[32], kinds[128];
    bool dyes = report->has_color_at_end;
    list_kinds(group, kinds, sizeof kinds);
    format_time(group->held_ns, held, sizeof held);
    format_things(group->count, "time", times, sizeof times);
    fprintf(to, "\n%2d.  %s%s%s\n     %s in all, %s", index + 1, color(dyes, BOLD),
            words_cause(report, group, cause), color(dyes, PLAIN), held,
            group->count == 1 ? "once" : times);
    if (group->count > 1)
        fprintf(to, ", worst %s", format_time(group->worst.held_ns, worst, sizeof worst));
    fprintf(to, "; %s\n", kinds);
    print_stack(report, &group->worst, to);
}

static void print_rest(const struct report *report, FILE *to)
{
    if (report->group_count <= GROUPS_SHOWN) return;
    int64_t held_ns = 0;
    char count[48], held[32];
    for (int i = GROUPS_SHOWN; i < report->group_count; i++) held_ns += report->groups[i].held_ns;
    fprintf(to, "\nAnd %s, %s in all; --json FILE has them.\n",
            format_things(report->group_count - GROUPS_SHOWN, "cause", count, sizeof count),
            format_time(held_ns, held, sizeof held));
}

/* Prints words in lines that end before the width. */
static void print_wrapped(const char *text, FILE *to)
{
    size_t column = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column > 0 && column + 1 + len > LINE_WIDTH) {
            fputc('\n', to);
            column = 0;
        }
        column += (size_t)fprintf(to, "%s%.*s", column > 0 ? " " : "", (int)len, text);
        text += len + strspn(text + len, " ");
    }
    fputc('\n', to);
}

/* Makes a sentence of what may be the words of one. */
static void print_sentence(const char *words, FILE *to)
{
    char text[4 * WORDS_ROOM];
    if (words == NULL || !*words) return;
    format_safe(words, text, sizeof text - 1);
    size_t len = strlen(text);
    if (text[0] >= 'a' && text[0] <= 'z') text[0] = (char)(text[0] - 'a' + 'A');
    if (text[len - 1] != '.') memcpy(text + len, ".", 2);
    print_wrapped(text, to);
}

static void print_facts(const struct report *report, const struct report_facts *facts, FILE *to)
{
    char text[WORDS_ROOM], turns[48], loops[48], time[32];
    format_time(facts->ended_ns - facts->began_ns, time, sizeof time);
    format_things(facts->turn_count, "turn", turns, sizeof turns);
    format_things(facts->loop_count, "loop", loops, sizeof loops);
    fputc('\n', to);
    if (report->stall_count > 0 && facts->loop_count > 0) {
        snprintf(text, sizeof text, "Watched %s for %s%s%s.", loops, time,
                 facts->turn_count > 0 ? ", " : "", facts->turn_count > 0 ? turns : "");
        print_wrapped(text, to);
    }
    if (report->left_out > 0) {
        char left_out[48];
        snprintf(text, sizeof text, "%s too many to be kept one by one: counted above, but not in "
                 "the files.", format_things(report->left_out, "stall", left_out,
                                             sizeof left_out));
        print_wrapped(text, to);
    }
    print_sentence(facts->mode_text, to);
    print_sentence(facts->exit_text, to);
}

void report_print(const struct report *report, const struct report_facts *facts, FILE *to)
{
    char safe[WORDS_ROOM], command[WORDS_ROOM], verdict[WORDS_ROOM];
    bool dyes = report->has_color_at_end;
    format_safe(report->options.command, safe, sizeof safe);
    fprintf(to, "%s%s%s\n%s\n", color(dyes, BOLD),
            format_elided(safe, COMMAND_WIDTH, command, sizeof command), color(dyes, PLAIN),
            words_verdict(report, facts, verdict));
    for (int i = 0; i < report->group_count && i < GROUPS_SHOWN; i++) print_group(report, i, to);
    print_rest(report, to);
    print_facts(report, facts, to);
}
