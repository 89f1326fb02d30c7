/* What keeps hark_run() running, what ends it, and promise 10: an idle loop costs nothing. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

START_TEST(a_run_without_a_reason_returns_at_once)
{
    int64_t start = clock_now();
    for (int i = 0; i < 3; i++) ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_lt(clock_now() - start, 5 * HARK_SECOND);
}
END_TEST

START_TEST(an_open_io_without_an_op_keeps_nothing_running)
{
    struct wire wire;
    struct listener listener;
    ck_assert(wire_open(&wire, WIRE_TCP4));
    ck_assert(listener_open(&listener, WIRE_UNIX));
    ck_assert_int_eq(hark_run(loop), 0);
    close_io(&listener.io);
    wire_close(&wire);
}
END_TEST

static void cancel_other(struct probe *probe) { hark_cancel(probe->arg); }

START_TEST(a_run_lasts_until_the_last_callback_of_each_op)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 }, timer = { .then = cancel_other, .arg = &probe.op };
        scene_submit(&scene, &probe, 0);
        hark_timer(&timer.op, loop, hark_refresh(loop) + HARK_MILLISECOND, on_probe);
        ck_assert_int_eq(hark_run(loop), 0);
        ck_claim(timer.last_calls == 1 && probe.last_calls == 1);
    }
}
END_TEST

START_TEST(an_op_in_the_background_is_no_reason_to_stay)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 }, timer = { 0 };
        scene_submit(&scene, &probe, 0);
        hark_background(&probe.op);
        hark_background(&probe.op); /* twice is once */
        ck_assert_int_eq(hark_run(loop), 0);
        ck_claim(probe.calls == 0 && hark_is_alive(&probe.op));
        hark_timer(&timer.op, loop, hark_refresh(loop) + HARK_MILLISECOND, on_probe);
        ck_assert_int_eq(hark_run(loop), 0);
        ck_claim(timer.calls == 1 && probe.calls == 0);
        hark_cancel(&probe.op);
        await(&probe);
        probe.calls = probe.last_calls = 0; /* it held for one submission */
        bool is_spent = strncmp(doing, "connect", 7) == 0;
        if (is_spent) continue;
        timer.last_calls = 0;
        timer.then = cancel_other;
        timer.arg = &probe.op;
        scene_submit(&scene, &probe, 0);
        hark_timer(&timer.op, loop, hark_refresh(loop) + HARK_MILLISECOND, on_probe);
        hark_background(&timer.op);
        ck_assert_int_eq(hark_run(loop), 0);
        ck_claim(probe.last_calls == 1);
    }
}
END_TEST

START_TEST(background_of_an_idle_op_does_nothing)
{
    struct probe probe = { 0 };
    hark_background(&probe.op);
    hark_nop(&probe.op, loop, on_probe);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(probe.calls, 1);
}
END_TEST

/* Also of a post that the loop has not taken yet: it keeps running for the others. */
START_TEST(a_post_in_the_background_still_calls_back)
{
    struct probe post = { 0 }, timer = { 0 };
    hark_post(&post.op, loop, on_probe);
    hark_background(&post.op);
    hark_timer(&timer.op, loop, hark_refresh(loop) + HARK_MILLISECOND, on_probe);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(timer.calls, 1);
    ck_assert_int_eq(post.calls, 1);
    ck_assert_int_eq(hark_run(loop), 0);
}
END_TEST

static void unhold_one(struct probe *probe)
{
    hark_unhold(loop);
    if (probe->calls == 2) hark_cancel(&probe->op);
}

START_TEST(each_hold_wants_its_unhold)
{
    struct probe every = { .then = unhold_one };
    hark_hold(loop);
    hark_hold(loop);
    hark_hold(loop);
    hark_timer_every(&every.op, loop, hark_refresh(loop), HARK_MILLISECOND, on_probe);
    hark_background(&every.op);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(every.calls, 3); /* two moments and the cancel */
}
END_TEST

static void stop_loop(struct probe *probe)
{
    hark_stop(hark_op_loop(&probe->op));
}

START_TEST(stop_ends_the_run_after_the_turn_that_it_is_in)
{
    struct probe first = { .then = stop_loop }, second = { 0 }, far = { 0 };
    hark_timer(&far.op, loop, hark_after(loop, 1000 * HARK_SECOND), on_probe);
    hark_nop(&first.op, loop, on_probe);
    hark_nop(&second.op, loop, on_probe);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(first.calls, 1);
    ck_assert_int_eq(second.calls, 1);
    ck_assert_int_eq(far.calls, 0);
    hark_cancel(&far.op);
    ck_assert_int_eq(hark_run(loop), 0); /* a stop ends one run */
    ck_assert_int_eq(far.calls, 1);
}
END_TEST

START_TEST(stop_before_the_run_ends_it_at_once_and_once)
{
    struct probe nothing = { 0 };
    hark_nop(&nothing.op, loop, on_probe);
    hark_stop(loop);
    hark_stop(loop);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(nothing.calls, 0);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(nothing.calls, 1);
}
END_TEST

START_TEST(a_step_makes_one_turn_and_needs_no_reason)
{
    struct probe nothing[3] = { 0 };
    ck_assert_int_eq(hark_step(loop, 0), 0);
    for (int i = 0; i < 3; i++) hark_nop(&nothing[i].op, loop, on_probe);
    ck_assert_int_eq(hark_step(loop, HARK_SECOND), 3);
    ck_assert_int_eq(hark_step(loop, 0), 0);
}
END_TEST

START_TEST(an_op_knows_its_loop_and_its_io)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        scene_submit(&scene, &probe, 0);
        struct hark_io *io = scene.verb->is_timer ? NULL : &scene.wire.io;
        ck_claim(hark_op_loop(&probe.op) == loop && hark_op_io(&probe.op) == io);
        hark_cancel(&probe.op);
        await(&probe);
        ck_claim(hark_op_loop(&probe.op) == loop && hark_op_io(&probe.op) == io);
    }
}
END_TEST

/* Sleeps for a second in all and tells what that took of this thread. */
static void expect_idle_second(int turns_max)
{
    struct rusage before, after;
    struct timespec spent_before, spent_after;
    int64_t end = clock_now() + HARK_SECOND;
    int turns = 0;
    getrusage(RUSAGE_THREAD, &before);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent_before);
    for (int64_t left; (left = end - clock_now()) > 0; turns++)
        if (hark_step(loop, left) != 0 || turns > 1000) break;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent_after);
    getrusage(RUSAGE_THREAD, &after);
    ck_assert_int_ge(clock_now(), end); /* or a callback came */
    ck_assert_int_le(turns, turns_max);
    ck_assert_int_le(after.ru_nvcsw - before.ru_nvcsw, turns_max + 2);
    int64_t spent_ns = (spent_after.tv_sec - spent_before.tv_sec) * HARK_SECOND +
                       spent_after.tv_nsec - spent_before.tv_nsec;
    ck_assert_int_lt(spent_ns, 50 * HARK_MILLISECOND);
}

START_TEST(an_idle_loop_makes_no_wake_ups)
{
    enum { SCENES = 48 };
    static struct scene scenes[SCENES];
    static struct probe probes[SCENES];
    size_t opened = 0;
    for (size_t i = 0; i < scene_count(); i++) {
        bool is_retried = i / WIRE_KINDS == 8 && i % WIRE_KINDS == WIRE_UNIX; /* connect: polls */
        if (is_retried || !scene_open(&scenes[opened], i)) continue;
        scene_submit(&scenes[opened], &probes[opened], 0);
        opened++;
    }
    spin(30);
    expect_idle_second(2);
    for (size_t i = 0; i < opened; i++) {
        ck_assert_int_eq(probes[i].calls, 0);
        hark_cancel(&probes[i].op);
        await(&probes[i]);
        scene_close(&scenes[i]);
    }
}
END_TEST

static void *post_one(void *arg)
{
    struct probe *probe = arg;
    hark_post(&probe->op, loop, on_probe);
    return NULL;
}

/* The descriptor that woke the kernel must not go on saying so. */
START_TEST(an_idle_loop_falls_asleep_again_after_a_wake)
{
    struct probe posted = { 0 };
    pthread_t thread;
    spin(2);
    ck_assert_int_eq(pthread_create(&thread, NULL, post_one, &posted), 0);
    await(&posted); /* mostly it slept by then; the post of a started thread takes long */
    pthread_join(thread, NULL);
    spin(2);
    expect_idle_second(2);
}
END_TEST

static void *kept;

static void keep_buffer(struct hark_op *op)
{
    if (op->result > 0) kept = hark_data(op);
    on_probe(op);
}

/* Trap 5 and the lazily dropped interest: there is something to be read, the peer has gone, a
 * connection waits, all buffers are out, and nobody has asked for any of it. */
START_TEST(events_that_nobody_waits_for_do_not_keep_the_loop_awake)
{
    enum { WIRES = 8 };
    struct wire wires[WIRES], pooled;
    struct probe probes[WIRES] = { 0 }, sending[WIRES] = { 0 }, accepting = { 0 };
    struct probe receiving = { 0 };
    struct listener listener;
    struct hark_pool *pool;
    char buf[4];
    for (int i = 0; i < WIRES; i++) {
        ck_assert(wire_open(&wires[i], i % 2 == 0 ? WIRE_TCP4 : WIRE_UNIX));
        hark_recv(&probes[i].op, &wires[i].io, buf, sizeof buf, on_probe);
        spin(2);
        write_all(wires[i].peer, "more than four", 14);
        await(&probes[i]);
        wire_fill_up(&wires[i]);
        hark_send(&sending[i].op, &wires[i].io, "x", 1, on_probe);
        spin(2);
        hark_cancel(&sending[i].op);
        await(&sending[i]);
        if (i % 4 == 1) shutdown(wires[i].peer, SHUT_WR);
        if (i % 4 >= 2) {
            if (i % 4 == 2) reset_and_close(wires[i].peer);
            else close(wires[i].peer);
            wires[i].peer = -1;
        }
    }
    ck_assert(listener_open(&listener, WIRE_TCP4));
    hark_accept(&accepting.op, &listener.io, on_probe);
    spin(2);
    hark_cancel(&accepting.op);
    await(&accepting);
    int waiting = listener_dial(&listener);
    ck_assert(wire_open(&pooled, WIRE_UNIX));
    ck_assert_int_eq(hark_pool_open(&pool, loop, 1, 4), 0);
    hark_recv_pool(&receiving.op, &pooled.io, pool, keep_buffer);
    write_all(pooled.peer, "more than four", 14);
    await_calls(&receiving, 1);
    spin(40);
    expect_idle_second(4);
    ck_assert_int_eq(receiving.calls, 1);
    hark_pool_give(pool, kept);
    wire_close(&pooled);
    if (hark_pool_out_count(pool) != 0) hark_pool_give(pool, kept); /* the next one came */
    ck_assert_int_eq(hark_pool_close(pool), 0);
    for (int i = 0; i < WIRES; i++) wire_close(&wires[i]);
    close(waiting);
    close_io(&listener.io);
}
END_TEST

Suite *group_alive(void)
{
    Suite *suite = suite_create("alive");
    CASE(suite, a_run_without_a_reason_returns_at_once);
    CASE(suite, an_open_io_without_an_op_keeps_nothing_running);
    CASE(suite, a_run_lasts_until_the_last_callback_of_each_op);
    CASE(suite, an_op_in_the_background_is_no_reason_to_stay);
    CASE(suite, background_of_an_idle_op_does_nothing);
    CASE(suite, a_post_in_the_background_still_calls_back);
    CASE(suite, each_hold_wants_its_unhold);
    CASE(suite, stop_ends_the_run_after_the_turn_that_it_is_in);
    CASE(suite, stop_before_the_run_ends_it_at_once_and_once);
    CASE(suite, a_step_makes_one_turn_and_needs_no_reason);
    CASE(suite, an_op_knows_its_loop_and_its_io);
    CASE(suite, an_idle_loop_makes_no_wake_ups);
    CASE(suite, an_idle_loop_falls_asleep_again_after_a_wake);
    CASE(suite, events_that_nobody_waits_for_do_not_keep_the_loop_awake);
    return suite;
}
