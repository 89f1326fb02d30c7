/* Loops of several makes that wait for a moment, call a function, and wait once more. */
#include "loops.h"

#include <hark/hark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#ifdef HAS_LIBUV
#include <uv.h>
#endif
#ifdef HAS_LIBEVENT
#include <event2/event.h>
#endif

static void (*called)(void);

static void run_epoll(void)
{
    struct epoll_event event;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    epoll_wait(fd, &event, 1, 5);
    called();
    epoll_wait(fd, &event, 1, 5);
    close(fd);
}

static void on_second(struct hark_op *op) { (void)op; }

static void on_first(struct hark_op *op)
{
    called();
    hark_timer(op, op->user, hark_after(op->user, 5 * HARK_MILLISECOND), on_second);
}

static void run_hark(void)
{
    struct hark_loop *loop;
    struct hark_op op = { 0 };
    if (hark_loop_open(&loop, NULL) != 0) exit(4);
    op.user = loop;
    hark_timer(&op, loop, hark_after(loop, 5 * HARK_MILLISECOND), on_first);
    if (hark_run(loop) != 0) exit(4);
    hark_loop_close(loop);
}

#ifdef HAS_LIBUV
static void on_uv_timer(uv_timer_t *timer)
{
    if (uv_timer_get_repeat(timer) != 0) called();
    else uv_close((uv_handle_t *)timer, NULL);
    uv_timer_set_repeat(timer, 0);
    if (!uv_is_closing((uv_handle_t *)timer)) uv_timer_start(timer, on_uv_timer, 5, 0);
}

static void run_libuv(void)
{
    uv_loop_t loop;
    uv_timer_t timer;
    uv_loop_init(&loop);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_uv_timer, 5, 5);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
#endif

#ifdef HAS_LIBEVENT
static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    called();
}

static void on_event_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

static void run_libevent(void)
{
    struct event_base *base = event_base_new();
    event_base_once(base, -1, EV_TIMEOUT, on_event, NULL, &(struct timeval){ .tv_usec = 5000 });
    event_base_once(base, -1, EV_TIMEOUT, on_event_end, NULL,
                    &(struct timeval){ .tv_usec = 10000 });
    event_base_dispatch(base);
    event_base_free(base);
}
#endif

static const struct {
    const char *name;
    void (*run)(void);
} loops[] = {
    { "epoll", run_epoll },
    { "hark", run_hark },
#ifdef HAS_LIBUV
    { "libuv", run_libuv },
#endif
#ifdef HAS_LIBEVENT
    { "libevent", run_libevent },
#endif
};

bool loop_run(const char *name, void (*fn)(void))
{
    called = fn;
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        if (strcmp(loops[i].name, name) != 0) continue;
        loops[i].run();
        return true;
    }
    return false;
}
