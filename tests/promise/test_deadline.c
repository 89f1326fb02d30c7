/* Promise 6: every op takes a deadline. It holds for one submission, is never early, can be moved,
 * and a result that was there first wins. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

#include <poll.h>

static void expect_not_early(struct probe *probe)
{
    const int64_t *deadline_ns = probe->arg;
    ck_claim(clock_now() >= *deadline_ns);
    ck_claim(probe->time_ns >= *deadline_ns);
}

START_TEST(every_op_times_out_and_never_early)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        int64_t deadline_ns = hark_refresh(loop) + 2 * HARK_MILLISECOND + 1;
        struct probe probe = { .then = expect_not_early, .arg = &deadline_ns };
        if (scene.verb->is_timer) continue;
        probe.op.deadline_ns = deadline_ns;
        scene_submit(&scene, &probe, 0);
        await(&probe);
        ck_assert_result(&probe, HARK_ETIMEDOUT);
        ck_claim(probe.os_error == 0 && probe.calls == 1 && probe.deadline_seen == 0);
        spin(3);
        ck_claim(probe.calls == 1);
    }
}
END_TEST

START_TEST(an_op_that_waits_behind_another_times_out_there)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        int64_t deadline_ns = hark_refresh(loop) + HARK_MILLISECOND;
        struct probe first = { 0 }, last = { 0 };
        struct probe second = { .then = expect_not_early, .arg = &deadline_ns };
        if (scene.verb->is_timer) continue;
        second.op.deadline_ns = deadline_ns;
        scene_submit(&scene, &first, 0);
        scene_submit(&scene, &second, 1);
        scene_submit(&scene, &last, 2);
        await(&second);
        ck_assert_result(&second, HARK_ETIMEDOUT);
        ck_claim(first.calls == 0 && last.calls == 0);
        hark_cancel(&last.op);
        hark_cancel(&first.op);
        await(&first);
        await(&last);
    }
}
END_TEST

START_TEST(a_deadline_in_the_past_ends_the_op_at_once)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        if (scene.verb->is_timer) continue;
        probe.op.deadline_ns = 1;
        int64_t start = clock_now();
        scene_submit(&scene, &probe, 0);
        ck_claim(probe.calls == 0);
        await(&probe);
        ck_assert_result(&probe, HARK_ETIMEDOUT);
        ck_claim(clock_now() - start < HARK_SECOND / 2);
    }
}
END_TEST

START_TEST(a_result_before_the_deadline_ends_the_deadline)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        if (!scene_can_fulfil(&scene) || scene.verb->is_repeating) continue;
        probe.op.deadline_ns = hark_refresh(loop) + 60 * HARK_SECOND;
        scene_submit(&scene, &probe, 0);
        spin(1);
        scene_fulfil(&scene);
        await(&probe);
        ck_claim(scene_is_true_result(&scene, probe.result));
        spin(3);
        ck_claim(probe.calls == 1);
        int64_t start = clock_now(); /* the moment is forgotten: it would end this sleep */
        probe.op.deadline_ns = 0;
        ck_assert_int_eq(hark_step(loop, HARK_MILLISECOND), 0);
        ck_claim(clock_now() - start >= HARK_MILLISECOND);
    }
}
END_TEST

/* The op is submitted anew without a deadline, at once: the old moment must not end it. */
START_TEST(a_deadline_holds_for_one_submission)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        bool is_spent = strncmp(doing, "connect", 7) == 0; /* its socket has begun already */
        if (scene.verb->is_timer || is_spent) continue;
        int64_t deadline_ns = hark_refresh(loop) + 2 * HARK_MILLISECOND;
        probe.op.deadline_ns = deadline_ns;
        scene_submit(&scene, &probe, 0);
        hark_cancel(&probe.op);
        await(&probe);
        probe.calls = probe.last_calls = 0;
        scene_submit(&scene, &probe, 0);
        while (clock_now() < deadline_ns + HARK_MILLISECOND) spin(1);
        spin(3);
        ck_claim(probe.calls == 0);
        hark_cancel(&probe.op);
        await(&probe);
        ck_assert_result(&probe, HARK_ECANCELED);
    }
}
END_TEST

START_TEST(a_repeating_op_has_one_deadline_for_all_its_results)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        if (!scene.verb->is_repeating || scene.verb->is_timer) continue;
        int64_t deadline_ns = hark_refresh(loop) + 20 * HARK_MILLISECOND;
        probe.op.deadline_ns = deadline_ns;
        scene_fulfil(&scene);
        scene_submit(&scene, &probe, 0);
        await_calls(&probe, 1);
        ck_claim(probe.op.more && probe.deadline_seen == deadline_ns);
        await(&probe);
        ck_assert_result(&probe, HARK_ETIMEDOUT);
        ck_claim(probe.calls == 2 && probe.time_ns >= deadline_ns);
    }
}
END_TEST

START_TEST(rearm_moves_a_deadline_later_and_no_callback_comes_for_the_old_one)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        if (scene.verb->is_timer) continue;
        int64_t first_ns = hark_refresh(loop) + HARK_MILLISECOND;
        int64_t second_ns = first_ns + 4 * HARK_MILLISECOND;
        probe.then = expect_not_early;
        probe.arg = &second_ns;
        probe.op.deadline_ns = first_ns;
        scene_submit(&scene, &probe, 0);
        ck_claim(hark_rearm(&probe.op, second_ns));
        ck_claim(probe.op.deadline_ns == second_ns);
        await(&probe);
        ck_assert_result(&probe, HARK_ETIMEDOUT);
        spin(3);
        ck_claim(probe.calls == 1);
    }
}
END_TEST

START_TEST(rearm_moves_a_deadline_earlier_or_gives_one)
{
    struct scene scene;
    for (int has_one = 0; has_one < 2; has_one++) {
        FOR_EACH_SCENE(&scene) {
            struct probe probe = { 0 };
            if (scene.verb->is_timer) continue;
            int64_t start = clock_now();
            if (has_one) probe.op.deadline_ns = hark_refresh(loop) + 1000 * HARK_SECOND;
            scene_submit(&scene, &probe, 0);
            spin(1);
            ck_claim(hark_rearm(&probe.op, hark_refresh(loop) + HARK_MILLISECOND));
            await(&probe);
            ck_assert_result(&probe, HARK_ETIMEDOUT);
            ck_claim(clock_now() - start < 500 * HARK_SECOND);
        }
    }
}
END_TEST

START_TEST(rearm_to_zero_takes_a_deadline_away)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        if (scene.verb->is_timer) continue;
        int64_t deadline_ns = hark_refresh(loop) + HARK_MILLISECOND;
        probe.op.deadline_ns = deadline_ns;
        scene_submit(&scene, &probe, 0);
        ck_claim(hark_rearm(&probe.op, 0));
        while (clock_now() < deadline_ns + HARK_MILLISECOND) spin(1);
        spin(3);
        ck_claim(probe.calls == 0 && probe.op.deadline_ns == 0);
        hark_cancel(&probe.op);
        await(&probe);
        ck_assert_result(&probe, HARK_ECANCELED);
    }
}
END_TEST

START_TEST(rearm_is_refused_for_what_is_idle_finished_or_has_no_deadline)
{
    struct wire wire;
    struct probe idle = { 0 }, nothing = { 0 }, post = { 0 }, closing = { 0 };
    int64_t far_ns = hark_after(loop, 1000 * HARK_SECOND);
    ck_assert(!hark_rearm(&idle.op, far_ns));
    hark_nop(&nothing.op, loop, on_probe); /* its result is on its way */
    ck_assert(!hark_rearm(&nothing.op, far_ns));
    hark_post(&post.op, loop, on_probe);
    ck_assert(!hark_rearm(&post.op, far_ns));
    ck_assert(wire_open(&wire, WIRE_UNIX));
    hark_close(&closing.op, &wire.io, on_probe);
    ck_assert(!hark_rearm(&closing.op, far_ns));
    await(&nothing);
    await(&post);
    await(&closing);
    ck_assert(!hark_rearm(&nothing.op, far_ns));
    ck_assert_int_eq(nothing.calls + post.calls + closing.calls, 3);
    ck_assert_int_eq(hark_run(loop), 0);
    wire_close(&wire);
}
END_TEST

START_TEST(rearm_is_refused_for_what_is_to_end)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        scene_submit(&scene, &probe, 0);
        spin(2); /* a kernel has it by now */
        hark_cancel(&probe.op);
        ck_claim(!hark_rearm(&probe.op, hark_refresh(loop) + 1000 * HARK_SECOND));
        await(&probe);
        ck_assert_result(&probe, HARK_ECANCELED);
    }
}
END_TEST

START_TEST(a_deadline_on_a_post_a_close_or_a_timer_is_ignored)
{
    struct wire wire;
    struct probe post = { 0 }, closing = { 0 }, timer = { 0 }, every = { 0 };
    ck_assert(wire_open(&wire, WIRE_UNIX));
    post.op.deadline_ns = closing.op.deadline_ns = timer.op.deadline_ns = every.op.deadline_ns = 1;
    int64_t when_ns = hark_refresh(loop) + 3 * HARK_MILLISECOND;
    hark_timer(&timer.op, loop, when_ns, on_probe);
    hark_timer_every(&every.op, loop, when_ns, HARK_SECOND, on_probe);
    hark_post(&post.op, loop, on_probe);
    hark_close(&closing.op, &wire.io, on_probe);
    await(&post);
    await(&closing);
    await(&timer);
    await_calls(&every, 1);
    ck_assert_result(&post, 0);
    ck_assert_result(&closing, 0);
    ck_assert_result(&timer, 0);
    ck_assert_int_ge(every.result, 1);
    ck_assert_int_ge(timer.time_ns, when_ns);
    ck_assert_int_ge(every.time_ns, when_ns);
    hark_cancel(&every.op);
    await(&every);
    ck_assert_int_eq(post.deadline_seen + closing.deadline_seen + timer.deadline_seen, 0);
    wire_close(&wire);
}
END_TEST

static void cancel_other(struct probe *probe) { hark_cancel(probe->arg); }

/* The first who asks is the one that the result names. */
START_TEST(a_cancel_after_the_deadline_does_not_change_who_ended_the_op)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 }, timer = { .then = cancel_other, .arg = &probe.op };
        if (scene.verb->is_timer) continue;
        int64_t when_ns = hark_refresh(loop) + HARK_MILLISECOND;
        probe.op.deadline_ns = when_ns;
        scene_submit(&scene, &probe, 0);
        hark_timer(&timer.op, loop, when_ns, on_probe);
        await(&probe);
        await(&timer);
        ck_assert_result(&probe, HARK_ETIMEDOUT);
        ck_claim(probe.calls == 1);
    }
}
END_TEST

START_TEST(a_deadline_after_a_cancel_does_not_change_who_ended_the_op)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        if (scene.verb->is_timer) continue;
        int64_t when_ns = probe.op.deadline_ns = hark_refresh(loop) + HARK_MILLISECOND;
        scene_submit(&scene, &probe, 0);
        hark_cancel(&probe.op);
        while (clock_now() < when_ns) continue;
        await(&probe);
        ck_assert_result(&probe, HARK_ECANCELED);
        ck_claim(probe.calls == 1);
    }
}
END_TEST

/* Both are there when the loop looks: true result or timeout, but nothing is lost. */
START_TEST(what_arrives_with_the_deadline_is_not_lost)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        for (int round = 0; round < 20; round++) {
            struct probe probe = { 0 }, rest = { 0 };
            char buf[8];
            probe.op.deadline_ns = hark_refresh(loop) + 100 * HARK_MICROSECOND;
            hark_recv(&probe.op, &wire.io, buf, sizeof buf, on_probe);
            if (round % 2 == 0) spin(1);
            int64_t deadline_ns = probe.op.deadline_ns;
            write_all(wire.peer, "last", 4);
            while (deadline_ns != 0 && clock_now() < deadline_ns) continue;
            await(&probe);
            if (probe.result == HARK_ETIMEDOUT) {
                hark_recv(&rest.op, &wire.io, buf, sizeof buf, on_probe);
                await(&rest);
                ck_assert_result(&rest, 4);
            } else {
                ck_assert_result(&probe, 4);
            }
            ck_assert_mem_eq(buf, "last", 4);
            ck_assert_int_eq(probe.calls, 1);
        }
        wire_close(&wire);
    }
}
END_TEST

START_TEST(equal_deadlines_end_ops_in_the_order_submitted)
{
    enum { OPS = 12 };
    struct wire wires[OPS];
    struct probe probes[OPS] = { 0 };
    char buf[1];
    int64_t when_ns = hark_refresh(loop) + 3 * HARK_MILLISECOND;
    for (int i = 0; i < OPS; i++) {
        ck_assert(wire_open(&wires[i], WIRE_UNIX));
        probes[i].op.deadline_ns = when_ns;
        hark_recv(&probes[i].op, &wires[i].io, buf, sizeof buf, on_probe);
    }
    for (int i = 0; i < OPS; i++) await(&probes[i]);
    for (int i = 0; i < OPS; i++) {
        ck_assert_result(&probes[i], HARK_ETIMEDOUT);
        if (i > 0) ck_assert_int_lt(probes[i - 1].order, probes[i].order);
        wire_close(&wires[i]);
    }
}
END_TEST

START_TEST(a_send_that_times_out_tells_how_much_has_gone)
{
    enum { BYTES = 4 << 20 };
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct probe probe = { 0 };
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        wire_narrow(&wire);
        char *data = malloc(BYTES);
        pattern_fill(data, BYTES, 0);
        probe.op.deadline_ns = hark_refresh(loop) + 20 * HARK_MILLISECOND;
        hark_send(&probe.op, &wire.io, data, BYTES, on_probe);
        await(&probe);
        ck_assert_result(&probe, HARK_ETIMEDOUT);
        size_t sent = hark_sent_bytes(&probe.op), taken = 0;
        close_io(&wire.io);
        for (size_t n = 1; n != 0 && taken < sent; taken += n)
            n = is_ready(wire.peer, POLLIN, 5000) ? pattern_take(wire.peer, taken, BYTES) : 0;
        ck_assert_uint_eq(taken, sent);
        wire_close(&wire);
        free(data);
    }
}
END_TEST

Suite *group_deadline(void)
{
    Suite *suite = suite_create("deadline");
    CASE(suite, every_op_times_out_and_never_early);
    CASE(suite, an_op_that_waits_behind_another_times_out_there);
    CASE(suite, a_deadline_in_the_past_ends_the_op_at_once);
    CASE(suite, a_result_before_the_deadline_ends_the_deadline);
    CASE(suite, a_deadline_holds_for_one_submission);
    CASE(suite, a_repeating_op_has_one_deadline_for_all_its_results);
    CASE(suite, rearm_moves_a_deadline_later_and_no_callback_comes_for_the_old_one);
    CASE(suite, rearm_moves_a_deadline_earlier_or_gives_one);
    CASE(suite, rearm_to_zero_takes_a_deadline_away);
    CASE(suite, rearm_is_refused_for_what_is_idle_finished_or_has_no_deadline);
    CASE(suite, rearm_is_refused_for_what_is_to_end);
    CASE(suite, a_deadline_on_a_post_a_close_or_a_timer_is_ignored);
    CASE(suite, a_cancel_after_the_deadline_does_not_change_who_ended_the_op);
    CASE(suite, a_deadline_after_a_cancel_does_not_change_who_ended_the_op);
    CASE(suite, what_arrives_with_the_deadline_is_not_lost);
    CASE(suite, equal_deadlines_end_ops_in_the_order_submitted);
    CASE(suite, a_send_that_times_out_tells_how_much_has_gone);
    return suite;
}
