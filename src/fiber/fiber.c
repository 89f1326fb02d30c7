/* The life of a fiber, and how it waits; see fiber.h for states and rules. */
#include "fiber/fiber.h"

#include <errno.h>

_Thread_local struct hark_fiber *fiber_current __attribute__((tls_model("initial-exec")));

/* Where the call that comes next was made. */
static _Thread_local const char *place_told __attribute__((tls_model("initial-exec")));

void hark_fiber_at(const char *place) { place_told = place; }

const char *fiber_take_place(void)
{
    const char *place = place_told;
    place_told = NULL;
    return place;
}

const char *fiber_told_place(void) { return place_told; }

/* The scheduler. */

static void make_ready(struct hark_fiber *fiber)
{
    struct fibers *fibers = fiber->fibers;
    fiber->state = FIBER_READY;
    fiber->next = NULL;
    if (fibers->ready == NULL) fibers->ready = fiber;
    else *fibers->ready_tail = fiber;
    fibers->ready_tail = &fiber->next;
    fibers->loop->has_ready = true;
}

/* The next fiber to run, if the budget allows one. */
static struct hark_fiber *take_ready(struct fibers *fibers)
{
    struct hark_fiber *fiber = fibers->ready;
    if (fiber == NULL || fibers->budget == 0) return NULL;
    fibers->budget--;
    fibers->ready = fiber->next;
    if (fibers->ready == NULL) fibers->loop->has_ready = false;
    fiber->state = FIBER_RUNNING;
    return fiber;
}

static inline void set_current(struct fibers *fibers, struct hark_fiber *fiber)
{
    fiber_current = fiber;
    BEAT_STORE(fibers->running, fiber);
}

static inline void switch_side(struct fibers *fibers, struct side *from, struct side *to,
                               bool is_last)
{
    if (HARK_UNLIKELY(sanitize_is_on)) {
        fibers->came_from = from;
        sanitize_leave(from, to, is_last);
    }
    switch_to(&from->left, &to->left);
    if (HARK_UNLIKELY(sanitize_is_on)) sanitize_arrive(from, fibers->came_from);
}

/* From the loop's stack to a fiber, until no fiber can run. */
static __attribute__((noinline)) void enter(struct fibers *fibers, struct hark_fiber *fiber)
{
    struct hark_fiber *outer = fiber_current; /* of another loop, if it runs this one */
    if (HARK_UNLIKELY(sanitize_is_on)) sanitize_loop(&fibers->side);
    fiber->state = FIBER_RUNNING;
    set_current(fibers, fiber);
    switch_side(fibers, &fibers->side, &fiber->side, false);
    fiber_current = outer;
    if (HARK_UNLIKELY(stacks_want_trim(&fibers->stacks))) stacks_trim(&fibers->stacks);
}

/* From a fiber to the next one, or to the loop. */
static __attribute__((noinline)) void leave(struct hark_fiber *fiber, bool is_last)
{
    struct fibers *fibers = fiber->fibers;
    struct hark_fiber *next = take_ready(fibers);
    if (next == fiber) return;
    set_current(fibers, next);
    switch_side(fibers, &fiber->side, next != NULL ? &next->side : &fibers->side, is_last);
}

void hark_fiber_yield(void)
{
    struct hark_fiber *fiber = fiber_here();
    make_ready(fiber);
    leave(fiber, false);
}

/* Waiting. */

int64_t fiber_wait(struct hark_fiber *fiber, const char *what)
{
    fiber->state = FIBER_WAITING;
    fiber->waits_for = what;
    fiber->waits_at = fiber_take_place();
    fiber->since_ns = fiber->fibers->loop->now;
    leave(fiber, false);
    return fiber->wake_result;
}

void fiber_wake(struct hark_fiber *fiber, int64_t result)
{
    for (struct hark_waiter *at = fiber->waiters; at != NULL; at = at->also) waiter_unqueue(at);
    fiber->waiters = NULL;
    moment_drop(&fiber->timer);
    fiber->wake_result = result;
    make_ready(fiber);
}

static void on_moment(struct hark_op *op)
{
    struct hark_fiber *fiber = op->user;
    fiber_wake(fiber, op->result);
}

void fiber_wake_at(struct hark_fiber *fiber, int64_t when_ns, int64_t result)
{
    fiber->timer.user = fiber;
    fiber->timer.result = result;
    moment_set(&fiber->timer, fiber->fibers->loop, when_ns, on_moment);
}

void fiber_interrupt(struct hark_fiber *fiber, int64_t reason)
{
    fiber->interrupt = reason;
    if (fiber->state != FIBER_WAITING || fiber->is_deaf) return;
    if (fiber->awaited != NULL) {
        (void)hark_cancel(fiber->awaited); /* its callback wakes the fiber */
    } else {
        fiber->wake_index = WAKE_INTERRUPTED;
        fiber_wake(fiber, reason);
    }
}

int64_t hark_fiber_interrupted(void) { return fiber_here()->interrupt; }

int64_t (hark_fiber_sleep_until)(int64_t when_ns)
{
    struct hark_fiber *fiber = fiber_here();
    if (fiber->interrupt != 0) return fiber->interrupt;
    fiber_wake_at(fiber, when_ns, 0);
    return fiber_wait(fiber, "sleep");
}

int64_t (hark_fiber_sleep)(int64_t delay_ns)
{
    return (hark_fiber_sleep_until)(hark_after(hark_fiber_loop(), delay_ns));
}

/* Ops. */

static void require_single(const struct hark_op *op)
{
    REQUIRE(!op_is_repeating(op), "promise 16: a repeating op was awaited; it wants a callback");
}

static int64_t wait_for_op(struct hark_fiber *fiber, struct hark_op *op)
{
    require_single(op);
    if (HARK_UNLIKELY(fiber->interrupt != 0)) (void)hark_cancel(op); /* alive, or has ended */
    fiber->awaited = op;
    fiber->state = FIBER_WAITING;
    fiber->since_ns = fiber->fibers->loop->now;
    leave(fiber, false);
    return op->result == HARK_ECANCELED && fiber->interrupt != 0 ? fiber->interrupt : op->result;
}

struct hark_op *hark_await_begin(struct hark_op *op)
{
    struct hark_fiber *fiber = fiber_here();
    fiber->awaited = op;
    fiber->user = op->user;
    op->user = fiber;
    op->place = place_told; /* of a call of ours; a verb's macro sets its own */
    return op;
}

struct hark_op *hark_await_begin_detached(struct hark_op *op)
{
    struct hark_fiber *fiber = fiber_here();
    fiber->started_count++;
    op->user = fiber;
    return op;
}

int64_t hark_await_end(void)
{
    struct hark_fiber *fiber = fiber_here();
    struct hark_op *op = fiber->awaited;
    fiber->started_count++;
    int64_t result = wait_for_op(fiber, op);
    op->user = fiber->user;
    place_told = NULL;
    return result;
}

int64_t hark_await_started(struct hark_op *op)
{
    struct hark_fiber *fiber = fiber_here();
    if (op->state != STATE_IDLE) return wait_for_op(fiber, op);
    return op->result == HARK_ECANCELED && fiber->interrupt != 0 ? fiber->interrupt : op->result;
}

static void wake_selecting(struct hark_fiber *fiber, struct hark_op *op)
{
    for (size_t i = 0; i < fiber->case_count; i++) {
        if (fiber->cases[i].kind != HARK_CASE_OP || fiber->cases[i].op != op) continue;
        fiber->wake_index = (int)i;
        fiber_wake(fiber, op->result);
        return;
    }
}

/* Rule 1. */
void hark_await_done(struct hark_op *op)
{
    struct hark_fiber *fiber = op->user;
    fiber->started_count--;
    if (HARK_LIKELY(fiber->awaited == op)) {
        fiber->awaited = NULL;
        enter(fiber->fibers, fiber);
    } else {
        require_single(op);
        if (fiber->state == FIBER_WAITING && fiber->cases != NULL) wake_selecting(fiber, op);
    }
}

/* Beginning and end. */

static void destroy_locals(struct hark_fiber *fiber);

static void end(struct hark_fiber *fiber, int64_t result)
{
    struct fibers *fibers = fiber->fibers;
    struct hark_scope *home = fiber->home;
    if (HARK_UNLIKELY(fiber->has_locals)) destroy_locals(fiber);
    scope_require_closed(fiber);
    REQUIRE(fiber->started_count == 0,
            "promise 3: a fiber ended before an op of its hark_await_start() had");
    if (fiber->result != NULL) *fiber->result = result;
    scope_remove_fiber(home, fiber);
    fibers->loop->fiber_count--;
    scope_child_ended(home, result);
    stack_give(&fibers->stacks, fiber); /* used to the switch that follows, and not after it */
    leave(fiber, true);
}

static void begin(void *arg)
{
    struct hark_fiber *fiber = arg;
    if (HARK_UNLIKELY(sanitize_is_on)) sanitize_arrive(&fiber->side, fiber->fibers->came_from);
    end(fiber, fiber->fn(fiber->arg));
}

int fiber_spawn(struct hark_scope *scope, hark_fiber_fn *fn, void *arg, int64_t *result)
{
    struct fibers *fibers = scope->loop->fibers;
    struct hark_fiber *fiber = stack_take(&fibers->stacks);
    if (HARK_UNLIKELY(fiber == NULL)) return HARK_ENOMEM;
    if (HARK_UNLIKELY(sanitize_is_on)) sanitize_take(&fiber->side);
    char *low = (char *)(uintptr_t)fiber->side.low;
    switch_prepare(&fiber->side.left, low, low + fiber->side.bytes, begin, fiber);
    fiber->fibers = fibers;
    fiber->awaited = NULL;
    fiber->waiters = NULL;
    fiber->cases = NULL;
    fiber->case_count = 0;
    fiber->is_deaf = fiber->has_locals = false;
    fiber->started_count = 0;
    fiber->scope = fiber->home = scope;
    fiber->fn = fn;
    fiber->arg = arg;
    fiber->result = result;
    fiber->name = NULL;
    fiber->place = fiber_take_place();
    fiber->waits_for = fiber->waits_at = NULL;
    fiber->since_ns = scope->loop->now;
    fiber->timer.state = STATE_IDLE;
    fiber->interrupt = scope_reason(scope);
    scope_add_fiber(scope, fiber);
    scope->loop->fiber_count++;
    make_ready(fiber);
    return 0;
}

struct fibers *fibers_of(struct hark_loop *loop)
{
    if (HARK_LIKELY(loop->fibers != NULL)) return loop->fibers;
    struct fibers *fibers = loop_resize(loop, NULL, 0, sizeof *fibers);
    if (fibers == NULL) return NULL;
    *fibers = (struct fibers){ .loop = loop, .root = { .loop = loop, .is_open = true } };
    sanitize_look();
    size_t bytes = loop->fiber_stack_bytes != 0 ? loop->fiber_stack_bytes : LIMIT_STACK_BYTES;
    stacks_open(&fibers->stacks, loop, sanitize_is_on ? 4 * bytes : bytes); /* larger frames */
    loop->fibers = fibers;
    return fibers;
}

int (hark_fiber_start)(struct hark_loop *loop, hark_fiber_fn *fn, void *arg)
{
    struct fibers *fibers = fibers_of(loop);
    if (fibers == NULL) return HARK_ENOMEM;
    if (loop->is_closing || fibers->root.reason != 0) return HARK_ECANCELED;
    return fiber_spawn(&fibers->root, fn, arg, NULL);
}

int64_t (hark_fiber_main)(struct hark_loop *loop, hark_fiber_fn *fn, void *arg)
{
    const int64_t unset = INT64_MIN;
    int64_t result = unset;
    struct fibers *fibers = fibers_of(loop);
    if (fibers == NULL) return HARK_ENOMEM;
    int error = fiber_spawn(&fibers->root, fn, arg, &result);
    if (error != 0) return error;
    error = hark_run(loop);
    struct hark_fiber *at = result == unset ? fibers->root.fibers : NULL; /* may be what it gave */
    while (at != NULL && at->result != &result) at = at->home_next;
    if (at == NULL) return result;
    at->result = NULL; /* it is still there, this call is not */
    return error != 0 ? error : HARK_ECANCELED;
}

struct hark_fiber *hark_fiber_self(void) { return fiber_current; }
struct hark_loop *hark_fiber_loop(void) { return fiber_here()->fibers->loop; }
void hark_fiber_name(const char *name) { fiber_here()->name = name; }

size_t hark_fiber_stack_used(const struct hark_fiber *fiber)
{
    return stack_touched(&fiber->fibers->stacks, fiber);
}

/* Fiber-local data: a slot of each fiber. */

static hark_destroy_fn *destroyers[HARK_LOCALS];
static atomic_int local_count;

int hark_local_open(struct hark_local *local, hark_destroy_fn *destroy)
{
    int slot = atomic_load(&local_count);
    do {
        if (slot == HARK_LOCALS) return HARK_ENOBUFS;
    } while (!atomic_compare_exchange_weak(&local_count, &slot, slot + 1));
    destroyers[slot] = destroy;
    *local = (struct hark_local){ .slot = slot };
    return 0;
}

void *hark_local_get(const struct hark_local *local)
{
    const struct hark_fiber *fiber = fiber_here();
    return fiber->has_locals ? fiber->locals[local->slot] : NULL;
}

void hark_local_set(const struct hark_local *local, void *value)
{
    struct hark_fiber *fiber = fiber_here();
    if (!fiber->has_locals)
        for (int i = 0; i < HARK_LOCALS; i++) fiber->locals[i] = NULL;
    fiber->has_locals = true;
    fiber->locals[local->slot] = value;
}

static void destroy_locals(struct hark_fiber *fiber)
{
    for (int i = 0; i < HARK_LOCALS; i++) {
        void *value = fiber->locals[i];
        fiber->locals[i] = NULL;
        if (value != NULL && destroyers[i] != NULL) destroyers[i](value);
    }
}

/* The seam towards the loop. */

static int64_t run_ready(struct hark_loop *loop)
{
    struct fibers *fibers = loop->fibers;
    fibers->budget = loop->turn_budget;
    struct hark_fiber *fiber = take_ready(fibers);
    if (HARK_UNLIKELY(loop->reports_overflow)) overflow_watch(fibers);
    if (fiber != NULL) enter(fibers, fiber);
    int64_t ran = loop->turn_budget - fibers->budget;
    fibers->budget = 0;
    return ran;
}

static void cancel_all(struct hark_loop *loop, bool also_shielded)
{
    if (loop->fibers != NULL) scope_cancel_everything(&loop->fibers->root, also_shielded);
}

static void close_fibers(struct hark_loop *loop)
{
    struct fibers *fibers = loop->fibers;
    if (fibers == NULL) return;
    overflow_unwatch(fibers);
    stacks_close(&fibers->stacks);
    if (fibers->side.low != NULL) sanitize_unroot(fibers->side.low, fibers->side.bytes);
    loop_resize(loop, fibers, sizeof *fibers, 0);
    loop->fibers = NULL;
}

const struct fiber_ops fiber_seam = {
    .run = run_ready, .cancel_all = cancel_all, .each = fibers_inspect, .close = close_fibers,
};
