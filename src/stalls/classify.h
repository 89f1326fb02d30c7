/* What kind of stall was it, and which frame is to blame? Judged by all looks at it, since one
 * alone blames bystanders. A pure function over what was captured. */
#ifndef STALLS_CLASSIFY_H
#define STALLS_CLASSIFY_H

#include "stalls/stalls.h"

struct look {
    const struct capture *capture;
    const struct stack *stack;
    bool is_collecting;
};

/* Fills kind, is_running, call_text, guilty, look_count and stack of a stall whose times
 * are known. */
void classify_stall(struct stall *stall, int64_t threshold_ns, const struct look *looks, int count);

/* The innermost frame that is not a runtime's; else the innermost of a script; -1: there
 * is none. */
int classify_guilty(const struct stack *stack);

#endif
