/* The loop's own state, and what its files offer to each other and to the layers above. */
#ifndef HARK_LOOP_LOOP_H
#define HARK_LOOP_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include "backend/backend.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/inbox.h"
#include "base/wheel.h"
#include <hark/hark.h>

enum { AGE_SHIFT = 20 }; /* hark_op.started counts 2^20 ns, about a millisecond */

struct offload;

struct hark_loop {
    struct backend backend;
    int64_t now;
    struct hark_op *running;        /* results that this turn calls back, after the present one */
    size_t alive;                   /* ops that keep hark_run() running */
    size_t background;              /* ops that do not */
    size_t held;                    /* hark_hold() */
    unsigned turn_budget;
    uint32_t age_now;               /* now >> AGE_SHIFT */
    bool is_running;                /* inside a turn */
    bool is_closing;
    bool has_waited;                /* the kernel was visited in this turn or the one before */
    pthread_t owner;
    bool has_owner;
    struct hark_op *repeating;      /* the op whose callback runs, when it is a repeating one */
    struct hark_io *ios;            /* all that are open, newest first */
    struct op_queue paused;         /* wait for the retry timer */
    struct hark_op retry;           /* that timer */
    uint64_t *descriptors;          /* a bit for each descriptor that an io of this loop has */
    size_t descriptors_room;        /* in words */
    struct hark_allocator allocator;
    struct offload *offload;
    struct wheel wheel;
    _Alignas(64) struct inbox inbox; /* what other threads write, on a cache line of its own */
    atomic_bool stop_asked;
};

/* op.c: the life of an op. */
void op_finish(struct hark_loop *loop, struct hark_op *op, int error_or_result);
void op_end(struct hark_loop *loop, struct hark_op *op, int64_t result, int32_t os_error);
void op_run_slowly(struct hark_loop *loop, struct hark_op *op);
void op_expired(struct hark_loop *loop, struct hark_op *op);
void op_arm(struct hark_loop *loop, struct hark_op *op, int64_t when);
void op_resume_paused(struct hark_loop *loop);
void op_resume_starved(struct hark_loop *loop, struct hark_pool *pool);

/* io.c: the sides of an io. */
void io_submit_slowly(struct hark_op *op, struct hark_io *io);
void io_pump(struct hark_io *io, int side);
bool io_unqueue(struct hark_io *io, struct hark_op *op);
void io_end_close(struct hark_op *op);
int io_open(struct hark_io *io, struct hark_loop *loop, int fd, unsigned flags);
void io_cancel_all(struct hark_io *io);
void io_shut(struct hark_io *io);

/* timer.c */
void timer_expire_due(struct hark_loop *loop);
void timer_repeat(struct hark_loop *loop, struct hark_op *op);
void timer_repeated(struct hark_op *op);

/* post.c */
void post_drain(struct hark_loop *loop);
void post_send(struct hark_loop *loop, struct hark_op *op);
/* Calls fn for what other threads have sent and this one has not taken. */
void post_each(const struct hark_loop *loop, void (*fn)(struct hark_op *, void *), void *arg);

/* choose.c: the only file that names a backend. */
int choose_backend(struct hark_loop *loop, const char *wanted);

/* loop.c */
struct hark_loop *loop_bare(const struct hark_loop_options *options); /* without a kernel yet */
void loop_free(struct hark_loop *loop);
void *loop_resize(struct hark_loop *loop, void *ptr, size_t old_bytes, size_t new_bytes);
/* Calls fn for each op that has its result and waits for its callback. */
void loop_each_due(const struct hark_loop *loop, void (*fn)(struct hark_op *, void *), void *arg);

/* offload/, called by op.c and loop.c through this seam so that the loop need not include it. */
struct offload_ops {
    int (*open)(struct hark_loop *loop, const struct hark_loop_options *options);
    bool (*cancel)(struct hark_loop *loop, struct hark_op *op); /* true: it waited and never runs */
    void (*cancel_all)(struct hark_loop *loop);
    void (*each)(const struct hark_loop *loop, void (*fn)(struct hark_op *, void *), void *arg);
    void (*close)(struct hark_loop *loop);
};
extern const struct offload_ops offload_seam;

static inline struct hark_op *op_of_timer(struct wheel_timer *timer)
{
    return (struct hark_op *)(void *)((char *)timer - offsetof(struct hark_op, os_error));
}

static inline struct wheel_timer *timer_of_op(struct hark_op *op)
{
    return (struct wheel_timer *)(void *)&op->os_error;
}

/* The wheel's order is kept in os_error, which means nothing before there is a result. */
_Static_assert(offsetof(struct hark_op, timer) - offsetof(struct hark_op, os_error) ==
                   offsetof(struct wheel_timer, link) &&
               offsetof(struct hark_op, more) - offsetof(struct hark_op, os_error) ==
                   offsetof(struct wheel_timer, owner) &&
               sizeof(((struct hark_op *)0)->timer) + 8 == sizeof(struct wheel_timer),
               "os_error, more to flags, and timer are a wheel_timer");

static inline bool op_has_io(const struct hark_op *op) { return op->kind >= OP_RECV; }

/* Begins the life of an op that works on no io. False: the loop is being closed, and the op has
 * been finished with HARK_ECANCELED. */
static inline bool op_begin(struct hark_op *op, struct hark_loop *loop, enum op_kind kind,
                            hark_done_fn *done)
{
    REQUIRE(op->state == STATE_IDLE, "promise 2: an op was submitted before its last callback");
    op->done = done;
    op->on.loop = loop;
    op->os_error = 0;
    op->more = false;
    op->kind = (uint8_t)kind;
    op->state = STATE_RUNNING;
    op->flags = op->deadline_ns != 0 ? FLAG_STEP : 0;
    op->started = loop->age_now;
    loop->alive++;
    if (HARK_LIKELY(!loop->is_closing)) return true;
    op_end(loop, op, HARK_ECANCELED, 0);
    return false;
}

static inline void op_begin_on_io(struct hark_op *op, struct hark_io *io, enum op_kind kind,
                                  hark_done_fn *done)
{
    REQUIRE(op->state == STATE_IDLE, "promise 2: an op was submitted before its last callback");
    op->done = done;
    op->on.io = io;
    op->os_error = 0;
    op->more = false;
    op->kind = (uint8_t)kind;
    op->state = STATE_RUNNING;
    op->flags = kind == OP_RECV_POOL || kind == OP_CLOSE ? FLAG_STEP : 0;
}

/* Submits an op on one side of an io: starts it, or queues it behind the one that is there. The
 * arguments are in op->u already. */
static inline void io_submit(struct hark_op *op, struct hark_io *io, enum op_kind kind,
                             hark_done_fn *done)
{
    int side = kind >= OP_SEND;
    op_begin_on_io(op, io, kind, done);
    if (HARK_UNLIKELY(io->state != IO_OPEN || io->active[side] != NULL || op->deadline_ns != 0)) {
        io_submit_slowly(op, io);
        return;
    }
    struct hark_loop *loop = io->loop;
    op->started = loop->age_now;
    loop->alive++;
    io->active[side] = op;
    if (op_parks_itself(op, io, side)) return;
    loop->backend.ops->start(&loop->backend, op);
}

/* The same for a read-side op that parks itself. */
static inline void io_submit_parked(struct hark_op *op, struct hark_io *io, enum op_kind kind,
                                    hark_done_fn *done)
{
    op_begin_on_io(op, io, kind, done);
    if (HARK_UNLIKELY(io->active[SIDE_READ] != NULL || op->deadline_ns != 0)) {
        io_submit_slowly(op, io);
        return;
    }
    struct hark_loop *loop = io->loop;
    op->started = loop->age_now;
    loop->alive++;
    io->active[SIDE_READ] = op;
}

/* Makes the callback of an op that has its result. A plain one has had no deadline. */
static inline void op_run(struct hark_loop *loop, struct hark_op *op)
{
    if (HARK_UNLIKELY(op->more || op->flags != 0)) {
        op_run_slowly(loop, op);
        return;
    }
    loop->alive--;
    op->state = STATE_IDLE;
    op->label = NULL;
    op->done(op);
}

#endif
