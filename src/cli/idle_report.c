/* What hark idle found, as a line in words, as a table and as data.
 *
 * The line is made from the figures alone: it says of each backend whether it stays flat, and by
 * what factor a round trip grew, so that a reader can disagree. */
#include <hark/api.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "show/format.h"
#include "idle.h"

/* Ten times as many connections make what looks at each of them four times dearer or more; noise on
 * a busy machine reaches a third. */
static const double FLAT_MAX = 1.5;

enum { LIST_ROOM = 256 };

const struct idle_cell *idle_first(const struct idle_report *report, const struct idle_row *row)
{
    for (int i = 0; i < report->plan->level_count; i++)
        if (row->cells[i].is_measured) return &row->cells[i];
    return NULL;
}

const struct idle_cell *idle_last(const struct idle_report *report, const struct idle_row *row)
{
    for (int i = report->plan->level_count; i-- > 0;)
        if (row->cells[i].is_measured) return &row->cells[i];
    return NULL;
}

bool idle_report_has_figures(const struct idle_report *report)
{
    for (int i = 0; i < report->row_count; i++)
        if (idle_first(report, &report->rows[i])) return true;
    return false;
}

static void append(char *text, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t room, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, room - used, format, args);
    va_end(args);
}

/* A row that can be compared: how many times dearer its last level is than its first; 0 if not. */
static double growth(const struct idle_report *report, const struct idle_row *row)
{
    const struct idle_cell *first = idle_first(report, row), *last = idle_last(report, row);
    if (!first || first == last || first->processor_us <= 0) return 0;
    return last->processor_us / first->processor_us;
}

/* Lists the flat rows or the climbing ones, "poll and select". Gives how many. */
static int list_names(const struct idle_report *report, bool is_flat, char names[LIST_ROOM])
{
    int count = 0, listed = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < report->row_count; i++) {
            double factor = growth(report, &report->rows[i]);
            if (factor == 0 || (factor <= FLAT_MAX) != is_flat) continue;
            if (pass == 0) {
                count++;
                continue;
            }
            const char *comma = listed == 0 ? "" : listed + 1 == count ? " and " : ", ";
            append(names, LIST_ROOM, "%s%s", comma, report->rows[i].backend);
            listed++;
        }
    }
    return count;
}

static int64_t largest_idle(const struct idle_report *report)
{
    int64_t largest = 0;
    for (int i = 0; i < report->row_count; i++) {
        const struct idle_cell *last = idle_last(report, &report->rows[i]);
        if (last && last->idle > largest) largest = last->idle;
    }
    return largest;
}

/* "select x4.31 (at 1,000), poll x98.0, epoll x1.05": factors, or microseconds where there is but
 * one level. */
static void append_figures(const struct idle_report *report, bool as_factors, char *text,
                           size_t room)
{
    const char *comma = "";
    char number[32], idle[32];
    for (int i = 0; i < report->row_count; i++) {
        const struct idle_row *row = &report->rows[i];
        const struct idle_cell *last = idle_last(report, row);
        double factor = growth(report, row);
        if (!last || (as_factors && factor == 0)) continue;
        format_short(as_factors ? factor : last->processor_us, number, sizeof number);
        append(text, room, as_factors ? "%s%s x%s" : "%s%s %s us", comma, row->backend, number);
        if (last->idle != largest_idle(report))
            append(text, room, " (at %s)", format_count(last->idle, idle, sizeof idle));
        comma = ", ";
    }
}

char *idle_verdict(const struct idle_report *report, char *text, size_t room)
{
    char flat[LIST_ROOM] = "", climbing[LIST_ROOM] = "", most[32], least[32];
    int flat_count = list_names(report, true, flat);
    int climbing_count = list_names(report, false, climbing);
    format_count(largest_idle(report), most, sizeof most);
    format_count(report->plan->levels[0], least, sizeof least);
    *text = 0;
    if (flat_count) append(text, room, "%s %s flat", flat, flat_count == 1 ? "stays" : "stay");
    if (flat_count && climbing_count) append(text, room, ", ");
    if (climbing_count)
        append(text, room, "%s %s", climbing, climbing_count == 1 ? "climbs" : "climb");
    bool as_factors = flat_count + climbing_count > 0;
    if (as_factors) append(text, room, ": a round trip at %s idle against %s: ", most, least);
    else append(text, room, "a round trip at %s idle: ", most);
    append_figures(report, as_factors, text, room);
    return text;
}

static int64_t all_round_trips(const struct idle_report *report)
{
    int64_t count = 0;
    for (int i = 0; i < report->row_count; i++)
        for (int level = 0; level < report->plan->level_count; level++)
            count += report->rows[i].cells[level].round_trips;
    return count;
}

static void print_cell(const char *backend, const struct idle_cell *cell)
{
    char idle[32], cost[32], calls[32] = "-", p50[32], p99[32], memory[40] = "-";
    format_count(cell->idle, idle, sizeof idle);
    if (!cell->is_measured) {
        printf("%-9s %9s   %s\n", backend, idle, cell->note[0] ? cell->note : "not measured");
        return;
    }
    if (cell->calls >= 0) format_short(cell->calls, calls, sizeof calls);
    if (cell->memory_bytes >= 0) format_bytes(round(cell->memory_bytes), memory, sizeof memory);
    printf("%-9s %9s %15s %18s %9s %9s %14s\n", backend, idle,
           format_short(cell->processor_us, cost, sizeof cost), calls,
           format_short(cell->p50_us, p50, sizeof p50), format_short(cell->p99_us, p99, sizeof p99),
           memory);
}

static void print_row(const struct idle_report *report, const struct idle_row *row)
{
    if (row->refused[0]) {
        printf("%-9s %9s   %s\n", row->backend, "-", row->refused);
        return;
    }
    for (int i = 0; i < report->plan->level_count; i++) {
        const struct idle_cell *cell = &row->cells[i];
        if (cell->is_measured || cell->note[0] || !report->is_interrupted)
            print_cell(row->backend, cell);
    }
    if (row->failure[0]) printf("%-9s %9s   failed: %s\n", row->backend, "", row->failure);
    if (row->untraced[0]) printf("%-9s %9s   %s\n", row->backend, "", row->untraced);
}

void idle_report_text(const struct idle_report *report)
{
    const struct idle_plan *plan = report->plan;
    char verdict[1024], count[32], active[48], size[40], time[40];
    printf("%s\n", idle_verdict(report, verdict, sizeof verdict));
    if (report->is_interrupted) printf("interrupted: this is what was measured until then\n");
    if (report->scaled[0]) printf("%s\n", report->scaled);
    printf("\n%-9s %9s %15s %18s %9s %9s %14s\n", "backend", "idle", "us/round trip",
           "calls/round trip", "p50 us", "p99 us", "memory/idle");
    for (int i = 0; i < report->row_count; i++) print_row(report, &report->rows[i]);
    printf("\n%s %s in turn, %s a message, %s timed at each level; every byte of %s echoes was"
           " compared\n", format_things(plan->active, "connection", active, sizeof active),
           plan->active == 1 ? "talks" : "talk",
           format_bytes((double)plan->message_bytes, size, sizeof size),
           format_duration(plan->duration_ns, time, sizeof time),
           format_count(all_round_trips(report), count, sizeof count));
    printf("us and calls are the server's, p50 and p99 the client's; both run on one processor\n");
    if (report->step_ns > 0)
        printf("us advance by steps of %.1f ms, so a short --duration makes them coarse\n",
               (double)report->step_ns / 1e6);
    printf("%s, %s, %d %s\n", report->machine.processor, report->machine.system,
           report->machine.cores, report->machine.cores == 1 ? "processor" : "processors");
    if (report->has_picture) printf("picture: %s\n", plan->picture);
}

static void print_text_member(const char *start, const char *key, const char *text,
                              const char *end)
{
    printf("%s\"%s\": ", start, key);
    if (text && *text) format_json(stdout, text);
    else printf("null");
    printf("%s", end);
}

/* A figure that is unknown is null. */
static void print_figure(const char *key, double figure)
{
    if (figure < 0) printf("\"%s\": null, ", key);
    else printf("\"%s\": %.3f, ", key, figure);
}

static void print_json_cell(const struct idle_cell *cell, const char *end)
{
    printf("      {\"idle\": %" PRId64 ", \"measured\": %s, ", cell->idle,
           cell->is_measured ? "true" : "false");
    if (cell->is_measured) {
        printf("\"round_trips\": %" PRId64 ", ", cell->round_trips);
        print_figure("processor_us", cell->processor_us);
        print_figure("calls", cell->calls);
        print_figure("p50_us", cell->p50_us);
        print_figure("p99_us", cell->p99_us);
        print_figure("memory_bytes", cell->memory_bytes);
    }
    print_text_member("", "note", cell->note, "}");
    printf("%s\n", end);
}

static void print_json_row(const struct idle_report *report, const struct idle_row *row)
{
    int count = row->refused[0] ? 0 : report->plan->level_count;
    print_text_member("    {", "backend", row->backend, ", ");
    print_text_member("", "refused", row->refused, ", ");
    print_text_member("", "failure", row->failure, ", ");
    print_text_member("", "untraced", row->untraced, ",\n");
    printf("     \"levels\": [%s", count ? "\n" : "");
    for (int i = 0; i < count; i++)
        print_json_cell(&row->cells[i], i + 1 < count ? "," : "");
    printf("%s]}", count ? "     " : "");
}

void idle_report_json(const struct idle_report *report)
{
    const struct idle_plan *plan = report->plan;
    char verdict[1024];
    printf("{\n  \"hark\": \"%s\",\n", hark_version());
    print_text_member("  ", "verdict", idle_verdict(report, verdict, sizeof verdict), ",\n");
    print_text_member("  \"machine\": {", "system", report->machine.system, ", ");
    print_text_member("", "processor", report->machine.processor, ", ");
    printf("\"processors\": %d},\n", report->machine.cores);
    printf("  \"connections\": %" PRId64 ",\n  \"active\": %" PRId64 ",\n"
           "  \"message_bytes\": %" PRId64 ",\n  \"seconds\": %.6f,\n  \"interrupted\": %s,\n",
           plan->connections, plan->active, plan->message_bytes, (double)plan->duration_ns / 1e9,
           report->is_interrupted ? "true" : "false");
    if (report->step_ns > 0)
        printf("  \"processor_step_us\": %.1f,\n", (double)report->step_ns / 1e3);
    print_text_member("  ", "scaled", report->scaled, ",\n");
    print_text_member("  ", "picture", report->has_picture ? plan->picture : NULL, ",\n");
    printf("  \"backends\": [\n");
    for (int i = 0; i < report->row_count; i++) {
        print_json_row(report, &report->rows[i]);
        printf("%s\n", i + 1 < report->row_count ? "," : "");
    }
    printf("  ]\n}\n");
}
