/* Mutex, condition, semaphore, wait group, once, fiber-local data, broadcast and ticker, for the
 * fibers of one loop. All structs are the caller's; zeroed memory is a fresh one unless its open
 * function says otherwise. Who waits longest is served first. */
#ifndef HARK_SYNC_H
#define HARK_SYNC_H

#include <hark/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Held by one fiber at a time. Needed only around waits: between two waits no other fiber runs. */
struct hark_mutex { struct hark_fiber *owner; struct hark_waiters waiters; };

/* Takes the mutex.
 *
 * Result 0; HARK_ECANCELED, HARK_ETIMEDOUT: not taken.
 * Thread fiber, not the one that holds it
 */
HARK_API int64_t hark_mutex_lock(struct hark_mutex *mutex);

/* Gives it back; the first who waits has it from now on.
 *
 * Thread fiber, the one that holds it
 */
HARK_API void hark_mutex_unlock(struct hark_mutex *mutex);

/* Where fibers wait for a claim to become true. */
struct hark_condition { struct hark_waiters waiters; };

/* Gives the mutex back, waits to be woken, takes the mutex again: in any case it is held then.
 *
 * mutex  held; NULL: none is needed.
 * Result 0; HARK_ECANCELED, HARK_ETIMEDOUT.
 * Thread fiber
 */
HARK_API int64_t hark_condition_wait(struct hark_condition *condition, struct hark_mutex *mutex);

/* Wakes the first who waits, or all.
 *
 * Thread loop
 */
HARK_API void hark_condition_signal(struct hark_condition *condition);
HARK_API void hark_condition_broadcast(struct hark_condition *condition);

/* A number of permits. */
struct hark_semaphore { size_t count; struct hark_waiters waiters; };

/* Takes a permit.
 *
 * Result 0; HARK_ECANCELED, HARK_ETIMEDOUT: none was taken.
 * Thread fiber
 */
HARK_API int64_t hark_semaphore_take(struct hark_semaphore *semaphore);

/* Takes a permit if there is one.
 *
 * Thread loop
 */
HARK_API bool hark_semaphore_try_take(struct hark_semaphore *semaphore);

/* Gives a permit.
 *
 * Thread loop
 */
HARK_API void hark_semaphore_give(struct hark_semaphore *semaphore);

/* Work that is not over yet, counted. */
struct hark_group { size_t count; struct hark_waiters waiters; };

/* Counts work to come, or work that is over; no more may be over than came.
 *
 * Thread loop
 */
HARK_API void hark_group_add(struct hark_group *group, size_t count);
HARK_API void hark_group_done(struct hark_group *group);

/* Waits until the count is zero.
 *
 * Result 0; HARK_ECANCELED, HARK_ETIMEDOUT.
 * Thread fiber
 */
HARK_API int64_t hark_group_wait(struct hark_group *group);

/* Something that is done once. */
struct hark_once { int state; int64_t result; struct hark_waiters waiters; };

/* Runs fn(arg) if nobody has, and waits for it if somebody does. Where fn returns that its fiber
 * was asked to end, nothing is done yet: the next one runs it again.
 *
 * Result what fn returned; HARK_ECANCELED, HARK_ETIMEDOUT: asked to end while waiting.
 * Thread fiber
 */
HARK_API int64_t hark_once_run(struct hark_once *once, hark_fiber_fn *fn, void *arg);

/* What each fiber has a value of its own for. Opened once for the process, never closed. */
typedef void hark_destroy_fn(void *value);
struct hark_local { int slot; };

enum { HARK_LOCALS = 8 };

/* Opens one.
 *
 * destroy  called with a value that is not NULL when its fiber ends; NULL: nothing is.
 * Result   0; HARK_ENOBUFS: there are HARK_LOCALS already.
 * Thread   any
 */
HARK_API int hark_local_open(struct hark_local *local, hark_destroy_fn *destroy);

/* Gives the value in the fiber that runs, NULL at first, or sets it.
 *
 * Thread fiber
 */
HARK_API void *hark_local_get(const struct hark_local *local);
HARK_API void hark_local_set(const struct hark_local *local, void *value);

/* Sends each item to all who subscribe. A sender never waits: who is too slow misses items, and is
 * told how many. */
struct hark_broadcast {
    char *items;
    size_t item_bytes, room_count;
    uint64_t sent_count;
    bool is_closed;
    struct hark_loop *loop;
    struct hark_waiters waiters;
};

/* Opens a broadcast of items of one size; room_count of them are kept for the slow.
 *
 * Result 0; HARK_EINVAL: no room, or an item of more than 1 MiB or of nothing; HARK_ENOMEM.
 * Thread loop
 */
HARK_API int hark_broadcast_open(struct hark_broadcast *broadcast, struct hark_loop *loop,
                                 size_t item_bytes, size_t room_count);

/* Ends it: who has received all that was sent gets HARK_ECLOSED. Then frees it; nobody may wait.
 *
 * Thread loop
 */
HARK_API void hark_broadcast_close(struct hark_broadcast *broadcast);
HARK_API void hark_broadcast_free(struct hark_broadcast *broadcast);

/* Sends an item.
 *
 * item   copied.
 * Result 0; HARK_ECLOSED.
 * Thread loop
 */
HARK_API int hark_broadcast_send(struct hark_broadcast *broadcast, const void *item);

/* Who receives, and how far: what is sent from the subscription on. */
struct hark_subscription { struct hark_broadcast *broadcast; uint64_t next; };

/* Subscribes.
 *
 * Thread loop
 */
HARK_API void hark_subscribe(struct hark_subscription *subscription,
                             struct hark_broadcast *broadcast);

/* Receives the next item; waits until there is one.
 *
 * Result how many items were missed before this one, 0 mostly; HARK_ECLOSED; HARK_ECANCELED,
 *        HARK_ETIMEDOUT.
 * Thread fiber
 */
HARK_API int64_t hark_subscription_receive(struct hark_subscription *subscription, void *item);

/* Moments at equal distances, without drift. */
struct hark_ticker { int64_t next_ns, interval_ns; };

/* Sets the first tick an interval from now.
 *
 * interval_ns  at least 1.
 * Thread       fiber
 */
HARK_API void hark_ticker_open(struct hark_ticker *ticker, int64_t interval_ns);

/* Waits for the next tick.
 *
 * Result how many have passed since the last one: 1 when on time; HARK_ECANCELED, HARK_ETIMEDOUT.
 * Thread fiber
 */
HARK_API int64_t hark_ticker_wait(struct hark_ticker *ticker);

#define hark_mutex_lock(...) HARK_FIBER_AT_((hark_mutex_lock)(__VA_ARGS__))
#define hark_condition_wait(...) HARK_FIBER_AT_((hark_condition_wait)(__VA_ARGS__))
#define hark_semaphore_take(...) HARK_FIBER_AT_((hark_semaphore_take)(__VA_ARGS__))
#define hark_group_wait(...) HARK_FIBER_AT_((hark_group_wait)(__VA_ARGS__))
#define hark_once_run(...) HARK_FIBER_AT_((hark_once_run)(__VA_ARGS__))
#define hark_subscription_receive(...) HARK_FIBER_AT_((hark_subscription_receive)(__VA_ARGS__))
#define hark_ticker_wait(...) HARK_FIBER_AT_((hark_ticker_wait)(__VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
