/* hark_offload(): classes with bounds of their own, threads on demand, cancel and deadline of work
 * that waits and of work that runs (promises 5 and 6), and a loop's close that waits for it. */
#include "groups.h"
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { FILE_BOUND = 3, NAME_BOUND = 2 };

/* Opened by tests; work waits at it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_gate_open;
static int inside, most_inside;

static void open_bounded(void)
{
    struct hark_loop_options options = { .offload_threads = { [HARK_OFFLOAD_WORK] = 1,
                                                              [HARK_OFFLOAD_FILE] = FILE_BOUND,
                                                              [HARK_OFFLOAD_NAME] = NAME_BOUND } };
    ck_assert_int_eq(hark_loop_open(&loop, &options), 0);
}

static int64_t wait_at_gate(struct hark_op *op)
{
    (void)op;
    pthread_mutex_lock(&lock);
    inside++;
    if (inside > most_inside) most_inside = inside;
    pthread_cond_broadcast(&changed);
    while (!is_gate_open) pthread_cond_wait(&changed, &lock);
    inside--;
    pthread_mutex_unlock(&lock);
    return 0;
}

static void open_gate(void)
{
    pthread_mutex_lock(&lock);
    is_gate_open = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void await_inside(int count)
{
    pthread_mutex_lock(&lock);
    while (inside < count) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static int64_t answer(struct hark_op *op) { return (int64_t)(intptr_t)op->user; }

static pthread_t work_thread;

static int64_t note_thread(struct hark_op *op)
{
    work_thread = pthread_self();
    return *(int *)op->user;
}

START_TEST(work_runs_on_another_thread_and_its_result_comes_back)
{
    int value = 1234;
    struct probe probe = { .op = { .user = &value } };
    hark_offload(&probe.op, loop, HARK_OFFLOAD_WORK, note_thread, on_probe);
    ck_assert_int_eq(probe.calls, 0);
    await(&probe);
    ck_assert_result(&probe, 1234);
    ck_assert(!pthread_equal(work_thread, pthread_self()));
    static const int64_t results[] = { 0, -77, INT64_MAX, INT64_MIN, HARK_ECANCELED };
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct probe any = { .op = { .user = (void *)(intptr_t)results[i] } };
        hark_offload(&any.op, loop, HARK_OFFLOAD_FILE, answer, on_probe);
        await(&any);
        ck_assert_result(&any, results[i]);
        ck_assert_int_eq(any.os_error, 0);
    }
}
END_TEST

START_TEST(each_class_keeps_its_bound)
{
    enum { OPS = 12 };
    struct probe probes[OPS] = { 0 };
    open_bounded();
    for (int i = 0; i < OPS; i++)
        hark_offload(&probes[i].op, loop, HARK_OFFLOAD_FILE, wait_at_gate, on_probe);
    await_inside(FILE_BOUND);
    ck_assert_int_eq(hark_step(loop, 5 * HARK_MILLISECOND), 0); /* time for one too many to come */
    open_gate();
    for (int i = 0; i < OPS; i++) await(&probes[i]);
    ck_assert_int_eq(most_inside, FILE_BOUND);
    hark_loop_close(loop);
}
END_TEST

START_TEST(slow_name_lookups_do_not_starve_file_work)
{
    enum { OPS = 20 };
    struct probe names[OPS] = { 0 }, file = { 0 }, work = { 0 };
    for (int i = 0; i < OPS; i++)
        hark_offload(&names[i].op, loop, HARK_OFFLOAD_NAME, wait_at_gate, on_probe);
    await_inside(8); /* as the header says */
    hark_offload(&file.op, loop, HARK_OFFLOAD_FILE, answer, on_probe);
    hark_offload(&work.op, loop, HARK_OFFLOAD_WORK, answer, on_probe);
    await(&file);
    await(&work);
    for (int i = 0; i < OPS; i++) ck_assert_int_eq(names[i].calls, 0);
    ck_assert_int_eq(most_inside, 8);
    open_gate();
    for (int i = 0; i < OPS; i++) await(&names[i]);
}
END_TEST

static void *do_nothing(void *arg) { return arg; }

START_TEST(threads_start_on_demand_and_idle_ones_are_used_again)
{
    pthread_t first; /* a sanitizer starts a thread of its own with the first one */
    ck_assert_int_eq(pthread_create(&first, NULL, do_nothing, NULL), 0);
    ck_assert_int_eq(pthread_join(first, NULL), 0);
    open_bounded();
    int before = thread_count();
    for (int i = 0; i < 50; i++) {
        struct probe probe = { 0 };
        hark_offload(&probe.op, loop, HARK_OFFLOAD_FILE, answer, on_probe);
        await(&probe);
    }
    int after = thread_count();
    ck_assert_int_gt(after, before);
    ck_assert_int_le(after, before + FILE_BOUND);
    hark_loop_close(loop);
    for (int64_t end = clock_now() + 60 * HARK_SECOND; thread_count() > before;)
        ck_assert_int_lt(clock_now(), end); /* the last steps of a thread that has ended */
}
END_TEST

START_TEST(work_of_one_thread_runs_in_the_order_submitted)
{
    enum { OPS = 20 };
    struct probe probes[OPS] = { 0 };
    open_bounded();
    for (int i = 0; i < OPS; i++)
        hark_offload(&probes[i].op, loop, HARK_OFFLOAD_WORK, answer, on_probe);
    for (int i = 0; i < OPS; i++) await(&probes[i]);
    for (int i = 1; i < OPS; i++) ck_assert_int_lt(probes[i - 1].order, probes[i].order);
    hark_loop_close(loop);
}
END_TEST

static atomic_int ran;

static int64_t count_run(struct hark_op *op)
{
    (void)op;
    ran++;
    return 7;
}

START_TEST(waiting_work_is_canceled_at_once_and_never_runs)
{
    struct probe running = { 0 }, waiting[3] = { 0 };
    open_bounded();
    hark_offload(&running.op, loop, HARK_OFFLOAD_WORK, wait_at_gate, on_probe);
    await_inside(1);
    for (int i = 0; i < 3; i++)
        hark_offload(&waiting[i].op, loop, HARK_OFFLOAD_WORK, count_run, on_probe);
    ck_assert(hark_cancel(&waiting[1].op));
    ck_assert_int_eq(waiting[1].calls, 0);
    spin(1);
    ck_assert_int_eq(waiting[1].calls, 1);
    ck_assert_result(&waiting[1], HARK_ECANCELED);
    open_gate();
    await(&waiting[0]);
    await(&waiting[2]);
    await(&running);
    ck_assert_result(&waiting[0], 7);
    ck_assert_int_eq(ran, 2);
    hark_loop_close(loop);
}
END_TEST

START_TEST(waiting_work_times_out_and_never_runs)
{
    struct probe running = { 0 }, waiting = { 0 };
    open_bounded();
    hark_offload(&running.op, loop, HARK_OFFLOAD_WORK, wait_at_gate, on_probe);
    await_inside(1);
    int64_t deadline_ns = waiting.op.deadline_ns = hark_refresh(loop) + 2 * HARK_MILLISECOND;
    hark_offload(&waiting.op, loop, HARK_OFFLOAD_WORK, count_run, on_probe);
    await(&waiting);
    ck_assert_result(&waiting, HARK_ETIMEDOUT);
    ck_assert_int_ge(waiting.time_ns, deadline_ns);
    ck_assert_int_eq(running.calls, 0);
    open_gate();
    await(&running);
    ck_assert_int_eq(ran, 0);
    hark_loop_close(loop);
}
END_TEST

/* Runs until its op is canceled or its deadline has passed. */
static int64_t run_until_asked(struct hark_op *op)
{
    pthread_mutex_lock(&lock);
    inside++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    while (!hark_offload_asked(op)) usleep(100);
    return 42;
}

START_TEST(running_work_is_asked_to_end_and_its_true_result_comes)
{
    for (int how = 0; how < 2; how++) {
        struct probe probe = { 0 };
        inside = 0;
        int64_t deadline_ns = hark_refresh(loop) + 5 * HARK_MILLISECOND;
        if (how == 1) probe.op.deadline_ns = deadline_ns;
        hark_offload(&probe.op, loop, HARK_OFFLOAD_WORK, run_until_asked, on_probe);
        await_inside(1);
        ck_assert_int_eq(hark_step(loop, 0), 0);
        if (how == 0) ck_assert(hark_cancel(&probe.op));
        ck_assert_int_eq(probe.calls, 0);
        await(&probe);
        ck_assert_result(&probe, 42);
        ck_assert_int_eq(probe.calls, 1);
        if (how == 1) ck_assert_int_ge(probe.time_ns, deadline_ns);
    }
}
END_TEST

static int64_t is_asked(struct hark_op *op)
{
    return hark_offload_asked(op);
}

START_TEST(work_is_not_asked_without_a_cause)
{
    struct probe probe = { 0 };
    probe.op.deadline_ns = hark_refresh(loop) + 1000 * HARK_SECOND;
    hark_offload(&probe.op, loop, HARK_OFFLOAD_WORK, run_until_asked, on_probe);
    await_inside(1);
    hark_cancel(&probe.op);
    await(&probe);
    probe.last_calls = 0; /* the same op again: nobody has asked this one */
    hark_offload(&probe.op, loop, HARK_OFFLOAD_WORK, is_asked, on_probe);
    await(&probe);
    ck_assert_result(&probe, 0);
}
END_TEST

static atomic_bool is_done;

static int64_t finish_late(struct hark_op *op)
{
    run_until_asked(op);
    usleep(20000);
    is_done = true;
    return 42;
}

/* Trap 27's like: the op and its argument are borrowed until the function has returned. */
START_TEST(loop_close_cancels_waiting_work_and_waits_for_running_work)
{
    struct probe running = { 0 }, waiting = { 0 };
    int before = open_descriptor_count();
    open_bounded();
    hark_offload(&running.op, loop, HARK_OFFLOAD_WORK, finish_late, on_probe);
    await_inside(1);
    hark_offload(&waiting.op, loop, HARK_OFFLOAD_WORK, count_run, on_probe);
    hark_loop_close(loop);
    ck_assert(is_done);
    ck_assert_result(&running, 42);
    ck_assert_result(&waiting, HARK_ECANCELED);
    ck_assert_int_eq(running.calls + waiting.calls, 2);
    ck_assert_int_eq(ran, 0);
    ck_assert_int_eq(open_descriptor_count(), before);
}
END_TEST

START_TEST(an_unknown_class_is_refused)
{
    struct probe probe = { 0 };
    enum hark_offload_class none = (enum hark_offload_class)HARK_OFFLOAD_CLASSES;
    hark_offload(&probe.op, loop, none, count_run, on_probe);
    await(&probe);
    ck_assert_result(&probe, HARK_EINVAL);
    ck_assert_int_eq(ran, 0);
}
END_TEST

static int64_t count_blocked_signals(struct hark_op *op)
{
    sigset_t mask;
    int open = 0;
    (void)op;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    for (int number = 1; number < 32; number++) {
        bool cannot = number == SIGKILL || number == SIGSTOP;
        if (!cannot && !sigismember(&mask, number)) open++;
    }
    return open;
}

/* Promise 15: the program's handlers run on its own threads. */
START_TEST(pool_threads_take_no_signals)
{
    struct probe probe = { 0 };
    hark_offload(&probe.op, loop, HARK_OFFLOAD_WORK, count_blocked_signals, on_probe);
    await(&probe);
    ck_assert_result(&probe, 0);
}
END_TEST

static struct probe *many;
static int left;

static void submit_again(struct probe *probe)
{
    if (left-- <= 0) return;
    enum hark_offload_class offload_class = (enum hark_offload_class)(left % HARK_OFFLOAD_CLASSES);
    probe->last_calls = 0;
    if (left % 7 == 0) probe->op.deadline_ns = hark_after(loop, 1000);
    hark_offload(&probe->op, loop, offload_class, count_run, on_probe);
    if (left % 5 == 0) hark_cancel(&probe->op);
}

START_TEST(much_work_with_cancels_and_deadlines_calls_back_once_each)
{
    enum { OPS = 30, RUNS = 3000 };
    many = calloc(OPS, sizeof *many);
    left = RUNS;
    int calls = 0;
    for (int i = 0; i < OPS; i++) {
        many[i].then = submit_again;
        hark_offload(&many[i].op, loop, HARK_OFFLOAD_FILE, count_run, on_probe);
    }
    ck_assert_int_eq(hark_run(loop), 0);
    for (int i = 0; i < OPS; i++) calls += many[i].calls;
    ck_assert_int_eq(calls, OPS + RUNS);
    ck_assert_int_gt(ran, RUNS / 2);
    free(many);
}
END_TEST

Suite *group_offload(void)
{
    Suite *suite = suite_create("offload");
    CASE(suite, work_runs_on_another_thread_and_its_result_comes_back);
    BARE_CASE(suite, each_class_keeps_its_bound);
    CASE(suite, slow_name_lookups_do_not_starve_file_work);
    BARE_CASE(suite, threads_start_on_demand_and_idle_ones_are_used_again);
    BARE_CASE(suite, work_of_one_thread_runs_in_the_order_submitted);
    BARE_CASE(suite, waiting_work_is_canceled_at_once_and_never_runs);
    BARE_CASE(suite, waiting_work_times_out_and_never_runs);
    CASE(suite, running_work_is_asked_to_end_and_its_true_result_comes);
    CASE(suite, work_is_not_asked_without_a_cause);
    BARE_CASE(suite, loop_close_cancels_waiting_work_and_waits_for_running_work);
    CASE(suite, an_unknown_class_is_refused);
    CASE(suite, pool_threads_take_no_signals);
    CASE(suite, much_work_with_cancels_and_deadlines_calls_back_once_each);
    return suite;
}
