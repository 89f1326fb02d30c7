/* Runs a suspected thread to its next wait, by ptrace: does it come there soon? Then its turns are
 * short, it only has no time to wait.
 *
 * A thread is stopped only while it runs. Should it enter its wait just then, the stop ends that
 * wait with EINTR; before the thread sees this, it is made to wait again. For the same reason it is
 * never let go at the entry of a call: the kernel wakes what it lets go, and a wait that begins
 * with that ends with EINTR. A death of this process at any moment lets the thread go on: the
 * kernel detaches it. So it does with one that stops too late, since a thread of ours traces that
 * ends with the probe. */
#include "stalls/probe.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stalls/stop.h"

enum { STEP_NS = 100 * 1000, STEPS_MAX = 200, STEPS_CALL = 20 };

/* Waits for the thread to stop; the status is as waitpid() would give it. 0: it did; -1: not in
 * time, or it is gone: then its exit code is left to whoever started it. */
static int wait_stop(pid_t tid, int *status, int steps)
{
    for (int i = 0; i < steps; i++) {
        siginfo_t info = { .si_pid = 0 };
        int flags = WSTOPPED | WEXITED | WNOWAIT | WNOHANG | __WALL;
        if (waitid(P_PID, (id_t)tid, &info, flags) != 0 && errno != EINTR) return -1;
        *status = info.si_status << 8 | 0x7f;
        if (info.si_pid != 0) return info.si_code == CLD_TRAPPED ? 0 : -1;
        nanosleep(&(struct timespec){ .tv_nsec = STEP_NS }, NULL);
    }
    return -1;
}

static bool is_at_call(int status)
{
    return WSTOPSIG(status) == (SIGTRAP | 0x80);
}

/* If the stop ended a call with EINTR, lets the thread make that call again, unless it has a signal
 * to handle. Where the kernel has decided on that before it stops, the registers are set back by
 * hand; where the result takes the place of the first argument, that is put back. */
static void undo_interruption(pid_t tid, int status, uint64_t first_argument)
{
    struct user_regs_struct regs;
    struct iovec room = { &regs, sizeof regs };
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &room) != 0) return;
#if defined(__x86_64__)
    (void)status, (void)first_argument;
    if ((long)regs.orig_rax < 0 || (long)regs.rax != -EINTR) return;
    regs.rax = (unsigned long)-STOP_RESTART;
#elif defined(__aarch64__)
    if ((long)regs.regs[0] != -EINTR) return;
    if (is_at_call(status)) {
        regs.regs[0] = (unsigned long)-STOP_RESTART;
    } else if (status >> 16 == PTRACE_EVENT_STOP) {
        regs.regs[0] = first_argument;
        regs.pc -= 4;
    }
#else
    (void)status, (void)first_argument;
    return;
#endif
    ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &room);
}

/* A signal that arrived meanwhile is the thread's, and is passed on. */
static int signal_to_pass(int status)
{
    int signal = WSTOPSIG(status);
    bool is_ours = (status >> 16) != 0 || is_at_call(status);
    return is_ours ? 0 : signal;
}

/* Tells whether it is about to wait; keeps the first argument of any call that it enters. */
static bool is_at_wait(struct probe *probe, int status)
{
    struct __ptrace_syscall_info info;
    if (!is_at_call(status)) return false;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, probe->tid, (void *)sizeof info, &info) <= 0) return false;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return false;
    probe->first_argument = info.entry.args[0];
    probe->call_count++;
    int wait = call_is_wait((long)info.entry.nr);
    return probe->main_fd < 0 ? wait == 2
                              : wait == 1 && (int)info.entry.args[0] == probe->main_fd;
}

/* Stops it between calls and lets it go. It may come to the entry or exit of a call first, perhaps
 * because of the interruption, which any stop uses up. */
static void detach(pid_t tid, uint64_t first_argument)
{
    int status = 0;
    do {
        ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
        if (is_at_call(status)) ptrace(PTRACE_CONT, tid, NULL, NULL);
        if (wait_stop(tid, &status, STEPS_MAX * 50) != 0) return; /* gone: nothing to let go */
        undo_interruption(tid, status, first_argument);
    } while (is_at_call(status));
    ptrace(PTRACE_DETACH, tid, NULL, (void *)(uintptr_t)signal_to_pass(status));
}

/* How much of its budget it has used; one that does not get a processor proves nothing. */
static enum proof judge_budget(const struct probe *probe)
{
    struct thread_times now;
    if (thread_times(probe->pid, probe->tid, &now) != 0) return PROOF_NONE;
    return now.processor_ns > probe->processor_ns + probe->budget_ns ? PROOF_SAME_TURN : PROOF_NONE;
}

/* Runs it from stop to stop until it comes to a wait or has used up its budget. It runs on at the
 * end, still attached. */
static enum proof run(struct probe *probe, int status)
{
    int64_t deadline = clock_read() + 4 * probe->budget_ns;
    enum proof proof = PROOF_NONE;
    bool is_stopped = true;
    while (proof == PROOF_NONE && clock_read() < deadline) {
        if (is_stopped)
            ptrace(PTRACE_SYSCALL, probe->tid, NULL, (void *)(uintptr_t)signal_to_pass(status));
        is_stopped = wait_stop(probe->tid, &status, STEPS_CALL) == 0;
        if (is_stopped && is_at_wait(probe, status)) proof = PROOF_WAITED;
        else proof = judge_budget(probe);
    }
    probe->ended_ns = clock_read();
    if (is_stopped)
        ptrace(PTRACE_CONT, probe->tid, NULL, (void *)(uintptr_t)signal_to_pass(status));
    return proof;
}

static void *trace(void *arg)
{
    struct probe *probe = arg;
    struct thread_times before;
    int status;
    void *options = (void *)PTRACE_O_TRACESYSGOOD;
    if (ptrace(PTRACE_SEIZE, probe->tid, NULL, options) != 0) return NULL;
    if (ptrace(PTRACE_INTERRUPT, probe->tid, NULL, NULL) == 0 &&
        wait_stop(probe->tid, &status, STEPS_MAX) == 0) {
        undo_interruption(probe->tid, status, probe->first_argument);
        /* Only now: while it runs, its times are as old as the last tick. */
        bool has_times = thread_times(probe->pid, probe->tid, &before) == 0;
        probe->processor_ns = has_times ? before.processor_ns : INT64_MAX / 2;
        probe->proof = run(probe, status);
    }
    detach(probe->tid, probe->first_argument);
    return NULL;
}

enum proof probe_turn(struct probe *probe)
{
    probe->first_argument = (uint64_t)probe->main_fd;
    probe->proof = PROOF_NONE;
    return stop_by_thread(trace, probe) == 0 ? probe->proof : PROOF_NONE;
}
