/* Trap 42: timers of the wall clock when the clock jumps. The clock is the test's own, since no
 * test may set the machine's; clock_look() is what the kernel's report of a jump causes, where it
 * makes one. */
#include <check.h>
#include <stdlib.h>

#include "clock/clock.h"
#include "unit.h"

static struct hark_loop *loop;
static int64_t fake_now;
static int calls;

static int64_t read_fake(int which)
{
    (void)which;
    return fake_now;
}

static void count(struct hark_op *op)
{
    ck_assert_int_eq(op->result, 0);
    calls++;
}

static void open_loop(void)
{
    clock_source = read_fake;
    fake_now = hark_wall_now();
    calls = 0;
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
}

static void close_loop(void) { hark_loop_close(loop); }

static void jump(int64_t by_ns)
{
    fake_now += by_ns;
    clock_look(loop, CLOCK_WALL);
    for (int i = 0; i < 4; i++) ck_assert_int_ge(hark_step(loop, 0), 0);
}

START_TEST(a_jump_forward_beyond_the_moment_ends_the_wait_at_once)
{
    struct hark_op near = { 0 }, far = { 0 };
    hark_timer_wall(&far, loop, fake_now + 7200 * HARK_SECOND, count);
    hark_timer_wall(&near, loop, fake_now + 3600 * HARK_SECOND, count);
    jump(0);
    ck_assert_int_eq(calls, 0);
    jump(3600 * HARK_SECOND - 1);
    ck_assert_int_eq(calls, 0);
    jump(1);
    ck_assert_int_eq(calls, 1);
    ck_assert(!hark_is_alive(&near) && hark_is_alive(&far));
    jump(1000000 * HARK_SECOND);
    ck_assert_int_eq(calls, 2);
}
END_TEST

START_TEST(a_jump_back_makes_the_timer_wait_for_its_moment_again)
{
    struct hark_op timer = { 0 };
    int64_t when = fake_now + 10 * HARK_SECOND;
    hark_timer_wall(&timer, loop, when, count);
    jump(-86400 * HARK_SECOND);
    jump(86400 * HARK_SECOND - 1);
    jump(10 * HARK_SECOND);
    ck_assert_int_eq(calls, 0);
    jump(1);
    ck_assert_int_eq(fake_now, when);
    ck_assert_int_eq(calls, 1);
}
END_TEST

/* The kernel's timer expires by the machine's clock: by this one it is too early, so it waits on.
 * */
START_TEST(an_expiry_that_the_clock_does_not_confirm_is_not_believed)
{
    struct hark_op timer = { 0 };
    fake_now -= 60 * HARK_SECOND;
    hark_timer_wall(&timer, loop, hark_wall_now() + HARK_MILLISECOND, count);
    for (int i = 0; i < 5; i++) ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    ck_assert_int_eq(calls, 0);
    jump(120 * HARK_SECOND);
    ck_assert_int_eq(calls, 1);
}
END_TEST

#ifdef HARK_WITH_KQUEUE
/* It is looked at again, whether the kernel says anything or not. */
START_TEST(a_jump_that_nobody_tells_of_is_seen)
{
    struct hark_op timer = { 0 };
    hark_timer_wall(&timer, loop, fake_now + 3600 * HARK_SECOND, count);
    ck_assert_int_ge(hark_step(loop, 0), 0);
    fake_now += 3600 * HARK_SECOND;
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(calls, 1);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("wall");
    TCase *tcase = tcase_create("jumps");
    tcase_add_checked_fixture(tcase, open_loop, close_loop);
    tcase_add_test(tcase, a_jump_forward_beyond_the_moment_ends_the_wait_at_once);
    tcase_add_test(tcase, a_jump_back_makes_the_timer_wait_for_its_moment_again);
    tcase_add_test(tcase, an_expiry_that_the_clock_does_not_confirm_is_not_believed);
#ifdef HARK_WITH_KQUEUE
    tcase_add_test(tcase, a_jump_that_nobody_tells_of_is_seen);
#endif
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
