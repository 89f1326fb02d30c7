/* The smaller contract of a readiness kernel: what it takes to become a backend. readiness.c does
 * the rest: try, park on EAGAIN, try again. */
#ifndef HARK_BACKEND_POLLER_H
#define HARK_BACKEND_POLLER_H

#include "backend/backend.h"
#include "backend/sys.h"
#include "base/check.h"

enum { /* as READY_READ and READY_WRITE */
    WATCH_READ = 1 << SIDE_READ, WATCH_WRITE = 1 << SIDE_WRITE,
    WATCH_BROKEN = 4, /* reported only: the descriptor was closed behind our back */
};

struct poller {
    const struct poller_ops *ops;
    struct backend *backend;
    void *state;
    struct hark_io wake;       /* what is watched so that others can wake the loop, unless */
    int wake_end;              /* what others write to for that */
    bool wakes_itself;         /* the kernel interface has a way of its own: ops->wake() */
    size_t io_count;           /* adopted, the wake io included */
    struct ready_set *mirror;  /* a set with all that is watched, for lend(); or NULL */
};

struct poller_ops {
    bool has_edges;  /* set() knows IO_EDGE: the wake descriptor need not be read */

    int  (*open) (struct poller *poller);
    void (*close)(struct poller *poller);

    /* Makes room for io_count ios in all, so that set() needs no memory. Optional. */
    int  (*reserve)(struct poller *poller, size_t io_count);

    /* Changes what the kernel watches from io->watched to want, level-triggered; 0 forgets at once.
     * 0, or a negative errno: -EPERM means that this descriptor never blocks. What is kept back and
     * fails later is told by poller_refused(). */
    int  (*set)  (struct poller *poller, struct hark_io *io, unsigned want);

    /* Optional: hands over what set() has kept back for poll(). */
    void (*hand_over)(struct poller *poller);

    /* Optional: ends a poll(), or the next one; any thread. Called if open() said wakes_itself. */
    void (*wake)(struct poller *poller);

    /* Optional: a descriptor that is readable when poll() would find something. */
    int  (*kernel_fd)(const struct poller *poller);

    /* Sleeps, then calls poller_ready() for each io that has something, `most` at most. Errors and
     * hang-ups count as both sides ready: the system call that follows learns the truth. */
    int  (*poll) (struct poller *poller, int64_t timeout_ns, unsigned most);
};

/* Something is ready on the sides of mask. Saying so twice is harmless. */
void poller_ready_slowly(struct poller *poller, struct hark_io *io, unsigned mask);
void poller_received(struct poller *poller, struct hark_op *op, ssize_t n);

/* The kernel would not watch the sides of mask after all; error is an errno. */
void poller_refused(struct poller *poller, struct hark_io *io, unsigned mask, int error);

/* Nearly every report is bytes for a hark_recv(): that way is laid through here. */
static inline void poller_ready(struct poller *poller, struct hark_io *io, unsigned mask)
{
    struct hark_op *op = io->active[SIDE_READ];
    if (HARK_UNLIKELY(mask != WATCH_READ || op == NULL || !op_is_plain(op, OP_RECV))) {
        poller_ready_slowly(poller, io, mask);
        return;
    }
    ssize_t n = recv(io->fd, op->u.buf.base, op->u.buf.len, SYS_RECV_FLAGS);
    if (HARK_LIKELY((size_t)n < op->u.buf.len)) /* nor an error, which is far above any length */
        backend_finish_plain(poller->backend, op, SIDE_READ, n);
    else
        poller_received(poller, op, n);
}

extern const struct poller_ops select_poller, poll_poller, epoll_poller, kqueue_poller;

#endif
