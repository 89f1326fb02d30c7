/* A descriptor that is readable once a moment of a clock has come, and when that clock may have
 * been set since: whoever waits compares the clock anew. linux/ has it as a timerfd, which the
 * kernel ends when the clock is set; bsd/ as a kqueue with a timer that looks again every second,
 * since no such kernel tells of that; windows/
 * as a waitable timer, which the kernel moves with the wall clock. */
#ifndef HARK_SYSTEM_ALARM_H
#define HARK_SYSTEM_ALARM_H

#include <stdint.h>
#include <time.h>

/* A descriptor or a negative errno. */
int alarm_open(clockid_t clock);

/* when: later than the clock. What it was readable by is taken away. 0 or a negative errno. */
int alarm_set(int fd, clockid_t clock, int64_t when);

#endif
