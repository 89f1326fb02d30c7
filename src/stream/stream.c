/* Opening and closing of streams, and how an op of theirs begins and ends. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "stream/stream.h"

/* The part is busy until the callback begins, since only then what it points to is used up. */
static void on_done(struct hark_op *op)
{
    struct hark_stream_part *part = stream_part(op);
    if (!op->more) part->op = NULL;
    part->done(op);
}

/* An op that has begun becomes that of its part; false: there is one, and this has ended. */
static bool take_part(struct hark_op *op, struct hark_stream_part *part)
{
    if (part->op != NULL) {
        layer_fail(op, HARK_EBUSY);
        return false;
    }
    part->op = op;
    part->done = op->done;
    op->done = on_done;
    return true;
}

bool stream_begin(struct hark_op *op, struct hark_stream_part *part, const struct layer *layer,
                  hark_done_fn *done)
{
    if (part->op == NULL) part->layer = layer;
    struct hark_io *io = part->stream->io;
    if (!layer_begin(op, io->loop, part, done)) return false;
    if (hark_io_is_open(io)) return take_part(op, part);
    layer_fail(op, HARK_EBADF); /* a close under way waits for nobody that comes after it */
    return false;
}

void stream_fail(struct hark_stream_part *part, const struct hark_op *by)
{
    struct hark_op *op = part->op;
    if (by->result == HARK_ECANCELED) {
        layer_end(op, -ECANCELED); /* says by itself who asked */
        return;
    }
    layer_fail(op, (int)by->result);
    op->os_error = by->os_error;
}

int hark_stream_open(struct hark_stream *stream, struct hark_io *io,
                     const struct hark_stream_options *options)
{
    int type = SOCK_STREAM;
    socklen_t len = sizeof type;
    size_t half = options->out != NULL ? options->out_bytes / 2 : 0;
    size_t high = options->high_bytes != 0 ? options->high_bytes : half;
    size_t low = options->low_bytes != 0 ? options->low_bytes : half / 2;
    if (!hark_io_is_open(io)) return HARK_EBADF;
    if (options->in == NULL || options->in_bytes < 2 || high > 2 * half) return HARK_EINVAL;
    if (half != 0 && low >= high) return HARK_EINVAL;
    bool is_socket = getsockopt(io->fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
    if (!is_socket && errno != ENOTSOCK) return hark_error_from_os(errno);
    if (type != SOCK_STREAM) return HARK_EPROTOTYPE;
    void *user = stream->user;
    *stream = (struct hark_stream){
        .user = user, .io = io, .is_socket = is_socket,
        .in = options->in, .room = options->in_bytes - 1,
        .line_max = options->line_max != 0 ? options->line_max : SIZE_MAX,
        .half_room = half, .high = high, .low = low,
        .read_timeout_ns = options->read_timeout_ns,
        .write_timeout_ns = options->write_timeout_ns,
        .halves = { { .base = options->out }, { .base = (char *)options->out + half } },
        .pipe = { -1, -1 },
    };
    stream->reader.stream = stream->closer.stream = stream->water.stream = stream;
    stream->reader.own.user = stream->closer.own.user = stream->passing.user = stream;
    stream->late.user = stream;
    stream->halves[0].own.user = stream->halves[1].own.user = stream;
    return 0;
}

static void cancel_close(struct hark_op *op) { (void)op; /* it comes to its end by itself */ }

static const struct layer close_layer = { .name = "stream close", .cancel = cancel_close };

/* A splice's write to another io may be the last to end, or a splice's read of another. */
void stream_finish_close(struct hark_stream *stream)
{
    struct hark_op *op = stream->closer.op, *reader = stream->reader.op;
    if (op == NULL || hark_is_alive(&stream->closer.own) || stream->feeders != NULL) return;
    if (reader != NULL && reader->state != STATE_DONE) return;
    if (stream->closer.own.result < 0) stream_fail(&stream->closer, &stream->closer.own);
    else layer_end(op, 0);
}

static void on_closed(struct hark_op *own) { stream_finish_close(own->user); }

void (hark_stream_close)(struct hark_op *op, struct hark_stream *stream, hark_done_fn *done)
{
    stream->closer.layer = &close_layer;
    layer_begin_close(op, stream->io->loop, &stream->closer, done);
    if (!take_part(op, &stream->closer)) return;
    if (stream->reader.op != NULL) hark_cancel(stream->reader.op);
    if (stream->water.op != NULL) hark_cancel(stream->water.op);
    for (struct hark_stream *from = stream->feeders; from != NULL; from = from->next_feeder)
        hark_cancel(from->reader.op); /* asks only: the list stays as it is */
    moment_drop(&stream->late);
    hark_close(&stream->closer.own, stream->io, on_closed);
    hark_background(&stream->closer.own);
    stream->closer.own.label = "stream";
}
