/* Promise 18, everywhere: a program that waits in every way, in which the n-th wait is canceled,
 * for n = 1, 2, 3 ... until it has no n waits. All of it ends, and nothing is left. */
#include "groups.h"
#include "harness.h"

#include <stdio.h>

struct sweep {
    struct wire wire;
    struct hark_channel *channel;
    struct hark_mutex mutex;
    struct hark_semaphore semaphore;
    struct listener listener;
    struct hark_condition condition;
    struct hark_group group;
    struct hark_once once;
    struct hark_broadcast broadcast;
    struct hark_scope *scope;
    struct hark_op canceling;
    int waits, cancel_at;
    bool cancels_later, is_over;
};

static void cancel_all_of_it(struct hark_op *op)
{
    struct sweep *sweep = op->user;
    if (sweep->scope != NULL) hark_scope_cancel(sweep->scope);
}

/* Before a wait: cancels at once, so that it meets a canceled fiber; or in the next turn, so that
 * the cancel meets one that waits. */
static void point(struct sweep *sweep)
{
    if (++sweep->waits != sweep->cancel_at) return;
    sweep->canceling.user = sweep;
    if (sweep->cancels_later) hark_nop(&sweep->canceling, loop, cancel_all_of_it);
    else hark_scope_cancel(sweep->scope);
}

static int64_t feeds(void *arg)
{
    struct sweep *sweep = arg;
    for (int i = 0; i < 3; i++) {
        point(sweep);
        int64_t error = hark_channel_send(sweep->channel, &i);
        if (error != 0) return error;
    }
    return 0;
}

static int64_t meets(void *arg)
{
    struct sweep *sweep = arg;
    char c;
    int item;
    point(sweep);
    int64_t error = hark_mutex_lock(&sweep->mutex);
    if (error != 0) return error;
    point(sweep);
    error = hark_fiber_sleep(1000);
    hark_mutex_unlock(&sweep->mutex);
    if (error != 0) return error;
    point(sweep);
    error = hark_channel_receive(sweep->channel, &item);
    if (error != 0) return error;
    point(sweep);
    error = hark_fiber_send_all(&sweep->wire.io, "x", 1);
    if (error < 0) return error;
    struct hark_op op = { 0 };
    point(sweep);
    hark_await_start(&op, hark_recv, &sweep->wire.io, &c, 1);
    struct hark_case cases[2] = { { .kind = HARK_CASE_OP, .op = &op },
                                  { .kind = HARK_CASE_TIME, .when_ns = hark_after(loop, 1000) } };
    int index = hark_select(cases, 2);
    hark_cancel(&op);
    error = hark_await_started(&op);
    if (index < 0) return index;
    point(sweep);
    return hark_semaphore_take(&sweep->semaphore);
}

/* Makes come true, again and again, what the others wait for. */
static int64_t helps(void *arg)
{
    struct sweep *sweep = arg;
    int item = 1;
    while (!sweep->is_over) {
        int64_t error = hark_fiber_sleep(1000);
        if (error != 0) return error;
        hark_condition_signal(&sweep->condition);
        if (sweep->group.count != 0) hark_group_done(&sweep->group);
        ck_assert_int_eq(hark_broadcast_send(&sweep->broadcast, &item), 0);
        (void)send(sweep->wire.peer, "l\n", 2, MSG_DONTWAIT); /* full: there is enough to read */
        (void)drain(sweep->wire.peer);
    }
    return 0;
}

static int64_t accepts_and_closes(void *arg)
{
    struct sweep *sweep = arg;
    struct hark_io io = { 0 };
    point(sweep);
    int64_t error = hark_fiber_accept(&sweep->listener.io, &io);
    if (error < 0) return error;
    point(sweep);
    return hark_fiber_close(&io);
}

static int64_t dials(struct sweep *sweep)
{
    struct hark_io io = { 0 };
    char c;
    const struct sockaddr *addr = (const struct sockaddr *)&sweep->listener.addr;
    ck_assert_int_eq(hark_socket(&io, loop, addr->sa_family, SOCK_STREAM, 0), 0);
    point(sweep);
    int64_t error = hark_fiber_connect(&io, addr, sweep->listener.len);
    if (error == 0) {
        point(sweep);
        error = hark_fiber_recv(&io, &c, 1);
    }
    ck_assert_int_eq(hark_fiber_close(&io), 0);
    return error;
}

static int64_t reads(struct sweep *sweep)
{
    char buf[16], *line;
    struct hark_reader reader = { .io = &sweep->wire.io, .buf = buf, .room_bytes = sizeof buf };
    int64_t n = hark_fiber_recv_exactly(&sweep->wire.io, buf, 4);
    if (n < 0) return n;
    point(sweep);
    n = hark_fiber_read_line(&reader, &line);
    if (n < 0) return n;
    point(sweep);
    return hark_fiber_read_exactly(&reader, buf, 2);
}

static int64_t sleeps_a_little(void *arg)
{
    (void)arg;
    return hark_fiber_sleep(1000);
}

static int64_t coordinates(struct sweep *sweep)
{
    struct hark_ticker ticker;
    struct hark_subscription subscription;
    int item;
    hark_subscribe(&subscription, &sweep->broadcast);
    hark_ticker_open(&ticker, 1000);
    int64_t error = hark_condition_wait(&sweep->condition, NULL);
    if (error != 0) return error;
    hark_group_add(&sweep->group, 1);
    point(sweep);
    error = hark_group_wait(&sweep->group);
    if (error != 0) return error;
    point(sweep);
    error = hark_once_run(&sweep->once, sleeps_a_little, NULL);
    if (error != 0) return error;
    point(sweep);
    error = hark_ticker_wait(&ticker);
    if (error < 0) return error;
    point(sweep);
    error = hark_subscription_receive(&subscription, &item);
    return error < 0 ? error : 0;
}

static int64_t works(void *arg) { return (int64_t)(intptr_t)arg; }

static int64_t does_the_rest(void *arg)
{
    struct sweep *sweep = arg;
    point(sweep);
    int64_t error = hark_fiber_offload(HARK_OFFLOAD_WORK, works, NULL);
    if (error < 0) return error;
    error = dials(sweep);
    if (error < 0) return error;
    point(sweep);
    error = reads(sweep);
    if (error < 0) return error;
    point(sweep);
    error = coordinates(sweep);
    sweep->is_over = true;
    return error;
}

static int64_t sweep_program(void *arg)
{
    struct sweep *sweep = arg;
    struct hark_scope scope;
    hark_scope_open(&scope, 0);
    sweep->scope = &scope;
    hark_spawn(&scope, feeds, sweep);
    for (int i = 0; i < 3; i++) hark_spawn(&scope, meets, sweep);
    point(sweep);
    int64_t result = hark_fiber_sleep(HARK_MILLISECOND);
    int64_t error = hark_scope_close(&scope);
    sweep->scope = NULL;
    ck_assert(error == 0 || error == HARK_ECANCELED);
    return result == 0 ? error : result;
}

/* The other one: alone, and with the descriptors and threads. */
static int64_t sweep_the_rest(void *arg)
{
    struct sweep *sweep = arg;
    struct hark_scope scope;
    hark_scope_open(&scope, 0);
    sweep->scope = &scope;
    hark_spawn(&scope, helps, sweep);
    hark_spawn(&scope, accepts_and_closes, sweep);
    hark_spawn(&scope, does_the_rest, sweep);
    int64_t error = hark_scope_close(&scope);
    sweep->scope = NULL;
    return error;
}

static void ignore(const struct hark_inspect_entry *entry, void *arg) { (void)entry, (void)arg; }

/* Runs it with the n-th wait canceled; false: it has no n waits, and went through. */
static bool run_canceled(hark_fiber_fn *program, int n, bool cancels_later)
{
    struct sweep sweep = { .cancel_at = n, .cancels_later = cancels_later, .semaphore.count = 3 };
    snprintf(doing, sizeof doing, "wait %d%s", n, cancels_later ? ", while it waits" : "");
    ck_assert(wire_open(&sweep.wire, WIRE_UNIX));
    ck_assert(listener_open(&sweep.listener, WIRE_UNIX));
    ck_assert_int_eq(hark_channel_open(&sweep.channel, loop, sizeof(int), 0), 0);
    ck_assert_int_eq(hark_broadcast_open(&sweep.broadcast, loop, sizeof(int), 4), 0);
    int64_t result = hark_fiber_main(loop, program, &sweep);
    hark_broadcast_free(&sweep.broadcast);
    hark_channel_free(sweep.channel);
    ck_claim(sweep.mutex.owner == NULL && sweep.mutex.waiters.first == NULL);
    ck_claim(sweep.condition.waiters.first == NULL && sweep.group.waiters.first == NULL);
    wire_close(&sweep.wire);
    close_io(&sweep.listener.io);
    ck_claim(hark_loop_inspect(loop, ignore, NULL) == 0); /* no fiber, no op, no io */
    bool is_reached = sweep.waits >= n;
    bool may_be_through = !is_reached || cancels_later; /* over by then */
    ck_claim(result == HARK_ECANCELED || (may_be_through && result == 0));
    return is_reached;
}

static void sweep_over(hark_fiber_fn *program, int least)
{
    int descriptors = open_descriptor_count();
    for (int later = 0; later < 2; later++) {
        int n = 1;
        while (run_canceled(program, n, later == 1)) n++;
        ck_assert_int_ge(n, least);
    }
    ck_assert_int_eq(open_descriptor_count(), descriptors);
}

START_TEST(a_cancel_at_any_wait_settles_everything)
{
    sweep_over(sweep_program, 20);
}
END_TEST

START_TEST(a_cancel_at_any_wait_for_descriptors_and_threads_settles_everything)
{
    sweep_over(sweep_the_rest, 13);
}
END_TEST

Suite *group_sweep(void)
{
    Suite *suite = suite_create("sweep");
    CASE(suite, a_cancel_at_any_wait_settles_everything);
    CASE(suite, a_cancel_at_any_wait_for_descriptors_and_threads_settles_everything);
    return suite;
}
