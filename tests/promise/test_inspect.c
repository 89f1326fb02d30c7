/* hark_loop_inspect() and hark_loop_print(): everything that is alive, once, with its kind, state,
 * age, label and the place in the source that started it. */
#include "groups.h"
#include "talk.h"
#include "verbs.h"

#include <stdatomic.h>
#include <stdio.h>

enum { ENTRIES = 64 };

static struct hark_inspect_entry seen[ENTRIES];
static size_t seen_count;

static void note(const struct hark_inspect_entry *entry, void *arg)
{
    if (arg != &seen_count || seen_count == ENTRIES) abort();
    seen[seen_count++] = *entry;
}

static void look(void)
{
    seen_count = 0;
    size_t count = hark_loop_inspect(loop, note, &seen_count);
    ck_assert_uint_eq(count, seen_count);
}

/* The entry of an op, or of an io where op is NULL; it must be there exactly once. */
static const struct hark_inspect_entry *entry_of(const struct hark_op *op, const struct hark_io *io)
{
    const struct hark_inspect_entry *found = NULL;
    for (size_t i = 0; i < seen_count; i++) {
        if (seen[i].op != op || (op == NULL && seen[i].io != io)) continue;
        ck_claim(found == NULL);
        found = &seen[i];
    }
    ck_claim(found != NULL);
    return found;
}

static void expect_state(const struct hark_op *op, const char *state)
{
    const char *is = entry_of(op, NULL)->state;
    ck_assert_msg(strcmp(is, state) == 0, "%s: %s, not %s", doing, is, state);
}

START_TEST(an_empty_loop_has_nothing_to_tell)
{
    look();
    ck_assert_uint_eq(seen_count, 0);
}
END_TEST

START_TEST(every_op_is_told_once_with_its_kind_and_state)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe first = { 0 }, second = { 0 };
        bool is_timer = scene.verb->is_timer;
        scene_submit(&scene, &first, 0);
        scene_submit(&scene, &second, 1);
        for (int turns = 0; turns < 3; turns++, spin(1)) {
            look();
            ck_claim(seen_count == (is_timer ? 2 : 3));
            const struct hark_inspect_entry *entry = entry_of(&first.op, NULL);
            ck_claim(strcmp(entry->kind, scene.verb->name) == 0);
            expect_state(&first.op, "running");
            expect_state(&second.op, is_timer ? "running" : "queued");
            ck_claim(entry->io == (is_timer ? NULL : &scene.wire.io));
            ck_claim(entry->fd == (is_timer ? -1 : scene.wire.io.fd));
        }
        hark_cancel(&second.op);
        look();
        expect_state(&second.op, "done");
        if (hark_cancel(&first.op)) await(&first);
        await(&second);
        look();
        ck_claim(seen_count == (is_timer ? 0 : 1));
    }
}
END_TEST

static int here;

START_TEST(label_place_deadline_and_age_are_those_of_the_submission)
{
    struct wire wire;
    struct probe probe = { .op = { .label = "greeting" } };
    char buf[1], place[300];
    ck_assert(wire_open(&wire, WIRE_UNIX));
    wire.io.label = "the door";
    int64_t deadline_ns = probe.op.deadline_ns = hark_refresh(loop) + 1000 * HARK_SECOND;
    here = __LINE__ + 1;
    hark_recv(&probe.op, &wire.io, buf, sizeof buf, on_probe);
    int64_t start = clock_now();
    snprintf(place, sizeof place, "%s:%d", __FILE__, here);
    ck_assert_int_eq(hark_step(loop, 30 * HARK_MILLISECOND), 0);
    look();
    const struct hark_inspect_entry *op = entry_of(&probe.op, NULL), *io = entry_of(NULL, &wire.io);
    ck_assert_str_eq(op->label, "greeting");
    ck_assert_str_eq(op->place, place);
    ck_assert_int_eq(op->deadline_ns, deadline_ns);
    ck_assert_str_eq(io->kind, "io");
    ck_assert_str_eq(io->state, "open");
    ck_assert_str_eq(io->label, "the door");
    ck_assert_ptr_nonnull(strstr(io->place, "harness.c:"));
    ck_assert_int_eq(io->fd, wire.io.fd);
    int64_t age = clock_now() - start, slack = 5 * HARK_MILLISECOND;
    ck_assert(op->age_ns >= 30 * HARK_MILLISECOND - slack && op->age_ns <= age + slack);
    ck_assert(io->age_ns >= 30 * HARK_MILLISECOND && io->age_ns <= age + HARK_SECOND);
    ck_assert(!op->is_background && !io->is_background);
    hark_background(&probe.op);
    look();
    ck_assert(entry_of(&probe.op, NULL)->is_background);
    wire_close(&wire);
}
END_TEST

START_TEST(an_op_without_a_place_or_label_says_so)
{
    struct probe probe = { 0 };
    (hark_timer)(&probe.op, loop, hark_after(loop, HARK_SECOND * 1000), on_probe);
    look();
    ck_assert_ptr_null(entry_of(&probe.op, NULL)->place);
    ck_assert_ptr_null(entry_of(&probe.op, NULL)->label);
    hark_cancel(&probe.op);
    await(&probe);
}
END_TEST

START_TEST(an_io_is_followed_by_its_ops)
{
    struct wire wires[2];
    struct probe receiving[2] = { 0 }, behind[2] = { 0 }, sending[2] = { 0 };
    char buf[1];
    for (int i = 0; i < 2; i++) {
        ck_assert(wire_open(&wires[i], WIRE_UNIX));
        wire_fill_up(&wires[i]);
        hark_recv(&receiving[i].op, &wires[i].io, buf, 1, on_probe);
        hark_recv(&behind[i].op, &wires[i].io, buf, 1, on_probe);
        hark_send(&sending[i].op, &wires[i].io, buf, 1, on_probe);
    }
    spin(2);
    look();
    ck_assert_uint_eq(seen_count, 8);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_ptr_eq(seen[i].io, seen[i / 4 * 4].io);
        ck_assert((seen[i].op == NULL) == (i % 4 == 0));
    }
    for (int i = 0; i < 2; i++) wire_close(&wires[i]);
}
END_TEST

START_TEST(what_is_finished_and_not_yet_called_back_is_told_as_done)
{
    struct probe nops[3] = { 0 };
    for (int i = 0; i < 3; i++) hark_nop(&nops[i].op, loop, on_probe);
    look();
    ck_assert_uint_eq(seen_count, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(entry_of(&nops[i].op, NULL)->kind, "nop");
        expect_state(&nops[i].op, "done");
    }
    spin(1);
}
END_TEST

static size_t count_inside;

static void look_inside(struct probe *probe)
{
    (void)probe;
    look();
    count_inside = seen_count;
}

START_TEST(a_callback_sees_the_others_of_its_turn)
{
    struct probe first = { .then = look_inside }, second = { 0 }, timer = { 0 };
    hark_timer(&timer.op, loop, hark_after(loop, 1000 * HARK_SECOND), on_probe);
    hark_nop(&first.op, loop, on_probe);
    hark_nop(&second.op, loop, on_probe);
    spin(1);
    ck_assert_uint_eq(count_inside, 2); /* it is over itself */
    hark_cancel(&timer.op);
    await(&timer);
}
END_TEST

START_TEST(a_post_under_way_is_told_with_an_age_that_makes_sense)
{
    struct probe posts[2] = { 0 };
    for (int i = 0; i < 2; i++) hark_post(&posts[i].op, loop, on_probe);
    look();
    ck_assert_uint_eq(seen_count, 2);
    for (int i = 0; i < 2; i++) {
        const struct hark_inspect_entry *entry = entry_of(&posts[i].op, NULL);
        ck_assert_str_eq(entry->kind, "post");
        ck_assert_int_lt(entry->age_ns, 10 * HARK_SECOND);
        ck_assert_ptr_nonnull(entry->place);
    }
    spin(2);
}
END_TEST

static atomic_bool may_end, has_begun;

static int64_t work(struct hark_op *op)
{
    (void)op;
    has_begun = true;
    while (!may_end) usleep(100);
    return 0;
}

START_TEST(offloaded_work_is_told_whether_it_runs_or_waits)
{
    struct hark_loop_options options = { .offload_threads = { 1, 1, 1 } };
    struct probe running = { 0 }, waiting = { 0 };
    ck_assert_int_eq(hark_loop_open(&loop, &options), 0);
    hark_offload(&running.op, loop, HARK_OFFLOAD_FILE, work, on_probe);
    while (!has_begun) usleep(100);
    hark_offload(&waiting.op, loop, HARK_OFFLOAD_FILE, work, on_probe);
    look();
    ck_assert_uint_eq(seen_count, 2);
    ck_assert_str_eq(entry_of(&running.op, NULL)->kind, "offload");
    ck_assert_str_eq(entry_of(&waiting.op, NULL)->kind, "offload");
    may_end = true;
    await(&waiting);
    await(&running);
    look();
    ck_assert_uint_eq(seen_count, 0);
    hark_loop_close(loop);
}
END_TEST

START_TEST(a_closing_io_is_told_as_closing_and_its_close_once)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 }, closing = { 0 };
        if (scene.verb->is_timer) continue;
        scene_submit(&scene, &probe, 0);
        spin(2);
        hark_close(&closing.op, &scene.wire.io, on_probe);
        look();
        ck_claim(strcmp(entry_of(NULL, &scene.wire.io)->state, "closing") == 0);
        ck_claim(strcmp(entry_of(&closing.op, NULL)->kind, "close") == 0);
        entry_of(&probe.op, NULL);
        ck_claim(seen_count == 3);
        await(&closing);
        look();
        ck_claim(seen_count == 0);
    }
}
END_TEST

static void print_to(char *text, size_t room)
{
    FILE *to = fmemopen(text, room, "w");
    ck_assert_ptr_nonnull(to);
    hark_loop_print(loop, to);
    fclose(to);
}

START_TEST(print_tells_why_a_run_goes_on_or_that_it_would_end)
{
    char text[4096], fd[20];
    struct wire wire;
    struct probe probe = { .op = { .label = "the reason" } }, timer = { 0 };
    char buf[1];
    print_to(text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "would end"));
    ck_assert_ptr_nonnull(strstr(text, hark_loop_backend(loop)));
    hark_hold(loop);
    print_to(text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "goes on"));
    hark_unhold(loop);
    ck_assert(wire_open(&wire, WIRE_UNIX));
    hark_timer(&timer.op, loop, hark_after(loop, 1000 * HARK_SECOND), on_probe);
    hark_background(&timer.op);
    print_to(text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "would end"));
    ck_assert_ptr_nonnull(strstr(text, "background"));
    hark_recv(&probe.op, &wire.io, buf, 1, on_probe);
    print_to(text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "goes on"));
    ck_assert_ptr_nonnull(strstr(text, "the reason"));
    ck_assert_ptr_nonnull(strstr(text, "recv"));
    ck_assert_ptr_nonnull(strstr(text, "test_inspect.c:"));
    snprintf(fd, sizeof fd, "fd %d", wire.io.fd);
    ck_assert_ptr_nonnull(strstr(text, fd));
    int lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
    ck_assert_int_eq(lines, 4); /* the loop, the io, its op, the timer */
    hark_cancel(&timer.op);
    await(&timer);
    wire_close(&wire);
}
END_TEST

struct canceled { struct probe *every; int told; };

static void count_every(const struct hark_inspect_entry *entry, void *arg)
{
    struct canceled *canceled = arg;
    canceled->told += entry->op == &canceled->every->op;
}

static void cancel_every(struct probe *timer)
{
    hark_cancel(&((struct canceled *)timer->arg)->every->op);
}

static void look_at_itself(struct probe *every)
{
    struct canceled *canceled = every->arg;
    if (!every->op.more) return;
    ck_assert(hark_is_alive(&every->op));
    canceled->told = 0;
    hark_loop_inspect(loop, count_every, canceled);
}

/* Its report is on its way when another callback of the turn cancels it. */
START_TEST(a_canceled_repeating_timer_is_told_in_the_callback_before_its_last)
{
    struct canceled canceled = { .told = -1 };
    struct probe every = { .then = look_at_itself, .arg = &canceled };
    struct probe timer = { .then = cancel_every, .arg = &canceled };
    canceled.every = &every;
    hark_timer(&timer.op, loop, hark_now(loop), on_probe);
    hark_timer_every(&every.op, loop, hark_now(loop), HARK_SECOND, on_probe);
    await(&every);
    ck_assert_int_eq(canceled.told, 1);
    ck_assert_int_eq(every.calls, 2);
    ck_assert_result(&every, HARK_ECANCELED);
}
END_TEST

/* The directory is an open file while it is scanned; on kqueue(2) and on Windows a
 * thread scans it. */
static void find_watch(const struct hark_inspect_entry *entry, void *arg)
{
    int *scans = arg;
    bool is_by_thread = backend_is("kqueue") || backend_is("iocp");
    bool is_scan = strcmp(entry->kind, is_by_thread ? "offload" : "file") == 0;
    *scans += is_scan;
    if (entry->op != NULL && !is_scan) return;
    ck_assert_msg(entry->label != NULL && strcmp(entry->label, "watch") == 0, "%s", entry->kind);
}

START_TEST(what_a_watch_works_with_carries_its_name)
{
    struct hark_watch watch = { 0 };
    struct probe watching = { 0 };
    int scans = 0;
    hark_watch(&watching.op, &watch, loop, "/tmp", NULL, on_probe);
    while (watching.calls == 0) {
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
        hark_loop_inspect(loop, find_watch, &scans);
    }
    ck_assert_int_ne(scans, 0);
    hark_cancel(&watching.op);
    await(&watching);
}
END_TEST

static void read_and_look(struct probe *timer)
{
    struct probe *reading = timer->arg;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(to);
    hark_stream_read_line(&reading->op, reading->arg, on_probe);
    hark_loop_print(hark_op_loop(&timer->op), to);
    fclose(to);
    ck_assert_msg(strstr(text, "stream read") != NULL, "%s", text);
    free(text);
}

START_TEST(a_read_of_a_stream_is_told_also_when_the_closing_loop_refuses_it)
{
    struct talk talk;
    struct probe reading = { .arg = &talk.stream };
    struct probe timer = { .then = read_and_look, .arg = &reading };
    struct hark_loop *other = open_talk_apart(&talk);
    hark_timer(&timer.op, other, INT64_MAX, on_probe);
    hark_loop_close(other);
    ck_assert_result(&reading, HARK_ECANCELED);
    close(talk.wire.peer);
}
END_TEST

Suite *group_inspect(void)
{
    Suite *suite = suite_create("inspect");
    CASE(suite, an_empty_loop_has_nothing_to_tell);
    CASE(suite, every_op_is_told_once_with_its_kind_and_state);
    CASE(suite, label_place_deadline_and_age_are_those_of_the_submission);
    CASE(suite, an_op_without_a_place_or_label_says_so);
    CASE(suite, an_io_is_followed_by_its_ops);
    CASE(suite, what_is_finished_and_not_yet_called_back_is_told_as_done);
    CASE(suite, a_callback_sees_the_others_of_its_turn);
    CASE(suite, a_post_under_way_is_told_with_an_age_that_makes_sense);
    BARE_CASE(suite, offloaded_work_is_told_whether_it_runs_or_waits);
    CASE(suite, a_closing_io_is_told_as_closing_and_its_close_once);
    CASE(suite, print_tells_why_a_run_goes_on_or_that_it_would_end);
    CASE(suite, a_canceled_repeating_timer_is_told_in_the_callback_before_its_last);
    CASE(suite, what_a_watch_works_with_carries_its_name);
    CASE(suite, a_read_of_a_stream_is_told_also_when_the_closing_loop_refuses_it);
    return suite;
}
