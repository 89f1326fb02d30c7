/* The write side of streams. A borrowed write is a plain op on the io, whose own queue keeps the
 * order. What is put is copied into one half of the queue while the other is being sent; a borrowed
 * write hands the filling half over first. With both handed over, a put is refused until one is
 * through. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "stream/stream.h"

/* By the call that suits the descriptor. */
static void submit_write(struct hark_op *op, struct hark_stream *stream, const void *data,
                         size_t len, hark_done_fn *done)
{
    if (stream->is_socket && len != 0) (hark_send)(op, stream->io, data, len, done);
    else (hark_write)(op, stream->io, data, len, done);
}

void stream_submit_write(struct hark_op *op, struct hark_stream *stream, const void *data,
                         size_t len, hark_done_fn *done)
{
    if (op->deadline_ns == 0 && stream->write_timeout_ns != 0)
        op->deadline_ns = hark_after(stream->io->loop, stream->write_timeout_ns);
    submit_write(op, stream, data, len, done);
}

/* Tells the op of hark_stream_water() what it has not been told. */
static void tell_water(struct hark_stream *stream)
{
    struct hark_op *op = stream->water.op;
    if (op == NULL || op->state != STATE_RUNNING) return; /* resume_water() looks again */
    if (stream->write_error != 0) {
        layer_fail(op, stream->write_error);
    } else if (stream->is_high != stream->told_high) {
        stream->told_high = stream->is_high;
        layer_report(op, (int64_t)stream->queued_bytes);
    }
}

/* What comes behind lost bytes must not go out. */
static void fail_writes(struct hark_stream *stream, int error)
{
    struct hark_io *io = stream->io;
    if (stream->write_error != 0) return;
    stream->write_error = error;
    while (io->waiting[SIDE_WRITE] != NULL && io->waiting[SIDE_WRITE]->next->kind != OP_CLOSE)
        hark_cancel(io->waiting[SIDE_WRITE]->next);
}

static bool is_taken(const struct hark_stream_half *half)
{
    return half->is_submitted && half->own.state == STATE_DONE && half->own.result >= 0;
}

/* The write time-out of the queue. It is no deadline of the half, since its end would start what
 * waits behind it before anybody hears of it. A half that was taken in the same look, as after a
 * callback that held the loop, puts it off. */
static void on_late(struct hark_op *late)
{
    struct hark_stream *stream = late->user;
    if (is_taken(&stream->halves[0]) || is_taken(&stream->halves[1])) return;
    fail_writes(stream, HARK_ETIMEDOUT);
    hark_cancel(&stream->halves[0].own);
    hark_cancel(&stream->halves[1].own);
}

static void put_late_off(struct hark_stream *stream)
{
    struct hark_loop *loop = stream->io->loop;
    if (stream->write_timeout_ns == 0) return;
    moment_drop(&stream->late);
    if (stream->halves[0].is_submitted || stream->halves[1].is_submitted)
        moment_set(&stream->late, loop, hark_after(loop, stream->write_timeout_ns), on_late);
}

static void on_sent(struct hark_op *own);

static void submit_half(struct hark_stream *stream, int which)
{
    struct hark_stream_half *half = &stream->halves[which];
    bool is_first = !stream->halves[!which].is_submitted;
    half->is_submitted = true;
    stream->filling = (uint8_t)!which;
    half->own.place = stream->io->place;
    submit_write(&half->own, stream, half->base, half->filled, on_sent);
    half->own.label = "stream queue";
    if (is_first) put_late_off(stream);
}

void stream_flush(struct hark_stream *stream)
{
    struct hark_stream_half *half = &stream->halves[stream->filling];
    if (stream->write_error != 0) return;
    if (half->filled != 0 && !half->is_submitted) submit_half(stream, stream->filling);
}

static void on_sent(struct hark_op *own)
{
    struct hark_stream *stream = own->user;
    struct hark_stream_half *half = &stream->halves[own == &stream->halves[1].own];
    stream->queued_bytes -= half->filled;
    half->filled = 0;
    half->is_submitted = false;
    if (own->result < 0) fail_writes(stream, (int)own->result);
    else stream_flush(stream);
    put_late_off(stream);
    if (stream->queued_bytes <= stream->low) stream->is_high = false;
    tell_water(stream);
}

int hark_stream_put(struct hark_stream *stream, const void *data, size_t len)
{
    struct hark_stream_half *half = &stream->halves[stream->filling];
    if (stream->write_error != 0) return stream->write_error;
    if (!hark_io_is_open(stream->io)) return HARK_EBADF;
    if (len > stream->half_room) return HARK_EMSGSIZE;
    bool is_refused = half->is_submitted || len > stream->half_room - half->filled;
    if (!is_refused && len != 0) {
        memcpy(half->base + half->filled, data, len);
        half->filled += len;
        stream->queued_bytes += len;
        if (!stream->halves[!stream->filling].is_submitted) stream_flush(stream);
    }
    if (is_refused || (len != 0 && stream->queued_bytes >= stream->high)) stream->is_high = true;
    tell_water(stream);
    return is_refused ? HARK_EAGAIN : 0;
}

/* False: the write side has failed, and op ends with that. */
static bool begin_write(struct hark_op *op, struct hark_stream *stream, hark_done_fn *done)
{
    struct hark_loop *loop = stream->io->loop;
    stream_flush(stream);
    if (stream->write_error == 0) return true;
    op->deadline_ns = 0; /* it does not wait */
    if (op_begin(op, loop, OP_NOP, done)) op_end(loop, op, stream->write_error, 0);
    return false;
}

void (hark_stream_write)(struct hark_op *op, struct hark_stream *stream, const void *data,
                         size_t len, hark_done_fn *done)
{
    if (begin_write(op, stream, done)) stream_submit_write(op, stream, data, len, done);
}

void (hark_stream_end)(struct hark_op *op, struct hark_stream *stream, hark_done_fn *done)
{
    if (!begin_write(op, stream, done)) return;
    if (stream->is_socket) (hark_shutdown)(op, stream->io, SHUT_WR, done);
    else stream_submit_write(op, stream, NULL, 0, done);
}

static void cancel_water(struct hark_op *op) { layer_end(op, -ECANCELED); }
static void resume_water(struct hark_op *op) { tell_water(stream_part(op)->stream); }

static const struct layer water_layer = {
    .name = "stream water", .is_repeating = true, .cancel = cancel_water, .resume = resume_water,
};

void (hark_stream_water)(struct hark_op *op, struct hark_stream *stream, hark_done_fn *done)
{
    if (!stream_begin(op, &stream->water, &water_layer, done)) return;
    stream->told_high = false;
    tell_water(stream);
}
