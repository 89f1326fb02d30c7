/* Promise 9: monotonic nanoseconds, read once a turn; no sleep is cut short or ends early. */
#include "groups.h"
#include "harness.h"

#include <signal.h>
#include <sys/time.h>

static int64_t seen[2];

static void read_twice(struct probe *probe)
{
    int64_t until = clock_now() + 2 * HARK_MILLISECOND;
    seen[0] = hark_now(loop);
    while (clock_now() < until) continue;
    seen[1] = hark_now(loop);
    (void)probe;
}

START_TEST(time_stands_still_within_a_turn_until_it_is_refreshed)
{
    struct probe first = { .then = read_twice }, second = { 0 };
    hark_nop(&first.op, loop, on_probe);
    hark_nop(&second.op, loop, on_probe);
    spin(1);
    ck_assert_int_eq(first.calls + second.calls, 2);
    ck_assert_int_eq(seen[0], seen[1]);
    ck_assert_int_eq(second.time_ns, seen[0]);
    int64_t before = clock_now(), fresh = hark_refresh(loop);
    ck_assert(before <= fresh && fresh <= clock_now());
    ck_assert_int_eq(hark_now(loop), fresh);
    ck_assert_int_ge(fresh, seen[0] + 2 * HARK_MILLISECOND);
}
END_TEST

/* Traps 25 and 42: CLOCK_MONOTONIC, and no older than the turn. */
START_TEST(time_is_monotonic_and_that_of_the_turn)
{
    int64_t last = 0;
    for (int i = 0; i < 50; i++) {
        struct probe nothing = { 0 };
        hark_nop(&nothing.op, loop, on_probe);
        int64_t before = clock_now();
        hark_refresh(loop);
        await(&nothing);
        ck_assert_int_ge(nothing.time_ns, before);
        ck_assert_int_le(nothing.time_ns, clock_now());
        ck_assert_int_ge(nothing.time_ns, last);
        last = nothing.time_ns;
    }
}
END_TEST

START_TEST(a_sleep_brings_the_time_forward)
{
    int64_t before = clock_now();
    ck_assert_int_eq(hark_step(loop, 3 * HARK_MILLISECOND), 0);
    ck_assert_int_ge(hark_now(loop), before + 3 * HARK_MILLISECOND);
}
END_TEST

START_TEST(after_never_overflows_and_is_never_zero)
{
    int64_t now = hark_now(loop);
    ck_assert_int_eq(hark_after(loop, 0), now);
    ck_assert_int_eq(hark_after(loop, 5), now + 5);
    ck_assert_int_eq(hark_after(loop, -5), now - 5);
    ck_assert_int_eq(hark_after(loop, INT64_MAX), INT64_MAX);
    ck_assert_int_eq(hark_after(loop, INT64_MAX - now), INT64_MAX);
    ck_assert_int_eq(hark_after(loop, INT64_MAX - now - 1), INT64_MAX - 1);
    ck_assert_int_ne(hark_after(loop, -now), 0);
    ck_assert_int_ne(hark_after(loop, INT64_MIN), 0);
    ck_assert_int_lt(hark_after(loop, INT64_MIN), now);
}
END_TEST

/* Trap 9: kernels that count in milliseconds are asked for more, never for less. */
START_TEST(a_sleep_is_as_long_as_asked)
{
    static const int64_t sleeps_ns[] = { 1, 999, 1000, 99999, 999999, 1000000, 1000001, 1500000,
                                         2999999, 20000000 };
    for (size_t i = 0; i < sizeof sleeps_ns / sizeof sleeps_ns[0]; i++) {
        int64_t start = clock_now();
        ck_assert_int_eq(hark_step(loop, sleeps_ns[i]), 0);
        int64_t slept = clock_now() - start;
        ck_assert_msg(slept >= sleeps_ns[i], "asked %lld, slept %lld", (long long)sleeps_ns[i],
                      (long long)slept);
        ck_assert_int_lt(slept, sleeps_ns[i] + 2 * HARK_SECOND);
    }
}
END_TEST

/* No timer is reached by many short sleeps: rounding down would spin at the end. */
START_TEST(a_timer_takes_one_sleep)
{
    int turns = 0;
    for (int i = 1; i <= 20; i++) {
        struct probe timer = { 0 };
        hark_timer(&timer.op, loop, hark_refresh(loop) + i * 150 * HARK_MICROSECOND, on_probe);
        for (; timer.calls == 0; turns++) ck_assert_int_ge(hark_step(loop, -1), 0);
    }
    ck_assert_int_le(turns, 20 * 4);
}
END_TEST

/* Trap 9: moments that no kernel's time limit can hold. */
START_TEST(a_far_moment_neither_comes_early_nor_makes_the_loop_spin)
{
    static const int64_t far_ns[] = { INT64_MAX, INT64_MAX - 1, INT64_C(5000000) * HARK_SECOND,
                                      INT64_C(2147484) * HARK_SECOND,
                                      INT64_C(4294968) * HARK_SECOND,
                                      1900 * HARK_SECOND };
    enum { COUNT = sizeof far_ns / sizeof far_ns[0] };
    struct probe timers[COUNT] = { 0 }, near = { 0 };
    for (int i = 0; i < COUNT; i++)
        hark_timer(&timers[i].op, loop, hark_after(loop, far_ns[i]), on_probe);
    int64_t start = clock_now();
    ck_assert_int_eq(hark_step(loop, 3 * HARK_MILLISECOND), 0);
    ck_assert_int_ge(clock_now() - start, 3 * HARK_MILLISECOND);
    int turns = 0;
    hark_timer(&near.op, loop, hark_refresh(loop) + 5 * HARK_MILLISECOND, on_probe);
    for (; near.calls == 0; turns++) ck_assert_int_ge(hark_step(loop, -1), 0);
    ck_assert_int_le(turns, 5);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(timers[i].calls, 0);
        hark_cancel(&timers[i].op);
    }
    for (int i = 0; i < COUNT; i++) await(&timers[i]);
}
END_TEST

/* Each far moment alone: it is the one that bounds the sleep. */
START_TEST(a_far_moment_alone_bounds_no_sleep)
{
    static const int64_t far_ns[] = { INT64_MAX, INT64_C(5000000) * HARK_SECOND,
                                      INT64_C(2147484) * HARK_SECOND,
                                      INT64_C(4294967) * HARK_SECOND };
    for (size_t i = 0; i < sizeof far_ns / sizeof far_ns[0]; i++) {
        struct probe timer = { 0 };
        hark_timer(&timer.op, loop, hark_after(loop, far_ns[i]), on_probe);
        int64_t start = clock_now();
        ck_assert_int_eq(hark_step(loop, 2 * HARK_MILLISECOND), 0);
        ck_assert_int_ge(clock_now() - start, 2 * HARK_MILLISECOND);
        ck_assert_int_eq(timer.calls, 0);
        hark_cancel(&timer.op);
        await(&timer);
    }
}
END_TEST

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

/* Trap 9: a signal ends the kernel's sleep; the loop looks at the time and sleeps on. */
START_TEST(signals_make_no_timer_early_and_no_run_fail)
{
    struct probe timers[20] = { 0 };
    struct sigaction action = { .sa_handler = on_alarm }; /* without SA_RESTART */
    struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = { { 0, 0 }, { 0, 0 } };
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    int64_t start = hark_refresh(loop);
    for (int i = 0; i < 20; i++)
        hark_timer(&timers[i].op, loop, start + (i + 1) * 2 * HARK_MILLISECOND, on_probe);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    int error = hark_run(loop);
    setitimer(ITIMER_REAL, &never, NULL);
    ck_assert_int_eq(error, 0);
    ck_assert_int_gt(alarms, 0);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(timers[i].calls, 1);
        ck_assert_int_ge(timers[i].time_ns, start + (i + 1) * 2 * HARK_MILLISECOND);
    }
}
END_TEST

Suite *group_time(void)
{
    Suite *suite = suite_create("time");
    CASE(suite, time_stands_still_within_a_turn_until_it_is_refreshed);
    CASE(suite, time_is_monotonic_and_that_of_the_turn);
    CASE(suite, a_sleep_brings_the_time_forward);
    CASE(suite, after_never_overflows_and_is_never_zero);
    CASE(suite, a_sleep_is_as_long_as_asked);
    CASE(suite, a_timer_takes_one_sleep);
    CASE(suite, a_far_moment_neither_comes_early_nor_makes_the_loop_spin);
    CASE(suite, a_far_moment_alone_bounds_no_sleep);
    CASE(suite, signals_make_no_timer_early_and_no_run_fail);
    return suite;
}
