/* A child from its beginning to exec, and its end by a pidfd. See child.h.
 *
 * The child shares this process's memory and runs while the thread that made it stands still
 * (CLONE_VM, CLONE_VFORK), on a stack of its own. So it does system calls only:
 *  1. By system calls alone: what the C library adds would work on the parent's state. (Its
 *     setuid(3) asks every thread of the parent to follow.)
 *  2. All signals are blocked from before the clone until the child has no handler any more.
 *  3. Its exit signal is none until exec makes it SIGCHLD: one that fails is seen by nobody else.
 * What fails in the child is told in plan->error. */
#include "system/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef SYS_close_range
#define SYS_close_range 436 /* the same on every architecture */
#endif

enum {
    SIGNALS = 64, SIGNAL_SET_BYTES = 8,
    CLOEXEC_RANGE = 4,   /* CLOSE_RANGE_CLOEXEC */
    OF_PIDFD = 3,        /* P_PIDFD */
};

/* The code of the child is not instrumented: its stack is no one's that a sanitizer knows, and it
 * never returns from exec. */
#define IN_CHILD __attribute__((no_sanitize("address"), no_sanitize("thread"), \
                                no_sanitize("undefined")))

/* The thread sanitizer takes clone() for a fork, and would make its notes of one in the memory that
 * both share. */
#ifdef __has_feature
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

/* In the child. */

struct kernel_action { unsigned long handler, flags, restorer, mask[2]; };

IN_CHILD static void reset_signals(const struct hark_process_options *options)
{
    for (int number = 1; number <= SIGNALS; number++) {
        bool is_ignored = options->ignored & HARK_SIGNAL_BIT(number);
        struct kernel_action action = { .handler = is_ignored }; /* SIG_IGN is 1, SIG_DFL 0 */
        (void)syscall(SYS_rt_sigaction, number, &action, NULL, SIGNAL_SET_BYTES); /* not SIGKILL */
    }
}

IN_CHILD static bool join_group(const struct hark_process_options *options)
{
    if (options->leads_session) return syscall(SYS_setsid) >= 0;
    if (options->leads_group) return syscall(SYS_setpgid, 0, 0) == 0;
    return options->group == 0 || syscall(SYS_setpgid, 0, options->group) == 0;
}

struct entry { uint64_t inode; int64_t offset; unsigned short len; char type, name[]; };

/* Before Linux 5.11: one by one, as /proc tells, or all up to the limit. */
IN_CHILD static void mark_one_by_one(void)
{
    _Alignas(8) char buf[1024];
    struct rlimit limit = { .rlim_cur = 1024 };
    long n, proc = syscall(SYS_openat, AT_FDCWD, "/proc/self/fd",
                           O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while ((n = syscall(SYS_getdents64, proc, buf, sizeof buf)) > 0) {
        for (long at = 0; at < n; at += ((struct entry *)(void *)(buf + at))->len) {
            int fd = 0;
            for (const char *c = ((struct entry *)(void *)(buf + at))->name; *c >= '0'; c++)
                fd = 10 * fd + *c - '0';
            if (fd >= CHILD_FIRST_FREE) (void)syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
        }
    }
    if (proc >= 0 && n == 0) return;
    (void)syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
    for (rlim_t fd = CHILD_FIRST_FREE; fd < limit.rlim_cur; fd++)
        (void)syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
}

IN_CHILD static bool place_descriptors(const struct child_plan *plan)
{
    const struct hark_process_options *options = plan->options;
    for (size_t i = 0; i < options->fd_count; i++) {
        plan->copies[i] = (int)syscall(SYS_fcntl, plan->sources[i], F_DUPFD_CLOEXEC,
                                       plan->highest + 1);
        if (plan->copies[i] >= 0) continue;
        if (errno == EINVAL) errno = EMFILE; /* beyond this process's limit */
        return false;
    }
    if (syscall(SYS_close_range, CHILD_FIRST_FREE, ~0U, CLOEXEC_RANGE) != 0) mark_one_by_one();
    for (size_t i = 0; i < options->fd_count; i++)
        if (syscall(SYS_dup3, plan->copies[i], options->fds[i].number, 0) < 0) return false;
    return !options->takes_terminal || syscall(SYS_ioctl, 0, TIOCSCTTY, 0) == 0;
}

#ifdef SYS_setuid32
enum { CALL_SETUID = SYS_setuid32, CALL_SETGID = SYS_setgid32, CALL_SETGROUPS = SYS_setgroups32 };
#else
enum { CALL_SETUID = SYS_setuid, CALL_SETGID = SYS_setgid, CALL_SETGROUPS = SYS_setgroups };
#endif

IN_CHILD static bool become(const struct hark_process_user *user)
{
    if (user == NULL) return true;
    size_t count = user->groups != NULL ? user->group_count : 0;
    return syscall(CALL_SETGROUPS, count, user->groups) == 0 &&
           syscall(CALL_SETGID, user->gid) == 0 && syscall(CALL_SETUID, user->uid) == 0;
}

/* As execvp(3): what is not there is passed over; a refusal is told if nothing else is found. */
IN_CHILD static int try_candidates(const struct child_plan *plan)
{
    const struct hark_process_options *options = plan->options;
    bool is_refused = false;
    const char *const *env = options->env != NULL ? options->env
                                                  : (const char *const *)(void *)environ;
    for (const char **path = plan->candidates; *path != NULL; path++) {
        (void)syscall(SYS_execve, *path, options->argv, env);
        bool is_absent = errno == ENOENT || errno == ENOTDIR || errno == ESTALE ||
                         errno == ENODEV || errno == ETIMEDOUT;
        if (errno == EACCES) is_refused = true;
        else if (!is_absent) return errno;
    }
    return is_refused ? EACCES : errno;
}

IN_CHILD static int child(void *arg)
{
    struct child_plan *plan = arg;
    const struct hark_process_options *options = plan->options;
    const unsigned long blocked[2] = { (unsigned long)options->blocked,
                                       (unsigned long)(options->blocked >> 32) };
    reset_signals(options); /* rule 2 */
    bool is_prepared = join_group(options) && place_descriptors(plan) && become(options->user) &&
        (options->directory == NULL || syscall(SYS_chdir, options->directory) == 0) &&
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, blocked, NULL, SIGNAL_SET_BYTES) == 0;
    plan->error = is_prepared ? try_candidates(plan) : errno;
    syscall(SYS_exit, 127);
    return 0;
}

/* In the parent. */

/* For one that will not live any longer. */
static void wait_for(int pidfd)
{
    while (syscall(SYS_waitid, OF_PIDFD, pidfd, NULL, WEXITED | __WALL, NULL) < 0 &&
           errno == EINTR) {}
    (void)close(pidfd);
}

int child_start(struct hark_process *process, struct child_plan *plan)
{
    static const unsigned long all[2] = { ~0UL, ~0UL };
    sigset_t before;
    int pidfd = -1;
    sigemptyset(&before);
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, all, &before, SIGNAL_SET_BYTES) != 0)
        return -errno;
    uintptr_t top = ((uintptr_t)plan->stack + CALL_CHILD_STACK_BYTES) & ~(uintptr_t)15;
    int pid = clone(child, (void *)top, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, plan, &pidfd);
    int error = pid < 0 ? -errno : -plan->error;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) return error;
    if (pidfd < 0) { /* before Linux 5.2 */
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, __WALL);
        return -ENOSYS;
    }
    process->pid = pid;
    if (error == 0) return pidfd;
    wait_for(pidfd);
    return error;
}

void child_abandon(struct hark_process *process, int fd)
{
    (void)process;
    (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    wait_for(fd);
}

int child_open(struct hark_process *process)
{
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    return fd >= 0 ? fd : -errno;
}

int child_signal(const struct hark_process *process, int number)
{
    return (int)syscall(SYS_pidfd_send_signal, process->exit.fd, number, NULL, 0);
}

/* The system call itself, since the C library's waitid() leaves out the usage. */
static pid_t take(int kind, int id, int options, struct hark_process_end *end)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    long n = syscall(SYS_waitid, kind, id, &info, WEXITED | WNOHANG | options, &end->usage);
    if (n < 0) return -errno;
    bool is_exit = info.si_code == CLD_EXITED;
    end->code = is_exit ? info.si_status & 0xff : 0;
    end->signal = is_exit ? 0 : info.si_status;
    end->has_dumped_core = info.si_code == CLD_DUMPED;
    return info.si_pid;
}

pid_t child_take(struct hark_process *process)
{
    return take(OF_PIDFD, process->exit.fd, 0, &process->end);
}

pid_t child_take_number(pid_t pid, struct hark_process_end *end)
{
    return take(P_PID, (int)pid, 0, end);
}

pid_t child_look(void)
{
    struct hark_process_end end;
    return take(P_ALL, 0, WNOWAIT, &end);
}
