/* The watch of a terminal's size. It ends by the last callback of its own op, unless that is over;
 * see resized.h. */
#include "terminal/resized.h"

#include <errno.h>

void resized_end(struct hark_terminal_watch *watch)
{
    bool is_canceled = watch->error == 0 || watch->error == HARK_ECANCELED;
    if (is_canceled) layer_end(watch->op, -ECANCELED); /* or the deadline: see op.c */
    else layer_fail(watch->op, watch->error);
}

static void end_by(struct hark_terminal_watch *watch, int error)
{
    if (watch->error != 0) return; /* that end follows */
    watch->error = error;
    if (!hark_cancel(&watch->own)) resized_end(watch);
}

/* A report that is on its way to its callback is followed by another look. */
void resized_look(struct hark_terminal_watch *watch)
{
    struct hark_terminal_size now;
    if (layer_is_reported(watch->op) || watch->error != 0) return;
    int error = hark_terminal_size(watch->fd, &now);
    if (error != 0) {
        end_by(watch, error);
        return;
    }
    bool is_same = now.columns == watch->size.columns && now.rows == watch->size.rows;
    watch->size = now;
    if (!is_same) layer_report(watch->op, 0);
}

static void cancel(struct hark_op *op) { end_by(layer_of(op), HARK_ECANCELED); }
static void resume(struct hark_op *op) { resized_look(layer_of(op)); }

static const struct layer layer = {
    .name = "terminal size", .is_repeating = true, .cancel = cancel, .resume = resume,
};

void (hark_terminal_resized)(struct hark_op *op, struct hark_terminal_watch *watch,
                             struct hark_loop *loop, int fd, hark_done_fn *done)
{
    *watch = (struct hark_terminal_watch){ .layer = &layer, .op = op, .fd = fd };
    watch->own.user = watch;
    if (!layer_begin(op, loop, watch, done)) return;
    int error = hark_terminal_size(fd, &watch->size);
    if (error != 0) layer_fail(op, error);
    else resized_hear(watch, loop);
}
