/* Promise 20: a callback that holds the loop is caught while it does, and it is told whose it is.
 * The watch is turned on and off. */
#include "groups.h"
#include "harness.h"
#include "witness.h"

#include <pthread.h>
#include <stdio.h>

#define BUDGET_NS (20 * HARK_MILLISECOND)
enum { LOOKS = 3 }; /* after it was caught: each could end a call too early */

static void compute(struct probe *probe)
{
    (void)probe;
    compute_until_met();
}

static void expect_place(const char *place, const char *file, int line)
{
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%s:%d", file, line);
    ck_assert_msg(strstr(place, wanted) != NULL, "%s: place \"%s\", wanted %s", doing, place,
                  wanted);
}

START_TEST(a_callback_that_computes_is_caught_while_it_holds_the_loop)
{
    struct probe probe = { .then = compute, .op.label = "the culprit" };
    witness_begin(BUDGET_NS);
    hark_timer(&probe.op, loop, hark_now(loop), on_probe);
    int line = __LINE__ - 1;
    await(&probe);
    struct told told = witness_met();
    ck_assert_str_eq(told.kind, "timer");
    ck_assert_str_eq(told.label, "the culprit");
    expect_place(told.place, "test_stall.c", line);
    ck_assert_ptr_eq(told.stall.loop, loop);
    ck_assert_int_eq(told.stall.thread, gettid());
    ck_assert_int_ge(told.stall.held_ns, BUDGET_NS);
    ck_assert_int_eq(told.stall.callbacks, 1);
    ck_assert_int_gt(told.stall.call_ns, 0);
    ck_assert_int_le(told.stall.call_ns, told.stall.held_ns);
    ck_assert(!told.stall.is_many);
    ck_assert_int_eq(told.stall.state != HARK_STALL_UNKNOWN, THREADS_ARE_SEEN);
    ck_assert(!STACKS_ARE_TRUE || told.is_culprit_certain);
}
END_TEST

static void submit_path_stat(struct hark_op *op)
{
    static struct statx found;
    hark_path_stat(op, loop, "/", true, &found, on_probe);
}

static void submit_wall_timer(struct hark_op *op)
{
    hark_timer_wall(op, loop, hark_wall_now(), on_probe);
}

/* What is told of them is not the kind of op that the loop knows, but what was asked for. */
START_TEST(a_callback_of_a_file_or_of_a_layer_is_told_by_what_was_asked_for)
{
    static const struct { const char *kind; void (*submit)(struct hark_op *op); } asked[] = {
        { "path stat", submit_path_stat }, { "timer_wall", submit_wall_timer },
    };
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        struct probe probe = { .then = compute, .op.label = asked[i].kind };
        witness_begin(BUDGET_NS);
        asked[i].submit(&probe.op);
        await(&probe);
        struct told told = witness_met();
        hark_stall_unwatch();
        ck_assert_str_eq(told.kind, asked[i].kind);
        ck_assert_str_eq(told.label, asked[i].kind);
    }
}
END_TEST

static int64_t began_ns, ended_ns;

static void compute_for_looks(struct probe *probe)
{
    (void)probe;
    began_ns = clock_now();
    compute_until(HARK_STALL_GOES_ON, LOOKS);
    ended_ns = clock_now();
}

START_TEST(a_stall_is_told_again_while_it_lasts_and_its_length_at_the_end)
{
    struct probe probe = { .then = compute_for_looks };
    witness_begin(BUDGET_NS);
    hark_nop(&probe.op, loop, on_probe);
    int64_t before = clock_now();
    await(&probe);
    int64_t after = clock_now();
    int64_t again_ns = witness_told(HARK_STALL_GOES_ON).stall.held_ns;
    witness_await(HARK_STALL_OVER, 1);
    struct told told = witness_told(HARK_STALL_OVER);
    ck_assert_int_eq(witness_count(HARK_STALL_CAUGHT), 1);
    ck_assert_int_ge(again_ns, BUDGET_NS + 2 * 10 * HARK_MILLISECOND);
    ck_assert_int_ge(told.stall.held_ns, ended_ns - began_ns);
    ck_assert_int_le(told.stall.held_ns, after - before);
    ck_assert_str_eq(told.kind, "nop");
}
END_TEST

/* Short callbacks. A machine that is busy may make one of them long, so another turn is tried. */

static void compute_a_little(struct hark_op *op)
{
    (void)op;
    for (int64_t end = clock_now() + HARK_MILLISECOND; clock_now() < end;) {}
}

START_TEST(many_short_callbacks_that_add_up_are_told_as_that)
{
    enum { OPS = 200 };
    struct hark_loop_options options = { .turn_budget = OPS };
    struct hark_op ops[OPS] = { 0 };
    struct hark_loop *own;
    int line = 0;
    ck_assert_int_eq(hark_loop_open(&own, &options), 0);
    witness_begin(BUDGET_NS);
    int64_t end = clock_now() + 30 * HARK_SECOND;
    do {
        ck_assert_msg(clock_now() < end, "no turn was told as one of many callbacks");
        int before = witness_count(HARK_STALL_CAUGHT);
        for (int i = 0; i < OPS; i++) {
            ops[i].label = "one of many";
            hark_nop(&ops[i], own, compute_a_little);
            line = __LINE__ - 1;
        }
        ck_assert_int_eq(hark_run(own), 0);
        if (witness_count(HARK_STALL_CAUGHT) == before) continue;
    } while (!witness_told(HARK_STALL_CAUGHT).stall.is_many);
    struct told told = witness_told(HARK_STALL_CAUGHT);
    ck_assert_int_gt(told.stall.callbacks, 1);
    ck_assert_int_le(told.stall.callbacks, OPS);
    ck_assert_int_lt(told.stall.call_ns, told.stall.held_ns / 2);
    ck_assert_int_eq(told.stall.share, 100);
    ck_assert_str_eq(told.kind, "nop");
    ck_assert_str_eq(told.label, "one of many");
    expect_place(told.place, "test_stall.c", line);
    hark_loop_close(own);
}
END_TEST

static int64_t compute_in_fiber(void *arg)
{
    struct hark_op nop = { .label = "before it" };
    hark_fiber_name("the guilty one");
    if (arg != NULL) ck_assert_int_eq(hark_await(&nop, hark_nop, loop), 0);
    compute_until_met();
    return 0;
}

START_TEST(a_fiber_that_holds_the_loop_is_named)
{
    for (int has_awaited = 0; has_awaited < 2; has_awaited++) {
        snprintf(doing, sizeof doing, "fiber %d", has_awaited);
        int line = __LINE__ + 5;
        struct told told = { .fiber = "" };
        for (int tries = 0; tries < 10 && told.fiber[0] == '\0'; tries++) {
            hark_stall_unwatch(); /* it was caught before it had said its name */
            witness_begin(BUDGET_NS);
            hark_fiber_main(loop, compute_in_fiber, has_awaited ? doing : NULL);
            told = witness_met();
        }
        ck_assert_str_eq(told.fiber, "the guilty one");
        expect_place(told.fiber_place, "test_stall.c", line);
        ck_assert_str_eq(told.kind, has_awaited ? "nop" : "fibers");
        ck_assert_str_eq(told.label, has_awaited ? "before it" : "");
        hark_stall_unwatch();
    }
}
END_TEST

struct other { pthread_t thread; struct hark_loop *loop; int tid; struct probe probe; };
static _Atomic int stalled_count;
static _Atomic(const struct hark_loop *) stalled_loops[2];
static _Atomic int stalled_threads[2];

static void note_loop(const struct hark_stall *stall)
{
    if (stall->moment != HARK_STALL_CAUGHT || stalled_count >= 2) return;
    stalled_loops[stalled_count] = stall->loop;
    stalled_threads[stalled_count] = stall->thread;
    stalled_count++;
}

static void compute_until_both(struct hark_op *op)
{
    (void)op;
    compute_until(HARK_STALL_CAUGHT, 2);
}

static void *run_other(void *arg)
{
    struct other *other = arg;
    ck_assert_int_eq(hark_loop_open(&other->loop, NULL), 0);
    other->tid = gettid();
    hark_nop(&other->probe.op, other->loop, compute_until_both);
    ck_assert_int_eq(hark_run(other->loop), 0);
    hark_loop_close(other->loop);
    return NULL;
}

START_TEST(each_loop_that_is_held_is_told_with_its_own_thread)
{
    struct other others[2] = { 0 };
    witness_then = note_loop;
    witness_begin(BUDGET_NS);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&others[i].thread, NULL, run_other, &others[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(others[i].thread, NULL);
    ck_assert_int_eq(stalled_count, 2);
    int first = stalled_threads[0] == others[1].tid;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(stalled_threads[i], others[first ^ i].tid);
        ck_assert_ptr_eq(stalled_loops[i], others[first ^ i].loop);
    }
}
END_TEST

START_TEST(options_that_make_no_sense_are_refused)
{
    struct hark_stall_options wrong[] = {
        { .budget_ns = -1 }, { .again_ns = -1 }, { .budget_ns = HARK_MICROSECOND },
        { .action = (enum hark_stall_action)(HARK_STALL_ABORT + 1) },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_int_eq(hark_stall_watch(&wrong[i]), HARK_EINVAL);
    hark_stall_unwatch(); /* nothing is on */
    ck_assert_int_eq(hark_stall_watch(NULL), 0);
    ck_assert_int_eq(hark_stall_watch(NULL), 0);
    hark_stall_unwatch();
    hark_stall_unwatch();
}
END_TEST

START_TEST(a_watch_can_be_turned_off_and_on_again_and_changed)
{
    for (int i = 0; i < 3; i++) {
        witness_begin(1000 * HARK_SECOND);
        witness_begin(BUDGET_NS); /* the new budget counts */
        hold_once();
        hark_stall_unwatch();
        ck_assert_int_eq(witness_count(HARK_STALL_CAUGHT), 1);
    }
}
END_TEST

static void unwatch(const struct hark_stall *stall)
{
    (void)stall;
    hark_stall_unwatch();
}

/* Nobody joins a sampler that ends so: what it had open is closed by itself. */
START_TEST(the_hook_may_turn_the_watch_off)
{
    int before = open_descriptor_count();
    for (int i = 0; i < 2; i++) {
        witness_then = unwatch;
        witness_begin(BUDGET_NS);
        hold_once();
        ck_assert_int_eq(witness_count(HARK_STALL_CAUGHT), 1);
    }
    for (int64_t end = clock_now() + PATIENCE_S * HARK_SECOND; open_descriptor_count() != before;)
        ck_assert_msg(clock_now() < end, "the sampler leaves something open");
}
END_TEST

START_TEST(the_first_turn_after_a_sleep_is_watched)
{
    witness_begin(BUDGET_NS);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(hark_step(loop, 10 * BUDGET_NS), 0);
        hold_once();
        witness_await(HARK_STALL_OVER, 1);
        witness_begin(BUDGET_NS); /* counts anew */
    }
}
END_TEST

static _Atomic bool is_over;

static void *turn_on_and_off(void *arg)
{
    struct hark_stall_options options = { .budget_ns = HARK_MILLISECOND,
                                          .action = HARK_STALL_QUIET };
    for (int i = 0; i < 50; i++) {
        if (hark_stall_watch(&options) != 0) break;
        sleep_for(HARK_MILLISECOND);
        hark_stall_unwatch();
    }
    is_over = true;
    return arg;
}

static void do_nothing(struct hark_op *op) { (void)op; }

static int64_t nap(void *arg)
{
    hark_fiber_name("napping");
    sleep_for(3 * HARK_MILLISECOND);
    (void)hark_fiber_sleep(HARK_MILLISECOND);
    return arg != NULL;
}

static void *open_and_close(void *arg)
{
    while (!is_over) {
        struct hark_loop *own;
        if (hark_loop_open(&own, NULL) != 0) break;
        (void)hark_fiber_start(own, nap, NULL);
        (void)hark_run(own);
        hark_loop_close(own);
    }
    return arg;
}

START_TEST(loops_may_come_and_go_while_the_watch_does)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL,
                                        i == 0 ? turn_on_and_off : open_and_close, NULL), 0);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    ck_assert(is_over);
}
END_TEST

START_TEST(more_loops_than_can_be_watched_work)
{
    enum { LOOPS = 70 };
    struct hark_loop *own[LOOPS];
    struct hark_op op = { 0 };
    witness_begin(BUDGET_NS);
    for (int i = 0; i < LOOPS; i++) {
        ck_assert_int_eq(hark_loop_open(&own[i], NULL), 0);
        hark_nop(&op, own[i], do_nothing);
        ck_assert_int_eq(hark_run(own[i]), 0);
    }
    for (int i = 0; i < LOOPS; i++) hark_loop_close(own[i]);
    hold_once(); /* there is a slot again */
}
END_TEST

Suite *group_stall(void)
{
    Suite *suite = suite_create("stall");
    CASE(suite, a_callback_that_computes_is_caught_while_it_holds_the_loop);
    CASE(suite, a_callback_of_a_file_or_of_a_layer_is_told_by_what_was_asked_for);
    CASE(suite, a_stall_is_told_again_while_it_lasts_and_its_length_at_the_end);
    CASE(suite, many_short_callbacks_that_add_up_are_told_as_that);
    CASE(suite, a_fiber_that_holds_the_loop_is_named);
    CASE(suite, each_loop_that_is_held_is_told_with_its_own_thread);
    CASE(suite, options_that_make_no_sense_are_refused);
    CASE(suite, a_watch_can_be_turned_off_and_on_again_and_changed);
    CASE(suite, the_hook_may_turn_the_watch_off);
    CASE(suite, the_first_turn_after_a_sleep_is_watched);
    BARE_CASE(suite, loops_may_come_and_go_while_the_watch_does);
    CASE(suite, more_loops_than_can_be_watched_work);
    return suite;
}
