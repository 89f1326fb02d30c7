/* Promise 9 for timers: never early, in the order of their moments, equal moments in the order set;
 * repeating ones without drift and without a burst. */
#include "groups.h"
#include "harness.h"

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t draw(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

static void expect_due(struct probe *probe)
{
    ck_assert_int_ge(clock_now(), (int64_t)(intptr_t)probe->arg);
    ck_assert_int_ge(probe->time_ns, (int64_t)(intptr_t)probe->arg);
}

static int64_t set_within(struct probe *probe, int64_t start, uint64_t span_ns)
{
    int64_t when_ns = start + (int64_t)draw(span_ns);
    probe->then = expect_due;
    probe->arg = (void *)(intptr_t)when_ns;
    hark_timer(&probe->op, loop, when_ns, on_probe);
    return when_ns;
}

START_TEST(a_timer_is_never_early_and_timers_come_in_the_order_of_their_moments)
{
    enum { TIMERS = 400 };
    static struct probe timers[TIMERS];
    int64_t start = hark_refresh(loop);
    for (int i = 0; i < TIMERS; i++) set_within(&timers[i], start, 30 * HARK_MILLISECOND);
    for (int i = 0; i < TIMERS; i++) await(&timers[i]);
    for (int i = 0; i < TIMERS; i++) {
        ck_assert_int_eq(timers[i].calls, 1);
        ck_assert_result(&timers[i], 0);
        for (int k = 0; k < TIMERS; k++)
            if ((intptr_t)timers[i].arg < (intptr_t)timers[k].arg)
                ck_assert_int_lt(timers[i].order, timers[k].order);
    }
}
END_TEST

/* Some are set long before, some when the moment is near: they lie in other levels of a wheel. */
START_TEST(equal_moments_come_in_the_order_set)
{
    enum { TIMERS = 90, MOMENTS = 3 };
    struct probe timers[TIMERS] = { 0 };
    int64_t when_ns[MOMENTS], start = hark_refresh(loop);
    for (int i = 0; i < MOMENTS; i++) when_ns[i] = start + (5 + 3 * i) * HARK_MILLISECOND + 7;
    for (int i = 0; i < TIMERS; i++) {
        if (i % 30 == 29) ck_assert_int_ge(hark_step(loop, 1200 * HARK_MICROSECOND), 0);
        hark_timer(&timers[i].op, loop, when_ns[i % MOMENTS], on_probe);
    }
    for (int i = 0; i < TIMERS; i++) await(&timers[i]);
    for (int i = MOMENTS; i < TIMERS; i++)
        ck_assert_int_lt(timers[i - MOMENTS].order, timers[i].order);
}
END_TEST

START_TEST(a_moment_in_the_past_comes_in_the_next_turn)
{
    struct probe timers[3] = { 0 };
    hark_timer(&timers[0].op, loop, 1, on_probe);
    hark_timer(&timers[1].op, loop, hark_now(loop), on_probe);
    hark_timer(&timers[2].op, loop, hark_now(loop) - HARK_SECOND, on_probe);
    ck_assert_int_eq(timers[0].calls + timers[1].calls + timers[2].calls, 0);
    ck_assert_int_eq(hark_step(loop, HARK_SECOND), 3);
}
END_TEST

START_TEST(a_rearmed_timer_comes_once_at_its_new_moment)
{
    struct probe timer = { .then = expect_due };
    int64_t start = hark_refresh(loop), when_ns = start + 4 * HARK_MILLISECOND;
    hark_timer(&timer.op, loop, start + HARK_MILLISECOND, on_probe);
    for (int i = 0; i < 1000; i++) ck_assert(hark_rearm(&timer.op, start + (i + 1) * 1000));
    ck_assert(hark_rearm(&timer.op, when_ns));
    timer.arg = (void *)(intptr_t)when_ns;
    await(&timer);
    spin(3);
    ck_assert_int_eq(timer.calls, 1);
    ck_assert(!hark_rearm(&timer.op, when_ns));
}
END_TEST

START_TEST(a_timer_can_be_rearmed_to_an_earlier_moment)
{
    struct probe timer = { 0 };
    int64_t start = clock_now();
    hark_timer(&timer.op, loop, hark_after(loop, 1000 * HARK_SECOND), on_probe);
    spin(2);
    ck_assert(hark_rearm(&timer.op, hark_refresh(loop) + HARK_MILLISECOND));
    await(&timer);
    ck_assert_int_lt(clock_now() - start, 5 * HARK_SECOND);
    ck_assert_result(&timer, 0);
}
END_TEST

START_TEST(a_rearmed_timer_counts_as_set_anew)
{
    struct probe first = { 0 }, second = { 0 };
    int64_t when_ns = hark_refresh(loop) + HARK_MILLISECOND;
    hark_timer(&first.op, loop, when_ns, on_probe);
    hark_timer(&second.op, loop, when_ns, on_probe);
    ck_assert(hark_rearm(&first.op, when_ns));
    await(&first);
    await(&second);
    ck_assert_int_lt(second.order, first.order);
}
END_TEST

static void rearm_other(struct probe *probe)
{
    struct probe *other = probe->arg;
    ck_assert(!hark_rearm(&other->op, hark_after(loop, HARK_SECOND)));
}

START_TEST(rearm_of_a_timer_that_is_due_or_to_no_moment_is_refused)
{
    struct probe second = { 0 }, first = { .then = rearm_other, .arg = &second };
    hark_timer(&first.op, loop, 1, on_probe);
    hark_timer(&second.op, loop, 1, on_probe);
    ck_assert(!hark_rearm(&second.op, 0));
    await(&second);
    ck_assert_result(&second, 0);
    ck_assert_int_eq(second.calls, 1);
}
END_TEST

START_TEST(half_of_many_timers_can_be_canceled_and_the_others_come_once)
{
    enum { TIMERS = 20000 };
    struct probe *timers = calloc(TIMERS, sizeof *timers);
    int64_t start = hark_refresh(loop);
    for (int i = 0; i < TIMERS; i++) set_within(&timers[i], start, 100 * HARK_MILLISECOND);
    for (int i = 0; i < TIMERS; i++) {
        if (i % 2 == 0) hark_cancel(&timers[i].op);
        else if (i % 3 == 0) ck_assert(hark_rearm(&timers[i].op, start + (int64_t)draw(1000)));
        if (i % 3 == 0) timers[i].then = NULL;
    }
    for (int i = 0; i < TIMERS; i++) timers[i].then = i % 2 == 0 ? NULL : timers[i].then;
    ck_assert_int_eq(hark_run(loop), 0);
    for (int i = 0; i < TIMERS; i++) {
        ck_assert_int_eq(timers[i].calls, 1);
        ck_assert_result(&timers[i], i % 2 == 0 ? HARK_ECANCELED : 0);
    }
    free(timers);
}
END_TEST

/* The sum of the results says which point of the grid has been reached. */
static void expect_on_grid(const struct probe *every, int64_t first_ns, int64_t interval_ns,
                           int64_t intervals)
{
    ck_assert_int_eq((every->time_ns - first_ns) / interval_ns + 1, intervals);
}

START_TEST(a_repeating_timer_keeps_to_its_grid)
{
    struct probe every = { 0 };
    int64_t interval_ns = 700 * HARK_MICROSECOND + 1, intervals = 0;
    int64_t first_ns = hark_refresh(loop) + HARK_MILLISECOND;
    hark_timer_every(&every.op, loop, first_ns, interval_ns, on_probe);
    for (int i = 1; i <= 40; i++) {
        await_calls(&every, i);
        ck_assert_int_ge(every.result, 1);
        intervals += every.result;
        expect_on_grid(&every, first_ns, interval_ns, intervals);
    }
    hark_cancel(&every.op);
    await(&every);
    ck_assert_result(&every, HARK_ECANCELED);
}
END_TEST

START_TEST(a_repeating_timer_counts_what_it_missed_and_comes_in_no_burst)
{
    struct probe every = { 0 };
    int64_t interval_ns = HARK_MILLISECOND, first_ns = hark_refresh(loop) + interval_ns;
    hark_timer_every(&every.op, loop, first_ns, interval_ns, on_probe);
    await_calls(&every, 1);
    int64_t intervals = every.result, late_until = clock_now() + 8 * interval_ns;
    while (clock_now() < late_until) continue;
    ck_assert_int_eq(hark_step(loop, 0), 1);
    ck_assert_int_ge(every.result, 8);
    intervals += every.result;
    expect_on_grid(&every, first_ns, interval_ns, intervals);
    await_calls(&every, 3);
    intervals += every.result;
    expect_on_grid(&every, first_ns, interval_ns, intervals);
    hark_cancel(&every.op);
    await(&every);
}
END_TEST

START_TEST(a_repeating_timer_whose_first_moment_is_past_counts_from_it)
{
    struct probe every = { 0 };
    int64_t first_ns = hark_refresh(loop) - 10 * HARK_SECOND - HARK_SECOND / 2;
    hark_timer_every(&every.op, loop, first_ns, HARK_SECOND, on_probe);
    ck_assert_int_eq(hark_step(loop, 0), 1);
    ck_assert_result(&every, 11);
    ck_assert_int_eq(hark_step(loop, 0), 0);
    hark_cancel(&every.op);
    await(&every);
}
END_TEST

START_TEST(a_repeating_timer_without_an_interval_is_refused)
{
    static const int64_t intervals_ns[] = { 0, -1, INT64_MIN };
    for (int i = 0; i < 3; i++) {
        struct probe every = { 0 };
        hark_timer_every(&every.op, loop, hark_now(loop), intervals_ns[i], on_probe);
        ck_assert_int_eq(every.calls, 0);
        await(&every);
        ck_assert_result(&every, HARK_EINVAL);
        ck_assert_int_eq(every.calls, 1);
    }
}
END_TEST

START_TEST(a_repeating_timer_with_an_endless_interval_comes_once)
{
    struct probe every = { 0 };
    hark_timer_every(&every.op, loop, 1, INT64_MAX, on_probe);
    ck_assert_int_eq(hark_step(loop, HARK_SECOND), 1);
    ck_assert_result(&every, 1);
    ck_assert_int_eq(hark_step(loop, HARK_MILLISECOND), 0);
    hark_cancel(&every.op);
    await(&every);
    ck_assert_int_eq(every.calls, 2);
}
END_TEST

/* More than a result can tell: as many as it can. */
START_TEST(a_repeating_timer_counts_from_the_remotest_past)
{
    static const int64_t firsts_ns[] = { INT64_MIN, INT64_MIN + 1, -HARK_SECOND, 0 };
    static const int64_t intervals_ns[] = { 1, 3, HARK_SECOND, INT64_MAX };
    for (int i = 0; i < 16; i++) {
        struct probe every = { 0 };
        int64_t first_ns = firsts_ns[i / 4], interval_ns = intervals_ns[i % 4];
        snprintf(doing, sizeof doing, "case %d", i);
        hark_timer_every(&every.op, loop, first_ns, interval_ns, on_probe);
        await_calls(&every, 1);
        uint64_t late_ns = (uint64_t)every.time_ns - (uint64_t)first_ns;
        uint64_t passed = late_ns / (uint64_t)interval_ns;
        ck_assert_result(&every, passed < INT64_MAX ? (int64_t)passed + 1 : INT64_MAX);
        int64_t then_ns = every.time_ns;
        while (interval_ns < HARK_SECOND && every.calls == 1)
            ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        if (every.calls > 1) /* and from there on it is on its grid */
            ck_assert_int_le((every.result - 1) * interval_ns, every.time_ns - then_ns);
        hark_cancel(&every.op);
        await(&every);
    }
}
END_TEST

static void rearm_self(struct probe *probe)
{
    if (probe->calls != 1 || !probe->op.more) return;
    int64_t when_ns = hark_refresh(loop) + 3 * HARK_MILLISECOND;
    ck_assert(hark_rearm(&probe->op, when_ns));
    probe->arg = (void *)(intptr_t)when_ns;
}

START_TEST(rearm_moves_a_repeating_timer_and_its_grid)
{
    struct probe every = { .then = rearm_self };
    int64_t interval_ns = 2 * HARK_MILLISECOND;
    hark_timer_every(&every.op, loop, hark_refresh(loop), interval_ns, on_probe);
    await_calls(&every, 2);
    int64_t first_ns = (int64_t)(intptr_t)every.arg;
    ck_assert_int_ge(every.time_ns, first_ns);
    expect_on_grid(&every, first_ns, interval_ns, every.result);
    int64_t intervals = every.result;
    await_calls(&every, 3);
    expect_on_grid(&every, first_ns, interval_ns, intervals + every.result);
    hark_cancel(&every.op);
    await(&every);
}
END_TEST

static void set_again(struct probe *probe)
{
    if (probe->calls == 200) return;
    int64_t when_ns = hark_now(loop) + (int64_t)draw(100000);
    probe->last_calls = 0;
    hark_timer(&probe->op, loop, when_ns, on_probe);
    if (draw(3) == 0) {
        ck_assert(hark_cancel(&probe->op));
        ck_assert(!hark_rearm(&probe->op, when_ns));
    } else if (draw(2) == 0) {
        ck_assert(hark_rearm(&probe->op, when_ns + 1000));
    }
}

START_TEST(timers_set_moved_and_canceled_in_callbacks_come_once_each)
{
    enum { TIMERS = 20 };
    static struct probe timers[TIMERS];
    for (int i = 0; i < TIMERS; i++) {
        timers[i].then = set_again;
        hark_timer(&timers[i].op, loop, hark_now(loop) + i, on_probe);
    }
    ck_assert_int_eq(hark_run(loop), 0);
    for (int i = 0; i < TIMERS; i++) ck_assert_int_eq(timers[i].calls, 200);
}
END_TEST

Suite *group_timer(void)
{
    Suite *suite = suite_create("timer");
    CASE(suite, a_timer_is_never_early_and_timers_come_in_the_order_of_their_moments);
    CASE(suite, equal_moments_come_in_the_order_set);
    CASE(suite, a_moment_in_the_past_comes_in_the_next_turn);
    CASE(suite, a_rearmed_timer_comes_once_at_its_new_moment);
    CASE(suite, a_timer_can_be_rearmed_to_an_earlier_moment);
    CASE(suite, a_rearmed_timer_counts_as_set_anew);
    CASE(suite, rearm_of_a_timer_that_is_due_or_to_no_moment_is_refused);
    CASE(suite, half_of_many_timers_can_be_canceled_and_the_others_come_once);
    CASE(suite, a_repeating_timer_keeps_to_its_grid);
    CASE(suite, a_repeating_timer_counts_what_it_missed_and_comes_in_no_burst);
    CASE(suite, a_repeating_timer_whose_first_moment_is_past_counts_from_it);
    CASE(suite, a_repeating_timer_without_an_interval_is_refused);
    CASE(suite, a_repeating_timer_with_an_endless_interval_comes_once);
    CASE(suite, a_repeating_timer_counts_from_the_remotest_past);
    CASE(suite, rearm_moves_a_repeating_timer_and_its_grid);
    CASE(suite, timers_set_moved_and_canceled_in_callbacks_come_once_each);
    return suite;
}
