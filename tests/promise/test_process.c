/* The end of a process: told once, with its status, also of one that someone else has started;
 * and a process that nobody waits for is left alone. */
#include "children.h"
#include "groups.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

START_TEST(the_end_of_a_child_is_told_with_its_exit_code_and_its_usage)
{
    static const int codes[] = { 0, 1, 7, 255 };
    char script[64];
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct hark_process process = { 0 };
        snprintf(script, sizeof script, "exit %d", codes[i]);
        start(&process, &(struct hark_process_options){ .argv = SHELL(script) });
        pid_t pid = process.pid;
        ck_assert_int_eq(await_end(&process), codes[i]);
        ck_assert_int_eq(process.end.code, codes[i]);
        ck_assert_int_eq(process.end.signal, 0);
        if (has_usage) ck_assert_int_gt(process.end.usage.ru_maxrss, 0);
        ck_assert_int_eq(process.pid, pid);
        ck_assert_ptr_null(process.loop);
        expect_no_child();
    }
    if (!has_usage) {
        fprintf(stderr, "skipped: the time that a child took\n");
        return;
    }
    struct hark_process busy = { 0 };
    start(&busy, &(struct hark_process_options){
        .argv = SHELL("i=0; while test $i -lt 200000; do i=$((i+1)); done") });
    ck_assert_int_eq(await_end(&busy), 0);
    ck_assert_int_gt(busy.end.usage.ru_utime.tv_sec * 1000000 + busy.end.usage.ru_utime.tv_usec, 0);
}
END_TEST

START_TEST(an_end_by_a_signal_is_told_as_one)
{
    static const int numbers[] = { SIGKILL, SIGTERM, SIGUSR1, 64 };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct hark_process process = { 0 };
        start(&process, &(struct hark_process_options){ .argv = forever });
        ck_assert_int_eq(hark_process_kill(&process, 0), 0);
        if (!has_every_signal && i >= 2) {
            ck_assert_int_eq(hark_process_kill(&process, numbers[i]), HARK_EOPNOTSUPP);
            finish(&process);
            continue;
        }
        ck_assert_int_eq(hark_process_kill(&process, numbers[i]), 0);
        ck_assert_int_eq(await_end(&process), 256 + numbers[i]);
        ck_assert_int_eq(process.end.signal, numbers[i]);
        ck_assert_int_eq(process.end.code, 0);
        ck_assert(!process.end.has_dumped_core);
        ck_assert_int_eq(hark_process_kill(&process, 0), HARK_EBADF);
    }
    struct hark_process process = { 0 };
    start(&process, &(struct hark_process_options){ .argv = forever });
    ck_assert_int_eq(hark_process_kill(&process, 1000), HARK_EINVAL);
    finish(&process);
}
END_TEST

START_TEST(a_deadline_or_a_cancel_ends_the_wait_and_not_the_child)
{
    struct hark_process process = { 0 };
    struct probe waiting = { 0 }, second = { 0 };
    start(&process, &(struct hark_process_options){ .argv = forever });
    for (int round = 0; round < 3; round++) {
        waiting = (struct probe){ 0 };
        waiting.op.deadline_ns = hark_after(loop, HARK_MILLISECOND);
        hark_process_wait(&waiting.op, &process, on_probe);
        await(&waiting);
        ck_assert_result(&waiting, HARK_ETIMEDOUT);
        waiting = (struct probe){ 0 };
        second = (struct probe){ 0 };
        hark_process_wait(&waiting.op, &process, on_probe);
        hark_process_wait(&second.op, &process, on_probe);
        await(&second);
        ck_assert_result(&second, HARK_EALREADY);
        ck_assert_int_eq(waiting.calls, 0);
        hark_cancel(&waiting.op);
        ck_assert_int_eq(waiting.calls, 0);
        await(&waiting);
        ck_assert_result(&waiting, HARK_ECANCELED);
        ck_assert_int_eq(hark_process_kill(&process, 0), 0);
    }
    finish(&process);
}
END_TEST

/* In the turn that learns of the exit: what came first wins, and the end is told at some time. */
START_TEST(a_cancel_at_any_turn_loses_no_end)
{
    for (int turns = 0; turns < 12; turns++) {
        struct hark_process process = { 0 };
        struct probe waiting = { 0 };
        siginfo_t info;
        start(&process, &(struct hark_process_options){ .argv = SHELL("exit 9") });
        id_t pid = (id_t)process.pid;
        ck_assert_int_eq(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0); /* it has ended */
        hark_process_wait(&waiting.op, &process, on_probe);
        for (int i = 0; i < turns && waiting.calls == 0; i++)
            ck_assert_int_ge(hark_step(loop, 0), 0);
        hark_cancel(&waiting.op);
        await(&waiting);
        if (waiting.result == HARK_ECANCELED) ck_assert_int_eq(await_end(&process), 9);
        else ck_assert_result(&waiting, 9);
        ck_assert_int_eq(waiting.last_calls, 1);
        expect_no_child();
    }
}
END_TEST

START_TEST(a_process_that_is_closed_is_left_alone)
{
    struct hark_process process = { 0 };
    struct probe waiting = { 0 }, closing = { 0 }, again = { 0 };
    siginfo_t info;
    start(&process, &(struct hark_process_options){ .argv = forever });
    hark_process_wait(&waiting.op, &process, on_probe);
    hark_process_close(&closing.op, &process, on_probe);
    hark_process_close(&again.op, &process, on_probe);
    ck_assert_int_eq(waiting.calls + closing.calls, 0);
    await(&closing);
    await(&again);
    ck_assert_result(&waiting, HARK_ECANCELED);
    ck_assert_result(&closing, 0);
    ck_assert_result(&again, HARK_EBADF);
    ck_assert_int_lt(waiting.order, closing.order);
    ck_assert_ptr_null(process.loop);
    ck_assert_int_eq(await_end(&process), HARK_EBADF);
    ck_assert_int_eq(kill(process.pid, 0), 0);
    ck_assert_int_eq(hark_process_open(&process, loop, process.pid), 0); /* it still is a child */
    closing = (struct probe){ 0 };
    hark_process_close(&closing.op, &process, on_probe);
    await(&closing);
    ck_assert_int_eq(kill(process.pid, SIGKILL), 0);
    ck_assert_int_eq(waitid(P_PID, (id_t)process.pid, &info, WEXITED), 0);
    expect_no_child();
}
END_TEST

/* Its memory is the caller's again, if the wait has told the end. */
static void free_ended(struct probe *probe)
{
    if (probe->result >= 0) free(probe->arg);
}

START_TEST(the_close_of_the_loop_leaves_children_alone)
{
    struct hark_process waited = { 0 }, *freed = calloc(1, sizeof *freed), idle = { 0 };
    struct probe waiting = { 0 }, ended = { .then = free_ended, .arg = freed };
    int count = open_descriptor_count();
    siginfo_t info;
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    start(&waited, &(struct hark_process_options){ .argv = forever });
    start(&idle, &(struct hark_process_options){ .argv = forever });
    start(freed, &(struct hark_process_options){ .argv = SHELL("exit 5") });
    pid_t pid = freed->pid;
    hark_process_wait(&waiting.op, &waited, on_probe);
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    hark_process_wait(&ended.op, freed, on_probe); /* ends with the loop, or a little before */
    hark_loop_close(loop);
    ck_assert_int_eq(open_descriptor_count(), count);
    ck_assert_result(&waiting, HARK_ECANCELED);
    ck_assert(ended.result == HARK_ECANCELED || ended.result == 5);
    const pid_t left[] = { waited.pid, idle.pid };
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(waitpid(left[i], NULL, WNOHANG), 0); /* a child, and alive */
        ck_assert_int_eq(kill(left[i], SIGKILL), 0);
        ck_assert_int_eq(waitpid(left[i], NULL, 0), left[i]);
    }
    if (ended.result == HARK_ECANCELED) {
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        free(freed);
    }
    expect_no_child();
}
END_TEST

/* A kernel may know nothing of it but that. */
START_TEST(a_child_that_has_ended_before_it_is_opened_is_told)
{
    struct hark_process process = { 0 };
    siginfo_t info;
    pid_t child = fork();
    if (child == 0) _exit(8);
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(hark_process_open(&process, loop, child), 0);
    ck_assert_int_eq(hark_process_kill(&process, SIGTERM), 0);
    struct pollfd end = { .fd = process.exit.fd, .events = POLLIN };
    ck_assert_int_eq(poll(&end, 1, -1), 1);
    ck_assert_int_eq(hark_process_kill(&process, SIGTERM), 0); /* there until it is waited for */
    ck_assert_int_eq(await_end(&process), 8);
    expect_no_child();
}
END_TEST

START_TEST(a_process_that_someone_else_started_is_waited_for)
{
    struct hark_process process = { 0 }, other = { 0 };
    siginfo_t info;
    int ready[2];
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(1);
    }
    ck_assert_int_eq(hark_process_open(&process, loop, child), 0);
    ck_assert_int_eq(hark_process_kill(&process, SIGUSR1), 0);
    ck_assert_int_eq(await_end(&process), 256 + SIGUSR1);
    ck_assert_int_eq(hark_process_open(&process, loop, child), HARK_ESRCH);
    ck_assert_int_eq(hark_process_open(&process, loop, 0), HARK_EINVAL);
    ck_assert_int_eq(hark_process_open(&process, loop, -5), HARK_EINVAL);

    ck_assert_int_eq(pipe(ready), 0); /* a grandchild, whose parent goes on: no child of ours */
    child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            pause();
            _exit(1);
        }
        write_all(ready[1], &grandchild, sizeof grandchild);
        waitpid(grandchild, NULL, 0);
        _exit(0);
    }
    pid_t grandchild;
    ck_assert_int_eq(read(ready[0], &grandchild, sizeof grandchild), sizeof grandchild);
    ck_assert_int_eq(hark_process_open(&other, loop, grandchild), 0);
    ck_assert_int_eq(hark_process_kill(&other, SIGUSR1), 0);
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(hark_process_kill(&other, 0), HARK_ESRCH); /* its parent has waited for it */
    ck_assert_int_eq(await_end(&other), HARK_ECHILD);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);
}
END_TEST

/* A process that traces another one until the pipe says so; -1: it may not. */
static pid_t start_debugger(pid_t traced, int until)
{
    int told[2];
    char byte = 0;
    ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
    pid_t debugger = fork();
    if (debugger == 0) {
        byte = ptrace(PTRACE_SEIZE, traced, NULL, NULL) == 0;
        write_all(told[1], &byte, 1);
        if (byte == 0) _exit(0);
        (void)!read(until, &byte, 1);
        waitpid(traced, NULL, __WALL); /* lets go of it */
        _exit(0);
    }
    ck_assert_int_eq(read(told[0], &byte, 1), 1);
    close(told[0]);
    close(told[1]);
    if (byte == 1) return debugger;
    ck_assert_int_eq(waitpid(debugger, NULL, 0), debugger);
    return -1;
}

/* The kernel says that it has ended, and gives its end to the debugger first. */
START_TEST(an_end_that_a_debugger_holds_back_is_told_once_it_lets_go)
{
    struct hark_process process = { 0 };
    struct probe waiting = { 0 };
    int until[2];
    ck_assert(plain_pair(until, WIRE_UNIX));
    start(&process, &(struct hark_process_options){ .argv = forever });
    pid_t debugger = start_debugger(process.pid, until[0]);
    hark_process_wait(&waiting.op, &process, on_probe);
    ck_assert_int_eq(hark_process_kill(&process, SIGKILL), 0);
    if (debugger > 0) {
        int64_t end = clock_now() + 50 * HARK_MILLISECOND;
        while (clock_now() < end) ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        ck_assert_int_eq(waiting.calls, 0);
        hark_cancel(&waiting.op); /* also between two tries */
        await(&waiting);
        ck_assert_result(&waiting, HARK_ECANCELED);
        waiting = (struct probe){ 0 };
        hark_process_wait(&waiting.op, &process, on_probe);
        write_all(until[1], "x", 1);
        ck_assert_int_eq(waitpid(debugger, NULL, 0), debugger);
    }
    await(&waiting);
    ck_assert_result(&waiting, 256 + SIGKILL);
    close(until[0]);
    close(until[1]);
}
END_TEST

/* Then the kernel keeps no child's end for its parent. */
START_TEST(where_sigchld_is_ignored_an_end_is_told_and_not_how)
{
    const char *const absent[] = { "hark-no-such-program", NULL };
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(run(&(struct hark_process_options){ .argv = SHELL("exit 3") }),
                         HARK_ECHILD);
        ck_assert_int_eq(run(&(struct hark_process_options){ .argv = absent }), HARK_ENOENT);
    }
    expect_no_child();
}
END_TEST

START_TEST(thousands_of_children_in_a_row_leave_nothing)
{
    static const char *const program[] = { TRUE_PROGRAM, NULL };
    int count = open_descriptor_count();
    struct hark_process process = { 0 };
    for (int i = 0; i < ROW_OF_CHILDREN; i++) {
        struct probe spawning = { 0 };
        hark_process_spawn(&spawning.op, &process, loop,
                           &(struct hark_process_options){ .argv = program }, on_probe);
        await(&spawning);
        ck_assert_int_gt(spawning.result, 0);
        ck_assert_int_eq(await_end(&process), 0);
    }
    ck_assert_int_eq(open_descriptor_count(), count);
    expect_no_child();
}
END_TEST

START_TEST(two_hundred_children_at_once_are_told_each_with_its_own_end)
{
    enum { CHILDREN = CROWD_OF_CHILDREN };
    static struct hark_process processes[CHILDREN];
    static struct hark_io ins[CHILDREN];
    static struct probe waiting[CHILDREN];
    int count = open_descriptor_count(), told = 0;
    char script[64];
    if (!allow_descriptors(600)) return;
    for (int i = 0; i < CHILDREN; i++) {
        struct hark_process_fd fd = { .source = HARK_PROCESS_READS, .io = &ins[i] };
        snprintf(script, sizeof script, "read line; exit %d", i);
        start(&processes[i], &(struct hark_process_options){
            .argv = SHELL(script), .fds = &fd, .fd_count = 1 });
        hark_process_wait(&waiting[i].op, &processes[i], on_probe);
    }
    spin(3);
    for (int i = 0; i < CHILDREN; i++) told += waiting[i].calls;
    ck_assert_int_eq(told, 0);
    for (int i = 0; i < CHILDREN; i++) close_io(&ins[i]); /* the end of what they read */
    for (int i = 0; i < CHILDREN; i++) {
        await(&waiting[i]);
        ck_assert_result(&waiting[i], i);
    }
    expect_no_child();
    ck_assert_int_eq(open_descriptor_count(), count);
}
END_TEST

static void count_processes(const struct hark_inspect_entry *entry, void *arg)
{
    int *counts = arg;
    if (strcmp(entry->kind, "process") == 0) counts[0]++;
    if (strcmp(entry->kind, "process wait") == 0) counts[1]++;
}

START_TEST(inspection_shows_processes_and_who_waits_for_them)
{
    struct hark_process process = { 0 };
    struct probe waiting = { 0 };
    int counts[2] = { 0 };
    start(&process, &(struct hark_process_options){ .argv = forever });
    ck_assert_int_eq(hark_run(loop), 0); /* a process that nobody waits for keeps nothing running */
    hark_process_wait(&waiting.op, &process, on_probe);
    hark_loop_inspect(loop, count_processes, counts);
    ck_assert_int_eq(counts[0], 1);
    ck_assert_int_eq(counts[1], 1);
    hark_cancel(&waiting.op);
    await(&waiting);
    finish(&process);
    counts[0] = 0;
    hark_loop_inspect(loop, count_processes, counts);
    ck_assert_int_eq(counts[0], 0);
}
END_TEST

static int64_t run_programs(void *arg)
{
    struct hark_op op = { 0 };
    struct hark_process process = { 0 };
    struct hark_scope scope = { 0 };
    (void)arg;
    struct hark_process_options options = { .argv = SHELL("exit 4") };
    ck_assert_int_eq(hark_fiber_process_run(&options), 4);
    ck_assert_int_gt(hark_await(&op, hark_process_spawn, &process, hark_fiber_loop(), &options), 0);
    ck_assert_int_eq(hark_fiber_process_wait(&process), 4);
    options.program = "/nowhere";
    ck_assert_int_eq(hark_fiber_process_run(&options), HARK_ENOENT);
    options = (struct hark_process_options){ .argv = forever };
    hark_scope_open(&scope, hark_after(hark_fiber_loop(), 5 * HARK_MILLISECOND));
    ck_assert_int_eq(hark_fiber_process_run(&options), HARK_ETIMEDOUT);
    hark_scope_close(&scope);
    return 1;
}

START_TEST(a_fiber_runs_programs_and_its_child_does_not_outlive_a_scope_that_ends)
{
    ck_assert_int_eq(hark_fiber_main(loop, run_programs, NULL), 1);
    expect_no_child();
}
END_TEST

static int64_t run_forever(void *arg)
{
    struct hark_process_options options = { .argv = forever };
    *(int64_t *)arg = hark_fiber_process_run(&options);
    return 0;
}

START_TEST(closing_a_loop_ends_the_child_that_a_fiber_runs)
{
    int64_t result = 0;
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    ck_assert_int_eq(hark_fiber_start(loop, run_forever, &result), 0);
    spin(4);
    hark_loop_close(loop);
    ck_assert_int_eq(result, HARK_ECANCELED);
    expect_no_child();
}
END_TEST

Suite *group_process(void)
{
    Suite *suite = suite_create("process");
    CASE(suite, the_end_of_a_child_is_told_with_its_exit_code_and_its_usage);
    CASE(suite, an_end_by_a_signal_is_told_as_one);
    CASE(suite, a_deadline_or_a_cancel_ends_the_wait_and_not_the_child);
    CASE(suite, a_cancel_at_any_turn_loses_no_end);
    CASE(suite, a_process_that_is_closed_is_left_alone);
    BARE_CASE(suite, the_close_of_the_loop_leaves_children_alone);
    CASE(suite, a_child_that_has_ended_before_it_is_opened_is_told);
    CASE(suite, a_process_that_someone_else_started_is_waited_for);
    CASE(suite, an_end_that_a_debugger_holds_back_is_told_once_it_lets_go);
    CASE(suite, where_sigchld_is_ignored_an_end_is_told_and_not_how);
    CASE(suite, thousands_of_children_in_a_row_leave_nothing);
    CASE(suite, two_hundred_children_at_once_are_told_each_with_its_own_end);
    CASE(suite, inspection_shows_processes_and_who_waits_for_them);
    CASE(suite, a_fiber_runs_programs_and_its_child_does_not_outlive_a_scope_that_ends);
    BARE_CASE(suite, closing_a_loop_ends_the_child_that_a_fiber_runs);
    return suite;
}
