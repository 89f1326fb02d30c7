/* What the preloaded heartbeat adds to a turn: epoll_wait in a loop, with time-out 0 and with an
 * event that is ready, the best of some rounds.
 *
 *     bench_stalls_shim                                       without the shim
 *     hark stalls --threshold 1s -- bench_stalls_shim         with it */
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

enum { ROUNDS = 400, CALLS = 1000 };

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double measure(int epfd, int timeout)
{
    struct epoll_event event;
    int64_t best = INT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t before = now_ns();
        for (int j = 0; j < CALLS; j++) epoll_wait(epfd, &event, 1, timeout);
        int64_t spent = now_ns() - before;
        if (spent < best) best = spent;
    }
    return (double)best / CALLS;
}

int main(void)
{
    struct epoll_event event = { .events = EPOLLIN };
    int epfd = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(1, EFD_CLOEXEC);
    epoll_wait(epfd, &event, 1, 1); /* makes a loop of this thread */
    double polls = measure(epfd, 0);
    event.events = EPOLLIN;
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) != 0) return 1;
    double waits = measure(epfd, 1000);
    printf("epoll_wait(0) %.1f ns, epoll_wait with an event %.1f ns\n", polls, waits);
    return 0;
}
