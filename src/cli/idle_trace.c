/* Counts the system calls of another process by ptrace(2): exact, without privileges, and slow;
 * so it has a pass of its own, apart from the timing.
 *
 * The tracer waits for two things at once, the traced process and the word that the work is done;
 * SIGCHLD through a signalfd makes both of them readable descriptors. The traced process is this
 * one's child, which even a strict Yama allows. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "idle.h"
#include "tool.h"

enum { STOP_SECONDS = 10 };

/* Lets the process go on from the stop that status tells of. Gives -1 if it has ended. */
static int pass_stop(struct idle_trace *trace, int status)
{
    if (!WIFSTOPPED(status)) {
        errno = ESRCH;
        return -1;
    }
    int signal_number = WSTOPSIG(status);
    if (signal_number == (SIGTRAP | 0x80)) { /* PTRACE_O_TRACESYSGOOD marks system calls */
        trace->entered += trace->is_entry;
        trace->is_entry = !trace->is_entry;
        signal_number = 0;
    } else if (status >> 16 == PTRACE_EVENT_STOP) {
        signal_number = 0;
    }
    return ptrace(PTRACE_SYSCALL, trace->pid, 0, signal_number) < 0 ? -1 : 0;
}

/* Handles every stop there is without waiting. */
static int pass_stops(struct idle_trace *trace)
{
    int status;
    pid_t stopped;
    while ((stopped = waitpid(trace->pid, &status, WNOHANG)) > 0)
        if (pass_stop(trace, status) < 0) return -1;
    return stopped < 0 ? -1 : 0;
}

static void close_signals(struct idle_trace *trace)
{
    if (trace->signals >= 0) close(trace->signals);
    trace->signals = -1;
    sigprocmask(SIG_SETMASK, &trace->blocked_before, NULL);
}

int idle_trace_start(struct idle_trace *trace, int64_t process, char why[IDLE_NOTE])
{
    pid_t pid = (pid_t)process;
    *trace = (struct idle_trace){ .pid = pid, .signals = -1, .is_entry = true };
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &trace->blocked_before);
    trace->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    if (trace->signals >= 0 && ptrace(PTRACE_SEIZE, pid, 0, options) == 0 &&
        ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0) return 0;
    snprintf(why, IDLE_NOTE, "ptrace(2) is refused: %s", strerror(errno));
    close_signals(trace);
    return -1;
}

int idle_trace_until(struct idle_trace *trace, int done)
{
    struct pollfd fds[3] = {
        { .fd = done, .events = POLLIN },
        { .fd = trace->signals, .events = POLLIN },
        { .fd = tool_interrupt_descriptor(), .events = POLLIN },
    };
    while (pass_stops(trace) == 0) {
        int ready = poll(fds, 3, STOP_SECONDS * 1000);
        if (ready == 0) errno = ETIMEDOUT;
        if (fds[2].revents) errno = EINTR;
        if (ready <= 0 || fds[2].revents) return -1;
        if (fds[0].revents) return 0;
        struct signalfd_siginfo info[8];
        ssize_t n = read(trace->signals, info, sizeof info);
        (void)n; /* only emptied: pass_stops() asks what there is */
    }
    return -1;
}

void idle_trace_stop(struct idle_trace *trace)
{
    int status;
    /* Only a stopped process can be let go, and it stops at its next chance. */
    if (ptrace(PTRACE_INTERRUPT, trace->pid, 0, 0) == 0)
        if (waitpid(trace->pid, &status, 0) == trace->pid && WIFSTOPPED(status))
            (void)ptrace(PTRACE_DETACH, trace->pid, 0, 0); /* gone: nothing to let go */
    close_signals(trace);
}
