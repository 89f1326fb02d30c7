/* Promise 18: nothing that a scope started outlives it; errors, cancels and deadlines reach all of
 * it, and a shielded scope in it not. */
#include "groups.h"
#include "harness.h"

static int ended;

static int64_t sleeps_long(void *arg)
{
    int64_t result = hark_fiber_sleep(60 * HARK_SECOND);
    ended++;
    return arg != NULL ? *(int64_t *)arg : result;
}

static int64_t fails_soon(void *arg)
{
    (void)arg;
    ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), 0);
    ended++;
    return HARK_EPROTO;
}

static int64_t returns_at_once(void *arg)
{
    ended++;
    return *(int64_t *)arg;
}

static int64_t first_error(void *arg)
{
    struct hark_scope scope;
    int64_t results[3] = { 1, 1, 1 }, seven = 7;
    (void)arg;
    hark_scope_open(&scope, 0);
    hark_spawn_into(&scope, sleeps_long, NULL, &results[0]);
    hark_spawn_into(&scope, fails_soon, NULL, &results[1]);
    hark_spawn_into(&scope, returns_at_once, &seven, &results[2]);
    ck_assert_int_eq(hark_scope_close(&scope), HARK_EPROTO);
    ck_assert(results[0] == HARK_ECANCELED && results[1] == HARK_EPROTO && results[2] == 7);
    ck_assert(scope.failed_count == 1 && scope.ended_count == 3 && scope.error == HARK_EPROTO);
    return ended;
}

START_TEST(the_first_error_cancels_the_siblings_and_is_the_result)
{
    ck_assert_int_eq(hark_fiber_main(loop, first_error, NULL), 3);
}
END_TEST

static int64_t with_deadline(void *arg)
{
    struct hark_scope outer, inner;
    int64_t deadline = hark_after(loop, 2 * HARK_MILLISECOND);
    (void)arg;
    hark_scope_open(&outer, deadline);
    hark_spawn(&outer, sleeps_long, NULL);
    hark_scope_open(&inner, hark_after(loop, 60 * HARK_SECOND));
    hark_spawn(&inner, sleeps_long, NULL);
    ck_assert_int_eq(hark_fiber_sleep(60 * HARK_SECOND), HARK_ETIMEDOUT);
    ck_assert_int_ge(clock_now(), deadline);
    ck_assert_int_eq(hark_scope_close(&inner), 0); /* it was the outer one that was asked */
    ck_assert_int_eq(hark_fiber_interrupted(), HARK_ETIMEDOUT);
    ck_assert_int_eq(hark_scope_close(&outer), HARK_ETIMEDOUT);
    ck_assert_int_eq(hark_fiber_interrupted(), 0);
    ck_assert_int_eq(hark_fiber_sleep(1000), 0);
    return ended;
}

START_TEST(deadlines_nest_and_the_nearest_in_time_ends_everything_inside)
{
    ck_assert_int_eq(hark_fiber_main(loop, with_deadline, NULL), 2);
}
END_TEST

static int64_t cleans_up(void *arg)
{
    struct wire *wire = arg;
    struct hark_scope shield;
    char c;
    int64_t result = hark_fiber_recv(&wire->io, &c, 1);
    ck_assert_int_eq(hark_fiber_send_all(&wire->io, "x", 1), result);
    hark_scope_open_shielded(&shield, hark_after(loop, 60 * HARK_SECOND));
    ck_assert_int_eq(hark_fiber_interrupted(), 0);
    ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), 0);
    ck_assert_int_eq(hark_fiber_send_all(&wire->io, "bye", 3), 3);
    ck_assert_int_eq(hark_scope_close(&shield), 0);
    ck_assert_int_eq(hark_fiber_interrupted(), result);
    ended++;
    return result;
}

static int64_t cancels(void *arg)
{
    struct hark_scope scope;
    hark_scope_open(&scope, 0);
    hark_spawn(&scope, cleans_up, arg);
    ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), 0);
    hark_scope_cancel(&scope);
    ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), HARK_ECANCELED); /* the body is inside */
    ck_assert_int_eq(hark_scope_close(&scope), HARK_ECANCELED);
    return ended;
}

START_TEST(cancelled_code_still_does_io_under_a_shield)
{
    struct wire wire;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    ck_assert_int_eq(hark_fiber_main(loop, cancels, &wire), 1);
    char got[4] = { 0 };
    ck_assert_int_eq(read(wire.peer, got, 4), 3);
    ck_assert_str_eq(got, "bye");
    wire_close(&wire);
}
END_TEST

static int64_t sleeps_under_a_shield(void *arg)
{
    struct hark_scope shield;
    hark_scope_open_shielded(&shield, 0);
    *(int64_t *)arg = hark_fiber_sleep(5 * HARK_MILLISECOND);
    ck_assert_int_eq(hark_scope_close(&shield), 0);
    return hark_fiber_sleep(60 * HARK_SECOND);
}

static int64_t cancels_a_shielded_one(void *arg)
{
    struct hark_scope scope;
    hark_scope_open(&scope, 0);
    hark_spawn(&scope, sleeps_under_a_shield, arg);
    ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), 0);
    hark_scope_cancel(&scope);
    return hark_scope_close(&scope);
}

START_TEST(a_cancel_waits_outside_of_a_shield_that_is_open)
{
    int64_t slept = 1;
    ck_assert_int_eq(hark_fiber_main(loop, cancels_a_shielded_one, &slept), HARK_ECANCELED);
    ck_assert_int_eq(slept, 0);
}
END_TEST

static int64_t shield_has_a_deadline(void *arg)
{
    struct hark_scope outer, shield;
    (void)arg;
    hark_scope_open(&outer, 0);
    hark_scope_cancel(&outer);
    hark_scope_open_shielded(&shield, hark_after(loop, HARK_MILLISECOND));
    ck_assert_int_eq(hark_fiber_sleep(60 * HARK_SECOND), HARK_ETIMEDOUT);
    ck_assert_int_eq(hark_scope_close(&shield), HARK_ETIMEDOUT);
    ck_assert_int_eq(hark_fiber_sleep(60 * HARK_SECOND), HARK_ECANCELED);
    return hark_scope_close(&outer);
}

START_TEST(a_shield_has_a_deadline_of_its_own)
{
    ck_assert_int_eq(hark_fiber_main(loop, shield_has_a_deadline, NULL), HARK_ECANCELED);
}
END_TEST

static int64_t grandchildren(void *arg)
{
    struct hark_scope scope;
    int depth = *(int *)arg - 1;
    hark_scope_open(&scope, 0);
    if (depth > 0) {
        hark_spawn(&scope, grandchildren, &depth);
        hark_spawn(&scope, grandchildren, &depth);
    } else {
        hark_spawn(&scope, sleeps_long, NULL);
    }
    return hark_scope_close(&scope);
}

static int64_t cancels_a_tree(void *arg)
{
    struct hark_scope scope;
    int depth = 5;
    (void)arg;
    hark_scope_open(&scope, 0);
    hark_spawn(&scope, grandchildren, &depth);
    ck_assert_int_eq(hark_fiber_sleep(5 * HARK_MILLISECOND), 0);
    hark_scope_cancel(&scope);
    ck_assert_int_eq(hark_scope_close(&scope), HARK_ECANCELED);
    return ended;
}

START_TEST(a_cancel_reaches_the_whole_tree)
{
    ck_assert_int_eq(hark_fiber_main(loop, cancels_a_tree, NULL), 16);
}
END_TEST

static int64_t rearmed(void *arg)
{
    struct hark_scope scope;
    (void)arg;
    hark_scope_open(&scope, hark_after(loop, 3 * HARK_MILLISECOND));
    for (int i = 0; i < 10; i++) {
        ck_assert(hark_scope_deadline(&scope, hark_after(loop, 60 * HARK_SECOND)));
        ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), 0);
    }
    ck_assert(hark_scope_deadline(&scope, 0));
    ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), 0);
    ck_assert(hark_scope_deadline(&scope, 1));
    ck_assert_int_eq(hark_fiber_sleep(60 * HARK_SECOND), HARK_ETIMEDOUT);
    ck_assert(!hark_scope_deadline(&scope, hark_after(loop, 60 * HARK_SECOND)));
    return hark_scope_close(&scope);
}

START_TEST(the_deadline_of_a_scope_moves)
{
    ck_assert_int_eq(hark_fiber_main(loop, rearmed, NULL), HARK_ETIMEDOUT);
}
END_TEST

static void count_end(struct hark_op *op)
{
    if (!op->more) ended++;
}

static int64_t owns_ops(void *arg)
{
    struct wire *wire = arg;
    struct hark_scope scope;
    struct hark_scoped_op reading = { 0 }, ticking = { 0 }, timer = { 0 };
    char c;
    hark_scope_open(&scope, 0);
    hark_scope_start(&scope, &reading, count_end, hark_recv, &wire->io, &c, 1);
    hark_scope_start(&scope, &ticking, count_end, hark_timer_every, loop, 1, HARK_MILLISECOND);
    hark_scope_start(&scope, &timer, count_end, hark_timer, loop,
                     hark_after(loop, HARK_MILLISECOND));
    hark_spawn(&scope, fails_soon, NULL);
    ck_assert_int_eq(hark_scope_close(&scope), HARK_EPROTO);
    ck_assert(!hark_is_alive(&reading.op) && !hark_is_alive(&ticking.op));
    return ended;
}

START_TEST(a_scope_owns_callback_ops_and_waits_for_them)
{
    struct wire wire;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    ck_assert_int_eq(hark_fiber_main(loop, owns_ops, &wire), 4);
    wire_close(&wire);
}
END_TEST

static int64_t starts_an_op_late(void *arg)
{
    struct wire *wire = arg;
    struct hark_scope scope;
    struct hark_scoped_op reading = { 0 }, ticking = { 0 };
    char c;
    hark_scope_open(&scope, 0);
    hark_scope_cancel(&scope);
    hark_scope_start(&scope, &reading, count_end, hark_recv, &wire->io, &c, 1);
    hark_scope_start(&scope, &ticking, count_end, hark_timer_every, loop,
                     hark_after(loop, 60 * HARK_SECOND), HARK_SECOND);
    ck_assert_int_eq(hark_scope_close(&scope), HARK_ECANCELED);
    ck_assert(reading.op.result == HARK_ECANCELED && scope.failed_count == 0);
    return ended;
}

START_TEST(an_op_started_in_a_canceled_scope_is_canceled)
{
    struct wire wire;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    ck_assert_int_eq(hark_fiber_main(loop, starts_an_op_late, &wire), 2);
    wire_close(&wire);
}
END_TEST

static int64_t has_two_reasons(void *arg)
{
    struct hark_scope outer, inner;
    (void)arg;
    hark_scope_open(&outer, 0);
    hark_scope_open(&inner, 1); /* has passed */
    ck_assert_int_eq(hark_fiber_sleep(60 * HARK_SECOND), HARK_ETIMEDOUT);
    hark_scope_cancel(&outer);
    ck_assert_int_eq(hark_fiber_sleep(60 * HARK_SECOND), HARK_ETIMEDOUT);
    ck_assert_int_eq(hark_scope_close(&inner), HARK_ETIMEDOUT);
    ck_assert_int_eq(hark_fiber_sleep(60 * HARK_SECOND), HARK_ECANCELED);
    return hark_scope_close(&outer);
}

START_TEST(the_reason_is_that_of_the_nearest_scope_that_ends)
{
    ck_assert_int_eq(hark_fiber_main(loop, has_two_reasons, NULL), HARK_ECANCELED);
}
END_TEST

static int64_t spawns_late(void *arg)
{
    struct hark_scope scope;
    (void)arg;
    hark_scope_open(&scope, 0);
    hark_scope_cancel(&scope);
    hark_spawn(&scope, sleeps_long, NULL);
    ck_assert_int_eq(hark_scope_close(&scope), HARK_ECANCELED);
    return ended;
}

START_TEST(a_fiber_started_in_a_canceled_scope_ends_at_its_first_wait)
{
    ck_assert_int_eq(hark_fiber_main(loop, spawns_late, NULL), 1);
}
END_TEST

Suite *group_scope(void)
{
    Suite *suite = suite_create("scope");
    CASE(suite, the_first_error_cancels_the_siblings_and_is_the_result);
    CASE(suite, deadlines_nest_and_the_nearest_in_time_ends_everything_inside);
    EACH_WIRE(suite, cancelled_code_still_does_io_under_a_shield);
    CASE(suite, a_cancel_waits_outside_of_a_shield_that_is_open);
    CASE(suite, a_shield_has_a_deadline_of_its_own);
    CASE(suite, a_cancel_reaches_the_whole_tree);
    CASE(suite, the_deadline_of_a_scope_moves);
    EACH_WIRE(suite, a_scope_owns_callback_ops_and_waits_for_them);
    EACH_WIRE(suite, an_op_started_in_a_canceled_scope_is_canceled);
    CASE(suite, the_reason_is_that_of_the_nearest_scope_that_ends);
    CASE(suite, a_fiber_started_in_a_canceled_scope_ends_at_its_first_wait);
    return suite;
}
