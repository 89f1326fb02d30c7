/* The system calls of files and paths, made in full: they may wait for a disk. */
#include <errno.h>
#include <fcntl.h>
#include <hark/file.h>
#include <unistd.h>

#include "backend/sys.h"

static int64_t move(const struct hark_op *op, int fd)
{
    void *base = op->u.file.base;
    size_t len = op->u.file.len, short_len = sys_short_len(len);
    int64_t offset = op->u.file.offset;
    bool is_here = offset == HARK_FILE_POSITION;
    switch (op->call) {
    case CALL_READ:
        return is_here ? read(fd, base, short_len) : pread(fd, base, short_len, offset);
    case CALL_WRITE:
        return is_here ? write(fd, base, short_len) : pwrite(fd, base, short_len, offset);
    case CALL_READV:
        return call_readv_at(fd, base, (int)len, offset); /* its sign for the position is ours */
    default: return call_writev_at(fd, base, (int)len, offset);
    }
}

static int64_t copy(const struct hark_copy *copy)
{
    off_t from = copy->from_offset, to = copy->to_offset;
    return call_copy_range(copy->from->fd, &from, copy->to->fd, &to, sys_short_len(copy->len));
}

static int64_t call_on_file(const struct hark_op *op)
{
    int fd = op->on.file->fd;
    switch (op->call) {
    case CALL_OPEN:
        return open(op->u.path.path, op->u.path.flags | SYS_OPEN_FLAGS, op->u.path.mode);
    case CALL_CLOSE: return close(fd) == 0 || errno == EINTR ? 0 : -1; /* it is gone */
    case CALL_READ: case CALL_WRITE: case CALL_READV: case CALL_WRITEV: return move(op, fd);
    case CALL_SYNC: return fsync(fd);
    case CALL_DATASYNC: return call_sync_data(fd);
    case CALL_TRUNCATE: return ftruncate(fd, op->u.file.offset);
    case CALL_STAT: return call_stat_open(fd, op->u.file.base);
    case CALL_READ_DIR: return call_read_dir(fd, op->u.file.base, sys_short_len(op->u.file.len));
    case CALL_NAME: return call_name_file(fd, op->u.path.path);
    default: return copy(op->u.file.base);
    }
}

static int64_t call_on_path(const struct hark_op *op)
{
    const char *path = op->u.path.path;
    void *other = op->u.path.other;
    int flags = op->u.path.flags;
    switch (op->call) {
    case CALL_STAT_PATH:
        return call_stat(AT_FDCWD, path, flags, other);
    case CALL_RENAME: return call_rename(path, other, (unsigned)flags);
    case CALL_LINK: return link(path, other);
    case CALL_SYMLINK: return symlink(path, other);
    case CALL_READLINK: return readlink(path, other, op->u.path.mode);
    case CALL_UNLINK: return unlink(path);
    case CALL_MKDIR: return mkdir(path, (mode_t)op->u.path.mode);
    case CALL_RMDIR: return rmdir(path);
    case CALL_ACCESS: return access(path, flags);
    case CALL_CHMOD: return chmod(path, (mode_t)op->u.path.mode);
    case CALL_UTIMES: return utimensat(AT_FDCWD, path, other, 0);
    case CALL_REPLACE: return sys_replace(other);
    case CALL_COPY_PATH: return sys_copy_path(path, other);
    default: return truncate(path, op->u.file.offset);
    }
}

int64_t sys_file(const struct hark_op *op)
{
    int64_t result = op->kind == OP_FILE ? call_on_file(op) : call_on_path(op);
    return result < 0 ? -call_last_error() : result;
}

/* The socket does not block: this ends, whatever the peer does. */
int64_t sys_send_file(const struct hark_op *op)
{
    const struct hark_range *range = op->u.sending.range;
    off_t offset = range->offset + (off_t)op->u.sending.sent;
    uint64_t left = range->len - op->u.sending.sent;
    ssize_t n;
    do n = call_send_file(op->on.io->fd, range->file->fd, offset, sys_short_len(left));
    while (n < 0 && errno == EINTR);
    return n < 0 ? -call_last_error() : n;
}
