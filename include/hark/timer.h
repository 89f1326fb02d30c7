/* Timers: nanoseconds of CLOCK_MONOTONIC, never early, equal moments in the order they were set.
 *
 * A timer is an op like any other: hark_cancel() ends it, hark_rearm() moves it, and setting one
 * allocates nothing. The clock stands still while the machine is suspended. */
#ifndef HARK_TIMER_H
#define HARK_TIMER_H

#include <hark/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Calls back once, at or after a moment.
 *
 * when_ns  loop time, see hark_after(); in the past: in the next turn. op->deadline_ns is not used.
 * Result   0; HARK_ECANCELED.
 * Thread   loop
 */
HARK_API void hark_timer(struct hark_op *op, struct hark_loop *loop, int64_t when_ns,
                         hark_done_fn *done);

/* Calls back at first_ns and every interval_ns after that, without drift, until canceled: a
 * repeating op.
 *
 * first_ns     loop time.
 * interval_ns  at least 1; less ends the op with HARK_EINVAL.
 * Result       how many intervals have passed since the last callback: 1 when on time, more when
 *              the loop was late, so that none is lost and none comes in a burst; HARK_ECANCELED.
 * Thread       loop
 */
HARK_API void hark_timer_every(struct hark_op *op, struct hark_loop *loop, int64_t first_ns,
                               int64_t interval_ns, hark_done_fn *done);

#define hark_timer(op, ...) (hark_timer)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_timer_every(op, ...) (hark_timer_every)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
