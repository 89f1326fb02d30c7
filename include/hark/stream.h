/* Streams: a byte stream over an open io (socket, pipe, terminal, a child's stdio), with a buffer
 * in front of each side, so that lines, exact counts and whole messages can be read and written.
 *
 * The caller owns the stream and its two buffers until the callback of hark_stream_close(); nothing
 * is allocated. Ops are ops like all others: deadline, cancel, label, inspection.
 *
 * Reading: one op at a time. Bytes that have arrived stay in the buffer until an op takes them, so
 * a cancel, a deadline or an over-long line loses none. What a callback finds at `data` is good
 * until the next read of the stream.
 *
 * Writing: hark_stream_put() copies into a queue that is bounded by the buffer given at the open,
 * and is sent together; hark_stream_write() borrows the caller's bytes. All go out in the order of
 * the calls. */
#ifndef HARK_STREAM_H
#define HARK_STREAM_H

#include <hark/io.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hark_stream;

/* Private: what is under way in the name of an op. */
struct hark_stream_part {
    const void *layer;
    struct hark_stream *stream;
    struct hark_op *op;          /* the caller's */
    hark_done_fn *done;
    struct hark_op own;
};

/* Private: what an op waits for. */
struct hark_stream_want {
    int kind;
    char *buf;                   /* to fill, or the delimiter */
    size_t len;
};

/* Private: half of the queue. One is being sent while the other fills. */
struct hark_stream_half {
    char *base;
    size_t filled;
    bool is_submitted;
    struct hark_op own;
};

struct hark_stream {
    void *user;              /* the caller's */

    /* To read. */
    struct hark_io *io;
    char *data;              /* what the latest line, piece or peek found */
    bool is_cut;             /* it is the last one, and the end came instead of its delimiter */
    bool is_high;            /* the queue has reached its high water, and not its low one since */
    size_t queued_bytes;     /* put, and not yet taken by the kernel */

    /* Private from here on. */
    bool is_socket, has_ended, is_canceled, puts_off, told_high;
    uint8_t filling, way;
    int write_error;
    char *in;
    size_t room, begin, end, seen, line_max;
    struct hark_stream_want want;
    size_t moved;
    size_t half_room, high, low;
    int64_t read_timeout_ns, write_timeout_ns;
    struct hark_stream *to, *feeders, *next_feeder;
    int64_t spliced;
    size_t in_pipe;
    int pipe[2];
    struct hark_stream_part reader, closer, water;
    struct hark_op passing, late;
    struct hark_stream_half halves[2];
};

struct hark_stream_options {
    void *in;                 /* the read buffer; at least 2 bytes, one of which ends a line */
    size_t in_bytes;
    void *out;                /* the queue of hark_stream_put(); NULL: none */
    size_t out_bytes;         /* two halves, so one message is at most half of it */
    size_t line_max;          /* bytes of the longest line; 0: what fits into the buffer */
    size_t high_bytes;        /* of the queue; 0: half of it */
    size_t low_bytes;         /* below high_bytes; 0: a quarter of it */
    int64_t read_timeout_ns;  /* HARK_ETIMEDOUT if nothing arrives for so long; 0: none. What came
                               * while a callback held the loop has arrived in time */
    int64_t write_timeout_ns; /* of a write, or of half the queue, that is not taken; 0: none */
};

/* Makes a stream of an open io. The io remains the caller's, who leaves its sides to the stream.
 *
 * options  read during the call; its buffers are borrowed until the stream's close.
 * Result   0; HARK_EBADF: io is not open; HARK_EINVAL: no room to read into, or water marks that
 *          are none; HARK_EPROTOTYPE: a socket of datagrams; HARK_ENOBUFS, ...: the kernel does not
 *          tell what it is.
 * Thread   loop
 */
HARK_API int hark_stream_open(struct hark_stream *stream, struct hark_io *io,
                              const struct hark_stream_options *options);

/* Reads what there is, at least one byte, as hark_recv() does.
 *
 * buf    borrowed until the callback.
 * Result the number of bytes; 0: the end (or len was 0); HARK_EBUSY: another read of the stream is
 *        not yet over; errors as for hark_recv() and hark_read().
 * Thread loop
 */
HARK_API void hark_stream_read(struct hark_op *op, struct hark_stream *stream, void *buf,
                               size_t len, hark_done_fn *done);

/* Reads exactly len bytes. After an error hark_stream_moved() bytes of them are in buf, and all
 * others still in the stream; 0 if len is not beyond the stream's buffer.
 *
 * buf    borrowed until the callback.
 * Result len; HARK_ECLOSED: the end came first; errors as for hark_stream_read().
 * Thread loop
 */
HARK_API void hark_stream_read_exactly(struct hark_op *op, struct hark_stream *stream, void *buf,
                                       size_t len, hark_done_fn *done);

/* Reads a line; data points to it, with a zero byte in place of its end ("\n" or "\r\n"). Bytes
 * between the last line end and the end of the stream are a line too, with is_cut set.
 *
 * Result its length; HARK_ECLOSED: the end; HARK_EMSGSIZE: longer than line_max, and its bytes stay
 *        there, to be skipped or read otherwise; errors as for hark_stream_read().
 * Thread loop
 */
HARK_API void hark_stream_read_line(struct hark_op *op, struct hark_stream *stream,
                                    hark_done_fn *done);

/* The same up to a delimiter of any bytes, which is taken and not given.
 *
 * delimiter  borrowed until the callback; 1 byte at least (HARK_EINVAL).
 * Thread     loop
 */
HARK_API void hark_stream_read_until(struct hark_op *op, struct hark_stream *stream,
                                     const void *delimiter, size_t len, hark_done_fn *done);

/* Waits until len bytes are there, and takes none; data points to them.
 *
 * Result how many are there, len or more; HARK_ECLOSED: the end comes before; HARK_EMSGSIZE: more
 *        than the buffer holds; errors as for hark_stream_read().
 * Thread loop
 */
HARK_API void hark_stream_peek(struct hark_op *op, struct hark_stream *stream, size_t len,
                               hark_done_fn *done);

/* Takes a line that has arrived already, without an op: for the lines behind the one of a callback.
 * Not while a read is under way.
 *
 * Result its length; HARK_EAGAIN: none is complete, read on by hark_stream_read_line();
 *        HARK_EMSGSIZE: as there; HARK_EBUSY: a read is under way.
 * Thread loop
 */
HARK_API int64_t hark_stream_next_line(struct hark_stream *stream);

/* Tells how many bytes are in the buffer; takes that many of them away at most, and tells how many
 * it took. Not while a read is under way: 0.
 *
 * Thread loop
 */
HARK_API size_t hark_stream_there(const struct hark_stream *stream);
HARK_API size_t hark_stream_skip(struct hark_stream *stream, size_t len);

/* Tells how many bytes the latest hark_stream_read_exactly() has put into its buf.
 *
 * Thread loop
 */
HARK_API size_t hark_stream_moved(const struct hark_stream *stream);

/* Copies a message into the queue, whole or not at all, and sees that it is sent. What is queued
 * keeps hark_run() running.
 *
 * Result 0; HARK_EAGAIN: no room now, and the queue counts as high; HARK_EMSGSIZE: beyond half of
 *        the queue; HARK_EBADF: the io is closed; an earlier error of the write side.
 * Thread loop
 */
HARK_API int hark_stream_put(struct hark_stream *stream, const void *data, size_t len);

/* Writes all of the bytes. With len 0 it ends when all before has been written.
 *
 * data   borrowed until the callback.
 * Result len; an earlier error of the write side; HARK_ECANCELED also if what waited in front of it
 *        failed; errors as for hark_send() and hark_write(), hark_sent_bytes() tells how much had
 *        gone: then the bytes of the stream have a hole.
 * Thread loop
 */
HARK_API void hark_stream_write(struct hark_op *op, struct hark_stream *stream, const void *data,
                                size_t len, hark_done_fn *done);

/* Tells each time when the queue rises to its high water and falls to its low one, until canceled:
 * a repeating op. One a stream.
 *
 * Result the bytes queued, with `more`; is_high says which. Without: HARK_EBUSY: there is one
 *        already; the error that ended the write side; HARK_ECANCELED.
 * Thread loop
 */
HARK_API void hark_stream_water(struct hark_op *op, struct hark_stream *stream,
                                hark_done_fn *done);

/* Ends the write side: the peer of a socket reads the end. Of a pipe and a terminal only a close
 * can be the end, and this one waits until all is written.
 *
 * Result 0; HARK_ENOTCONN, HARK_EPIPE, ...
 * Thread loop
 * Order  the end goes out after all that was written before.
 */
HARK_API void hark_stream_end(struct hark_op *op, struct hark_stream *stream, hark_done_fn *done);

/* Moves all bytes of one stream into another until the end, no faster than `to` takes them: by
 * splice(2) where the system has it and both are sockets with O_NONBLOCK or pipes, else through
 * from's buffer, which bounds what is on its way in both cases.
 *
 * Result the number of bytes that `to` took; HARK_EBUSY: a read of `from` is under way; HARK_EBADF:
 *        `to` is closed; HARK_ECANCELED also if `to` is closed meanwhile; the error that ended it.
 *        Whatever `to` has not taken is still in `from`; hark_stream_spliced() tells the number
 *        after an error.
 * Thread loop
 */
HARK_API void hark_stream_splice(struct hark_op *op, struct hark_stream *from,
                                 struct hark_stream *to, hark_done_fn *done);

/* Tells how many bytes the latest hark_stream_splice() from here has moved.
 *
 * Thread loop
 */
HARK_API int64_t hark_stream_spliced(const struct hark_stream *from);

/* Ends the ops of the stream, and splices into it, and closes its io; what is queued is dropped
 * (hark_stream_end() waits for it). In the callback stream, buffers and io are the caller's again.
 *
 * Result as for hark_close(); HARK_EBUSY: it is being closed already. It cannot be canceled.
 * Thread loop
 * Order  the callback comes after those of all ops submitted before, as with hark_close().
 */
HARK_API void hark_stream_close(struct hark_op *op, struct hark_stream *stream,
                                hark_done_fn *done);

/* Opens two ios on a new pipe, close-on-exec.
 *
 * Result 0; HARK_EMFILE, HARK_ENFILE, HARK_ENOMEM; HARK_ECANCELED: the loop is being closed.
 * Thread loop
 */
HARK_API int hark_pipe(struct hark_io *reads, struct hark_io *writes, struct hark_loop *loop);

/* Opens io on a named pipe, without waiting for somebody at its other end.
 *
 * side   HARK_READABLE: to read from it; before anybody writes it is at its end. HARK_WRITABLE.
 * Result 0; HARK_ENXIO: to write, and nobody reads; HARK_ENOENT, HARK_EACCES, ...;
 *        HARK_EINVAL: no pipe; HARK_ECANCELED: the loop is being closed; HARK_EOPNOTSUPP: on
 *        Windows.
 * Thread loop
 */
HARK_API int hark_fifo(struct hark_io *io, struct hark_loop *loop, const char *path,
                       enum hark_side side);

#define hark_pipe(reads, writes, loop)                                              \
    (hark_pipe)(hark_io_at(reads, HARK_PLACE), hark_io_at(writes, HARK_PLACE), loop)
#define hark_fifo(io, ...) (hark_fifo)(hark_io_at(io, HARK_PLACE), __VA_ARGS__)
#define hark_stream_read(op, ...) (hark_stream_read)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_stream_read_exactly(op, ...) \
    (hark_stream_read_exactly)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_stream_read_line(op, ...) (hark_stream_read_line)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_stream_read_until(op, ...) \
    (hark_stream_read_until)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_stream_peek(op, ...) (hark_stream_peek)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_stream_write(op, ...) (hark_stream_write)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_stream_water(op, ...) (hark_stream_water)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_stream_end(op, ...) (hark_stream_end)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_stream_splice(op, ...) (hark_stream_splice)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_stream_close(op, ...) (hark_stream_close)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
