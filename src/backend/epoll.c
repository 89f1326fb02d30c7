/* epoll(7), level-triggered. Its vices, and who hides them:
 *
 *  a. A descriptor closed while a copy is open elsewhere keeps reporting: the close protocol
 *     forgets an io before it closes it.
 *  b. EPOLLHUP and EPOLLERR come unasked: readiness.c drops an io that nobody wants.
 *  c. Regular files are refused with EPERM: readiness.c takes them as always ready.
 *  d. epoll_wait counts milliseconds: epoll_pwait2 (Linux 5.11) counts nanoseconds; without it the
 *     sleep is rounded up.
 *
 * The wake descriptor is edge-triggered, so that nobody has to read it. */
#include "backend/poller.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"

struct epoll {
    int fd;
    bool lacks_pwait2;
    struct epoll_event events[LIMIT_EVENTS];
};

static int epoll_open(struct poller *poller)
{
    struct epoll *e = backend_resize(poller->backend, NULL, 0, sizeof *e);
    if (e == NULL) return -ENOMEM;
    e->lacks_pwait2 = false;
    e->fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->fd < 0) {
        int error = -errno;
        backend_resize(poller->backend, e, sizeof *e, 0);
        return error;
    }
    poller->state = e;
    return 0;
}

static void epoll_close(struct poller *poller)
{
    struct epoll *e = poller->state;
    (void)close(e->fd); /* holds nothing that could be lost */
    backend_resize(poller->backend, e, sizeof *e, 0);
}

static int epoll_set(struct poller *poller, struct hark_io *io, unsigned want)
{
    struct epoll *e = poller->state;
    struct epoll_event event = { .data.ptr = io };
    if (want & WATCH_READ) event.events |= EPOLLIN | EPOLLRDHUP;
    if (want & WATCH_WRITE) event.events |= EPOLLOUT;
    if (io->flags & IO_EDGE) event.events |= EPOLLET;
    int verb = want == 0 ? EPOLL_CTL_DEL : io->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    return epoll_ctl(e->fd, verb, io->fd, &event) == 0 ? 0 : -errno;
}

static int sleep_and_take(struct epoll *e, int64_t timeout_ns, int room)
{
    if (timeout_ns > 0 && !e->lacks_pwait2) {
        struct timespec ts = clock_timespec(timeout_ns);
        long count = syscall(SYS_epoll_pwait2, e->fd, e->events, room, &ts, NULL, 0);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return (int)count;
        e->lacks_pwait2 = true; /* an older kernel, or a filter that does not know the call */
    }
    return epoll_wait(e->fd, e->events, room, clock_ms_round_up(timeout_ns));
}

static unsigned mask_of(uint32_t bits)
{
    unsigned mask = 0;
    if (bits & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) mask |= WATCH_READ;
    if (bits & (EPOLLOUT | EPOLLERR | EPOLLHUP)) mask |= WATCH_WRITE;
    return mask;
}

static int epoll_poll(struct poller *poller, int64_t timeout_ns, unsigned most)
{
    struct epoll *e = poller->state;
    int room = most < LIMIT_EVENTS ? (int)most : LIMIT_EVENTS;
    int count = sleep_and_take(e, timeout_ns, room);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (struct epoll_event *at = e->events, *end = at + count; at < end; at++) {
        if (HARK_LIKELY(at->events == EPOLLIN)) poller_ready(poller, at->data.ptr, WATCH_READ);
        else poller_ready(poller, at->data.ptr, mask_of(at->events));
    }
    return 0;
}

static int epoll_kernel_fd(const struct poller *poller)
{
    const struct epoll *e = poller->state;
    return e->fd;
}

const struct poller_ops epoll_poller = {
    .has_edges = true,
    .open = epoll_open, .close = epoll_close, .set = epoll_set, .poll = epoll_poll,
    .kernel_fd = epoll_kernel_fd,
};
