/* <signal.h> of the C library, with masks: no thread here is interrupted by a signal. Beside what a
 * program raises, the system's events of the console are signals; see windows/signal.c. */
#ifndef HARK_WINDOWS_SIGNAL_H
#define HARK_WINDOWS_SIGNAL_H

#include_next <signal.h>
#include <hark/system.h>
#include <pthread.h>
#include <sys/types.h>

#ifndef _POSIX
typedef _sigset_t sigset_t;
#endif

enum { SIGBUS = 7, SIGKILL = 9, SIGSTOP = 19 }; /* never sent */

struct system_siginfo { pid_t si_pid; uid_t si_uid; };
#define siginfo_t struct system_siginfo

struct sigaction {
    union {
        void (*sa_handler)(int number);
        void (*sa_sigaction)(int number, siginfo_t *info, void *context);
    };
    sigset_t sa_mask;
    int sa_flags;
};

enum { SA_SIGINFO = 1, SA_RESTART = 2, SA_ONSTACK = 4, SA_NODEFER = 8 };

/* A handler with SA_SIGINFO, or one of the C library's. */
int system_sigaction(int number, const struct sigaction *to, struct sigaction *from);

/* As the C library's, in the handler of an event of the console: whoever comes next is asked. */
int system_raise(int number);

#define sigaction(number, to, from) system_sigaction(number, to, from)
#define raise(number) system_raise(number)

static inline int sigfillset(sigset_t *set)
{
    *set = ~(sigset_t)0;
    return 0;
}

static inline int system_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    (void)how, (void)set;
    if (before != NULL) *before = 0;
    return 0;
}

#undef pthread_sigmask
#define pthread_sigmask(how, set, before) system_sigmask(how, set, before)

#endif
