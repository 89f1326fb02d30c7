/* A hark loop inside another loop, which polls one descriptor: everything wakes it, nothing is
 * lost, and nothing keeps it awake. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { PATIENCE_MS = 1000 * PATIENCE_S };

/* The foreign loop: polls, and lets hark do a turn. True: done was seen before time was up. */
static bool host_until(const int *count, int wanted)
{
    int64_t until = clock_now() + PATIENCE_S * HARK_SECOND;
    while (*count < wanted && clock_now() < until) {
        if (!is_ready(hark_loop_fd(loop), POLLIN, PATIENCE_MS)) return false;
        ck_assert_int_ge(hark_step(loop, 0), 0);
    }
    return *count >= wanted;
}

/* Turns until nothing is left to be done; they are few. */
static void settle(void)
{
    int turns = 0;
    for (; is_ready(hark_loop_fd(loop), POLLIN, 0); turns++) {
        ck_assert_int_lt(turns, 20);
        ck_assert_int_ge(hark_step(loop, 0), 0);
    }
}

START_TEST(an_idle_loop_keeps_nobody_awake)
{
    struct wire wire;
    struct probe receiving = { 0 }, timer = { 0 };
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    hark_timer(&timer.op, loop, hark_after(loop, 3600 * HARK_SECOND), on_probe);
    settle();
    ck_assert(!is_ready(hark_loop_fd(loop), POLLIN, 30));
    write_all(wire.peer, "abcdefgh", 8); /* full: it may be that there is more */
    ck_assert(host_until(&receiving.calls, 1));
    settle();
    write_all(wire.peer, "more", 4); /* nobody wants it */
    settle();
    ck_assert(!is_ready(hark_loop_fd(loop), POLLIN, 30));
    receiving = (struct probe){ 0 };
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    ck_assert(host_until(&receiving.calls, 1));
    ck_assert_result(&receiving, 4);
    hark_cancel(&timer.op);
    ck_assert(host_until(&timer.calls, 1));
    wire_close(&wire);
}
END_TEST

START_TEST(bytes_and_connections_wake_the_host)
{
    struct wire wire;
    struct listener listener;
    struct probe receiving = { 0 }, sending = { 0 }, accepting = { 0 };
    char buf[8];
    ck_assert_int_ge(hark_loop_fd(loop), 0); /* lent first, and once more below for what was open */
    ck_assert(wire_open(&wire, WIRE_TCP4));
    ck_assert(listener_open(&listener, WIRE_TCP4));
    for (int round = 0; round < 50; round++) {
        receiving = sending = (struct probe){ 0 };
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        if (round % 2 == 0) settle();
        write_all(wire.peer, "hark", 4);
        ck_assert(host_until(&receiving.calls, 1));
        hark_send(&sending.op, &wire.io, "x", 1, on_probe);
        ck_assert(host_until(&sending.calls, 1));
        ck_assert_uint_eq(drain(wire.peer), 1);
    }
    hark_accept(&accepting.op, &listener.io, on_probe);
    settle();
    for (int i = 0; i < 5; i++) {
        int client = listener_dial(&listener);
        ck_assert(host_until(&accepting.calls, i + 1));
        close((int)accepting.result);
        close(client);
    }
    hark_cancel(&accepting.op);
    ck_assert(host_until(&accepting.last_calls, 1));
    close_io(&listener.io);
    wire_close(&wire);
}
END_TEST

START_TEST(what_was_watched_before_wakes_the_host_too)
{
    struct wire wire;
    struct probe receiving = { 0 };
    char buf[8];
    ck_assert(wire_open(&wire, WIRE_UNIX));
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    spin(3);
    settle();
    write_all(wire.peer, "hark", 4);
    ck_assert(host_until(&receiving.calls, 1));
    wire_close(&wire);
}
END_TEST

START_TEST(timers_wake_the_host_and_are_never_early)
{
    struct probe timers[20] = { 0 };
    int64_t start = hark_refresh(loop);
    for (int i = 0; i < 20; i++)
        hark_timer(&timers[i].op, loop, start + (20 - i) * 2 * HARK_MILLISECOND, on_probe);
    int turns = 0;
    while (timers[0].calls == 0) {
        ck_assert(is_ready(hark_loop_fd(loop), POLLIN, PATIENCE_MS));
        ck_assert_int_ge(hark_step(loop, 0), 0);
        ck_assert_int_lt(turns++, 200);
    }
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(timers[i].calls, 1);
        ck_assert_int_ge(timers[i].time_ns, start + (20 - i) * 2 * HARK_MILLISECOND);
    }
}
END_TEST

static void *post_many(void *arg)
{
    struct probe *probes = arg;
    for (int i = 0; i < 200; i++) {
        hark_post(&probes[i].op, loop, on_probe);
        if (i % 16 == 0) usleep(300);
    }
    return NULL;
}

START_TEST(posts_of_other_threads_wake_the_host_and_none_is_lost)
{
    static struct probe posts[200];
    pthread_t thread;
    settle();
    ck_assert_int_eq(pthread_create(&thread, NULL, post_many, posts), 0);
    for (int i = 0; i < 200; i++) ck_assert(host_until(&posts[i].calls, 1));
    pthread_join(thread, NULL);
    settle();
}
END_TEST

static void *write_often(void *arg)
{
    const uint64_t one = 1;
    for (int i = 0; i < 30; i++) {
        usleep(1500); /* so that the host sleeps by then; no harm if not */
        write_all(*(int *)arg, &one, sizeof one);
    }
    return NULL;
}

/* The kernel completes a request for an eventfd in the context of whoever writes that. */
START_TEST(an_eventfd_of_another_thread_wakes_the_host)
{
    struct hark_io io = { 0 };
    pthread_t thread;
    uint64_t count = 0, sum = 0;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_eq(hark_io_adopt(&io, loop, fd), 0);
    settle();
    ck_assert_int_eq(pthread_create(&thread, NULL, write_often, &fd), 0);
    while (sum < 30) {
        struct probe reading = { 0 };
        hark_read(&reading.op, &io, &count, sizeof count, on_probe);
        ck_assert(host_until(&reading.calls, 1));
        ck_assert_result(&reading, 8);
        sum += count;
    }
    pthread_join(thread, NULL);
    close_io(&io);
}
END_TEST

static int64_t work(struct hark_op *op)
{
    (void)op;
    usleep(2000);
    return 7;
}

static int64_t run_fiber(void *arg)
{
    for (int i = 0; i < 3; i++) hark_fiber_sleep(HARK_MILLISECOND);
    *(int *)arg = 1;
    return 0;
}

START_TEST(results_of_threads_files_and_fibers_wake_the_host)
{
    struct probe working = { 0 }, opening = { 0 }, reading = { 0 }, closing = { 0 };
    struct hark_file file = { 0 };
    char buf[8];
    int has_run = 0;
    settle();
    hark_offload(&working.op, loop, HARK_OFFLOAD_WORK, work, on_probe);
    ck_assert(host_until(&working.calls, 1));
    ck_assert_result(&working, 7);
    hark_file_open(&opening.op, &file, loop, "/etc/passwd", O_RDONLY, 0, on_probe);
    ck_assert(host_until(&opening.calls, 1));
    hark_file_read(&reading.op, &file, buf, 4, 0, on_probe);
    ck_assert(host_until(&reading.calls, 1));
    ck_assert_result(&reading, 4);
    hark_file_close(&closing.op, &file, on_probe);
    ck_assert(host_until(&closing.calls, 1));
    ck_assert_int_eq(hark_fiber_start(loop, run_fiber, &has_run), 0);
    ck_assert(host_until(&has_run, 1));
}
END_TEST

/* epoll refuses regular files, which are ready at once. */
START_TEST(a_regular_file_is_ready_at_once_in_a_lent_loop)
{
    struct hark_io io = { 0 };
    struct probe ready = { 0 };
    settle();
    ck_assert_int_eq(hark_io_adopt(&io, loop, open("/etc/passwd", O_RDONLY | O_CLOEXEC)), 0);
    hark_ready(&ready.op, &io, HARK_READABLE, on_probe);
    ck_assert(host_until(&ready.calls, 1));
    settle();
    ck_assert(!is_ready(hark_loop_fd(loop), POLLIN, 20));
    close_io(&io);
}
END_TEST

/* As libuv and libevent do it: an epoll set that the descriptor is in. */
START_TEST(a_host_with_an_epoll_set_of_its_own_is_woken)
{
    struct wire wire;
    char buf[8];
    ck_assert(wire_open(&wire, WIRE_TCP4));
    int host = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN };
    ck_assert_int_eq(epoll_ctl(host, EPOLL_CTL_ADD, hark_loop_fd(loop), &event), 0);
    for (int round = 0; round < 20; round++) {
        struct probe receiving = { 0 }, timer = { 0 };
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        hark_timer(&timer.op, loop, hark_refresh(loop) + 3 * HARK_MILLISECOND, on_probe);
        settle();
        if (round % 2 == 0) write_all(wire.peer, "hark", 4);
        while (timer.calls == 0 || (round % 2 == 0 && receiving.calls == 0)) {
            ck_assert_int_eq(epoll_wait(host, &event, 1, PATIENCE_MS), 1);
            ck_assert_int_ge(hark_step(loop, 0), 0);
        }
        if (round % 2 != 0) {
            hark_cancel(&receiving.op);
            ck_assert(host_until(&receiving.calls, 1));
        }
    }
    close(host);
    wire_close(&wire);
}
END_TEST

START_TEST(a_lent_loop_can_be_run_as_ever)
{
    struct probe timer = { 0 }, later = { 0 };
    int fd = hark_loop_fd(loop);
    hark_timer(&timer.op, loop, hark_after(loop, HARK_MILLISECOND), on_probe);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(timer.calls, 1);
    ck_assert_int_eq(hark_loop_fd(loop), fd);
    hark_timer(&later.op, loop, hark_after(loop, HARK_MILLISECOND), on_probe);
    ck_assert(host_until(&later.calls, 1));
}
END_TEST

static void *post_one(void *arg)
{
    hark_post(arg, loop, on_probe);
    return NULL;
}

/* The host keeps the descriptor, as it may. */
START_TEST(what_comes_after_a_run_of_a_lent_loop_wakes_the_host)
{
    struct probe brief = { 0 }, later = { 0 }, post = { 0 };
    pthread_t thread;
    int fd = hark_loop_fd(loop);
    hark_timer(&brief.op, loop, hark_after(loop, HARK_MILLISECOND), on_probe);
    hark_timer(&later.op, loop, hark_after(loop, 20 * HARK_MILLISECOND), on_probe);
    hark_background(&later.op);
    ck_assert_int_eq(hark_run(loop), 0);
    while (later.calls == 0) {
        ck_assert(is_ready(fd, POLLIN, PATIENCE_MS));
        ck_assert_int_ge(hark_step(loop, 0), 0);
    }
    hark_nop(&brief.op, loop, on_probe);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, post_one, &post.op), 0);
    while (post.calls == 0) {
        ck_assert(is_ready(fd, POLLIN, PATIENCE_MS));
        ck_assert_int_ge(hark_step(loop, 0), 0);
    }
    pthread_join(thread, NULL);
}
END_TEST

static void lend_then(struct probe *probe) { *(int *)probe->arg = hark_loop_fd(loop); }

START_TEST(a_loop_that_is_lent_in_a_callback_wakes_the_host)
{
    int fd = -1;
    struct probe lending = { .then = lend_then, .arg = &fd }, timer = { 0 };
    hark_nop(&lending.op, loop, on_probe);
    hark_timer(&timer.op, loop, hark_after(loop, 20 * HARK_MILLISECOND), on_probe);
    while (fd < 0) ck_assert_int_ge(hark_step(loop, 0), 0);
    while (timer.calls == 0) {
        ck_assert(is_ready(fd, POLLIN, PATIENCE_MS));
        ck_assert_int_ge(hark_step(loop, 0), 0);
    }
}
END_TEST

START_TEST(a_turn_of_a_lent_loop_sleeps_as_long_as_it_may)
{
    struct probe timer = { 0 };
    int turns = 0;
    settle();
    hark_timer(&timer.op, loop, hark_refresh(loop) + 50 * HARK_MILLISECOND, on_probe);
    for (; timer.calls == 0; turns++) ck_assert_int_ge(hark_step(loop, -1), 0);
    ck_assert_int_le(turns, 10); /* a wake-up without a cause may come, and not always */
}
END_TEST

Suite *group_foreign(void)
{
    Suite *suite = suite_create("foreign");
    EACH_WIRE(suite, an_idle_loop_keeps_nobody_awake);
    CASE(suite, bytes_and_connections_wake_the_host);
    CASE(suite, what_was_watched_before_wakes_the_host_too);
    CASE(suite, timers_wake_the_host_and_are_never_early);
    CASE(suite, posts_of_other_threads_wake_the_host_and_none_is_lost);
    CASE(suite, an_eventfd_of_another_thread_wakes_the_host);
    CASE(suite, results_of_threads_files_and_fibers_wake_the_host);
    CASE(suite, a_regular_file_is_ready_at_once_in_a_lent_loop);
    CASE(suite, a_host_with_an_epoll_set_of_its_own_is_woken);
    CASE(suite, a_lent_loop_can_be_run_as_ever);
    CASE(suite, what_comes_after_a_run_of_a_lent_loop_wakes_the_host);
    CASE(suite, a_loop_that_is_lent_in_a_callback_wakes_the_host);
    CASE(suite, a_turn_of_a_lent_loop_sleeps_as_long_as_it_may);
    return suite;
}
