/* A loop on a bare system call, with stalls planted: loop_bare CALL STALL... */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <time.h>

#include "plant.h"

static int epfd, fds[2];
static struct pollfd polls[2];

static int wait_epoll(int ms)
{
    struct epoll_event events[4];
    return epoll_wait(epfd, events, 4, ms);
}

static int wait_pwait(int ms)
{
    struct epoll_event events[4];
    return epoll_pwait(epfd, events, 4, ms, NULL);
}

static int wait_pwait2(int ms)
{
    struct epoll_event events[4];
    struct timespec timeout = { ms / 1000, ms % 1000 * 1000000 };
    return epoll_pwait2(epfd, events, 4, &timeout, NULL);
}

static int wait_poll(int ms)
{
    return poll(polls, 2, ms);
}

static int wait_ppoll(int ms)
{
    struct timespec timeout = { ms / 1000, ms % 1000 * 1000000 };
    return ppoll(polls, 2, &timeout, NULL);
}

static int wait_select(int ms)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fds[0], &set);
    FD_SET(fds[1], &set);
    struct timeval timeout = { ms / 1000, ms % 1000 * 1000 };
    return select(fds[1] + 1, &set, NULL, NULL, &timeout);
}

static int wait_pselect(int ms)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fds[0], &set);
    FD_SET(fds[1], &set);
    struct timespec timeout = { ms / 1000, ms % 1000 * 1000000 };
    return pselect(fds[1] + 1, &set, NULL, NULL, &timeout, NULL);
}

/* No loop at all: it only sleeps. */
static int wait_none(int ms)
{
    return nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static const struct { const char *name; int (*wait)(int ms); } calls[] = {
    { "epoll_wait", wait_epoll }, { "epoll_pwait", wait_pwait }, { "epoll_pwait2", wait_pwait2 },
    { "poll", wait_poll }, { "ppoll", wait_ppoll }, { "select", wait_select },
    { "pselect", wait_pselect }, { "none", wait_none },
};

int main(int argc, char **argv)
{
    int (*wait)(int ms) = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, argv[1]) == 0) wait = calls[i].wait;
    if (wait == NULL) return 2;
    epfd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < 2; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC);
        polls[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
    }
    plant_begin(argc, argv, 2);
    for (int i = 0; i < 20; i++) wait(5); /* poll makes a loop only of who does it often */
    int ms;
    while ((ms = plant_step()) >= 0)
        if (wait(ms) < 0) plant_failed(argv[1]);
    return plant_end();
}
