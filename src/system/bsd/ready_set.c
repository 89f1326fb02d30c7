/* A kqueue: a queue in another is readable as any descriptor is. Moments are a timer of it, and "at
 * once" is EVFILT_USER where that is, else the shortest timer. See ready_set.h. */
#include "system/ready_set.h"

#include <sys/types.h> /* before event.h, which does not bring it */

#include <errno.h>
#include <fcntl.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

enum { TIMER = 1, NOW = 2 }; /* names of notes that are no descriptors */

static const struct timespec at_once;

/* 0 or a negative errno. */
static int change(const struct ready_set *set, const struct kevent *one)
{
    while (kevent(set->fd, one, 1, NULL, 0, &at_once) < 0)
        if (errno != EINTR) return -errno;
    return 0;
}

int ready_set_open(struct ready_set *set)
{
    set->timer_fd = -1;
    set->fd = kqueue();
    if (set->fd < 0) return -errno;
    int error = fcntl(set->fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
#ifdef EVFILT_USER
    struct kevent now;
    EV_SET(&now, NOW, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, 0);
    (void)change(set, &now); /* refused: ready_set_arm() finds out */
#endif
    if (error != 0) (void)close(set->fd); /* holds nothing that could be lost */
    return error;
}

/* A queue is not inherited: in the child its number may be another's. */
void ready_set_close(struct ready_set *set, bool is_inherited)
{
    if (!is_inherited) (void)close(set->fd); /* holds nothing that could be lost */
}

/* A regular file would be ready but at its end: it is refused, as epoll(7) refuses it. */
int ready_set_watch(struct ready_set *set, int fd, unsigned want)
{
    struct kevent read, write;
    struct stat st;
    if (want != 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) return -EPERM;
    EV_SET(&read, (uintptr_t)fd, EVFILT_READ, want & READY_READ ? EV_ADD : EV_DELETE, 0, 0, 0);
    EV_SET(&write, (uintptr_t)fd, EVFILT_WRITE, want & READY_WRITE ? EV_ADD : EV_DELETE, 0, 0, 0);
    int error = change(set, &read), other = change(set, &write);
    if (want & READY_READ && error != 0) return error; /* deleted: or it was not there */
    return want & READY_WRITE ? other : 0;
}

void ready_set_look(struct ready_set *set)
{
    struct kevent events[8];
    (void)kevent(set->fd, NULL, 0, events, 8, &at_once); /* what stays so is told again */
}

static bool tell_now(const struct ready_set *set)
{
#ifdef EVFILT_USER
    struct kevent now;
    EV_SET(&now, NOW, EVFILT_USER, 0, NOTE_TRIGGER, 0, 0);
    return change(set, &now) == 0;
#else
    (void)set;
    return false;
#endif
}

static void set_timer(const struct ready_set *set, int64_t ns)
{
    struct kevent timer;
#ifdef NOTE_NSECONDS
    EV_SET(&timer, TIMER, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_NSECONDS, ns, 0);
#else
    EV_SET(&timer, TIMER, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, clock_ms_round_up(ns), 0);
#endif
    (void)change(set, &timer); /* is valid */
}

void ready_set_arm(struct ready_set *set, int64_t when)
{
    struct kevent timer;
    if (when == READY_AT_ONCE && tell_now(set)) return;
    EV_SET(&timer, TIMER, EVFILT_TIMER, EV_DELETE, 0, 0, 0);
    (void)change(set, &timer); /* or it has come, or was never set */
    if (when == READY_NEVER) return;
    int64_t left = when - clock_read();
    set_timer(set, left > 0 ? left : 1);
}
