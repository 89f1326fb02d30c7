/* One asynchronous request, and what can be done to any of them.
 *
 * The caller owns the memory of an op. The library borrows it from the submission until its last
 * callback begins; in that callback the op, its buffer and its arguments are the caller's again and
 * may be reused or freed. An op that was never submitted must be zeroed.
 *
 *            submit                    side is free                 backend_finish
 *   idle ------------------> queued ------------------> running -------------------> done
 *    ^        (hark_recv...)    |   hark_cancel, deadline                             |
 *    |                          +-----------------------------------------------------+
 *    +--------------------------------------------------- the last callback begins ---+
 *
 * A verb never fails by return: every failure is the result that the callback gets. */
#ifndef HARK_OP_H
#define HARK_OP_H

#include <hark/api.h>
#include <hark/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hark_loop;
struct hark_io;
struct hark_op;
struct hark_pool;
struct hark_datagram;
struct hark_datagram_batch;
struct hark_descriptors;
struct hark_file;
struct hark_range;
struct iovec;
struct sockaddr;

/* Called on the loop's thread, from inside hark_run() or hark_step() only. */
typedef void hark_done_fn(struct hark_op *op);

/* Work for hark_offload(): runs on a pool thread; its return value becomes the op's result. */
typedef int64_t hark_work_fn(struct hark_op *op);

struct hark_op {
    /* The caller's, to set before a submission. */
    void *user;             /* never touched by the library */
    int64_t deadline_ns;    /* loop time, see hark_after(); 0: none. 0 again in the last callback */

    /* The answer, to read in the callback. */
    int64_t result;         /* what read(2) would have said, or a negative enum hark_error */
    int32_t os_error;       /* the system's number behind a negative result; 0: hark decided */
    bool more;              /* a repeating op: further callbacks follow; false: this is the last */

    /* Private. To here, a cache line: all that a timer needs. */
    uint8_t kind, state, flags;
    struct { void *next, *prev; int64_t when; } timer;
    union { struct hark_io *io; struct hark_loop *loop; struct hark_file *file; } on;

    /* The caller's too. */
    const char *label;      /* for inspection; borrowed. NULL again in the last callback */

    /* Private from here on. */
    struct hark_op *next;
    hark_done_fn *done;
    const char *place;
    uint32_t started;
    uint8_t backend, call, spare[2];
    union {
        struct { char *base; size_t len, moved; } buf;
        struct { struct iovec *list; size_t count, moved; } iov;
        struct { struct hark_datagram *datagram; } dgram;
        struct { struct hark_datagram_batch *batch; size_t offset; uint32_t moved;
                 bool is_plain, is_stuck; } batch;
        struct { struct hark_descriptors *descriptors; bool is_stuck; } rights;
        struct { const struct sockaddr *addr; uint32_t len; bool has_begun; } peer;
        struct { struct hark_pool *pool; void *data; uint32_t index; } pool;
        struct { hark_work_fn *fn; uint8_t lane, asked; } work;
        struct { int64_t interval_ns; int32_t order; } every;
        struct { int how; } shutdown;
        struct { void *layered; struct hark_op *next, *prev; } layer;
        struct { void *base; size_t len; int64_t offset; } file;
        struct { const struct hark_range *range; size_t sent; uint32_t part; uint8_t buffer;
                 bool is_for_pool; } sending;
        struct { const char *path; void *other; int32_t flags; uint32_t mode; } path;
    } u;
};

/* Records the place of a submission; used by the verbs' macros. */
static inline struct hark_op *hark_at(struct hark_op *op, const char *place)
{
    op->place = place;
    return op;
}

/* Asks a submitted op to finish soon. The callback still comes, exactly once, and never from inside
 * this call: with HARK_ECANCELED, or with the true result if that came first.
 *
 * op     submitted and not yet called back for the last time; an idle op is left alone.
 * Result true if the op was alive; false if it was idle, and nothing happens.
 * Thread loop
 * Order  an op that waited behind others on its io is done at once; one that the kernel has is the
 *        caller's again only in its callback. Bytes that arrived are never dropped by a cancel. A
 *        post and a close cannot be canceled: they come to their end by themselves.
 */
HARK_API bool hark_cancel(struct hark_op *op);

/* Moves the deadline of a submitted op; of a timer: the moment it is due. No callback is made for
 * the moment that was replaced.
 *
 * deadline_ns  loop time; in the past: due in the next turn. 0 removes a deadline, and is
 *              refused for a timer.
 * Result true if it was moved; false if the op is idle or its result is already on its way.
 * Thread loop
 */
HARK_API bool hark_rearm(struct hark_op *op, int64_t deadline_ns);

/* Lets hark_run() end although this submitted op has not: for heartbeats and listeners that are not
 * a reason to stay. Holds until the op's last callback.
 *
 * Thread loop
 */
HARK_API void hark_background(struct hark_op *op);

/* Tells whether an op is submitted and has not begun its last callback.
 *
 * Thread loop
 */
HARK_API bool hark_is_alive(const struct hark_op *op);

/* Tells the loop of an op that was submitted at least once.
 *
 * Thread loop
 */
HARK_API struct hark_loop *hark_op_loop(const struct hark_op *op);

/* Tells the io of an op whose last submission was on one; NULL for a timer, a post and their like,
 * and for an op that came after the close of its io.
 *
 * Thread loop
 */
HARK_API struct hark_io *hark_op_io(const struct hark_op *op);

#ifdef __cplusplus
}
#endif
#endif
