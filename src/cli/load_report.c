/* Prints what hark load measured, and what the figures do not say. */
#include <inttypes.h>
#include <stdio.h>

#include "show/format.h"
#include "load.h"

static const struct { const char *name; double share; } shares[] = {
    { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 },
};
enum { SHARES = sizeof shares / sizeof *shares };

static double per_second(const struct load_result *result)
{
    if (result->elapsed_ns <= 0) return 0;
    return (double)result->messages * 1e9 / (double)result->elapsed_ns;
}

static void print_text(const struct load_settings *settings, const struct load_result *result)
{
    char a[40], b[40], c[40], d[40];
    double rate = per_second(result);
    printf("%s   %s connections, messages of %s, depth %s, %s, on %s%s\n", settings->target,
           format_count(settings->connections, a, sizeof a),
           format_bytes((double)settings->message_bytes, b, sizeof b),
           format_count(settings->depth, c, sizeof c),
           format_time(result->elapsed_ns, d, sizeof d), result->backend,
           result->is_interrupted ? ", interrupted" : "");
    printf("messages  %s, %s a second, %s a second each way, every byte as it was sent\n",
           format_count(result->messages, a, sizeof a), format_short(rate, b, sizeof b),
           format_bytes(rate * (double)settings->message_bytes, c, sizeof c));
    printf("latency  ");
    for (size_t i = 0; i < SHARES; i++)
        printf(" %s %s  ", shares[i].name,
               format_time(histogram_at(&result->latency, shares[i].share), a, sizeof a));
    printf(" max %s\n", format_time(result->latency.max, a, sizeof a));
    if (result->unanswered)
        printf("late      %s messages had no echo when the run ended%s\n",
               format_count(result->unanswered, a, sizeof a),
               settings->rate ? "; they count as having taken until then" : "");
    if (settings->rate)
        printf("latency is counted from the moment a message was due, at %s a second\n",
               format_count(settings->rate, a, sizeof a));
    else
        printf("closed loop: a slow echo also delays the next message, which hides waiting;"
               " --rate shows it\n");
}

static void print_json(const struct load_settings *settings, const struct load_result *result)
{
    printf("{\n  \"target\": ");
    format_json(stdout, settings->target);
    printf(",\n  \"backend\": \"%s\",\n  \"connections\": %" PRId64 ",\n"
           "  \"message_bytes\": %" PRId64 ",\n  \"depth\": %" PRId64 ",\n", result->backend,
           settings->connections, settings->message_bytes, settings->depth);
    printf("  \"mode\": \"%s\",\n  \"rate\": %" PRId64 ",\n  \"seconds\": %.6f,\n"
           "  \"interrupted\": %s,\n", settings->rate ? "rate" : "closed loop", settings->rate,
           (double)result->elapsed_ns / 1e9, result->is_interrupted ? "true" : "false");
    double rate = per_second(result);
    printf("  \"messages\": %" PRId64 ",\n  \"unanswered\": %" PRId64 ",\n"
           "  \"messages_per_second\": %.1f,\n  \"bytes_per_second\": %.0f,\n"
           "  \"latency_us\": {", result->messages, result->unanswered, rate,
           rate * (double)settings->message_bytes);
    for (size_t i = 0; i < SHARES; i++)
        printf("\"%s\": %.3f, ", shares[i].name,
               (double)histogram_at(&result->latency, shares[i].share) / 1e3);
    printf("\"max\": %.3f}\n}\n", (double)result->latency.max / 1e3);
}

void load_report(const struct load_settings *settings, const struct load_result *result)
{
    if (settings->as_json) print_json(settings, result);
    else print_text(settings, result);
}
