/* What the address and thread sanitizers must be told of a switch. Their functions are there when
 * the program was built with one, whether this library was or not. */
#ifndef HARK_FIBER_SANITIZE_H
#define HARK_FIBER_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "fiber/switch.h"

/* One side of a switch: a fiber, or the loop's own stack. */
struct side {
    struct point left;      /* for switch_to() */
    void *fake_stack;       /* the rest: the sanitizers' */
    const void *low;
    size_t bytes;
    void *thread;
};

extern bool sanitize_is_on; /* set by sanitize_look() */

/* Looks whether there is a sanitizer. */
void sanitize_look(void);

/* Just before a switch; from is last: it never goes on. */
void sanitize_leave(struct side *from, struct side *to, bool is_last);

/* Just after it, on the side that goes on. came_from: whose bounds become known. */
void sanitize_arrive(struct side *here, struct side *came_from);

/* A stack is taken for a fiber, a stack's memory goes back to the system, and the loop's own side
 * is about to be left. */
void sanitize_take(struct side *side);
void sanitize_drop(struct side *side);
void sanitize_loop(struct side *side);

/* From here on, and no longer, memory that these bytes point to has not leaked. */
void sanitize_root(const void *low, size_t bytes);
void sanitize_unroot(const void *low, size_t bytes);

#endif
