/* The preloaded shim: the program does the same as without it, and its loops are seen,
 * no others. */
#include "planted.h"

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const int64_t never = INT64_C(1000000000) * 1000;

/* Runs a check of shim_target; gives how many loops were seen. */
static int run(const char *what)
{
    struct planted *planted = planted_run(WATCH_HEARTBEAT, never, "shim_target", LIST(what));
    int loops = planted->facts.loop_count;
    if (planted->result == 77) loops = -1;
    else ck_assert_int_eq(planted->result, 0);
    planted_free(planted);
    return loops;
}

START_TEST(results_and_errno_are_those_of_the_calls)
{
    run("results");
}
END_TEST

START_TEST(more_loops_than_there_is_room_for_do_no_harm)
{
    ck_assert_int_gt(run("threads"), 0);
}
END_TEST

START_TEST(a_wait_can_be_cancelled_and_interrupted)
{
    run("cancel");
}
END_TEST

START_TEST(a_child_is_silent_and_its_parent_goes_on)
{
    ck_assert_int_eq(run("fork"), 1);
}
END_TEST

START_TEST(a_ring_that_waits_through_syscall_is_a_loop)
{
    int loops = run("ring");
    if (loops < 0) printf("skipped: no io_uring here\n");
    else ck_assert_int_eq(loops, 1);
}
END_TEST

START_TEST(a_resolver_and_a_peek_into_epoll_make_no_loop)
{
    ck_assert_int_eq(run("no_loop"), 0);
}
END_TEST

/* Stands alone: with a page that is not there, or another process's, it must be as good
 * as absent. */
START_TEST(without_a_page_the_shim_is_silent)
{
    setenv("LD_PRELOAD", getenv("HARK_TEST_SHIM"), 1);
    setenv("HARK_HEARTBEAT", "/proc/1/fd/99999", 1);
    struct planted *planted = planted_run(WATCH_PROCFS, never, "loop_bare",
                                          LIST("epoll_wait", "children", "fork", "exit:6"));
    ck_assert_int_eq(planted->result, 6);
    ck_assert_int_eq(planted->dirty, 0);
    ck_assert_int_eq(planted->forked, 1);
    planted_free(planted);
}
END_TEST

START_TEST(what_else_is_preloaded_stays)
{
    setenv("LD_PRELOAD", "libm.so.6", 1);
    struct planted *planted = planted_run(
        WATCH_HEARTBEAT, never, "/bin/sh",
        LIST("-c", "test $LD_PRELOAD = libm.so.6 && exec sh -c 'test $LD_PRELOAD = libm.so.6'"));
    ck_assert_int_eq(planted->result, 0);
    planted_free(planted);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shim");
    UNIT_CASE(suite, results_and_errno_are_those_of_the_calls);
    UNIT_CASE(suite, more_loops_than_there_is_room_for_do_no_harm);
    UNIT_CASE(suite, a_wait_can_be_cancelled_and_interrupted);
    UNIT_CASE(suite, a_child_is_silent_and_its_parent_goes_on);
    UNIT_CASE(suite, a_ring_that_waits_through_syscall_is_a_loop);
    UNIT_CASE(suite, a_resolver_and_a_peek_into_epoll_make_no_loop);
    UNIT_CASE(suite, without_a_page_the_shim_is_silent);
    UNIT_CASE(suite, what_else_is_preloaded_stays);
    return unit_run(suite);
}
