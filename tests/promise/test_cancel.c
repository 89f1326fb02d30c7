/* Promise 5: a cancel asks. A queued op finishes at once, a running one with HARK_ECANCELED or with
 * its true result, and no data that arrived is lost. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

#include <poll.h>
#include <stdio.h>

START_TEST(cancel_of_a_running_op_settles_as_canceled)
{
    struct scene scene;
    for (int turns = 0; turns < 3; turns++) {
        FOR_EACH_SCENE(&scene) {
            struct probe probe = { 0 };
            scene_submit(&scene, &probe, 0);
            spin(turns); /* 0: no kernel knows it yet */
            ck_claim(probe.calls == 0);
            ck_claim(hark_cancel(&probe.op));
            await(&probe);
            ck_assert_result(&probe, HARK_ECANCELED);
            ck_claim(probe.os_error == 0 && probe.calls == 1);
            ck_claim(!hark_cancel(&probe.op));
        }
    }
}
END_TEST

START_TEST(cancel_of_a_queued_op_is_done_at_once)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe first = { 0 }, second = { 0 }, third = { 0 };
        scene_submit(&scene, &first, 0);
        scene_submit(&scene, &second, 1);
        scene_submit(&scene, &third, 2);
        ck_claim(hark_cancel(&second.op));
        spin(1);
        ck_claim(second.last_calls == 1);
        ck_assert_result(&second, HARK_ECANCELED);
        ck_claim(hark_cancel(&third.op));
        spin(1);
        ck_claim(third.last_calls == 1 && first.calls == 0);
        ck_claim(hark_is_alive(&first.op));
        if (scene_can_fulfil(&scene)) {
            scene_fulfil(&scene);
            await_calls(&first, 1);
            ck_claim(scene_is_true_result(&scene, first.result));
        }
        if (hark_cancel(&first.op)) await(&first);
    }
}
END_TEST

START_TEST(cancel_of_an_idle_op_does_nothing)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        ck_claim(!hark_cancel(&probe.op));
        ck_claim(!hark_is_alive(&probe.op));
        scene_submit(&scene, &probe, 0);
        ck_claim(hark_is_alive(&probe.op));
        hark_cancel(&probe.op);
        await(&probe);
        for (int i = 0; i < 3; i++) ck_claim(!hark_cancel(&probe.op));
        spin(3);
        ck_claim(probe.calls == 1);
    }
}
END_TEST

static void expect_idle(struct probe *probe)
{
    ck_claim(!hark_cancel(&probe->op));
    ck_claim(!hark_is_alive(&probe->op));
}

START_TEST(an_op_is_idle_in_its_last_callback)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { .then = expect_idle };
        scene_submit(&scene, &probe, 0);
        hark_cancel(&probe.op);
        await(&probe);
    }
}
END_TEST

START_TEST(a_second_cancel_changes_nothing)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        scene_submit(&scene, &probe, 0);
        spin(2);
        for (int i = 0; i < 5; i++) ck_claim(hark_cancel(&probe.op));
        await(&probe);
        spin(5);
        ck_claim(probe.calls == 1);
        ck_assert_result(&probe, HARK_ECANCELED);
    }
}
END_TEST

static void cancel_other(struct probe *probe) { hark_cancel(probe->arg); }

/* Its result is there, its callback due in the same turn. */
START_TEST(cancel_of_a_finished_op_keeps_its_true_result)
{
    struct wire wire;
    char buf[1];
    struct probe half = { 0 }, none = { 0 }, nothing = { 0 };
    struct probe first[3] = { { .then = cancel_other, .arg = &half.op },
                              { .then = cancel_other, .arg = &none.op },
                              { .then = cancel_other, .arg = &nothing.op } };
    ck_assert(wire_open(&wire, WIRE_TCP4));
    hark_nop(&first[0].op, loop, on_probe);
    hark_shutdown(&half.op, &wire.io, SHUT_WR, on_probe);
    await(&half);
    hark_nop(&first[1].op, loop, on_probe);
    hark_recv(&none.op, &wire.io, buf, 0, on_probe);
    await(&none);
    hark_nop(&first[2].op, loop, on_probe);
    hark_nop(&nothing.op, loop, on_probe);
    await(&nothing);
    ck_assert_result(&half, 0);
    ck_assert_result(&none, 0);
    ck_assert_result(&nothing, 0);
    ck_assert_int_eq(half.calls + none.calls + nothing.calls, 3);
    wire_close(&wire);
}
END_TEST

/* Whichever of several on their way it is. */
START_TEST(a_post_that_is_canceled_calls_back_once)
{
    enum { POSTS = 3 };
    for (int canceled = 0; canceled < POSTS; canceled++) {
        struct probe posts[POSTS] = { 0 };
        for (int i = 0; i < POSTS; i++) hark_post(&posts[i].op, loop, on_probe);
        ck_assert(hark_cancel(&posts[canceled].op));
        ck_assert_int_eq(posts[canceled].calls, 0);
        spin(8);
        for (int i = 0; i < POSTS; i++) {
            ck_assert_int_eq(posts[i].calls, 1);
            bool is_canceled = i == canceled && posts[i].result == HARK_ECANCELED;
            ck_assert(posts[i].result == 0 || is_canceled);
        }
        ck_assert_int_eq(hark_run(loop), 0); /* nothing is left that would keep it */
    }
}
END_TEST

START_TEST(a_close_cannot_be_canceled)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 }, closing = { 0 };
        if (scene.verb->is_timer) continue;
        scene_submit(&scene, &probe, 0);
        hark_close(&closing.op, &scene.wire.io, on_probe);
        hark_cancel(&closing.op);
        await(&closing);
        ck_assert_result(&closing, 0);
        ck_claim(probe.calls == 1);
    }
}
END_TEST

/* What arrives around the moment of a cancel is in its result or stays for the next one. */
START_TEST(a_canceled_receive_loses_no_bytes)
{
    enum { ROUNDS = 150 };
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        size_t got = 0, sent = 0;
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        for (int round = 0; round < ROUNDS; round++) {
            struct probe probe = { 0 };
            char buf[16], out[7];
            hark_recv(&probe.op, &wire.io, buf, sizeof buf, on_probe);
            if (round % 2 == 0) spin(1);
            pattern_fill(out, sizeof out, sent);
            write_all(wire.peer, out, sizeof out);
            sent += sizeof out;
            if (round % 3 == 0) spin(1);
            hark_cancel(&probe.op);
            await(&probe);
            if (probe.result < 0) ck_assert_result(&probe, HARK_ECANCELED);
            else pattern_check(buf, (size_t)probe.result, got);
            if (probe.result > 0) got += (size_t)probe.result;
        }
        while (got < sent) {
            struct probe probe = { 0 };
            char buf[64];
            hark_recv(&probe.op, &wire.io, buf, sizeof buf, on_probe);
            await(&probe);
            ck_assert_int_gt(probe.result, 0);
            pattern_check(buf, (size_t)probe.result, got);
            got += (size_t)probe.result;
        }
        ck_assert_uint_eq(got, sent);
        wire_close(&wire);
    }
}
END_TEST

struct intake {
    struct hark_pool *pool;
    size_t got;
    int last_calls;
    int64_t result;
};

static void take_in(struct hark_op *op)
{
    struct intake *intake = op->user;
    intake->result = op->result;
    if (!op->more) intake->last_calls++;
    if (op->result <= 0) return;
    pattern_check(hark_data(op), (size_t)op->result, intake->got);
    intake->got += (size_t)op->result;
    hark_pool_give(intake->pool, hark_data(op));
}

/* Trap 27: a canceled receive into a pool may have consumed a buffer. */
START_TEST(a_canceled_receive_into_a_pool_loses_no_bytes_and_no_buffer)
{
    enum { ROUNDS = 100 };
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct intake intake = { 0 };
        size_t sent = 0;
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        ck_assert_int_eq(hark_pool_open(&intake.pool, loop, 2, 16), 0);
        for (int round = 0; round < ROUNDS || intake.got < sent; round++) {
            struct hark_op op = { .user = &intake };
            char out[7];
            intake.last_calls = 0;
            hark_recv_pool(&op, &wire.io, intake.pool, take_in);
            if (round % 2 == 0) spin(1);
            pattern_fill(out, sizeof out, sent);
            if (round < ROUNDS) {
                write_all(wire.peer, out, sizeof out);
                sent += sizeof out;
            }
            spin(round < ROUNDS ? round % 4 : 4);
            hark_cancel(&op);
            while (intake.last_calls == 0) ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
            ck_assert_int_eq(intake.result, HARK_ECANCELED);
            ck_assert_int_lt(round, 10 * ROUNDS);
        }
        ck_assert_uint_eq(intake.got, sent);
        ck_assert_uint_eq(hark_pool_out_count(intake.pool), 0);
        wire_close(&wire);
        ck_assert_int_eq(hark_pool_close(intake.pool), 0);
    }
}
END_TEST

START_TEST(a_canceled_receive_of_datagrams_loses_none)
{
    enum { ROUNDS = 100 };
    int fds[2], got = 0;
    struct hark_io io = { 0 };
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    ck_assert_int_eq(hark_io_adopt(&io, loop, fds[0]), 0);
    for (int round = 0; round < 2 * ROUNDS && got < ROUNDS; round++) {
        struct probe probe = { 0 };
        int number = -1;
        struct hark_datagram datagram = { .data = &number, .len = sizeof number };
        hark_recvfrom(&probe.op, &io, &datagram, on_probe);
        if (round % 2 == 0) spin(1);
        if (round < ROUNDS) ck_assert_int_eq(write(fds[1], &round, sizeof round), sizeof round);
        if (round < ROUNDS && round % 3 != 0) hark_cancel(&probe.op);
        await(&probe);
        if (probe.result == HARK_ECANCELED) continue;
        ck_assert_result(&probe, (int64_t)sizeof number);
        ck_assert_int_eq(number, got++);
    }
    ck_assert_int_eq(got, ROUNDS);
    close_io(&io);
    close(fds[1]);
}
END_TEST

static int accepted_count;

static void count_accepted(struct probe *probe)
{
    if (probe->result < 0) return;
    accepted_count++;
    close((int)probe->result);
}

START_TEST(a_canceled_accept_loses_no_connection)
{
    enum { ROUNDS = 30 };
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct listener listener;
        int clients[ROUNDS], dialed = 0;
        accepted_count = 0;
        if (!listener_open(&listener, (enum wire_kind)kind)) continue;
        for (int round = 0; round < ROUNDS; round++) {
            struct probe probe = { .then = count_accepted };
            hark_accept(&probe.op, &listener.io, on_probe);
            if (round % 2 == 0) spin(1);
            clients[dialed] = listener_dial(&listener);
            ck_assert_int_ge(clients[dialed++], 0);
            if (round % 3 == 0) spin(1);
            hark_cancel(&probe.op);
            await(&probe);
            ck_assert_result(&probe, HARK_ECANCELED);
        }
        struct probe rest = { .then = count_accepted };
        hark_accept(&rest.op, &listener.io, on_probe);
        await_calls(&rest, ROUNDS - accepted_count);
        hark_cancel(&rest.op);
        await(&rest);
        ck_assert_int_eq(accepted_count, ROUNDS);
        while (dialed > 0) close(clients[--dialed]);
        close_io(&listener.io);
    }
}
END_TEST

/* The peer has exactly what hark_sent_bytes() tells. */
static void check_partial_send(enum wire_kind kind, bool is_vector, size_t peer_takes)
{
    enum { BYTES = 4 << 20 };
    struct wire wire;
    struct probe probe = { 0 };
    if (!wire_open(&wire, kind)) return;
    wire_narrow(&wire);
    char *data = malloc(BYTES);
    pattern_fill(data, BYTES, 0);
    struct iovec slices[3] = { { data, 1000 }, { data + 1000, BYTES / 2 },
                               { data + 1000 + BYTES / 2, BYTES - BYTES / 2 - 1000 } };
    if (is_vector) hark_sendv(&probe.op, &wire.io, slices, 3, on_probe);
    else hark_send(&probe.op, &wire.io, data, BYTES, on_probe);
    spin(3);
    size_t taken = pattern_take(wire.peer, 0, peer_takes);
    spin(3);
    ck_claim(probe.calls == 0);
    hark_cancel(&probe.op);
    await(&probe);
    ck_assert_result(&probe, HARK_ECANCELED);
    size_t sent = hark_sent_bytes(&probe.op);
    ck_claim(sent > 0 && sent < BYTES);
    close_io(&wire.io);
    while (taken < sent && is_ready(wire.peer, POLLIN, 5000)) {
        size_t more = pattern_take(wire.peer, taken, BYTES);
        if (more == 0) break;
        taken += more;
    }
    ck_assert_uint_eq(taken, sent);
    ck_claim(is_ready(wire.peer, POLLIN, 5000) && pattern_take(wire.peer, taken, BYTES) == 0);
    wire_close(&wire);
    free(data);
}

START_TEST(a_canceled_send_tells_how_much_has_gone)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        snprintf(doing, sizeof doing, "%s", wire_names[kind]);
        check_partial_send((enum wire_kind)kind, false, 0);
        check_partial_send((enum wire_kind)kind, false, 100000);
        check_partial_send((enum wire_kind)kind, true, 100000);
    }
}
END_TEST

static void cancel_self(struct probe *probe)
{
    if (!probe->op.more) return;
    ck_claim(hark_cancel(&probe->op));
    ck_claim(probe->calls == 1); /* not called from inside the cancel */
}

START_TEST(a_repeating_op_can_be_canceled_in_its_own_callback)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { .then = cancel_self };
        if (!scene.verb->is_repeating) continue;
        if (scene.verb->is_timer) scene.when_ns = 1;
        scene_submit(&scene, &probe, 0);
        if (!scene.verb->is_timer) scene_fulfil(&scene);
        await(&probe);
        spin(5);
        ck_claim(probe.calls == 2 && probe.last_calls == 1);
        ck_assert_result(&probe, HARK_ECANCELED);
    }
}
END_TEST

START_TEST(an_op_can_be_canceled_in_the_callback_of_another)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        struct probe nothing = { .then = cancel_other, .arg = &probe.op };
        scene_submit(&scene, &probe, 0);
        hark_nop(&nothing.op, loop, on_probe);
        await(&probe);
        ck_assert_result(&probe, HARK_ECANCELED);
        ck_claim(nothing.order < probe.order);
    }
}
END_TEST

static void keep_buffer(struct hark_op *op)
{
    struct probe *probe = (struct probe *)(void *)op;
    if (op->result > 0) probe->arg = hark_data(op);
    on_probe(op);
}

/* All buffers are with the caller: no kernel has the op. */
START_TEST(a_receive_that_waits_for_a_buffer_can_be_canceled)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct hark_pool *pool;
        struct probe first = { 0 };
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        ck_assert_int_eq(hark_pool_open(&pool, loop, 1, 4), 0);
        hark_recv_pool(&first.op, &wire.io, pool, keep_buffer);
        write_all(wire.peer, "abcdefgh", 8);
        await_calls(&first, 1);
        spin(5);
        ck_assert_int_eq(first.calls, 1);
        ck_assert(hark_cancel(&first.op));
        await(&first);
        ck_assert_result(&first, HARK_ECANCELED);
        hark_pool_give(pool, first.arg);
        char buf[8];
        struct probe rest = { 0 };
        hark_recv(&rest.op, &wire.io, buf, sizeof buf, on_probe);
        await(&rest);
        ck_assert_result(&rest, 4);
        ck_assert_mem_eq(buf, "efgh", 4);
        wire_close(&wire);
        ck_assert_int_eq(hark_pool_close(pool), 0);
    }
}
END_TEST

Suite *group_cancel(void)
{
    Suite *suite = suite_create("cancel");
    CASE(suite, cancel_of_a_running_op_settles_as_canceled);
    CASE(suite, cancel_of_a_queued_op_is_done_at_once);
    CASE(suite, cancel_of_an_idle_op_does_nothing);
    CASE(suite, an_op_is_idle_in_its_last_callback);
    CASE(suite, a_second_cancel_changes_nothing);
    CASE(suite, cancel_of_a_finished_op_keeps_its_true_result);
    CASE(suite, a_post_that_is_canceled_calls_back_once);
    CASE(suite, a_close_cannot_be_canceled);
    CASE(suite, a_canceled_receive_loses_no_bytes);
    CASE(suite, a_canceled_receive_into_a_pool_loses_no_bytes_and_no_buffer);
    CASE(suite, a_canceled_receive_of_datagrams_loses_none);
    CASE(suite, a_canceled_accept_loses_no_connection);
    CASE(suite, a_canceled_send_tells_how_much_has_gone);
    CASE(suite, a_repeating_op_can_be_canceled_in_its_own_callback);
    CASE(suite, an_op_can_be_canceled_in_the_callback_of_another);
    CASE(suite, a_receive_that_waits_for_a_buffer_can_be_canceled);
    return suite;
}
