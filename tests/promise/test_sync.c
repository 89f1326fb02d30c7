/* Promise 19: who waits longest is served first, and a wait that was ended took nothing. */
#include "groups.h"
#include "harness.h"

static struct hark_mutex mutex;
static struct hark_condition condition;
static struct hark_semaphore semaphore;
static struct hark_group group;
static struct hark_once once;
static struct hark_broadcast broadcast;
static char order[32];
static int inside, seen;

static int64_t holds(void *arg)
{
    ck_assert_int_eq(hark_mutex_lock(&mutex), 0);
    ck_assert_int_eq(inside++, 0);
    order[strlen(order)] = *(char *)arg;
    ck_assert_int_eq(hark_fiber_sleep(1000), 0);
    inside--;
    hark_mutex_unlock(&mutex);
    return 0;
}

START_TEST(a_mutex_has_one_holder_and_is_handed_on_in_order)
{
    char names[] = { 'a', 'b', 'c' };
    for (int i = 0; i < 9; i++) hark_fiber_start(loop, holds, &names[i % 3]);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_str_eq(order, "abcabcabc");
    ck_assert_ptr_null(mutex.owner);
}
END_TEST

static int64_t awaits_claim(void *arg)
{
    (void)arg;
    ck_assert_int_eq(hark_mutex_lock(&mutex), 0);
    while (seen == 0) ck_assert_int_eq(hark_condition_wait(&condition, &mutex), 0);
    seen++;
    hark_mutex_unlock(&mutex);
    return 0;
}

static int64_t makes_claim(void *arg)
{
    (void)arg;
    hark_condition_signal(&condition); /* not so yet: it waits again */
    ck_assert_int_eq(hark_fiber_sleep(1000), 0);
    seen = 1;
    hark_condition_broadcast(&condition);
    return 0;
}

START_TEST(a_condition_wakes_one_or_all_and_the_mutex_is_held_again)
{
    for (int i = 0; i < 4; i++) hark_fiber_start(loop, awaits_claim, NULL);
    hark_fiber_start(loop, makes_claim, NULL);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(seen, 5);
}
END_TEST

static int64_t times_out_holding(void *arg)
{
    struct hark_scope scope;
    (void)arg;
    ck_assert_int_eq(hark_mutex_lock(&mutex), 0);
    hark_scope_open(&scope, hark_after(loop, HARK_MILLISECOND));
    ck_assert_int_eq(hark_condition_wait(&condition, &mutex), HARK_ETIMEDOUT);
    ck_assert_ptr_eq(mutex.owner, hark_fiber_self());
    ck_assert_int_eq(hark_condition_wait(&condition, &mutex), HARK_ETIMEDOUT);
    hark_mutex_unlock(&mutex);
    return hark_scope_close(&scope);
}

START_TEST(a_condition_that_times_out_holds_the_mutex)
{
    ck_assert_int_eq(hark_fiber_main(loop, times_out_holding, NULL), HARK_ETIMEDOUT);
}
END_TEST

static int64_t takes_permit(void *arg)
{
    (void)arg;
    ck_assert_int_eq(hark_semaphore_take(&semaphore), 0);
    ck_assert_int_le(++inside, 2);
    ck_assert_int_eq(hark_fiber_sleep(1000), 0);
    inside--;
    seen++;
    hark_semaphore_give(&semaphore);
    return 0;
}

START_TEST(a_semaphore_lets_in_as_many_as_it_has_permits)
{
    semaphore.count = 2;
    for (int i = 0; i < 7; i++) hark_fiber_start(loop, takes_permit, NULL);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert(seen == 7 && semaphore.count == 2);
    ck_assert(hark_semaphore_try_take(&semaphore) && hark_semaphore_try_take(&semaphore));
    ck_assert(!hark_semaphore_try_take(&semaphore));
}
END_TEST

static int64_t does_its_part(void *arg)
{
    ck_assert_int_eq(hark_fiber_sleep(*(int64_t *)arg), 0);
    seen++;
    hark_group_done(&group);
    return 0;
}

static int64_t awaits_group(void *arg)
{
    (void)arg;
    ck_assert_int_eq(hark_group_wait(&group), 0);
    return seen;
}

START_TEST(a_group_is_waited_for_until_all_of_it_is_over)
{
    int64_t delays[] = { 3000, 1, 90000 };
    hark_group_add(&group, 3);
    for (int i = 0; i < 3; i++) hark_fiber_start(loop, does_its_part, &delays[i]);
    ck_assert_int_eq(hark_fiber_main(loop, awaits_group, NULL), 3);
    ck_assert_int_eq(hark_fiber_main(loop, awaits_group, NULL), 3);
}
END_TEST

static int64_t runs_once(void *arg)
{
    (void)arg;
    seen++;
    ck_assert_int_eq(hark_fiber_sleep(1000), 0);
    return 11;
}

static int64_t wants_it(void *arg)
{
    (void)arg;
    ck_assert_int_eq(hark_once_run(&once, runs_once, NULL), 11);
    return 0;
}

START_TEST(once_runs_once_and_all_get_its_result)
{
    for (int i = 0; i < 3; i++) hark_fiber_start(loop, wants_it, NULL);
    ck_assert_int_eq(hark_run(loop), 0);
    hark_fiber_start(loop, wants_it, NULL);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(seen, 1);
}
END_TEST

static int64_t is_canceled_in_it(void *arg)
{
    (void)arg;
    seen++;
    int64_t error = hark_fiber_sleep(seen == 1 ? 60 * HARK_SECOND : 1000);
    return error != 0 ? error : 12;
}

static int64_t wants_twelve(void *arg)
{
    (void)arg;
    return hark_once_run(&once, is_canceled_in_it, NULL);
}

static int64_t cancels_the_first(void *arg)
{
    struct hark_scope scope, others;
    int64_t results[3] = { 0 };
    (void)arg;
    hark_scope_open(&scope, 0);
    hark_spawn_into(&scope, wants_twelve, NULL, &results[0]);
    hark_fiber_yield();
    hark_scope_open_shielded(&others, 0);
    for (int i = 1; i < 3; i++) hark_spawn_into(&others, wants_twelve, NULL, &results[i]);
    hark_fiber_yield();
    hark_scope_cancel(&scope);
    ck_assert_int_eq(hark_scope_close(&others), 0);
    ck_assert_int_eq(hark_scope_close(&scope), HARK_ECANCELED);
    ck_assert(results[0] == HARK_ECANCELED && results[1] == 12 && results[2] == 12);
    return seen;
}

START_TEST(once_runs_again_after_one_that_was_canceled_in_it)
{
    ck_assert_int_eq(hark_fiber_main(loop, cancels_the_first, NULL), 2);
}
END_TEST

/* What is handed over and a cancel that meet in one turn: whichever is first counts. */
static int64_t wants_both(void *arg)
{
    int64_t error = arg != NULL ? hark_semaphore_take(&semaphore) : hark_mutex_lock(&mutex);
    if (error == 0) seen++;
    if (error == 0 && arg == NULL) hark_mutex_unlock(&mutex);
    return error;
}

static int64_t hand_over_meets_cancel(void *arg)
{
    struct hark_scope scope;
    bool is_given_first = *(bool *)arg;
    int64_t permit, lock;
    ck_assert_int_eq(hark_mutex_lock(&mutex), 0);
    hark_scope_open(&scope, 0);
    hark_spawn_into(&scope, wants_both, &seen, &permit);
    hark_spawn_into(&scope, wants_both, NULL, &lock);
    hark_fiber_yield();
    if (!is_given_first) hark_scope_cancel(&scope);
    hark_semaphore_give(&semaphore);
    hark_mutex_unlock(&mutex);
    if (is_given_first) hark_scope_cancel(&scope);
    ck_assert_int_eq(hark_scope_close(&scope), HARK_ECANCELED);
    ck_assert_int_eq(permit, is_given_first ? 0 : HARK_ECANCELED);
    ck_assert_int_eq(lock, is_given_first ? 0 : HARK_ECANCELED);
    ck_assert_ptr_null(mutex.owner);
    return (int64_t)semaphore.count;
}

START_TEST(permits_and_mutexes_are_not_lost_to_one_that_was_canceled)
{
    ck_assert_int_eq(hark_fiber_main(loop, hand_over_meets_cancel, &(bool){ false }), 1);
    ck_assert_int_eq(seen, 0);
    semaphore.count = 0;
    ck_assert_int_eq(hark_fiber_main(loop, hand_over_meets_cancel, &(bool){ true }), 0);
    ck_assert_int_eq(seen, 2);
}
END_TEST

static int64_t subscribes(void *arg)
{
    struct hark_subscription subscription;
    int item, last = -1;
    int64_t missed, total = 0;
    bool is_slow = *(bool *)arg;
    hark_subscribe(&subscription, &broadcast);
    hark_fiber_yield();
    while ((missed = hark_subscription_receive(&subscription, &item)) >= 0) {
        ck_assert_int_eq(item, last + 1 + missed);
        last = item;
        total += missed + 1;
        if (is_slow) ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), 0);
    }
    ck_assert_int_eq(missed, HARK_ECLOSED);
    ck_assert_int_eq(total, 20);
    ck_assert_int_eq(last, 19);
    seen++;
    return 0;
}

static int64_t broadcasts(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(hark_broadcast_send(&broadcast, &i), 0);
        hark_fiber_yield();
    }
    hark_broadcast_close(&broadcast);
    ck_assert_int_eq(hark_broadcast_send(&broadcast, &seen), HARK_ECLOSED);
    return 0;
}

START_TEST(a_broadcast_reaches_all_and_tells_the_slow_what_they_missed)
{
    ck_assert_int_eq(hark_broadcast_open(&broadcast, loop, sizeof(int), 0), HARK_EINVAL);
    ck_assert_int_eq(hark_broadcast_open(&broadcast, loop, sizeof(int), 4), 0);
    bool is_slow[] = { false, false, true };
    for (int i = 0; i < 3; i++) hark_fiber_start(loop, subscribes, &is_slow[i]);
    hark_fiber_start(loop, broadcasts, NULL);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(seen, 3);
    hark_broadcast_free(&broadcast);
}
END_TEST

static int64_t ticks(void *arg)
{
    struct hark_ticker ticker;
    int64_t start = hark_now(loop), total = 0;
    (void)arg;
    hark_ticker_open(&ticker, HARK_MILLISECOND);
    for (int i = 0; i < 5; i++) {
        int64_t count = hark_ticker_wait(&ticker);
        ck_assert_int_ge(count, 1);
        total += count;
        ck_assert_int_ge(hark_now(loop) - start, total * HARK_MILLISECOND);
        ck_assert_int_lt(hark_now(loop) - start, (total + 1) * HARK_MILLISECOND);
    }
    return 0;
}

START_TEST(a_ticker_loses_no_tick_and_does_not_drift)
{
    ck_assert_int_eq(hark_fiber_main(loop, ticks, NULL), 0);
}
END_TEST

static int64_t ticks_never(void *arg)
{
    struct hark_ticker ticker;
    struct hark_scope scope;
    hark_scope_open(&scope, hark_after(loop, HARK_MILLISECOND));
    hark_ticker_open(&ticker, *(int64_t *)arg);
    ck_assert_int_eq(hark_ticker_wait(&ticker), HARK_ETIMEDOUT);
    return hark_scope_close(&scope);
}

START_TEST(a_ticker_of_centuries_does_not_overflow)
{
    int64_t intervals[] = { INT64_MAX, INT64_MAX / 2 + 1 };
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(hark_fiber_main(loop, ticks_never, &intervals[i]), HARK_ETIMEDOUT);
}
END_TEST

Suite *group_sync(void)
{
    Suite *suite = suite_create("sync");
    CASE(suite, a_mutex_has_one_holder_and_is_handed_on_in_order);
    CASE(suite, a_condition_wakes_one_or_all_and_the_mutex_is_held_again);
    CASE(suite, a_condition_that_times_out_holds_the_mutex);
    CASE(suite, a_semaphore_lets_in_as_many_as_it_has_permits);
    CASE(suite, a_group_is_waited_for_until_all_of_it_is_over);
    CASE(suite, once_runs_once_and_all_get_its_result);
    CASE(suite, once_runs_again_after_one_that_was_canceled_in_it);
    CASE(suite, permits_and_mutexes_are_not_lost_to_one_that_was_canceled);
    CASE(suite, a_broadcast_reaches_all_and_tells_the_slow_what_they_missed);
    CASE(suite, a_ticker_loses_no_tick_and_does_not_drift);
    CASE(suite, a_ticker_of_centuries_does_not_overflow);
    return suite;
}
