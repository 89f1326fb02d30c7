/* The timer benchmark: what timers.c drives and each timers_LIBRARY.c implements. A whole phase is
 * one call, so that no call through a pointer is measured. */
#ifndef BENCH_TIMERS_H
#define BENCH_TIMERS_H

#include <stdint.h>

/* Which timers, in which order, and how far ahead each is. */
struct timers_plan {
    uint32_t count;
    const uint32_t *order;     /* a permutation of 0 .. count-1 */
    const int64_t *delays_ns;  /* by timer */
};

/* Opens the loop and memory for count timers, all of it touched. */
void timers_open(uint32_t count);

/* Turns the delays into the library's own unit. Not measured. */
void timers_prepare(const struct timers_plan *plan);

/* Makes the loop's idea of the time current. Not measured. */
void timers_refresh(void);

/* Measured: each does its work once for every timer of the plan, in its order. */
void timers_insert(const struct timers_plan *plan);
void timers_rearm(const struct timers_plan *plan);
void timers_cancel(const struct timers_plan *plan);

/* Measured: makes the callbacks of canceled timers, where the library has such. */
void timers_settle(const struct timers_plan *plan);

/* Measured: runs the loop until every timer, all due, has called timers_fired(). */
void timers_fire(void);

extern uint32_t timers_fired_count;
static inline void timers_fired(void) { timers_fired_count++; }

/* Memory that is there: zeroed, and every page touched. */
void *timers_memory(uint32_t count, uint64_t bytes);

_Noreturn void timers_die(const char *what);

#endif
