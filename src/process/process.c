/* Processes as a program sees them: spawn, wait, close, kill.
 *
 *   closed --- spawn, open ---> OPEN --- the end was told, or close ---> CLOSING ---> closed
 *
 * An open process is an io on a descriptor of its end, and a background op of its own (watch) that
 * ties it to its loop: the close of the loop ends that, and inspection shows it. A wait is
 * hark_ready() on the io; the same op then closes the io. By the callback of that close all others
 * have had theirs. */
#include <errno.h>
#include <hark/timer.h>
#include <unistd.h>

#include "base/limits.h"
#include "process/process.h"

enum { RESULT_SIGNALED = 256 };

enum { WATCH, WAIT, CLOSE }; /* hark_process.layers */

static struct hark_process *of(const struct hark_op *op, int which)
{
    const struct layer **layers = (const struct layer **)layer_of(op) - which;
    return (struct hark_process *)(void *)((char *)layers - offsetof(struct hark_process, layers));
}

static void unwatch(struct hark_process *process, int64_t result)
{
    if (!process->is_watched) return;
    process->is_watched = false;
    registry_remove(process);
    layer_end(&process->watch, result);
}

/* Ends whoever waits, with result, and whoever closes. */
static void on_closed(struct hark_op *ready)
{
    struct hark_process *process = ready->user;
    struct hark_op *waiting = process->waiting, *closing = process->closing;
    int64_t result = process->result;
    process->state = PROCESS_CLOSED;
    process->loop = NULL;
    process->waiting = process->closing = NULL;
    if (waiting != NULL) layer_end(waiting, result);
    if (closing != NULL) layer_end(closing, 0);
}

static void shut(struct hark_process *process)
{
    process->state = PROCESS_CLOSING;
    unwatch(process, 0);
    process->ready.label = "process";
    (hark_close)(&process->ready, &process->exit, on_closed);
    hark_background(&process->ready);
}

/* The wait ends without an end of the process. */
static void give_up(struct hark_process *process, int error)
{
    struct hark_op *op = process->waiting;
    process->waiting = NULL;
    if (error == HARK_ECANCELED) layer_end(op, -ECANCELED); /* or the deadline: see op.c */
    else layer_fail(op, error);
    if (process->closing != NULL) shut(process);
}

static void on_ready(struct hark_op *ready);

static void watch_exit(struct hark_process *process)
{
    process->ready.label = "process";
    (hark_ready)(&process->ready, &process->exit, HARK_READABLE, on_ready);
    hark_background(&process->ready);
}

/* A cancel that came when `ready` had its result already was not told by that. */
static bool is_asked_to_end(const struct hark_process *process)
{
    return process->closing != NULL ||
           process->waiting->flags & (FLAG_CANCELED | FLAG_TIMED_OUT);
}

static void on_retry(struct hark_op *timer)
{
    struct hark_process *process = timer->user;
    if (timer->result < 0 || is_asked_to_end(process)) give_up(process, HARK_ECANCELED);
    else watch_exit(process);
}

/* It has ended, but a debugger has it: nobody tells us when that lets go of it. */
static void retry_later(struct hark_process *process)
{
    if (is_asked_to_end(process)) {
        give_up(process, HARK_ECANCELED);
        return;
    }
    int64_t when = hark_after(process->loop, LIMIT_RETRY_MS * HARK_MILLISECOND);
    (hark_timer)(&process->ready, process->loop, when, on_retry);
    hark_background(&process->ready);
}

static void on_ready(struct hark_op *ready)
{
    struct hark_process *process = ready->user;
    if (ready->result < 0) {
        give_up(process, (int)ready->result);
        return;
    }
    int taken = registry_take_end(process);
    if (taken == 0) {
        retry_later(process);
        return;
    }
    const struct hark_process_end *end = &process->end;
    if (taken < 0) process->result = taken;
    else process->result = end->signal != 0 ? RESULT_SIGNALED + end->signal : end->code;
    shut(process);
}

static void cancel_watch(struct hark_op *op) { unwatch(of(op, WATCH), -ECANCELED); }

static void cancel_wait(struct hark_op *op)
{
    struct hark_process *process = of(op, WAIT);
    if (process->state == PROCESS_OPEN) hark_cancel(&process->ready); /* else it has its result */
}

static void cancel_nothing(struct hark_op *op) { (void)op; } /* comes to its end by itself */

static const struct layer watch_layer = { .name = "process", .cancel = cancel_watch };
static const struct layer wait_layer = { .name = "process wait", .cancel = cancel_wait };
static const struct layer close_layer = { .name = "process close", .cancel = cancel_nothing };

/* For an op that ends where it begins. */
static bool begin_brief(struct hark_op *op, struct hark_loop *loop, hark_done_fn *done)
{
    static const struct layer brief_layer = { .name = "process spawn", .cancel = cancel_nothing };
    static const struct layer *brief = &brief_layer;
    return layer_begin(op, loop, &brief, done);
}

static void on_unwatched(struct hark_op *op) { (void)op; }

static void require_closed(const struct hark_process *process)
{
    REQUIRE(process->state == PROCESS_CLOSED,
            "promise 3: a process was opened again before it was closed");
}

static void prepare(struct hark_process *process, struct hark_loop *loop, const char *place)
{
    *process = (struct hark_process){
        .loop = loop, .home = loop, .layers = { &watch_layer, &wait_layer, &close_layer },
        .watch.place = place, .exit.place = place, .ready.user = process, .ready.place = place,
    };
}

/* The io is open and the pid is known. */
static void begin_watch(struct hark_process *process)
{
    process->exit.label = "process";
    process->state = PROCESS_OPEN;
    process->is_watched = true;
    registry_add(process);
    layer_begin(&process->watch, process->loop, &process->layers[WATCH], on_unwatched);
    hark_background(&process->watch);
}

void (hark_process_spawn)(struct hark_op *op, struct hark_process *process, struct hark_loop *loop,
                          const struct hark_process_options *options, hark_done_fn *done)
{
    require_closed(process);
    if (!begin_brief(op, loop, done)) return;
    prepare(process, loop, op->place);
    registry_begin_spawn();
    int error = spawn_child(process, options);
    if (error == 0) begin_watch(process);
    else process->loop = NULL;
    registry_end_spawn();
    layer_end(op, error == 0 ? process->pid : error);
}

int (hark_process_open)(struct hark_process *process, struct hark_loop *loop, pid_t pid)
{
    require_closed(process);
    prepare(process, loop, process->watch.place);
    process->pid = pid;
    int fd = child_open(process);
    int error = fd >= 0 ? layer_adopt(&process->exit, loop, fd) : hark_error_from_os(-fd);
    if (error == 0) {
        begin_watch(process);
        return 0;
    }
    if (fd >= 0) (void)close(fd); /* holds nothing that could be lost */
    process->loop = NULL;
    return error;
}

static struct hark_loop *loop_of(const struct hark_process *process)
{
    REQUIRE(process->ready.user == process, "promise 3: a process was used that was never opened");
    return process->home;
}

void (hark_process_wait)(struct hark_op *op, struct hark_process *process, hark_done_fn *done)
{
    struct hark_loop *loop = loop_of(process);
    bool can_wait = process->state == PROCESS_OPEN && process->closing == NULL;
    if (!can_wait || process->waiting != NULL) {
        if (begin_brief(op, loop, done)) layer_fail(op, can_wait ? HARK_EALREADY : HARK_EBADF);
        return;
    }
    if (!layer_begin(op, loop, &process->layers[WAIT], done)) return;
    process->waiting = op;
    watch_exit(process);
}

void (hark_process_close)(struct hark_op *op, struct hark_process *process, hark_done_fn *done)
{
    struct hark_loop *loop = loop_of(process);
    op->deadline_ns = 0;
    if (process->state != PROCESS_OPEN || process->closing != NULL) {
        if (begin_brief(op, loop, done)) layer_fail(op, HARK_EBADF);
        return;
    }
    if (!layer_begin(op, loop, &process->layers[CLOSE], done)) return;
    process->closing = op;
    if (process->waiting == NULL) shut(process);
    else hark_cancel(&process->ready); /* give_up(), or on_ready() with the true result */
}

int hark_process_kill(const struct hark_process *process, int number)
{
    if (process->state != PROCESS_OPEN) return HARK_EBADF;
    return registry_signal(process, number);
}
