/* What fibers of one loop coordinate by. All of it runs between two waits of one thread, so a
 * counter and a queue are enough. */
#include <hark/sync.h>
#include <string.h>

#include "fiber/fiber.h"

int64_t (hark_mutex_lock)(struct hark_mutex *mutex)
{
    struct hark_fiber *fiber = fiber_here();
    REQUIRE(mutex->owner != fiber, "promise 19: a mutex was locked again by the fiber that has it");
    if (fiber->interrupt != 0 && !fiber->is_deaf) return fiber->interrupt;
    if (mutex->owner != NULL) return wait_in(&mutex->waiters, NULL, "mutex");
    mutex->owner = fiber;
    return 0;
}

void hark_mutex_unlock(struct hark_mutex *mutex)
{
    REQUIRE(mutex->owner == fiber_here(), "promise 19: a mutex was unlocked by another fiber");
    mutex->owner = mutex->waiters.first != NULL ? mutex->waiters.first->fiber : NULL;
    (void)wake_first(&mutex->waiters, 0); /* nobody waits: it is free */
}

int64_t (hark_condition_wait)(struct hark_condition *condition, struct hark_mutex *mutex)
{
    struct hark_fiber *fiber = fiber_here();
    if (fiber->interrupt != 0) return fiber->interrupt;
    if (mutex != NULL) hark_mutex_unlock(mutex);
    int64_t result = wait_in(&condition->waiters, NULL, "condition");
    if (mutex == NULL) return result;
    fiber->is_deaf = true; /* it is held in any case */
    (void)(hark_mutex_lock)(mutex);
    fiber->is_deaf = false;
    return result;
}

void hark_condition_signal(struct hark_condition *condition)
{
    (void)wake_first(&condition->waiters, 0); /* nobody waits: nobody is told */
}

void hark_condition_broadcast(struct hark_condition *condition)
{
    wake_all(&condition->waiters, 0);
}

int64_t (hark_semaphore_take)(struct hark_semaphore *semaphore)
{
    if (fiber_here()->interrupt != 0) return fiber_here()->interrupt;
    if (hark_semaphore_try_take(semaphore)) return 0;
    return wait_in(&semaphore->waiters, NULL, "semaphore");
}

bool hark_semaphore_try_take(struct hark_semaphore *semaphore)
{
    if (semaphore->count == 0) return false;
    semaphore->count--;
    return true;
}

void hark_semaphore_give(struct hark_semaphore *semaphore)
{
    if (!wake_first(&semaphore->waiters, 0)) semaphore->count++;
}

void hark_group_add(struct hark_group *group, size_t count) { group->count += count; }

void hark_group_done(struct hark_group *group)
{
    REQUIRE(group->count != 0, "promise 19: more work of a group is over than came");
    if (--group->count == 0) wake_all(&group->waiters, 0);
}

int64_t (hark_group_wait)(struct hark_group *group)
{
    if (group->count == 0) return hark_fiber_interrupted();
    return wait_in(&group->waiters, NULL, "group");
}

enum { ONCE_FRESH, ONCE_RUNS, ONCE_OVER };

int64_t (hark_once_run)(struct hark_once *once, hark_fiber_fn *fn, void *arg)
{
    while (once->state == ONCE_RUNS) { /* each round, whoever ran it was asked to end */
        int64_t error = wait_in(&once->waiters, NULL, "once");
        if (error != 0) return error;
    }
    if (once->state == ONCE_OVER) return once->result;
    once->state = ONCE_RUNS;
    int64_t result = once->result = fn(arg);
    bool is_asked = result != 0 && result == hark_fiber_interrupted();
    once->state = is_asked ? ONCE_FRESH : ONCE_OVER; /* the others were not asked */
    wake_all(&once->waiters, 0);
    return result;
}

enum { ITEM_BYTES_MAX = 1 << 20 };

int hark_broadcast_open(struct hark_broadcast *broadcast, struct hark_loop *loop, size_t item_bytes,
                        size_t room_count)
{
    size_t bytes;
    *broadcast = (struct hark_broadcast){ .item_bytes = item_bytes, .room_count = room_count,
                                          .loop = loop };
    if (room_count == 0 || item_bytes == 0 || item_bytes > ITEM_BYTES_MAX) return HARK_EINVAL;
    if (__builtin_mul_overflow(item_bytes, room_count, &bytes)) return HARK_ENOMEM;
    broadcast->items = loop_resize(loop, NULL, 0, bytes);
    return broadcast->items != NULL ? 0 : HARK_ENOMEM;
}

void hark_broadcast_close(struct hark_broadcast *broadcast)
{
    broadcast->is_closed = true;
    wake_all(&broadcast->waiters, 0); /* each looks again */
}

void hark_broadcast_free(struct hark_broadcast *broadcast)
{
    REQUIRE(broadcast->waiters.first == NULL,
            "promise 3: a broadcast was freed on which a fiber waits");
    size_t bytes = broadcast->item_bytes * broadcast->room_count;
    if (broadcast->items == NULL) return; /* its opening failed */
    loop_resize(broadcast->loop, broadcast->items, bytes, 0);
    broadcast->items = NULL;
}

static char *item_at(const struct hark_broadcast *broadcast, uint64_t number)
{
    return broadcast->items + number % broadcast->room_count * broadcast->item_bytes;
}

int hark_broadcast_send(struct hark_broadcast *broadcast, const void *item)
{
    if (broadcast->is_closed) return HARK_ECLOSED;
    memcpy(item_at(broadcast, broadcast->sent_count++), item, broadcast->item_bytes);
    wake_all(&broadcast->waiters, 0);
    return 0;
}

void hark_subscribe(struct hark_subscription *subscription, struct hark_broadcast *broadcast)
{
    *subscription = (struct hark_subscription){ broadcast, broadcast->sent_count };
}

int64_t (hark_subscription_receive)(struct hark_subscription *subscription, void *item)
{
    struct hark_broadcast *from = subscription->broadcast;
    if (fiber_here()->interrupt != 0) return fiber_here()->interrupt;
    while (subscription->next == from->sent_count) { /* an item, the end, or an interrupt ends it */
        if (from->is_closed) return HARK_ECLOSED;
        int64_t error = wait_in(&from->waiters, NULL, "broadcast");
        if (error != 0) return error;
    }
    uint64_t behind = from->sent_count - subscription->next;
    uint64_t missed = behind > from->room_count ? behind - from->room_count : 0;
    subscription->next += missed;
    memcpy(item, item_at(from, subscription->next++), from->item_bytes);
    return (int64_t)missed;
}

void hark_ticker_open(struct hark_ticker *ticker, int64_t interval_ns)
{
    REQUIRE(interval_ns >= 1, "promise 19: a ticker's interval is at least a nanosecond");
    *ticker = (struct hark_ticker){ hark_after(hark_fiber_loop(), interval_ns), interval_ns };
}

int64_t (hark_ticker_wait)(struct hark_ticker *ticker)
{
    int64_t error = (hark_fiber_sleep_until)(ticker->next_ns);
    if (error != 0) return error;
    int64_t late = hark_now(hark_fiber_loop()) - ticker->next_ns;
    int64_t ticks = late / ticker->interval_ns + 1;
    ticker->next_ns = clock_add(ticker->next_ns, ticks * ticker->interval_ns);
    return ticks;
}
