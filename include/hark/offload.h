/* Any function on a thread of a pool, its result back on the loop.
 *
 * Threads start on demand, up to the bound of the class, and end after ten idle seconds. Work that
 * waits for a thread is canceled at once; work that runs cannot be stopped, only asked: its op, and
 * all that its function uses, stays borrowed until the function returns. */
#ifndef HARK_OFFLOAD_H
#define HARK_OFFLOAD_H

#include <hark/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs fn(op) on a pool thread.
 *
 * offload_class  which queue and bound.
 * fn       may use what op->user points to, and hark_offload_asked(), and nothing else of the op or
 *          the loop.
 * Result   what fn returned; HARK_ECANCELED or HARK_ETIMEDOUT: it never ran; HARK_EAGAIN: no thread
 *          could be started. When a deadline passes while fn runs, its true result comes, late.
 * Thread   loop
 */
HARK_API void hark_offload(struct hark_op *op, struct hark_loop *loop,
                           enum hark_offload_class offload_class, hark_work_fn *fn,
                           hark_done_fn *done);

/* Tells running work that its op was canceled or that its deadline has passed.
 *
 * Thread any, while fn runs
 */
HARK_API bool hark_offload_asked(const struct hark_op *op);

#define hark_offload(op, ...) (hark_offload)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
