/* The life of an op after its submission: results, cancel, deadline, the callback.
 *
 * Every rule that a user can notice about an op is here, once:
 *  1. A result is queued, never called back at once (promise 1).
 *  2. Who finishes first wins: a deadline is disarmed with the result, and a cancel of a finished
 *     op changes nothing (promise 5).
 *  3. An op is taken from wherever it waits (queue, wheel, pause, pool) before it is queued as
 *     done; op->next belongs to exactly one list at a time. */
#include <errno.h>

#include "backend/sys.h"
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
    if (op_has_io(op) || op->kind == OP_CLOSE) return op->on.io->loop;
    return op->kind == OP_FILE ? op->on.file->loop : op->on.loop;
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
void op_finish(struct hark_loop *loop, struct hark_op *op, int64_t error_or_result)
{
    if (error_or_result >= 0) op_end(loop, op, error_or_result, 0);
    else end_by_errno(loop, op, (int)-error_or_result);
}

/* The socket has room for more of a file: 0 if a thread of the pool sends it now, or the negative
 * errno that ends the op. */
static int64_t send_on(struct hark_loop *loop, struct hark_op *op)
{
    if (op_is_asked_to_end(op)) return -ECANCELED;
    op->call = SEND_IS_OFFLOADED;
    if (offload_seam.start(loop, op)) return 0;
    op->call = SEND_WAITS;
    return -EAGAIN;
}

void backend_finish_slowly(struct backend *backend, struct hark_op *op, int64_t result)
{
    struct hark_loop *loop = backend->loop;
    struct hark_io *io = op->on.io;
    if (op->kind == OP_SEND_FILE && op->call == SEND_WAITS && result >= 0) {
        result = send_on(loop, op);
        if (result == 0) return;
    }
    int side = op_side(op);
    bool has_waiting = io->waiting[side] != NULL;
    io->active[side] = has_waiting ? &io_taken : NULL;
    if (has_waiting) op->flags |= FLAG_STEP;
    if (result >= 0) op_end(loop, op, result, 0);
    else end_by_errno(loop, op, (int)-result);
}

/* A thread has sent a part of a file: wait for room for the next one, or end. */
void op_sent_file(struct hark_loop *loop, struct hark_op *op, int64_t result)
{
    const struct hark_range *range = op->u.sending.range;
    if (result > 0) op->u.sending.sent += (size_t)result;
    bool goes_on = (result > 0 && op->u.sending.sent < range->len) || result == -EAGAIN;
    if (goes_on && op_is_asked_to_end(op)) {
        backend_finish_slowly(&loop->backend, op, -ECANCELED);
    } else if (goes_on) {
        op->call = SEND_WAITS;
        loop->backend.ops->start(&loop->backend, op);
    } else {
        int64_t sent = (int64_t)op->u.sending.sent;
        backend_finish_slowly(&loop->backend, op, result < 0 ? result : sent);
    }
}

void backend_finish_file(struct backend *backend, struct hark_op *op, int64_t result)
{
    op_finish(backend->loop, op, result);
}

static bool is_closing_file(const struct hark_op *op)
{
    return op->kind == OP_FILE && op->call == CALL_CLOSE;
}

void backend_offload(struct backend *backend, struct hark_op *op)
{
    struct hark_loop *loop = backend->loop;
    op->backend = 0;
    if (op_is_asked_to_end(op)) op_finish(loop, op, -ECANCELED);
    else if (offload_seam.start(loop, op)) return;
    else if (is_closing_file(op)) op_finish(loop, op, sys_file(op)); /* late rather than never */
    else op_end(loop, op, HARK_EAGAIN, EAGAIN);
}

/* The one place where it is decided who does the work of files. */
void op_start_file(struct hark_loop *loop, struct hark_op *op)
{
    const struct backend_ops *ops = loop->backend.ops;
    bool is_native = ops->start_file != NULL && ops->start_file(&loop->backend, op);
    if (!is_native) backend_offload(&loop->backend, op);
}

/* One result of a repeating op, and its callback is to be made. */
void op_report(struct hark_loop *loop, struct hark_op *op, int64_t result, int32_t os_error)
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
    op_report(backend->loop, op, result, 0);
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
    if (op_is_asked_to_end(op)) {
        backend_finish_slowly(backend, op, -ECANCELED);
        return;
    }
    if (!op_is_repeating(op)) {
        pause_op(backend->loop, op);
        return;
    }
    op->flags |= FLAG_PAUSED; /* put in the queue after the callback that hears of it */
    op_report(backend->loop, op, hark_error_from_os(error), error);
}

void backend_starve(struct backend *backend, struct hark_op *op)
{
    if (op_is_asked_to_end(op)) {
        backend_finish_slowly(backend, op, -ECANCELED);
        return;
    }
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

void backend_resume(struct backend *backend, struct hark_pool *pool)
{
    op_resume_starved(backend->loop, pool);
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
    } else if (op_is_offloaded_send(op)) {
        if (offload_seam.cancel(loop, op)) op_sent_file(loop, op, -ECANCELED);
    } else if (op_has_io(op)) {
        loop->backend.ops->cancel(&loop->backend, op);
    } else if (op->kind == OP_LAYER) {
        layer_cancel(op);
    } else if (op_is_of_files(op) && op->backend != 0) {
        loop->backend.ops->cancel(&loop->backend, op);
    } else if (op->kind == OP_OFFLOAD || op_is_of_files(op)) {
        if (offload_seam.cancel(loop, op)) op_finish(loop, op, -ECANCELED);
    } else {
        op_finish(loop, op, -ECANCELED);
    }
}

/* Rule 2: flag says who asks; the first one to ask is the one that the result names. */
static void ask_to_end(struct hark_loop *loop, struct hark_op *op, uint8_t flag)
{
    if (op_is_asked_to_end(op)) return;
    if (op->kind == OP_CLOSE || op->kind == OP_POST) return; /* due by themselves */
    if (op->kind == OP_MOMENT) return; /* whose it is ends it */
    if (is_closing_file(op)) return; /* comes to its end by itself */
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

static void call_moment(struct hark_loop *loop, struct hark_op *op)
{
    op->state = STATE_IDLE;
    loop->alive--;
    op->done(op);
}

/* The wheel says that the moment of an op has come. It is no longer in the wheel. */
void op_expired(struct hark_loop *loop, struct hark_op *op)
{
    op->flags &= (uint8_t)~FLAG_TIMED;
    if (op->kind == OP_TIMER) op_end(loop, op, 0, 0);
    else if (op->kind == OP_EVERY) op_report(loop, op, 0, 0);
    else if (op->kind == OP_MOMENT) call_moment(loop, op);
    else ask_to_end(loop, op, FLAG_TIMED_OUT);
}

bool hark_rearm(struct hark_op *op, int64_t deadline_ns)
{
    bool is_timer = op->kind == OP_TIMER || op->kind == OP_EVERY;
    if (op->state == STATE_IDLE || op->kind == OP_CLOSE || op->kind == OP_POST) return false;
    if (is_closing_file(op)) return false;
    if (op->state == STATE_DONE && (is_timer || !op->more)) return false;
    if (op_is_asked_to_end(op)) return false;
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
    if (op_is_asked_to_end(op)) {
        op->flags &= (uint8_t)~FLAG_PAUSED;
        cancel_running(loop, op);
    } else if (op->flags & FLAG_PAUSED) {
        pause_op(loop, op);
    } else if (op->flags & FLAG_ENDED) {
        restart(loop, op);
    } else if (op->kind == OP_LAYER) {
        layer_resume(op);
    }
}

/* One callback of a repeating op that goes on. A burst of connections is accepted within the turn,
 * up to a bound, since each would otherwise cost a turn. */
static unsigned run_repeating(struct hark_loop *loop, struct hark_op *op, unsigned most)
{
    unsigned burst = op->kind == OP_ACCEPT ? LIMIT_ACCEPT_BURST : 1, made = 0;
    if (burst > most) burst = most;
    if (loop->is_closing) op->flags |= FLAG_CANCELED; /* nobody else finds a timer's report here */
    while (made < burst) {
        op->state = STATE_RUNNING;
        if (op->kind == OP_EVERY) timer_repeat(loop, op);
        loop->repeating = op;
        op->done(op);
        made++;
        if (op->kind == OP_EVERY) timer_repeated(op);
        resume_repeating(loop, op);
        loop->repeating = NULL;
        if (op->state != STATE_DONE || !op->more) return made;
    }
    chain_push(&loop->backend.due, op);
    return made;
}

/* What some ops need before their last callback. */
static void make_step(struct hark_op *op)
{
    if (op->kind == OP_CLOSE) {
        io_end_close(op);
        return;
    }
    if (op->kind == OP_FILE) file_seam.step(op);
    if (!op_has_io(op)) return;
    if (op->kind == OP_RECV_POOL) op->u.pool.pool->op_count--;
    if (op->kind == OP_SEND_FILE) file_seam.step(op);
    if (op->kind == OP_RECV_RIGHTS && op->result < 0) io_end_rights(op);
    int side = op_side(op);
    if (op->on.io->active[side] == &io_taken) io_pump(op->on.io, side);
}

/* The callback of an op that is more than a plain one; see op_run(). */
__attribute__((cold)) unsigned op_run_slowly(struct hark_loop *loop, struct hark_op *op,
                                             unsigned most)
{
    if (op->more) return run_repeating(loop, op, most);
    if (op->flags & FLAG_STEP) make_step(op);
    if (op->flags & FLAG_BACKGROUND) loop->background--;
    else loop->alive--;
    op->state = STATE_IDLE;
    op->deadline_ns = 0;
    op->label = NULL;
    op->done(op);
    return 1;
}
