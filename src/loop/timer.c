/* Timers, and the deadlines of all other ops: one wheel. */
#include "loop/loop.h"

/* No more than a turn calls back, so that a crowd of them cannot stand in front of all else; the
 * rest keeps its order in the wheel, and the next turn does not sleep. */
void timer_expire_due(struct hark_loop *loop)
{
    for (unsigned left = loop->turn_budget; left != 0; left--) {
        struct wheel_timer *timer = wheel_expire(&loop->wheel, loop->now);
        if (timer == NULL) return;
        op_expired(loop, op_of_timer(timer));
    }
}

void (hark_timer)(struct hark_op *op, struct hark_loop *loop, int64_t when_ns, hark_done_fn *done)
{
    if (op_begin(op, loop, OP_TIMER, done)) op_arm(loop, op, when_ns);
}

void (hark_timer_every)(struct hark_op *op, struct hark_loop *loop, int64_t first_ns,
                        int64_t interval_ns, hark_done_fn *done)
{
    op->u.every.interval_ns = interval_ns;
    if (!op_begin(op, loop, OP_EVERY, done)) return;
    if (interval_ns < 1) op_end(loop, op, HARK_EINVAL, 0);
    else op_arm(loop, op, first_ns);
}

/* Just before a callback: counts the intervals that have passed and sets the next moment, which
 * lies on the grid of the first one: no drift, and no burst after a delay. */
void timer_repeat(struct hark_loop *loop, struct hark_op *op)
{
    int64_t interval = op->u.every.interval_ns, due = op->timer.when, latest = due;
    uint64_t late = 0; /* as far as from one end of time to the other */
    if (loop->now > due) late = (uint64_t)loop->now - (uint64_t)due;
    uint64_t passed = late / (uint64_t)interval;
    if (late != 0) latest = loop->now - (int64_t)(late % (uint64_t)interval);
    op->result = passed < INT64_MAX ? (int64_t)passed + 1 : INT64_MAX;
    if (op_is_asked_to_end(op)) return;
    op_arm(loop, op, clock_add(latest, interval));
    op->u.every.order = op->os_error; /* where the wheel keeps it; the callback finds 0 there */
    op->os_error = 0;
}

/* Just after the callback. */
void timer_repeated(struct hark_op *op)
{
    if (op->state == STATE_RUNNING && op->flags & FLAG_TIMED && op->os_error == 0)
        op->os_error = op->u.every.order;
}

void moment_set(struct hark_op *op, struct hark_loop *loop, int64_t when, hark_done_fn *fn)
{
    op->done = fn;
    op->on.loop = loop;
    op->kind = OP_MOMENT;
    op->state = STATE_RUNNING;
    op->flags = 0;
    loop->alive++;
    op_arm(loop, op, when);
}

void moment_drop_set(struct hark_op *op)
{
    op->state = STATE_IDLE;
    op->on.loop->alive--;
    wheel_remove(&op->on.loop->wheel, timer_of_op(op));
}
