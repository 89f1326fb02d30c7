/* Promises 1 to 3: callbacks come from the loop only, each op has one last callback, and after it
 * everything is the caller's again. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

#include <pthread.h>

START_TEST(callback_never_runs_inside_a_submit)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 }, nothing = { 0 };
        if (scene_can_fulfil(&scene)) scene_fulfil(&scene); /* it could finish at once */
        if (scene.verb->is_timer) scene.when_ns = 1;
        scene_submit(&scene, &probe, 0);
        hark_nop(&nothing.op, loop, on_probe);
        ck_claim(probe.calls == 0 && nothing.calls == 0);
        if (scene_can_fulfil(&scene) || scene.verb->is_timer) await_calls(&probe, 1);
        hark_cancel(&probe.op);
        if (probe.last_calls == 0) await(&probe);
        await(&nothing);
    }
}
END_TEST

START_TEST(callback_never_runs_inside_a_cancel_or_a_close)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 }, behind = { 0 }, closing = { 0 };
        scene_submit(&scene, &probe, 0);
        scene_submit(&scene, &behind, 1);
        ck_claim(hark_cancel(&behind.op));
        if (scene.verb->is_timer) ck_claim(hark_cancel(&probe.op));
        else hark_close(&closing.op, &scene.wire.io, on_probe);
        ck_claim(probe.calls + behind.calls + closing.calls == 0);
        await(&probe);
        await(&behind);
        if (!scene.verb->is_timer) await(&closing);
        ck_claim(probe.calls == 1 && behind.calls == 1);
    }
}
END_TEST

static int depth, deepest;

/* Submits what is finished at once, cancels, and closes, all inside a callback: trap 21. */
static void nest(struct probe *probe)
{
    struct scene *scene = probe->arg;
    static struct probe queued;
    deepest = ++depth > deepest ? depth : deepest;
    if (queued.op.user == NULL) {
        hark_nop(&queued.op, loop, on_probe);
        queued.op.user = &queued;
    }
    if (probe->calls < 100) hark_send(&probe->op, &scene->wire.io, "x", 1, on_probe);
    depth--;
}

START_TEST(callbacks_never_nest)
{
    struct scene scene = { 0 };
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        if (!wire_open(&scene.wire, (enum wire_kind)kind)) continue;
        struct probe probe = { .then = nest, .arg = &scene };
        hark_send(&probe.op, &scene.wire.io, "x", 1, on_probe);
        await_calls(&probe, 100);
        ck_assert_int_eq(deepest, 1);
        wire_close(&scene.wire);
    }
}
END_TEST

static pthread_t callback_thread;

static void note_thread(struct probe *probe)
{
    (void)probe;
    callback_thread = pthread_self();
}

static void *run_one(void *arg)
{
    struct probe *probes = arg;
    hark_timer(&probes[0].op, loop, 1, on_probe);
    hark_post(&probes[1].op, loop, on_probe);
    ck_assert_int_eq(hark_run(loop), 0);
    hark_loop_close(loop);
    return NULL;
}

/* Trap 31: a loop may be opened by one thread and run by another: the latter owns it. */
START_TEST(callback_runs_on_the_thread_that_runs_the_loop)
{
    struct probe probes[2] = { { .then = note_thread }, { .then = note_thread } };
    pthread_t thread;
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_one, probes), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(probes[0].last_calls, 1);
    ck_assert_int_eq(probes[1].last_calls, 1);
    ck_assert(pthread_equal(callback_thread, thread));
}
END_TEST

/* However it ends. */
START_TEST(a_submit_has_exactly_one_last_callback)
{
    struct scene scene;
    for (int how = 0; how < 3; how++) {
        FOR_EACH_SCENE(&scene) {
            struct probe probe = { 0 };
            if (how == 2 && !scene.verb->is_timer) probe.op.deadline_ns = hark_after(loop, 1);
            scene_submit(&scene, &probe, 0);
            if (how == 1 && scene_can_fulfil(&scene)) scene_fulfil(&scene);
            spin(2);
            if (how != 2 || scene.verb->is_timer) hark_cancel(&probe.op);
            await(&probe);
            int calls = probe.calls;
            if (how == 0 && scene_can_fulfil(&scene)) scene_fulfil(&scene); /* too late */
            spin(10);
            ck_claim(probe.last_calls == 1 && probe.calls == calls);
            ck_claim(!hark_is_alive(&probe.op));
        }
    }
}
END_TEST

START_TEST(a_repeating_op_says_more_until_its_last_callback)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        if (!scene.verb->is_repeating) continue;
        if (scene.verb->is_timer) scene.when_ns = 1;
        scene_submit(&scene, &probe, 0);
        if (!scene.verb->is_timer) scene_fulfil(&scene);
        await_calls(&probe, 1);
        ck_claim(probe.last_calls == 0 && hark_is_alive(&probe.op));
        ck_claim(probe.result > 0 || strncmp(doing, "accept", 6) == 0);
        hark_cancel(&probe.op);
        await(&probe);
        ck_assert_result(&probe, HARK_ECANCELED);
    }
}
END_TEST

START_TEST(deadline_and_label_hold_for_one_submission)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { .op = { .label = "mine" } };
        probe.op.deadline_ns = hark_after(loop, 1000 * HARK_SECOND);
        scene_submit(&scene, &probe, 0);
        spin(1);
        ck_claim(strcmp(probe.op.label, "mine") == 0);
        hark_cancel(&probe.op);
        await(&probe);
        ck_claim(probe.deadline_seen == 0 && probe.label_seen == NULL);
    }
}
END_TEST

struct chain {
    struct probe probe; /* first: a probe is its chain */
    struct scene *scene;
    int left;
};

static void submit_again(struct probe *probe)
{
    struct chain *chain = (struct chain *)(void *)probe;
    if (probe->last_calls == 0 || chain->left-- == 0) return;
    probe->calls = probe->last_calls = 0;
    scene_submit(chain->scene, probe, 0);
    ck_claim(hark_cancel(&probe->op));
}

/* An op can serve a whole conversation. */
START_TEST(an_op_may_be_submitted_again_in_its_last_callback)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct chain chain = { .scene = &scene, .left = 5, .probe = { .then = submit_again } };
        scene_submit(&scene, &chain.probe, 0);
        hark_cancel(&chain.probe.op);
        while (chain.left >= 0) ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
        ck_claim(chain.probe.last_calls == 1 && !hark_is_alive(&chain.probe.op));
    }
}
END_TEST

static int freed_count;

static void free_probe(struct probe *probe)
{
    freed_count++;
    free(probe);
}

/* An address sanitizer sees who touches it later. */
START_TEST(an_op_may_be_freed_in_its_last_callback)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe *probe = calloc(1, sizeof *probe), *behind = calloc(1, sizeof *behind);
        struct probe *closing = calloc(1, sizeof *closing);
        probe->then = behind->then = closing->then = free_probe;
        freed_count = 0;
        scene_submit(&scene, probe, 0);
        scene_submit(&scene, behind, 1);
        spin(1);
        if (scene.verb->is_timer) {
            hark_cancel(&probe->op);
            hark_cancel(&behind->op);
            hark_nop(&closing->op, loop, on_probe);
        } else {
            hark_close(&closing->op, &scene.wire.io, on_probe);
        }
        while (freed_count < 3) ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    }
}
END_TEST

/* Trap 27: a kernel may hold the buffer after the cancel; the callback comes when it does not. */
START_TEST(a_buffer_is_untouched_after_the_last_callback)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        static const char zeros[sizeof scene.buf];
        struct probe probe = { 0 };
        if (scene.verb->is_timer || scene.verb->result != SCENE_TEXT) continue;
        scene_submit(&scene, &probe, 0);
        spin(2);
        hark_cancel(&probe.op);
        await(&probe);
        ck_assert_result(&probe, HARK_ECANCELED);
        memset(scene.buf, 0, sizeof scene.buf);
        scene_fulfil(&scene);
        spin(10);
        ck_claim(memcmp(scene.buf, zeros, sizeof zeros) == 0);
    }
}
END_TEST

static void adopt_again(struct probe *probe)
{
    struct wire *wire = probe->arg;
    int fds[2];
    ck_assert_int_eq(wire->io.fd, -1);
    ck_assert(!hark_io_is_open(&wire->io));
    ck_assert(plain_pair(fds, WIRE_UNIX));
    close(wire->peer);
    wire->peer = fds[1];
    memset(&wire->io, 0xa5, sizeof wire->io); /* nobody looks at what it was */
    memset(&wire->io, 0, sizeof wire->io);
    ck_assert_int_eq(hark_io_adopt(&wire->io, loop, fds[0]), 0);
}

START_TEST(an_io_may_be_reused_in_the_callback_of_its_close)
{
    struct wire wire;
    struct probe closing = { .then = adopt_again, .arg = &wire }, receiving = { 0 };
    char buf[8];
    ck_assert(wire_open(&wire, WIRE_TCP4));
    for (int round = 0; round < 3; round++) {
        closing.last_calls = 0;
        hark_close(&closing.op, &wire.io, on_probe);
        await(&closing);
        ck_assert_result(&closing, 0);
        receiving = (struct probe){ 0 };
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        ck_assert_int_eq(write(wire.peer, "new", 3), 3);
        await(&receiving);
        ck_assert_result(&receiving, 3);
    }
    wire_close(&wire);
}
END_TEST

START_TEST(verbs_that_never_wait_call_back_once_in_the_next_turn)
{
    struct wire wire;
    struct probe nothing = { 0 }, none = { 0 }, half = { 0 }, post = { 0 };
    char buf[1];
    ck_assert(wire_open(&wire, WIRE_TCP4));
    hark_nop(&nothing.op, loop, on_probe);
    hark_recv(&none.op, &wire.io, buf, 0, on_probe);
    hark_shutdown(&half.op, &wire.io, SHUT_WR, on_probe);
    hark_post(&post.op, loop, on_probe);
    ck_assert_int_eq(nothing.calls + none.calls + half.calls + post.calls, 0);
    spin(3); /* the turn's budget may be 3 */
    ck_assert_int_eq(nothing.calls, 1);
    ck_assert_int_eq(none.calls, 1);
    ck_assert_int_eq(half.calls, 1);
    ck_assert_int_eq(post.calls, 1);
    ck_assert_result(&nothing, 0);
    ck_assert_result(&none, 0);
    ck_assert_result(&half, 0);
    ck_assert_result(&post, 0);
    ck_assert_int_eq(read(wire.peer, buf, 1), 0);
    wire_close(&wire);
}
END_TEST

Suite *group_callbacks(void)
{
    Suite *suite = suite_create("callbacks");
    CASE(suite, callback_never_runs_inside_a_submit);
    CASE(suite, callback_never_runs_inside_a_cancel_or_a_close);
    CASE(suite, callbacks_never_nest);
    BARE_CASE(suite, callback_runs_on_the_thread_that_runs_the_loop);
    CASE(suite, a_submit_has_exactly_one_last_callback);
    CASE(suite, a_repeating_op_says_more_until_its_last_callback);
    CASE(suite, deadline_and_label_hold_for_one_submission);
    CASE(suite, an_op_may_be_submitted_again_in_its_last_callback);
    CASE(suite, an_op_may_be_freed_in_its_last_callback);
    CASE(suite, a_buffer_is_untouched_after_the_last_callback);
    CASE(suite, an_io_may_be_reused_in_the_callback_of_its_close);
    CASE(suite, verbs_that_never_wait_call_back_once_in_the_next_turn);
    return suite;
}
