/* Graceful shutdown: no new work, the old one to its end, and what did not come to it is told. */
#include "groups.h"
#include "harness.h"

static const struct hark_op *told[8];
static int told_count;

static void note_left(const struct hark_inspect_entry *entry, void *arg)
{
    (void)arg;
    ck_assert_int_lt(told_count, 8);
    told[told_count++] = entry->op;
}

START_TEST(a_drained_loop_has_finished_its_work_and_taken_no_more)
{
    struct listener listener;
    struct wire wire;
    struct probe accepting = { 0 }, receiving = { 0 }, late = { 0 };
    struct hark_op *ends[] = { &accepting.op };
    char buf[8];
    ck_assert(listener_open(&listener, WIRE_UNIX));
    ck_assert(wire_open(&wire, WIRE_UNIX));
    hark_accept(&accepting.op, &listener.io, on_probe);
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    hark_timer(&late.op, loop, hark_after(loop, 5 * HARK_MILLISECOND), on_probe);
    write_all(wire.peer, "work", 4);
    struct hark_drain drain = { .ends = ends, .end_count = 1, .patience_ns = 20 * HARK_SECOND,
                                .left = note_left };
    ck_assert_int_eq(hark_drain(loop, &drain), 0);
    ck_assert_result(&accepting, HARK_ECANCELED);
    ck_assert_result(&receiving, 4);
    ck_assert_result(&late, 0);
    ck_assert_int_eq(told_count, 0);
    close_io(&listener.io);
    wire_close(&wire);
}
END_TEST

static int64_t sleep_long(void *arg)
{
    (void)arg;
    return hark_fiber_sleep(1000 * HARK_SECOND);
}

START_TEST(what_did_not_drain_is_told_and_still_alive)
{
    struct wire wire;
    struct probe receiving = { 0 }, heartbeat = { 0 }, soon = { 0 };
    char buf[8];
    ck_assert(wire_open(&wire, WIRE_UNIX));
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    hark_timer(&heartbeat.op, loop, hark_after(loop, 1000 * HARK_SECOND), on_probe);
    hark_background(&heartbeat.op);
    hark_timer(&soon.op, loop, hark_after(loop, HARK_MILLISECOND), on_probe);
    struct hark_drain drain = { .patience_ns = 10 * HARK_MILLISECOND, .left = note_left };
    int64_t begun = clock_now();
    ck_assert_int_eq(hark_drain(loop, &drain), 1);
    ck_assert_int_ge(clock_now() - begun, drain.patience_ns);
    ck_assert_int_eq(told_count, 1);
    ck_assert_ptr_eq(told[0], &receiving.op);
    ck_assert_int_eq(receiving.calls, 0);
    ck_assert_result(&soon, 0);
    write_all(wire.peer, "x", 1);
    await(&receiving);
    ck_assert_result(&receiving, 1);
    ck_assert_int_eq(hark_fiber_start(loop, sleep_long, NULL), 0);
    told_count = 0;
    ck_assert_int_eq(hark_drain(loop, &drain), 1);
    ck_assert_int_eq(told_count, 1);
    hark_cancel(&heartbeat.op);
    await(&heartbeat);
    wire_close(&wire);
}
END_TEST

static void stop_the_loop(struct probe *probe) { hark_stop(hark_op_loop(&probe->op)); }

START_TEST(a_stop_ends_the_patience)
{
    struct wire wire;
    struct probe receiving = { 0 }, stopping = { .then = stop_the_loop };
    char buf[8];
    ck_assert(wire_open(&wire, WIRE_UNIX));
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    hark_timer(&stopping.op, loop, hark_after(loop, HARK_MILLISECOND), on_probe);
    struct hark_drain drain = { .patience_ns = 1000 * HARK_SECOND };
    ck_assert_int_eq(hark_drain(loop, &drain), 1);
    hark_cancel(&receiving.op);
    ck_assert_int_eq(hark_run(loop), 0); /* the stop is used up */
    ck_assert_result(&receiving, HARK_ECANCELED);
    drain.patience_ns = 0;
    ck_assert_int_eq(hark_drain(loop, &drain), 0);
    wire_close(&wire);
}
END_TEST

Suite *group_drain(void)
{
    Suite *suite = suite_create("drain");
    CASE(suite, a_drained_loop_has_finished_its_work_and_taken_no_more);
    CASE(suite, what_did_not_drain_is_told_and_still_alive);
    CASE(suite, a_stop_ends_the_patience);
    return suite;
}
