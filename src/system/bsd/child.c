/* A child by fork(2), its end by a note of it in a kqueue of its own, which is readable then. See
 * child.h.
 *
 * The child has a copy of all memory, so it may call what is async-signal-safe, and no more: a lock
 * may have been another thread's.
 *  1. What fails in the child is told through a pipe, which a successful exec closes.
 *  2. All signals are blocked from before the fork until the child has no handler any more.
 *  3. One that fails is waited for here, and its SIGCHLD taken away again, if this thread can.
 *  4. A process is its number: a child's is its own until somebody waits for it. Another one's may
 *     be given anew once the note has told its end; so nothing is sent to it from then on.
 *  5. A kernel may know no process that has ended and was not waited for (macOS): ESRCH for a note
 *     of one that was there says that it has ended. And NOTE_EXIT may come before the end can be
 *     taken; process.c looks again. */
#include "system/child.h"

#include <sys/types.h> /* before event.h, which does not bring it */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/event.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "calls.h"

extern char **environ;

#ifdef _SIG_MAXSIG
enum { SIGNALS = _SIG_MAXSIG };
#else
enum { SIGNALS = NSIG - 1 };
#endif

/* In the child. */

static void set_signals(const struct hark_process_options *options, sigset_t *blocked)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    sigemptyset(blocked);
    for (int number = 1; number <= SIGNALS; number++) {
        uint64_t bit = number <= 64 ? HARK_SIGNAL_BIT(number) : 0;
        action.sa_handler = options->ignored & bit ? SIG_IGN : SIG_DFL;
        (void)sigaction(number, &action, NULL); /* not SIGKILL */
        if (options->blocked & bit) (void)sigaddset(blocked, number);
    }
}

static bool join_group(const struct hark_process_options *options)
{
    if (options->leads_session) return setsid() >= 0;
    if (options->leads_group) return setpgid(0, 0) == 0;
    return options->group == 0 || setpgid(0, options->group) == 0;
}

/* Descriptors above a limit that was lowered after they were made are missed. */
static void mark_all(void)
{
#ifdef CLOSE_RANGE_CLOEXEC
    if (close_range(CHILD_FIRST_FREE, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
#endif
#ifdef F_MAXFD
    int last = fcntl(0, F_MAXFD);
#else
    int last = getdtablesize() - 1;
#endif
    for (int fd = CHILD_FIRST_FREE; fd <= last; fd++) (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static bool place_descriptors(const struct child_plan *plan)
{
    const struct hark_process_options *options = plan->options;
    for (size_t i = 0; i < options->fd_count; i++) {
        plan->copies[i] = fcntl(plan->sources[i], F_DUPFD_CLOEXEC, plan->highest + 1);
        if (plan->copies[i] >= 0) continue;
        if (errno == EINVAL) errno = EMFILE; /* beyond this process's limit */
        return false;
    }
    mark_all();
    for (size_t i = 0; i < options->fd_count; i++)
        if (dup2(plan->copies[i], options->fds[i].number) < 0) return false;
    return !options->takes_terminal || ioctl(0, TIOCSCTTY, 0) == 0;
}

static bool become(const struct hark_process_user *user)
{
    if (user == NULL) return true;
    size_t count = user->groups != NULL ? user->group_count : 0;
    return setgroups(CALL_GROUPS(count), user->groups) == 0 && setgid(user->gid) == 0 &&
           setuid(user->uid) == 0;
}

/* As execvp(3): what is not there is passed over; a refusal is told if nothing else is found. */
static int try_candidates(const struct child_plan *plan)
{
    const struct hark_process_options *options = plan->options;
    bool is_refused = false;
    char *const *env = options->env != NULL ? (char *const *)(void *)(uintptr_t)options->env
                                            : environ;
    for (const char **path = plan->candidates; *path != NULL; path++) {
        (void)execve(*path, (char *const *)(void *)(uintptr_t)options->argv, env);
        bool is_absent = errno == ENOENT || errno == ENOTDIR || errno == ESTALE ||
                         errno == ENODEV || errno == ETIMEDOUT;
        if (errno == EACCES) is_refused = true;
        else if (!is_absent) return errno;
    }
    return is_refused ? EACCES : errno;
}

/* Comes back with what kept it from exec. */
static int run(const struct child_plan *plan)
{
    const struct hark_process_options *options = plan->options;
    sigset_t blocked;
    set_signals(options, &blocked); /* rule 2 */
    bool is_prepared = join_group(options) && place_descriptors(plan) &&
        become(options->user) &&
        (options->directory == NULL || chdir(options->directory) == 0) &&
        pthread_sigmask(SIG_SETMASK, &blocked, NULL) == 0;
    return is_prepared ? try_candidates(plan) : errno;
}

_Noreturn static void be_child(const struct child_plan *plan, int told)
{
    int moved = fcntl(told, F_DUPFD_CLOEXEC, plan->highest + 1); /* out of the way of all */
    int error = moved >= 0 ? run(plan) : errno == EINVAL ? EMFILE : errno;
    int end = moved >= 0 ? moved : told;
    while (write(end, &error, sizeof error) < 0 && errno == EINTR) {}
    _exit(127);
}

/* In the parent. */

/* Rule 1: 0, or what the child has told. */
static int hear(int from)
{
    int error = 0;
    ssize_t n;
    do n = read(from, &error, sizeof error);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof error ? error : 0;
}

static void wait_for(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {} /* ECHILD: SIGCHLD is ignored */
}

static bool is_pending(int number)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, number) == 1;
}

/* Rule 3: all signals are blocked. What is ignored by default is no longer pending once the default
 * is asked for; sigwait(2) would wait for ever if another thread were given it. One that another
 * child has raised is raised again. */
static void take_back_signal(void)
{
    struct sigaction before, plain;
    siginfo_t info = { 0 };
    if (sigaction(SIGCHLD, NULL, &before) != 0) return;
    plain = before;
    plain.sa_flags &= ~SA_SIGINFO;
    plain.sa_handler = SIG_DFL;
    if (before.sa_handler == SIG_IGN) return; /* it is not delivered, and children leave no trace */
    (void)sigaction(SIGCHLD, &plain, NULL);
    (void)sigaction(SIGCHLD, &before, NULL);
    int what = WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT;
    if (waitid(P_ALL, 0, &info, what) == 0 && info.si_pid != 0) (void)kill(getpid(), SIGCHLD);
}

static int change(int queue, const struct kevent *one)
{
    static const struct timespec at_once;
    while (kevent(queue, one, 1, NULL, 0, &at_once) < 0)
        if (errno != EINTR) return -errno;
    return 0;
}

/* A queue that is readable once pid has ended, or a negative errno. Where the kernel says ESRCH,
 * is_there tells that there was one: then it is so within a millisecond. */
static int watch_end(pid_t pid, bool is_there)
{
    struct kevent note;
    int queue = kqueue();
    if (queue < 0) return -errno;
    int error = fcntl(queue, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
    EV_SET(&note, (uintptr_t)pid, EVFILT_PROC, EV_ADD | EV_ONESHOT, NOTE_EXIT, 0, 0);
    if (error == 0) error = change(queue, &note);
    if (error == -ESRCH && is_there) { /* rule 5 */
        EV_SET(&note, 0, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1, 0);
        error = change(queue, &note);
    }
    if (error == 0) return queue;
    (void)close(queue); /* holds nothing that could be lost */
    return error;
}

/* Rule 2 is kept by the caller. */
static int fork_child(struct hark_process *process, const struct child_plan *plan)
{
    int ends[2];
    bool was_pending = is_pending(SIGCHLD);
    if (call_blocking_pipe(ends) != 0) return -errno;
    pid_t pid = fork();
    if (pid == 0) be_child(plan, ends[1]);
    int error = pid < 0 ? errno : 0;
    (void)close(ends[1]); /* a pipe holds nothing that could be lost */
    if (pid > 0) error = hear(ends[0]);
    (void)close(ends[0]);
    if (pid < 0) return -error;
    process->pid = pid;
    process->is_child = true;
    if (error == 0) {
        int queue = watch_end(pid, true);
        if (queue >= 0) return queue;
        error = -queue;
        (void)kill(pid, SIGKILL);
    }
    wait_for(pid);
    if (!was_pending) take_back_signal();
    return -error;
}

int child_start(struct hark_process *process, struct child_plan *plan)
{
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* fails for no set that there is */
    int result = fork_child(process, plan);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

void child_abandon(struct hark_process *process, int fd)
{
    (void)kill(process->pid, SIGKILL);
    wait_for(process->pid);
    (void)close(fd); /* holds nothing that could be lost */
}

/* 1: a child of ours that has ended; 0: one that has not; -1: none. */
static int look_at(pid_t pid)
{
    siginfo_t info = { 0 };
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return -1;
    return info.si_pid == pid;
}

int child_open(struct hark_process *process)
{
    pid_t pid = process->pid;
    if (pid <= 0) return -EINVAL;
    process->is_child = look_at(pid) >= 0;
    return watch_end(pid, process->is_child || kill(pid, 0) == 0 || errno == EPERM);
}

/* Rule 4. No end is taken meanwhile: see registry_signal(). */
int child_signal(const struct hark_process *process, int number)
{
    struct pollfd end = { .fd = process->exit.fd, .events = POLLIN };
    bool has_ended = process->is_reaped || poll(&end, 1, 0) > 0;
    bool is_kept = process->is_child && !process->is_reaped && look_at(process->pid) > 0;
    if (!has_ended || is_kept) return kill(process->pid, number);
    errno = ESRCH;
    return -1;
}

pid_t child_take_number(pid_t pid, struct hark_process_end *end)
{
    int status = 0;
    pid_t taken = wait4(pid, &status, WNOHANG, &end->usage);
    if (taken <= 0) return taken < 0 ? -errno : 0;
    end->code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end->has_dumped_core = WIFSIGNALED(status) && WCOREDUMP(status);
    return taken;
}

pid_t child_take(struct hark_process *process)
{
    return process->is_child ? child_take_number(process->pid, &process->end) : -ECHILD;
}

pid_t child_look(void)
{
    siginfo_t info = { 0 };
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return -errno;
    return info.si_pid;
}
