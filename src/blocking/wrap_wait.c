/* Waits: for descriptors, for time, for children, for names. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blocking/blocking.h"

/* A loop within a callback of a loop. */
static void check_epoll(const char *call, int fd, bool has_timeout)
{
    char text[DESCRIPTOR_TEXT];
    if (thread_waits_itself(fd, has_timeout) || !thread_is_watched()) return;
    report_call("%s(%s)", call, descriptor_text(fd, text));
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int room, int timeout_ms)
{
    check_epoll("epoll_wait", fd, timeout_ms != 0);
    return REAL(epoll_wait)(fd, events, room, timeout_ms);
}

EXPORT int epoll_pwait(int fd, struct epoll_event *events, int room, int timeout_ms,
                       const sigset_t *mask)
{
    check_epoll("epoll_pwait", fd, timeout_ms != 0);
    return REAL(epoll_pwait)(fd, events, room, timeout_ms, mask);
}

static bool is_zero(const struct timespec *time)
{
    return time != NULL && time->tv_sec == 0 && time->tv_nsec == 0;
}

EXPORT int epoll_pwait2(int fd, struct epoll_event *events, int room,
                        const struct timespec *timeout, const sigset_t *mask)
{
    check_epoll("epoll_pwait2", fd, !is_zero(timeout));
    return REAL(epoll_pwait2)(fd, events, room, timeout, mask);
}

static void check_poll(const char *call, int first_fd, nfds_t count)
{
    char text[DESCRIPTOR_TEXT];
    if (count == 0) report_call("%s() of no descriptor", call);
    else if (count == 1) report_call("%s(%s)", call, descriptor_text(first_fd, text));
    else report_call("%s(%s, and %zu more)", call, descriptor_text(first_fd, text),
                     (size_t)count - 1);
}

EXPORT int poll(struct pollfd *list, nfds_t count, int timeout_ms)
{
    if (timeout_ms != 0 && thread_is_watched()) check_poll("poll", count ? list->fd : -1, count);
    return REAL(poll)(list, count, timeout_ms);
}

EXPORT int ppoll(struct pollfd *list, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask)
{
    if (!is_zero(timeout) && thread_is_watched())
        check_poll("ppoll", count ? list->fd : -1, count);
    return REAL(ppoll)(list, count, timeout, mask);
}

/* What programs compiled with _FORTIFY_SOURCE call. */
int __poll_chk(struct pollfd *list, nfds_t count, int timeout_ms, size_t room);

EXPORT int __poll_chk(struct pollfd *list, nfds_t count, int timeout_ms, size_t room)
{
    if (timeout_ms != 0 && thread_is_watched()) check_poll("poll", count ? list->fd : -1, count);
    return REAL(__poll_chk)(list, count, timeout_ms, room);
}

EXPORT int select(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict other,
                  struct timeval *restrict timeout)
{
    bool is_look = timeout != NULL && timeout->tv_sec == 0 && timeout->tv_usec == 0;
    if (thread_is_watched() && !is_look) report_call("select(of descriptors below %d)", count);
    return REAL(select)(count, in, out, other, timeout);
}

EXPORT int pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict other,
                   const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
    if (thread_is_watched() && !is_zero(timeout))
        report_call("pselect(of descriptors below %d)", count);
    return REAL(pselect)(count, in, out, other, timeout, mask);
}

/* Time. */

static void check_sleep(const char *call, int64_t ns)
{
    if (ns > 0 && thread_is_watched()) report_call("%s(%g ms)", call, (double)ns / 1e6);
}

static int64_t ns_of(const struct timespec *time)
{
    return time == NULL ? 0 : (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

EXPORT int nanosleep(const struct timespec *time, struct timespec *left)
{
    check_sleep("nanosleep", ns_of(time));
    return REAL(nanosleep)(time, left);
}

EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                           struct timespec *left)
{
    int64_t ns = ns_of(time);
    struct timespec now;
    if ((flags & TIMER_ABSTIME) != 0 && thread_is_watched() && clock_gettime(clock, &now) == 0)
        ns -= ns_of(&now);
    check_sleep("clock_nanosleep", ns);
    return REAL(clock_nanosleep)(clock, flags, time, left);
}

EXPORT int usleep(useconds_t us)
{
    check_sleep("usleep", (int64_t)us * 1000);
    return REAL(usleep)(us);
}

EXPORT unsigned sleep(unsigned seconds)
{
    check_sleep("sleep", (int64_t)seconds * 1000000000);
    return REAL(sleep)(seconds);
}

/* Children. */

static void check_child(const char *call, int pid, int options)
{
    if ((options & WNOHANG) == 0 && thread_is_watched()) report_call("%s(%d)", call, pid);
}

EXPORT pid_t waitpid(pid_t pid, int *status, int options)
{
    check_child("waitpid", pid, options);
    return REAL(waitpid)(pid, status, options);
}

EXPORT pid_t wait(int *status)
{
    check_child("wait", -1, 0);
    return REAL(wait)(status);
}

EXPORT pid_t wait3(int *status, int options, struct rusage *usage)
{
    check_child("wait3", -1, options);
    return REAL(wait3)(status, options, usage);
}

EXPORT pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    check_child("wait4", pid, options);
    return REAL(wait4)(pid, status, options, usage);
}

EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    check_child("waitid", (int)id, options);
    return REAL(waitid)(type, id, info, options);
}

EXPORT int system(const char *command)
{
    if (command != NULL && thread_is_watched()) report_call("system(\"%.100s\")", command);
    thread.inside++;
    int result = REAL(system)(command);
    thread.inside--;
    return result;
}

EXPORT int pclose(FILE *stream)
{
    if (thread_is_watched()) report_call("pclose()");
    thread.inside++;
    int result = REAL(pclose)(stream);
    thread.inside--;
    return result;
}
