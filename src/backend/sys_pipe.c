/* Reading and writing pipes, FIFOs, terminals and the like, each tried once without blocking.
 *
 * O_NONBLOCK belongs to the open description, which another process may share: it is used where
 * it is set, and never set here. Without it a call is made that says EAGAIN by itself
 * (RWF_NOWAIT); where the kernel has none for this kind of descriptor, poll(2) tells first
 * whether the plain call would wait, and a write is no longer than what poll promises. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "backend/sys.h"

static bool is_ready(int fd, short events)
{
    struct pollfd wanted = { .fd = fd, .events = events };
    return poll(&wanted, 1, 0) > 0;
}

static mode_t type_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

/* RWF_NOWAIT has failed: would the plain call do? A regular file has nothing in memory, and the
 * disk answers soon. A pipe that says EAGAIN is empty, or full: to ask poll(2) and then trust it
 * would block the loop when another process is quicker. Others do not know the flag. */
static bool wants_plain(int fd, short events)
{
    if (errno == EAGAIN) return type_of(fd) == S_IFREG;
    return (errno == EOPNOTSUPP || errno == EINVAL) && is_ready(fd, events);
}

int64_t sys_try_read(struct hark_op *op)
{
    int fd = op->on.io->fd;
    size_t len = sys_short_len(op->u.buf.len);
    struct iovec slice = { op->u.buf.base, len };
    bool is_nonblock = op->on.io->flags & IO_IS_NONBLOCK;
    ssize_t n;
    do {
        n = is_nonblock ? read(fd, slice.iov_base, len) : call_read_now(fd, &slice);
        if (n < 0 && !is_nonblock) {
            bool is_unknown = errno == EOPNOTSUPP;
            if (wants_plain(fd, POLLIN)) n = read(fd, slice.iov_base, len);
            else if (is_unknown) errno = EAGAIN;
        }
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* A description of the terminal's own for one write, with O_NONBLOCK: poll(2) promises one byte of
 * room and no more, and a byte may become two on its way. -1: not to be had, as for the master side
 * of a pty, which would be opened as a new one. */
static int open_terminal_again(int fd)
{
    if (!isatty(fd) || call_is_master_terminal(fd)) return -1;
    return call_open_again(fd, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static ssize_t write_terminal(int fd, const char *base, size_t len)
{
    int again = open_terminal_again(fd);
    if (again < 0) return write(fd, base, 1);
    ssize_t n = write(again, base, len);
    int error = errno;
    (void)sys_close(again); /* another description of what stays open */
    errno = error;
    return n;
}

static ssize_t write_some(const struct hark_io *io, const char *base, size_t len)
{
    struct iovec slice = { (char *)(uintptr_t)base, sys_short_len(len) };
    if (io->flags & IO_IS_NONBLOCK) return write(io->fd, base, slice.iov_len);
    ssize_t n = call_write_now(io->fd, &slice);
    if (n >= 0) return n;
    bool is_unknown = errno == EOPNOTSUPP;
    if (!wants_plain(io->fd, POLLOUT)) {
        if (is_unknown) errno = EAGAIN;
        return n;
    }
    mode_t type = type_of(io->fd);
    if (type == S_IFCHR && isatty(io->fd)) return write_terminal(io->fd, base, slice.iov_len);
    bool is_short = type == S_IFIFO && slice.iov_len > PIPE_BUF;
    return write(io->fd, base, is_short ? PIPE_BUF : slice.iov_len);
}

void sys_hush_begin(struct sys_hush *hush)
{
    sigset_t pipe, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &hush->before);
    hush->was_pending = false;
    if (!sigismember(&hush->before, SIGPIPE)) return; /* it would have been delivered */
    sigpending(&pending);
    hush->was_pending = sigismember(&pending, SIGPIPE);
}

void sys_hush_end(struct sys_hush *hush, bool is_raised)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (is_raised && !hush->was_pending)
        while (call_take_signal(&pipe) < 0 && errno == EINTR) {}
    pthread_sigmask(SIG_SETMASK, &hush->before, NULL);
}

static ssize_t write_quietly(const struct hark_io *io, const char *base, size_t len)
{
    struct sys_hush hush;
    sys_hush_begin(&hush);
    ssize_t n = write_some(io, base, len);
    int error = errno;
    sys_hush_end(&hush, n < 0 && error == EPIPE);
    errno = error;
    return n;
}

int64_t sys_try_write(struct hark_op *op)
{
    size_t len = op->u.buf.len;
    while (op->u.buf.moved < len) { /* each round moves bytes, or ends */
        ssize_t n = write_quietly(op->on.io, op->u.buf.base + op->u.buf.moved,
                                  len - op->u.buf.moved);
        if (n >= 0) op->u.buf.moved += (size_t)n;
        else if (errno != EINTR) return -errno;
    }
    return (int64_t)len;
}
