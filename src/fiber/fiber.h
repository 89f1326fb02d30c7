/* Fibers as the files of this folder share them.
 *
 *            fiber_spawn        its turn           fiber_wait        fiber_wake, a callback
 *   (none) ------------> READY ---------> RUNNING -----------> WAITING ---------> READY or RUNNING
 *                                            |
 *                                            +--- the function returns ---> (none)
 *
 * Rules:
 *  1. A fiber that waits for an op is gone on with in the op's callback; one that another fiber or
 *     a moment wakes joins the ready queue.
 *  2. Ready fibers run at the end of a turn, one after the other without going by the loop, at most
 *     turn_budget of them. In callbacks the budget is 0: who waits goes back to the callback.
 *  3. A fiber waits for one thing, or in hark_select() for several: who wakes it takes it out of
 *     all of them first.
 *  4. An interrupt (the reason why a scope was canceled) ends a wait, and each later one, until the
 *     scope is closed or a shielded one is open. Ops are asked to end and settle. */
#ifndef HARK_FIBER_FIBER_H
#define HARK_FIBER_FIBER_H

#include <hark/channel.h>
#include <hark/scope.h>
#include <hark/sync.h>

#include "fiber/sanitize.h"
#include "fiber/stack.h"
#include "fiber/switch.h"
#include "loop/loop.h"

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_WAITING };

enum { WAKE_INTERRUPTED = -2 }; /* wake_index: rule 4 */

struct hark_fiber {
    struct side side;
    struct hark_fiber *next;            /* in the ready queue, or of those unused */
    struct fibers *fibers;
    struct hark_op *awaited;            /* an op that it waits for */
    struct hark_waiter *waiters;        /* other things that it waits for */
    struct hark_case *cases;            /* of hark_select(), case_count of them */
    size_t case_count;
    int64_t interrupt;                  /* 0, or the reason. Rule 4 */
    int64_t wake_result;
    int wake_index;                     /* of the case of hark_select() */
    uint8_t state;                      /* enum fiber_state */
    bool is_deaf;                       /* rule 4 does not apply to what it waits for */
    bool has_locals;
    uint32_t started_count;             /* ops of hark_await_start() that have not ended */
    struct hark_scope *scope;           /* the innermost */
    struct hark_scope *home;            /* the one that it is a child of */
    struct hark_fiber *home_next, *home_prev;
    hark_fiber_fn *fn;
    void *arg;
    int64_t *result;                    /* where it goes; or NULL */
    const char *name, *place;           /* place: of its start */
    const char *waits_for, *waits_at;
    int64_t since_ns;                   /* of the start, or of the wait */
    struct slab *slab;
    void *user;                         /* the awaited op's own user field, meanwhile */
    void *locals[HARK_LOCALS];
    struct hark_op timer;               /* the end of a sleep, or of a wait with a deadline */
};

/* All fibers of a loop. */
struct fibers {
    struct hark_loop *loop;
    struct side side;                   /* the loop's own stack, while a fiber runs */
    struct side *came_from;             /* for the sanitizers */
    struct hark_fiber *ready, **ready_tail;
    unsigned budget;                    /* rule 2 */
    struct hark_fiber *running;         /* fiber_current, for other threads: see stall/ */
    unsigned select_turn;               /* the case that the next hark_select() tries first */
    struct stacks stacks;
    struct hark_scope root;
    void *signal_stack;                 /* for overflow.c */
};

/* The fiber that runs on this thread, or NULL. */
extern _Thread_local struct hark_fiber *fiber_current __attribute__((tls_model("initial-exec")));

/* The same, for calls that need one. */
static inline struct hark_fiber *fiber_here(void)
{
    struct hark_fiber *fiber = fiber_current;
    REQUIRE(fiber != NULL, "promise 16: a call that waits was made outside of a fiber");
    return fiber;
}

/* fiber.c */
struct fibers *fibers_of(struct hark_loop *loop); /* opened at the first use; NULL: no memory */
int fiber_spawn(struct hark_scope *scope, hark_fiber_fn *fn, void *arg, int64_t *result);
/* Waits until fiber_wake(); gives its result. what is for inspection. */
int64_t fiber_wait(struct hark_fiber *fiber, const char *what);
void fiber_wake(struct hark_fiber *fiber, int64_t result);
/* Wakes the fiber with HARK_ETIMEDOUT at a moment, unless it is woken before. */
void fiber_wake_at(struct hark_fiber *fiber, int64_t when_ns, int64_t result);
void fiber_interrupt(struct hark_fiber *fiber, int64_t reason);
const char *fiber_told_place(void); /* by hark_fiber_at() */
const char *fiber_take_place(void); /* the same, and forgets it */

/* scope.c */
void scope_child_ended(struct hark_scope *scope, int64_t result);
void scope_add_fiber(struct hark_scope *scope, struct hark_fiber *fiber);
void scope_remove_fiber(struct hark_scope *scope, struct hark_fiber *fiber);
int64_t scope_reason(const struct hark_scope *scope);
void scope_require_closed(const struct hark_fiber *fiber);
void scope_cancel_everything(struct hark_scope *root, bool also_shielded);

/* overflow.c */
void overflow_watch(struct fibers *fibers);
void overflow_unwatch(struct fibers *fibers);

/* inspect.c */
void fibers_inspect(const struct hark_loop *loop, hark_inspect_fn *fn, void *arg);

/* Waiters, in the order of their coming. */
static inline void waiter_queue(struct hark_waiters *queue, struct hark_waiter *waiter)
{
    waiter->queue = queue;
    waiter->next = NULL;
    waiter->prev = queue->last;
    if (queue->last != NULL) queue->last->next = waiter;
    else queue->first = waiter;
    queue->last = waiter;
}

static inline void waiter_unqueue(struct hark_waiter *waiter)
{
    struct hark_waiters *queue = waiter->queue;
    if (waiter->prev != NULL) waiter->prev->next = waiter->next;
    else queue->first = waiter->next;
    if (waiter->next != NULL) waiter->next->prev = waiter->prev;
    else queue->last = waiter->prev;
}

/* Waits in one queue; item is for whoever wakes. */
static inline int64_t wait_in(struct hark_waiters *queue, void *item, const char *what)
{
    struct hark_fiber *fiber = fiber_here();
    if (fiber->interrupt != 0 && !fiber->is_deaf) return fiber->interrupt;
    struct hark_waiter waiter = { .fiber = fiber, .item = item };
    waiter_queue(queue, &waiter);
    fiber->waiters = &waiter;
    return fiber_wait(fiber, what);
}

/* Wakes the first of a queue; false: there is none. */
static inline bool wake_first(struct hark_waiters *queue, int64_t result)
{
    if (queue->first == NULL) return false;
    fiber_wake(queue->first->fiber, result);
    return true;
}

static inline void wake_all(struct hark_waiters *queue, int64_t result)
{
    while (wake_first(queue, result)) {}
}

#endif
