/* Stacks in slabs; see stack.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "calls.h"
#include "fiber/fiber.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* <linux/mman.h> of Linux 6.13 */
#endif

enum { COLOURS = 8, COLOUR_BYTES = 128, LINE_BYTES = 64 };

/* Takes stacks that were used before first: their pages are there and warm. */
struct slab {
    struct slab *next, *prev;
    char *base;
    struct hark_fiber *free;
    uint32_t used, fresh;       /* fresh: stacks from here on were never used */
    bool is_listed;
};

void stacks_open(struct stacks *stacks, struct hark_loop *loop, size_t stack_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const char *guard = getenv("HARK_STACK_GUARD"); /* for tests: mprotect */
    size_t wanted = stack_bytes + sizeof(struct hark_fiber) + COLOURS * COLOUR_BYTES;
    *stacks = (struct stacks){ .loop = loop, .page_bytes = page };
    stacks->usable_bytes = (wanted + page - 1) / page * page;
    stacks->guard_bytes = page < 16384 ? 3 * page : page;
    stacks->wants_mprotect = guard != NULL && strcmp(guard, "mprotect") == 0;
}

static size_t slot_bytes(const struct stacks *stacks)
{
    return stacks->usable_bytes + stacks->guard_bytes;
}

static void list(struct stacks *stacks, struct slab *slab, bool is_first)
{
    slab->is_listed = true;
    slab->prev = is_first ? NULL : stacks->last;
    slab->next = is_first ? stacks->first : NULL;
    if (slab->prev != NULL) slab->prev->next = slab;
    else stacks->first = slab;
    if (slab->next != NULL) slab->next->prev = slab;
    else stacks->last = slab;
}

static void unlist(struct stacks *stacks, struct slab *slab)
{
    slab->is_listed = false;
    if (slab->prev != NULL) slab->prev->next = slab->next;
    else stacks->first = slab->next;
    if (slab->next != NULL) slab->next->prev = slab->prev;
    else stacks->last = slab->prev;
}

/* 0 or a negative errno. */
static int guard(struct stacks *stacks, char *at)
{
    if (!stacks->wants_mprotect) {
        if (madvise(at, stacks->guard_bytes, MADV_GUARD_INSTALL) == 0) return 0;
        stacks->wants_mprotect = true; /* an older kernel, a locked mapping, a filter */
    }
    return mprotect(at, stacks->guard_bytes, PROT_NONE) == 0 ? 0 : -errno;
}

/* The system's part of a slab. NULL: no memory, or no more mappings. */
static char *map(struct stacks *stacks)
{
    size_t slot = slot_bytes(stacks), bytes = slot * LIMIT_SLAB_STACKS;
    char *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      CALL_STACK_MAP, -1, 0);
    if (base == MAP_FAILED) return NULL;
    call_use_small_pages(base, bytes);
    for (size_t i = 0; i < LIMIT_SLAB_STACKS; i++) {
        if (guard(stacks, base + i * slot) == 0) continue;
        (void)munmap(base, bytes); /* as it was mapped: cannot fail */
        return NULL;
    }
    return base;
}

static struct slab *add_slab(struct stacks *stacks)
{
    struct slab *slab = loop_resize(stacks->loop, NULL, 0, sizeof *slab);
    if (slab == NULL) return NULL;
    *slab = (struct slab){ .base = map(stacks) };
    if (slab->base == NULL) {
        loop_resize(stacks->loop, slab, sizeof *slab, 0);
        return NULL;
    }
    stacks->slab_count++;
    stacks->empty_count++;
    list(stacks, slab, true);
    return slab;
}

/* A stack that was never used: says where everything is. */
static struct hark_fiber *first_use(struct stacks *stacks, struct slab *slab)
{
    uint32_t index = slab->fresh++;
    char *low = slab->base + index * slot_bytes(stacks) + stacks->guard_bytes;
    size_t below = sizeof(struct hark_fiber) + index % COLOURS * COLOUR_BYTES;
    size_t bytes = (stacks->usable_bytes - below) & ~(size_t)(LINE_BYTES - 1);
    struct hark_fiber *fiber = (void *)(low + bytes);
    fiber->slab = slab;
    fiber->side.low = low;
    fiber->side.bytes = bytes;
    sanitize_root(low, stacks->usable_bytes);
    return fiber;
}

struct hark_fiber *stack_take(struct stacks *stacks)
{
    struct slab *slab = stacks->first;
    if (HARK_UNLIKELY(slab == NULL)) {
        slab = add_slab(stacks);
        if (slab == NULL) return NULL;
    }
    struct hark_fiber *fiber = slab->free;
    if (HARK_LIKELY(fiber != NULL)) slab->free = fiber->next;
    else fiber = first_use(stacks, slab);
    if (slab->used++ == 0) stacks->empty_count--;
    if (slab->used == LIMIT_SLAB_STACKS) unlist(stacks, slab);
    return fiber;
}

void stack_give(struct stacks *stacks, struct hark_fiber *fiber)
{
    struct slab *slab = fiber->slab;
    fiber->next = slab->free;
    slab->free = fiber;
    if (HARK_LIKELY(--slab->used != 0)) {
        if (!slab->is_listed) list(stacks, slab, true);
        return;
    }
    stacks->empty_count++;
    if (slab->next == NULL && slab->is_listed) return;
    if (slab->is_listed) unlist(stacks, slab);
    list(stacks, slab, false);
}

static void drop(struct stacks *stacks, struct slab *slab)
{
    for (struct hark_fiber *at = slab->free; at != NULL; at = at->next) {
        sanitize_unroot(at->side.low, stacks->usable_bytes);
        sanitize_drop(&at->side);
    }
    unlist(stacks, slab);
    stacks->slab_count--;
    stacks->empty_count--;
    (void)munmap(slab->base, slot_bytes(stacks) * LIMIT_SLAB_STACKS); /* cannot fail: see map() */
    loop_resize(stacks->loop, slab, sizeof *slab, 0);
}

void stacks_trim(struct stacks *stacks)
{
    while (stacks_want_trim(stacks)) drop(stacks, stacks->last);
}

void stacks_close(struct stacks *stacks)
{
    while (stacks->first != NULL) drop(stacks, stacks->first);
}

bool stack_guards(const struct stacks *stacks, const struct hark_fiber *fiber, const void *address)
{
    uintptr_t low = (uintptr_t)fiber->side.low, at = (uintptr_t)address;
    return at < low && at >= low - stacks->guard_bytes;
}

/* Pages that are there: from the lowest of them on, all counts. */
size_t stack_touched(const struct stacks *stacks, const struct hark_fiber *fiber)
{
    enum { AT_ONCE = 64 };
    unsigned char there[AT_ONCE];
    char *low = (char *)(uintptr_t)fiber->side.low, *high = low + stacks->usable_bytes;
    size_t page = stacks->page_bytes;
    for (char *at = low; at < high; at += AT_ONCE * page) {
        size_t pages = (size_t)(high - at) / page;
        if (pages > AT_ONCE) pages = AT_ONCE;
        if (call_resident(at, pages * page, there) != 0) return 0;
        for (size_t i = 0; i < pages; i++)
            if (there[i] & 1) return (size_t)(high - at) - i * page;
    }
    return 0;
}
