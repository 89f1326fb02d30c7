/* The life of an op after its submission: results, cancel, deadline, the callback.
 *
 * Every rule that a user can notice about an op is here, once:
 *  1. A result is queued, never called back at once (promise 1).
 *  2. Who finishes first wins: a deadline is disarmed with the result, and a cancel of a finished
 *     op changes nothing (promise 5).
 *  3. An op is taken from wherever it waits (queue, wheel, pause, pool) before it is queued as
 *     done; op->next belongs to exactly one list at a time. */
#include <errno.h>

#include "base/limits.h"
#include "loop/loop.h"

bool queue_remove(struct op_queue *queue, struct hark_op *op)
{
    struct hark_op *before = NULL;
    for (struct hark_op *at = queue->head; at != NULL; before = at, at = at->next) {
        if (at != op) continue;
        if (before == NULL) queue->head = op->next;
        else before->next = op->next;
        if (queue->tail == op) queue->tail = before;
        return true;
    }
    return false;
}

static struct hark_loop *loop_of(const struct hark_op *op)
{
    return op_has_io(op) || op->kind == OP_CLOSE ? op->on.io->loop : op->on.loop;
}

struct hark_loop *hark_op_loop(const struct hark_op *op) { return loop_of(op); }

struct hark_io *hark_op_io(const struct hark_op *op)
{
    return op_has_io(op) || op->kind == OP_CLOSE ? op->on.io : NULL;
}

bool hark_is_alive(const struct hark_op *op) { return op->state != STATE_IDLE; }

void op_arm(struct hark_loop *loop, struct hark_op *op, int64_t when)
{
    op->flags |= FLAG_TIMED;
    wheel_insert(&loop->wheel, timer_of_op(op), when);
}

static void disarm(struct hark_loop *loop, struct hark_op *op)
{
    op->flags &= (uint8_t)~FLAG_TIMED;
    wheel_remove(&loop->wheel, timer_of_op(op));
}

/* Queues the last callback. */
void op_end(struct hark_loop *loop, struct hark_op *op, int64_t result, int32_t os_error)
{
    if (op->flags & FLAG_TIMED) disarm(loop, op);
    op->state = STATE_DONE;
    op->more = false;
    op->result = result;
    op->os_error = os_error;
    chain_push(&loop->backend.due, op);
}

/* Translates a kernel's "canceled" into who asked for it, and any other errno into the list. */
static void end_by_errno(struct hark_loop *loop, struct hark_op *op, int error)
{
    if (error == ECANCELED && op->flags & FLAG_TIMED_OUT) op_end(loop, op, HARK_ETIMEDOUT, 0);
    else if (error == ECANCELED) op_end(loop, op, HARK_ECANCELED, 0);
    else op_end(loop, op, hark_error_from_os(error), error);
}

/* Finishes an op that no backend has: 0 or more, or a negative errno. */
void op_finish(struct hark_loop *loop, struct hark_op *op, int error_or_result)
{
    if (error_or_result >= 0) op_end(loop, op, error_or_result, 0);
    else end_by_errno(loop, op, -error_or_result);
}

void backend_finish_slowly(struct backend *backend, struct hark_op *op, int64_t result)
{
    struct hark_loop *loop = backend->loop;
    struct hark_io *io = op->on.io;
    int side = op_side(op);
    bool has_waiting = io->waiting[side] != NULL;
    io->active[side] = has_waiting ? &io_taken : NULL;
    if (has_waiting) op->flags |= FLAG_STEP;
    if (result >= 0) op_end(loop, op, result, 0);
    else end_by_errno(loop, op, (int)-result);
}

static void report(struct hark_loop *loop, struct hark_op *op, int64_t result, int os_error)
{
    op->state = STATE_DONE;
    op->more = true;
    op->result = result;
    op->os_error = os_error;
    if (loop->repeating != op) chain_push(&loop->backend.due, op); /* else run_repeating() looks */
}

void backend_report(struct backend *backend, struct hark_op *op, int64_t result, bool is_ended)
{
    if (is_ended) op->flags |= FLAG_ENDED;
    report(backend->loop, op, result, 0);
}

static void on_retry(struct hark_op *op) { op_resume_paused(op->on.loop); }

static void pause_op(struct hark_loop *loop, struct hark_op *op)
{
    op->flags |= FLAG_PAUSED;
    queue_push(&loop->paused, op);
    if (loop->retry.state != STATE_IDLE) return;
    int64_t when = clock_add(loop->now, LIMIT_RETRY_MS * HARK_MILLISECOND);
    (hark_timer)(&loop->retry, loop, when, on_retry);
    hark_background(&loop->retry);
}

void backend_pause(struct backend *backend, struct hark_op *op, int error)
{
    if (!op_is_repeating(op)) {
        pause_op(backend->loop, op);
        return;
    }
    op->flags |= FLAG_PAUSED; /* put in the queue after the callback that hears of it */
    report(backend->loop, op, hark_error_from_os(error), error);
}

void backend_starve(struct backend *backend, struct hark_op *op)
{
    (void)backend;
    op->flags |= FLAG_STARVED;
    queue_push(&op->u.pool.pool->starved, op);
}

static void restart(struct hark_loop *loop, struct hark_op *op)
{
    op->flags &= (uint8_t)~(FLAG_PAUSED | FLAG_STARVED | FLAG_ENDED);
    loop->backend.ops->start(&loop->backend, op);
}

/* Those that must wait again go to the end of a new queue, so this ends. */
static void restart_all(struct hark_loop *loop, struct op_queue *queue)
{
    struct op_queue all = *queue;
    queue->head = NULL;
    for (struct hark_op *op; (op = queue_pop(&all)) != NULL;) restart(loop, op);
}

void op_resume_paused(struct hark_loop *loop) { restart_all(loop, &loop->paused); }

/* All of them, though one buffer came back: the first may have no bytes waiting, and must not keep
 * it from those behind. Who finds none starves again, in the same order. */
void op_resume_starved(struct hark_loop *loop, struct hark_pool *pool)
{
    restart_all(loop, &pool->starved);
}

/* Asks whoever has a running op to end it. */
static void cancel_running(struct hark_loop *loop, struct hark_op *op)
{
    if (op->flags & FLAG_PAUSED) {
        queue_remove(&loop->paused, op); /* not there yet if its callback is running */
        backend_finish_slowly(&loop->backend, op, -ECANCELED);
    } else if (op->flags & FLAG_STARVED) {
        queue_remove(&op->u.pool.pool->starved, op);
        backend_finish_slowly(&loop->backend, op, -ECANCELED);
    } else if (op_has_io(op)) {
        loop->backend.ops->cancel(&loop->backend, op);
    } else if (op->kind == OP_OFFLOAD) {
        if (offload_seam.cancel(loop, op)) op_finish(loop, op, -ECANCELED);
    } else {
        op_finish(loop, op, -ECANCELED);
    }
}

/* Rule 2: flag says who asks; the first one to ask is the one that the result names. */
static void ask_to_end(struct hark_loop *loop, struct hark_op *op, uint8_t flag)
{
    bool is_asked = op->flags & (FLAG_CANCELED | FLAG_TIMED_OUT);
    if (is_asked || op->kind == OP_CLOSE || op->kind == OP_POST) return; /* due by themselves */
    if (op->state == STATE_DONE && !op->more) return;
    op->flags |= flag;
    if (op->state == STATE_DONE) return; /* its next callback comes first, then run_repeating() */
    if (op->state == STATE_RUNNING) {
        cancel_running(loop, op);
        return;
    }
    io_unqueue(op->on.io, op);
    op_finish(loop, op, -ECANCELED);
}

bool hark_cancel(struct hark_op *op)
{
    if (op->state == STATE_IDLE) return false;
    if (op->kind != OP_TIMER) ask_to_end(loop_of(op), op, FLAG_CANCELED);
    else if (op->state == STATE_RUNNING) op_end(op->on.loop, op, HARK_ECANCELED, 0); /* often */
    return true;
}

/* The wheel says that the moment of an op has come. It is no longer in the wheel. */
void op_expired(struct hark_loop *loop, struct hark_op *op)
{
    op->flags &= (uint8_t)~FLAG_TIMED;
    if (op->kind == OP_TIMER) op_end(loop, op, 0, 0);
    else if (op->kind == OP_EVERY) report(loop, op, 0, 0);
    else ask_to_end(loop, op, FLAG_TIMED_OUT);
}

bool hark_rearm(struct hark_op *op, int64_t deadline_ns)
{
    bool is_timer = op->kind == OP_TIMER || op->kind == OP_EVERY;
    if (op->state == STATE_IDLE || op->kind == OP_CLOSE || op->kind == OP_POST) return false;
    if (op->state == STATE_DONE && (is_timer || !op->more)) return false;
    if (op->flags & (FLAG_CANCELED | FLAG_TIMED_OUT)) return false;
    if (deadline_ns == 0 && is_timer) return false;
    struct hark_loop *loop = loop_of(op);
    op->deadline_ns = deadline_ns;
    op->flags |= FLAG_STEP;
    if (op->flags & FLAG_TIMED) {
        if (wheel_put_off(&loop->wheel, timer_of_op(op), deadline_ns)) return true;
        disarm(loop, op);
    }
    if (deadline_ns != 0) op_arm(loop, op, deadline_ns);
    return true;
}

void hark_background(struct hark_op *op)
{
    if (op->state == STATE_IDLE || op->flags & FLAG_BACKGROUND) return;
    struct hark_loop *loop = loop_of(op);
    op->flags |= FLAG_BACKGROUND;
    if (op->kind == OP_POST && op->state == STATE_RUNNING) return; /* post_drain() counts it */
    loop->alive--;
    loop->background++;
}

/* After a callback with `more`: whoever holds the op goes on, ends it, or waits. */
static void resume_repeating(struct hark_loop *loop, struct hark_op *op)
{
    if (op->state != STATE_RUNNING) return; /* ended in its callback */
    if (op->flags & (FLAG_CANCELED | FLAG_TIMED_OUT)) {
        op->flags &= (uint8_t)~FLAG_PAUSED;
        cancel_running(loop, op);
    } else if (op->flags & FLAG_PAUSED) {
        pause_op(loop, op);
    } else if (op->flags & FLAG_ENDED) {
        restart(loop, op);
    }
}

/* One callback of a repeating op that goes on. A burst of connections is accepted within the turn,
 * up to a bound, since each would otherwise cost a turn. */
static void run_repeating(struct hark_loop *loop, struct hark_op *op)
{
    int most = op->kind == OP_ACCEPT ? LIMIT_ACCEPT_BURST : 1;
    if (loop->is_closing) op->flags |= FLAG_CANCELED; /* nobody else finds a timer's report here */
    for (int made = 0; made < most; made++) {
        op->state = STATE_RUNNING;
        if (op->kind == OP_EVERY) timer_repeat(loop, op);
        loop->repeating = op;
        op->done(op);
        if (op->kind == OP_EVERY) timer_repeated(op);
        resume_repeating(loop, op);
        loop->repeating = NULL;
        if (op->state != STATE_DONE || !op->more) return;
    }
    chain_push(&loop->backend.due, op);
}

/* What some ops need before their last callback. */
static void make_step(struct hark_op *op)
{
    if (op->kind == OP_CLOSE) {
        io_end_close(op);
        return;
    }
    if (!op_has_io(op)) return;
    if (op->kind == OP_RECV_POOL) op->u.pool.pool->op_count--;
    int side = op_side(op);
    if (op->on.io->active[side] == &io_taken) io_pump(op->on.io, side);
}

/* The callback of an op that is more than a plain one; see op_run(). */
__attribute__((cold)) void op_run_slowly(struct hark_loop *loop, struct hark_op *op)
{
    if (op->more) {
        run_repeating(loop, op);
        return;
    }
    if (op->flags & FLAG_STEP) make_step(op);
    if (op->flags & FLAG_BACKGROUND) loop->background--;
    else loop->alive--;
    op->state = STATE_IDLE;
    op->deadline_ns = 0;
    op->label = NULL;
    op->done(op);
}
