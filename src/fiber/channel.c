/* Channels: a ring of items, those who wait to send, and those who wait to receive. At most one of
 * the two queues has somebody. An item goes straight from a sender to a receiver that waits. */
#include "fiber/fiber.h"

#include <string.h>

struct hark_channel {
    struct hark_loop *loop;
    size_t item_bytes, room_count, count, head;
    bool is_closed;
    struct hark_waiters senders, receivers;
    char items[];
};

enum { ITEM_BYTES_MAX = 1 << 20 };

static size_t bytes_of(const struct hark_channel *channel)
{
    return sizeof *channel + channel->item_bytes * channel->room_count;
}

int hark_channel_open(struct hark_channel **out, struct hark_loop *loop, size_t item_bytes,
                      size_t room_count)
{
    size_t ring;
    *out = NULL;
    if (item_bytes > ITEM_BYTES_MAX) return HARK_EINVAL;
    if (__builtin_mul_overflow(item_bytes, room_count, &ring) || ring > SIZE_MAX / 2)
        return HARK_ENOMEM;
    struct hark_channel *channel = loop_resize(loop, NULL, 0, sizeof *channel + ring);
    if (channel == NULL) return HARK_ENOMEM;
    *channel = (struct hark_channel){ .loop = loop, .item_bytes = item_bytes,
                                      .room_count = room_count };
    *out = channel;
    return 0;
}

/* Wakes who waits; of a hark_select(), for this case. */
static void serve(struct hark_waiter *waiter, int64_t result)
{
    waiter->fiber->wake_index = waiter->index;
    fiber_wake(waiter->fiber, result);
}

void hark_channel_close(struct hark_channel *channel)
{
    channel->is_closed = true;
    while (channel->senders.first != NULL) serve(channel->senders.first, HARK_ECLOSED);
    while (channel->receivers.first != NULL) /* there is no item, or none would wait */
        serve(channel->receivers.first, HARK_ECLOSED);
}

void hark_channel_free(struct hark_channel *channel)
{
    if (channel == NULL) return;
    REQUIRE(channel->senders.first == NULL && channel->receivers.first == NULL,
            "promise 3: a channel was freed on which a fiber waits");
    loop_resize(channel->loop, channel, bytes_of(channel), 0);
}

size_t hark_channel_count(const struct hark_channel *channel) { return channel->count; }

static void copy(const struct hark_channel *channel, void *to, const void *from)
{
    if (to == NULL || channel->item_bytes == 0) return; /* an item of nothing may lie nowhere */
    if (channel->item_bytes == sizeof(void *)) memcpy(to, from, sizeof(void *)); /* mostly */
    else memcpy(to, from, channel->item_bytes);
}

static char *slot(struct hark_channel *channel, size_t index)
{
    size_t at = channel->head + index;
    if (at >= channel->room_count) at -= channel->room_count;
    return channel->items + at * channel->item_bytes;
}

int hark_channel_try_send(struct hark_channel *channel, const void *item)
{
    if (channel->is_closed) return HARK_ECLOSED;
    struct hark_waiter *waiter = channel->receivers.first;
    if (waiter != NULL) {
        copy(channel, waiter->item, item);
        serve(waiter, 0);
        return 0;
    }
    if (channel->count == channel->room_count) return HARK_EAGAIN;
    copy(channel, slot(channel, channel->count++), item);
    return 0;
}

int hark_channel_try_receive(struct hark_channel *channel, void *item)
{
    struct hark_waiter *waiter = channel->senders.first;
    if (channel->count != 0) {
        copy(channel, item, slot(channel, 0));
        if (++channel->head == channel->room_count) channel->head = 0;
        channel->count--;
        if (waiter != NULL) { /* there is room for its item now */
            copy(channel, slot(channel, channel->count++), waiter->item);
            serve(waiter, 0);
        }
        return 0;
    }
    if (waiter != NULL) {
        copy(channel, item, waiter->item);
        serve(waiter, 0);
        return 0;
    }
    return channel->is_closed ? HARK_ECLOSED : HARK_EAGAIN;
}

static int64_t wait_until(struct hark_waiters *queue, void *item, int64_t deadline_ns,
                          const char *what)
{
    struct hark_fiber *fiber = fiber_here();
    if (deadline_ns != 0 && fiber->interrupt == 0)
        fiber_wake_at(fiber, deadline_ns, HARK_ETIMEDOUT);
    return wait_in(queue, item, what);
}

int64_t (hark_channel_send_until)(struct hark_channel *channel, const void *item,
                                  int64_t deadline_ns)
{
    if (fiber_here()->interrupt != 0) return fiber_here()->interrupt;
    int result = hark_channel_try_send(channel, item);
    if (result != HARK_EAGAIN) return result;
    return wait_until(&channel->senders, (void *)(uintptr_t)item, deadline_ns, "channel send");
}

int64_t (hark_channel_receive_until)(struct hark_channel *channel, void *item, int64_t deadline_ns)
{
    if (fiber_here()->interrupt != 0) return fiber_here()->interrupt;
    int result = hark_channel_try_receive(channel, item);
    if (result != HARK_EAGAIN) return result;
    return wait_until(&channel->receivers, item, deadline_ns, "channel receive");
}

int64_t (hark_channel_send)(struct hark_channel *channel, const void *item)
{
    return (hark_channel_send_until)(channel, item, 0);
}

int64_t (hark_channel_receive)(struct hark_channel *channel, void *item)
{
    return (hark_channel_receive_until)(channel, item, 0);
}

/* hark_select() */

enum { CASES_MAX = 64 };

/* HARK_EAGAIN: it would have to wait. */
static int64_t try_case(const struct hark_case *at, const struct hark_loop *loop)
{
    switch (at->kind) {
    case HARK_CASE_SEND: return hark_channel_try_send(at->channel, at->item);
    case HARK_CASE_RECEIVE: return hark_channel_try_receive(at->channel, at->item);
    case HARK_CASE_OP: return hark_is_alive(at->op) ? HARK_EAGAIN : at->op->result;
    default: return at->when_ns <= loop->now ? 0 : HARK_EAGAIN;
    }
}

/* An op's own result may be HARK_EAGAIN; it has ended all the same. */
static bool has_happened(const struct hark_case *at, int64_t result)
{
    return result != HARK_EAGAIN || (at->kind == HARK_CASE_OP && !hark_is_alive(at->op));
}

static int check_cases(const struct hark_fiber *fiber, size_t count)
{
    if (count == 0 || count > CASES_MAX) return HARK_EINVAL;
    return (int)fiber->interrupt;
}

/* Begins at another case each time, so that none is preferred for ever. */
static int try_cases(struct hark_fiber *fiber, struct hark_case *cases, size_t count)
{
    size_t first = fiber->fibers->select_turn++ % count;
    for (size_t i = 0; i < count; i++) {
        struct hark_case *at = &cases[(first + i) % count];
        int64_t result = try_case(at, fiber->fibers->loop);
        if (!has_happened(at, result)) continue;
        at->result = result;
        return (int)(at - cases);
    }
    return HARK_EAGAIN;
}

int hark_select_now(struct hark_case *cases, size_t count)
{
    struct hark_fiber *fiber = fiber_here();
    int error = check_cases(fiber, count);
    return error != 0 ? error : try_cases(fiber, cases, count);
}

/* Joins the queues of all channels; gives the index of the earliest moment, or -1. */
static int join(struct hark_fiber *fiber, struct hark_case *cases, size_t count)
{
    int earliest = -1;
    for (int i = 0; i < (int)count; i++) {
        struct hark_case *at = &cases[i];
        bool is_send = at->kind == HARK_CASE_SEND;
        if (at->kind == HARK_CASE_TIME &&
            (earliest < 0 || at->when_ns < cases[earliest].when_ns)) earliest = i;
        if (!is_send && at->kind != HARK_CASE_RECEIVE) continue;
        at->waiter = (struct hark_waiter){ .fiber = fiber, .item = at->item, .index = i,
                                           .also = fiber->waiters };
        fiber->waiters = &at->waiter;
        waiter_queue(is_send ? &at->channel->senders : &at->channel->receivers, &at->waiter);
    }
    return earliest;
}

int (hark_select)(struct hark_case *cases, size_t count)
{
    struct hark_fiber *fiber = fiber_here();
    int error = check_cases(fiber, count);
    if (error != 0) return error;
    int index = try_cases(fiber, cases, count);
    if (index != HARK_EAGAIN) return index;
    int earliest = join(fiber, cases, count);
    if (earliest >= 0) fiber_wake_at(fiber, cases[earliest].when_ns, 0);
    fiber->cases = cases;
    fiber->case_count = count;
    fiber->wake_index = earliest; /* unless another case is first */
    int64_t result = fiber_wait(fiber, "select");
    fiber->cases = NULL;
    if (fiber->wake_index == WAKE_INTERRUPTED) return (int)result;
    cases[fiber->wake_index].result = result;
    return fiber->wake_index;
}
