/* Channels between the fibers of one loop, and waiting for the first of several things.
 *
 * A channel carries items of one size. Without room a sender waits for a receiver; with room, only
 * while it is full. Items arrive in the order sent; who waits longest is served first. Another
 * thread sends by hark_post() and hark_channel_try_send(). */
#ifndef HARK_CHANNEL_H
#define HARK_CHANNEL_H

#include <hark/fiber.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hark_channel;

/* Opens a channel.
 *
 * item_bytes  the size of each item, 0 to 1 MiB.
 * room_count  items that it holds while nobody receives; 0: none.
 * Result      0; HARK_EINVAL: an item is too large; HARK_ENOMEM.
 * Thread      loop
 */
HARK_API int hark_channel_open(struct hark_channel **channel, struct hark_loop *loop,
                               size_t item_bytes, size_t room_count);

/* Ends a channel: senders get HARK_ECLOSED from now on, those that wait too; receivers get what is
 * in it, then HARK_ECLOSED. Doing so again changes nothing.
 *
 * Thread loop
 */
HARK_API void hark_channel_close(struct hark_channel *channel);

/* Frees a channel, with what is in it. Nobody may wait on it.
 *
 * channel  may be NULL.
 * Thread   loop; before the loop is closed.
 */
HARK_API void hark_channel_free(struct hark_channel *channel);

/* Sends an item; waits until there is room, or a receiver.
 *
 * item   copied.
 * Result 0; HARK_ECLOSED; HARK_ECANCELED, HARK_ETIMEDOUT: a scope asked for the end, and the item
 *        was not sent.
 * Thread fiber
 */
HARK_API int64_t hark_channel_send(struct hark_channel *channel, const void *item);

/* Receives an item; waits until there is one.
 *
 * item   the item is copied to it; NULL drops it.
 * Result 0; HARK_ECLOSED; HARK_ECANCELED, HARK_ETIMEDOUT: none was taken.
 * Thread fiber
 */
HARK_API int64_t hark_channel_receive(struct hark_channel *channel, void *item);

/* The same two with a deadline of their own.
 *
 * deadline_ns  loop time, see hark_after(); 0: none.
 * Thread       fiber
 */
HARK_API int64_t hark_channel_send_until(struct hark_channel *channel, const void *item,
                                         int64_t deadline_ns);
HARK_API int64_t hark_channel_receive_until(struct hark_channel *channel, void *item,
                                            int64_t deadline_ns);

/* The same two without waiting.
 *
 * Result 0; HARK_ECLOSED; HARK_EAGAIN: it would have to wait.
 * Thread loop; also outside of fibers
 */
HARK_API int hark_channel_try_send(struct hark_channel *channel, const void *item);
HARK_API int hark_channel_try_receive(struct hark_channel *channel, void *item);

/* Tells how many items are in the channel.
 *
 * Thread loop
 */
HARK_API size_t hark_channel_count(const struct hark_channel *channel);

/* Those who wait, in the order of their coming, and a place among them. Private. */
struct hark_waiters { struct hark_waiter *first, *last; };
struct hark_waiter {
    struct hark_waiter *next, *prev;
    struct hark_waiter *also;       /* the same fiber, elsewhere */
    struct hark_waiters *queue;
    struct hark_fiber *fiber;
    void *item;
    int index;
};

enum hark_case_kind {
    HARK_CASE_SEND,     /* channel, item */
    HARK_CASE_RECEIVE,  /* channel, item */
    HARK_CASE_OP,       /* op: of hark_await_start */
    HARK_CASE_TIME,     /* when_ns */
};

/* One of the things that hark_select() waits for. */
struct hark_case {
    enum hark_case_kind kind;
    struct hark_channel *channel;
    void *item;             /* to send, or room to receive into */
    struct hark_op *op;
    int64_t when_ns;        /* loop time */
    int64_t result;         /* set in the case that was first, as the call by itself would say */

    struct hark_waiter waiter; /* private */
};

/* Waits for the first of several things, and does only that. Of those that are ready at once, it is
 * not always the same one. An op whose case was not first goes on, and is waited for later.
 *
 * cases  count of them, at most 64.
 * Result the index of the case; HARK_ECANCELED, HARK_ETIMEDOUT: a scope asked for the end, and
 *        nothing was done; HARK_EINVAL: too many, or none.
 * Thread fiber
 */
HARK_API int hark_select(struct hark_case *cases, size_t count);

/* The same without waiting: HARK_EAGAIN if nothing is ready.
 *
 * Thread fiber
 */
HARK_API int hark_select_now(struct hark_case *cases, size_t count);

#define hark_channel_send(...) HARK_FIBER_AT_((hark_channel_send)(__VA_ARGS__))
#define hark_channel_receive(...) HARK_FIBER_AT_((hark_channel_receive)(__VA_ARGS__))
#define hark_channel_send_until(...) HARK_FIBER_AT_((hark_channel_send_until)(__VA_ARGS__))
#define hark_channel_receive_until(...) HARK_FIBER_AT_((hark_channel_receive_until)(__VA_ARGS__))
#define hark_select(...) HARK_FIBER_AT_((hark_select)(__VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
