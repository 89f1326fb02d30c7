/* Files, directories and paths: each system call that may wait for a disk, as an op.
 *
 * io_uring does most of them by itself; what a kernel does not, a thread of the offload pool
 * does (HARK_OFFLOAD_FILE), and no caller can tell the difference. Ops on one file have no
 * order: what must come after another is submitted in its callback. Deadline and cancel end
 * what still waits; what the disk has begun ends with its true result.
 *
 * On Windows fd is a handle that is not overlapped, or 0 to 2 for the standard ones; paths are
 * UTF-8, and of permissions one is kept: whether a file may be written.
 *
 * A hark_file is for what a disk holds. It is opened with O_NONBLOCK, so that a FIFO or a
 * terminal holds nobody up: those are adopted into a hark_io. */
#ifndef HARK_FILE_H
#define HARK_FILE_H

#include <hark/op.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct statx; /* the system's, or that of <hark/statx.h> */

/* An open file or directory. The caller owns the memory; the library borrows it from the
 * opening until the callback of hark_file_close(), and it must not move in between. */
struct hark_file {
    struct hark_loop *loop;    /* to read: set while open */
    const char *label;         /* the caller's, for inspection; borrowed. Opening clears it */
    int fd;                    /* to read: -1 when closed */

    /* Private from here on. */
    uint8_t state;
    uint32_t op_count;
    struct hark_op *closing;
    struct hark_file *all_next, *all_prev;
    const char *place;
    int64_t opened_ns;
};

/* A position that stands for the file's own, as of read(2) and write(2), which moves on. Ops
 * that use it are submitted one after the other. */
#define HARK_FILE_POSITION INT64_C(-1)

/* Opens a file.
 *
 * file   zeroed or closed before.
 * path   borrowed until the callback.
 * flags  as for open(2); O_CLOEXEC, O_NOCTTY and O_NONBLOCK are added.
 * mode   of a file that is created.
 * Result 0: file is open; HARK_ENOENT, HARK_EACCES, HARK_EMFILE, HARK_EISDIR, HARK_ELOOP, ...
 * Thread loop
 */
HARK_API void hark_file_open(struct hark_op *op, struct hark_file *file, struct hark_loop *loop,
                             const char *path, int flags, mode_t mode, hark_done_fn *done);

/* Opens a new file that has no name, in a directory, for reading and writing. It is gone with its
 * close, unless hark_file_name() gives it a name.
 *
 * directory  borrowed until the callback; on the file system where the file is to be.
 * Result     as for hark_file_open(); HARK_EOPNOTSUPP, HARK_EISDIR: this file system has no such
 *            files, or this system (all but Linux).
 * Thread     loop
 */
HARK_API void hark_file_open_temp(struct hark_op *op, struct hark_file *file,
                                  struct hark_loop *loop, const char *directory, mode_t mode,
                                  hark_done_fn *done);

/* Gives an open file, one of hark_file_open_temp() too, a name on its file system.
 *
 * path   borrowed until the callback.
 * Result 0; HARK_EEXIST, HARK_ENOENT, HARK_EXDEV, HARK_EACCES, HARK_EBADF, ...; HARK_EOPNOTSUPP on
 *        all systems but Linux.
 * Thread loop
 */
HARK_API void hark_file_name(struct hark_op *op, struct hark_file *file, const char *path,
                             hark_done_fn *done);

/* Takes an open descriptor as a file. hark closes it.
 *
 * Result 0; HARK_EBADF: fd is not open; HARK_ECANCELED: the loop is being closed. On failure fd
 *        remains the caller's.
 * Thread loop
 */
HARK_API int hark_file_adopt(struct hark_file *file, struct hark_loop *loop, int fd);

/* Closes a file, after the callbacks of all ops on it that were submitted before.
 *
 * Result 0; HARK_EBADF: it was not open or is being closed already; HARK_EIO, HARK_ENOSPC,
 *        HARK_EDQUOT: earlier writes were lost (the descriptor is gone all the same). A close
 *        cannot be canceled and has no deadline.
 * Thread loop
 */
HARK_API void hark_file_close(struct hark_op *op, struct hark_file *file, hark_done_fn *done);

/* Tells whether file is open and not being closed.
 *
 * Thread loop
 */
HARK_API bool hark_file_is_open(const struct hark_file *file);

/* Reads from a position.
 *
 * buf     borrowed until the callback. len beyond 2 GiB - 4 KiB is taken as that.
 * offset  in bytes, or HARK_FILE_POSITION; others are HARK_EINVAL.
 * Result  the number of bytes, fewer than len only at the end of the file; 0: the end; HARK_EISDIR,
 *         HARK_EBADF: not open, or not for reading; HARK_EIO, ...
 * Thread  loop
 */
HARK_API void hark_file_read(struct hark_op *op, struct hark_file *file, void *buf, size_t len,
                             int64_t offset, hark_done_fn *done);

/* Writes at a position.
 *
 * buf, offset  as for hark_file_read(). With O_APPEND bytes go to the end, wherever offset is.
 * Result       the number of bytes, fewer than len only when there is no room for more;
 *              HARK_ENOSPC, HARK_EFBIG, HARK_EDQUOT, HARK_EBADF, HARK_EIO, ...
 * Thread       loop
 */
HARK_API void hark_file_write(struct hark_op *op, struct hark_file *file, const void *buf,
                              size_t len, int64_t offset, hark_done_fn *done);

/* The same for a list of slices.
 *
 * slices  borrowed until the callback, with what they point to.
 * count   1,024 (IOV_MAX) at most: more is HARK_EINVAL.
 * Result  as for hark_file_read() and hark_file_write().
 * Thread  loop
 */
HARK_API void hark_file_readv(struct hark_op *op, struct hark_file *file,
                              const struct iovec *slices, size_t count, int64_t offset,
                              hark_done_fn *done);
HARK_API void hark_file_writev(struct hark_op *op, struct hark_file *file,
                               const struct iovec *slices, size_t count, int64_t offset,
                               hark_done_fn *done);

/* Waits until what was written is on the disk: data and all that describes the file, or data
 * and what is needed to read it.
 *
 * Result 0; HARK_EIO, HARK_ENOSPC, HARK_EINVAL: not a file that can be.
 * Thread loop
 */
HARK_API void hark_file_sync(struct hark_op *op, struct hark_file *file, hark_done_fn *done);
HARK_API void hark_file_datasync(struct hark_op *op, struct hark_file *file, hark_done_fn *done);

/* Makes a file length bytes long.
 *
 * Result 0; HARK_EINVAL, HARK_EFBIG, HARK_EBADF, ...
 * Thread loop
 */
HARK_API void hark_file_truncate(struct hark_op *op, struct hark_file *file, int64_t length,
                                 hark_done_fn *done);

/* Fills in what the system knows of a file.
 *
 * out    borrowed until the callback; stx_mask tells what of it is filled in, see statx(2).
 * Result 0; HARK_EBADF, HARK_EIO, ...
 * Thread loop
 */
HARK_API void hark_file_stat(struct hark_op *op, struct hark_file *file, struct statx *out,
                             hark_done_fn *done);

/* One copy within the kernel. Borrowed with the op that carries it. */
struct hark_copy {
    struct hark_file *from, *to;
    int64_t from_offset, to_offset;   /* in bytes, >= 0 */
    uint64_t len;                     /* at most this; beyond 2 GiB - 4 KiB is taken as that */
};

/* Copies bytes of one file into another, sharing blocks where the file system can.
 *
 * copy   borrowed until the callback. Both files are of one loop.
 * Result the number of bytes, possibly fewer than len; 0: the end of from; HARK_EXDEV: not between
 *        these file systems; HARK_EINVAL, HARK_EBADF, HARK_EISDIR, HARK_ENOSPC, ...
 * Thread loop
 */
HARK_API void hark_file_copy(struct hark_op *op, const struct hark_copy *copy, hark_done_fn *done);

/* A part of a file to send. Borrowed with the op that carries it. */
struct hark_range {
    struct hark_file *file;
    int64_t offset;        /* in bytes, >= 0 */
    uint64_t len;          /* at most this; UINT64_MAX: to the end of the file */
};

/* Sends a part of a file on a stream, in the order of the sends on that io. io_uring reads and
 * sends it; elsewhere a thread of the pool does, on Linux by sendfile(2), and never waits for the
 * peer. The loop never waits for the disk. O_NONBLOCK is set on the socket, until its close.
 *
 * range  borrowed until the callback. The file is not closed before that.
 * Result the number of bytes, fewer than len only at the end of the file; HARK_EBADF: file or io is
 *        not open; HARK_EPIPE, HARK_ECONNRESET, HARK_EINVAL: not a file that can be sent; ...
 *        hark_sent_bytes() tells how many went before an error or a cancel.
 * Thread loop
 */
HARK_API void hark_send_file(struct hark_op *op, struct hark_io *io, const struct hark_range *range,
                             hark_done_fn *done);

/* Reads entries of a directory that was opened with O_DIRECTORY: as many as fit. Go through
 * them with hark_dir_next(). Each call goes on where the last one ended.
 *
 * buf    borrowed until the callback; 1 KiB at least holds any entry, 32 KiB is a good size. At a
 *        multiple of 8.
 * Result the number of bytes in buf; 0: there are no more; HARK_ENOTDIR; HARK_EINVAL: buf is too
 *        small; ...
 * Thread loop
 */
HARK_API void hark_dir_read(struct hark_op *op, struct hark_file *file, void *buf, size_t len,
                            hark_done_fn *done);

/* One entry of a directory. */
struct hark_dir_entry {
    const char *name;     /* within the buffer; ends with a zero byte */
    uint64_t inode;
    unsigned char type;   /* DT_REG, DT_DIR, ...; DT_UNKNOWN: the file system does not say */
};

/* Gives the next entry of a buffer that hark_dir_read() has filled; "." and ".." are left out.
 *
 * len     the result of hark_dir_read().
 * at      0 before the first call; moved on.
 * entry   filled in.
 * Result  true; false: there are no more in this buffer.
 * Thread  any
 */
HARK_API bool hark_dir_next(const void *buf, int64_t len, size_t *at, struct hark_dir_entry *entry);

/* What a path names. Paths are borrowed until the callback; relative ones begin at the process's
 * current directory at the moment that the kernel looks.
 *
 * follows  false: of a symbolic link itself, not of what it points to.
 * out      borrowed until the callback; see statx(2).
 * Result   0; HARK_ENOENT, HARK_EACCES, HARK_ENOTDIR, HARK_ELOOP, HARK_ENAMETOOLONG, ...
 * Thread   loop
 */
HARK_API void hark_path_stat(struct hark_op *op, struct hark_loop *loop, const char *path,
                             bool follows, struct statx *out, hark_done_fn *done);

/* Gives a file another name; what had that name is replaced.
 *
 * flags  0, or RENAME_NOREPLACE: HARK_EEXIST instead; RENAME_EXCHANGE, see renameat2(2). Other
 *        systems than Linux have none: HARK_EOPNOTSUPP.
 * Result 0; HARK_ENOENT, HARK_EXDEV, HARK_ENOTEMPTY, HARK_EISDIR, HARK_EACCES, HARK_EINVAL, ...
 * Thread loop
 */
HARK_API void hark_path_rename(struct hark_op *op, struct hark_loop *loop, const char *from,
                               const char *to, unsigned flags, hark_done_fn *done);

/* Makes a further name for a file, or a symbolic link that holds target.
 *
 * Result 0; HARK_EEXIST, HARK_ENOENT, HARK_EXDEV, HARK_EPERM, HARK_EMLINK, ...
 * Thread loop
 */
HARK_API void hark_path_link(struct hark_op *op, struct hark_loop *loop, const char *from,
                             const char *to, hark_done_fn *done);
HARK_API void hark_path_symlink(struct hark_op *op, struct hark_loop *loop, const char *target,
                                const char *path, hark_done_fn *done);

/* Reads what a symbolic link holds.
 *
 * buf    borrowed until the callback; no zero byte is added. A longer text is cut off at len.
 * Result the number of bytes; HARK_EINVAL: not a link; HARK_ENOENT, ...
 * Thread loop
 */
HARK_API void hark_path_readlink(struct hark_op *op, struct hark_loop *loop, const char *path,
                                 char *buf, size_t len, hark_done_fn *done);

/* Removes a name of a file, or an empty directory.
 *
 * Result 0; HARK_ENOENT, HARK_EISDIR (unlink of a directory), HARK_ENOTDIR, HARK_ENOTEMPTY (rmdir),
 *        HARK_EACCES, HARK_EBUSY, ...
 * Thread loop
 */
HARK_API void hark_path_unlink(struct hark_op *op, struct hark_loop *loop, const char *path,
                               hark_done_fn *done);
HARK_API void hark_path_rmdir(struct hark_op *op, struct hark_loop *loop, const char *path,
                              hark_done_fn *done);

/* Makes a directory.
 *
 * Result 0; HARK_EEXIST, HARK_ENOENT, HARK_ENOSPC, HARK_EACCES, ...
 * Thread loop
 */
HARK_API void hark_path_mkdir(struct hark_op *op, struct hark_loop *loop, const char *path,
                              mode_t mode, hark_done_fn *done);

/* Asks whether this process may use a path.
 *
 * mode   F_OK, or R_OK, W_OK and X_OK together.
 * Result 0: it may; HARK_EACCES, HARK_ENOENT, HARK_EROFS, HARK_EINVAL, ...
 * Thread loop
 */
HARK_API void hark_path_access(struct hark_op *op, struct hark_loop *loop, const char *path,
                               int mode, hark_done_fn *done);

/* Sets the permissions of a file.
 *
 * Result 0; HARK_EPERM, HARK_ENOENT, HARK_EROFS, ...
 * Thread loop
 */
HARK_API void hark_path_chmod(struct hark_op *op, struct hark_loop *loop, const char *path,
                              mode_t mode, hark_done_fn *done);

/* Sets the times of last access and last change of a file.
 *
 * times  two, borrowed until the callback; UTIME_NOW and UTIME_OMIT as in utimensat(2).
 * Result 0; HARK_EPERM, HARK_EACCES, HARK_ENOENT, HARK_EINVAL, ...
 * Thread loop
 */
HARK_API void hark_path_utimes(struct hark_op *op, struct hark_loop *loop, const char *path,
                               const struct timespec *times, hark_done_fn *done);

/* Makes a file length bytes long.
 *
 * Result 0; HARK_EISDIR, HARK_EINVAL, HARK_EFBIG, HARK_EACCES, ...
 * Thread loop
 */
HARK_API void hark_path_truncate(struct hark_op *op, struct hark_loop *loop, const char *path,
                                 int64_t length, hark_done_fn *done);

/* What a whole file is to hold. Borrowed with the op that carries it. */
struct hark_content {
    const char *path;
    const void *data;
    size_t len;
    mode_t mode;           /* of the new file, less the process's umask */
};

/* Replaces a file, or makes it, so that whoever opens path finds the old content or the new one,
 * whole, even after a loss of power: writes to a new file beside it, syncs, renames, and syncs the
 * directory. A thread of the pool does it. A symbolic link is itself replaced.
 *
 * content  borrowed until the callback.
 * Result   0; HARK_ENOENT, HARK_EACCES, HARK_ENOSPC, HARK_EISDIR, ...: the old file is intact and
 *          nothing is left beside it. Only if the last step failed, HARK_EIO, the new one may be
 *          there.
 * Thread   loop
 */
HARK_API void hark_path_replace(struct hark_op *op, struct hark_loop *loop,
                                const struct hark_content *content, hark_done_fn *done);

/* Copies a whole file, with its permissions if to is new; what to held is lost. In the kernel where
 * file systems allow, else by a thread of the pool.
 *
 * from, to  borrowed until the callback.
 * Result    the number of bytes; HARK_EINVAL: both are one file, or from is not a regular one;
 *           HARK_EISDIR, HARK_ENOENT, HARK_ENOSPC, ...: to may hold a part.
 * Thread    loop
 */
HARK_API void hark_path_copy(struct hark_op *op, struct hark_loop *loop, const char *from,
                             const char *to, hark_done_fn *done);

static inline struct hark_file *hark_file_at(struct hark_file *file, const char *place)
{
    file->place = place;
    return file;
}

#define hark_file_adopt(file, ...) (hark_file_adopt)(hark_file_at(file, HARK_PLACE), __VA_ARGS__)
#define hark_file_open(op, ...) (hark_file_open)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_open_temp(op, ...) (hark_file_open_temp)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_name(op, ...) (hark_file_name)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_send_file(op, ...) (hark_send_file)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_replace(op, ...) (hark_path_replace)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_copy(op, ...) (hark_path_copy)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_close(op, ...) (hark_file_close)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_read(op, ...) (hark_file_read)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_write(op, ...) (hark_file_write)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_readv(op, ...) (hark_file_readv)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_writev(op, ...) (hark_file_writev)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_sync(op, ...) (hark_file_sync)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_datasync(op, ...) (hark_file_datasync)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_truncate(op, ...) (hark_file_truncate)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_stat(op, ...) (hark_file_stat)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_file_copy(op, ...) (hark_file_copy)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_dir_read(op, ...) (hark_dir_read)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_stat(op, ...) (hark_path_stat)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_rename(op, ...) (hark_path_rename)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_link(op, ...) (hark_path_link)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_symlink(op, ...) (hark_path_symlink)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_readlink(op, ...) (hark_path_readlink)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_unlink(op, ...) (hark_path_unlink)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_rmdir(op, ...) (hark_path_rmdir)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_mkdir(op, ...) (hark_path_mkdir)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_access(op, ...) (hark_path_access)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_chmod(op, ...) (hark_path_chmod)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_utimes(op, ...) (hark_path_utimes)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_path_truncate(op, ...) (hark_path_truncate)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
