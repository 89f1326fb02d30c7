/* What keeps this loop alive, and why: every op and io, with the place where it was started.
 *
 * Works at any moment between callbacks and inside them; costs nothing until it is called. */
#ifndef HARK_INSPECT_H
#define HARK_INSPECT_H

#include <hark/loop.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One op or io that is alive. All strings are constants or the caller's own. */
struct hark_inspect_entry {
    const char *kind;     /* "recv", "timer", ...; "refused": it came after the close of its io;
                           * "io", "fiber", "scope" */
    const char *state;    /* op: "queued", "running", "done"; io: "open", "closing"; fiber:
                           * "ready", "running", "waiting"; scope: "open", "closing", "canceled" */
    const char *label;    /* as the caller set it, or NULL */
    const char *place;    /* file:line of the submission or opening, or NULL */
    int64_t age_ns;       /* since then; of a fiber that waits, since it does; of a post, since the
                           * loop took it. Of an op it is counted in milliseconds and 32 bits: one
                           * that is 52 days old begins again at 0 */
    int64_t deadline_ns;  /* loop time, or 0 */
    int fd;               /* of the io, or -1 */
    bool is_background;   /* does not keep hark_run() running */
    const struct hark_op *op;   /* NULL for an io; of a fiber: the one that it awaits, or NULL */
    const struct hark_io *io;   /* NULL for an op without one */
    const struct hark_fiber *fiber; /* NULL for all but a fiber */
    const char *waits_for;      /* of a fiber: "sleep", "channel receive", ...; NULL: for op */
    const char *waits_at;       /* file:line of that, or NULL; of an op see its own entry */
    unsigned depth;             /* of fibers and scopes: how deep in the tree; 0 outermost */
};

typedef void hark_inspect_fn(const struct hark_inspect_entry *entry, void *arg);

/* Calls fn for every io of the loop, each followed by its ops, then for every other op, then for
 * the fibers and scopes: each fiber followed by the scopes that it has open, each scope by its
 * fibers.
 *
 * fn     must not submit, cancel or close.
 * Result the number of entries.
 * Thread loop
 */
HARK_API size_t hark_loop_inspect(const struct hark_loop *loop, hark_inspect_fn *fn, void *arg);

/* Prints the same, a line an entry, and first a line that says why hark_run() goes on or that it
 * would end.
 *
 * Thread loop
 */
HARK_API void hark_loop_print(const struct hark_loop *loop, FILE *to);

#ifdef __cplusplus
}
#endif
#endif
