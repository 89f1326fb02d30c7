/* A timerfd. See alarm.h. */
#include "system/alarm.h"

#include <errno.h>
#include <sys/timerfd.h>

#include "base/clock.h"

int alarm_open(clockid_t clock)
{
    int fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int alarm_set(int fd, clockid_t clock, int64_t when)
{
    struct itimerspec spec = { .it_value = clock_timespec(when) };
    int flags = TFD_TIMER_ABSTIME | (clock == CLOCK_REALTIME ? TFD_TIMER_CANCEL_ON_SET : 0);
    /* ECANCELED: the clock was set, and the timer is set all the same; it is readable. */
    (void)timerfd_settime(fd, flags, &spec, NULL);
    return 0;
}
