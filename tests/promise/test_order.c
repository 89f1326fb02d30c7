/* Promise 4: ops on one io and one side finish in the order submitted, and the bytes go in that
 * order; the two sides do not wait for each other. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

#include <poll.h>

enum { OPS = 20 };

static void expect_orders(const struct probe *probes, int count)
{
    for (int i = 1; i < count; i++) ck_assert_int_lt(probes[i - 1].order, probes[i].order);
}

START_TEST(receives_finish_in_the_order_submitted)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct probe probes[OPS] = { 0 };
        char bytes[OPS], out[OPS];
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        pattern_fill(out, OPS, 0);
        for (int i = 0; i < OPS; i++)
            hark_recv(&probes[i].op, &wire.io, &bytes[i], 1, on_probe);
        write_all(wire.peer, out, OPS / 2);
        await(&probes[OPS / 2 - 1]);
        ck_assert_int_eq(probes[OPS / 2].calls, 0);
        write_all(wire.peer, out + OPS / 2, OPS / 2);
        await(&probes[OPS - 1]);
        expect_orders(probes, OPS);
        pattern_check(bytes, OPS, 0);
        wire_close(&wire);
    }
}
END_TEST

START_TEST(sends_finish_and_arrive_in_the_order_submitted)
{
    enum { BYTES = 150000, SENDS = 6 };
    static char data[BYTES * SENDS];
    pattern_fill(data, sizeof data, 0);
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct probe probes[SENDS + 1] = { 0 };
        struct iovec slices[SENDS][2];
        size_t taken = 0;
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        for (int i = 0; i < SENDS; i++) {
            char *part = data + i * BYTES;
            slices[i][0] = (struct iovec){ part, 100 };
            slices[i][1] = (struct iovec){ part + 100, BYTES - 100 };
            if (i % 2 == 0) hark_send(&probes[i].op, &wire.io, part, BYTES, on_probe);
            else hark_sendv(&probes[i].op, &wire.io, slices[i], 2, on_probe);
        }
        hark_shutdown(&probes[SENDS].op, &wire.io, SHUT_WR, on_probe);
        for (int64_t end = clock_now() + PATIENCE_S * HARK_SECOND; taken < sizeof data;) {
            ck_assert(clock_now() < end);
            spin(1);
            taken += pattern_take(wire.peer, taken, sizeof data);
        }
        await(&probes[SENDS]);
        for (int i = 0; i < SENDS; i++) ck_assert_result(&probes[i], BYTES);
        ck_assert_result(&probes[SENDS], 0);
        expect_orders(probes, SENDS + 1);
        ck_assert(is_ready(wire.peer, POLLIN, 5000));
        ck_assert_int_eq(read(wire.peer, data, 1), 0); /* the end, after all bytes */
        pattern_fill(data, 1, 0);
        wire_close(&wire);
    }
}
END_TEST

START_TEST(a_side_that_waits_does_not_hold_the_other)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct probe receiving = { 0 }, sending = { 0 }, more = { 0 };
        char buf[8];
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        spin(2);
        hark_send(&sending.op, &wire.io, "there", 5, on_probe);
        await(&sending);
        ck_assert_result(&sending, 5);
        ck_assert_int_eq(receiving.calls, 0);
        wire_fill_up(&wire);
        hark_send(&more.op, &wire.io, "more", 4, on_probe);
        spin(2);
        write_all(wire.peer, "back", 4);
        await(&receiving);
        ck_assert_result(&receiving, 4);
        hark_cancel(&more.op);
        await(&more);
        wire_close(&wire);
    }
}
END_TEST

struct pushing {
    struct probe first, late;
    struct wire wire;
    char byte;
};

static void submit_late(struct probe *probe)
{
    struct pushing *push = probe->arg;
    hark_recv(&push->late.op, &push->wire.io, &push->byte, 1, on_probe);
}

/* Between the result of an op and its callback the next one waits already: what is submitted in the
 * callback comes after it. So does what another callback of the same turn submits. */
START_TEST(an_op_submitted_in_a_callback_goes_behind_those_that_wait)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct pushing push = { 0 };
        struct probe waiting = { 0 };
        char bytes[2];
        if (!wire_open(&push.wire, (enum wire_kind)kind)) continue;
        push.first = (struct probe){ .then = submit_late, .arg = &push };
        hark_recv(&push.first.op, &push.wire.io, &bytes[0], 1, on_probe);
        hark_recv(&waiting.op, &push.wire.io, &bytes[1], 1, on_probe);
        write_all(push.wire.peer, "abc", 3);
        await(&push.late);
        ck_assert_int_eq(waiting.last_calls, 1);
        ck_assert_int_lt(waiting.order, push.late.order);
        ck_assert_int_eq(bytes[0], 'a');
        ck_assert_int_eq(bytes[1], 'b');
        ck_assert_int_eq(push.byte, 'c');
        wire_close(&push.wire);
    }
}
END_TEST

/* The nop's callback runs when the receive of no bytes has its result and not yet its callback. */
START_TEST(an_op_submitted_by_a_sibling_goes_behind_those_that_wait)
{
    struct pushing push = { 0 };
    struct probe nothing = { .then = submit_late, .arg = &push }, none = { 0 }, waiting = { 0 };
    char byte;
    ck_assert(wire_open(&push.wire, WIRE_UNIX));
    hark_nop(&nothing.op, loop, on_probe);
    hark_recv(&none.op, &push.wire.io, &byte, 0, on_probe);
    hark_recv(&waiting.op, &push.wire.io, &byte, 1, on_probe);
    write_all(push.wire.peer, "xy", 2);
    await(&push.late);
    ck_assert_int_lt(none.order, waiting.order);
    ck_assert_int_lt(waiting.order, push.late.order);
    ck_assert_int_eq(byte, 'x');
    ck_assert_int_eq(push.byte, 'y');
    wire_close(&push.wire);
}
END_TEST

START_TEST(the_others_keep_their_order_when_one_is_canceled_or_times_out)
{
    for (int way = 0; way < 2 * OPS; way++) {
        struct wire wire;
        struct probe probes[OPS] = { 0 };
        char bytes[OPS];
        int victim = way / 2;
        ck_assert(wire_open(&wire, WIRE_UNIX));
        for (int i = 0; i < OPS; i++) {
            if (i == victim && way % 2 == 1) probes[i].op.deadline_ns = 1;
            hark_recv(&probes[i].op, &wire.io, &bytes[i], 1, on_probe);
        }
        if (way % 2 == 0) hark_cancel(&probes[victim].op);
        await(&probes[victim]);
        ck_assert_result(&probes[victim], way % 2 == 0 ? HARK_ECANCELED : HARK_ETIMEDOUT);
        char out[OPS - 1];
        pattern_fill(out, sizeof out, 0);
        write_all(wire.peer, out, sizeof out);
        int seen = 0;
        for (int i = 0; i < OPS; i++) {
            if (i == victim) continue;
            await(&probes[i]);
            pattern_check(&bytes[i], 1, (size_t)seen++);
        }
        for (int i = 1, before = 0; i < OPS; i++) {
            if (i == victim || (before == victim && ++before == i)) continue;
            ck_assert_int_lt(probes[before].order, probes[i].order);
            before = i;
        }
        wire_close(&wire);
    }
}
END_TEST

START_TEST(what_is_sent_behind_a_connect_goes_out_after_it)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct listener listener;
        struct hark_io io = { 0 };
        struct probe connecting = { 0 }, sending = { 0 }, half = { 0 };
        char buf[16];
        if (!listener_open(&listener, (enum wire_kind)kind)) continue;
        struct sockaddr *addr = (struct sockaddr *)&listener.addr;
        ck_assert_int_eq(hark_socket(&io, loop, addr->sa_family, SOCK_STREAM, 0), 0);
        hark_connect(&connecting.op, &io, addr, listener.len, on_probe);
        hark_send(&sending.op, &io, "greetings", 9, on_probe);
        hark_shutdown(&half.op, &io, SHUT_WR, on_probe);
        await(&half);
        ck_assert_result(&connecting, 0);
        ck_assert_result(&sending, 9);
        ck_assert_result(&half, 0);
        ck_assert(connecting.order < sending.order && sending.order < half.order);
        int fd = hark_io_release(&listener.io), peer = accept(fd, NULL, NULL);
        ck_assert_int_ge(peer, 0);
        ck_assert_int_eq(recv(peer, buf, sizeof buf, MSG_WAITALL), 9);
        ck_assert_mem_eq(buf, "greetings", 9);
        close(peer);
        close(fd);
        close_io(&io);
    }
}
END_TEST

static void give_back(struct probe *probe)
{
    if (probe->result > 0) hark_pool_give(probe->arg, hark_data(&probe->op));
}

START_TEST(what_waits_behind_a_repeating_op_starts_when_it_ends)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct hark_pool *pool;
        struct probe receiving = { .then = give_back }, behind = { 0 };
        char buf[8];
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        ck_assert_int_eq(hark_pool_open(&pool, loop, 2, 16), 0);
        receiving.arg = pool;
        hark_recv_pool(&receiving.op, &wire.io, pool, on_probe);
        hark_recv(&behind.op, &wire.io, buf, sizeof buf, on_probe);
        for (int i = 1; i <= 3; i++) {
            write_all(wire.peer, "turn", 4);
            await_calls(&receiving, i);
        }
        ck_assert_int_eq(behind.calls, 0);
        hark_cancel(&receiving.op);
        await(&receiving);
        write_all(wire.peer, "mine", 4);
        await(&behind);
        ck_assert_result(&behind, 4);
        ck_assert_mem_eq(buf, "mine", 4);
        ck_assert_int_lt(receiving.order, behind.order);
        wire_close(&wire);
        ck_assert_int_eq(hark_pool_close(pool), 0);
    }
}
END_TEST

START_TEST(what_is_finished_at_once_calls_back_in_the_order_submitted)
{
    struct probe probes[OPS] = { 0 };
    for (int i = 0; i < OPS; i++) hark_nop(&probes[i].op, loop, on_probe);
    await(&probes[OPS - 1]);
    expect_orders(probes, OPS);
}
END_TEST

Suite *group_order(void)
{
    Suite *suite = suite_create("order");
    CASE(suite, receives_finish_in_the_order_submitted);
    CASE(suite, sends_finish_and_arrive_in_the_order_submitted);
    CASE(suite, a_side_that_waits_does_not_hold_the_other);
    CASE(suite, an_op_submitted_in_a_callback_goes_behind_those_that_wait);
    CASE(suite, an_op_submitted_by_a_sibling_goes_behind_those_that_wait);
    CASE(suite, the_others_keep_their_order_when_one_is_canceled_or_times_out);
    CASE(suite, what_is_sent_behind_a_connect_goes_out_after_it);
    CASE(suite, what_waits_behind_a_repeating_op_starts_when_it_ends);
    CASE(suite, what_is_finished_at_once_calls_back_in_the_order_submitted);
    return suite;
}
