/* What other threads may do to a loop: post, wake, stop. */
#include "loop/loop.h"

char inbox_asleep, inbox_nudged;

/* Hands an op to the loop's thread. Any thread. */
void post_send(struct hark_loop *loop, struct hark_op *op)
{
    if (inbox_push(&loop->inbox, op, (void **)&op->next)) loop->backend.ops->wake(&loop->backend);
}

void (hark_post)(struct hark_op *op, struct hark_loop *loop, hark_done_fn *done)
{
    REQUIRE(op->state == STATE_IDLE, "promise 2: an op was submitted before its last callback");
    op->done = done;
    op->on.loop = loop;
    op->kind = OP_POST;
    op->state = STATE_RUNNING;
    op->flags = op->deadline_ns != 0 ? FLAG_STEP : 0;
    post_send(loop, op);
}

void hark_wake(struct hark_loop *loop)
{
    if (inbox_nudge(&loop->inbox)) loop->backend.ops->wake(&loop->backend);
}

void hark_stop(struct hark_loop *loop)
{
    atomic_store(&loop->stop_asked, true);
    hark_wake(loop);
}

/* Work of the pool: the result of a program's own function, or that of a system call. */
static void offload_over(struct hark_loop *loop, struct hark_op *op)
{
    if (op->kind == OP_OFFLOAD) op_end(loop, op, op->result, 0);
    else if (op->kind == OP_SEND_FILE) op_sent_file(loop, op, op->result);
    else op_finish(loop, op, op->result);
}

/* Takes what other threads have sent, in the order sent, and makes it due. */
void post_drain(struct hark_loop *loop)
{
    struct hark_op *newest = inbox_take(&loop->inbox), *oldest = NULL;
    while (newest != NULL) { /* turned round */
        struct hark_op *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct hark_op *op = oldest;
        oldest = op->next;
        if (op->kind == OP_POST) {
            op->started = loop->age_now;
            if (HARK_UNLIKELY(op->flags & FLAG_BACKGROUND)) loop->background++;
            else loop->alive++;
            op_end(loop, op, 0, 0);
        } else {
            offload_over(loop, op);
        }
    }
}

void post_each(const struct hark_loop *loop, void (*fn)(struct hark_op *, void *), void *arg)
{
    void *head = atomic_load(&((struct hark_loop *)loop)->inbox.head);
    if (head == INBOX_ASLEEP || head == INBOX_NUDGED) return;
    for (struct hark_op *op = head; op != NULL; op = op->next) fn(op, arg);
}
