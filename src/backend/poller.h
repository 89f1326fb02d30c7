/* The smaller contract of a readiness kernel: what it takes to become a backend. readiness.c does
 * the rest: try, park on EAGAIN, try again. */
#ifndef HARK_BACKEND_POLLER_H
#define HARK_BACKEND_POLLER_H

#include "backend/backend.h"

enum { WATCH_READ = 1 << SIDE_READ, WATCH_WRITE = 1 << SIDE_WRITE };

struct poller {
    const struct poller_ops *ops;
    struct backend *backend;
    void *state;
    struct hark_io wake;       /* an eventfd */
    size_t io_count;           /* adopted, the wake io included */
};

struct poller_ops {
    int  (*open) (struct poller *poller);
    void (*close)(struct poller *poller);

    /* Makes room for io_count ios in all, so that set() needs no memory. Optional. */
    int  (*reserve)(struct poller *poller, size_t io_count);

    /* Changes what the kernel watches from io->watched to want, level-triggered; 0 forgets. 0, or a
     * negative errno: -EPERM means that this descriptor never blocks. */
    int  (*set)  (struct poller *poller, struct hark_io *io, unsigned want);

    /* Sleeps, then calls poller_ready() for each io that has something, `most` at most. Errors and
     * hang-ups count as both sides ready: the system call that follows learns the truth. */
    int  (*poll) (struct poller *poller, int64_t timeout_ns, unsigned most);
};

/* Something is ready on the sides of mask. Saying so twice is harmless. */
void poller_ready_slowly(struct poller *poller, struct hark_io *io, unsigned mask);
void poller_recv(struct poller *poller, struct hark_op *op);

static inline void poller_ready(struct poller *poller, struct hark_io *io, unsigned mask)
{
    struct hark_op *op = io->active[SIDE_READ];
    bool is_plain = mask == WATCH_READ && op != NULL && op->kind == OP_RECV;
    if (__builtin_expect(is_plain, 1)) poller_recv(poller, op);
    else poller_ready_slowly(poller, io, mask);
}

extern const struct poller_ops select_poller, poll_poller, epoll_poller;

#endif
