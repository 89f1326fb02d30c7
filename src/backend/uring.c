/* io_uring: every op is a submission, every result a completion. Rules:
 *
 *  1. An op is the kernel's from its submission to the completion that has no F_MORE (BUSY); only
 *     then it is finished. A cancel is a request of its own, and its own completion says nothing.
 *  2. A completion of an op whose last result still waits for its callback stops the harvest: it
 *     stays in the ring, and needs no system call later. So a repeating op needs no queue.
 *  3. What finds no room in the submission queue waits in the backlog and goes first at the next
 *     wait.
 *  4. -EAGAIN (a descriptor with O_NONBLOCK, a kernel's whim) is answered by a poll request, then
 *     the system call itself is tried.
 *  5. A multishot request that ends without an error is started again after its callback.
 *  6. Sends say -EAGAIN instead of waiting in the ring: a kernel that tries a datagram again sends
 *     it empty, since the first try has used its slices up. */
#include "backend/uring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/sys.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"

/* hark_op.backend */
enum {
    BUSY = 1,        /* rule 1 */
    POLLING = 2,     /* rule 4: the request is a poll */
    ONE_SHOT = 4,    /* the multishot form was refused */
    MULTI = 8,       /* the request is multishot */
    TO_START = 16,   /* in the backlog, to be started */
    TO_CANCEL = 32,  /* in the backlog, to be canceled */
};

/* user_data is the address of an op, or one of these. */
enum { TAG_IGNORE = 0, TAG_WAKE = 1 };

static struct uring *self(struct backend *backend) { return backend->state; }

static struct io_uring_sqe *take_entry(struct uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    if (HARK_LIKELY(sqe != NULL) || !uring->is_enabled) return sqe;
    if (io_uring_submit(&uring->ring) < 0) return NULL; /* EBUSY: harvest first. Rule 3 */
    return io_uring_get_sqe(&uring->ring);
}

static void fill_pool(struct uring *uring, struct hark_op *op, struct io_uring_sqe *sqe)
{
    struct hark_pool *pool = op->u.pool.pool;
    bool is_multi = uring->features & URING_MULTI_RECV && !(op->backend & ONE_SHOT);
    if (is_multi) {
        io_uring_prep_recv_multishot(sqe, op->on.io->fd, NULL, 0, 0);
        op->backend |= MULTI;
    } else {
        io_uring_prep_recv(sqe, op->on.io->fd, NULL, pool->bytes, 0);
    }
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = (uint16_t)pool->group;
}

static void fill_accept(struct uring *uring, struct hark_op *op, struct io_uring_sqe *sqe)
{
    int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    bool is_multi = uring->features & URING_MULTI_ACCEPT && op->kind == OP_ACCEPT;
    if (is_multi && !(op->backend & ONE_SHOT)) {
        io_uring_prep_multishot_accept(sqe, op->on.io->fd, NULL, NULL, flags);
        op->backend |= MULTI;
    } else {
        io_uring_prep_accept(sqe, op->on.io->fd, NULL, NULL, flags);
    }
}

/* The header is needed until the submission only (IORING_FEAT_SUBMIT_STABLE). */
static void fill_sendv(struct uring *uring, struct hark_op *op, struct io_uring_sqe *sqe)
{
    struct msghdr *header = &uring->headers[sqe - uring->ring.sq.sqes];
    size_t count = op->u.iov.count < LIMIT_IOVECS ? op->u.iov.count : LIMIT_IOVECS;
    *header = (struct msghdr){ .msg_iov = op->u.iov.list, .msg_iovlen = count };
    io_uring_prep_sendmsg(sqe, op->on.io->fd, header, SYS_SEND_FLAGS);
}

static void fill_datagram(struct hark_op *op, struct io_uring_sqe *sqe)
{
    struct hark_datagram *datagram = op->u.dgram.datagram;
    bool is_send = op->kind == OP_SENDTO;
    sys_datagram_header(datagram, is_send);
    struct msghdr *header = &datagram->private_header;
    if (is_send) io_uring_prep_sendmsg(sqe, op->on.io->fd, header, SYS_SEND_FLAGS);
    else io_uring_prep_recvmsg(sqe, op->on.io->fd, header, 0);
}

static void fill_poll(struct hark_op *op, struct io_uring_sqe *sqe)
{
    unsigned mask = op_side(op) == SIDE_WRITE ? POLLOUT : POLLIN | POLLRDHUP;
    io_uring_prep_poll_add(sqe, op->on.io->fd, mask);
    op->backend |= POLLING;
}

static void fill(struct uring *uring, struct hark_op *op, struct io_uring_sqe *sqe)
{
    int fd = op_is_of_files(op) ? -1 : op->on.io->fd;
    switch (op->kind) {
    case OP_RECV:
        io_uring_prep_recv(sqe, fd, op->u.buf.base, sys_short_len(op->u.buf.len), 0);
        break;
    case OP_SEND:
        io_uring_prep_send(sqe, fd, op->u.buf.base + op->u.buf.moved,
                           sys_short_len(op->u.buf.len - op->u.buf.moved), SYS_SEND_FLAGS);
        break;
    case OP_RECV_POOL: fill_pool(uring, op, sqe); break;
    case OP_ACCEPT: case OP_ACCEPT_ONE: fill_accept(uring, op, sqe); break;
    case OP_SENDV: fill_sendv(uring, op, sqe); break;
    case OP_CONNECT: io_uring_prep_connect(sqe, fd, op->u.peer.addr, op->u.peer.len); break;
    case OP_RECVFROM: case OP_SENDTO: fill_datagram(op, sqe); break;
    case OP_FILE: case OP_PATH: uring_fill_file(uring, op, sqe); break;
    case OP_SEND_FILE: uring_fill_sending(uring, op, sqe); break;
    default: fill_poll(op, sqe); break;
    }
}

/* wants_poll: rule 4. */
void uring_request(struct uring *uring, struct hark_op *op, bool wants_poll)
{
    struct io_uring_sqe *sqe = take_entry(uring);
    op->backend &= ONE_SHOT;
    if (sqe == NULL) {
        op->backend |= TO_START | (wants_poll ? POLLING : 0);
        queue_push(&uring->backlog, op);
        return;
    }
    op->backend |= BUSY;
    if (wants_poll) fill_poll(op, sqe);
    else fill(uring, op, sqe);
    io_uring_sqe_set_data(sqe, op);
}

/* Hands an op over once more, unless it was asked to end meanwhile: the cancel found no request. */
static void hand_over_again(struct backend *backend, struct hark_op *op, bool wants_poll)
{
    if (op_is_asked_to_end(op)) backend_finish(backend, op, -ECANCELED);
    else uring_request(self(backend), op, wants_poll);
}

/* A connection on this machine succeeds or fails at once, or finds the listener's queue full. For
 * that the ring would let a thread of the kernel sleep, which a cancel does not always wake. */
static void connect_locally(struct backend *backend, struct hark_op *op)
{
    int64_t result = sys_try(op);
    if (result == -EAGAIN) backend_pause(backend, op, EAGAIN);
    else backend_finish(backend, op, result);
}

/* A write to a pipe raises a signal that only the call itself can keep away; batches and
 * descriptors the ring has no request for. */
static void write_now(struct backend *backend, struct hark_op *op)
{
    int64_t result = sys_try(op);
    if (result == -EAGAIN) uring_request(self(backend), op, true);
    else backend_finish(backend, op, result);
}

static void uring_start(struct backend *backend, struct hark_op *op)
{
    struct uring *uring = self(backend);
    switch (op->kind) {
    case OP_SHUTDOWN: case OP_RECV_NOTHING: /* nothing to wait for */
        backend_finish(backend, op, sys_try(op));
        break;
    case OP_RECV_POOL: {
        struct hark_pool *pool = op->u.pool.pool;
        if (pool->out_count == pool->count) backend_starve(backend, op);
        else uring_request(uring, op, pool->ring == NULL);
        break;
    }
    case OP_SEND_FILE: uring_start_sending(backend, op); break;
    case OP_READ: /* no thread of the kernel is to sleep in it */
        uring_request(uring, op, true);
        break;
    case OP_WRITE: case OP_SEND_BATCH: case OP_SEND_RIGHTS: write_now(backend, op); break;
    case OP_CONNECT:
        if (op->u.peer.addr->sa_family == AF_UNIX) connect_locally(backend, op);
        else uring_request(uring, op, false);
        break;
    default: uring_request(uring, op, false);
    }
}

static bool start_file(struct backend *backend, struct hark_op *op)
{
    struct uring *uring = self(backend);
    if (!(uring->file_calls >> op->call & 1)) return false;
    uring_request(uring, op, false);
    return true;
}

static void put_cancel(struct uring *uring, struct hark_op *op)
{
    struct io_uring_sqe *sqe = take_entry(uring);
    if (sqe == NULL) {
        op->backend |= TO_CANCEL;
        if (op_is_of_files(op)) uring->has_files_to_cancel = true;
        else queue_push(&uring->backlog, op);
        return;
    }
    op->backend &= (uint8_t)~TO_CANCEL;
    io_uring_prep_cancel(sqe, op, 0);
    io_uring_sqe_set_data64(sqe, TAG_IGNORE);
}

static void uring_cancel(struct backend *backend, struct hark_op *op)
{
    struct uring *uring = self(backend);
    if (op->backend & BUSY) {
        put_cancel(uring, op);
        return;
    }
    if (op->backend & TO_START) queue_remove(&uring->backlog, op);
    if (op->kind == OP_SEND_FILE) uring_drop_sending(backend, op);
    op->backend = 0;
    if (op_is_of_files(op)) backend_finish_file(backend, op, -ECANCELED);
    else backend_finish(backend, op, -ECANCELED);
}

static void cancel_files(struct uring *uring)
{
    uring->has_files_to_cancel = false;
    for (struct hark_op *op = uring->files; op != NULL; op = op->next)
        if (op->backend & TO_CANCEL) put_cancel(uring, op);
}

static void flush_backlog(struct uring *uring)
{
    struct op_queue all = uring->backlog;
    uring->backlog.head = NULL;
    for (struct hark_op *op; (op = queue_pop(&all)) != NULL;) {
        if (op->backend & TO_CANCEL) put_cancel(uring, op);
        else uring_request(uring, op, op->backend & POLLING);
    }
}

/* The kernel found no buffer. Were all of them out when it looked, or only then? In the second case
 * none will come back to start the op again: it starts at once. */
static void out_of_buffers(struct backend *backend, struct hark_op *op)
{
    struct hark_pool *pool = op->u.pool.pool;
    if (pool->out_count == pool->count) backend_starve(backend, op);
    else hand_over_again(backend, op, pool->ring == NULL);
}

static void complete_pool(struct backend *backend, struct hark_op *op, int result, unsigned flags)
{
    struct hark_pool *pool = op->u.pool.pool;
    uint32_t index = flags >> IORING_CQE_BUFFER_SHIFT;
    bool has_buffer = flags & IORING_CQE_F_BUFFER;
    if (result > 0) {
        pool->out_count++;
        op->u.pool.data = pool_buffer(pool, index);
        backend_report(backend, op, result, !(flags & IORING_CQE_F_MORE));
        return;
    }
    if (has_buffer) uring_give_buffer(backend, pool, index); /* it came with no bytes: trap 27 */
    if (result == -ENOBUFS) out_of_buffers(backend, op);
    else backend_finish(backend, op, result);
}

static void complete_accept(struct backend *backend, struct hark_op *op, int result, unsigned flags)
{
    struct uring *uring = self(backend);
    if (result >= 0 && op->kind == OP_ACCEPT_ONE) {
        backend_finish(backend, op, result);
    } else if (result >= 0) {
        if (op->backend & ONE_SHOT) uring->features &= ~(unsigned)URING_MULTI_ACCEPT;
        backend_report(backend, op, result, !(flags & IORING_CQE_F_MORE));
    } else if (sys_is_table_full(-result)) {
        if (sys_refuse_waiting(op->on.io->fd, &uring->reserve)) backend_pause(backend, op, -result);
        else hand_over_again(backend, op, true);
    } else if (sys_is_connection_gone(-result)) {
        hand_over_again(backend, op, false);
    } else {
        backend_finish(backend, op, result);
    }
}

/* A send that moved some bytes: all of them, or on with the rest. */
static void complete_send(struct backend *backend, struct hark_op *op, int result)
{
    bool is_all;
    size_t moved;
    if (op->kind == OP_SENDV) {
        is_all = sys_advance(op, (size_t)result);
        moved = op->u.iov.moved;
    } else {
        moved = op->u.buf.moved += (size_t)result;
        is_all = moved == op->u.buf.len;
    }
    if (is_all) backend_finish(backend, op, (int64_t)moved);
    else hand_over_again(backend, op, false);
}

/* Rule 4: the poll has answered. */
static void complete_poll(struct backend *backend, struct hark_op *op, int result)
{
    if (result < 0) {
        backend_finish(backend, op, result);
        return;
    }
    int64_t got = sys_try(op);
    if (got == SYS_NO_BUFFER) {
        out_of_buffers(backend, op);
    } else if (got == -EAGAIN && op_is_stuck(op)) {
        backend_pause(backend, op, EAGAIN); /* there is room here, but not where it goes */
    } else if (got == -EAGAIN) {
        hand_over_again(backend, op, true);
    } else if (op_accepts(op)) {
        complete_accept(backend, op, (int)got, 0);
    } else if (op->kind == OP_RECV_POOL && got > 0) {
        backend_report(backend, op, got, true);
    } else {
        backend_finish(backend, op, got);
    }
}

/* The multishot form is refused: the plain one tells whether kernel or caller is to blame. */
static bool is_refused_multishot(struct backend *backend, struct hark_op *op, int result,
                                 uint8_t was)
{
    if (result != -EINVAL || !(was & MULTI)) return false;
    op->backend |= ONE_SHOT;
    hand_over_again(backend, op, false);
    return true;
}

/* The system asks for the op to be tried again. True: that is done. */
static bool is_tried_again(struct backend *backend, struct hark_op *op, int result)
{
    if (result != -EAGAIN && result != -EINTR) return false;
    hand_over_again(backend, op, result == -EAGAIN);
    return true;
}

static void complete(struct backend *backend, struct hark_op *op, int result, unsigned flags)
{
    uint8_t was = op->backend;
    if (op_is_of_files(op)) {
        uring_complete_file(backend, op, result);
        return;
    }
    if (HARK_UNLIKELY(was & TO_CANCEL)) { /* after a result with more, the loop asks again */
        queue_remove(&self(backend)->backlog, op);
        op->backend &= (uint8_t)~TO_CANCEL;
    }
    if (!(flags & IORING_CQE_F_MORE)) op->backend &= ONE_SHOT;
    if (HARK_UNLIKELY(op->kind == OP_SEND_FILE)) {
        uring_complete_sending(backend, op, result);
        return;
    }
    if (HARK_UNLIKELY(was & POLLING)) {
        complete_poll(backend, op, result);
        return;
    }
    if (HARK_UNLIKELY(result < 0) && is_refused_multishot(backend, op, result, was)) return;
    if (HARK_UNLIKELY(result < 0) && is_tried_again(backend, op, result)) return;
    switch (op->kind) {
    case OP_RECV_POOL: complete_pool(backend, op, result, flags); break;
    case OP_ACCEPT: case OP_ACCEPT_ONE: complete_accept(backend, op, result, flags); break;
    case OP_SEND: case OP_SENDV:
        if (HARK_LIKELY(result >= 0)) complete_send(backend, op, result);
        else backend_finish(backend, op, result);
        break;
    case OP_RECVFROM:
        if (result >= 0)
            sys_datagram_received(op->u.dgram.datagram,
                                  op->u.dgram.datagram->private_header.msg_flags);
        backend_finish(backend, op, result);
        break;
    default: backend_finish(backend, op, result);
    }
}

/* Takes completions, most at most. The number of those that mean something. Rule 2. */
static unsigned harvest(struct backend *backend, unsigned most)
{
    struct uring *uring = self(backend);
    struct io_uring_cqe *cqe;
    unsigned head, taken = 0, meant = 0;
    io_uring_for_each_cqe(&uring->ring, head, cqe) {
        uint64_t tag = cqe->user_data;
        if (tag == TAG_WAKE) {
            if (!(cqe->flags & IORING_CQE_F_MORE)) uring->is_wake_armed = false;
            if (cqe->res == -EINVAL) uring->features &= ~(unsigned)URING_MULTI_POLL;
            meant++;
        } else if (tag != TAG_IGNORE) {
            struct hark_op *op = (struct hark_op *)(uintptr_t)tag;
            if (op->state == STATE_DONE || meant >= most) break;
            complete(backend, op, cqe->res, cqe->flags);
            meant++;
        }
        taken++;
    }
    io_uring_cq_advance(&uring->ring, taken);
    return meant;
}

/* An eventfd that is never read reports every write once more to a multishot poll; without that it
 * is read, and each wake-up arms it anew. */
static void arm_wake(struct uring *uring)
{
    struct io_uring_sqe *sqe = take_entry(uring);
    if (sqe == NULL) return; /* then the wait below returns at once, and it is tried again */
    if (uring->features & URING_MULTI_POLL)
        io_uring_prep_poll_multishot(sqe, uring->wake_fd, POLLIN);
    else
        io_uring_prep_read(sqe, uring->wake_fd, &uring->wake_count, sizeof uring->wake_count, 0);
    io_uring_sqe_set_data64(sqe, TAG_WAKE);
    uring->is_wake_armed = true;
}

/* Something waits for the loop to enter the kernel, though nothing is to be submitted. */
bool uring_has_kernel_work(const struct uring *uring)
{
    unsigned flags = __atomic_load_n(uring->ring.sq.kflags, __ATOMIC_RELAXED);
    unsigned wanted = IORING_SQ_CQ_OVERFLOW;
    if (uring->features & (URING_COOP | URING_DEFER)) wanted |= IORING_SQ_TASKRUN;
    return flags & wanted;
}

/* Before Linux 5.11 the kernel takes no time limit here. liburing's way would be a timeout that
 * also ends with the next completion; later kernels may take the end of the one before for that,
 * and the sleep goes on without any. */
static int submit_and_poll(struct uring *uring, int64_t timeout_ns)
{
    struct pollfd ready = { .fd = uring->ring.ring_fd, .events = POLLIN };
    struct timespec timeout = clock_timespec(timeout_ns);
    int got = uring_has_kernel_work(uring) ? io_uring_submit_and_get_events(&uring->ring)
                                           : io_uring_submit(&uring->ring);
    if (got < 0) return got;
    return ppoll(&ready, 1, &timeout, NULL) < 0 ? -errno : 0;
}

/* Hands over what is queued and, with timeout_ns != 0, sleeps for a completion. */
static int enter(struct uring *uring, int64_t timeout_ns)
{
    int got;
    if (timeout_ns == 0) {
        if (io_uring_sq_ready(&uring->ring) == 0 && !uring_has_kernel_work(uring)) return 0;
        got = io_uring_submit_and_get_events(&uring->ring);
    } else if (timeout_ns < 0) {
        got = io_uring_submit_and_wait(&uring->ring, 1);
    } else if (HARK_UNLIKELY(!(uring->features & URING_TIMED_WAIT))) {
        got = submit_and_poll(uring, timeout_ns);
    } else {
        struct io_uring_cqe *cqe;
        struct __kernel_timespec limit = { timeout_ns / 1000000000, timeout_ns % 1000000000 };
        got = io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, &limit, NULL);
    }
    switch (got) { /* all of these: harvest, and the loop comes back */
    case -ETIME: case -EINTR: case -EBUSY: case -EAGAIN: return 0;
    default: return got < 0 ? got : 0;
    }
}

/* liburing 2.3 declares io_uring_enable_rings() but does not export it. */
static int enable(struct uring *uring)
{
    long result = syscall(SYS_io_uring_register, uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
                          NULL, 0);
    return result < 0 ? -errno : 0;
}

/* What has to be in the submission queue before the kernel is entered. */
int uring_prepare(struct uring *uring)
{
    if (HARK_UNLIKELY(!uring->is_enabled)) {
        int error = uring->features & URING_SINGLE ? enable(uring) : 0;
        if (error < 0) return error;
        uring->is_enabled = true;
    }
    if (HARK_UNLIKELY(uring->backlog.head != NULL)) flush_backlog(uring);
    if (HARK_UNLIKELY(uring->has_files_to_cancel)) cancel_files(uring);
    if (HARK_UNLIKELY(!uring->is_wake_armed)) arm_wake(uring);
    return 0;
}

static int uring_wait(struct backend *backend, int64_t timeout_ns, unsigned most)
{
    struct uring *uring = self(backend);
    int error = uring_prepare(uring);
    if (HARK_UNLIKELY(error < 0)) return error;
    if (uring->harvests < LIMIT_HARVESTS && harvest(backend, most) != 0) {
        uring->harvests++;
        return 0;
    }
    uring->harvests = 0;
    bool has_backlog = uring->backlog.head != NULL || uring->has_files_to_cancel ||
                       !uring->is_wake_armed;
    error = enter(uring, has_backlog ? 0 : timeout_ns);
    harvest(backend, most);
    return error;
}

static void uring_wake(struct backend *backend) { sys_wake_signal(self(backend)->wake_fd); }

/* The kernel learns of a descriptor with each request, and has forgotten it with the last one. */
static int uring_adopt(struct backend *backend, struct hark_io *io)
{
    (void)backend, (void)io;
    return 0;
}

static void uring_forget(struct backend *backend, struct hark_io *io) { (void)backend, (void)io; }

static size_t headers_bytes(const struct uring *uring)
{
    return uring->ring.sq.ring_entries * sizeof(struct msghdr);
}

static int uring_open(struct backend *backend, char *why, size_t room_bytes)
{
    struct uring *uring = backend_resize(backend, NULL, 0, sizeof *uring);
    if (uring == NULL) return -ENOMEM;
    *uring = (struct uring){ .reserve = -1, .lent_fd = -1 };
    int error = uring_setup(uring, why, room_bytes);
    if (error != 0) goto no_ring;
    error = -ENOMEM;
    uring->headers = backend_resize(backend, NULL, 0, headers_bytes(uring));
    if (uring->headers == NULL) goto no_headers;
    error = uring->wake_fd = uring_eventfd();
    if (error < 0) goto no_wake;
    uring->reserve = sys_reserve_open();
    backend->state = uring;
    backend->is_dated = !(uring->features & URING_DEFER);
    uring_describe(uring, why, room_bytes);
    return 0;
no_wake:
    backend_resize(backend, uring->headers, headers_bytes(uring), 0);
no_headers:
    io_uring_queue_exit(&uring->ring);
no_ring:
    backend_resize(backend, uring, sizeof *uring, 0);
    return error;
}

static void uring_close(struct backend *backend)
{
    struct uring *uring = self(backend);
    backend_resize(backend, uring->headers, headers_bytes(uring), 0);
    uring_free_buffers(backend);
    /* A child does not have the ring's memory, and may have its own where that was. */
    if (backend->is_inherited) (void)sys_close(uring->ring.ring_fd);
    else io_uring_queue_exit(&uring->ring);
    if (uring->lent_fd >= 0) (void)sys_close(uring->lent_fd);
    (void)sys_close(uring->wake_fd); /* an eventfd of ours: closing it cannot lose anything */
    if (uring->reserve >= 0) (void)sys_close(uring->reserve);
    backend_resize(backend, uring, sizeof *uring, 0);
}

const struct backend_ops uring_backend = {
    .name = "io_uring", .open = uring_open, .close = uring_close, .adopt = uring_adopt,
    .forget = uring_forget, .start = uring_start, .cancel = uring_cancel, .wait = uring_wait,
    .wake = uring_wake, .lend = uring_lend, .hand_over = uring_hand_over,
    .start_file = start_file, .each_file = uring_each_file,
    .attach_pool = uring_attach_pool, .detach_pool = uring_detach_pool,
    .give_buffer = uring_give_buffer,
};
