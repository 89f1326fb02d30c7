/* Pools whose buffers the kernel picks: a ring of buffers that it shares with us. */
#include <errno.h>

#include "backend/uring.h"

void uring_give_buffer(struct backend *backend, struct hark_pool *pool, uint32_t index)
{
    (void)backend;
    struct io_uring_buf_ring *ring = pool->ring;
    int mask = io_uring_buf_ring_mask((uint32_t)pool->ring_entries);
    io_uring_buf_ring_add(ring, pool_buffer(pool, index), (unsigned)pool->bytes, (uint16_t)index,
                          mask, 0);
    io_uring_buf_ring_advance(ring, 1);
}

enum { PAGE_BYTES = 4096 };

static size_t ring_bytes(const struct hark_pool *pool)
{
    return pool->ring_entries * sizeof(struct io_uring_buf) + 2 * PAGE_BYTES;
}

/* The entries of a ring are a power of two. It begins on a page; the page before holds the address
 * to free. */
int uring_attach_pool(struct backend *backend, struct hark_pool *pool)
{
    struct uring *uring = backend->state;
    if (!(uring->features & URING_BUFFER_RING) || uring->next_group > UINT16_MAX) return -ENOSYS;
    pool->ring_entries = 1;
    while (pool->ring_entries < pool->count) pool->ring_entries *= 2;
    char *memory = backend_resize(backend, NULL, 0, ring_bytes(pool));
    if (memory == NULL) return -ENOMEM;
    uintptr_t first = (uintptr_t)memory + sizeof memory + PAGE_BYTES - 1;
    struct io_uring_buf_ring *ring = (void *)(first & ~(uintptr_t)(PAGE_BYTES - 1));
    ((char **)(void *)ring)[-1] = memory;
    struct io_uring_buf_reg reg = { .ring_addr = (uint64_t)(uintptr_t)ring,
                                    .ring_entries = (uint32_t)pool->ring_entries,
                                    .bgid = (uint16_t)uring->next_group };
    int error = io_uring_register_buf_ring(&uring->ring, &reg, 0);
    if (error != 0) {
        backend_resize(backend, memory, ring_bytes(pool), 0);
        return error;
    }
    pool->group = uring->next_group++;
    pool->ring = ring;
    io_uring_buf_ring_init(ring);
    for (uint32_t i = 0; i < pool->count; i++) uring_give_buffer(backend, pool, i);
    return 0;
}

void uring_detach_pool(struct backend *backend, struct hark_pool *pool)
{
    struct uring *uring = backend->state;
    if (pool->ring == NULL) return;
    (void)io_uring_unregister_buf_ring(&uring->ring, pool->group); /* no op uses it */
    backend_resize(backend, ((char **)pool->ring)[-1], ring_bytes(pool), 0);
    pool->ring = NULL;
}
