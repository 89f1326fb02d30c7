/* A thread that does not come back to its loop: from the moment it is late until it waits again. */
#ifndef STALLS_HOLD_H
#define STALLS_HOLD_H

#include "stalls/capture.h"
#include "stalls/report.h"
#include "stalls/source.h"

enum { LOOKS_MAX = 32, LOOKS_JUDGED = 8 };

/* What the watch keeps of each loop thread. */
struct hold {
    pid_t tid;                    /* 0: this place is free */
    pid_t last_tid;               /* the same, and after it has left */
    bool is_known;                /* there was a pulse before */
    bool is_held;
    struct pulse last;
    int64_t seen_ns, next_look_ns, began_ns;
    struct thread_times base, now_times; /* before the turn, and at the last pulse */
    int look_count;
    struct capture *looks;        /* LOOKS_MAX; NULL: never needed yet */
    bool collecting[LOOKS_MAX];
};

struct holds {
    struct source *source;
    struct target *target;        /* NULL: no loop was seen yet, so nothing was opened */
    struct report *report;
    int64_t threshold_ns;
    int loop_count, held_count;
    uint64_t turn_count;
    struct hold slots[PULSES_MAX];
};

/* Takes the pulses of a moment: begins, goes on with and ends holds, and reports those
 * that ended. */
void holds_note(struct holds *holds, const struct pulse *pulses, int count, int64_t now);

/* Reports what is still held as far as it goes, or drops it: the process has become another. */
void holds_end(struct holds *holds, int64_t now);
void holds_drop(struct holds *holds);

#endif
