/* An open descriptor that a loop works with: a socket, or anything that can be waited for.
 *
 * The caller owns the memory of an io, mostly inside its own connection struct. The library borrows
 * it from hark_socket(), hark_accepted() or hark_io_adopt() until the callback of hark_close()
 * begins; it must not move in between.
 *
 * An io has two sides, read and write. Ops on one side finish in the order submitted: the backend
 * has at most one of a side, the others wait here. */
#ifndef HARK_IO_H
#define HARK_IO_H

#include <hark/op.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hark_side { HARK_READABLE = 0, HARK_WRITABLE = 1 };

struct hark_io {
    struct hark_loop *loop;    /* to read: set while open */
    const char *label;         /* the caller's, for inspection; borrowed. Opening clears it */
    int fd;                    /* to read: -1 when closed */

    /* Private from here on. */
    uint8_t state, watched, parks, flags;
    struct hark_op *active[2];
    struct hark_op *waiting[2];
    struct hark_io *all_next, *all_prev;
    const char *place;
    int64_t opened_ns;
    int32_t index;
    bool is_not_inherited;
};

/* Opens io on a descriptor that came from elsewhere. From then on hark closes it.
 *
 * io     zeroed or closed before.
 * fd     open; not in use by another io of this loop; on Windows a SOCKET or the handle of a pipe,
 *        a console or a file, as an int, or 0 to 2 for standard input, output and error. Its
 *        O_NONBLOCK flag is left alone, but that hark_accept() and hark_connect() set it where the
 *        kernel interface needs it and hark_close() puts it back.
 * Result 0; HARK_EBADF: fd is not open; HARK_EEXIST: another io has it; HARK_ENOMEM; on Windows
 *        HARK_ENOTSOCK: none of these, HARK_EOPNOTSUPP: a file that is overlapped, and HARK_EBUSY:
 *        a port that is not this loop's has it; HARK_ECANCELED: the loop is being closed. On
 *        failure fd remains the caller's.
 * Thread loop
 */
HARK_API int hark_io_adopt(struct hark_io *io, struct hark_loop *loop, int fd);

/* Takes the descriptor out of an idle io again, without closing it. (On Windows it is the handle;
 * what a canceled read of a console or of a pipe that is not overlapped has begun is lost.)
 *
 * Result the descriptor, the caller's from now on; HARK_EBUSY: an op is alive on io; HARK_EBADF: io
 *        is not open.
 * Thread loop
 */
HARK_API int hark_io_release(struct hark_io *io);

/* Waits until a side can be used, and moves no data. Regular files and /dev/null always can; an end
 * of stream or an error counts as usable, since the next call would not wait.
 *
 * Result 0; HARK_ECANCELED, HARK_ETIMEDOUT; HARK_EMFILE: beyond select's limit; HARK_EBADF;
 *        HARK_EOPNOTSUPP: on Windows, whether a pipe can be written, or read if its handle is not
 *        overlapped.
 * Thread loop
 */
HARK_API void hark_ready(struct hark_op *op, struct hark_io *io, enum hark_side side,
                         hark_done_fn *done);

/* Reads what there is from any descriptor that can be waited for: a pipe, a FIFO, a terminal, an
 * eventfd, a regular file at its position. (For sockets hark_recv() is cheaper.)
 *
 * buf    borrowed until the callback. len beyond 2 GiB - 4 KiB is taken as that.
 * Result the number of bytes, at least 1; 0: the end (or len was 0); HARK_EIO: the terminal is
 *        gone; HARK_EISDIR, HARK_EBADF, HARK_EINVAL: not for reading, or too small a buffer; ...
 * Thread loop
 */
HARK_API void hark_read(struct hark_op *op, struct hark_io *io, void *buf, size_t len,
                        hark_done_fn *done);

/* Writes all of the bytes to any descriptor; a short write is finished by hark. Raises no SIGPIPE.
 *
 * buf    borrowed until the callback.
 * Result len; HARK_EPIPE: nobody reads any more; HARK_ENOSPC, HARK_EBADF: not for writing; ...;
 *        hark_sent_bytes() tells how much had gone. (Of that a close may take back the last 4 KiB:
 *        on Windows, if the write was canceled and the reader had not taken them.)
 * Thread loop
 */
HARK_API void hark_write(struct hark_op *op, struct hark_io *io, const void *buf, size_t len,
                         hark_done_fn *done);

/* Closes io: cancels the ops on both sides, waits until each has had its last callback, makes the
 * kernel forget the descriptor, closes it, then calls back. The op may be one that is idle from an
 * earlier conversation on this io. In the callback io is the caller's again.
 *
 * Result 0; HARK_EBADF: io was not open or is being closed already; HARK_EIO and its like if
 *        close(2) said so (the descriptor is gone all the same). A close cannot be canceled and has
 *        no deadline.
 * Thread loop
 * Order  the callback comes after those of all ops submitted before. Submit nothing on io after it:
 *        such an op ends with HARK_EBADF, before or after the close.
 */
HARK_API void hark_close(struct hark_op *op, struct hark_io *io, hark_done_fn *done);

/* Tells whether io is open and not being closed.
 *
 * Thread loop
 */
HARK_API bool hark_io_is_open(const struct hark_io *io);

static inline struct hark_io *hark_io_at(struct hark_io *io, const char *place)
{
    io->place = place;
    return io;
}

#define hark_io_adopt(io, ...) (hark_io_adopt)(hark_io_at(io, HARK_PLACE), __VA_ARGS__)
#define hark_ready(op, ...) (hark_ready)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_read(op, ...) (hark_read)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_write(op, ...) (hark_write)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_close(op, ...) (hark_close)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
