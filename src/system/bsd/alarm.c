/* A kqueue with a timer in it, of the kernel's own clock. NOTE_ABSTIME and NOTE_ABSOLUTE would not
 * do: what they are given is turned into a span when they are added. See alarm.h. */
#include "system/alarm.h"

#include <sys/types.h> /* before event.h, which does not bring it */

#include <errno.h>
#include <fcntl.h>
#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

enum { LOOK_NS = 1000000000 }; /* how late a jump of the clock may be seen */

static const struct timespec at_once;

int alarm_open(clockid_t clock)
{
    (void)clock;
    int queue = kqueue();
    if (queue < 0) return -errno;
    if (fcntl(queue, F_SETFD, FD_CLOEXEC) == 0) return queue;
    int error = -errno;
    (void)close(queue); /* holds nothing that could be lost */
    return error;
}

static int change(int queue, const struct kevent *one)
{
    while (kevent(queue, one, 1, NULL, 0, &at_once) < 0)
        if (errno != EINTR) return -errno;
    return 0;
}

int alarm_set(int fd, clockid_t clock, int64_t when)
{
    struct timespec now = { 0 };
    struct kevent timer;
    clock_gettime(clock, &now);
    int64_t left = when - ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    if (left <= 0) left = 1;
    if (left > LOOK_NS) left = LOOK_NS;
    EV_SET(&timer, 0, EVFILT_TIMER, EV_DELETE, 0, 0, 0);
    (void)change(fd, &timer); /* or it has come, or was never set */
#ifdef NOTE_NSECONDS
    EV_SET(&timer, 0, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_NSECONDS, left, 0);
#else
    EV_SET(&timer, 0, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, clock_ms_round_up(left), 0);
#endif
    return change(fd, &timer);
}
