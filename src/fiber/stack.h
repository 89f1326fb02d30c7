/* Stacks: addresses in plenty, memory as it is used, a guard below each, given back after a spike.
 *
 * A slab is one mapping of many stacks. A guard is made by MADV_GUARD_INSTALL (Linux 6.13), which
 * costs no mapping of its own, so that a million of them stay far below vm.max_map_count; else by
 * mprotect(2), two mappings each. The struct of the fiber lies at the top of its stack, in the page
 * that is touched anyway; its place in that page varies, or all would fall into one set of the
 * cache. */
#ifndef HARK_FIBER_STACK_H
#define HARK_FIBER_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

struct hark_fiber;
struct hark_loop;
struct slab;

struct stacks {
    struct hark_loop *loop;
    struct slab *first, *last;  /* those with a stack to spare; wholly unused ones come last */
    size_t usable_bytes, guard_bytes, page_bytes;
    size_t slab_count;
    size_t empty_count;         /* slabs of which no stack is used */
    bool wants_mprotect;        /* no MADV_GUARD_INSTALL */
};

void stacks_open(struct stacks *stacks, struct hark_loop *loop, size_t stack_bytes);

/* Gives everything back; no stack is used. */
void stacks_close(struct stacks *stacks);

/* A fiber with a stack; its slab, side.low and side.bytes are set. NULL: no memory. */
struct hark_fiber *stack_take(struct stacks *stacks);

/* The fiber has ended. It may be the one that calls: its memory stays until stacks_trim(). */
void stack_give(struct stacks *stacks, struct hark_fiber *fiber);

/* Gives memory back until little is unused. Not called on a fiber's stack. */
void stacks_trim(struct stacks *stacks);
static inline bool stacks_want_trim(const struct stacks *stacks)
{
    size_t used = stacks->slab_count - stacks->empty_count;
    return stacks->empty_count > used / 4 + LIMIT_SLABS_KEPT;
}

/* Whether an address lies in the guard of a fiber's stack. Async-signal-safe. */
bool stack_guards(const struct stacks *stacks, const struct hark_fiber *fiber, const void *address);

/* How much was touched, by whole pages. */
size_t stack_touched(const struct stacks *stacks, const struct hark_fiber *fiber);

#endif
