/* Stands between the library and the system: each function of wrapped.txt counts its calls, and
 * fails when its turn has come, with an error that the kernel really gives there. A failing call
 * does nothing, except where the kernel would have done its work all the same (close, connect). */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef HARK_WITH_KQUEUE
#include <sys/event.h>
#endif
#ifdef HARK_WITH_URING
#include <liburing.h>

#include "backend/backend.h"
#endif

static struct {
    unsigned call_index, error_index, seen;
    bool has_fired;
    int error;
    const char *what;
} plan;

static _Thread_local int armed; /* the library's calls on this thread count */

void inject_arm(unsigned call_index, unsigned error_index)
{
    plan.call_index = call_index;
    plan.error_index = error_index;
    plan.seen = 0;
    plan.has_fired = false;
    plan.what = "nothing";
    armed = 1;
}

unsigned inject_disarm(void)
{
    armed = 0;
    return plan.seen;
}

void inject_pause(void) { armed--; }
void inject_resume(void) { armed++; }
bool inject_has_fired(void) { return plan.has_fired; }
const char *inject_what(void) { return plan.what; }

int inject_error(const char *what, const int *errors)
{
    if (armed != 1 || ++plan.seen != plan.call_index) return 0;
    for (unsigned i = 0; i <= plan.error_index; i++)
        if (errors[i] == 0) return 0; /* it has fewer */
    plan.has_fired = true;
    plan.what = what;
    plan.error = errors[plan.error_index];
    return plan.error;
}

static bool fails(const char *what, const int *errors)
{
    int error = inject_error(what, errors);
    if (error == 0) return false;
    errno = error;
    return true;
}

/* A function of the C library that says -1 and sets errno. */
#define WRAP(type, name, parameters, arguments, ...)               \
    type __real_##name parameters;                                 \
    type __wrap_##name parameters;                                 \
    type __wrap_##name parameters                                  \
    {                                                              \
        static const int errors[ERRORS_MAX + 1] = { __VA_ARGS__ }; \
        if (fails(#name, errors)) return -1;                       \
        return __real_##name arguments;                            \
    }

WRAP(int, accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags),
     (fd, addr, len, flags), EMFILE, ENOMEM, ECONNABORTED, EINTR, EAGAIN, EPROTO)
WRAP(int, bind, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len), EADDRINUSE,
     ENOMEM)
WRAP(int, epoll_create1, (int flags), (flags), EMFILE, ENFILE, ENOMEM)
WRAP(int, epoll_wait, (int fd, struct epoll_event *events, int room, int timeout_ms),
     (fd, events, room, timeout_ms), EINTR)
WRAP(int, eventfd, (unsigned count, int flags), (count, flags), EMFILE, ENFILE, ENOMEM)
WRAP(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
     (fd, level, name, value, len), ENOBUFS)
WRAP(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask), ENOSPC,
     ENOMEM, EACCES)
WRAP(int, inotify_init1, (int flags), (flags), EMFILE, ENFILE, ENOMEM)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), EADDRINUSE)
WRAP(int, pipe, (int *fds), (fds), EMFILE, ENFILE)
WRAP(int, pipe2, (int *fds, int flags), (fds, flags), EMFILE, ENFILE)
WRAP(int, poll, (struct pollfd *fds, nfds_t count, int timeout_ms), (fds, count, timeout_ms), EINTR,
     ENOMEM)
WRAP(int, ppoll, (struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                  const sigset_t *mask), (fds, count, timeout, mask), EINTR, ENOMEM)
WRAP(int, pselect, (int top, fd_set *read, fd_set *write, fd_set *other,
                    const struct timespec *timeout, const sigset_t *mask),
     (top, read, write, other, timeout, mask), EINTR, ENOMEM)
WRAP(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len), EINTR)
WRAP(ssize_t, write, (int fd, const void *buf, size_t len), (fd, buf, len), EINTR)
WRAP(ssize_t, recv, (int fd, void *buf, size_t len, int flags), (fd, buf, len, flags), EINTR,
     EAGAIN, ECONNRESET, ENOMEM)
WRAP(int, recvmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags,
                     struct timespec *timeout), (fd, messages, count, flags, timeout), EINTR,
     EAGAIN, ECONNREFUSED, ENOMEM)
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), EINTR,
     EAGAIN, ECONNREFUSED, ENOMEM)
WRAP(ssize_t, send, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags), EINTR,
     EAGAIN, EPIPE, ECONNRESET, ENOBUFS)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
     EINTR, EAGAIN, EPIPE, ENOBUFS, EPERM)
WRAP(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags),
     (fd, messages, count, flags), EINTR, EAGAIN, EINVAL, EIO, ENOBUFS, EPERM)
WRAP(ssize_t, splice, (int from, off64_t *from_offset, int to, off64_t *to_offset, size_t len,
                       unsigned flags), (from, from_offset, to, to_offset, len, flags), EAGAIN,
     EINVAL, ENOMEM)
WRAP(int, shutdown, (int fd, int how), (fd, how), ENOTCONN)
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE, ENFILE,
     ENOBUFS, ENOMEM, EAFNOSUPPORT, EACCES)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), EMFILE, ENFILE, ENOMEM)

/* To be told to be quiet, a socket needs nothing that could be missing. */
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    static const int errors[] = { ENOBUFS, 0 };
#ifdef SO_NOSIGPIPE
    if (level == SOL_SOCKET && name == SO_NOSIGPIPE)
        return __real_setsockopt(fd, level, name, value, len);
#endif
    return fails("setsockopt", errors) ? -1 : __real_setsockopt(fd, level, name, value, len);
}

/* The descriptor is gone whatever close(2) says. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    static const int errors[] = { EINTR, EIO, 0 };
    bool is_failing = fails("close", errors);
    int error = errno, result = __real_close(fd);
    if (!is_failing) return result;
    errno = error;
    return -1;
}

/* What the child calls is not counted: it would not be in the next run's count either. */
pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
    static const int errors[] = { EAGAIN, ENOMEM, 0 };
    if (fails("fork", errors)) return -1;
    pid_t pid = __real_fork();
    if (pid == 0) armed = 0;
    return pid;
}

/* After EINTR a connect goes on by itself. */
int __real_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    static const int errors[] = { EINTR, ECONNREFUSED, EADDRNOTAVAIL, ENETUNREACH, ENOMEM, 0 };
    bool is_failing = fails("connect", errors);
    int error = errno;
    if (is_failing && error != EINTR) return -1;
    int result = __real_connect(fd, addr, len);
    if (!is_failing) return result;
    errno = error;
    return -1;
}

/* EPOLL_CTL_DEL needs nothing that could be missing. */
int __real_epoll_ctl(int epoll_fd, int verb, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int verb, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int verb, int fd, struct epoll_event *event)
{
    static const int errors[] = { ENOMEM, ENOSPC, 0 };
    if (verb != EPOLL_CTL_DEL && fails("epoll_ctl", errors)) return -1;
    return __real_epoll_ctl(epoll_fd, verb, fd, event);
}

int __real_fcntl(int fd, int verb, ...);
int __wrap_fcntl(int fd, int verb, ...);
int __wrap_fcntl(int fd, int verb, ...)
{
    static const int errors[] = { EPERM, 0 }; /* what a security module says */
    va_list arguments;
    va_start(arguments, verb);
    int value = va_arg(arguments, int);
    va_end(arguments);
    return fails("fcntl", errors) ? -1 : __real_fcntl(fd, verb, value);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    static const int errors[] = { EMFILE, ENFILE, ENOENT, 0 };
    return fails("open", errors) ? -1 : __real_open(path, flags);
}

/* epoll_pwait2, and what else has no wrapper in the C library. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
/* Six are read, as the C library does, however few there are, unseen by the address sanitizer. */
__attribute__((no_sanitize_address)) long __wrap_syscall(long number, ...)
{
    static const int sleep_errors[] = { EINTR, ENOSYS, EPERM, 0 }, other_errors[] = { ENOMEM, 0 };
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (fails("syscall", number == SYS_epoll_pwait2 ? sleep_errors : other_errors)) return -1;
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

void *__real_realloc(void *ptr, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes)
{
    static const int errors[] = { ENOMEM, 0 };
    return fails("realloc", errors) ? NULL : __real_realloc(ptr, bytes);
}

int __real_pthread_attr_init(pthread_attr_t *attributes);
int __wrap_pthread_attr_init(pthread_attr_t *attributes);
int __wrap_pthread_attr_init(pthread_attr_t *attributes)
{
    static const int errors[] = { ENOMEM, 0 };
    int error = inject_error("pthread_attr_init", errors);
    return error != 0 ? error : __real_pthread_attr_init(attributes);
}

typedef void *thread_main(void *arg);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main *fn,
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main *fn,
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main *fn,
                          void *arg)
{
    static const int errors[] = { EAGAIN, 0 };
    int error = inject_error("pthread_create", errors);
    return error != 0 ? error : __real_pthread_create(thread, attributes, fn, arg);
}

#ifdef HARK_WITH_KQUEUE
WRAP(int, kqueue, (void), (), EMFILE, ENFILE, ENOMEM)

/* EV_DELETE needs nothing that could be missing. A change that fails in a call that also waits is
 * told in the event list; a wait is interrupted when all changes are made. */
int __real_kevent(int fd, const struct kevent *changes, int change_count, struct kevent *events,
                  int room, const struct timespec *timeout);
int __wrap_kevent(int fd, const struct kevent *changes, int change_count, struct kevent *events,
                  int room, const struct timespec *timeout);
int __wrap_kevent(int fd, const struct kevent *changes, int change_count, struct kevent *events,
                  int room, const struct timespec *timeout)
{
    static const struct timespec at_once;
    static const int wait_errors[] = { EINTR, ENOMEM, 0 }, change_errors[] = { ENOMEM, EINTR, 0 },
                     told_errors[] = { ENOMEM, EBADF, EPIPE, 0 };
    bool has_add = change_count > 0 && changes[0].flags & EV_ADD;
    if (change_count == 0 && fails("kevent", wait_errors)) return -1;
    if (has_add && room == 0 && fails("kevent, a change", change_errors)) return -1;
    if (has_add && room > 0 && fails("kevent, a change of many", told_errors)) {
        events[0] = changes[0];
        events[0].flags |= EV_ERROR;
        events[0].data = errno;
        int more = __real_kevent(fd, changes + 1, change_count - 1, events + 1, room - 1, &at_once);
        return more > 0 ? more + 1 : 1;
    }
    return __real_kevent(fd, changes, change_count, events, room, timeout);
}
#endif

#ifdef HARK_WITH_URING
/* A function of liburing that says a negative errno. */
#define WRAP_RING(name, parameters, arguments, ...)                \
    int __real_##name parameters;                                  \
    int __wrap_##name parameters;                                  \
    int __wrap_##name parameters                                   \
    {                                                              \
        static const int errors[ERRORS_MAX + 1] = { __VA_ARGS__ }; \
        int error = inject_error(#name, errors);                   \
        return error != 0 ? -error : __real_##name arguments;      \
    }

WRAP_RING(io_uring_queue_init_params,
          (unsigned entries, struct io_uring *ring, struct io_uring_params *params),
          (entries, ring, params), ENOMEM, EPERM, ENOSYS, EMFILE, EINVAL)
WRAP_RING(io_uring_register_buf_ring,
          (struct io_uring *ring, struct io_uring_buf_reg *reg, unsigned flags), (ring, reg, flags),
          ENOMEM, EINVAL, EEXIST)
WRAP_RING(io_uring_ring_dontfork, (struct io_uring *ring), (ring), ENOMEM)
WRAP_RING(io_uring_submit, (struct io_uring *ring), (ring), EBUSY, EAGAIN, EINTR, ENOMEM)
WRAP_RING(io_uring_submit_and_get_events, (struct io_uring *ring), (ring), EBUSY, EAGAIN, EINTR,
          ENOMEM)

struct io_uring_probe *__real_io_uring_get_probe_ring(struct io_uring *ring);
struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring);
struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring)
{
    static const int errors[] = { ENOMEM, 0 };
    return fails("io_uring_get_probe_ring", errors) ? NULL : __real_io_uring_get_probe_ring(ring);
}

static bool may_fail(const struct io_uring_cqe *cqe)
{
    if (cqe->user_data < 4096 || cqe->user_data == LIBURING_UDATA_TIMEOUT) return false;
    const struct hark_op *op = (const void *)(uintptr_t)cqe->user_data;
    bool is_data = op->kind == OP_RECV || op->kind == OP_RECVFROM || op->kind == OP_CONNECT ||
                   op->kind == OP_SEND || op->kind == OP_SENDV || op->kind == OP_SENDTO ||
                   op->kind == OP_SEND_FILE;
    return is_data && cqe->res >= 0 && !(cqe->flags & IORING_CQE_F_MORE);
}

/* The ring's own way to fail: a completion that brings an error. */
static void spoil_completions(struct io_uring *ring)
{
    static const int errors[] = { ENOMEM, ECONNRESET, ENOBUFS, 0 };
    struct io_uring_cqe *cqe;
    unsigned head;
    io_uring_for_each_cqe(ring, head, cqe) {
        int error = may_fail(cqe) ? inject_error("a completion", errors) : 0;
        if (error != 0) cqe->res = -error;
    }
}

int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned count);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned count);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned count)
{
    static const int errors[] = { EINTR, EBUSY, EAGAIN, ENOMEM, 0 };
    int error = inject_error("io_uring_submit_and_wait", errors);
    int result = error != 0 ? -error : __real_io_uring_submit_and_wait(ring, count);
    spoil_completions(ring);
    return result;
}

int __real_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
                                            unsigned count, struct __kernel_timespec *timeout,
                                            sigset_t *mask);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
                                            unsigned count, struct __kernel_timespec *timeout,
                                            sigset_t *mask);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
                                            unsigned count, struct __kernel_timespec *timeout,
                                            sigset_t *mask)
{
    static const int errors[] = { EINTR, EBUSY, EAGAIN, ENOMEM, 0 };
    int error = inject_error("io_uring_submit_and_wait_timeout", errors), result = -error;
    if (error == 0)
        result = __real_io_uring_submit_and_wait_timeout(ring, cqe, count, timeout, mask);
    spoil_completions(ring);
    return result;
}
#endif
