/* Fibers: code that reads as if it blocked, while the loop goes on.
 *
 * A fiber has a stack of its own and runs until it waits; then the loop, or the next fiber, goes
 * on. hark_await waits for any op: the op and its buffer may lie on the fiber's stack, since
 * nothing is touched after the result. A fiber stays on the thread of its loop, because compilers
 * keep the addresses of errno and of thread-local data in registers over a call.
 *
 * Registers are switched, and nothing else: signal mask and floating-point modes are the thread's.
 * A stack is 64 KiB of addresses at least (hark_loop_options.fiber_stack_bytes) and takes memory as
 * it is used; below it lies a guard, so that an overflow ends the program and corrupts nothing. (A
 * function with more than 12 KiB of locals could step over it: -fstack-clash-protection helps.) */
#ifndef HARK_FIBER_H
#define HARK_FIBER_H

#include <hark/loop.h>
#include <hark/net.h>
#include <hark/offload.h>
#include <hark/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hark_fiber;

/* The code of a fiber. A negative result is an error: it ends the scope that the fiber is in. */
typedef int64_t hark_fiber_fn(void *arg);

/* Starts a fiber that belongs to the loop: hark_loop_close() cancels it and waits for it. Its
 * result goes nowhere. It first runs in one of the next turns.
 *
 * Result 0; HARK_ENOMEM: no stack; HARK_ECANCELED: the loop is being closed.
 * Thread loop; from callbacks, fibers, and before hark_run().
 */
HARK_API int hark_fiber_start(struct hark_loop *loop, hark_fiber_fn *fn, void *arg);

/* Starts a fiber, runs the loop as hark_run() does, and gives what the fiber returned.
 *
 * Result as fn gave it; HARK_ENOMEM; HARK_EDEADLK: it waits for what cannot come; HARK_ECANCELED:
 *        hark_stop() came first; or the error of a kernel that can no longer wait.
 * Thread the one that will own the loop; not from a callback or a fiber.
 */
HARK_API int64_t hark_fiber_main(struct hark_loop *loop, hark_fiber_fn *fn, void *arg);

/* Starts any op and waits for its result:
 *
 *     int64_t n = hark_await(&op, hark_recv, &io, buf, sizeof buf);
 *
 * op     zeroed or idle; deadline_ns and label may be set. While it is awaited its user field is
 *        hark's.
 * verb   any verb that calls back once, with its arguments but the last: the callback is hark's.
 * Result as the verb says; HARK_ECANCELED or HARK_ETIMEDOUT also when a scope asked for the end of
 *        what is in it, unless the true result came first. In any case the op has settled.
 * Thread fiber
 */
#define hark_await(op, verb, ...) \
    (verb(hark_await_begin(op), __VA_ARGS__, hark_await_done), hark_await_end())

/* Starts any op and goes on: hark_await_started() or a case of hark_select() waits for it. The op
 * must have been waited for before the fiber ends. Its user field is hark's until then.
 *
 * Thread fiber
 */
#define hark_await_start(op, verb, ...) \
    (verb(hark_await_begin_detached(op), __VA_ARGS__, hark_await_done))

/* Waits for an op of hark_await_start; at once if it has ended.
 *
 * Result as for hark_await.
 * Thread fiber, the one that started it
 */
HARK_API int64_t hark_await_started(struct hark_op *op);

/* What the two macros are made of.
 *
 * Thread fiber; of hark_await_done(): loop
 */
HARK_API struct hark_op *hark_await_begin(struct hark_op *op);
HARK_API struct hark_op *hark_await_begin_detached(struct hark_op *op);
HARK_API void hark_await_done(struct hark_op *op);
HARK_API int64_t hark_await_end(void);

/* Lets the other fibers that can run do so first. Does not look whether it was canceled.
 *
 * Thread fiber
 */
HARK_API void hark_fiber_yield(void);

/* Waits for a time.
 *
 * Result 0; HARK_ECANCELED, HARK_ETIMEDOUT: a scope asked for the end.
 * Thread fiber
 */
HARK_API int64_t hark_fiber_sleep(int64_t delay_ns);

/* Waits until a moment of the loop's time.
 *
 * Result as for hark_fiber_sleep().
 * Thread fiber
 */
HARK_API int64_t hark_fiber_sleep_until(int64_t when_ns);

/* Tells whether a scope has asked for the end of what this fiber does: then every wait ends at
 * once.
 *
 * Result 0; HARK_ECANCELED, HARK_ETIMEDOUT.
 * Thread fiber
 */
HARK_API int64_t hark_fiber_interrupted(void);

/* Gives the fiber that runs, or NULL outside of all.
 *
 * Thread any
 */
HARK_API struct hark_fiber *hark_fiber_self(void);

/* Gives the loop of the fiber that runs.
 *
 * Thread fiber
 */
HARK_API struct hark_loop *hark_fiber_loop(void);

/* Names the fiber that runs, for inspection and for the report of an overflow.
 *
 * name   borrowed until the fiber ends.
 * Thread fiber
 */
HARK_API void hark_fiber_name(const char *name);

/* Tells how much of a fiber's stack was ever touched, in bytes, by whole pages; since stacks are
 * used again, by earlier fibers too.
 *
 * Thread loop
 */
HARK_API size_t hark_fiber_stack_used(const struct hark_fiber *fiber);

/* Receives what there is, at least one byte. As hark_recv().
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_recv(struct hark_io *io, void *buf, size_t len);

/* Receives len bytes.
 *
 * Result len; HARK_ECLOSED: the peer ended its side before; errors as for hark_recv(). How much had
 *        come by then is not told.
 * Thread fiber
 */
HARK_API int64_t hark_fiber_recv_exactly(struct hark_io *io, void *buf, size_t len);

/* Sends all of the bytes. As hark_send().
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_send_all(struct hark_io *io, const void *buf, size_t len);

/* Accepts one connection and opens io on it. While descriptors are wanting it waits, and those who
 * wait are refused, as with hark_accept().
 *
 * Result 0; HARK_ENOMEM; errors as for hark_accept().
 * Thread fiber
 */
HARK_API int64_t hark_fiber_accept(struct hark_io *listener, struct hark_io *io);

/* Connects. As hark_connect().
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_connect(struct hark_io *io, const struct sockaddr *addr, socklen_t len);

/* Closes io. As hark_close(); it comes to its end also in a scope that was canceled.
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_close(struct hark_io *io);

/* Runs fn(arg) on a pool thread and waits for its result. As hark_offload(): once fn runs, it is
 * waited for.
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_offload(enum hark_offload_class offload_class, hark_fiber_fn *fn,
                                    void *arg);

/* Bytes that were received ahead, for lines and for what comes after them. The caller sets io, buf
 * and room_bytes. */
struct hark_reader {
    struct hark_io *io;
    char *buf;
    size_t room_bytes;

    /* Private: where the bytes not yet taken lie in buf. */
    size_t begin, end;
};

/* Reads a line.
 *
 * line   set to its first byte, in the reader's buf; ends with a zero byte in place of the line end
 *        ("\n" or "\r\n"). Good until the next call on the reader.
 * Result its length; HARK_ECLOSED: the peer has ended its side (what it sent after the last line
 * end
 *        is lost); HARK_EMSGSIZE: the line does not fit into buf; errors as for hark_recv().
 * Thread fiber
 */
HARK_API int64_t hark_fiber_read_line(struct hark_reader *reader, char **line);

/* Reads len bytes, those first that came with the lines before.
 *
 * Result as for hark_fiber_recv_exactly().
 * Thread fiber
 */
HARK_API int64_t hark_fiber_read_exactly(struct hark_reader *reader, void *buf, size_t len);

/* Reads a line of a stream. As hark_stream_read_line(), without an op if one is there already.
 *
 * line   set to its first byte; good until the next read of the stream.
 * Thread fiber
 */
HARK_API int64_t hark_fiber_stream_read_line(struct hark_stream *stream, char **line);

/* Writes all of the bytes to a stream. As hark_stream_write().
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_stream_write(struct hark_stream *stream, const void *data, size_t len);

/* Records the place of the call that follows; used by the macros of the calls above.
 *
 * Thread any
 */
HARK_API void hark_fiber_at(const char *place);

#define HARK_FIBER_AT_(call) (hark_fiber_at(HARK_PLACE), call)
#define hark_fiber_start(...) HARK_FIBER_AT_((hark_fiber_start)(__VA_ARGS__))
#define hark_fiber_main(...) HARK_FIBER_AT_((hark_fiber_main)(__VA_ARGS__))
#define hark_fiber_sleep(...) HARK_FIBER_AT_((hark_fiber_sleep)(__VA_ARGS__))
#define hark_fiber_sleep_until(...) HARK_FIBER_AT_((hark_fiber_sleep_until)(__VA_ARGS__))
#define hark_fiber_recv(...) HARK_FIBER_AT_((hark_fiber_recv)(__VA_ARGS__))
#define hark_fiber_recv_exactly(...) HARK_FIBER_AT_((hark_fiber_recv_exactly)(__VA_ARGS__))
#define hark_fiber_send_all(...) HARK_FIBER_AT_((hark_fiber_send_all)(__VA_ARGS__))
#define hark_fiber_accept(...) HARK_FIBER_AT_((hark_fiber_accept)(__VA_ARGS__))
#define hark_fiber_connect(...) HARK_FIBER_AT_((hark_fiber_connect)(__VA_ARGS__))
#define hark_fiber_close(...) HARK_FIBER_AT_((hark_fiber_close)(__VA_ARGS__))
#define hark_fiber_offload(...) HARK_FIBER_AT_((hark_fiber_offload)(__VA_ARGS__))
#define hark_fiber_read_line(...) HARK_FIBER_AT_((hark_fiber_read_line)(__VA_ARGS__))
#define hark_fiber_stream_read_line(...) HARK_FIBER_AT_((hark_fiber_stream_read_line)(__VA_ARGS__))
#define hark_fiber_stream_write(...) HARK_FIBER_AT_((hark_fiber_stream_write)(__VA_ARGS__))
#define hark_fiber_read_exactly(...) HARK_FIBER_AT_((hark_fiber_read_exactly)(__VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
