/* A waitable timer. Of the wall clock it is set to the moment itself, which Windows moves when that
 * clock is set. It has none of the boot clock, and a span does not go on while the machine is
 * suspended: so the timer looks again every second. See alarm.h. */
#include "system/alarm.h"

#include <hark/system.h>

#include "calls.h"

enum { LOOK_NS = 1000000000, TICK_NS = 100 };

static const int64_t epoch_ticks = INT64_C(116444736000000000); /* from 1601 to 1970 */

static int error_of_last(void) { return -(CALL_WINDOWS_ERRORS + (int)GetLastError()); }

/* It stays as it is, once its moment has come, until it is set anew. */
int alarm_open(clockid_t clock)
{
    (void)clock;
    HANDLE timer = CreateWaitableTimerExW(NULL, NULL, CREATE_WAITABLE_TIMER_MANUAL_RESET,
                                          SYNCHRONIZE | TIMER_QUERY_STATE | TIMER_MODIFY_STATE);
    return timer != NULL ? (int)(intptr_t)timer : error_of_last();
}

/* Never too early: what is less than a tick is one. Less than 0 is a span. */
static int64_t due_ticks(clockid_t clock, int64_t when)
{
    struct timespec now = { 0 };
    if (clock == CLOCK_REALTIME) return epoch_ticks + when / TICK_NS + (when % TICK_NS != 0);
    clock_gettime(clock, &now);
    int64_t left = when - ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    if (left <= 0) left = 1;
    if (left > LOOK_NS) left = LOOK_NS;
    return -((left + TICK_NS - 1) / TICK_NS);
}

int alarm_set(int fd, clockid_t clock, int64_t when)
{
    LARGE_INTEGER due = { .QuadPart = due_ticks(clock, when) };
    bool is_set = SetWaitableTimer((HANDLE)(intptr_t)fd, &due, 0, NULL, NULL, FALSE);
    return is_set ? 0 : error_of_last();
}
