/* Does a thread that is never seen to wait come to its wait soon? */
#ifndef STALLS_PROBE_H
#define STALLS_PROBE_H

#include "stalls/pulse.h"

struct probe {
    pid_t pid, tid;
    int main_fd;              /* -1: its wait is a poll or select */
    int64_t budget_ns;        /* of processor time, within which a short turn should end */
    int64_t ended_ns;         /* result: when it came to its wait, or had used the budget */
    int call_count;           /* result: the calls that it made, each of which was slowed down */
    enum proof proof;         /* result */
    int64_t processor_ns;     /* at the beginning */
    uint64_t first_argument;  /* of its last call */
};

/* PROOF_WAITED: it came to its wait, and is about to begin it. Only for a thread that runs, not for
 * one that is blocked. */
enum proof probe_turn(struct probe *probe);

#endif
