/* The reaper: tells of every child that ends and is nobody's, and steals none from who waits. */
#include "children.h"
#include "groups.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { ORPHANS = 20, SEEN_MAX = 256 };

static pid_t seen[SEEN_MAX];
static int seen_codes[SEEN_MAX], seen_count;

static void note_child(struct probe *probe)
{
    struct hark_reaper *reaper = probe->arg;
    if (probe->result < 0) return;
    ck_assert_int_lt(seen_count, SEEN_MAX);
    seen[seen_count] = (pid_t)probe->result;
    seen_codes[seen_count++] = reaper->end.signal != 0 ? 256 + reaper->end.signal
                                                       : reaper->end.code;
}

static int code_seen_of(pid_t pid)
{
    int code = -1, times = 0;
    for (int i = 0; i < seen_count; i++)
        if (seen[i] == pid) code = seen_codes[i], times++;
    ck_assert_int_le(times, 1);
    return code;
}

static void await_seen(int count)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (seen_count < count) {
        ck_assert(clock_now() < end);
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    }
}

/* A child of ours that hark has not started, and that has ended. */
static pid_t dead_child(int code)
{
    siginfo_t info;
    pid_t pid = fork();
    if (pid == 0) _exit(code);
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return pid;
}

START_TEST(a_reaper_tells_of_every_child_that_is_nobodys)
{
    struct hark_reaper reaper = { 0 };
    struct probe reaping = { .then = note_child, .arg = &reaper };
    pid_t pids[ORPHANS];
    for (int i = 0; i < ORPHANS / 2; i++) pids[i] = dead_child(i); /* before it begins */
    hark_reap(&reaping.op, &reaper, loop, on_probe);
    ck_assert_int_eq(reaping.calls, 0);
    await_seen(ORPHANS / 2);
    for (int i = ORPHANS / 2; i < ORPHANS; i++) pids[i] = dead_child(i);
    await_seen(ORPHANS);
    for (int i = 0; i < ORPHANS; i++) ck_assert_int_eq(code_seen_of(pids[i]), i);
    expect_no_child();
    hark_cancel(&reaping.op);
    await(&reaping);
    ck_assert_result(&reaping, HARK_ECANCELED);
    ck_assert_int_eq(seen_count, ORPHANS);
    pid_t left = dead_child(1); /* nobody reaps any more */
    spin(3);
    ck_assert_int_eq(waitpid(left, NULL, WNOHANG), left);
}
END_TEST

START_TEST(a_reaper_steals_no_end_from_who_waits_for_a_process)
{
    struct hark_reaper reaper = { 0 };
    struct probe reaping = { .then = note_child, .arg = &reaper };
    struct hark_process waited[8] = { 0 }, late = { 0 };
    struct probe waiting[8] = { 0 };
    siginfo_t info;
    hark_reap(&reaping.op, &reaper, loop, on_probe);
    for (int round = 1; round <= 5; round++) {
        start(&late, &(struct hark_process_options){ .argv = SHELL("exit 77") });
        ck_assert_int_eq(waitid(P_PID, (id_t)late.pid, &info, WEXITED | WNOWAIT), 0);
        for (int i = 0; i < 8; i++) {
            start(&waited[i], &(struct hark_process_options){ .argv = SHELL("exit 66") });
            waiting[i] = (struct probe){ 0 };
            hark_process_wait(&waiting[i].op, &waited[i], on_probe);
        }
        pid_t orphan = dead_child(55); /* behind `late` in what the kernel shows */
        await_seen(round);
        ck_assert_int_eq(code_seen_of(orphan), 55);
        for (int i = 0; i < 8; i++) {
            await(&waiting[i]);
            ck_assert_result(&waiting[i], 66);
        }
        ck_assert_int_eq(await_end(&late), 77); /* the kernel has forgotten it */
        ck_assert_int_eq(late.end.code, 77);
        ck_assert_int_eq(seen_count, round);
    }
    expect_no_child();
    hark_cancel(&reaping.op);
    await(&reaping);
}
END_TEST

/* A grandchild that ends once its parent has: the pipe is held by that one alone. */
static pid_t start_orphan(int code)
{
    int held[2], told[2];
    pid_t orphan;
    ck_assert_int_eq(pipe(held), 0);
    ck_assert_int_eq(pipe(told), 0);
    if (fork() == 0) {
        orphan = fork();
        if (orphan == 0) {
            char byte;
            close(held[1]);
            (void)!read(held[0], &byte, 1);
            _exit(code);
        }
        write_all(told[1], &orphan, sizeof orphan);
        _exit(0);
    }
    close(held[1]);
    ck_assert_int_eq(read(told[0], &orphan, sizeof orphan), sizeof orphan);
    close(held[0]);
    close(told[0]);
    close(told[1]);
    return orphan;
}

START_TEST(orphans_of_a_subreaper_are_reaped)
{
    struct hark_reaper reaper = { 0 };
    struct probe reaping = { .then = note_child, .arg = &reaper };
    pid_t orphans[4];
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    hark_reap(&reaping.op, &reaper, loop, on_probe);
    for (int i = 0; i < 4; i++) orphans[i] = start_orphan(12 + i);
    await_seen(8); /* with their parents, which are children of ours */
    for (int i = 0; i < 4; i++) ck_assert_int_eq(code_seen_of(orphans[i]), 12 + i);
    expect_no_child();
    hark_cancel(&reaping.op);
    await(&reaping);
}
END_TEST

enum { SPAWNERS = 2, ROUNDS = IS_SLOW ? 20 : 100 };

static atomic_int spawners_left, wrong_ends;

struct spawner { pthread_t thread; struct hark_process process; int left, code; };

static void on_spawned(struct hark_op *op);

static void spawn_again(struct hark_op *op, struct hark_loop *own)
{
    struct spawner *spawner = op->user;
    static const char *const codes[] = { "exit 21", "exit 22" };
    const char *const argv[] = { "sh", "-c", codes[spawner->code - 21], NULL };
    const struct hark_process_options options = { .argv = argv };
    hark_process_spawn(op, &spawner->process, own, &options, on_spawned);
}

static void on_own_end(struct hark_op *op)
{
    struct spawner *spawner = op->user;
    if (op->result != spawner->code) atomic_fetch_add(&wrong_ends, 1);
    if (--spawner->left > 0) spawn_again(op, hark_op_loop(op));
}

static void on_spawned(struct hark_op *op)
{
    struct spawner *spawner = op->user;
    if (op->result < 0) atomic_fetch_add(&wrong_ends, 1);
    else hark_process_wait(op, &spawner->process, on_own_end);
}

static void *run_spawner(void *arg)
{
    struct spawner *spawner = arg;
    struct hark_loop *own;
    struct hark_op op = { .user = spawner };
    if (hark_loop_open(&own, NULL) != 0) atomic_fetch_add(&wrong_ends, 1);
    spawn_again(&op, own);
    if (hark_run(own) != 0) atomic_fetch_add(&wrong_ends, 1);
    hark_loop_close(own);
    atomic_fetch_sub(&spawners_left, 1);
    hark_wake(loop);
    return NULL;
}

/* A child may end before the one that starts it has noted that it is its own. */
START_TEST(a_reaper_steals_none_from_the_loops_of_other_threads)
{
    struct hark_reaper reaper = { 0 };
    struct probe reaping = { .then = note_child, .arg = &reaper };
    struct spawner spawners[SPAWNERS] = { 0 };
    hark_reap(&reaping.op, &reaper, loop, on_probe);
    atomic_store(&spawners_left, SPAWNERS);
    for (int i = 0; i < SPAWNERS; i++) {
        spawners[i].left = ROUNDS;
        spawners[i].code = 21 + i;
        ck_assert_int_eq(pthread_create(&spawners[i].thread, NULL, run_spawner, &spawners[i]), 0);
    }
    while (atomic_load(&spawners_left) > 0) ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    for (int i = 0; i < SPAWNERS; i++) pthread_join(spawners[i].thread, NULL);
    ck_assert_int_eq(atomic_load(&wrong_ends), 0);
    ck_assert_int_eq(seen_count, 0);
    expect_no_child();
    hark_cancel(&reaping.op);
    await(&reaping);
}
END_TEST

START_TEST(a_loop_with_a_reaper_is_closed)
{
    struct hark_reaper reaper = { 0 };
    struct probe reaping = { .then = note_child, .arg = &reaper };
    struct sigaction action;
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    dead_child(1);
    dead_child(2);
    hark_reap(&reaping.op, &reaper, loop, on_probe);
    hark_loop_close(loop);
    ck_assert_result(&reaping, HARK_ECANCELED);
    ck_assert_int_eq(reaping.last_calls, 1);
    ck_assert_int_eq(sigaction(SIGCHLD, NULL, &action), 0);
    ck_assert(action.sa_handler == SIG_DFL);
}
END_TEST

Suite *group_reap(void)
{
    Suite *suite = suite_create("reap");
    CASE(suite, a_reaper_tells_of_every_child_that_is_nobodys);
    CASE(suite, a_reaper_steals_no_end_from_who_waits_for_a_process);
    CASE(suite, a_reaper_steals_none_from_the_loops_of_other_threads);
    CASE(suite, orphans_of_a_subreaper_are_reaped);
    BARE_CASE(suite, a_loop_with_a_reaper_is_closed);
    return suite;
}
