/* A pool of equal buffers that connections share, so that an idle connection ties up none.
 *
 * hark_recv_pool() takes a buffer when bytes have arrived; the callback owns it until it gives it
 * back. On io_uring the kernel picks the buffer itself (a provided buffer ring, Linux 5.19). */
#ifndef HARK_BUFFER_H
#define HARK_BUFFER_H

#include <hark/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Opens a pool for one loop.
 *
 * buffer_count  1 to 32,768 (the length of a kernel buffer ring, io_uring_register(2)).
 * buffer_bytes  the size of each, 1 to 1 GiB.
 * Result        0; HARK_EINVAL: out of range; HARK_ENOMEM.
 * Thread        loop
 */
HARK_API int hark_pool_open(struct hark_pool **pool, struct hark_loop *loop, size_t buffer_count,
                            size_t buffer_bytes);

/* Frees a pool.
 *
 * pool   may be NULL.
 * Result 0; HARK_EBUSY: an op receives from it, or a buffer has not been given back.
 * Thread loop; before the loop is closed.
 */
HARK_API int hark_pool_close(struct hark_pool *pool);

/* Gives a buffer back. Ops that wait for one go on.
 *
 * data   as hark_data() gave it.
 * Thread loop
 */
HARK_API void hark_pool_give(struct hark_pool *pool, void *data);

/* Tells how many buffers the callers hold at the moment.
 *
 * Thread loop
 */
HARK_API size_t hark_pool_out_count(const struct hark_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
