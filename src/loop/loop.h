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
#include "loop/beat.h"
#include <hark/hark.h>

enum { AGE_SHIFT = 20 }; /* hark_op.started counts 2^20 ns, about a millisecond */

struct offload;
struct fibers;
struct names;

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
    bool is_calling;                /* and in the part of it that makes callbacks */
    bool is_closing;
    bool has_waited;                /* the kernel was visited in this turn or the one before */
    pthread_t owner;
    bool has_owner;
    pid_t pid;                      /* of the process that opened it; see close_inherited() */
    struct { bool is_open; struct ready_set set; int64_t armed; } lent; /* lend.c */
    void *clocks[2];                /* clock/: wall clock and boot clock; NULL: no timer is set */
    struct hark_op *repeating;      /* the op whose callback runs, when it is a repeating one */
    struct hark_io *ios;            /* all that are open, newest first */
    struct hark_file *files;        /* the same */
    struct hark_op *layered;        /* ops that layers drive, newest first */
    struct op_queue paused;         /* wait for the retry timer */
    struct hark_op retry;           /* that timer */
    uint64_t *descriptors;          /* a bit for each descriptor that an io of this loop has */
    size_t descriptors_room;        /* in words */
    struct hark_allocator allocator;
    struct offload *offload;
    struct names *names;            /* NULL before the first look-up */
    struct fibers *fibers;          /* NULL before the first */
    size_t fiber_count;
    size_t fiber_stack_bytes;       /* as the options say */
    bool reports_overflow, reports_deadlock;
    bool has_ready;                 /* a fiber can run: no sleep */
    struct heartbeat *beat;         /* in the page, or own_beat */
    struct heartbeat own_beat;      /* before the first run, and while the page is full */
    const char *calling;            /* while it is watched: the kind of op whose callback runs */
    struct wheel wheel;
    _Alignas(64) struct inbox inbox; /* what other threads write, on a cache line of its own */
    atomic_bool stop_asked;
};

/* op.c: the life of an op. */
void op_finish(struct hark_loop *loop, struct hark_op *op, int64_t error_or_result);
void op_end(struct hark_loop *loop, struct hark_op *op, int64_t result, int32_t os_error);
unsigned op_run_slowly(struct hark_loop *loop, struct hark_op *op, unsigned most);
void op_expired(struct hark_loop *loop, struct hark_op *op);
void op_arm(struct hark_loop *loop, struct hark_op *op, int64_t when);
void op_resume_paused(struct hark_loop *loop);
void op_resume_starved(struct hark_loop *loop, struct hark_pool *pool);

void op_report(struct hark_loop *loop, struct hark_op *op, int64_t result, int32_t os_error);

/* layer.c: what op.c and its like need of it; layer.h is for the layers. */
void layer_cancel(struct hark_op *op);
void layer_resume(struct hark_op *op);
const char *layer_name(const struct hark_op *op);
void layer_each(const struct hark_loop *loop, void (*fn)(struct hark_op *, void *), void *arg);

/* io.c: the sides of an io. */
void io_submit_slowly(struct hark_op *op, struct hark_io *io);
void io_pump(struct hark_io *io, int side);
bool io_unqueue(struct hark_io *io, struct hark_op *op);
void io_end_close(struct hark_op *op);
void io_end_rights(struct hark_op *op);
int io_open(struct hark_io *io, struct hark_loop *loop, int fd, unsigned flags);
void io_cancel_all(struct hark_io *io);
void io_shut(struct hark_io *io);

/* timer.c */
void timer_expire_due(struct hark_loop *loop);
void timer_repeat(struct hark_loop *loop, struct hark_op *op);
void timer_repeated(struct hark_op *op);

/* A moment for the layers above: fn is called by the expiry of timers, before the callbacks of the
 * turn. It may submit, cancel and wake, and runs no code of the program. Dropping one that is not
 * set does nothing. */
void moment_set(struct hark_op *op, struct hark_loop *loop, int64_t when, hark_done_fn *fn);
void moment_drop_set(struct hark_op *op);
static inline void moment_drop(struct hark_op *op)
{
    if (op->state != STATE_IDLE) moment_drop_set(op);
}

/* post.c */
void post_drain(struct hark_loop *loop);
void post_send(struct hark_loop *loop, struct hark_op *op);
/* Calls fn for what other threads have sent and this one has not taken. */
void post_each(const struct hark_loop *loop, void (*fn)(struct hark_op *, void *), void *arg);

/* lend.c: before and after the turns of a loop that is lent, and its end. */
void lend_begin(struct hark_loop *loop);
void lend_settle(struct hark_loop *loop);
void lend_close(struct hark_loop *loop);

/* inspect.c */
const char *op_kind_name(const struct hark_op *op); /* "recv", "file read", "stream read", ... */

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
    bool (*start)(struct hark_loop *loop, struct hark_op *op); /* false: no thread can be had */
    bool (*cancel)(struct hark_loop *loop, struct hark_op *op); /* true: it waited and never runs */
    void (*cancel_all)(struct hark_loop *loop);
    void (*each)(const struct hark_loop *loop, void (*fn)(struct hark_op *, void *), void *arg);
    void (*close)(struct hark_loop *loop);
    void (*forget)(struct hark_loop *loop);     /* in a forked child, which has no such threads */
};
extern const struct offload_ops offload_seam;

/* file/, in the same way. */
struct file_ops {
    void (*step)(struct hark_op *op);           /* before the callback of one that has a file */
    void (*close_all)(struct hark_loop *loop);  /* no op is left */
    void (*shut)(struct hark_file *file);       /* one without ops; its loop is being closed */
};
extern const struct file_ops file_seam;

/* dns/, in the same way. */
struct names_ops {
    void (*close)(struct hark_loop *loop);      /* no op and no io is left */
};
extern const struct names_ops names_seam;

/* fiber/, in the same way. */
struct fiber_ops {
    int64_t (*run)(struct hark_loop *loop); /* runs fibers that can run; how many times one did */
    void (*cancel_all)(struct hark_loop *loop, bool also_shielded);
    void (*each)(const struct hark_loop *loop, hark_inspect_fn *fn, void *arg);
    void (*close)(struct hark_loop *loop);  /* none is left */
};
extern const struct fiber_ops fiber_seam;

/* stall/, in the same way. */
struct stall_ops {
    void (*opened)(void);   /* a loop was opened: the environment may ask for the watch */
    void (*wake)(void);     /* the sampler sleeps, and a turn of a watched loop begins */
};
extern const struct stall_ops stall_seam;

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

/* Starts an op on a file or a path: the kernel does it by itself, or a thread of the pool does. */
void op_start_file(struct hark_loop *loop, struct hark_op *op);
/* A thread of the pool has sent a part of a file, or an error. */
void op_sent_file(struct hark_loop *loop, struct hark_op *op, int64_t result);

static inline bool op_has_io(const struct hark_op *op) { return op->kind >= OP_RECV; }

/* Begins the life of an op that works on no io, and that is welcome while the loop is being
 * closed, too. */
static inline void op_begin_always(struct hark_op *op, struct hark_loop *loop, enum op_kind kind,
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
}

/* The same for others. False: the loop is being closed, and the op has been finished with
 * HARK_ECANCELED. */
static inline bool op_begin(struct hark_op *op, struct hark_loop *loop, enum op_kind kind,
                            hark_done_fn *done)
{
    op_begin_always(op, loop, kind, done);
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
    bool has_step = kind == OP_RECV_POOL || kind == OP_CLOSE || kind == OP_SEND_FILE ||
                    kind == OP_RECV_RIGHTS;
    op->flags = has_step ? FLAG_STEP : 0;
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

/* Makes the callback of an op that has its result, of an accept also those that follow at once; the
 * number of callbacks, `most` at most. A plain op has had no deadline. */
static inline unsigned op_run(struct hark_loop *loop, struct hark_op *op, unsigned most)
{
    if (HARK_UNLIKELY(op->more || op->flags != 0)) return op_run_slowly(loop, op, most);
    loop->alive--;
    op->state = STATE_IDLE;
    op->label = NULL;
    op->done(op);
    return 1;
}

#endif
