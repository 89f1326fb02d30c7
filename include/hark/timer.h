/* Timers: nanoseconds of CLOCK_MONOTONIC, never early, equal moments in the order they were set.
 *
 * A timer is an op like any other: hark_cancel() ends it, hark_rearm() moves it, and setting one
 * allocates nothing. The clock stands still while the machine is suspended; on Windows it goes on.
 *
 * Two more clocks, for what has to do with people rather than with programs: the wall clock, which
 * can be set, and the boot clock, which goes on while the machine is suspended. Their timers are
 * fewer: each of the clocks has a descriptor and a heap while a timer of it is set; on the BSDs and
 * macOS the loop also wakes once a second meanwhile. */
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

/* Calls back once, at or after a moment of the wall clock ("at 03:00"), whatever happens to the
 * clock in between: set forward beyond the moment, it comes at once (on the BSDs and macOS, whose
 * kernels do not tell of that, within a second); set back, it waits until then.
 *
 * when_ns  nanoseconds since 1970 UTC, see hark_wall_now(); in the past: in the next turn.
 * Result   0; HARK_ECANCELED; HARK_ETIMEDOUT: op->deadline_ns, which is loop time, came first;
 *          HARK_EMFILE, HARK_ENFILE, HARK_ENOMEM.
 * Thread   loop
 * Order    by their moments; equal ones as they were set. hark_rearm() moves the deadline.
 */
HARK_API void hark_timer_wall(struct hark_op *op, struct hark_loop *loop, int64_t when_ns,
                              hark_done_fn *done);

/* Calls back once, at or after a moment of the boot clock: time that the machine is suspended
 * counts.
 *
 * when_ns  nanoseconds, see hark_boot_now(); in the past: in the next turn.
 * Result   as for hark_timer_wall().
 * Thread   loop
 */
HARK_API void hark_timer_boot(struct hark_op *op, struct hark_loop *loop, int64_t when_ns,
                              hark_done_fn *done);

/* Reads the wall clock (CLOCK_REALTIME) and the boot clock (CLOCK_BOOTTIME; CLOCK_MONOTONIC where
 * there is no such name; on Windows the performance counter).
 *
 * Thread any
 */
HARK_API int64_t hark_wall_now(void);
HARK_API int64_t hark_boot_now(void);

#define hark_timer_wall(op, ...) (hark_timer_wall)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_timer_boot(op, ...) (hark_timer_boot)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_timer(op, ...) (hark_timer)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_timer_every(op, ...) (hark_timer_every)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
