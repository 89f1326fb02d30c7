/* A thread stopped by ptrace for a moment, so that the thread does not notice.
 *
 *   running ---- SEIZE, INTERRUPT ----> trap ----- look ----- DETACH ----> running
 *                      \---- a signal came first: stopped with it, look, DETACH hands it on
 *
 * 1. Whoever traces may die at any moment: SEIZE without EXITKILL, so the kernel lets go.
 * 2. A thread of ours traces and then ends, whatever happened: the end of a tracer detaches also
 *    what did not stop in time (DETACH needs it stopped), and gives the dead back to their parent.
 * 3. Exit codes are only looked at (WNOWAIT): they belong to whoever started the process.
 * 4. A call that would end with EINTR because of us (it was entered after we looked) is marked to
 *    be restarted unless a handler runs: what the kernel itself does for calls that hide a stop. */
#include "stalls/stop.h"

#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "stalls/machine.h"
#include "stalls/task.h"

/* The kernel's own, from its include/linux/errno.h; a tracer sees them. */
enum { RESTART_SYS = 512, RESTART_NO_INTERRUPT = 513, RESTART_BLOCK = 516 };

/* A thread on another processor stands within microseconds; one that waits for ours only if we
 * sleep. */
enum { SPINS = 100, WAIT_STEP_NS = 20 * 1000, WAIT_STEPS_MAX = 8000 };

struct stopper {
    pid_t tid;
    stop_look *look;
    void *arg;
    int64_t stopped_ns;
    bool is_done;
};

static bool has_time_out(pid_t pid, int fd)
{
    int copy = task_descriptor(pid, fd);
    if (copy < 0) return true; /* cannot be told: better no stop */
    struct stat what;
    bool has = false;
    if (fstat(copy, &what) != 0) has = true;
    else if (S_ISSOCK(what.st_mode)) {
        struct timeval receive = { 0 }, send = { 0 };
        socklen_t length = sizeof receive;
        has = getsockopt(copy, SOL_SOCKET, SO_RCVTIMEO, &receive, &length) != 0 ||
              getsockopt(copy, SOL_SOCKET, SO_SNDTIMEO, &send, &length) != 0 ||
              receive.tv_sec != 0 || receive.tv_usec != 0 || send.tv_sec != 0 || send.tv_usec != 0;
    }
    close(copy);
    return has;
}

/* signal(7), "Interruption of system calls and library functions by stop signals", read the other
 * way round: what is not known to be restarted is never stopped. */
bool stop_is_hidden(pid_t pid, long call, const uint64_t arguments[6])
{
    switch (call) {
    case SYS_futex: case SYS_nanosleep: case SYS_clock_nanosleep: case SYS_wait4: case SYS_waitid:
    case SYS_flock: case SYS_fcntl: case SYS_openat: case SYS_ppoll: case SYS_pselect6:
    case SYS_restart_syscall: /* one of these after an earlier stop */
#if defined(__x86_64__)
    case SYS_poll: case SYS_select: case SYS_open:
#endif
        return true;
    case SYS_read: case SYS_readv: case SYS_write: case SYS_writev: case SYS_recvfrom:
    case SYS_recvmsg: case SYS_sendto: case SYS_sendmsg: case SYS_accept: case SYS_accept4:
    case SYS_connect:
        return !has_time_out(pid, (int)arguments[0]);
    default:
        return false;
    }
}

/* 1: it stands, for that signal or for none (0); 0: not in time; -1: it is gone. since_ns: when
 * it was last seen not to stand. */
static int await_stop(pid_t tid, int *sig, int64_t *since_ns)
{
    const struct timespec step = { .tv_nsec = WAIT_STEP_NS };
    for (int i = 0; i < SPINS + WAIT_STEPS_MAX; i++) {
        siginfo_t info = { .si_pid = 0 };
        int64_t asked_ns = clock_read();
        int flags = WSTOPPED | WEXITED | WNOWAIT | WNOHANG | __WALL;
        if (waitid(P_PID, (id_t)tid, &info, flags) != 0) return -1;
        if (info.si_pid != 0) {
            if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) return -1;
            int event = info.si_status >> 8;
            *sig = event == 0 ? info.si_status & 0x7f : 0;
            return 1;
        }
        *since_ns = asked_ns;
        if (i >= SPINS) nanosleep(&step, NULL);
    }
    return 0;
}

static struct stop_call examine(pid_t tid)
{
    struct stop_call out = { .call = -1 };
    uint64_t words[MACHINE_WORDS];
    struct iovec all = { words, sizeof words };
    if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &all) < 0) return out;
#if defined(__x86_64__) /* others restart a call before they stop: rule 4 is not kept there */
    out.is_known = true;
    if ((int64_t)words[MACHINE_WORD_CALL] < 0) return out;
    out.call = (long)words[MACHINE_WORD_CALL];
    for (int i = 0; i < 6; i++) out.arguments[i] = words[machine_arguments[i]];
    int64_t result = (int64_t)words[MACHINE_WORD_RESULT];
    out.is_interrupted = result == -EINTR || result == -RESTART_SYS || result == -RESTART_BLOCK ||
                         result == -RESTART_NO_INTERRUPT || result == -STOP_RESTART;
    if (result == -EINTR) {
        words[MACHINE_WORD_RESULT] = (uint64_t)(int64_t)-STOP_RESTART;
        (void)ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &all); /* fails: it is gone */
    }
#endif
    return out;
}

/* While a thread stands, nothing matters more to it than this one: on a busy machine it would
 * stand until this one's next turn: 30 ms at the 99th percentile with seven threads a processor,
 * and 0.2 ms so. Only root may; for others a look takes as long as the machine makes it. */
static void hurry(void)
{
    const struct sched_param first = { .sched_priority = 1 };
    (void)pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* for the sleeps between two questions */
}

static void *trace(void *arg)
{
    struct stopper *stopper = arg;
    int sig = 0;
    hurry();
    if (ptrace(PTRACE_SEIZE, stopper->tid, NULL, NULL) != 0) return NULL;
    if (ptrace(PTRACE_INTERRUPT, stopper->tid, NULL, NULL) != 0) return NULL; /* rule 2 */
    int64_t began = clock_read();
    if (await_stop(stopper->tid, &sig, &began) == 1) {
        struct stop_call call = examine(stopper->tid);
        stopper->look(&call, stopper->arg);
        stopper->is_done =
            ptrace(PTRACE_DETACH, stopper->tid, NULL, (void *)(intptr_t)sig) == 0;
        stopper->stopped_ns = clock_read() - began;
    }
    return NULL;
}

int stop_by_thread(void *(*work)(void *), void *arg)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all); /* signals of this process belong to its main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, work, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0) pthread_join(thread, NULL);
    return failed == 0 ? 0 : -1;
}

int stop_and_look(pid_t tid, stop_look *look, void *arg, int64_t *stopped_ns)
{
    struct stopper stopper = { .tid = tid, .look = look, .arg = arg };
    if (stop_by_thread(trace, &stopper) != 0) return -1;
    *stopped_ns = stopper.stopped_ns;
    return stopper.is_done ? 0 : -1;
}
