/* A thread that is run to its next wait: what becomes of it if it never comes there. */
#include "stalls/probe.h"

#include <sched.h>
#include <sys/syscall.h>

#include "held.h"

enum { EXIT_CODE = 7, BUDGET_NS = 3 * 1000 * 1000 };

static bool is_traced(pid_t pid)
{
    char text[2048];
    ck_assert_int_gt(task_read(pid, pid, "status", text, sizeof text), 0);
    const char *line = strstr(text, "TracerPid:");
    ck_assert_ptr_nonnull(line);
    return strtol(line + strlen("TracerPid:"), NULL, 10) != 0;
}

/* Again where the thread had no processor meanwhile, and has not seen that it is traced. */
static void probe_until(pid_t pid, char state)
{
    while (kill(pid, 0) == 0 && task_state(pid, pid) != state) {
        struct probe probe = { .pid = pid, .tid = pid, .main_fd = 1000, .budget_ns = BUDGET_NS };
        (void)probe_turn(&probe); /* what it proves is not asked here */
    }
}

static void end_when_traced(void *arg)
{
    struct shared *shared = arg;
    shared->is_ready = true;
    while (!is_traced(getpid())) {}
    _exit(EXIT_CODE);
}

START_TEST(a_probe_leaves_the_exit_code_to_the_parent)
{
    struct shared *shared = shared_new();
    pid_t pid = held_start(end_when_traced, shared);
    await_true(&shared->is_ready);
    probe_until(pid, 'Z');
    int status = held_wait(pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_CODE);
}
END_TEST

/* Nothing stops a thread that waits for its child as vfork() does. */
static void be_unstoppable_when_traced(void *arg)
{
    struct shared *shared = arg;
    shared->is_ready = true;
    while (!is_traced(getpid())) {}
    if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) == 0) {
        while (!shared->wants_end) pause_us(1000);
        _exit(0);
    }
    _exit(EXIT_CODE);
}

START_TEST(a_thread_that_does_not_stop_is_let_go_all_the_same)
{
    struct shared *shared = shared_new();
    pid_t pid = held_start(be_unstoppable_when_traced, shared);
    await_true(&shared->is_ready);
    probe_until(pid, 'D');
    ck_assert(!is_traced(pid));
    shared->wants_end = true;
    ck_assert_int_eq(WEXITSTATUS(held_wait(pid)), EXIT_CODE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("probe");
    ADD_CASE(suite, a_probe_leaves_the_exit_code_to_the_parent);
    ADD_CASE(suite, a_thread_that_does_not_stop_is_let_go_all_the_same);
    return unit_run(suite);
}
