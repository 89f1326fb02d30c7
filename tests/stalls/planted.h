/* Runs a program with planted stalls under the watch, and compares what was reported with the
 * truth. The report here only collects. */
#ifndef PLANTED_H
#define PLANTED_H

#include <stdbool.h>

#include "stalls/pulse.h"
#include "stalls/watch.h"

enum { STALLS_ROOM = 256 };

/* A stall as the target knows it. Its loop went to wait after after_ns, and again before before_ns.
 * One that is named "late" was not planted: the machine did not let the target run. */
struct truth { char name[16]; int64_t after_ns, began_ns, ended_ns, before_ns; };

struct planted {
    int result;                       /* of watch_run() */
    struct report_facts facts;
    struct stall stalls[STALLS_ROOM];
    int stall_count;
    struct truth truths[STALLS_ROOM];
    int truth_count;
    struct truth late[STALLS_ROOM];
    int late_count;
    int failures, dirty, forked;      /* as the target says; -1: it did not */
    int64_t watcher_ns;               /* processor time of the watch itself */
};

/* mode: -1: the best one. program: a file beside the test. stalls ends with NULL. */
struct planted *planted_run(int mode, int64_t threshold_ns, const char *program,
                            const char *const *stalls);

/* An empty one, which collects what is reported from now on. */
struct planted *planted_new(void);

/* The reported stall that covers at least half of a planted one; NULL: it was not found. */
const struct stall *planted_find(const struct planted *planted, const struct truth *truth);

/* Tells whether the target itself knows of a time at which it did not get on. */
bool planted_was_late(const struct planted *planted, const struct stall *stall);

/* Tells whether a stall covers a planted one, and nothing before or after its turn. */
bool planted_is_exact(const struct stall *stall, const struct truth *truth);

void planted_free(struct planted *planted);

#endif
