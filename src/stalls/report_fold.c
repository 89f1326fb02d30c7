/* Folded stacks, as flame-graph tools read them: "kind;outermost;...;innermost;[call] weight", the
 * weight in microseconds of time held. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/report_parts.h"

enum { UNLIMITED = WORDS_ROOM / 2 };

/* The character that parts frames cannot be in one. */
static void put_text(FILE *to, const char *text)
{
    for (; *text; text++) fputc(*text == ';' ? ':' : *text, to);
}

static void put_frame(const struct report *report, const struct frame *frame, FILE *to)
{
    char name[WORDS_ROOM], origin[WORDS_ROOM];
    fputc(';', to);
    put_text(to, words_function(frame, UNLIMITED, name));
    words_origin(report, frame, UNLIMITED, origin);
    if (!origin[0]) return;
    fputs(" (", to);
    put_text(to, origin);
    fputc(')', to);
}

void report_fold(const struct report *report, const struct report_facts *facts, FILE *to)
{
    size_t count;
    struct weight *weights = report_weigh(report, &count);
    (void)facts;
    for (size_t i = 0; i < count; i++) {
        const struct record *record = weights[i].record;
        fputs(words_kind(record->kind), to);
        for (int at = record->stack->count; at-- > 0;)
            put_frame(report, &record->stack->frames[at], to);
        if (record->call_name) {
            fputs(";[", to);
            char call[WORDS_ROOM];
            struct frame frame = { .function = record->call_name };
            put_text(to, words_function(&frame, UNLIMITED, call));
            fputc(']', to);
        }
        fprintf(to, " %" PRId64 "\n", weights[i].held_ns / 1000);
    }
    free(weights);
}
