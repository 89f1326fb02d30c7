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
    const char *kind;     /* "recv", "timer", ...; "io" for an io */
    const char *state;    /* op: "queued", "running", "done"; io: "open", "closing" */
    const char *label;    /* as the caller set it, or NULL */
    const char *place;    /* file:line of the submission or opening, or NULL */
    int64_t age_ns;       /* since then; of an op to the millisecond, and modulo 52 days; of a post
                           * since the loop took it */
    int64_t deadline_ns;  /* loop time, or 0 */
    int fd;               /* of the io, or -1 */
    bool is_background;   /* does not keep hark_run() running */
    const struct hark_op *op;   /* NULL for an io */
    const struct hark_io *io;   /* NULL for an op without one */
};

typedef void hark_inspect_fn(const struct hark_inspect_entry *entry, void *arg);

/* Calls fn for every io of the loop, each followed by its ops, then for every other op.
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
