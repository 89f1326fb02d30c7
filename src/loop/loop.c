/* The turn, and the opening and closing of a loop.
 *
 * A turn: hand over, sleep, harvest, expire, then run what is due, at most a budget. Rules:
 *  1. When results are due already, the kernel is looked at without sleeping; and not at all if the
 *     turn before did so. So what a batch of callbacks finished at once needs no system call of its
 *     own, and no kernel waits longer than a turn.
 *  2. Callbacks that this turn's callbacks cause belong to the next turn.
 *  3. The clock is read once, after the sleep. Only before a sleep that a timer bounds it is read
 *     too: callbacks may have taken time, and a timer must not be late by it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "loop/detector.h"
#include "loop/loop.h"

enum { LINE_BYTES = 64 }; /* of a cache, on every machine that matters here */

static void *default_resize(void *user, void *ptr, size_t old_bytes, size_t new_bytes)
{
    (void)user, (void)old_bytes;
    if (new_bytes != 0) return realloc(ptr, new_bytes);
    free(ptr);
    return NULL;
}

void *loop_resize(struct hark_loop *loop, void *ptr, size_t old_bytes, size_t new_bytes)
{
    return loop->allocator.resize(loop->allocator.user, ptr, old_bytes, new_bytes);
}

void *backend_resize(struct backend *backend, void *ptr, size_t old_bytes, size_t new_bytes)
{
    return loop_resize(backend->loop, ptr, old_bytes, new_bytes);
}

static void set_now(struct hark_loop *loop, int64_t now)
{
    loop->now = now;
    loop->age_now = (uint32_t)(now >> AGE_SHIFT);
}

/* Memory for a loop on a cache line of its own; the byte before it tells how far it was moved. */
struct hark_loop *loop_bare(const struct hark_loop_options *options)
{
    struct hark_allocator allocator = { .resize = default_resize };
    if (options->allocator != NULL) allocator = *options->allocator;
    void *memory = allocator.resize(allocator.user, NULL, 0, sizeof(struct hark_loop) + LINE_BYTES);
    if (memory == NULL) return NULL;
    size_t pad = LINE_BYTES - (uintptr_t)memory % LINE_BYTES;
    struct hark_loop *loop = (void *)((char *)memory + pad);
    memset(loop, 0, sizeof *loop);
    ((unsigned char *)loop)[-1] = (unsigned char)pad;
    loop->allocator = allocator;
    loop->turn_budget = options->turn_budget != 0 ? options->turn_budget : LIMIT_TURN_BUDGET;
    loop->fiber_stack_bytes = options->fiber_stack_bytes;
    loop->reports_overflow = options->reports_overflow;
    loop->reports_deadlock = options->reports_deadlock;
    loop->backend.loop = loop;
    beats_prepare();
    loop->beat = &loop->own_beat;
    loop->pid = getpid();
    chain_clear(&loop->backend.due);
    set_now(loop, clock_read());
    wheel_init(&loop->wheel, loop->now);
    return loop;
}

void loop_free(struct hark_loop *loop)
{
    struct hark_allocator allocator = loop->allocator;
    char *memory = (char *)loop - ((unsigned char *)loop)[-1];
    allocator.resize(allocator.user, memory, sizeof *loop + LINE_BYTES, 0);
}

int hark_loop_open(struct hark_loop **out, const struct hark_loop_options *options)
{
    static const struct hark_loop_options defaults;
    *out = NULL;
    if (options == NULL) options = &defaults;
    struct hark_loop *loop = loop_bare(options);
    if (loop == NULL) return HARK_ENOMEM;
    int error = choose_backend(loop, options->backend);
    if (error == 0) {
        error = offload_seam.open(loop, options);
        if (error != 0) loop->backend.ops->close(&loop->backend);
    }
    if (error != 0) {
        loop_free(loop);
        return error;
    }
    stall_seam.opened();
    *out = loop;
    return 0;
}

static void claim(struct hark_loop *loop)
{
    REQUIRE(!loop->is_running, "promise 1: a loop was run or closed from one of its own callbacks");
    REQUIRE(!loop->has_owner || pthread_equal(loop->owner, pthread_self()),
            "promise 1: a loop was run by a thread that does not own it");
    if (loop->has_owner) return;
    loop->owner = pthread_self();
    loop->has_owner = true;
    beat_take(loop);
}

/* How long a visit to the kernel may sleep. Rule 3. */
static int64_t sleep_bound(struct hark_loop *loop, int64_t timeout_ns)
{
    if (!chain_is_empty(&loop->backend.due) || loop->has_ready || timeout_ns == 0) return 0;
    int64_t next = wheel_next(&loop->wheel);
    if (next == INT64_MAX) return timeout_ns;
    set_now(loop, clock_read());
    int64_t left = next > loop->now ? next - loop->now : 0;
    return timeout_ns < 0 || left < timeout_ns ? left : timeout_ns;
}

/* Visits the kernel; 0 or a negative errno. */
static int visit(struct hark_loop *loop, int64_t timeout_ns)
{
    int64_t bound = sleep_bound(loop, timeout_ns);
    if (bound != 0 && !inbox_sleep(&loop->inbox)) bound = 0;
    beat_wait(loop->beat);
    int error = loop->backend.ops->wait(&loop->backend, bound, loop->turn_budget);
    set_now(loop, clock_read());
    beat_turn(loop->beat, loop->now);
    timer_expire_due(loop);
    return error;
}

/* For the sampler of stalls. */
static void tell_callback(struct hark_loop *loop, const struct hark_op *op, const char *kind)
{
    BEAT_STORE(loop->calling, kind);
    beat_callback(loop->beat, op);
}

/* Makes the callbacks that are due now. Rule 2: the chain is taken away first; what the budget
 * leaves goes back in front. is_watched is a constant: unwatched loops pay nothing a callback. */
static inline __attribute__((always_inline))
int64_t run_due_told(struct hark_loop *loop, bool is_watched)
{
    struct op_chain *due = &loop->backend.due;
    unsigned left = loop->turn_budget;
    if (chain_is_empty(due)) return 0;
    *due->tail = NULL;
    struct hark_op *op = due->head, **tail = due->tail;
    chain_clear(due);
    while (op != NULL) {
        loop->running = op->next;
        if (is_watched) tell_callback(loop, op, op_kind_name(op));
        left -= op_run(loop, op, left);
        op = loop->running;
        if (left == 0) break;
    }
    if (op != NULL) {
        if (chain_is_empty(due)) due->tail = tail;
        else *tail = due->head;
        due->head = op;
        loop->running = NULL;
    }
    return loop->turn_budget - left;
}

static int64_t run_due(struct hark_loop *loop)
{
    return run_due_told(loop, false);
}

static __attribute__((noinline)) int64_t run_due_watched(struct hark_loop *loop)
{
    return run_due_told(loop, true);
}

/* The same for fibers, which are told as one callback: which of them runs, the fibers know. */
static int64_t run_fibers(struct hark_loop *loop, bool is_watched)
{
    static const struct hark_op as = { .kind = BEAT_FIBERS };
    if (is_watched) tell_callback(loop, &as, "fibers");
    return fiber_seam.run(loop);
}

void loop_each_due(const struct hark_loop *loop, void (*fn)(struct hark_op *, void *), void *arg)
{
    const struct op_chain *due = &loop->backend.due;
    for (struct hark_op *op = loop->running; op != NULL; op = op->next) fn(op, arg);
    if (chain_is_empty(due)) return;
    *due->tail = NULL;
    for (struct hark_op *op = due->head; op != NULL; op = op->next) fn(op, arg);
}

static int64_t turn(struct hark_loop *loop, int64_t timeout_ns)
{
    int error = 0;
    loop->is_running = true;
    if (chain_is_empty(&loop->backend.due) || !loop->has_waited) { /* rule 1 */
        error = visit(loop, timeout_ns);
        loop->has_waited = true;
    } else {
        loop->has_waited = false;
        if (HARK_UNLIKELY(loop->beat->is_waiting)) beat_turn(loop->beat, clock_read());
    }
    if (!inbox_is_empty(&loop->inbox)) post_drain(loop);
    if (HARK_UNLIKELY(hark_blocking_detector_loop != NULL))
        hark_blocking_detector_loop(&loop->is_calling);
    loop->is_calling = true;
    bool is_watched = BEAT_LOAD(loop->beat->is_watched);
    int64_t made = HARK_UNLIKELY(is_watched) ? run_due_watched(loop) : run_due(loop);
    if (HARK_UNLIKELY(loop->has_ready)) made += run_fibers(loop, is_watched);
    loop->is_calling = loop->is_running = false;
    return error != 0 && made == 0 ? hark_error_from_os(-error) : made;
}

int64_t hark_step(struct hark_loop *loop, int64_t timeout_ns)
{
    claim(loop);
    if (HARK_UNLIKELY(loop->lent.is_open)) lend_begin(loop);
    int64_t made = turn(loop, timeout_ns);
    if (HARK_UNLIKELY(loop->lent.is_open)) lend_settle(loop); /* perhaps in this turn */
    beat_wait(loop->beat);
    return made;
}

static bool has_reason_to_run(const struct hark_loop *loop)
{
    return loop->alive != 0 || loop->held != 0 || loop->has_ready ||
           !inbox_is_empty(&loop->inbox);
}

/* Nothing is alive. Fibers that wait are stuck then, unless what they wait for is in the
 * background. */
static int idle_result(const struct hark_loop *loop)
{
    if (loop->fiber_count == 0 || loop->background != 0) return 0;
    if (loop->reports_deadlock) {
        fprintf(stderr, "hark: every fiber waits, and nothing is alive that could wake one\n");
        hark_loop_print(loop, stderr);
    }
    return HARK_EDEADLK;
}

static int run(struct hark_loop *loop)
{
    while (!atomic_load_explicit(&loop->stop_asked, memory_order_relaxed)) {
        if (!has_reason_to_run(loop)) return idle_result(loop);
        int64_t made = turn(loop, -1);
        if (made < 0) return (int)made;
    }
    atomic_store(&loop->stop_asked, false);
    return 0;
}

int hark_run(struct hark_loop *loop)
{
    claim(loop);
    if (HARK_UNLIKELY(loop->lent.is_open)) lend_begin(loop);
    int error = run(loop);
    if (HARK_UNLIKELY(loop->lent.is_open)) lend_settle(loop);
    beat_wait(loop->beat);
    return error;
}

static void cancel_timer(struct wheel_timer *timer, void *arg)
{
    (void)arg;
    hark_cancel(op_of_timer(timer));
}

static void cancel_found(struct hark_op *op, void *arg)
{
    (void)arg;
    hark_cancel(op);
}

static bool has_no_fiber(const struct hark_loop *loop) { return loop->fiber_count == 0; }

static bool has_nothing(const struct hark_loop *loop)
{
    return !has_reason_to_run(loop) && loop->background == 0 && loop->fiber_count == 0;
}

/* Runs turns until that is so. Fibers in a shielded scope that wait for what cannot come are
 * canceled too. A kernel that lacks memory has some again later; one that can no longer wait at all
 * would keep the ops for ever, and they are left unsettled. */
static void settle(struct hark_loop *loop, bool (*is_settled)(const struct hark_loop *))
{
    const struct timespec pause = { .tv_nsec = HARK_MILLISECOND };
    int failures = 0;
    while (!is_settled(loop)) {
        bool is_stuck = !has_reason_to_run(loop) && loop->background == 0;
        if (is_stuck) fiber_seam.cancel_all(loop, true);
        if (turn(loop, -1) >= 0) failures = 0;
        else if (++failures == LIMIT_CLOSE_TRIES) return;
        else (void)nanosleep(&pause, NULL); /* cut short by a signal: so much the better */
    }
}

static void end(struct hark_loop *loop)
{
    if (loop->lent.is_open) lend_close(loop);
    loop->backend.ops->close(&loop->backend);
    loop_resize(loop, loop->descriptors, loop->descriptors_room * 8, 0);
    if (HARK_UNLIKELY(hark_blocking_detector_loop != NULL)) hark_blocking_detector_loop(NULL);
    loop_free(loop);
}

/* In a child that was forked. What the kernel holds for the loop is shared with the parent: nothing
 * of it is changed (trap 4), only this process's copies of the descriptors are closed. The ops are
 * copies too, whose callbacks the parent makes. */
static void close_inherited(struct hark_loop *loop)
{
    loop->backend.is_inherited = true;
    beat_forget(loop);
    for (struct hark_io *io = loop->ios; io != NULL; io = io->all_next) {
        if (!io->is_not_inherited) (void)close(io->fd); /* else that number is another's here */
        io->fd = -1;
        io->state = IO_CLOSED;
    }
    file_seam.close_all(loop);
    if (loop->fiber_count == 0) fiber_seam.close(loop); /* else one of them may run right now */
    offload_seam.forget(loop);
    end(loop);
}

void hark_loop_close(struct hark_loop *loop)
{
    if (loop == NULL) return;
    if (loop->pid != getpid()) {
        close_inherited(loop);
        return;
    }
    claim(loop);
    loop->held = 0;
    fiber_seam.cancel_all(loop, false);
    settle(loop, has_no_fiber); /* their clean-up may still use the kernel */
    loop->is_closing = true;
    for (struct hark_io *io = loop->ios; io != NULL; io = io->all_next) {
        io_cancel_all(io);
        if (io->state == IO_OPEN) io->state = IO_DOOMED;
        io->parks = 0;
    }
    wheel_each(&loop->wheel, cancel_timer, NULL);
    layer_each(loop, cancel_found, NULL);
    if (loop->backend.ops->each_file != NULL)
        loop->backend.ops->each_file(&loop->backend, cancel_found, NULL);
    offload_seam.cancel_all(loop);
    settle(loop, has_nothing);
    beat_release(loop);
    offload_seam.close(loop);
    fiber_seam.close(loop);
    while (loop->ios != NULL) io_shut(loop->ios);
    file_seam.close_all(loop);
    names_seam.close(loop);
    end(loop);
}

int64_t hark_now(const struct hark_loop *loop) { return loop->now; }

int64_t hark_refresh(struct hark_loop *loop)
{
    set_now(loop, clock_read());
    return loop->now;
}

int64_t hark_after(const struct hark_loop *loop, int64_t delay_ns)
{
    return clock_add(loop->now, delay_ns);
}

void (hark_nop)(struct hark_op *op, struct hark_loop *loop, hark_done_fn *done)
{
    if (op_begin(op, loop, OP_NOP, done)) op_end(loop, op, 0, 0);
}

void hark_hold(struct hark_loop *loop) { loop->held++; }

void hark_unhold(struct hark_loop *loop)
{
    REQUIRE(loop->held != 0, "hark_unhold() without a hark_hold()");
    loop->held--;
}

const char *hark_loop_backend(const struct hark_loop *loop) { return loop->backend.ops->name; }
