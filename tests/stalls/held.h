/* Processes that a test starts and looks into: a fork of the test itself, so that its functions and
 * addresses are known. */
#ifndef TESTS_STALLS_HELD_H
#define TESTS_STALLS_HELD_H

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"
#include "stalls/capture.h"
#include "stalls/task.h"

enum { PATIENCE_S = 240, WAIT_TURNS = 20000 };

#define NOINLINE __attribute__((noinline))
/* What stands behind a call, so that it is no tail call. */
#define AFTER_CALL __asm__ volatile("" ::: "memory")

/* Shared between a test and what it started. */
struct shared {
    volatile int is_ready, wants_end; /* no bool: gcc 12 reads those once where it sanitizes */
    volatile long count, other;
};

static inline struct shared *shared_new(void)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(shared != MAP_FAILED);
    return shared;
}

static inline void pause_us(long us)
{
    const struct timespec pause = { .tv_nsec = us * 1000 };
    nanosleep(&pause, NULL);
}

/* The child dies with the test, and ends with 0 if `run` returns. */
static inline pid_t held_start(void (*run)(void *), void *arg)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run(arg);
    _exit(0);
}

static inline int held_wait(pid_t pid)
{
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static inline void held_end(pid_t pid)
{
    kill(pid, SIGKILL);
    held_wait(pid);
}

/* Waits until the thread sleeps in that system call. */
static inline void await_call(pid_t pid, pid_t tid, long call)
{
    struct task_call now;
    for (int i = 0; i < WAIT_TURNS; i++) {
        if (task_call(pid, tid, &now) && !now.is_running && now.call == call) return;
        pause_us(1000);
    }
    ck_abort_msg("it does not come to system call %ld", call);
}

static inline void await_true(const volatile int *flag)
{
    for (int i = 0; i < WAIT_TURNS && !*flag; i++) pause_us(1000);
    ck_assert(*flag);
}

static inline void open_target(struct target *target, pid_t pid)
{
    char why[256] = "";
    ck_assert_msg(target_open(target, pid, why, sizeof why) == 0, "%s", why);
}

/* The place of a function in a stack, counted from `from`; -1. */
static inline int find(const struct stack *stack, const char *function, int from)
{
    for (int i = from; i < stack->count; i++)
        if (strcmp(stack->frames[i].function, function) == 0) return i;
    return -1;
}

static inline void print_stack(const struct stack *stack)
{
    for (int i = 0; i < stack->count; i++)
        fprintf(stderr, "    %s (%s) %s:%d\n", stack->frames[i].function,
                stack->frames[i].module != NULL ? stack->frames[i].module : "",
                stack->frames[i].file != NULL ? stack->frames[i].file : "", stack->frames[i].line);
}

/* The functions stand in the stack in that order, innermost first. */
static inline void assert_order(const struct stack *stack, const char *const *functions)
{
    int at = -1;
    for (; *functions != NULL; functions++) {
        at = find(stack, *functions, at + 1);
        if (at < 0) print_stack(stack);
        ck_assert_msg(at >= 0, "%s is not in the stack, or not there", *functions);
    }
}

#define ADD_CASE(suite, name) unit_add(suite, #name, name, PATIENCE_S)

#endif
