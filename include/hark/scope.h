/* Scopes: what is started in one has ended when it is closed.
 *
 * A scope owns fibers and callback ops. Closing it waits for all of them; the first error among
 * them cancels the others. Scopes nest: a cancel and a deadline reach everything inside, and end
 * every wait there with HARK_ECANCELED or HARK_ETIMEDOUT, but for what lies in a shielded scope:
 * that is for clean-up, and has a deadline of its own. */
#ifndef HARK_SCOPE_H
#define HARK_SCOPE_H

#include <hark/fiber.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hark_scope {
    const char *label;          /* the caller's, for inspection; borrowed. Opening clears it */
    int64_t error;              /* to read: the first error among the children, or 0 */
    size_t failed_count;        /* to read: children that ended with an error of their own */
    size_t ended_count;         /* to read: children that have ended */

    /* Private from here on. */
    struct hark_scope *parent, *first, *next, *prev;
    struct hark_fiber *owner, *fibers;
    struct hark_scoped_op *ops;
    struct hark_loop *loop;
    const char *place;
    size_t child_count;
    int64_t reason, since_ns;
    bool is_shielded, is_open, is_closing;
    struct hark_op timer;
};

/* An op that calls back and belongs to a scope. */
struct hark_scoped_op {
    struct hark_op op;

    /* Private from here on. */
    struct hark_scope *scope;
    hark_done_fn *done;
    struct hark_scoped_op *next, *prev;
};

/* Opens a scope in the fiber that runs; everything that the fiber does until hark_scope_close() is
 * inside. Scopes are closed in the reverse order by the same fiber; one that is left open when its
 * fiber ends is a misuse, and the place of its opening is named.
 *
 * scope        the caller's memory, mostly on its stack, until it is closed.
 * deadline_ns  loop time at which the scope is canceled with HARK_ETIMEDOUT; 0: none.
 * Thread       fiber
 */
HARK_API void hark_scope_open(struct hark_scope *scope, int64_t deadline_ns);

/* Opens a scope that no cancel and no deadline from outside reaches.
 *
 * Thread fiber
 */
HARK_API void hark_scope_open_shielded(struct hark_scope *scope, int64_t deadline_ns);

/* Waits until all children have ended, and closes the scope.
 *
 * Result 0; the first error of a child; else HARK_ETIMEDOUT or HARK_ECANCELED if this scope itself
 *        was asked to end.
 * Thread fiber, the one that opened it
 */
HARK_API int64_t hark_scope_close(struct hark_scope *scope);

/* Asks for the end of everything inside, the body of the scope included. Returns at once.
 *
 * Thread loop
 */
HARK_API void hark_scope_cancel(struct hark_scope *scope);

/* Moves the deadline; 0 removes it. Costs next to nothing when it is put off.
 *
 * Result true if it was moved; false: the scope has been asked to end already.
 * Thread loop
 */
HARK_API bool hark_scope_deadline(struct hark_scope *scope, int64_t deadline_ns);

/* Starts a fiber as a child of the scope. It first runs after the one that calls has waited.
 *
 * Result 0; HARK_ENOMEM: no stack.
 * Thread loop; from the scope's own fiber, from its children, from callbacks
 */
HARK_API int hark_spawn(struct hark_scope *scope, hark_fiber_fn *fn, void *arg);

/* The same, and leaves the fiber's result in *result when it ends.
 *
 * result  borrowed until the scope is closed.
 * Thread  as hark_spawn()
 */
HARK_API int hark_spawn_into(struct hark_scope *scope, hark_fiber_fn *fn, void *arg,
                             int64_t *result);

/* Starts an op with a callback as a child of the scope:
 *
 *     hark_scope_start(&scope, &child, on_read, hark_recv, &io, buf, sizeof buf);
 *
 * The callback gets &child.op. A negative result other than a canceled child's cancels the scope.
 * In a scope that was asked to end the op is canceled as it starts.
 *
 * child  zeroed or idle; borrowed until the last callback begins.
 * done   the callback; NULL for none.
 * Thread loop
 */
#define hark_scope_start(scope, child, done, verb, ...) \
    (verb(hark_scoped_begin(scope, child, done), __VA_ARGS__, hark_scoped_done), \
     hark_scoped_started(child))

/* What the macro is made of.
 *
 * Thread loop
 */
HARK_API struct hark_op *hark_scoped_begin(struct hark_scope *scope, struct hark_scoped_op *child,
                                           hark_done_fn *done);
HARK_API void hark_scoped_started(struct hark_scoped_op *child);
HARK_API void hark_scoped_done(struct hark_op *op);

#define hark_scope_open(...) HARK_FIBER_AT_((hark_scope_open)(__VA_ARGS__))
#define hark_scope_open_shielded(...) HARK_FIBER_AT_((hark_scope_open_shielded)(__VA_ARGS__))
#define hark_scope_close(...) HARK_FIBER_AT_((hark_scope_close)(__VA_ARGS__))
#define hark_spawn(...) HARK_FIBER_AT_((hark_spawn)(__VA_ARGS__))
#define hark_spawn_into(...) HARK_FIBER_AT_((hark_spawn_into)(__VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
