/* Promise 8: a turn runs what is due now, at most a budget of it; what callbacks cause belongs to
 * the next turn; a hot io starves neither timers nor posts nor other ios. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

enum { BUDGET = 4 };

static void open_with_budget(unsigned budget)
{
    struct hark_loop_options options = { .turn_budget = budget };
    ck_assert_int_eq(hark_loop_open(&loop, &options), 0);
}

static void drop_connection(struct probe *probe)
{
    if (probe->op.result >= 0) close((int)probe->op.result);
}

START_TEST(a_turn_makes_at_most_its_budget_of_callbacks)
{
    enum { OPS = 10 };
    struct probe probes[OPS] = { 0 };
    open_with_budget(BUDGET);
    for (int i = 0; i < OPS; i++) hark_nop(&probes[i].op, loop, on_probe);
    ck_assert_int_eq(hark_step(loop, 0), BUDGET);
    ck_assert_int_eq(hark_step(loop, 0), BUDGET);
    ck_assert_int_eq(hark_step(loop, 0), OPS - 2 * BUDGET);
    ck_assert_int_eq(hark_step(loop, 0), 0);
    for (int i = 1; i < OPS; i++) ck_assert_int_lt(probes[i - 1].order, probes[i].order);
    hark_loop_close(loop);
}
END_TEST

/* Also when a burst of connections is accepted within the turn. */
START_TEST(an_accept_keeps_to_the_budget_of_the_turn)
{
    enum { CONNECTIONS = 3 * BUDGET };
    struct listener listener;
    struct probe accepting = { .then = drop_connection };
    int fds[CONNECTIONS];
    open_with_budget(BUDGET);
    ck_assert(listener_open(&listener, WIRE_TCP4));
    for (int i = 0; i < CONNECTIONS; i++) fds[i] = listener_dial(&listener);
    hark_accept(&accepting.op, &listener.io, on_probe);
    for (int before = 0; before < CONNECTIONS; before = accepting.calls) {
        int64_t made = hark_step(loop, HARK_SECOND);
        ck_assert_int_eq(made, accepting.calls - before);
        ck_assert_int_le(made, BUDGET);
    }
    for (int i = 0; i < CONNECTIONS; i++) close(fds[i]);
    close_io(&listener.io);
    hark_loop_close(loop);
}
END_TEST

static void submit_nop_again(struct probe *probe)
{
    if (probe->calls < 50) hark_nop(&probe->op, loop, on_probe);
}

START_TEST(what_a_callback_submits_belongs_to_the_next_turn)
{
    struct probe probe = { .then = submit_nop_again };
    hark_nop(&probe.op, loop, on_probe);
    for (int i = 1; i <= 50; i++) {
        ck_assert_int_eq(hark_step(loop, 0), 1);
        ck_assert_int_eq(probe.calls, i);
    }
    ck_assert_int_eq(hark_step(loop, 0), 0);
}
END_TEST

static void post_again(struct probe *probe)
{
    if (probe->calls < 20) hark_post(&probe->op, loop, on_probe);
}

static void set_past_timer_again(struct probe *probe)
{
    if (probe->calls < 20) hark_timer(&probe->op, loop, 1, on_probe);
}

/* Trap 24: a timer that is due at once and set again in its callback does not hold the turn. */
START_TEST(what_is_due_at_once_again_and_again_does_not_hold_the_turn)
{
    struct probe post = { .then = post_again }, timer = { .then = set_past_timer_again };
    hark_post(&post.op, loop, on_probe);
    hark_timer(&timer.op, loop, 1, on_probe);
    for (int turns = 0; post.calls < 20 || timer.calls < 20; turns++) {
        int before = post.calls, timer_before = timer.calls;
        ck_assert_int_le(hark_step(loop, 0), 2);
        ck_assert_int_le(post.calls, before + 1);
        ck_assert_int_le(timer.calls, timer_before + 1);
        ck_assert_int_lt(turns, 100);
    }
}
END_TEST

/* What the budget leaves goes before what was submitted meanwhile. */
START_TEST(what_the_budget_leaves_keeps_its_place)
{
    enum { OPS = BUDGET + 2 };
    struct probe probes[OPS] = { 0 }, late = { 0 };
    open_with_budget(BUDGET);
    for (int i = 0; i < OPS; i++) hark_nop(&probes[i].op, loop, on_probe);
    ck_assert_int_eq(hark_step(loop, 0), BUDGET);
    hark_nop(&late.op, loop, on_probe);
    await(&late);
    for (int i = 0; i < OPS; i++) ck_assert_int_lt(probes[i].order, late.order);
    hark_loop_close(loop);
}
END_TEST

struct hot {
    struct probe probe;
    struct wire wire;
    char buf[1];
};

static void receive_again(struct probe *probe)
{
    struct hot *hot = probe->arg;
    ck_assert_result(probe, 1);
    probe->last_calls = 0;
    hark_recv(&probe->op, &hot->wire.io, hot->buf, 1, on_probe);
}

/* An io that always has something: a receive of a byte at a time from many. */
static bool heat(struct hot *hot, enum wire_kind kind)
{
    static char many[20000];
    *hot = (struct hot){ .probe = { .then = receive_again, .arg = hot } };
    if (!wire_open(&hot->wire, kind)) return false;
    write_all(hot->wire.peer, many, sizeof many);
    hark_recv(&hot->probe.op, &hot->wire.io, hot->buf, 1, on_probe);
    await_calls(&hot->probe, 10);
    return true;
}

static void cool(struct hot *hot)
{
    hot->probe.then = NULL;
    if (hark_cancel(&hot->probe.op)) await(&hot->probe);
    wire_close(&hot->wire);
}

static void expect_within_turns(struct probe *probe, int turns, const char *what)
{
    for (int i = 0; i < turns && probe->calls == 0; i++)
        ck_assert_int_ge(hark_step(loop, 0), 0);
    ck_assert_msg(probe->calls != 0, "%s: %s starved for %d turns", doing, what, turns);
}

START_TEST(a_hot_io_starves_neither_timers_nor_posts_nor_other_ios)
{
    enum { TURNS = 30 };
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct hot hot;
        struct wire other;
        struct probe timer = { 0 }, post = { 0 }, nothing = { 0 };
        struct probe receiving = { 0 }, sending = { 0 };
        char buf[8];
        if (!heat(&hot, (enum wire_kind)kind)) continue;
        ck_assert(wire_open(&other, (enum wire_kind)kind));
        hark_recv(&receiving.op, &other.io, buf, sizeof buf, on_probe);
        spin(3);
        hark_timer(&timer.op, loop, hark_refresh(loop), on_probe);
        expect_within_turns(&timer, TURNS, "a timer");
        hark_post(&post.op, loop, on_probe);
        expect_within_turns(&post, TURNS, "a post");
        hark_nop(&nothing.op, loop, on_probe);
        expect_within_turns(&nothing, TURNS, "a nop");
        hark_send(&sending.op, &other.io, "x", 1, on_probe);
        expect_within_turns(&sending, TURNS, "a send");
        write_all(other.peer, "y", 1);
        expect_within_turns(&receiving, TURNS, "a receive");
        cool(&hot);
        wire_close(&other);
    }
}
END_TEST

static void submit_nop_for_ever(struct probe *probe)
{
    if (probe->arg == NULL) hark_nop(&probe->op, loop, on_probe);
}

/* There is always something due already: the kernel is looked at all the same. */
START_TEST(results_that_are_due_do_not_keep_the_kernel_waiting)
{
    enum { TURNS = 10 };
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe busy = { .then = submit_nop_for_ever }, probe = { 0 };
        if (!scene_can_fulfil(&scene)) continue;
        hark_nop(&busy.op, loop, on_probe);
        scene_submit(&scene, &probe, 0);
        spin(4);
        ck_claim(probe.calls == 0);
        scene_fulfil(&scene);
        bool is_retried = strcmp(doing, "connect on unix") == 0; /* after some milliseconds */
        for (int64_t end = clock_now() + HARK_SECOND; is_retried && clock_now() < end;) {
            spin(1);
            if (probe.calls != 0) break;
        }
        expect_within_turns(&probe, TURNS, "the op");
        busy.arg = &busy;
        busy.last_calls = 0;
        await(&busy);
        if (hark_cancel(&probe.op)) await(&probe);
    }
}
END_TEST

/* Trap 24: what the kernel has to say does not queue up behind all timers that are due. */
START_TEST(a_crowd_of_timers_starves_no_io)
{
    enum { TIMERS = 20 * BUDGET };
    static struct probe timers[TIMERS];
    struct wire wire;
    struct probe receiving = { 0 };
    char buf[1];
    open_with_budget(BUDGET);
    ck_assert(wire_open(&wire, WIRE_UNIX));
    hark_recv(&receiving.op, &wire.io, buf, 1, on_probe);
    spin(2);
    for (int i = 0; i < TIMERS; i++) hark_timer(&timers[i].op, loop, 1, on_probe);
    ck_assert_int_eq(hark_step(loop, 0), BUDGET);
    write_all(wire.peer, "x", 1);
    expect_within_turns(&receiving, 5, "a receive");
    for (int i = 0; i < TIMERS; i++) await(&timers[i]);
    for (int i = 1; i < TIMERS; i++) ck_assert_int_lt(timers[i - 1].order, timers[i].order);
    wire_close(&wire);
    hark_loop_close(loop);
}
END_TEST

/* Nor the other way round: a turn takes no more from a kernel than it can call back. */
START_TEST(a_crowd_of_ready_ios_starves_no_timer)
{
    enum { IOS = 20 * BUDGET };
    static struct wire wires[IOS];
    static struct probe receiving[IOS];
    static char bufs[IOS];
    struct probe timer = { 0 };
    open_with_budget(BUDGET);
    for (int i = 0; i < IOS; i++) {
        ck_assert(wire_open(&wires[i], WIRE_UNIX));
        hark_recv(&receiving[i].op, &wires[i].io, &bufs[i], 1, on_probe);
    }
    spin(2 * IOS / BUDGET);
    for (int i = 0; i < IOS; i++) write_all(wires[i].peer, "x", 1);
    hark_timer(&timer.op, loop, 1, on_probe);
    expect_within_turns(&timer, 5, "a timer");
    for (int i = 0; i < IOS; i++) await(&receiving[i]);
    for (int i = 0; i < IOS; i++) wire_close(&wires[i]);
    hark_loop_close(loop);
}
END_TEST

/* Many ios are always ready, and the budget is small: each gets its share. */
START_TEST(a_small_budget_is_shared_by_all_that_are_ready)
{
    enum { IOS = 9, TURNS = 400 };
    static struct hot hots[IOS];
    open_with_budget(2);
    for (int i = 0; i < IOS; i++) ck_assert(heat(&hots[i], WIRE_UNIX));
    for (int i = 0; i < IOS; i++) hots[i].probe.calls = 0;
    spin(TURNS);
    int least = hots[0].probe.calls, most = least;
    for (int i = 1; i < IOS; i++) {
        int calls = hots[i].probe.calls;
        least = calls < least ? calls : least;
        most = calls > most ? calls : most;
    }
    ck_assert_msg(least * 2 >= most, "between %d and %d callbacks for each io", least, most);
    ck_assert_int_ge(least, TURNS / IOS / 2);
    for (int i = 0; i < IOS; i++) cool(&hots[i]);
    hark_loop_close(loop);
}
END_TEST

/* Far more are ready than a kernel reports at once, or than a ring has room for: trap 30. */
START_TEST(all_that_are_ready_get_their_turn)
{
    enum { IOS = 300 };
    static struct wire wires[IOS];
    static struct probe probes[IOS];
    static char bufs[IOS][4];
    for (int i = 0; i < IOS; i++) {
        ck_assert(wire_open(&wires[i], WIRE_UNIX));
        hark_recv(&probes[i].op, &wires[i].io, bufs[i], 4, on_probe);
    }
    spin(2);
    for (int i = 0; i < IOS; i++) write_all(wires[i].peer, &i, sizeof i);
    for (int i = 0; i < IOS; i++) {
        await(&probes[i]);
        ck_assert_mem_eq(bufs[i], &i, sizeof i);
    }
    for (int i = 0; i < IOS; i++) {
        ck_assert_int_eq(probes[i].calls, 1);
        wire_close(&wires[i]);
    }
}
END_TEST

START_TEST(a_turn_without_sleep_returns_at_once_and_tells_what_it_did)
{
    struct probe timer = { 0 };
    hark_timer(&timer.op, loop, hark_after(loop, 1000 * HARK_SECOND), on_probe);
    int64_t start = clock_now();
    for (int i = 0; i < 100; i++) ck_assert_int_eq(hark_step(loop, 0), 0);
    ck_assert_int_lt(clock_now() - start, 100 * HARK_SECOND);
    hark_rearm(&timer.op, 1);
    ck_assert_int_eq(hark_step(loop, 0), 1);
    ck_assert_int_eq(timer.calls, 1);
}
END_TEST

START_TEST(a_burst_of_connections_starves_nobody)
{
    enum { BURST = 100 };
    struct scene scene;
    int fds[BURST];
    for (size_t i = 0; i < scene_count(); i++) {
        struct probe accepting = { 0 }, nothing = { 0 };
        if (!scene_open(&scene, i)) continue;
        if (strncmp(doing, "accept", 6) == 0) {
            for (int k = 0; k < BURST; k++) {
                fds[k] = socket(scene.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
                struct sockaddr *addr = (struct sockaddr *)&scene.addr;
                ck_assert_int_eq(connect(fds[k], addr, scene.len), 0);
            }
            scene_submit(&scene, &accepting, 0);
            await_calls(&accepting, 1);
            hark_nop(&nothing.op, loop, on_probe);
            expect_within_turns(&nothing, 5, "a nop");
            await_calls(&accepting, BURST);
            spin(3);
            ck_claim(accepting.calls == BURST);
            hark_cancel(&accepting.op);
            await(&accepting);
            for (int k = 0; k < BURST; k++) close(fds[k]);
        }
        scene_close(&scene);
    }
}
END_TEST

Suite *group_turn(void)
{
    Suite *suite = suite_create("turn");
    BARE_CASE(suite, a_turn_makes_at_most_its_budget_of_callbacks);
    BARE_CASE(suite, an_accept_keeps_to_the_budget_of_the_turn);
    CASE(suite, what_a_callback_submits_belongs_to_the_next_turn);
    CASE(suite, what_is_due_at_once_again_and_again_does_not_hold_the_turn);
    BARE_CASE(suite, what_the_budget_leaves_keeps_its_place);
    CASE(suite, a_hot_io_starves_neither_timers_nor_posts_nor_other_ios);
    CASE(suite, results_that_are_due_do_not_keep_the_kernel_waiting);
    BARE_CASE(suite, a_crowd_of_timers_starves_no_io);
    BARE_CASE(suite, a_crowd_of_ready_ios_starves_no_timer);
    BARE_CASE(suite, a_small_budget_is_shared_by_all_that_are_ready);
    CASE(suite, all_that_are_ready_get_their_turn);
    CASE(suite, a_turn_without_sleep_returns_at_once_and_tells_what_it_did);
    CASE(suite, a_burst_of_connections_starves_nobody);
    return suite;
}
