/* Files, directories and paths: fills in an op, and counts the ops on a file so that its close
 * comes after them.
 *
 *   closed --- hark_file_open --> opening --- its result --> open --- hark_file_close --> closing
 *      ^                             |  an error                                             |
 *      +-----------------------------+-------------------------------------------------------+ */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hark/file.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/sys.h"
#include "loop/loop.h"

enum file_state { FILE_CLOSED, FILE_OPENING, FILE_OPEN, FILE_CLOSING };

static void begin(struct hark_file *file, struct hark_loop *loop, enum file_state state)
{
    const char *place = file->place;
    *file = (struct hark_file){ .loop = loop, .fd = -1, .place = place, .state = (uint8_t)state,
                                .opened_ns = loop->now };
}

static void enter(struct hark_file *file, int fd)
{
    struct hark_loop *loop = file->loop;
    file->fd = fd;
    file->state = FILE_OPEN;
    file->all_next = loop->files;
    if (loop->files != NULL) loop->files->all_prev = file;
    loop->files = file;
}

static void leave(struct hark_file *file)
{
    struct hark_loop *loop = file->loop;
    if (file->all_prev != NULL) file->all_prev->all_next = file->all_next;
    else loop->files = file->all_next;
    if (file->all_next != NULL) file->all_next->all_prev = file->all_prev;
    file->fd = -1;
    file->state = FILE_CLOSED;
}

/* Begins an op; false: it has ended already. Its last callback is preceded by step(). */
static bool begin_op(struct hark_op *op, struct hark_loop *loop, enum file_call call,
                     hark_done_fn *done)
{
    op->call = (uint8_t)call;
    op->backend = 0;
    if (!op_begin(op, loop, OP_PATH, done)) return false;
    if (op->deadline_ns != 0) op_arm(loop, op, op->deadline_ns);
    return true;
}

static void submit_path(struct hark_op *op, struct hark_loop *loop, enum file_call call,
                        hark_done_fn *done)
{
    if (begin_op(op, loop, call, done)) op_start_file(loop, op);
}

/* An op on an open file. False: it has ended, and is not counted. */
static bool submit(struct hark_op *op, struct hark_file *file, enum file_call call,
                   hark_done_fn *done)
{
    struct hark_loop *loop = file->loop;
    REQUIRE(loop != NULL, "promise 3: an op was submitted on a file that was never opened");
    if (!begin_op(op, loop, call, done)) return false;
    if (file->state != FILE_OPEN) {
        op_end(loop, op, HARK_EBADF, 0);
        return false;
    }
    op->kind = OP_FILE;
    op->on.file = file;
    op->flags |= FLAG_STEP;
    file->op_count++;
    op_start_file(loop, op);
    return true;
}

static void start_close(struct hark_file *file)
{
    struct hark_op *op = file->closing;
    op->state = STATE_RUNNING;
    op_start_file(file->loop, op);
}

/* An op on the file has ended. */
static void release(struct hark_file *file)
{
    if (--file->op_count == 0 && file->closing != NULL) start_close(file);
}

/* Before the callback of an op on a file. */
static void step(struct hark_op *op)
{
    if (op->kind == OP_SEND_FILE) {
        release(op->u.sending.range->file);
        return;
    }
    struct hark_file *file = op->on.file;
    if (op->call == CALL_OPEN && op->result < 0) {
        file->state = FILE_CLOSED;
    } else if (op->call == CALL_OPEN) {
        enter(file, (int)op->result);
        op->result = 0;
    } else if (op->call == CALL_CLOSE) {
        leave(file);
    } else {
        if (op->call == CALL_COPY) release(((const struct hark_copy *)op->u.file.base)->from);
        release(file);
    }
}

void (hark_file_open)(struct hark_op *op, struct hark_file *file, struct hark_loop *loop,
                      const char *path, int flags, mode_t mode, hark_done_fn *done)
{
    REQUIRE(file->state == FILE_CLOSED, "promise 3: a file was opened again before it was closed");
    file->place = op->place;
    begin(file, loop, FILE_CLOSED);
    op->u.path.path = path;
    op->u.path.flags = flags;
    op->u.path.mode = mode;
    if (!begin_op(op, loop, CALL_OPEN, done)) return;
    file->state = FILE_OPENING;
    op->kind = OP_FILE;
    op->on.file = file;
    op->flags |= FLAG_STEP;
    op_start_file(loop, op);
}

void (hark_file_open_temp)(struct hark_op *op, struct hark_file *file, struct hark_loop *loop,
                           const char *directory, mode_t mode, hark_done_fn *done)
{
    if (CALL_OPEN_TEMP >= 0)
        (hark_file_open)(op, file, loop, directory, CALL_OPEN_TEMP | O_RDWR, mode, done);
    else if (op_begin(op, loop, OP_REFUSED, done))
        op_end(loop, op, HARK_EOPNOTSUPP, 0);
}

int (hark_file_adopt)(struct hark_file *file, struct hark_loop *loop, int fd)
{
    REQUIRE(file->state == FILE_CLOSED, "promise 3: a file was opened again before it was closed");
    if (loop->is_closing) return HARK_ECANCELED;
    int own = call_descriptor(fd), flags = sys_descriptor_flags(own);
    if (flags < 0) return hark_error_from_os(-flags);
    begin(file, loop, FILE_OPEN);
    enter(file, own);
    return 0;
}

void (hark_file_close)(struct hark_op *op, struct hark_file *file, hark_done_fn *done)
{
    struct hark_loop *loop = file->loop;
    REQUIRE(loop != NULL, "promise 3: a file was closed that was never opened");
    op->deadline_ns = 0;
    op->call = CALL_CLOSE;
    op->backend = 0;
    if (file->state != FILE_OPEN) {
        if (op_begin(op, loop, OP_PATH, done)) op_end(loop, op, HARK_EBADF, 0);
        return;
    }
    if (!op_begin(op, loop, OP_PATH, done)) return; /* the loop's close closes it */
    op->kind = OP_FILE;
    op->on.file = file;
    op->flags |= FLAG_STEP;
    file->state = FILE_CLOSING;
    file->closing = op;
    if (file->op_count == 0) start_close(file);
    else op->state = STATE_QUEUED;
}

bool hark_file_is_open(const struct hark_file *file) { return file->state == FILE_OPEN; }

static void submit_move(struct hark_op *op, struct hark_file *file, enum file_call call,
                        hark_done_fn *done)
{
    bool is_list = call == CALL_READV || call == CALL_WRITEV;
    REQUIRE(file->loop != NULL, "promise 3: an op was submitted on a file that was never opened");
    bool is_wrong = op->u.file.offset < HARK_FILE_POSITION ||
                    (is_list && op->u.file.len > IOV_MAX);
    if (!is_wrong) (void)submit(op, file, call, done);
    else if (begin_op(op, file->loop, call, done)) op_end(file->loop, op, HARK_EINVAL, 0);
}

void (hark_file_read)(struct hark_op *op, struct hark_file *file, void *buf, size_t len,
                      int64_t offset, hark_done_fn *done)
{
    op->u.file.base = buf;
    op->u.file.len = len;
    op->u.file.offset = offset;
    submit_move(op, file, CALL_READ, done);
}

void (hark_file_write)(struct hark_op *op, struct hark_file *file, const void *buf, size_t len,
                       int64_t offset, hark_done_fn *done)
{
    op->u.file.base = (void *)(uintptr_t)buf; /* never written to */
    op->u.file.len = len;
    op->u.file.offset = offset;
    submit_move(op, file, CALL_WRITE, done);
}

void (hark_file_readv)(struct hark_op *op, struct hark_file *file, const struct iovec *slices,
                       size_t count, int64_t offset, hark_done_fn *done)
{
    op->u.file.base = (void *)(uintptr_t)slices;
    op->u.file.len = count;
    op->u.file.offset = offset;
    submit_move(op, file, CALL_READV, done);
}

void (hark_file_writev)(struct hark_op *op, struct hark_file *file, const struct iovec *slices,
                        size_t count, int64_t offset, hark_done_fn *done)
{
    op->u.file.base = (void *)(uintptr_t)slices;
    op->u.file.len = count;
    op->u.file.offset = offset;
    submit_move(op, file, CALL_WRITEV, done);
}

void (hark_file_sync)(struct hark_op *op, struct hark_file *file, hark_done_fn *done)
{
    (void)submit(op, file, CALL_SYNC, done);
}

void (hark_file_datasync)(struct hark_op *op, struct hark_file *file, hark_done_fn *done)
{
    (void)submit(op, file, CALL_DATASYNC, done);
}

void (hark_file_truncate)(struct hark_op *op, struct hark_file *file, int64_t length,
                          hark_done_fn *done)
{
    op->u.file.offset = length;
    (void)submit(op, file, CALL_TRUNCATE, done);
}

void (hark_file_stat)(struct hark_op *op, struct hark_file *file, struct statx *out,
                      hark_done_fn *done)
{
    op->u.file.base = out;
    (void)submit(op, file, CALL_STAT, done);
}

/* Counted on both files. */
void (hark_file_copy)(struct hark_op *op, const struct hark_copy *copy, hark_done_fn *done)
{
    struct hark_file *to = copy->to;
    REQUIRE(to->loop != NULL, "promise 3: an op was submitted on a file that was never opened");
    enum file_state state = copy->from->state;
    bool is_wrong = copy->from_offset < 0 || copy->to_offset < 0;
    op->u.file.base = (void *)(uintptr_t)copy;
    if (!is_wrong && state == FILE_OPEN) {
        copy->from->op_count++;
        if (!submit(op, to, CALL_COPY, done)) copy->from->op_count--;
    } else if (begin_op(op, to->loop, CALL_COPY, done)) {
        op_end(to->loop, op, is_wrong ? HARK_EINVAL : HARK_EBADF, 0);
    }
}

void (hark_dir_read)(struct hark_op *op, struct hark_file *file, void *buf, size_t len,
                     hark_done_fn *done)
{
    op->u.file.base = buf;
    op->u.file.len = len;
    (void)submit(op, file, CALL_READ_DIR, done);
}

void (hark_file_name)(struct hark_op *op, struct hark_file *file, const char *path,
                      hark_done_fn *done)
{
    op->u.path.path = path;
    (void)submit(op, file, CALL_NAME, done);
}

/* The send is counted on the file, too, unless its end is certain already. */
void (hark_send_file)(struct hark_op *op, struct hark_io *io, const struct hark_range *range,
                      hark_done_fn *done)
{
    struct hark_file *file = range->file;
    REQUIRE(io->loop != NULL, "promise 3: an op was submitted on an io that was never opened");
    int64_t error = 0;
    if (io->state != IO_OPEN) error = io->state == IO_DOOMED ? HARK_ECANCELED : HARK_EBADF;
    else if (file->state != FILE_OPEN) error = HARK_EBADF;
    else if (range->offset < 0) error = HARK_EINVAL;
    else error = hark_error_from_os(-sys_set_nonblock(io));
    op->u.sending.range = range;
    op->u.sending.sent = 0;
    op->u.sending.is_for_pool = false;
    op->call = SEND_WAITS;
    if (error != 0) {
        if (op_begin(op, io->loop, OP_REFUSED, done)) op_end(io->loop, op, error, 0);
        return;
    }
    file->op_count++;
    io_submit(op, io, OP_SEND_FILE, done);
}

bool hark_dir_next(const void *buf, int64_t len, size_t *at, struct hark_dir_entry *entry)
{
    while (len > 0 && *at < (size_t)len) {
        const struct call_entry *found = (const void *)((const char *)buf + *at);
        *at += found->d_reclen;
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0) continue;
        *entry = (struct hark_dir_entry){ .name = found->d_name, .inode = found->d_ino,
                                          .type = found->d_type };
        return true;
    }
    return false;
}

/* Paths. */

void (hark_path_stat)(struct hark_op *op, struct hark_loop *loop, const char *path, bool follows,
                      struct statx *out, hark_done_fn *done)
{
    op->u.path.path = path;
    op->u.path.other = out;
    op->u.path.flags = follows ? 0 : AT_SYMLINK_NOFOLLOW;
    submit_path(op, loop, CALL_STAT_PATH, done);
}

void (hark_path_rename)(struct hark_op *op, struct hark_loop *loop, const char *from,
                        const char *to, unsigned flags, hark_done_fn *done)
{
    op->u.path.path = from;
    op->u.path.other = (void *)(uintptr_t)to;
    op->u.path.flags = (int32_t)flags;
    submit_path(op, loop, CALL_RENAME, done);
}

void (hark_path_link)(struct hark_op *op, struct hark_loop *loop, const char *from, const char *to,
                      hark_done_fn *done)
{
    op->u.path.path = from;
    op->u.path.other = (void *)(uintptr_t)to;
    submit_path(op, loop, CALL_LINK, done);
}

void (hark_path_symlink)(struct hark_op *op, struct hark_loop *loop, const char *target,
                         const char *path, hark_done_fn *done)
{
    op->u.path.path = target;
    op->u.path.other = (void *)(uintptr_t)path;
    submit_path(op, loop, CALL_SYMLINK, done);
}

void (hark_path_readlink)(struct hark_op *op, struct hark_loop *loop, const char *path, char *buf,
                          size_t len, hark_done_fn *done)
{
    op->u.path.path = path;
    op->u.path.other = buf;
    op->u.path.mode = len < UINT32_MAX ? (uint32_t)len : UINT32_MAX;
    submit_path(op, loop, CALL_READLINK, done);
}

void (hark_path_unlink)(struct hark_op *op, struct hark_loop *loop, const char *path,
                        hark_done_fn *done)
{
    op->u.path.path = path;
    submit_path(op, loop, CALL_UNLINK, done);
}

void (hark_path_rmdir)(struct hark_op *op, struct hark_loop *loop, const char *path,
                       hark_done_fn *done)
{
    op->u.path.path = path;
    submit_path(op, loop, CALL_RMDIR, done);
}

void (hark_path_mkdir)(struct hark_op *op, struct hark_loop *loop, const char *path, mode_t mode,
                       hark_done_fn *done)
{
    op->u.path.path = path;
    op->u.path.mode = mode;
    submit_path(op, loop, CALL_MKDIR, done);
}

void (hark_path_access)(struct hark_op *op, struct hark_loop *loop, const char *path, int mode,
                        hark_done_fn *done)
{
    op->u.path.path = path;
    op->u.path.flags = mode;
    submit_path(op, loop, CALL_ACCESS, done);
}

void (hark_path_chmod)(struct hark_op *op, struct hark_loop *loop, const char *path, mode_t mode,
                       hark_done_fn *done)
{
    op->u.path.path = path;
    op->u.path.mode = mode;
    submit_path(op, loop, CALL_CHMOD, done);
}

void (hark_path_utimes)(struct hark_op *op, struct hark_loop *loop, const char *path,
                        const struct timespec *times, hark_done_fn *done)
{
    op->u.path.path = path;
    op->u.path.other = (void *)(uintptr_t)times;
    submit_path(op, loop, CALL_UTIMES, done);
}

void (hark_path_truncate)(struct hark_op *op, struct hark_loop *loop, const char *path,
                          int64_t length, hark_done_fn *done)
{
    op->u.path.path = path;
    op->u.file.offset = length; /* where flags and mode lie, which are not wanted */
    submit_path(op, loop, CALL_TRUNCATE_PATH, done);
}

void (hark_path_replace)(struct hark_op *op, struct hark_loop *loop,
                         const struct hark_content *content, hark_done_fn *done)
{
    op->u.path.path = content->path;
    op->u.path.other = (void *)(uintptr_t)content;
    submit_path(op, loop, CALL_REPLACE, done);
}

void (hark_path_copy)(struct hark_op *op, struct hark_loop *loop, const char *from, const char *to,
                      hark_done_fn *done)
{
    op->u.path.path = from;
    op->u.path.other = (void *)(uintptr_t)to;
    submit_path(op, loop, CALL_COPY_PATH, done);
}

/* The seam towards the loop, which is being closed. */
static void shut(struct hark_file *file)
{
    (void)sys_close(file->fd); /* nobody is left to be told */
    leave(file);
}

static void close_all(struct hark_loop *loop)
{
    while (loop->files != NULL) shut(loop->files);
}

const struct file_ops file_seam = { .step = step, .close_all = close_all, .shut = shut };
