/* What hark load measures, between its driver (load.c) and its report (load_report.c). */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"

struct load_settings {
    const char *target;      /* HOST:PORT as given */
    const char *backend;     /* NULL: the library's choice */
    int64_t connections;
    int64_t message_bytes;
    int64_t depth;           /* messages in flight on a connection at most */
    int64_t duration_ns;
    int64_t rate;            /* messages a second in all; 0: as fast as it goes */
    bool as_json, is_quiet;
};

struct load_result {
    const char *backend;     /* that it ran on */
    int64_t elapsed_ns;      /* of sending, and on to the last echo if that came later */
    int64_t messages;        /* sent, echoed and compared */
    int64_t unanswered;      /* due or sent, and no echo when the run ended */
    bool is_interrupted;
    struct histogram latency;
};

/* Prints the result on standard output, as text or as JSON. */
void load_report(const struct load_settings *settings, const struct load_result *result);

#endif
