/* One stream moved into another. What the buffer holds goes first; then, if both descriptors allow
 * it, splice(2) moves pages: directly if one of them is a pipe, else through a pipe of its own.
 * What does not allow it goes through the buffer.
 *
 *   pass() ---> write the buffer ---> pass()           each arrow is an op of the stream's own, so
 *     |-------> receive into it ----> pass()           there is one round a visit of the kernel,
 *     +-------> wait, splice(2) ----> pass()           and `to` sets the pace
 *
 * The pipe never holds more than the buffer has room for: at an end its bytes go back there, so
 * that none is lost. A socket is spliced only with O_NONBLOCK: the call has no flag for it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/sys.h"
#include "stream/stream.h"

enum way { BY_BUFFER, BY_PIPE, DIRECTLY };

static void pass(struct hark_stream *from);

static bool is_pipe(const struct hark_stream *stream)
{
    struct stat st;
    return !stream->is_socket && fstat(stream->io->fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static bool is_nonblock(const struct hark_stream *stream)
{
    int flags = fcntl(stream->io->fd, F_GETFL);
    return flags >= 0 && flags & O_NONBLOCK;
}

static enum way choose(struct hark_stream *from, struct hark_stream *to)
{
    bool from_pipe = is_pipe(from), to_pipe = is_pipe(to);
    bool from_can = from_pipe || (from->is_socket && is_nonblock(from));
    bool to_can = to_pipe || (to->is_socket && is_nonblock(to));
    if (!CALL_HAS_SPLICE || !from_can || !to_can) return BY_BUFFER;
    if (from_pipe || to_pipe) return DIRECTLY;
    return call_pipe(from->pipe) == 0 ? BY_PIPE : BY_BUFFER;
}

/* Bytes that `to` did not take go back to where they came from. */
static void empty_pipe(struct hark_stream *from)
{
    while (from->in_pipe != 0) { /* each round moves bytes, or ends */
        ssize_t n = read(from->pipe[0], from->in + from->end, from->room - from->end);
        if (n <= 0) break;
        from->end += (size_t)n;
        from->in_pipe -= (size_t)n;
    }
    if (from->pipe[0] < 0) return;
    (void)sys_close(from->pipe[0]); /* pipes of ours: closing them cannot lose anything */
    (void)sys_close(from->pipe[1]);
    from->pipe[0] = from->pipe[1] = -1;
}

static void let_go_of(struct hark_stream *to, const struct hark_stream *from)
{
    struct hark_stream **link = &to->feeders;
    while (*link != from) link = &(*link)->next_feeder;
    *link = from->next_feeder;
}

static void finish(struct hark_stream *from, const struct hark_op *failed, int64_t result)
{
    empty_pipe(from);
    let_go_of(from->to, from);
    if (failed != NULL) stream_fail(&from->reader, failed);
    else layer_end(from->reader.op, result);
    stream_finish_close(from);
    stream_finish_close(from->to);
}

static void use_own(struct hark_op *own)
{
    hark_background(own);
    own->label = "stream splice";
}

static void on_received(struct hark_op *own)
{
    struct hark_stream *from = own->user;
    if (own->result < 0) {
        finish(from, own, 0);
        return;
    }
    if (own->result == 0) from->has_ended = true;
    from->end += (size_t)own->result;
    pass(from);
}

static void on_written(struct hark_op *own)
{
    struct hark_stream *from = own->user;
    size_t sent = hark_sent_bytes(own);
    stream_consume(from, sent);
    from->spliced += (int64_t)sent;
    if (own->result < 0) finish(from, own, 0);
    else pass(from);
}

static void on_ready(struct hark_op *own);

static void wait_for(struct hark_stream *from, bool is_to)
{
    struct hark_op *own = is_to ? &from->passing : &from->reader.own;
    struct hark_io *io = is_to ? from->to->io : from->io;
    hark_ready(own, io, is_to ? HARK_WRITABLE : HARK_READABLE, on_ready);
    use_own(own);
}

/* splice(2), without a wait and without SIGPIPE: bytes, 0 at the end, or a negative errno. */
static int64_t try_splice(int from, int to, size_t len)
{
    struct sys_hush hush;
    sys_hush_begin(&hush);
    ssize_t n;
    do n = call_splice(from, to, len);
    while (n < 0 && errno == EINTR);
    int error = n < 0 ? errno : 0;
    sys_hush_end(&hush, error == EPIPE);
    return n < 0 ? -error : n;
}

/* One call: into `to`, from the pipe between or from where the bytes are. */
static int64_t move_out(struct hark_stream *from)
{
    int source = from->way == BY_PIPE ? from->pipe[0] : from->io->fd;
    size_t len = from->way == BY_PIPE ? from->in_pipe : from->room;
    int64_t n = try_splice(source, from->to->io->fd, len);
    if (n <= 0) return n;
    from->spliced += n;
    if (from->way == BY_PIPE) from->in_pipe -= (size_t)n;
    return n;
}

/* True: this pair cannot be spliced, and goes by the buffer. False: the op has ended. */
static bool splice_failed(struct hark_stream *from, int64_t error)
{
    if (error == -EINVAL) {
        empty_pipe(from);
        from->way = BY_BUFFER;
        return true;
    }
    finish(from, NULL, error);
    return false;
}

/* Readable, or writable, was reported: one round of splice(2). */
static void on_ready(struct hark_op *own)
{
    struct hark_stream *from = own->user;
    bool is_to = own == &from->passing;
    if (own->result < 0) {
        finish(from, own, 0);
        return;
    }
    if (from->way == BY_PIPE && !is_to) {
        int64_t n = try_splice(from->io->fd, from->pipe[1], from->room);
        if (n > 0) from->in_pipe += (size_t)n;
        if (n == 0) from->has_ended = true;
        if (n >= 0 || n == -EAGAIN || splice_failed(from, n)) pass(from);
        return;
    }
    if (!is_to && from->to->io->active[SIDE_WRITE] != NULL) { /* behind those that write */
        wait_for(from, true);
        return;
    }
    int64_t n = move_out(from);
    if (n == 0) from->has_ended = true;
    if (n == -EAGAIN && !from->is_canceled && from->way == DIRECTLY)
        wait_for(from, !is_to); /* which of the two is not ready? by turns */
    else if (n >= 0 || n == -EAGAIN || splice_failed(from, n)) pass(from);
}

/* What the pipe between holds: at once if nobody writes, else when that is through. True: nothing
 * is left in it. */
static bool pass_pipe(struct hark_stream *from)
{
    int64_t n = from->to->io->active[SIDE_WRITE] == NULL ? move_out(from) : -EAGAIN;
    if (n < 0 && n != -EAGAIN) return splice_failed(from, n);
    if (from->in_pipe != 0) wait_for(from, true);
    return from->in_pipe == 0;
}

/* The next round. */
static void pass(struct hark_stream *from)
{
    if (from->is_canceled) {
        finish(from, NULL, -ECANCELED);
        return;
    }
    stream_put_off(from);
    if (from->in_pipe != 0 && !pass_pipe(from)) return;
    size_t ahead = hark_stream_there(from);
    if (ahead != 0) {
        struct hark_op *own = &from->passing;
        stream_submit_write(own, from->to, from->in + from->begin, ahead, on_written);
        use_own(own);
    } else if (from->has_ended) {
        finish(from, NULL, from->spliced);
    } else if (from->way == BY_BUFFER) {
        stream_receive(from, on_received);
    } else {
        wait_for(from, false);
    }
}

static void cancel_splice(struct hark_op *op)
{
    struct hark_stream *from = stream_part(op)->stream;
    if (stream_is_put_off(from)) return;
    from->is_canceled = true;
    hark_cancel(&from->reader.own);
    hark_cancel(&from->passing);
}

static const struct layer splice_layer = { .name = "stream splice", .cancel = cancel_splice };

void (hark_stream_splice)(struct hark_op *op, struct hark_stream *from, struct hark_stream *to,
                          hark_done_fn *done)
{
    if (from->reader.op == NULL) from->spliced = 0; /* also for one that a closed stream refuses */
    if (!stream_begin(op, &from->reader, &splice_layer, done)) return;
    from->to = to;
    from->in_pipe = 0;
    stream_consume(from, 0); /* an empty buffer has all its room: for what the pipe may hold */
    from->is_canceled = from->has_ended = false;
    from->puts_off = from->read_timeout_ns != 0 && op->deadline_ns == 0;
    if (!hark_io_is_open(to->io)) {
        layer_fail(op, HARK_EBADF);
        return;
    }
    stream_flush(to);
    if (to->write_error != 0) {
        layer_fail(op, to->write_error);
        return;
    }
    from->next_feeder = to->feeders;
    to->feeders = from;
    from->way = (uint8_t)choose(from, to);
    pass(from);
}

int64_t hark_stream_spliced(const struct hark_stream *from) { return from->spliced; }
