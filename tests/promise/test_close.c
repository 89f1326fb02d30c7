/* Promise 7: a close cancels both sides, waits for their callbacks, makes the kernel forget the io,
 * closes, then calls back. No stale or reused descriptor is ever reported. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

START_TEST(close_cancels_what_runs_and_what_waits_and_comes_last)
{
    struct scene scene;
    for (int turns = 0; turns < 3; turns++) {
        FOR_EACH_SCENE(&scene) {
            struct probe first = { 0 }, second = { 0 }, closing = { 0 };
            if (scene.verb->is_timer) continue;
            scene_submit(&scene, &first, 0);
            scene_submit(&scene, &second, 1);
            spin(turns);
            int fd = scene.wire.io.fd;
            hark_close(&closing.op, &scene.wire.io, on_probe);
            ck_claim(!hark_io_is_open(&scene.wire.io));
            await(&closing);
            ck_assert_result(&closing, 0);
            ck_assert_result(&first, HARK_ECANCELED);
            ck_assert_result(&second, HARK_ECANCELED);
            ck_claim(first.calls == 1 && second.calls == 1 && closing.calls == 1);
            ck_claim(first.order < closing.order && second.order < closing.order);
            ck_claim(scene.wire.io.fd == -1 && fcntl(fd, F_GETFD) == -1);
        }
    }
}
END_TEST

START_TEST(close_waits_for_both_sides)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct probe receiving = { 0 }, sending = { 0 }, closing = { 0 };
        char buf[8];
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        wire_fill_up(&wire);
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        hark_ready(&sending.op, &wire.io, HARK_WRITABLE, on_probe);
        spin(2);
        hark_close(&closing.op, &wire.io, on_probe);
        await(&closing);
        ck_assert_int_eq(receiving.calls + sending.calls + closing.calls, 3);
        ck_assert(receiving.order < closing.order && sending.order < closing.order);
        wire_close(&wire);
    }
}
END_TEST

/* Trap 28: the end goes out although a kernel held the descriptor for a receive. */
START_TEST(the_peer_sees_the_end_when_close_has_called_back)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct probe receiving = { 0 };
        char buf[8];
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        spin(2);
        close_io(&wire.io);
        ck_assert_result(&receiving, HARK_ECANCELED);
        ck_assert(is_ready(wire.peer, POLLIN, 5000));
        ck_assert_int_eq(read(wire.peer, buf, sizeof buf), 0);
        wire_close(&wire);
    }
}
END_TEST

START_TEST(a_second_close_and_ops_on_a_closing_or_closed_io_get_ebadf)
{
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        struct wire wire;
        struct probe closing = { 0 }, again = { 0 }, receiving = { 0 }, sending = { 0 };
        char buf[8];
        ck_assert(wire_open(&wire, WIRE_UNIX));
        hark_close(&closing.op, &wire.io, on_probe);
        if (is_closed) await(&closing);
        hark_close(&again.op, &wire.io, on_probe);
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        hark_send(&sending.op, &wire.io, buf, 1, on_probe);
        ck_assert_int_eq(again.calls + receiving.calls + sending.calls, 0);
        await(&closing);
        await(&again);
        await(&receiving);
        await(&sending);
        ck_assert_result(&closing, 0);
        ck_assert_result(&again, HARK_EBADF);
        ck_assert_result(&receiving, HARK_EBADF);
        ck_assert_result(&sending, HARK_EBADF);
        wire_close(&wire);
    }
}
END_TEST

static void give_up_memory(struct probe *probe)
{
    ck_assert_int_eq(munmap(probe->arg, sizeof(struct wire)), 0);
}

/* Promise 3: the io is the caller's again in the callback of its close, though ops that came too
 * late have their callbacks after it. Touching it from then on ends this process. */
START_TEST(ops_that_come_after_the_close_do_not_touch_the_io)
{
    struct wire *wire = mmap(NULL, sizeof *wire, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct probe closing = { .then = give_up_memory, .arg = wire }, late[4] = { 0 };
    struct hark_pool *pool;
    char buf[8];
    ck_assert(wire != MAP_FAILED && wire_open(wire, WIRE_UNIX));
    ck_assert_int_eq(hark_pool_open(&pool, loop, 1, sizeof buf), 0);
    int peer = wire->peer;
    hark_close(&closing.op, &wire->io, on_probe);
    for (int i = 0; i < 2; i++) late[i].op.deadline_ns = hark_after(loop, HARK_SECOND);
    hark_recv(&late[0].op, &wire->io, buf, sizeof buf, on_probe);
    hark_send(&late[1].op, &wire->io, buf, 1, on_probe);
    hark_recv_pool(&late[2].op, &wire->io, pool, on_probe);
    hark_close(&late[3].op, &wire->io, on_probe);
    for (int i = 0; i < 4; i++) {
        await(&late[i]);
        ck_assert_result(&late[i], HARK_EBADF);
        ck_assert_int_lt(closing.order, late[i].order);
        ck_assert_int_eq(late[i].deadline_seen, 0);
        ck_assert_ptr_null(hark_op_io(&late[i].op));
    }
    ck_assert_int_eq(hark_pool_close(pool), 0);
    close(peer);
}
END_TEST

static void close_with_the_same_op(struct probe *probe)
{
    struct wire *wire = probe->arg;
    probe->then = NULL;
    probe->last_calls = 0;
    hark_close(&probe->op, &wire->io, on_probe);
}

START_TEST(the_op_of_a_conversation_can_close_it)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        char buf[8];
        struct probe probe = { .then = close_with_the_same_op, .arg = &wire };
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        hark_recv(&probe.op, &wire.io, buf, sizeof buf, on_probe);
        write_all(wire.peer, "bye", 3);
        while (probe.calls < 2) ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
        ck_assert_result(&probe, 0);
        ck_assert_int_eq(wire.io.fd, -1);
        wire_close(&wire);
    }
}
END_TEST

struct pair { struct probe receiving, sending, closing; struct wire wire; };

static void close_pair(struct probe *probe)
{
    struct pair *pair = probe->arg;
    if (hark_io_is_open(&pair->wire.io)) hark_close(&pair->closing.op, &pair->wire.io, on_probe);
}

/* Trap 22: both sides are reported at once, and the first callback closes. */
START_TEST(a_callback_may_close_the_io_of_a_sibling_event)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct pair pair = { 0 };
        char buf[8];
        if (!wire_open(&pair.wire, (enum wire_kind)kind)) continue;
        wire_fill_up(&pair.wire);
        pair.receiving = pair.sending = (struct probe){ .then = close_pair, .arg = &pair };
        hark_recv(&pair.receiving.op, &pair.wire.io, buf, sizeof buf, on_probe);
        hark_ready(&pair.sending.op, &pair.wire.io, HARK_WRITABLE, on_probe);
        spin(2);
        write_all(pair.wire.peer, "both", 4);
        wire_empty(&pair.wire);
        await(&pair.closing);
        ck_assert_int_eq(pair.receiving.calls, 1);
        ck_assert_int_eq(pair.sending.calls, 1);
        ck_assert_int_lt(pair.receiving.order, pair.closing.order);
        ck_assert_int_lt(pair.sending.order, pair.closing.order);
        wire_close(&pair.wire);
    }
}
END_TEST

static void close_arg(struct probe *probe)
{
    struct pair *other = probe->arg;
    if (hark_io_is_open(&other->wire.io)) hark_close(&other->closing.op, &other->wire.io, on_probe);
}

/* Two ios are ready in one batch; each callback closes the other io. */
START_TEST(a_callback_may_close_another_io_of_the_same_batch)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct pair pairs[2] = { 0 };
        char buf[8];
        bool is_there = true;
        for (int i = 0; i < 2 && is_there; i++)
            is_there = wire_open(&pairs[i].wire, (enum wire_kind)kind);
        if (!is_there) continue;
        for (int i = 0; i < 2; i++) {
            pairs[i].receiving = (struct probe){ .then = close_arg, .arg = &pairs[1 - i] };
            hark_recv(&pairs[i].receiving.op, &pairs[i].wire.io, buf, sizeof buf, on_probe);
            write_all(pairs[i].wire.peer, "now", 3);
        }
        await(&pairs[0].receiving);
        await(&pairs[1].receiving);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(pairs[i].receiving.calls, 1);
            if (pairs[i].closing.op.done != NULL) await(&pairs[i].closing);
            wire_close(&pairs[i].wire);
        }
    }
}
END_TEST

/* Counts the turns of a loop that has nothing to report for some milliseconds. */
static int turns_in_silence(void)
{
    struct probe timer = { 0 };
    int turns = 0;
    hark_timer(&timer.op, loop, hark_refresh(loop) + 20 * HARK_MILLISECOND, on_probe);
    for (; timer.calls == 0; turns++) ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    return turns;
}

/* Trap 2: a copy of the descriptor keeps the socket alive, and a forgetful epoll reporting it. */
START_TEST(a_closed_io_is_not_reported_while_a_copy_of_it_lives)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct probe receiving = { 0 };
        char buf[8];
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        int copy = dup(wire.io.fd);
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        spin(2);
        close_io(&wire.io);
        memset(&wire.io, 0xa5, sizeof wire.io); /* who still knows it would trip over this */
        write_all(wire.peer, "junk", 4);
        ck_assert_int_le(turns_in_silence(), 6);
        ck_assert_int_eq(read(copy, buf, sizeof buf), 4); /* and nobody took the bytes */
        close(copy);
        close(wire.peer);
    }
}
END_TEST

START_TEST(a_released_io_is_not_reported_and_its_descriptor_lives_on)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct probe receiving = { 0 };
        char buf[8];
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        int fd = wire.io.fd;
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        ck_assert_int_eq(hark_io_release(&wire.io), HARK_EBUSY);
        write_all(wire.peer, "one", 3);
        await(&receiving);
        ck_assert_int_eq(hark_io_release(&wire.io), fd);
        ck_assert_int_eq(wire.io.fd, -1);
        ck_assert_int_eq(hark_io_release(&wire.io), HARK_EBADF);
        memset(&wire.io, 0xa5, sizeof wire.io);
        write_all(wire.peer, "two", 3);
        ck_assert_int_le(turns_in_silence(), 6);
        ck_assert_int_eq(read(fd, buf, sizeof buf), 3);
        memset(&wire.io, 0, sizeof wire.io);
        ck_assert_int_eq(hark_io_adopt(&wire.io, loop, fd), 0);
        wire_close(&wire);
    }
}
END_TEST

/* Trap 3: descriptors close out of order and their numbers are reused at once, many times. */
START_TEST(reused_descriptors_are_never_confused)
{
    enum { WIRES = 5, ROUNDS = 40 };
    struct wire wires[WIRES];
    struct probe probes[WIRES];
    char bufs[WIRES][8];
    memset(probes, 0, sizeof probes);
    for (int i = 0; i < WIRES; i++) ck_assert(wire_open(&wires[i], WIRE_UNIX));
    for (int round = 0; round < ROUNDS; round++) {
        int victim = (round * 3 + 1) % WIRES, reader = (round * 2) % WIRES;
        for (int i = 0; i < WIRES; i++)
            if (!hark_is_alive(&probes[i].op)) {
                probes[i] = (struct probe){ 0 };
                hark_recv(&probes[i].op, &wires[i].io, bufs[i], sizeof bufs[i], on_probe);
            }
        spin(round % 3);
        close_io(&wires[victim].io);
        ck_assert_int_eq(probes[victim].last_calls, 1);
        wire_close(&wires[victim]);
        ck_assert(wire_open(&wires[victim], (enum wire_kind)(round % 2 ? WIRE_UNIX : WIRE_TCP4)));
        probes[victim] = (struct probe){ 0 };
        hark_recv(&probes[victim].op, &wires[victim].io, bufs[victim], 8, on_probe);
        write_all(wires[reader].peer, &round, sizeof round);
        await(&probes[reader]);
        ck_assert_result(&probes[reader], (int64_t)sizeof round);
        ck_assert_mem_eq(bufs[reader], &round, sizeof round);
        for (int i = 0; i < WIRES; i++) ck_assert(i == reader || probes[i].calls == 0);
    }
    for (int i = 0; i < WIRES; i++) wire_close(&wires[i]);
}
END_TEST

START_TEST(a_descriptor_can_be_in_one_io_only)
{
    struct wire wire;
    struct hark_io second = { 0 };
    ck_assert(wire_open(&wire, WIRE_UNIX));
    ck_assert_int_eq(hark_io_adopt(&second, loop, wire.io.fd), HARK_EEXIST);
    ck_assert(!hark_io_is_open(&second));
    int fd = wire.io.fd;
    close_io(&wire.io);
    ck_assert_int_eq(hark_io_adopt(&second, loop, fd), HARK_EBADF);
    ck_assert_int_eq(hark_io_adopt(&second, loop, -1), HARK_EBADF);
    wire_close(&wire);
}
END_TEST

/* What reaches a loop that is being closed ends as canceled, also from callbacks. */
static void submit_more(struct probe *probe)
{
    struct probe *more = probe->arg;
    ck_claim(probe->result == HARK_ECANCELED);
    if (more != NULL) hark_nop(&more->op, hark_op_loop(&probe->op), on_probe);
}

START_TEST(loop_close_settles_every_op)
{
    enum { SCENES = 64 };
    static struct scene scenes[SCENES];
    static struct probe running[SCENES], waiting[SCENES], more[SCENES];
    size_t opened = 0;
    int before = open_descriptor_count();
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    for (size_t i = 0; i < scene_count(); i++) {
        if (!scene_open(&scenes[opened], i)) continue;
        running[opened] = (struct probe){ .then = submit_more, .arg = &more[opened] };
        waiting[opened] = (struct probe){ .then = submit_more };
        scene_submit(&scenes[opened], &running[opened], 0);
        scene_submit(&scenes[opened], &waiting[opened], 1);
        if (i % 2 == 0) spin(1);
        if (i % 3 == 0) hark_background(&waiting[opened].op);
        opened++;
        ck_assert_uint_lt(opened, SCENES);
    }
    struct hark_pool *pools[SCENES];
    for (size_t i = 0; i < opened; i++) pools[i] = scenes[i].pool;
    for (size_t i = 0; i < opened; i++) {
        if (pools[i] == NULL) continue; /* a pool is closed before its loop */
        hark_cancel(&running[i].op);
        hark_cancel(&waiting[i].op);
        await(&running[i]);
        await(&waiting[i]);
        ck_assert_int_eq(hark_pool_close(pools[i]), 0);
    }
    hark_loop_close(loop);
    for (size_t i = 0; i < opened; i++) {
        ck_assert_result(&running[i], HARK_ECANCELED);
        ck_assert_result(&waiting[i], HARK_ECANCELED);
        ck_assert_int_eq(running[i].calls, 1);
        ck_assert_int_eq(waiting[i].calls, 1);
        ck_assert_int_eq(more[i].calls, 1);
        if (pools[i] == NULL) ck_assert_result(&more[i], HARK_ECANCELED);
        if (scenes[i].wire.peer >= 0) close(scenes[i].wire.peer);
        if (scenes[i].listener >= 0) close(scenes[i].listener);
    }
    ck_assert_int_eq(open_descriptor_count(), before);
}
END_TEST

static void try_to_open(struct probe *probe)
{
    struct hark_io io = { 0 };
    struct hark_loop *its = hark_op_loop(&probe->op);
    ck_assert_int_lt(hark_socket(&io, its, AF_UNIX, SOCK_STREAM, 0), 0);
    ck_assert(!hark_io_is_open(&io));
}

START_TEST(loop_close_runs_what_is_on_its_way_and_closes_ios)
{
    struct probe timer = { .then = try_to_open }, post = { 0 }, closing = { 0 };
    struct wire left, going;
    int before = open_descriptor_count();
    char byte;
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    ck_assert(wire_open(&left, WIRE_UNIX));
    ck_assert(wire_open(&going, WIRE_UNIX));
    hark_timer(&timer.op, loop, hark_after(loop, HARK_SECOND * 1000), on_probe);
    hark_post(&post.op, loop, on_probe);
    hark_close(&closing.op, &going.io, on_probe);
    hark_hold(loop);
    hark_loop_close(loop);
    ck_assert_int_eq(timer.calls + post.calls + closing.calls, 3);
    ck_assert_result(&timer, HARK_ECANCELED);
    ck_assert_result(&closing, 0);
    ck_assert_int_eq(read(left.peer, &byte, 1), 0);
    close(left.peer);
    close(going.peer);
    ck_assert_int_eq(open_descriptor_count(), before);
    hark_loop_close(NULL);
}
END_TEST

/* Trap 15, promise 13: somebody else closed the descriptor. Nobody spins, nobody aborts, all ops
 * settle, and the close tells the truth. */
/* A timer's report is in no wheel while it waits for its callback. */
START_TEST(loop_close_ends_a_repeating_timer_that_is_due)
{
    struct hark_loop_options options = { .turn_budget = 1 };
    struct probe nothing = { 0 }, every = { 0 };
    ck_assert_int_eq(hark_loop_open(&loop, &options), 0);
    hark_nop(&nothing.op, loop, on_probe);
    hark_timer_every(&every.op, loop, 1, HARK_MILLISECOND, on_probe);
    ck_assert_int_eq(hark_step(loop, 0), 1);
    ck_assert_int_eq(nothing.calls, 1);
    hark_loop_close(loop);
    ck_assert_int_eq(every.last_calls, 1);
    ck_assert_result(&every, HARK_ECANCELED);
}
END_TEST

START_TEST(a_descriptor_closed_behind_our_back_is_an_error_and_no_more)
{
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire, other;
        struct probe receiving = { 0 }, closing = { 0 }, living = { 0 };
        char buf[8], living_buf[8];
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        ck_assert(wire_open(&other, WIRE_UNIX));
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        hark_recv(&living.op, &other.io, living_buf, sizeof living_buf, on_probe);
        spin(2);
        ck_assert_int_eq(close(wire.io.fd), 0);
        ck_assert_int_le(turns_in_silence(), 10);
        if (receiving.calls == 1) ck_assert_result(&receiving, HARK_EBADF);
        ck_assert_int_eq(living.calls, 0);
        hark_close(&closing.op, &wire.io, on_probe);
        await(&closing);
        ck_assert_result(&closing, HARK_EBADF);
        ck_assert_int_eq(receiving.calls, 1);
        write_all(other.peer, "alive", 5);
        await(&living);
        ck_assert_result(&living, 5);
        wire_close(&wire);
        wire_close(&other);
    }
}
END_TEST

Suite *group_close(void)
{
    Suite *suite = suite_create("close");
    CASE(suite, close_cancels_what_runs_and_what_waits_and_comes_last);
    CASE(suite, close_waits_for_both_sides);
    CASE(suite, the_peer_sees_the_end_when_close_has_called_back);
    CASE(suite, a_second_close_and_ops_on_a_closing_or_closed_io_get_ebadf);
    CASE(suite, ops_that_come_after_the_close_do_not_touch_the_io);
    CASE(suite, the_op_of_a_conversation_can_close_it);
    CASE(suite, a_callback_may_close_the_io_of_a_sibling_event);
    CASE(suite, a_callback_may_close_another_io_of_the_same_batch);
    CASE(suite, a_closed_io_is_not_reported_while_a_copy_of_it_lives);
    CASE(suite, a_released_io_is_not_reported_and_its_descriptor_lives_on);
    CASE(suite, reused_descriptors_are_never_confused);
    CASE(suite, a_descriptor_can_be_in_one_io_only);
    BARE_CASE(suite, loop_close_settles_every_op);
    BARE_CASE(suite, loop_close_runs_what_is_on_its_way_and_closes_ios);
    BARE_CASE(suite, loop_close_ends_a_repeating_timer_that_is_due);
    CASE(suite, a_descriptor_closed_behind_our_back_is_an_error_and_no_more);
    return suite;
}
