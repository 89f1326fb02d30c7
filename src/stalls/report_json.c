/* The report as data. hark(1) documents it; what is there today stays, more may come.
 *
 * A stack is written once and named by its place in "stacks": a stall that comes ten thousand times
 * would else make a file that nothing can load. */
#include <inttypes.h>

#include "show/format.h"
#include "stalls/report_parts.h"

static void put_text(FILE *to, const char *name, const char *text)
{
    fprintf(to, "\"%s\": ", name);
    if (text) format_json(to, text);
    else fputs("null", to);
}

/* Milliseconds, to the microsecond. */
static void put_time(FILE *to, const char *name, int64_t ns)
{
    fprintf(to, "\"%s\": %.3f", name, (double)ns / 1e6);
}

static void put_frame(FILE *to, const struct frame *frame)
{
    static const char *const kinds[] = {
        [FRAME_NATIVE] = "native", [FRAME_PYTHON] = "python", [FRAME_JAVASCRIPT] = "javascript",
    };
    fprintf(to, "{ \"kind\": \"%s\", ", kinds[frame->kind]);
    put_text(to, "function", frame->function);
    fputs(", ", to);
    put_text(to, "file", frame->file);
    if (frame->line > 0) fprintf(to, ", \"line\": %d, ", frame->line);
    else fputs(", \"line\": null, ", to);
    put_text(to, "module", frame->module);
    if (frame->module) fprintf(to, ", \"offset\": \"0x%" PRIx64 "\"", frame->offset);
    else fputs(", \"offset\": null", to);
    fprintf(to, ", \"runtime\": %s }", frame->is_runtime ? "true" : "false");
}

static void put_facts(FILE *to, const struct report *report, const struct report_facts *facts)
{
    fputs("  ", to);
    put_text(to, "command", report->options.command);
    fputs(",\n  ", to);
    put_time(to, "threshold_ms", report->options.threshold_ns);
    fputs(",\n  ", to);
    put_time(to, "duration_ms", facts->ended_ns - facts->began_ns);
    fprintf(to, ",\n  \"loops\": %d,\n  \"turns\": ", facts->loop_count);
    if (facts->turn_count > 0) fprintf(to, "%" PRId64 ",\n  ", facts->turn_count);
    else fputs("null,\n  ", to);
    put_text(to, "mode", words_mode(facts->mode));
    fputs(",\n  ", to);
    put_text(to, "mode_text", facts->mode_text);
    fputs(",\n  ", to);
    put_text(to, "exit_text", facts->exit_text);
    fprintf(to, ",\n  \"stall_count\": %" PRId64 ",\n  \"stalls_left_out\": %" PRId64 ",\n  ",
            report->stall_count, report->left_out);
    put_time(to, "held_ms", report->held_ns);
    fprintf(to, ",\n  \"held_share\": %.6f", words_share(report, facts));
}

static void put_groups(FILE *to, const struct report *report)
{
    fputs(",\n  \"groups\": [", to);
    for (int i = 0; i < report->group_count; i++) {
        const struct group *group = &report->groups[i];
        const struct frame *guilty = record_guilty(&group->worst);
        fprintf(to, "%s\n    { ", i ? "," : "");
        put_text(to, "call", group->worst.call_name);
        fputs(", \"guilty\": ", to);
        if (guilty) put_frame(to, guilty);
        else fputs("null", to);
        fputs(",\n      ", to);
        put_time(to, "held_ms", group->held_ns);
        fprintf(to, ", \"count\": %" PRId64 ", ", group->count);
        put_time(to, "worst_ms", group->worst.held_ns);
        fputs(", \"kinds\": {", to);
        const char *between = " ";
        for (int kind = 0; kind < STALL_KINDS; kind++) {
            if (group->kind_count[kind] == 0) continue;
            fprintf(to, "%s\"%s\": %" PRId64, between, words_kind((enum stall_kind)kind),
                    group->kind_count[kind]);
            between = ", ";
        }
        fprintf(to, " }, \"stack\": %d }", group->worst.stack->number);
    }
    fputs(report->group_count ? "\n  ]" : "]", to);
}

static void put_stall(FILE *to, const struct record *record, int64_t began_ns)
{
    fprintf(to, "{ \"unix_ms\": %" PRId64 ", ", record->wall_ns / 1000000);
    put_time(to, "began_ms", record->began_ns - began_ns);
    fputs(", ", to);
    put_time(to, "held_ms", record->held_ns);
    fputs(", ", to);
    put_time(to, "processor_ms", record->processor_ns);
    fputs(", ", to);
    put_time(to, "queued_ms", record->queued_ns);
    fputs(",\n      ", to);
    put_text(to, "kind", words_kind(record->kind));
    fprintf(to, ", \"state\": \"%s\", ", record->is_running ? "running" : "waiting");
    put_text(to, "call", record->call_text);
    fprintf(to, ", \"pid\": %d, \"tid\": %d, \"looks\": %d, \"stack\": %d, \"guilty\": ",
            (int)record->pid, (int)record->tid, record->look_count, record->stack->number);
    if (record_guilty(record)) fprintf(to, "%d }", record->guilty);
    else fputs("null }", to);
}

static void put_stacks(FILE *to, const struct report *report)
{
    fputs(",\n  \"stacks\": [", to);
    for (int i = 0; i < report->stack_count; i++) {
        const struct kept_stack *stack = report->stacks[i];
        fprintf(to, "%s\n    [", i ? "," : "");
        for (int at = 0; at < stack->count; at++) {
            fputs(at ? ",\n      " : "\n      ", to);
            put_frame(to, &stack->frames[at]);
        }
        fputs(stack->count ? "\n    ]" : "]", to);
    }
    fputs(report->stack_count ? "\n  ]" : "]", to);
}

void report_json(const struct report *report, const struct report_facts *facts, FILE *to)
{
    fputs("{\n", to);
    put_facts(to, report, facts);
    put_groups(to, report);
    fputs(",\n  \"stalls\": [", to);
    for (size_t i = 0; i < report->record_count; i++) {
        fprintf(to, "%s\n    ", i ? "," : "");
        put_stall(to, &report->records[i], facts->began_ns);
    }
    fputs(report->record_count ? "\n  ]" : "]", to);
    put_stacks(to, report);
    fputs("\n}\n", to);
}
