/* Monotonic time in nanoseconds, and the roundings that never make a sleep too short. */
#ifndef HARK_BASE_CLOCK_H
#define HARK_BASE_CLOCK_H

#include <limits.h>
#include <stdint.h>
#include <time.h>

static inline int64_t clock_read(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* For kernels that count in milliseconds: rounds up, keeps "for ever" (< 0), and cuts what does not
 * fit: the loop then looks at the time and sleeps again. */
static inline int clock_ms_round_up(int64_t timeout_ns)
{
    if (timeout_ns < 0) return -1;
    int64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static inline struct timespec clock_timespec(int64_t timeout_ns)
{
    return (struct timespec){ .tv_sec = timeout_ns / 1000000000,
                              .tv_nsec = (long)(timeout_ns % 1000000000) };
}

/* a + b for one of them >= 0, saturating at both ends of what a moment can be. */
static inline int64_t clock_add(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return INT64_MAX;
    return sum > 0 ? sum : 1;
}

#endif
