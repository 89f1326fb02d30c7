/* The posting benchmark by hand: a locked queue, and an eventfd that is written when the queue was
 * empty and read by a bare epoll loop. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "post.h"

static int epoll, wake;
static bool is_stopped;

void post_open(uint32_t count, const char *arg)
{
    (void)arg;
    struct epoll_event event = { .events = EPOLLIN };
    post_queue_open(count);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll < 0 || wake < 0) post_die("eventfd");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event) != 0) post_die("epoll_ctl");
}

void post_item(uint32_t item)
{
    uint64_t one = 1;
    if (!post_queue_push(item)) return;
    if (write(wake, &one, sizeof one) != (ssize_t)sizeof one) post_die("write");
}

void post_run(void)
{
    while (!is_stopped) {
        struct epoll_event event;
        uint64_t writes;
        if (epoll_wait(epoll, &event, 1, -1) != 1) continue; /* interrupted */
        if (read(wake, &writes, sizeof writes) != (ssize_t)sizeof writes) post_die("read");
        post_queue_drain();
    }
}

void post_stop(void) { is_stopped = true; }
