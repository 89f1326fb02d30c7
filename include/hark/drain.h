/* Graceful shutdown: stop taking work, let what is under way come to its end, tell what did not. */
#ifndef HARK_DRAIN_H
#define HARK_DRAIN_H

#include <hark/inspect.h>
#include <hark/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How to drain a loop. */
struct hark_drain {
    struct hark_op *const *ends;   /* ops to cancel at once: those that would go on for ever, as
                                    * accepts, listeners for signals and heartbeats */
    size_t end_count;
    int64_t patience_ns;           /* how long the others may take */
    hark_inspect_fn *left;         /* called for each op and fiber that has not ended by then, as by
                                    * hark_loop_inspect(); may be NULL */
    void *arg;
};

/* Cancels what is listed and runs the loop as hark_run() does, until all else has ended too, or
 * until the patience is over or hark_stop() was called: a second Ctrl-C, say. What is left then is
 * told, and still alive: hark_loop_close() cancels it.
 *
 * Result how many ops and fibers are left, background ops not counted: 0 if all has drained; or the
 *        error of a kernel that can no longer wait.
 * Thread the one that owns the loop; not from a callback.
 */
HARK_API int64_t hark_drain(struct hark_loop *loop, const struct hark_drain *drain);

#ifdef __cplusplus
}
#endif
#endif
