/* Files and paths on the ring: which calls this kernel's ring can do, how each is written down,
 * and the list of those that the kernel has.
 *
 * The list is linked by op->next and, backwards, by op->result, which means nothing before
 * there is a result. So an op that finds no room for its cancel cannot wait in the backlog,
 * which uses next: it is found in the list again (rule 3 of uring.c). */
#include <errno.h>
#include <fcntl.h>
#include <hark/file.h>
#include <sys/uio.h>

#include "backend/sys.h"
#include "backend/uring.h"

enum { OP_FTRUNCATE = 55 }; /* IORING_OP_FTRUNCATE of Linux 6.9; liburing 2.3 does not know it */

static const struct { uint8_t call, opcode; enum uring_age age; } native[] = {
    { CALL_OPEN, IORING_OP_OPENAT, URING_AGE_5_10 },
    { CALL_CLOSE, IORING_OP_CLOSE, URING_AGE_5_10 },
    { CALL_READ, IORING_OP_READ, URING_AGE_5_10 },
    { CALL_WRITE, IORING_OP_WRITE, URING_AGE_5_10 },
    { CALL_READV, IORING_OP_READV, URING_AGE_5_10 },
    { CALL_WRITEV, IORING_OP_WRITEV, URING_AGE_5_10 },
    { CALL_SYNC, IORING_OP_FSYNC, URING_AGE_5_10 },
    { CALL_DATASYNC, IORING_OP_FSYNC, URING_AGE_5_10 },
    { CALL_STAT, IORING_OP_STATX, URING_AGE_5_10 },
    { CALL_STAT_PATH, IORING_OP_STATX, URING_AGE_5_10 },
    { CALL_RENAME, IORING_OP_RENAMEAT, URING_AGE_5_19 },
    { CALL_UNLINK, IORING_OP_UNLINKAT, URING_AGE_5_19 },
    { CALL_RMDIR, IORING_OP_UNLINKAT, URING_AGE_5_19 },
    { CALL_MKDIR, IORING_OP_MKDIRAT, URING_AGE_5_19 },
    { CALL_LINK, IORING_OP_LINKAT, URING_AGE_5_19 },
    { CALL_SYMLINK, IORING_OP_SYMLINKAT, URING_AGE_5_19 },
    { CALL_TRUNCATE, OP_FTRUNCATE, URING_AGE_NEW },
};

unsigned uring_file_calls(const struct io_uring_probe *probe, enum uring_age age)
{
    unsigned calls = 0;
    for (size_t i = 0; i < sizeof native / sizeof *native; i++) {
        bool is_there = native[i].age <= age && io_uring_opcode_supported(probe, native[i].opcode);
        if (is_there) calls |= 1u << native[i].call;
    }
    return calls;
}

static unsigned short_len(const struct hark_op *op)
{
    return (unsigned)sys_short_len(op->u.file.len);
}

static void fill_path(struct hark_op *op, struct io_uring_sqe *sqe)
{
    const char *path = op->u.path.path;
    void *other = op->u.path.other;
    unsigned mask = STATX_BASIC_STATS | STATX_BTIME;
    switch (op->call) {
    case CALL_STAT_PATH:
        io_uring_prep_statx(sqe, AT_FDCWD, path, op->u.path.flags, mask, other);
        break;
    case CALL_RENAME:
        io_uring_prep_renameat(sqe, AT_FDCWD, path, AT_FDCWD, other, (unsigned)op->u.path.flags);
        break;
    case CALL_LINK: io_uring_prep_linkat(sqe, AT_FDCWD, path, AT_FDCWD, other, 0); break;
    case CALL_SYMLINK: io_uring_prep_symlinkat(sqe, path, AT_FDCWD, other); break;
    case CALL_MKDIR: io_uring_prep_mkdirat(sqe, AT_FDCWD, path, op->u.path.mode); break;
    case CALL_RMDIR: io_uring_prep_unlinkat(sqe, AT_FDCWD, path, AT_REMOVEDIR); break;
    default: io_uring_prep_unlinkat(sqe, AT_FDCWD, path, 0); break;
    }
}

static void fill_file(struct hark_op *op, struct io_uring_sqe *sqe)
{
    int fd = op->on.file->fd;
    void *base = op->u.file.base;
    uint64_t offset = (uint64_t)op->u.file.offset;
    switch (op->call) {
    case CALL_OPEN:
        io_uring_prep_openat(sqe, AT_FDCWD, op->u.path.path, op->u.path.flags | SYS_OPEN_FLAGS,
                             op->u.path.mode);
        break;
    case CALL_CLOSE: io_uring_prep_close(sqe, fd); break;
    case CALL_READ: io_uring_prep_read(sqe, fd, base, short_len(op), offset); break;
    case CALL_WRITE: io_uring_prep_write(sqe, fd, base, short_len(op), offset); break;
    case CALL_READV: io_uring_prep_readv(sqe, fd, base, (unsigned)op->u.file.len, offset); break;
    case CALL_WRITEV: io_uring_prep_writev(sqe, fd, base, (unsigned)op->u.file.len, offset); break;
    case CALL_SYNC: io_uring_prep_fsync(sqe, fd, 0); break;
    case CALL_DATASYNC: io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC); break;
    case CALL_TRUNCATE: io_uring_prep_rw(OP_FTRUNCATE, sqe, fd, NULL, 0, offset); break;
    default:
        io_uring_prep_statx(sqe, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, base);
        break;
    }
}

static struct hark_op *before(const struct hark_op *op)
{
    return (struct hark_op *)(uintptr_t)op->result;
}

static void set_before(struct hark_op *op, struct hark_op *prev)
{
    op->result = (int64_t)(uintptr_t)prev;
}

void uring_fill_file(struct uring *uring, struct hark_op *op, struct io_uring_sqe *sqe)
{
    if (op->kind == OP_FILE) fill_file(op, sqe);
    else fill_path(op, sqe);
    set_before(op, NULL);
    op->next = uring->files;
    if (uring->files != NULL) set_before(uring->files, op);
    uring->files = op;
}

static void unlink_op(struct uring *uring, struct hark_op *op)
{
    if (before(op) != NULL) before(op)->next = op->next;
    else uring->files = op->next;
    if (op->next != NULL) set_before(op->next, before(op));
}

void uring_complete_file(struct backend *backend, struct hark_op *op, int result)
{
    unlink_op(backend->state, op);
    op->backend = 0;
    bool is_close = op->kind == OP_FILE && op->call == CALL_CLOSE;
    if (is_close && result == -EINTR) result = 0; /* the descriptor is gone */
    /* EAGAIN: O_NONBLOCK, on a file system whose reads always may wait; then a thread waits. */
    bool is_unwilling = result == -EINTR || result == -EAGAIN;
    if (is_unwilling && !is_close) backend_offload(backend, op);
    else backend_finish_file(backend, op, result);
}

void uring_each_file(const struct backend *backend, void (*fn)(struct hark_op *, void *),
                     void *arg)
{
    const struct uring *uring = backend->state;
    for (struct hark_op *op = uring->files, *next; op != NULL; op = next) {
        next = op->next;
        fn(op, arg);
    }
    for (struct hark_op *op = uring->backlog.head, *next; op != NULL; op = next) {
        next = op->next;
        if (op_is_of_files(op)) fn(op, arg);
    }
}
