/* Files that are sent without a thread of the pool: the ring reads a part of the file into a buffer
 * of the loop's, and sends it. Cached, that is done within the system call that hands it over.
 *
 *   start ---> reads ---> writes --- all of it ---> reads ... until the range or the file ends
 *     |          |          +-- the socket is full ---> waits for room ---> reads the rest again
 *     |          +-- an error ---> a thread of the pool does it after all, or tells the true one
 *     +-- no buffer is free ---> starves until one is given back
 *
 *  1. A buffer is held by a read or a write that runs, never by a socket that is full: so a few
 *     serve any number of slow peers, and what a cancel finds unsent was never counted.
 *  2. A part is as long as the last one that the socket took, or twice that, so that little is
 *     read in vain.
 *  3. After each part the buffer goes to who waits longest. */
#include <errno.h>
#include <unistd.h>

#include "backend/sys.h"
#include "backend/uring.h"
#include "base/limits.h"

_Static_assert(LIMIT_SEND_BUFFERS < 32, "a bit for each in uring->buffers_out");

static bool take_buffer(struct backend *backend, struct hark_op *op)
{
    struct uring *uring = backend->state;
    for (unsigned i = 0; i < LIMIT_SEND_BUFFERS; i++) {
        if (uring->buffers_out >> i & 1) continue;
        if (uring->buffers[i] == NULL)
            uring->buffers[i] = backend_resize(backend, NULL, 0, LIMIT_SEND_BYTES);
        if (uring->buffers[i] == NULL) return false;
        uring->buffers_out |= 1u << i;
        op->u.sending.buffer = (uint8_t)i;
        return true;
    }
    return false;
}

/* By sendfile(2), on a thread: from now on and for this op. */
static void leave_to_pool(struct backend *backend, struct hark_op *op)
{
    op->u.sending.is_for_pool = true;
    op->call = SEND_WAITS;
    backend_finish(backend, op, 0); /* as if there were room */
}

static void read_part(struct backend *backend, struct hark_op *op)
{
    struct uring *uring = backend->state;
    if (op_is_asked_to_end(op)) {
        backend_finish(backend, op, -ECANCELED);
    } else if (take_buffer(backend, op)) {
        op->call = SEND_READS;
        uring_request(uring, op, false);
    } else if (uring->buffers_out != 0) {
        op->call = SEND_STARVES;
        queue_push(&uring->starved, op);
    } else {
        leave_to_pool(backend, op);
    }
}

static void give_buffer(struct backend *backend, struct hark_op *op)
{
    struct uring *uring = backend->state;
    uring->buffers_out &= ~(1u << op->u.sending.buffer);
    struct hark_op *next = queue_pop(&uring->starved);
    if (next != NULL) read_part(backend, next);
}

/* What cannot seek is not sendable, but a read would take bytes from it. */
void uring_start_sending(struct backend *backend, struct hark_op *op)
{
    const struct hark_range *range = op->u.sending.range;
    if (op->u.sending.is_for_pool) {
        uring_request(backend->state, op, true);
    } else if (lseek(range->file->fd, 0, SEEK_CUR) < 0) {
        leave_to_pool(backend, op);
    } else {
        op->u.sending.part = LIMIT_SEND_BYTES;
        read_part(backend, op);
    }
}

void uring_fill_sending(struct uring *uring, struct hark_op *op, struct io_uring_sqe *sqe)
{
    const struct hark_range *range = op->u.sending.range;
    char *buffer = uring->buffers[op->u.sending.buffer];
    uint64_t left = range->len - op->u.sending.sent;
    unsigned part = op->u.sending.part;
    if (op->call == SEND_READS) {
        uint64_t offset = (uint64_t)range->offset + op->u.sending.sent;
        if (left < part) part = (unsigned)left;
        io_uring_prep_read(sqe, range->file->fd, buffer, part, offset);
    } else {
        io_uring_prep_send(sqe, op->on.io->fd, buffer, part, SYS_SEND_FLAGS);
    }
}

/* The part is as long as it was read. */
static void complete_read(struct backend *backend, struct hark_op *op, int result)
{
    bool is_ending = result <= 0 || op_is_asked_to_end(op);
    if (!is_ending) {
        op->call = SEND_WRITES;
        op->u.sending.part = (uint32_t)result;
        uring_request(backend->state, op, false);
        return;
    }
    give_buffer(backend, op);
    if (op_is_asked_to_end(op)) backend_finish(backend, op, -ECANCELED);
    else if (result == 0) backend_finish(backend, op, (int64_t)op->u.sending.sent);
    else leave_to_pool(backend, op);
}

static uint32_t part_after(uint32_t part, uint32_t sent)
{
    uint32_t next = sent == part ? 2 * part : sent;
    if (next > LIMIT_SEND_BYTES) return LIMIT_SEND_BYTES;
    return next < LIMIT_SEND_BYTES_MIN ? LIMIT_SEND_BYTES_MIN : next;
}

static void complete_write(struct backend *backend, struct hark_op *op, int result)
{
    bool is_full = result == -EAGAIN || result == -EINTR;
    uint32_t sent = result > 0 ? (uint32_t)result : 0;
    give_buffer(backend, op);
    op->u.sending.sent += sent;
    is_full |= result >= 0 && sent < op->u.sending.part;
    op->u.sending.part = part_after(op->u.sending.part, sent);
    if (op->u.sending.sent == op->u.sending.range->len) {
        backend_finish(backend, op, (int64_t)op->u.sending.sent);
    } else if (op_is_asked_to_end(op)) {
        backend_finish(backend, op, -ECANCELED);
    } else if (is_full) {
        op->call = SEND_WAITS;
        uring_request(backend->state, op, true);
    } else if (result == -ENOTSOCK) {
        leave_to_pool(backend, op); /* sendfile(2) knows pipes */
    } else if (result < 0) {
        backend_finish(backend, op, result);
    } else {
        read_part(backend, op);
    }
}

void uring_complete_sending(struct backend *backend, struct hark_op *op, int result)
{
    if (op->call == SEND_READS) complete_read(backend, op, result);
    else if (op->call == SEND_WRITES) complete_write(backend, op, result);
    else if (result < 0 || op->u.sending.is_for_pool) backend_finish(backend, op, result);
    else read_part(backend, op);
}

/* The op ends, and the kernel does not have it. */
void uring_drop_sending(struct backend *backend, struct hark_op *op)
{
    struct uring *uring = backend->state;
    if (op->call == SEND_STARVES) queue_remove(&uring->starved, op);
    else if (op->call != SEND_WAITS) give_buffer(backend, op);
    op->call = SEND_WAITS;
}

void uring_free_buffers(struct backend *backend)
{
    struct uring *uring = backend->state;
    for (unsigned i = 0; i < LIMIT_SEND_BUFFERS; i++)
        if (uring->buffers[i] != NULL)
            backend_resize(backend, uring->buffers[i], LIMIT_SEND_BYTES, 0);
}
