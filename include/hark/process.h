/* Child processes: started, waited for, signaled, without a SIGCHLD handler.
 *
 * The caller owns the memory of a process. The library borrows it from hark_process_spawn() or
 * hark_process_open() until the callback of hark_process_wait() that tells of its end, or of
 * hark_process_close(); it must not move in between.
 *
 * A process is known by a descriptor (pidfd), so that neither an exit nor a signal can go to
 * another one that got its number later. The BSDs and macOS have none: there it is known by its
 * number, which is safe for a child that nobody else waits for, and for others until the kernel has
 * told their end. A child is left alone by everything but
 * hark_process_kill(): by the end of a wait, by hark_process_close() and by hark_loop_close(). It
 * stays a child of this program, which may wait for it by other means, or by hark_process_open()
 * again.
 *
 * On Windows a process is known by a handle; of one that has ended nothing is kept but by that, and
 * whoever has a handle learns how it ended, child or not. */
#ifndef HARK_PROCESS_H
#define HARK_PROCESS_H

#include <hark/fiber.h>
#include <hark/io.h>
#include <hark/loop.h>
#include <hark/op.h>
#include <hark/signal.h>
#include <hark/system.h>

#ifdef __cplusplus
extern "C" {
#endif

struct layer;

/* How a process ended. */
struct hark_process_end {
    int code;               /* what it gave exit(3), 0 to 255; 0 if a signal ended it; on Windows
                             * 255 stands for all above, too */
    int signal;             /* the one that ended it, or 0; on Windows that of hark_process_kill(),
                             * and SIGSEGV and its like for what Windows calls an exception */
    bool has_dumped_core;
    struct rusage usage;    /* what it used, with the children that it has waited for */
};

struct hark_process {
    struct hark_loop *loop;       /* to read: set while open */
    pid_t pid;                    /* to read: until the next spawn or open */
    struct hark_process_end end;  /* to read in the callback of hark_process_wait() */

    /* Private from here on. */
    const struct layer *layers[3];
    struct hark_loop *home;
    struct hark_io exit;
    struct hark_op watch, ready;
    struct hark_op *waiting, *closing;
    struct hark_process *next, *prev;
    int64_t result;
    uint8_t state;
    bool is_watched, is_reaped, is_child;
};

/* Where a descriptor of the child comes from. */
enum hark_process_source {
    HARK_PROCESS_INHERIT,  /* the one of the same number in this program */
    HARK_PROCESS_NULL,     /* /dev/null, NUL */
    HARK_PROCESS_FD,       /* a copy of fd */
    HARK_PROCESS_READS,    /* a pipe that the child reads: io is opened on its other end */
    HARK_PROCESS_WRITES    /* a pipe that the child writes: io is opened on its other end */
};

/* One descriptor of the child. */
struct hark_process_fd {
    int number;                       /* in the child: 0 is its standard input, ...; on Windows at
                                       * most 255, and those above 2 are told to a C library only */
    enum hark_process_source source;
    int fd;                           /* for HARK_PROCESS_FD: any of this program's; on Windows a
                                       * handle, as an int, or 0 to 2 */
    struct hark_io *io;               /* for the pipes: zeroed or closed; the caller's to close */
};

/* Whose rights the child has: all three are set together. */
struct hark_process_user {
    uid_t uid;
    gid_t gid;
    const gid_t *groups;     /* NULL: no supplementary groups */
    size_t group_count;
};

/* A signal in a set of them. */
#define HARK_SIGNAL_BIT(number) (UINT64_C(1) << ((number) - 1))

/* All zero is the default for each but argv. Borrowed until the callback of the spawn. On Windows
 * all text is UTF-8, and what comes after the descriptors is refused with HARK_EOPNOTSUPP. */
struct hark_process_options {
    const char *const *argv;         /* ends with NULL; argv[0] is the name told to the child */
    const char *program;             /* NULL: argv[0]. Without a slash: looked for in the PATH that
                                      * the child gets, else in /usr/local/bin, /usr/bin, /bin; on
                                      * Windows in the system's folder, and with ".exe" if it has
                                      * no dot, never in the current directory */
    const char *const *env;          /* "NAME=value", ends with NULL; NULL: as this program's */
    const char *directory;           /* NULL: the current one */
    const struct hark_process_fd *fds; /* 0, 1 and 2 are inherited if not among them; of all others
                                        * the child has only these */
    size_t fd_count;
    const struct hark_process_user *user; /* NULL: as this program. What follows is done with the
                                           * rights of the user: directory, program */
    uint64_t blocked, ignored;       /* the child's signals, HARK_SIGNAL_BIT(SIGPIPE) | ...; all
                                      * others are as by default, whatever they are here */
    pid_t group;                     /* the process group to join; 0: this program's */
    bool leads_group;                /* in a new process group of its own */
    bool leads_session;              /* in a new session, without a controlling terminal */
    bool takes_terminal;             /* the child's descriptor 0 controls its new session */
};

/* Starts a program as a child process.
 *
 * The child shares memory with this program until it has called exec (vfork), so the call takes as
 * long as that, as posix_spawn(3) does: some 100 us, more when the program's first page must come
 * from a slow disk. On the BSDs and macOS it is a fork(2), which takes longer the more memory this
 * program has. No descriptor leaks into the child, whether it is close-on-exec or not.
 *
 * On Windows arguments are quoted for who parts them as CommandLineToArgvW() and the C library do,
 * which cmd.exe does not: batch files are refused.
 *
 * process  zeroed or closed before.
 * Result   the child's pid, once the program runs; whatever kept it from that: HARK_ENOENT,
 *          HARK_EACCES, HARK_ENOEXEC, HARK_E2BIG, HARK_EPERM (of user or group), HARK_ENOTDIR,
 *          HARK_EBADF, HARK_EAGAIN (too many processes), HARK_ENOMEM, HARK_EMFILE (also: a number
 *          that is beyond this program's limit), HARK_EINVAL: no argv, a pipe without io, a
 *          negative number, a batch file; HARK_ENOSYS: before Linux 5.4;
 *          HARK_EOPNOTSUPP: what Windows does not have. Then no child
 *          is left, no SIGCHLD was raised (on the BSDs and macOS: none that this thread could take
 *          back, as another with a handler may have been faster), and process and ios are closed.
 * Thread   loop
 */
HARK_API void hark_process_spawn(struct hark_op *op, struct hark_process *process,
                                 struct hark_loop *loop,
                                 const struct hark_process_options *options, hark_done_fn *done);

/* Takes a process that someone else has started.
 *
 * process  zeroed or closed before.
 * Result   0; HARK_ESRCH: there is none; HARK_EINVAL, HARK_ENOENT: pid is none of a process;
 *          HARK_EMFILE, HARK_ENOMEM; HARK_ENOSYS; HARK_ECANCELED: the loop is being closed.
 * Thread   loop
 */
HARK_API int hark_process_open(struct hark_process *process, struct hark_loop *loop, pid_t pid);

/* Waits until a process has ended, and closes it. A deadline or a cancel ends the wait, not the
 * process, which can be waited for again.
 *
 * Result the exit code, 0 to 255, or 256 and the number of the signal that ended it; process->end
 *        tells more. HARK_ECHILD: it has ended, but is no child of this program (or SIGCHLD is
 *        ignored), so that nobody knows how. In both cases process is closed. Else it stays open:
 *        HARK_ECANCELED, HARK_ETIMEDOUT; HARK_EALREADY: another op waits for it; HARK_EBADF: it is
 *        not open; HARK_EMFILE: beyond select's limit.
 * Thread loop
 */
HARK_API void hark_process_wait(struct hark_op *op, struct hark_process *process,
                                hark_done_fn *done);

/* Forgets a process and leaves it alone; an op that waits for it is canceled.
 *
 * Result 0; HARK_EBADF: it is not open or is being closed already. Cannot be canceled and has no
 *        deadline.
 * Thread loop
 * Order  the callback comes after that of the op that waited.
 */
HARK_API void hark_process_close(struct hark_op *op, struct hark_process *process,
                                 hark_done_fn *done);

/* Sends a signal to a process: to this one, or to none.
 *
 * number  0 only looks whether it could be sent. On Windows 9 (SIGKILL) and SIGTERM end it at once,
 *         with exit code 0xe0484b00 and the number, and no other can be sent.
 * Result  0; HARK_ESRCH: it has ended and was waited for; HARK_EPERM; HARK_EINVAL; HARK_EBADF:
 *         process is not open; HARK_EOPNOTSUPP: on Windows.
 * Thread  loop
 */
HARK_API int hark_process_kill(const struct hark_process *process, int number);

/* What hark_reap() works with. */
struct hark_reaper {
    struct hark_process_end end;  /* to read in the callback: of the child that the result names */

    /* Private from here on. */
    const struct layer *layer;
    struct hark_op *op, listening;
    struct hark_signal signal;
};

/* Tells of every child that ends and is not waited for as a hark_process of this program, on any
 * loop: for pid 1, and for who asked by PR_SET_CHILD_SUBREAPER to inherit orphans. A repeating op.
 * It listens for SIGCHLD (see hark_signal()), and it leaves no child to others: a waitpid(2) or
 * system(3) elsewhere in the program may find that its child is gone.
 *
 * reaper  zeroed or idle; borrowed until the last callback.
 * Result  the pid of a child that has ended, each once; also of those that had ended before.
 *         HARK_ECANCELED, HARK_ETIMEDOUT; HARK_EOPNOTSUPP: on Windows, which keeps no ends.
 * Thread  loop
 */
HARK_API void hark_reap(struct hark_op *op, struct hark_reaper *reaper, struct hark_loop *loop,
                        hark_done_fn *done);

/* Waits until a process has ended. As hark_process_wait().
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_process_wait(struct hark_process *process);

/* Runs a program to its end. When a scope asks for the end of what is in it, the child is killed
 * (SIGKILL) and waited for: nothing that a scope started outlives it.
 *
 * Result as for hark_process_wait(), or the error of hark_process_spawn(); HARK_ECANCELED,
 *        HARK_ETIMEDOUT: it was killed.
 * Thread fiber
 */
HARK_API int64_t hark_fiber_process_run(const struct hark_process_options *options);

static inline struct hark_process *hark_process_at(struct hark_process *process, const char *place)
{
    process->watch.place = place;
    return process;
}

#define hark_process_open(process, ...) \
    (hark_process_open)(hark_process_at(process, HARK_PLACE), __VA_ARGS__)
#define hark_process_spawn(op, ...) (hark_process_spawn)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_process_wait(op, ...) (hark_process_wait)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_process_close(op, ...) (hark_process_close)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_reap(op, ...) (hark_reap)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_fiber_process_wait(...) HARK_FIBER_AT_((hark_fiber_process_wait)(__VA_ARGS__))
#define hark_fiber_process_run(...) HARK_FIBER_AT_((hark_fiber_process_run)(__VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
