/* Ops that a layer above the loop drives, made of ops and ios of its own: a look-up of names, a
 * watch of files, a child's exit. To the caller they are ops like all others: deadline, cancel,
 * label, inspection, one last callback.
 *
 *   layer_begin ---> RUNNING --- layer_report ---> DONE, more --- callback, resume() ---> RUNNING
 *                       |
 *                       +------- layer_end ------> DONE ------- the last callback
 *
 * cancel() is asked for by a cancel, a deadline, or the loop's close, once; layer_end()
 * follows, at once or later. A layer's own ops are background ones, and carry its name as
 * label. */
#ifndef HARK_LOOP_LAYER_H
#define HARK_LOOP_LAYER_H

#include "loop/loop.h"

/* What a layer says of its ops. */
struct layer {
    const char *name;                      /* for inspection */
    bool is_repeating;
    void (*cancel)(struct hark_op *op);    /* layer_end(op, -ECANCELED) or a true result follows */
    void (*resume)(struct hark_op *op);    /* after a callback with more; or NULL */
};

/* Begins the life of an op. layered points to memory of the layer, or of the caller's, that
 * begins with a `const struct layer *`, set already, and that layer_of() gives back. False: the
 * loop is being closed, and the op has ended. */
bool layer_begin(struct hark_op *op, struct hark_loop *loop, void *layered, hark_done_fn *done);

/* The same for an op that closes something: like hark_close() it has no deadline, and is welcome
 * while the loop is being closed. */
void layer_begin_close(struct hark_op *op, struct hark_loop *loop, void *layered,
                       hark_done_fn *done);

static inline void *layer_of(const struct hark_op *op) { return op->u.layer.layered; }

/* Opens an io on a descriptor that src/system/ has made for a layer to wait with. 0 or an enum
 * hark_error: then the descriptor is still the layer's. */
int layer_adopt(struct hark_io *io, struct hark_loop *loop, int fd);

/* One result of a repeating op. Not while layer_is_reported(): that one's callback comes first. */
void layer_report(struct hark_op *op, int64_t result);
static inline bool layer_is_reported(const struct hark_op *op) { return op->state == STATE_DONE; }

/* For cancel(), where a deadline asked that is no longer true: the op goes on until another one.
 * False: it was somebody else who asked. */
bool layer_put_off(struct hark_op *op, int64_t deadline_ns);

/* The last result: >= 0, or a negative errno; or one of hark's own errors. Not while
 * layer_is_reported(): then it waits for resume(). */
void layer_end(struct hark_op *op, int64_t result);
void layer_fail(struct hark_op *op, int hark_error);

#endif
