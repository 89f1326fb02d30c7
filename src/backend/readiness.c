/* A completion backend made out of any poller: try the call, park on EAGAIN, try again when the
 * kernel says that the descriptor is ready.
 *
 * Which first, the try or the wait? Rules:
 *  1. The write side is tried first: a socket is mostly writable.
 *  2. The read side is tried first only when something is known to be there: the last read was
 *     full, or readiness was reported while nobody waited. Otherwise the op parks, so a ping-pong
 *     costs one recv a message and no EAGAIN. io->parks is this knowledge: the kernel watches, and
 *     nothing is known to be there.
 *  3. Interest is dropped lazily. A reader that comes back finds it still set: no system call. Only
 *     when readiness is reported with nobody waiting it is dropped, at once on the write side, the
 *     second time on the read side, since level-triggered reports would come for ever.
 *  4. With no side wanted the kernel forgets the io: hang-ups are reported even when unasked. */
#include "backend/poller.h"

#include <errno.h>

#include "backend/sys.h"
#include "base/check.h"

struct readiness {
    struct poller poller;
    int reserve; /* a descriptor kept for the day when the table is full */
};

static struct readiness *self(struct backend *backend) { return backend->state; }

/* What poll and select watch is in a set too once the loop is lent: they have no descriptor of
 * their own. What the set refuses is ready at once. */
static void mirror(struct poller *poller, struct hark_io *io, unsigned want)
{
    if (io->flags & IO_UNMIRRORED) poller->backend->always_ready--;
    io->flags &= (uint8_t)~IO_UNMIRRORED;
    if (ready_set_watch(poller->mirror, io->fd, want) == 0) return;
    io->flags |= IO_UNMIRRORED;
    poller->backend->always_ready++;
}

static int watch(struct poller *poller, struct hark_io *io, unsigned want)
{
    if (io->watched == want) return 0;
    int error = poller->ops->set(poller, io, want);
    if (error != 0) return error;
    if (HARK_UNLIKELY(poller->mirror != NULL)) mirror(poller, io, want);
    io->watched = (uint8_t)want;
    io->parks &= (uint8_t)want;
    return 0;
}

static void starve(struct backend *backend, struct hark_op *op)
{
    op->on.io->flags |= IO_STARVED;
    backend_starve(backend, op);
}

/* The kernel has to be told to watch. */
static __attribute__((noinline)) void park_newly(struct backend *backend, struct hark_op *op)
{
    struct hark_io *io = op->on.io;
    int64_t result = watch(&self(backend)->poller, io, io->watched | 1u << op_side(op));
    if (result == 0) {
        io->parks = io->watched & WATCH_READ;
        return;
    }
    if (result == -EPERM) result = sys_try(op); /* never blocks, so epoll refuses it: trap 1 */
    if (result == SYS_NO_BUFFER) starve(backend, op);
    else backend_finish(backend, op, result);
}

/* Leaves op to the kernel: poller_ready() finds it in io->active. */
static inline void park(struct backend *backend, struct hark_op *op)
{
    struct hark_io *io = op->on.io;
    if (!(io->watched & 1u << op_side(op))) park_newly(backend, op);
    else if (op_side(op) == SIDE_READ) io->parks = WATCH_READ;
}

/* What a read has told: is there more? */
static inline void note_rest(struct hark_io *io, bool may_be_more)
{
    io->parks = may_be_more ? 0 : io->watched & WATCH_READ;
}

/* The ends of an attempt that are not everyday ones; result is an errno or SYS_NO_BUFFER. */
static void attempt_failed(struct backend *backend, struct hark_op *op, int64_t result)
{
    if (result == SYS_NO_BUFFER) {
        starve(backend, op);
    } else if (op_accepts(op) && sys_is_table_full((int)-result)) {
        bool was_waiting = sys_refuse_waiting(op->on.io->fd, &self(backend)->reserve);
        if (was_waiting) backend_pause(backend, op, (int)-result);
        else park(backend, op);
    } else {
        backend_finish(backend, op, result);
    }
}

/* Readiness of this socket cannot tell when the other end has room: a Unix socket's connect, or a
 * datagram to a Unix socket, once this end was said to be writable. */
static bool waits_for_the_other_end(const struct hark_op *op, bool is_reported)
{
    if (op->kind == OP_CONNECT) return !op->u.peer.has_begun;
    return is_reported && op_is_stuck(op);
}

/* is_reported: the kernel has just said that op's side is ready. */
static void attempt(struct backend *backend, struct hark_op *op, bool is_reported)
{
    struct hark_io *io = op->on.io;
    int64_t result = sys_try(op);
    if (result == -EAGAIN) {
        if (waits_for_the_other_end(op, is_reported)) backend_pause(backend, op, EAGAIN);
        else park(backend, op);
    } else if (result < 0) {
        attempt_failed(backend, op, result);
    } else if (op->kind == OP_ACCEPT) {
        note_rest(io, true); /* the next try tells */
        backend_report(backend, op, result, true);
    } else if (op->kind == OP_RECV_POOL && result > 0) {
        note_rest(io, (size_t)result == op->u.pool.pool->bytes);
        backend_report(backend, op, result, !io->parks); /* parked again, or to be tried again */
    } else {
        if (op->kind == OP_ACCEPT_ONE) note_rest(io, true);
        bool has_read = op->kind == OP_RECV || op->kind == OP_READ;
        if (has_read) note_rest(io, (uint64_t)result == op->u.buf.len);
        if (op->kind == OP_RECV_BATCH) note_rest(io, result == sys_batch_room(op));
        backend_finish(backend, op, result);
    }
}

/* recv(2) has said n, and that is not the everyday answer. A full buffer says that there may be
 * more. */
void poller_received(struct poller *poller, struct hark_op *op, ssize_t n)
{
    int64_t result = n >= 0 ? n : -errno;
    if (result == -EINTR) result = sys_try(op);
    note_rest(op->on.io, (uint64_t)result == op->u.buf.len);
    if (result == -EAGAIN) park(poller->backend, op);
    else backend_finish(poller->backend, op, result);
}

static __attribute__((noinline)) void start_slowly(struct backend *backend, struct hark_op *op)
{
    struct hark_io *io = op->on.io;
    bool waits_only = op->kind == OP_READ_READY || op->kind == OP_WRITE_READY ||
                      op->kind == OP_SEND_FILE;
    bool has_more = (io->watched & WATCH_READ && !io->parks) || io->flags & IO_STARVED;
    io->flags &= (uint8_t)~IO_STARVED;
    if (op->kind == OP_RECV_NOTHING) backend_finish(backend, op, 0);
    else if (!waits_only && (op_side(op) == SIDE_WRITE || has_more)) attempt(backend, op, false);
    else park(backend, op);
}

/* send(2) has not sent all at once. */
static __attribute__((noinline)) void sent_some(struct backend *backend, struct hark_op *op,
                                                ssize_t n)
{
    if (n > 0) op->u.buf.moved = (size_t)n;
    if (n >= 0 || errno == EINTR) attempt(backend, op, false);
    else if (errno == EAGAIN) park(backend, op);
    else backend_finish(backend, op, -errno);
}

static void readiness_start(struct backend *backend, struct hark_op *op)
{
    if (!op_is_plain(op, OP_SEND)) {
        start_slowly(backend, op);
        return;
    }
    ssize_t n = send(op->on.io->fd, op->u.buf.base, op->u.buf.len, SYS_SEND_FLAGS);
    if (HARK_LIKELY((size_t)n == op->u.buf.len)) backend_finish_plain(backend, op, SIDE_WRITE, n);
    else sent_some(backend, op, n);
}

static void readiness_cancel(struct backend *backend, struct hark_op *op)
{
    backend_finish(backend, op, -ECANCELED);
}

/* The kernel stops watching for an op whose callback is still to come: it is started again then. */
static void restart_later(struct hark_op *op)
{
    if (op != NULL && op->state == STATE_DONE) op->flags |= FLAG_ENDED;
}

/* Readiness with nobody waiting. Rule 3. */
static void unwanted(struct poller *poller, struct hark_io *io, unsigned bit)
{
    restart_later(io->active[bit == WATCH_WRITE]);
    if (bit == WATCH_READ && io->parks) note_rest(io, true);
    else (void)watch(poller, io, io->watched & ~bit); /* fails: it is gone, and reports no more */
}

/* The op that waits for the kernel to report this side, or NULL. */
static struct hark_op *parked_op(const struct hark_io *io, int side)
{
    struct hark_op *op = io->active[side];
    if (op == NULL || op->state != STATE_RUNNING || op_is_offloaded_send(op)) return NULL;
    return op->flags & (FLAG_PAUSED | FLAG_STARVED | FLAG_ENDED) ? NULL : op;
}

static void end_broken(struct poller *poller, struct hark_io *io)
{
    for (int side = 0; side < 2; side++) {
        struct hark_op *op = parked_op(io, side);
        if (op != NULL) backend_finish(poller->backend, op, -EBADF);
        else restart_later(io->active[side]);
    }
    (void)watch(poller, io, 0); /* there is nothing left that could refuse */
}

/* EPIPE: macOS has refused to watch a pipe whose other end is gone. That is for the op's own call
 * to say, and it will not have to wait. */
void poller_refused(struct poller *poller, struct hark_io *io, unsigned mask, int error)
{
    io->watched &= (uint8_t)~mask;
    io->parks &= io->watched;
    for (int side = 0; side < 2; side++) {
        struct hark_op *op = parked_op(io, side);
        if (!(mask & 1u << side)) continue;
        if (op == NULL) restart_later(io->active[side]);
        else if (error == EPIPE) attempt(poller->backend, op, true);
        else backend_finish(poller->backend, op, -error);
    }
}

/* True if a parked op was waiting for this. */
static bool side_ready(struct poller *poller, struct hark_io *io, int side)
{
    struct hark_op *op = parked_op(io, side);
    if (op == NULL) return false;
    attempt(poller->backend, op, true);
    return true;
}

void poller_ready_slowly(struct poller *poller, struct hark_io *io, unsigned mask)
{
    if (HARK_UNLIKELY(io == &poller->wake)) {
        if (!(io->flags & IO_EDGE)) call_wake_drain(io->fd);
        return;
    }
    if (mask & WATCH_BROKEN) {
        end_broken(poller, io);
        return;
    }
    if (mask & WATCH_READ && !side_ready(poller, io, SIDE_READ) && io->watched & WATCH_READ)
        unwanted(poller, io, WATCH_READ);
    if (mask & WATCH_WRITE && !side_ready(poller, io, SIDE_WRITE) && io->watched & WATCH_WRITE)
        unwanted(poller, io, WATCH_WRITE);
}

static int readiness_wait(struct backend *backend, int64_t timeout_ns, unsigned most)
{
    struct poller *poller = &self(backend)->poller;
    return poller->ops->poll(poller, timeout_ns, most);
}

/* It is there to be written by any thread, also while the loop closes others. */
static void readiness_wake(struct backend *backend)
{
    struct poller *poller = &self(backend)->poller;
    if (poller->wakes_itself) poller->ops->wake(poller);
    else sys_wake_signal(poller->wake_end);
}

static int readiness_lend(struct backend *backend, struct ready_set *set, struct hark_io *ios)
{
    struct poller *poller = &self(backend)->poller;
    if (poller->ops->kernel_fd != NULL)
        return ready_set_watch(set, poller->ops->kernel_fd(poller), READY_READ);
    poller->mirror = set;
    mirror(poller, &poller->wake, WATCH_READ);
    for (struct hark_io *io = ios; io != NULL; io = io->all_next)
        if (io->watched != 0) mirror(poller, io, io->watched);
    return 0;
}

static void readiness_hand_over(struct backend *backend)
{
    struct poller *poller = &self(backend)->poller;
    if (poller->ops->hand_over != NULL) poller->ops->hand_over(poller);
}

static int readiness_adopt(struct backend *backend, struct hark_io *io)
{
    struct poller *poller = &self(backend)->poller;
    (void)io;
    if (poller->ops->reserve != NULL) {
        int error = poller->ops->reserve(poller, poller->io_count + 1);
        if (error != 0) return error;
    }
    poller->io_count++;
    return 0;
}

static void readiness_forget(struct backend *backend, struct hark_io *io)
{
    struct poller *poller = &self(backend)->poller;
    (void)watch(poller, io, 0); /* EBADF, ENOENT: closed behind our back, so forgotten already */
    io->watched = 0;
    poller->io_count--;
}

static void close_wake(struct poller *poller)
{
    if (poller->wake.fd < 0) return;
    if (poller->wake_end != poller->wake.fd) (void)sys_close(poller->wake_end); /* loses nothing */
    (void)sys_close(poller->wake.fd);
}

static int open_wake(struct backend *backend)
{
    struct poller *poller = &self(backend)->poller;
    poller->wake.fd = -1;
    if (poller->wakes_itself) return 0;
    int ends[2];
    if (call_wake_open(ends) != 0) return -errno;
    uint8_t flags = poller->ops->has_edges ? IO_EDGE : 0;
    poller->wake = (struct hark_io){ .fd = ends[0], .index = -1, .flags = flags };
    poller->wake_end = ends[1];
    int error = readiness_adopt(backend, &poller->wake);
    if (error == 0) error = watch(poller, &poller->wake, WATCH_READ);
    if (error != 0) close_wake(poller);
    return error;
}

static int readiness_open(struct backend *backend, const struct poller_ops *ops)
{
    struct readiness *r = backend_resize(backend, NULL, 0, sizeof *r);
    if (r == NULL) return -ENOMEM;
    *r = (struct readiness){ .poller = { .ops = ops, .backend = backend } };
    backend->state = r;
    int error = ops->open(&r->poller);
    if (error == 0) {
        error = open_wake(backend);
        if (error != 0) ops->close(&r->poller);
    }
    if (error != 0) {
        backend_resize(backend, r, sizeof *r, 0);
        return error;
    }
    r->reserve = sys_reserve_open();
    return 0;
}

static void readiness_close(struct backend *backend)
{
    struct readiness *r = self(backend);
    r->poller.ops->close(&r->poller);
    close_wake(&r->poller);
    if (r->reserve >= 0) (void)sys_close(r->reserve);
    backend_resize(backend, r, sizeof *r, 0);
}

/* One backend for each poller. */
#define READINESS_BACKEND(NAME)                                                            \
    static int NAME##_open(struct backend *backend, char *why, size_t room_bytes)          \
    {                                                                                      \
        (void)why, (void)room_bytes; /* there is nothing to tell but the error */          \
        return readiness_open(backend, &NAME##_poller);                                    \
    }                                                                                      \
    const struct backend_ops NAME##_backend = {                                            \
        .name = #NAME, .wants_nonblock = true, .open = NAME##_open,                        \
        .close = readiness_close, .adopt = readiness_adopt, .forget = readiness_forget,    \
        .start = readiness_start, .cancel = readiness_cancel, .wait = readiness_wait,      \
        .wake = readiness_wake, .lend = readiness_lend, .hand_over = readiness_hand_over,  \
    }

READINESS_BACKEND(select);
READINESS_BACKEND(poll);
#ifdef HARK_WITH_EPOLL
READINESS_BACKEND(epoll);
#endif
#ifdef HARK_WITH_KQUEUE
READINESS_BACKEND(kqueue);
#endif
