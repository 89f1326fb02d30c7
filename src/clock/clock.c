/* Timers of the wall clock and the boot clock. Each clock has a heap of them and an alarm
 * (system/alarm.h) that stands for the first; both are there while there is a timer. The alarm also
 * comes when the wall clock is set, so a moment is compared with the clock anew: nothing is ever
 * computed from how far the clock was away. */
#include "clock/clock.h"

#include <errno.h>
#include <unistd.h>

#include "calls.h"
#include "loop/layer.h"
#include "system/alarm.h"

struct alarm { int64_t when; uint64_t order; struct hark_op *op; };

struct clock {
    const struct layer *layer;
    struct hark_loop *loop;
    int which;
    struct hark_io io;            /* the alarm */
    struct hark_op waiting, closing;
    struct alarm *heap;
    size_t count, room;
    uint64_t set_count;
    bool is_closing;
};

static const clockid_t ids[CLOCK_COUNT] = { CLOCK_REALTIME, CALL_BOOT_CLOCK };

static int64_t read_clock(int which)
{
    struct timespec now = { 0 };
    clock_gettime(ids[which], &now);
    return (int64_t)now.tv_sec * HARK_SECOND + now.tv_nsec;
}

int64_t (*clock_source)(int which) = read_clock;

int64_t hark_wall_now(void) { return read_clock(CLOCK_WALL); }
int64_t hark_boot_now(void) { return read_clock(CLOCK_BOOT); }

static void cancel(struct hark_op *op);
static const struct layer layers[CLOCK_COUNT] = { { "timer_wall", false, cancel, NULL },
                                                  { "timer_boot", false, cancel, NULL } };
static const struct layer *over[CLOCK_COUNT] = { &layers[CLOCK_WALL], &layers[CLOCK_BOOT] };

static bool is_before(const struct alarm *a, const struct alarm *b)
{
    return a->when != b->when ? a->when < b->when : a->order < b->order;
}

static void swap(struct alarm *a, struct alarm *b)
{
    struct alarm kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(struct alarm *heap, size_t at)
{
    for (; at != 0 && is_before(&heap[at], &heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&heap[at], &heap[(at - 1) / 2]);
}

static void sift_down(struct alarm *heap, size_t count, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && is_before(&heap[child + 1], &heap[child])) child++;
        if (!is_before(&heap[child], &heap[at])) return;
        swap(&heap[child], &heap[at]);
    }
}

static bool push(struct clock *clock, struct hark_op *op, int64_t when)
{
    if (clock->count == clock->room) {
        size_t room = clock->room == 0 ? 8 : 2 * clock->room;
        struct alarm *heap = loop_resize(clock->loop, clock->heap, clock->room * sizeof *heap,
                                         room * sizeof *heap);
        if (heap == NULL) return false;
        clock->heap = heap;
        clock->room = room;
    }
    clock->heap[clock->count] = (struct alarm){ when, clock->set_count++, op };
    sift_up(clock->heap, clock->count++);
    return true;
}

static void take(struct clock *clock, size_t at)
{
    clock->heap[at] = clock->heap[--clock->count];
    if (at == clock->count) return;
    sift_up(clock->heap, at);
    sift_down(clock->heap, clock->count, at);
}

static void finish(struct hark_op *op, int which, int64_t result)
{
    op->u.layer.layered = &over[which]; /* for inspection until the callback: the clock may go */
    layer_end(op, result);
}

static void free_clock(struct clock *clock)
{
    struct hark_loop *loop = clock->loop;
    loop->clocks[clock->which] = NULL;
    loop_resize(loop, clock->heap, clock->room * sizeof *clock->heap, 0);
    loop_resize(loop, clock, sizeof *clock, 0);
}

static void on_ready(struct hark_op *op);

static void wait_for_alarm(struct clock *clock)
{
    hark_ready(&clock->waiting, &clock->io, HARK_READABLE, on_ready);
    clock->waiting.label = clock->layer->name;
    hark_background(&clock->waiting);
}

/* 0, or a negative errno. */
static int64_t open_alarm(struct clock *clock)
{
    int fd = alarm_open(ids[clock->which]);
    if (fd < 0) return fd;
    clock->io = (struct hark_io){ 0 };
    int error = layer_adopt(&clock->io, clock->loop, fd);
    if (error != 0) {
        (void)close(fd); /* a new one: closing it cannot lose anything */
        return error == HARK_ECANCELED ? -ECANCELED : -ENOMEM;
    }
    clock->io.label = clock->layer->name;
    clock->waiting = (struct hark_op){ .user = clock };
    wait_for_alarm(clock);
    return 0;
}

static void fail_all(struct clock *clock, int64_t error)
{
    while (clock->count != 0) {
        struct hark_op *op = clock->heap[0].op;
        take(clock, 0);
        finish(op, clock->which, error);
    }
}

static void look(struct clock *clock);

/* A timer may have been set meanwhile. */
static void on_closed(struct hark_op *op)
{
    struct clock *clock = op->user;
    clock->is_closing = false;
    int64_t error = clock->count != 0 ? open_alarm(clock) : 0;
    if (error != 0) fail_all(clock, error);
    if (clock->count != 0) look(clock);
    else if (!hark_io_is_open(&clock->io)) free_clock(clock);
}

static void close_alarm(struct clock *clock)
{
    clock->is_closing = true;
    clock->closing = (struct hark_op){ .user = clock };
    hark_close(&clock->closing, &clock->io, on_closed);
    clock->closing.label = clock->layer->name;
    hark_background(&clock->closing);
}

/* Ends the timers that are due and sets the alarm for the next. */
static void look(struct clock *clock)
{
    int64_t now = clock_source(clock->which);
    while (clock->count != 0 && clock->heap[0].when <= now) {
        struct hark_op *op = clock->heap[0].op;
        take(clock, 0);
        finish(op, clock->which, 0);
    }
    if (clock->is_closing) return;
    int error = 0;
    if (clock->count != 0)
        error = alarm_set(clock->io.fd, ids[clock->which], clock->heap[0].when);
    if (error != 0) fail_all(clock, error);
    if (clock->count == 0) close_alarm(clock);
}

/* The moment has come, or the clock was set: both mean to look. Or the alarm cannot be waited
 * for. */
static void on_ready(struct hark_op *op)
{
    struct clock *clock = op->user;
    if (clock->is_closing) return; /* on_closed() follows */
    if (op->result < 0) fail_all(clock, op->os_error != 0 ? -op->os_error : -ECANCELED);
    look(clock);
    if (!clock->is_closing) wait_for_alarm(clock);
}

void clock_look(struct hark_loop *loop, int which)
{
    if (loop->clocks[which] != NULL) look(loop->clocks[which]);
}

static void cancel(struct hark_op *op)
{
    struct clock *clock = layer_of(op);
    for (size_t i = 0; i < clock->count; i++) {
        if (clock->heap[i].op != op) continue;
        take(clock, i);
        break;
    }
    finish(op, clock->which, -ECANCELED);
    if (clock->count == 0 && !clock->is_closing) close_alarm(clock);
}

static int64_t make_clock(struct hark_loop *loop, int which)
{
    struct clock *clock = loop_resize(loop, NULL, 0, sizeof *clock);
    if (clock == NULL) return -ENOMEM;
    *clock = (struct clock){ .layer = &layers[which], .loop = loop, .which = which };
    loop->clocks[which] = clock;
    int64_t error = open_alarm(clock);
    if (error != 0) free_clock(clock);
    return error;
}

static void set(struct hark_op *op, struct hark_loop *loop, int which, int64_t when,
                hark_done_fn *done)
{
    if (!layer_begin(op, loop, &over[which], done)) return;
    int64_t error = loop->clocks[which] == NULL ? make_clock(loop, which) : 0;
    struct clock *clock = loop->clocks[which];
    if (error == 0 && !push(clock, op, when)) error = -ENOMEM;
    if (error == 0) op->u.layer.layered = clock;
    else layer_end(op, error);
    if (clock != NULL) look(clock);
}

void (hark_timer_wall)(struct hark_op *op, struct hark_loop *loop, int64_t when_ns,
                       hark_done_fn *done)
{
    set(op, loop, CLOCK_WALL, when_ns, done);
}

void (hark_timer_boot)(struct hark_op *op, struct hark_loop *loop, int64_t when_ns,
                       hark_done_fn *done)
{
    set(op, loop, CLOCK_BOOT, when_ns, done);
}
