/* Graceful shutdown, made of what any program could call. */
#include <hark/drain.h>
#include <hark/timer.h>

struct count { const struct hark_drain *drain; int64_t left; };

/* An op that a fiber awaits has an entry of its own as well; an io or a scope is neither. */
static void look(const struct hark_inspect_entry *entry, void *arg)
{
    struct count *count = arg;
    bool is_alive = entry->fiber != NULL || (entry->op != NULL && !entry->is_background);
    if (!is_alive) return;
    count->left++;
    if (count->drain->left != NULL) count->drain->left(entry, count->drain->arg);
}

static void on_late(struct hark_op *op)
{
    if (op->result == 0 && op->user != NULL) hark_stop(op->user);
}

int64_t hark_drain(struct hark_loop *loop, const struct hark_drain *drain)
{
    struct hark_op patience = { .user = loop };
    struct count count = { .drain = drain };
    for (size_t i = 0; i < drain->end_count; i++) hark_cancel(drain->ends[i]);
    hark_refresh(loop);
    hark_timer(&patience, loop, hark_after(loop, drain->patience_ns), on_late);
    hark_background(&patience);
    int error = hark_run(loop);
    patience.user = NULL;
    hark_cancel(&patience);
    while (hark_is_alive(&patience)) (void)hark_step(loop, 0); /* others may end in it too */
    if (error != 0 && error != HARK_EDEADLK) return error;
    hark_loop_inspect(loop, look, &count);
    return count.left;
}
