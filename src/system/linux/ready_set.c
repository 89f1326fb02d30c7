/* An epoll set with a timerfd in it, which reports changes only (EPOLLET), so that it need not be
 * read. See ready_set.h. */
#include "system/ready_set.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

int ready_set_open(struct ready_set *set)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    set->fd = epoll_create1(EPOLL_CLOEXEC);
    if (set->fd < 0) return -errno;
    set->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (set->timer_fd >= 0 && epoll_ctl(set->fd, EPOLL_CTL_ADD, set->timer_fd, &event) == 0)
        return 0;
    int error = -errno;
    if (set->timer_fd >= 0) (void)close(set->timer_fd); /* neither holds anything to lose */
    (void)close(set->fd);
    return error;
}

void ready_set_close(struct ready_set *set, bool is_inherited)
{
    (void)is_inherited;
    (void)close(set->timer_fd); /* neither holds anything that could be lost */
    (void)close(set->fd);
}

int ready_set_watch(struct ready_set *set, int fd, unsigned want)
{
    struct epoll_event event = { .events = 0 };
    if (want & READY_READ) event.events |= EPOLLIN;
    if (want & READY_WRITE) event.events |= EPOLLOUT;
    if (want == 0) {
        (void)epoll_ctl(set->fd, EPOLL_CTL_DEL, fd, &event); /* or it is not there */
        return 0;
    }
    if (epoll_ctl(set->fd, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
    if (errno == EEXIST && epoll_ctl(set->fd, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
    return -errno;
}

void ready_set_look(struct ready_set *set)
{
    struct epoll_event events[8];
    (void)epoll_wait(set->fd, events, 8, 0); /* what stays so is told again */
}

void ready_set_arm(struct ready_set *set, int64_t when)
{
    struct itimerspec spec = { .it_value = clock_timespec(when) };
    (void)timerfd_settime(set->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL); /* is valid */
}
