/* io_uring: what its two files share. uring_probe.c finds out what this kernel's ring can do,
 * uring.c works it. */
#ifndef HARK_BACKEND_URING_H
#define HARK_BACKEND_URING_H

#include <liburing.h>

#include "backend/backend.h"

enum uring_feature {
    URING_DEFER = 1,         /* completions are worked off only when the loop enters (Linux 6.1) */
    URING_SINGLE = 2,        /* one thread submits (6.0) */
    URING_COOP = 4,          /* no interrupt of the loop for a completion (5.19) */
    URING_MULTI_ACCEPT = 8,  /* one request accepts for ever (5.19) */
    URING_BUFFER_RING = 16,  /* the kernel picks buffers from a ring (5.19) */
    URING_MULTI_RECV = 32,   /* one request receives for ever (6.0) */
    URING_MULTI_POLL = 64,   /* one request polls for ever (5.13) */
    URING_TIMED_WAIT = 128,  /* a wait takes a time limit (5.11) */
    URING_ALL = 255,
};

struct uring {
    struct io_uring ring;
    unsigned features;       /* enum uring_feature */
    bool is_enabled;         /* the first wait, by the thread that owns the loop, enables it */
    bool is_wake_armed;
    int wake_fd;
    uint64_t wake_count;     /* where a wake-up is read to, without URING_MULTI_POLL */
    int reserve;             /* a descriptor kept for the day when the table is full */
    int next_group;          /* of buffers */
    unsigned harvests;       /* waits in a row that only harvested */
    struct op_queue backlog; /* found no room in the submission queue */
    struct msghdr *headers;  /* one for each submission entry, for OP_SENDV */
};

/* Sets up the ring with the best flags that this kernel takes and fills in what it can do. 0 or a
 * negative errno with nothing left open; then why says in a line what refuses. */
int uring_setup(struct uring *uring, char *why, size_t room_bytes);

/* Says in a line what was found. */
void uring_describe(const struct uring *uring, char *why, size_t room_bytes);

#endif
