/* The reaper: a listener for SIGCHLD, and a look at all children whenever it hears one. */
#include <errno.h>

#include "process/process.h"

static struct hark_reaper *of(const struct hark_op *op)
{
    return (struct hark_reaper *)(void *)((char *)layer_of(op) -
                                          offsetof(struct hark_reaper, layer));
}

/* One at a time: resume() goes on after its callback. */
static void look(struct hark_reaper *reaper)
{
    if (layer_is_reported(reaper->op)) return;
    pid_t pid = registry_take_any(&reaper->end);
    if (pid > 0) layer_report(reaper->op, pid);
}

static void end(struct hark_reaper *reaper)
{
    struct hark_op *op = reaper->op;
    reaper->op = NULL;
    layer_end(op, -ECANCELED);
}

/* Its last callback comes when our op is canceled, or with the close of the loop. */
static void on_signal(struct hark_op *listening)
{
    struct hark_reaper *reaper = listening->user;
    if (listening->more) look(reaper);
    else if (!layer_is_reported(reaper->op)) end(reaper); /* else cancel() does */
}

static void cancel(struct hark_op *op)
{
    struct hark_reaper *reaper = of(op);
    if (!hark_cancel(&reaper->listening)) end(reaper);
}

static void resume(struct hark_op *op) { look(of(op)); }

static const struct layer reap_layer = {
    .name = "reap", .is_repeating = true, .cancel = cancel, .resume = resume,
};

void (hark_reap)(struct hark_op *op, struct hark_reaper *reaper, struct hark_loop *loop,
                 hark_done_fn *done)
{
    REQUIRE(reaper->op == NULL, "promise 3: a hark_reaper was used by two ops at once");
    *reaper = (struct hark_reaper){ .layer = &reap_layer };
    if (!layer_begin(op, loop, &reaper->layer, done)) return;
    reaper->op = op;
    reaper->listening.user = reaper;
    reaper->listening.label = "reap";
    (hark_signal)(hark_at(&reaper->listening, op->place), &reaper->signal, loop, SIGCHLD,
                  on_signal);
    hark_background(&reaper->listening);
    look(reaper);
}
