/* Ops that a layer above drives; see layer.h. They are linked in the loop, for its close and for
 * inspection, from their beginning to their last result. */
#include "loop/layer.h"

#include "calls.h"

static const struct layer *of(const struct hark_op *op)
{
    return *(const struct layer *const *)op->u.layer.layered;
}

static void link_op(struct hark_op *op, struct hark_loop *loop)
{
    op->u.layer.prev = NULL;
    op->u.layer.next = loop->layered;
    if (loop->layered != NULL) loop->layered->u.layer.prev = op;
    loop->layered = op;
}

bool layer_begin(struct hark_op *op, struct hark_loop *loop, void *layered, hark_done_fn *done)
{
    op->u.layer.layered = layered; /* first: one that has ended is looked at too */
    if (!op_begin(op, loop, OP_LAYER, done)) return false;
    link_op(op, loop);
    if (op->deadline_ns != 0) op_arm(loop, op, op->deadline_ns);
    return true;
}

void layer_begin_close(struct hark_op *op, struct hark_loop *loop, void *layered,
                       hark_done_fn *done)
{
    op->u.layer.layered = layered;
    op->deadline_ns = 0;
    op_begin_always(op, loop, OP_LAYER, done);
    link_op(op, loop);
}

int layer_adopt(struct hark_io *io, struct hark_loop *loop, int fd)
{
    int error = (hark_io_adopt)(io, loop, fd);
    io->is_not_inherited = !CALL_QUEUES_ARE_INHERITED;
    return error;
}

void layer_report(struct hark_op *op, int64_t result)
{
    op_report(op->on.loop, op, result, 0);
}

static void unlink_op(struct hark_op *op)
{
    struct hark_op *next = op->u.layer.next, *prev = op->u.layer.prev;
    if (prev != NULL) prev->u.layer.next = next;
    else op->on.loop->layered = next;
    if (next != NULL) next->u.layer.prev = prev;
}

void layer_end(struct hark_op *op, int64_t result)
{
    unlink_op(op);
    op_finish(op->on.loop, op, result);
}

void layer_fail(struct hark_op *op, int hark_error)
{
    unlink_op(op);
    op_end(op->on.loop, op, hark_error, 0);
}

bool layer_put_off(struct hark_op *op, int64_t deadline_ns)
{
    if (!(op->flags & FLAG_TIMED_OUT)) return false;
    op->flags &= (uint8_t)~FLAG_TIMED_OUT;
    return hark_rearm(op, deadline_ns);
}

void layer_cancel(struct hark_op *op) { of(op)->cancel(op); }

void layer_resume(struct hark_op *op)
{
    if (of(op)->resume != NULL) of(op)->resume(op);
}

bool layer_is_repeating(const struct hark_op *op) { return of(op)->is_repeating; }
const char *layer_name(const struct hark_op *op) { return of(op)->name; }

void layer_each(const struct hark_loop *loop, void (*fn)(struct hark_op *, void *), void *arg)
{
    for (struct hark_op *op = loop->layered, *next; op != NULL; op = next) {
        next = op->u.layer.next;
        fn(op, arg);
    }
}
