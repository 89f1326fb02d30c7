/* Buffer pools. A buffer is free (in the kernel's ring, or on the pool's own list), or out with a
 * caller. Which of the two lists is the backend's choice, made when the pool is opened. */
#include <hark/buffer.h>
#include <hark/net.h>
#include <string.h>

#include "loop/loop.h"

enum { COUNT_MAX = 32768, BYTES_MAX = 1 << 30 };

static int fill_list(struct hark_pool *pool)
{
    pool->free_list = loop_resize(pool->loop, NULL, 0, pool->count * sizeof *pool->free_list);
    if (pool->free_list == NULL) return HARK_ENOMEM;
    for (size_t i = 0; i < pool->count; i++) pool->free_list[i] = (uint32_t)(pool->count - 1 - i);
    pool->free_count = pool->count;
    return 0;
}

static int fill(struct hark_pool *pool)
{
    struct backend *backend = &pool->loop->backend;
    pool->memory = loop_resize(pool->loop, NULL, 0, pool->count * pool->bytes);
    if (pool->memory == NULL) return HARK_ENOMEM;
    if (backend->ops->attach_pool != NULL && backend->ops->attach_pool(backend, pool) == 0)
        return 0;
    int error = fill_list(pool);
    if (error != 0) loop_resize(pool->loop, pool->memory, pool->count * pool->bytes, 0);
    return error;
}

int hark_pool_open(struct hark_pool **out, struct hark_loop *loop, size_t buffer_count,
                   size_t buffer_bytes)
{
    *out = NULL;
    if (buffer_count < 1 || buffer_count > COUNT_MAX) return HARK_EINVAL;
    if (buffer_bytes < 1 || buffer_bytes > BYTES_MAX) return HARK_EINVAL;
    struct hark_pool *pool = loop_resize(loop, NULL, 0, sizeof *pool);
    if (pool == NULL) return HARK_ENOMEM;
    *pool = (struct hark_pool){ .loop = loop, .count = buffer_count, .bytes = buffer_bytes };
    int error = fill(pool);
    if (error != 0) {
        loop_resize(loop, pool, sizeof *pool, 0);
        return error;
    }
    *out = pool;
    return 0;
}

int hark_pool_close(struct hark_pool *pool)
{
    if (pool == NULL) return 0;
    if (pool->out_count != 0 || pool->op_count != 0) return HARK_EBUSY;
    struct hark_loop *loop = pool->loop;
    if (pool->free_list == NULL) loop->backend.ops->detach_pool(&loop->backend, pool);
    else loop_resize(loop, pool->free_list, pool->count * sizeof *pool->free_list, 0);
    loop_resize(loop, pool->memory, pool->count * pool->bytes, 0);
    loop_resize(loop, pool, sizeof *pool, 0);
    return 0;
}

void hark_pool_give(struct hark_pool *pool, void *data)
{
    size_t offset = (size_t)((char *)data - pool->memory);
    uint32_t index = (uint32_t)(offset / pool->bytes);
    REQUIRE((char *)data >= pool->memory && index < pool->count && offset % pool->bytes == 0 &&
            pool->out_count != 0, "promise 3: hark_pool_give() of what this pool did not hand out");
    struct backend *backend = &pool->loop->backend;
    pool->out_count--;
    if (pool->free_list != NULL) pool->free_list[pool->free_count++] = index;
    else backend->ops->give_buffer(backend, pool, index);
    if (HARK_UNLIKELY(pool->starved.head != NULL)) op_resume_starved(pool->loop, pool);
}

size_t hark_pool_out_count(const struct hark_pool *pool) { return pool->out_count; }

void (hark_recv_pool)(struct hark_op *op, struct hark_io *io, struct hark_pool *pool,
                      hark_done_fn *done)
{
    op->u.pool.pool = pool;
    op->u.pool.data = NULL;
    pool->op_count++;
    io_submit(op, io, OP_RECV_POOL, done);
}

void *hark_data(const struct hark_op *op) { return op->u.pool.data; }
