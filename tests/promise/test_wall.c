/* Timers of the wall clock and the boot clock, on the ordinary path: no test sets the machine's
 * clock. What happens when it jumps is in tests/unit/test_wall.c, with a clock of the test's own.
 * */
#include "groups.h"
#include "harness.h"

#include <stdio.h>
#include <time.h>

static const struct {
    const char *name;
    void (*set)(struct hark_op *op, struct hark_loop *loop, int64_t when_ns, hark_done_fn *done);
    int64_t (*now)(void);
    clockid_t id;
} clocks[] = {
    { "wall", (hark_timer_wall), hark_wall_now, CLOCK_REALTIME },
    { "boot", (hark_timer_boot), hark_boot_now, CLOCK_BOOTTIME },
};

enum { CLOCKS = 2 };

START_TEST(the_clocks_are_those_of_the_system)
{
    for (int i = 0; i < CLOCKS; i++) {
        struct timespec ts;
        int64_t before = clocks[i].now();
        clock_gettime(clocks[i].id, &ts);
        int64_t between = ts.tv_sec * HARK_SECOND + ts.tv_nsec, after = clocks[i].now();
        ck_assert(before <= between && between <= after);
    }
}
END_TEST

START_TEST(wall_and_boot_timers_come_in_the_order_of_their_moments_and_never_early)
{
    for (int i = 0; i < CLOCKS; i++) {
        struct probe timers[30] = { 0 };
        int64_t start = clocks[i].now() + HARK_SECOND / 4;
        snprintf(doing, sizeof doing, "%s", clocks[i].name);
        for (int k = 0; k < 30; k++) /* 7 and 30 have no divisor in common: each moment thrice */
            clocks[i].set(&timers[k].op, loop, start + (k * 7 % 30 / 3 + 1) * 2 * HARK_MILLISECOND,
                          on_probe);
        bool is_in_time = clocks[i].now() <= start; /* else some were due when they were set */
        for (int k = 0; k < 30; k++) {
            await(&timers[k]);
            ck_assert_result(&timers[k], 0);
            ck_assert_int_ge(clocks[i].now(), start + (k * 7 % 30 / 3 + 1) * 2 * HARK_MILLISECOND);
        }
        for (int k = 0; k < 30 && is_in_time; k++) {
            for (int other = 0; other < 30; other++) {
                int mine = k * 7 % 30 / 3, theirs = other * 7 % 30 / 3;
                if (mine < theirs || (mine == theirs && k < other))
                    ck_claim(timers[k].order < timers[other].order);
            }
        }
    }
}
END_TEST

START_TEST(a_moment_of_the_past_comes_in_the_next_turn)
{
    static const int64_t past[] = { INT64_MIN, -1, 0, 1 };
    for (int i = 0; i < CLOCKS; i++) {
        for (size_t k = 0; k < sizeof past / sizeof past[0]; k++) {
            struct probe timer = { 0 };
            clocks[i].set(&timer.op, loop, past[k], on_probe);
            ck_assert_int_eq(timer.calls, 0);
            spin(2);
            ck_assert_int_eq(timer.calls, 1);
            ck_assert_result(&timer, 0);
        }
    }
}
END_TEST

START_TEST(wall_and_boot_timers_can_be_canceled_and_time_out)
{
    for (int i = 0; i < CLOCKS; i++) {
        struct probe timers[10] = { 0 };
        for (int k = 0; k < 10; k++) {
            int64_t when = k == 9 ? INT64_MAX : clocks[i].now() + (k + 5) * HARK_SECOND;
            if (k == 4) timers[k].op.deadline_ns = hark_after(loop, 2 * HARK_MILLISECOND);
            clocks[i].set(&timers[k].op, loop, when, on_probe);
        }
        await(&timers[4]);
        ck_assert_result(&timers[4], HARK_ETIMEDOUT);
        for (int k = 9; k >= 0; k--) {
            ck_assert_int_eq(timers[k].calls, k == 4);
            ck_assert(hark_cancel(&timers[k].op) == (k != 4));
        }
        for (int k = 0; k < 10; k++) await(&timers[k]);
        for (int k = 0; k < 10; k++)
            if (k != 4) ck_assert_result(&timers[k], HARK_ECANCELED);
    }
    ck_assert_int_eq(hark_run(loop), 0);
}
END_TEST

static void set_again(struct probe *probe)
{
    if (probe->calls < 5) hark_timer_wall(&probe->op, loop, hark_wall_now(), on_probe);
}

/* Also while the descriptor of the last one is still being closed. */
START_TEST(a_wall_timer_can_be_set_in_the_callback_of_the_last_one)
{
    struct probe timer = { .then = set_again };
    hark_timer_wall(&timer.op, loop, hark_wall_now(), on_probe);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(timer.calls, 5);
    for (int turns = 0; turns < 6; turns++) {
        struct probe first = { 0 }, second = { 0 };
        hark_timer_wall(&first.op, loop, hark_wall_now() + 60 * HARK_SECOND, on_probe);
        spin(turns);
        hark_cancel(&first.op);
        spin(turns / 2);
        hark_timer_wall(&second.op, loop, hark_wall_now() + HARK_MILLISECOND, on_probe);
        await(&second);
        ck_assert_result(&second, 0);
        ck_assert_int_eq(first.calls, 1);
    }
}
END_TEST

START_TEST(wall_timers_end_with_their_loop)
{
    static struct probe left[20];
    for (int i = 0; i < 20; i++) {
        clocks[i % 2].set(&left[i].op, loop, clocks[i % 2].now() + 60 * HARK_SECOND, on_probe);
        hark_background(&left[i].op);
    }
    spin(2);
    ck_assert_int_eq(hark_run(loop), 0); /* none is a reason to stay */
}
END_TEST

Suite *group_wall(void)
{
    Suite *suite = suite_create("wall");
    CASE(suite, the_clocks_are_those_of_the_system);
    CASE(suite, wall_and_boot_timers_come_in_the_order_of_their_moments_and_never_early);
    CASE(suite, a_moment_of_the_past_comes_in_the_next_turn);
    CASE(suite, wall_and_boot_timers_can_be_canceled_and_time_out);
    CASE(suite, a_wall_timer_can_be_set_in_the_callback_of_the_last_one);
    CASE(suite, wall_timers_end_with_their_loop);
    return suite;
}
