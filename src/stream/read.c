/* The read side of streams: a buffer that is filled by one receive at a time, only while an op
 * waits, and searched once.
 *
 *  in        begin            end        room
 *  |..taken..|..there.........|..free....|0|      seen: of what is there, searched in vain */
#include <errno.h>
#include <string.h>

#include "stream/stream.h"

enum wants { WANTS_SOME, WANTS_EXACTLY, WANTS_PEEK, WANTS_UNTIL, WANTS_LINE };

enum { NEEDS_MORE = INT32_MIN };

static size_t there(const struct hark_stream *stream) { return stream->end - stream->begin; }

static void settle(struct hark_stream *stream);

void stream_put_off(struct hark_stream *stream)
{
    struct hark_op *op = stream->reader.op;
    if (stream->puts_off) hark_rearm(op, hark_after(op->on.loop, stream->read_timeout_ns));
}

static void start_receive(struct hark_stream *stream, char *buf, size_t len, hark_done_fn *done)
{
    struct hark_op *own = &stream->reader.own;
    if (stream->is_socket) hark_recv(own, stream->io, buf, len, done);
    else hark_read(own, stream->io, buf, len, done);
    hark_background(own);
    own->label = "stream";
}

void stream_receive(struct hark_stream *stream, hark_done_fn *done)
{
    if (stream->begin != 0) {
        memmove(stream->in, stream->in + stream->begin, there(stream));
        stream->end = there(stream);
        stream->begin = 0;
    }
    start_receive(stream, stream->in + stream->end, stream->room - stream->end, done);
}

static bool receives_directly(const struct hark_stream *stream)
{
    bool is_copied = stream->want.kind == WANTS_SOME || stream->want.kind == WANTS_EXACTLY;
    return is_copied && there(stream) == 0 && stream->want.len - stream->moved >= stream->room;
}

static void on_received(struct hark_op *own)
{
    struct hark_stream *stream = own->user;
    if (own->result > 0) {
        if (receives_directly(stream)) stream->moved += (size_t)own->result;
        else stream->end += (size_t)own->result;
    } else if (own->result == 0) {
        stream->has_ended = true;
    } else {
        stream_fail(&stream->reader, own);
        return;
    }
    settle(stream);
}

void stream_consume(struct hark_stream *stream, size_t len)
{
    stream->begin += len;
    stream->seen = 0;
    if (stream->begin == stream->end) stream->begin = stream->end = 0;
}

static int64_t take_copy(struct hark_stream *stream)
{
    size_t wanted = stream->want.len - stream->moved, ahead = there(stream);
    bool is_whole = stream->want.kind == WANTS_EXACTLY;
    if (!is_whole || ahead >= wanted || wanted > stream->room) {
        size_t taken = ahead < wanted ? ahead : wanted;
        if (taken != 0) memcpy(stream->want.buf + stream->moved, stream->in + stream->begin, taken);
        stream->moved += taken;
        stream_consume(stream, taken);
    }
    if (stream->moved == stream->want.len) return (int64_t)stream->want.len;
    if (!is_whole && stream->moved != 0) return (int64_t)stream->moved;
    if (stream->has_ended) return is_whole ? HARK_ECLOSED : 0;
    return NEEDS_MORE;
}

static int64_t take_peek(struct hark_stream *stream)
{
    stream->data = stream->in + stream->begin;
    if (there(stream) >= stream->want.len) return (int64_t)there(stream);
    if (stream->want.len > stream->room) return HARK_EMSGSIZE;
    return stream->has_ended ? HARK_ECLOSED : NEEDS_MORE;
}

/* A piece of len bytes, after which skip more are taken. */
static int64_t give_piece(struct hark_stream *stream, size_t len, size_t skip)
{
    stream->data = stream->in + stream->begin;
    stream->data[len] = '\0';
    stream->begin += len + skip;
    stream->seen = 0;
    return (int64_t)len;
}

/* The longest piece that is allowed, so that it fits with its delimiter. */
static size_t piece_max(const struct hark_stream *stream, size_t delimiter_len)
{
    size_t room = stream->room > delimiter_len ? stream->room - delimiter_len : 0;
    return stream->line_max < room ? stream->line_max : room;
}

static int64_t no_piece(struct hark_stream *stream, size_t delimiter_len)
{
    size_t ahead = there(stream), most = piece_max(stream, delimiter_len);
    if (ahead >= most + delimiter_len || ahead == stream->room) return HARK_EMSGSIZE;
    stream->seen = ahead;
    if (!stream->has_ended) return NEEDS_MORE;
    if (ahead == 0) return HARK_ECLOSED;
    if (ahead > most) return HARK_EMSGSIZE;
    stream->is_cut = true;
    return give_piece(stream, ahead, 0);
}

static int64_t take_line(struct hark_stream *stream)
{
    char *first = stream->in + stream->begin;
    char *end = memchr(first + stream->seen, '\n', there(stream) - stream->seen);
    if (HARK_UNLIKELY(end == NULL)) return no_piece(stream, 2);
    size_t skip = 1;
    if (end > first && end[-1] == '\r') {
        end--;
        skip = 2;
    }
    size_t len = (size_t)(end - first);
    if (HARK_UNLIKELY(len > piece_max(stream, 2))) return HARK_EMSGSIZE;
    return give_piece(stream, len, skip);
}

static int64_t take_until(struct hark_stream *stream)
{
    if (stream->want.len == 0) return HARK_EINVAL;
    size_t overlap = stream->want.len - 1; /* of the delimiter, that may have arrived before */
    size_t from = stream->seen > overlap ? stream->seen - overlap : 0;
    char *first = stream->in + stream->begin;
    char *end = memmem(first + from, there(stream) - from, stream->want.buf, stream->want.len);
    if (end == NULL) return no_piece(stream, stream->want.len);
    size_t len = (size_t)(end - first);
    if (len > piece_max(stream, stream->want.len)) return HARK_EMSGSIZE;
    return give_piece(stream, len, stream->want.len);
}

/* What is there for the op that waits: its result, its error, or NEEDS_MORE. */
static int64_t take(struct hark_stream *stream)
{
    switch (stream->want.kind) {
    case WANTS_LINE: return take_line(stream);
    case WANTS_UNTIL: return take_until(stream);
    case WANTS_PEEK: return take_peek(stream);
    default: return take_copy(stream);
    }
}

/* Ends the op that waits, or receives more for it. */
static void settle(struct hark_stream *stream)
{
    int64_t result = take(stream);
    if (result == NEEDS_MORE) stream_put_off(stream);
    if (result == NEEDS_MORE && stream->is_canceled) {
        layer_end(stream->reader.op, -ECANCELED);
    } else if (result == NEEDS_MORE && receives_directly(stream)) {
        start_receive(stream, stream->want.buf + stream->moved, stream->want.len - stream->moved,
                      on_received);
    } else if (result == NEEDS_MORE) {
        stream_receive(stream, on_received);
    } else if (result >= 0) {
        layer_end(stream->reader.op, result);
    } else {
        layer_fail(stream->reader.op, (int)result);
    }
}

bool stream_is_put_off(struct hark_stream *stream)
{
    struct hark_op *op = stream->reader.op, *own = &stream->reader.own;
    bool has_come = own->state == STATE_DONE && own->result > 0;
    return has_come && stream->puts_off &&
           layer_put_off(op, hark_after(op->on.loop, stream->read_timeout_ns));
}

static void cancel_read(struct hark_op *op)
{
    struct hark_stream *stream = stream_part(op)->stream;
    if (stream_is_put_off(stream)) return;
    stream->is_canceled = true;
    hark_cancel(&stream->reader.own);
}

static const struct layer read_layer = { .name = "stream read", .cancel = cancel_read };

/* What an op wants is noted only when no other read is under way. */
static void begin_read(struct hark_op *op, struct hark_stream *stream, hark_done_fn *done,
                       struct hark_stream_want want)
{
    if (stream->reader.op == NULL) stream->moved = 0; /* also for what a closed one refuses */
    if (!stream_begin(op, &stream->reader, &read_layer, done)) return;
    stream->want = want;
    stream->seen = 0;
    stream->is_cut = stream->is_canceled = false;
    stream->has_ended = false; /* a terminal, or a FIFO, goes on after an end */
    stream->puts_off = stream->read_timeout_ns != 0 && op->deadline_ns == 0;
    settle(stream);
}

void (hark_stream_read)(struct hark_op *op, struct hark_stream *stream, void *buf, size_t len,
                        hark_done_fn *done)
{
    begin_read(op, stream, done, (struct hark_stream_want){ WANTS_SOME, buf, len });
}

void (hark_stream_read_exactly)(struct hark_op *op, struct hark_stream *stream, void *buf,
                                size_t len, hark_done_fn *done)
{
    begin_read(op, stream, done, (struct hark_stream_want){ WANTS_EXACTLY, buf, len });
}

void (hark_stream_read_line)(struct hark_op *op, struct hark_stream *stream, hark_done_fn *done)
{
    begin_read(op, stream, done, (struct hark_stream_want){ WANTS_LINE, NULL, 0 });
}

void (hark_stream_read_until)(struct hark_op *op, struct hark_stream *stream,
                              const void *delimiter, size_t len, hark_done_fn *done)
{
    char *bytes = (char *)(uintptr_t)delimiter; /* never written to */
    begin_read(op, stream, done, (struct hark_stream_want){ WANTS_UNTIL, bytes, len });
}

void (hark_stream_peek)(struct hark_op *op, struct hark_stream *stream, size_t len,
                        hark_done_fn *done)
{
    begin_read(op, stream, done, (struct hark_stream_want){ WANTS_PEEK, NULL, len });
}

int64_t hark_stream_next_line(struct hark_stream *stream)
{
    if (stream->reader.op != NULL) return HARK_EBUSY;
    if (stream->want.kind != WANTS_LINE) stream->seen = 0; /* in vain for something else */
    stream->want.kind = WANTS_LINE;
    stream->is_cut = false;
    int64_t result = take_line(stream);
    return result == NEEDS_MORE ? HARK_EAGAIN : result;
}

size_t hark_stream_there(const struct hark_stream *stream) { return there(stream); }

size_t hark_stream_skip(struct hark_stream *stream, size_t len)
{
    size_t most = stream->reader.op == NULL ? there(stream) : 0;
    if (len > most) len = most;
    stream_consume(stream, len);
    return len;
}

size_t hark_stream_moved(const struct hark_stream *stream) { return stream->moved; }
