/* Scopes: a tree in which every fiber and every scoped op has one place.
 *
 * A scope's parent is the one that its owner was in when it opened it. A fiber is in one innermost
 * scope at a time (fiber->scope), and a child of one for its life (fiber->home). A scope that was
 * canceled keeps the reason; what is in it has the reason of the nearest scope outwards that has
 * one, up to a shielded scope. */
#include <stdio.h>

#include "fiber/fiber.h"

int64_t scope_reason(const struct hark_scope *scope)
{
    for (; scope != NULL; scope = scope->parent) {
        if (scope->reason != 0) return scope->reason;
        if (scope->is_shielded) return 0;
    }
    return 0;
}

void scope_add_fiber(struct hark_scope *scope, struct hark_fiber *fiber)
{
    fiber->home_prev = NULL;
    fiber->home_next = scope->fibers;
    if (scope->fibers != NULL) scope->fibers->home_prev = fiber;
    scope->fibers = fiber;
    scope->child_count++;
}

void scope_remove_fiber(struct hark_scope *scope, struct hark_fiber *fiber)
{
    if (fiber->home_prev != NULL) fiber->home_prev->home_next = fiber->home_next;
    else scope->fibers = fiber->home_next;
    if (fiber->home_next != NULL) fiber->home_next->home_prev = fiber->home_prev;
}

/* The scope after `at` in the tree below top: first what is inside, if goes_in. */
static struct hark_scope *scope_after(const struct hark_scope *top, struct hark_scope *at,
                                      bool goes_in)
{
    if (goes_in && at->first != NULL) return at->first;
    for (; at != top; at = at->parent)
        if (at->next != NULL) return at->next;
    return NULL;
}

/* Those whose innermost scope this is: the others are met in theirs. */
static void interrupt_one(struct hark_scope *scope, int64_t reason)
{
    for (struct hark_fiber *at = scope->fibers; at != NULL; at = at->home_next)
        if (at->scope == scope) fiber_interrupt(at, reason);
    if (scope->owner != NULL && scope->owner->scope == scope)
        fiber_interrupt(scope->owner, reason);
    for (struct hark_scoped_op *at = scope->ops; at != NULL; at = at->next)
        (void)hark_cancel(&at->op); /* alive, or at its end */
}

/* Sets the reason why a scope ends, and ends every wait in it. Scopes inside that ended before keep
 * the reason that they have, and so does all in them. */
static void end_all(struct hark_scope *top, int64_t reason, bool also_shielded)
{
    top->reason = reason;
    for (struct hark_scope *at = top; at != NULL;) {
        bool is_reached = at == top || also_shielded || !at->is_shielded;
        int64_t nearest = scope_reason(at);
        if (is_reached) interrupt_one(at, nearest != 0 ? nearest : reason); /* 0: a shield's */
        at = scope_after(top, at, is_reached);
    }
}

void scope_cancel_everything(struct hark_scope *root, bool also_shielded)
{
    end_all(root, HARK_ECANCELED, also_shielded);
}

void hark_scope_cancel(struct hark_scope *scope)
{
    REQUIRE(scope->is_open, "promise 18: a scope was canceled that is not open");
    if (scope->reason == 0) end_all(scope, HARK_ECANCELED, false);
}

/* Who asked for the end is no failure; the first of the others cancels the rest. */
void scope_child_ended(struct hark_scope *scope, int64_t result)
{
    scope->child_count--;
    scope->ended_count++;
    bool is_asked = (result == HARK_ECANCELED || result == HARK_ETIMEDOUT) &&
                    scope_reason(scope) != 0;
    if (HARK_UNLIKELY(result < 0) && !is_asked && scope->owner != NULL) {
        scope->failed_count++;
        if (scope->error == 0) scope->error = result;
        if (scope->reason == 0) end_all(scope, HARK_ECANCELED, false);
    }
    if (scope->is_closing && scope->child_count == 0) {
        scope->is_closing = false;
        fiber_wake(scope->owner, 0);
    }
}

static void on_deadline(struct hark_op *op)
{
    struct hark_scope *scope = op->user;
    if (scope->reason == 0) end_all(scope, HARK_ETIMEDOUT, false);
}

static void open_scope(struct hark_scope *scope, int64_t deadline_ns, bool is_shielded)
{
    struct hark_fiber *fiber = fiber_here();
    struct hark_scope *parent = fiber->scope;
    *scope = (struct hark_scope){
        .parent = parent, .next = parent->first, .owner = fiber, .loop = parent->loop,
        .place = fiber_take_place(), .since_ns = parent->loop->now, .is_shielded = is_shielded,
        .is_open = true, .timer = { .user = scope },
    };
    if (parent->first != NULL) parent->first->prev = scope;
    parent->first = scope;
    fiber->scope = scope;
    if (is_shielded) fiber->interrupt = 0;
    if (deadline_ns != 0) moment_set(&scope->timer, scope->loop, deadline_ns, on_deadline);
}

void (hark_scope_open)(struct hark_scope *scope, int64_t deadline_ns)
{
    open_scope(scope, deadline_ns, false);
}

void (hark_scope_open_shielded)(struct hark_scope *scope, int64_t deadline_ns)
{
    open_scope(scope, deadline_ns, true);
}

bool hark_scope_deadline(struct hark_scope *scope, int64_t deadline_ns)
{
    REQUIRE(scope->is_open, "promise 18: the deadline of a scope that is not open was moved");
    if (scope->reason != 0) return false;
    if (scope->timer.state != STATE_IDLE && deadline_ns != 0 &&
        wheel_put_off(&scope->loop->wheel, timer_of_op(&scope->timer), deadline_ns)) return true;
    moment_drop(&scope->timer);
    if (deadline_ns != 0) moment_set(&scope->timer, scope->loop, deadline_ns, on_deadline);
    return true;
}

int64_t (hark_scope_close)(struct hark_scope *scope)
{
    struct hark_fiber *fiber = fiber_here();
    REQUIRE(fiber->scope == scope && scope->owner == fiber,
            "promise 18: a scope was closed that is not the innermost of its fiber");
    fiber->is_deaf = true; /* the children hear of it */
    while (scope->child_count != 0) { /* a callback may start more before this fiber runs */
        scope->is_closing = true;
        (void)fiber_wait(fiber, "the children of a scope");
    }
    fiber->is_deaf = false;
    moment_drop(&scope->timer);
    if (scope->next != NULL) scope->next->prev = scope->prev;
    if (scope->prev != NULL) scope->prev->next = scope->next;
    else scope->parent->first = scope->next;
    scope->is_open = false;
    fiber->scope = scope->parent;
    fiber->interrupt = scope_reason(scope->parent);
    return scope->error != 0 ? scope->error : scope->reason;
}

void scope_require_closed(const struct hark_fiber *fiber)
{
    static char text[256];
    if (HARK_LIKELY(fiber->scope == fiber->home)) return;
    const char *place = fiber->scope->place;
    snprintf(text, sizeof text, "promise 18: a fiber ended in a scope that it opened at %s",
             place != NULL ? place : "a place that was not recorded");
    REQUIRE(false, text);
}

int (hark_spawn)(struct hark_scope *scope, hark_fiber_fn *fn, void *arg)
{
    return (hark_spawn_into)(scope, fn, arg, NULL);
}

int (hark_spawn_into)(struct hark_scope *scope, hark_fiber_fn *fn, void *arg, int64_t *result)
{
    REQUIRE(scope->is_open, "promise 18: a fiber was started in a scope that is not open");
    return fiber_spawn(scope, fn, arg, result);
}

struct hark_op *hark_scoped_begin(struct hark_scope *scope, struct hark_scoped_op *child,
                                  hark_done_fn *done)
{
    REQUIRE(scope->is_open, "promise 18: an op was started in a scope that is not open");
    child->scope = scope;
    child->done = done;
    child->prev = NULL;
    child->next = scope->ops;
    if (scope->ops != NULL) scope->ops->prev = child;
    scope->ops = child;
    scope->child_count++;
    return &child->op;
}

/* A scope that was asked to end before has not met this op. */
void hark_scoped_started(struct hark_scoped_op *child)
{
    if (scope_reason(child->scope) != 0) (void)hark_cancel(&child->op); /* or it was refused */
}

/* The scope counts the child until its callback is over, and what that started by then. */
void hark_scoped_done(struct hark_op *op)
{
    struct hark_scoped_op *child = (struct hark_scoped_op *)(void *)op;
    struct hark_scope *scope = child->scope;
    hark_done_fn *done = child->done;
    int64_t result = op->result;
    bool is_last = !op->more;
    if (is_last) {
        if (child->prev != NULL) child->prev->next = child->next;
        else scope->ops = child->next;
        if (child->next != NULL) child->next->prev = child->prev;
    }
    if (done != NULL) done(op);
    if (is_last) scope_child_ended(scope, result);
    else if (scope_reason(scope) != 0) (void)hark_cancel(op); /* asked for while it was not there */
}
