/* A loop that another loop waits for: a set that is readable when there is something to do.
 *
 * In the set are the backend's kernel interface (or what it watches) and a moment, which stands for
 * the first timer of the wheel, and for what is due at once. Descriptors of hark's own in it report
 * changes only, so that none has to be read: the look at the set before a turn takes those reports
 * away. Between turns the loop counts as asleep: other threads wake it by its descriptor. */
#include "loop/loop.h"

static int open_set(struct hark_loop *loop)
{
    int error = ready_set_open(&loop->lent.set);
    if (error != 0) return error;
    error = loop->backend.ops->lend(&loop->backend, &loop->lent.set, loop->ios);
    if (error != 0) ready_set_close(&loop->lent.set, false);
    else loop->lent.is_open = true;
    return error;
}

int hark_loop_fd(struct hark_loop *loop)
{
    if (!loop->lent.is_open) {
        int error = open_set(loop);
        if (error != 0) return hark_error_from_os(-error);
    }
    if (!loop->is_running) lend_settle(loop);
    return loop->lent.set.fd;
}

void lend_begin(struct hark_loop *loop)
{
    ready_set_look(&loop->lent.set);
    inbox_rise(&loop->inbox); /* the turn announces its own sleep */
}

static void arm(struct hark_loop *loop, int64_t when)
{
    if (when == loop->lent.armed && when != READY_AT_ONCE) return;
    ready_set_arm(&loop->lent.set, when);
    loop->lent.armed = when;
}

static bool is_asleep(struct hark_loop *loop)
{
    return atomic_load(&loop->inbox.head) == INBOX_ASLEEP || inbox_sleep(&loop->inbox);
}

/* Sees to it that whatever comes next makes the set readable. */
void lend_settle(struct hark_loop *loop)
{
    const struct backend *backend = &loop->backend;
    if (backend->ops->hand_over != NULL) backend->ops->hand_over(&loop->backend);
    int64_t next = wheel_next(&loop->wheel);
    bool is_due = !chain_is_empty(&backend->due) || loop->has_ready || backend->always_ready != 0;
    if (is_due || !is_asleep(loop) || next <= loop->now) arm(loop, READY_AT_ONCE);
    else arm(loop, next == INT64_MAX ? READY_NEVER : next);
}

void lend_close(struct hark_loop *loop)
{
    ready_set_close(&loop->lent.set, loop->backend.is_inherited);
    loop->lent.is_open = false;
}
