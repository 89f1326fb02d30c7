/* Fibers as a tree: each scope, in it its fibers, in those the scopes that they opened. */
#include "fiber/fiber.h"

struct tell { hark_inspect_fn *fn; void *arg; int64_t now; };

static void tell_scope(const struct tell *tell, const struct hark_scope *scope, unsigned depth)
{
    struct hark_inspect_entry entry = {
        .kind = "scope", .label = scope->label, .place = scope->place, .fd = -1, .depth = depth,
        .state = scope->reason != 0 ? "canceled" : scope->is_closing ? "closing" : "open",
        .age_ns = tell->now - scope->since_ns,
        .deadline_ns = scope->timer.state != STATE_IDLE ? scope->timer.timer.when : 0,
    };
    tell->fn(&entry, tell->arg);
}

static void tell_fiber(const struct tell *tell, const struct hark_fiber *fiber, unsigned depth)
{
    static const char *const states[] = { "ready", "running", "waiting" };
    bool is_waiting = fiber->state == FIBER_WAITING;
    struct hark_inspect_entry entry = {
        .kind = "fiber", .state = states[fiber->state], .label = fiber->name,
        .place = fiber->place, .fd = -1, .depth = depth, .fiber = fiber,
        .age_ns = tell->now - fiber->since_ns,
        .op = is_waiting ? fiber->awaited : NULL,
        .waits_for = is_waiting && fiber->awaited == NULL ? fiber->waits_for : NULL,
        .waits_at = !is_waiting ? NULL : fiber->awaited != NULL ? fiber->awaited->place
                                                                : fiber->waits_at,
        .deadline_ns = fiber->timer.state != STATE_IDLE ? fiber->timer.timer.when : 0,
    };
    tell->fn(&entry, tell->arg);
}

/* The outermost scope that a fiber has opened, or NULL. */
static const struct hark_scope *outermost(const struct hark_fiber *fiber)
{
    const struct hark_scope *at = fiber->scope;
    if (at == fiber->home) return NULL;
    while (at->parent != fiber->home) at = at->parent; /* ends: home is among the parents */
    return at;
}

/* The scope that a fiber opened inside of this one, or NULL. */
static const struct hark_scope *opened_within(const struct hark_scope *scope)
{
    for (const struct hark_scope *at = scope->first; at != NULL; at = at->next)
        if (at->owner == scope->owner) return at;
    return NULL;
}

/* Goes through the tree without recursion: down to a fiber's scopes, along a scope's fibers, and up
 * again by home and owner. */
void fibers_inspect(const struct hark_loop *loop, hark_inspect_fn *fn, void *arg)
{
    if (loop->fibers == NULL) return;
    struct tell tell = { fn, arg, clock_read() };
    const struct hark_scope *root = &loop->fibers->root, *scope = root;
    const struct hark_fiber *fiber = root->fibers;
    unsigned depth = 0;
    for (;;) {
        if (fiber != NULL) { /* a fiber, then what it has opened */
            tell_fiber(&tell, fiber, depth);
            const struct hark_scope *inside = outermost(fiber);
            if (inside == NULL) {
                fiber = fiber->home_next;
                continue;
            }
            scope = inside;
            depth++;
            tell_scope(&tell, scope, depth++);
            fiber = scope->fibers;
            continue;
        }
        if (scope == root) return;
        const struct hark_scope *within = opened_within(scope);
        if (within != NULL) { /* its fibers are told: on to the scope inside */
            scope = within;
            tell_scope(&tell, scope, depth++);
            fiber = scope->fibers;
            continue;
        }
        const struct hark_fiber *owner = scope->owner;
        for (; scope != owner->home; scope = scope->parent) depth--;
        depth--;
        fiber = owner->home_next;
    }
}
