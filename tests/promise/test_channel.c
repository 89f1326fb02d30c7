/* Promise 19, channels: every item arrives once, in order, and a wait that ends otherwise moved
 * none. */
#include "groups.h"
#include "harness.h"

static struct hark_channel *channel;

static void open_channel(size_t room_count)
{
    ck_assert_int_eq(hark_channel_open(&channel, loop, sizeof(int), room_count), 0);
}

static int64_t sends_ten(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) ck_assert_int_eq(hark_channel_send(channel, &i), 0);
    hark_channel_close(channel);
    ck_assert_int_eq(hark_channel_send(channel, &(int){ 1 }), HARK_ECLOSED);
    return 0;
}

static int64_t receives_all(void *arg)
{
    int item, wanted = 0;
    int64_t error;
    (void)arg;
    hark_fiber_start(loop, sends_ten, NULL);
    while ((error = hark_channel_receive(channel, &item)) == 0) ck_assert_int_eq(item, wanted++);
    ck_assert_int_eq(error, HARK_ECLOSED);
    return wanted;
}

START_TEST(items_arrive_in_order_and_the_end_after_them)
{
    for (size_t room_count = 0; room_count < 4; room_count++) {
        open_channel(room_count);
        ck_assert_int_eq(hark_fiber_main(loop, receives_all, NULL), 10);
        ck_assert_int_eq(hark_run(loop), 0);
        hark_channel_free(channel);
    }
}
END_TEST

START_TEST(a_try_never_waits_and_works_outside_of_fibers)
{
    int item = 5;
    open_channel(1);
    ck_assert_int_eq(hark_channel_try_receive(channel, &item), HARK_EAGAIN);
    ck_assert_int_eq(hark_channel_try_send(channel, &item), 0);
    ck_assert_int_eq(hark_channel_try_send(channel, &item), HARK_EAGAIN);
    ck_assert_uint_eq(hark_channel_count(channel), 1);
    hark_channel_close(channel);
    ck_assert_int_eq(hark_channel_try_send(channel, &item), HARK_ECLOSED);
    item = 0;
    ck_assert_int_eq(hark_channel_try_receive(channel, &item), 0);
    ck_assert_int_eq(item, 5);
    ck_assert_int_eq(hark_channel_try_receive(channel, &item), HARK_ECLOSED);
    hark_channel_free(channel);
}
END_TEST

static int64_t times_out(void *arg)
{
    int item = 1;
    int64_t deadline = hark_after(loop, HARK_MILLISECOND);
    (void)arg;
    ck_assert_int_eq(hark_channel_receive_until(channel, &item, deadline), HARK_ETIMEDOUT);
    ck_assert_int_ge(clock_now(), deadline);
    deadline = hark_after(loop, HARK_MILLISECOND);
    ck_assert_int_eq(hark_channel_send_until(channel, &item, deadline), HARK_ETIMEDOUT);
    ck_assert_int_eq(hark_channel_try_receive(channel, &item), HARK_EAGAIN);
    return 0;
}

START_TEST(a_send_and_a_receive_end_at_their_deadline_and_move_nothing)
{
    open_channel(0);
    ck_assert_int_eq(hark_fiber_main(loop, times_out, NULL), 0);
    hark_channel_free(channel);
}
END_TEST

static int64_t sends_its_argument(void *arg)
{
    return hark_channel_send(channel, arg);
}

static int64_t selects(void *arg)
{
    struct hark_channel *other = arg;
    struct hark_op op = { 0 };
    int in = 0, out = 3, one = 1;
    int64_t soon = hark_after(loop, HARK_MILLISECOND);
    hark_await_start(&op, hark_timer, loop, hark_after(loop, 60 * HARK_SECOND));
    struct hark_case cases[4] = {
        { .kind = HARK_CASE_RECEIVE, .channel = channel, .item = &in },
        { .kind = HARK_CASE_SEND, .channel = other, .item = &out },
        { .kind = HARK_CASE_OP, .op = &op },
        { .kind = HARK_CASE_TIME, .when_ns = soon },
    };
    ck_assert_int_eq(hark_select_now(cases, 4), HARK_EAGAIN);
    ck_assert_int_eq(hark_select(cases, 4), 3);
    cases[3].when_ns = hark_after(loop, 60 * HARK_SECOND);
    hark_fiber_start(loop, sends_its_argument, &one);
    ck_assert_int_eq(hark_select(cases, 4), 0);
    ck_assert(in == 1 && cases[0].result == 0);
    hark_cancel(&op);
    ck_assert_int_eq(hark_select(cases, 4), 2);
    ck_assert_int_eq(cases[2].result, HARK_ECANCELED);
    ck_assert_int_eq(hark_select(cases, 2) == 0, 0); /* the other end is there: a send */
    return 0;
}

static int64_t receives_from_other(void *arg)
{
    int item = 0;
    ck_assert_int_eq(hark_fiber_sleep(20 * HARK_MILLISECOND), 0);
    ck_assert_int_eq(hark_channel_receive(arg, &item), 0);
    ck_assert_int_eq(item, 3);
    return 0;
}

START_TEST(select_does_the_first_of_its_cases_and_only_that)
{
    struct hark_channel *other;
    open_channel(0);
    ck_assert_int_eq(hark_channel_open(&other, loop, sizeof(int), 0), 0);
    hark_fiber_start(loop, receives_from_other, other);
    ck_assert_int_eq(hark_fiber_main(loop, selects, other), 0);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_uint_eq(hark_channel_count(other), 0);
    hark_channel_free(other);
    hark_channel_free(channel);
}
END_TEST

static int64_t select_sees_the_end(void *arg)
{
    int in;
    struct hark_case one = { .kind = HARK_CASE_RECEIVE, .channel = channel, .item = &in };
    (void)arg;
    ck_assert_int_eq(hark_select(&one, 1), 0);
    ck_assert_int_eq(hark_select(&one, 0), HARK_EINVAL);
    return one.result;
}

static int64_t closes_it(void *arg)
{
    (void)arg;
    hark_channel_close(channel);
    return 0;
}

START_TEST(the_end_of_a_channel_ends_a_select)
{
    open_channel(0);
    hark_fiber_start(loop, closes_it, NULL);
    ck_assert_int_eq(hark_fiber_main(loop, select_sees_the_end, NULL), HARK_ECLOSED);
    hark_channel_free(channel);
}
END_TEST

static int64_t is_interrupted(void *arg)
{
    struct hark_scope scope;
    int in = 9;
    struct hark_case cases[2] = {
        { .kind = HARK_CASE_RECEIVE, .channel = channel, .item = &in },
        { .kind = HARK_CASE_TIME, .when_ns = hark_after(loop, 60 * HARK_SECOND) },
    };
    (void)arg;
    hark_scope_open(&scope, hark_after(loop, HARK_MILLISECOND));
    ck_assert_int_eq(hark_select(cases, 2), HARK_ETIMEDOUT);
    ck_assert_int_eq(hark_channel_try_send(channel, &in), HARK_EAGAIN);
    return hark_scope_close(&scope);
}

START_TEST(a_deadline_of_the_scope_ends_a_select)
{
    open_channel(0);
    ck_assert_int_eq(hark_fiber_main(loop, is_interrupted, NULL), HARK_ETIMEDOUT);
    hark_channel_free(channel);
}
END_TEST

START_TEST(a_channel_of_what_cannot_be_is_refused)
{
    ck_assert_int_eq(hark_channel_open(&channel, loop, (1 << 20) + 1, 1), HARK_EINVAL);
    ck_assert_ptr_null(channel);
    ck_assert_int_eq(hark_channel_open(&channel, loop, 1 << 20, SIZE_MAX / 4), HARK_ENOMEM);
    hark_channel_free(NULL);
}
END_TEST

static int64_t receives_nothings(void *arg)
{
    int64_t error;
    int *count = arg;
    while ((error = hark_channel_receive(channel, NULL)) == 0) ++*count;
    return error == HARK_ECLOSED ? 0 : error;
}

static int64_t sends_nothings(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) ck_assert_int_eq(hark_channel_send(channel, NULL), 0);
    hark_channel_close(channel);
    return 0;
}

START_TEST(an_item_of_no_bytes_is_a_signal)
{
    for (size_t room_count = 0; room_count < 3; room_count++) {
        int count = 0;
        ck_assert_int_eq(hark_channel_open(&channel, loop, 0, room_count), 0);
        ck_assert_int_eq(hark_fiber_start(loop, receives_nothings, &count), 0);
        ck_assert_int_eq(hark_fiber_start(loop, sends_nothings, NULL), 0);
        ck_assert_int_eq(hark_run(loop), 0);
        ck_assert_int_eq(count, 5);
        hark_channel_free(channel);
    }
}
END_TEST

/* Two that would send to each other and receive from each other by one channel. */
struct both { int sent, received; };

static int64_t sends_or_receives(void *arg)
{
    struct both *both = arg;
    int in = 0, out = 7;
    struct hark_case cases[4] = {
        { .kind = HARK_CASE_RECEIVE, .channel = channel, .item = &in },
        { .kind = HARK_CASE_SEND, .channel = channel, .item = &out },
        { .kind = HARK_CASE_RECEIVE, .channel = channel, .item = &in },
        { .kind = HARK_CASE_SEND, .channel = channel, .item = &out },
    };
    for (int i = 0; i < 10; i++) {
        int index = hark_select(cases, 4);
        ck_assert(index >= 0 && cases[index].result == 0);
        bool is_sent = index % 2 == 1;
        ck_assert_int_eq(in, is_sent ? 0 : 7);
        if (is_sent) both->sent++;
        else both->received++;
        in = 0;
    }
    return 0;
}

START_TEST(a_select_may_name_a_channel_twice_and_on_both_sides)
{
    struct both both[2] = { 0 };
    open_channel(0);
    for (int i = 0; i < 2; i++) hark_fiber_start(loop, sends_or_receives, &both[i]);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert(both[0].sent == both[1].received && both[1].sent == both[0].received);
    ck_assert_int_eq(both[0].sent + both[0].received, 10);
    hark_channel_free(channel); /* nobody is left in its queues */
}
END_TEST

/* An item and a cancel that meet in one turn: whichever is first counts, and none is lost. */
static int64_t takes_one(void *arg)
{
    int item = 0;
    int64_t error = hark_channel_receive(channel, &item);
    *(int *)arg += item;
    return error;
}

static int64_t item_meets_cancel(void *arg)
{
    struct hark_scope first, second;
    bool is_sent_first = *(bool *)arg;
    int got[2] = { 0 }, one = 1;
    int64_t results[2];
    hark_scope_open(&first, 0);
    hark_spawn_into(&first, takes_one, &got[0], &results[0]);
    hark_fiber_yield(); /* it waits */
    hark_scope_open_shielded(&second, 0);
    hark_spawn_into(&second, takes_one, &got[1], &results[1]);
    hark_fiber_yield();
    if (!is_sent_first) hark_scope_cancel(&first);
    ck_assert_int_eq(hark_channel_try_send(channel, &one), 0);
    if (is_sent_first) hark_scope_cancel(&first);
    if (is_sent_first) ck_assert_int_eq(hark_channel_try_send(channel, &one), 0);
    ck_assert_int_eq(hark_scope_close(&second), 0);
    ck_assert_int_eq(hark_scope_close(&first), HARK_ECANCELED);
    ck_assert_int_eq(results[0], is_sent_first ? 0 : HARK_ECANCELED);
    ck_assert_int_eq(got[0], is_sent_first ? 1 : 0);
    return got[1];
}

START_TEST(an_item_never_goes_to_one_that_was_canceled_before)
{
    open_channel(0);
    ck_assert_int_eq(hark_fiber_main(loop, item_meets_cancel, &(bool){ false }), 1);
    ck_assert_int_eq(hark_fiber_main(loop, item_meets_cancel, &(bool){ true }), 1);
    hark_channel_free(channel);
}
END_TEST

Suite *group_channel(void)
{
    Suite *suite = suite_create("channel");
    CASE(suite, items_arrive_in_order_and_the_end_after_them);
    CASE(suite, a_try_never_waits_and_works_outside_of_fibers);
    CASE(suite, a_send_and_a_receive_end_at_their_deadline_and_move_nothing);
    CASE(suite, select_does_the_first_of_its_cases_and_only_that);
    CASE(suite, the_end_of_a_channel_ends_a_select);
    CASE(suite, a_deadline_of_the_scope_ends_a_select);
    CASE(suite, a_channel_of_what_cannot_be_is_refused);
    CASE(suite, an_item_of_no_bytes_is_a_signal);
    CASE(suite, a_select_may_name_a_channel_twice_and_on_both_sides);
    CASE(suite, an_item_never_goes_to_one_that_was_canceled_before);
    return suite;
}
