/* The loop: one thread, one kernel interface, all waiting in one place.
 *
 * A turn hands over what was submitted, sleeps until something is due, harvests results, expires
 * timers, then runs the callbacks that are due now, at most a budget of them. What callbacks submit
 * belongs to the next turn. The time is read once a turn. */
#ifndef HARK_LOOP_H
#define HARK_LOOP_H

#include <hark/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The offload pool's classes: each has a queue and a bound of its own, so that slow name lookups
 * cannot starve file work. */
enum hark_offload_class {
    HARK_OFFLOAD_WORK,   /* computing; bound: the number of processors */
    HARK_OFFLOAD_FILE,   /* file system calls; bound: 16 */
    HARK_OFFLOAD_NAME,   /* name lookups; bound: 8 */
    HARK_OFFLOAD_CLASSES
};

/* Where a loop takes its memory from. resize() is realloc(3) with the old size told: ptr NULL asks
 * for new memory, new_bytes 0 frees and returns NULL. It is called when a loop, an io or a pool is
 * opened or closed and when a process is spawned, never when another op starts or finishes, and
 * only on the thread that does so. Look-ups of names, watches of files and the timers of the wall
 * clock and the boot clock are exceptions: their tables grow, on the loop's thread. */
struct hark_allocator {
    void *(*resize)(void *user, void *ptr, size_t old_bytes, size_t new_bytes);
    void *user;
};

/* All zero is the default for each. */
struct hark_loop_options {
    const char *backend;     /* "epoll", or a list in order, "io_uring,epoll". NULL: $HARK_BACKEND,
                              * else the best that this kernel allows */
    unsigned turn_budget;    /* callbacks in one turn at most; 0: 1024 */
    unsigned offload_threads[HARK_OFFLOAD_CLASSES]; /* threads at most; 0: as the classes say */
    const struct hark_allocator *allocator; /* copied; NULL: malloc(3) */
    size_t fiber_stack_bytes; /* that a fiber can use at least; 0: 64 KiB */
    bool reports_overflow;   /* a fiber that overflows its stack is named on stderr before the
                              * program dies of it: takes over SIGSEGV and SIGBUS, and hands on what
                              * is not about fibers */
    bool reports_deadlock;   /* hark_run() prints the tree of fibers to stderr before it returns
                              * HARK_EDEADLK */
};

/* Opens a loop.
 *
 * loop     set to the new loop on success, to NULL otherwise; closed with hark_loop_close().
 * options  copied; NULL for the defaults.
 * Result   0; HARK_EINVAL: a backend name is unknown; HARK_ENOSYS: no backend of the list works
 *          here (hark_backend_probe() says why); HARK_ENOMEM; HARK_EMFILE.
 * Thread   any; the first thread that runs the loop owns it from then on.
 */
HARK_API int hark_loop_open(struct hark_loop **loop, const struct hark_loop_options *options);

/* Ends a loop. First its fibers are canceled and waited for: what they do in a shielded scope works
 * as ever (so give it a deadline), and callbacks come. Then every op is canceled, all last
 * callbacks are made, the ios that are still open are closed, and the loop is freed. What callbacks
 * submit then finishes with HARK_ECANCELED. Work that already runs on a pool thread is waited for.
 *
 * In a child that was forked (not by vfork), it closes the child's copies of all descriptors and
 * frees the loop, makes no callback and leaves the parent's loop as it is. It is the only call that
 * a child may make with a loop, an io or an op of its parent's; it can open loops of its own.
 * Memory that watches and their like hold is given back when the child ends.
 *
 * loop    may be NULL.
 * Thread  loop; not from a callback, but in a forked child.
 */
HARK_API void hark_loop_close(struct hark_loop *loop);

/* Runs turns until no op is alive (background ones apart), nothing is held and nothing is posted,
 * or until hark_stop().
 *
 * Result 0; HARK_EDEADLK: fibers are left, each waits, and nothing is alive that could wake one
 *        (hark_loop_print() shows for what); or the error of a kernel that can no longer wait.
 * Thread the one that will own the loop; not from a callback.
 */
HARK_API int hark_run(struct hark_loop *loop);

/* Runs one turn.
 *
 * timeout_ns  the longest sleep: 0 looks only, negative is no bound.
 * Result      how many callbacks were made and fibers run; or a negative error of the kernel.
 * Thread      the one that will own the loop; not from a callback.
 */
HARK_API int64_t hark_step(struct hark_loop *loop, int64_t timeout_ns);

/* Gives a descriptor for another event loop to wait for: readable when hark_step() with timeout 0
 * has something to do, be it a timer, a post, a result or a fiber, and now and then without a
 * cause.
 *
 * Result the descriptor: an epoll set, to be polled and for nothing else; the loop closes it.
 *        HARK_EMFILE, HARK_ENFILE, HARK_ENOMEM; HARK_EOPNOTSUPP: on Windows.
 * Thread the one that will own the loop
 * Order  what is submitted outside of callbacks after the last hark_step() counts from the next
 *        hark_step() or hark_loop_fd() on: a loop that has a hook before its sleep calls it there.
 */
HARK_API int hark_loop_fd(struct hark_loop *loop);

/* Makes hark_run() return after the turn that it is in; called before hark_run(), at once.
 *
 * Thread any; also in a signal handler.
 */
HARK_API void hark_stop(struct hark_loop *loop);

/* Ends the sleep of the turn that the loop is in, or makes the next one not sleep.
 *
 * Thread any; also in a signal handler.
 */
HARK_API void hark_wake(struct hark_loop *loop);

/* Gives the time of this turn, in nanoseconds of CLOCK_MONOTONIC. Costs a load. After a callback
 * that took long it is that much behind: hark_refresh() brings it forward.
 *
 * Thread loop
 */
HARK_API int64_t hark_now(const struct hark_loop *loop);

/* Reads the clock anew and makes that the time of this turn.
 *
 * Thread loop
 */
HARK_API int64_t hark_refresh(struct hark_loop *loop);

/* Gives the loop time that lies delay_ns after hark_now(); never overflows, never 0.
 *
 * Thread loop
 */
HARK_API int64_t hark_after(const struct hark_loop *loop, int64_t delay_ns);

/* Runs done on the loop's thread, in one of its next turns: the only door between threads. The op
 * carries the payload in its user field. Posts of one thread arrive in the order posted.
 *
 * op     its deadline is ignored: a post cannot wait for anything.
 * Result 0.
 * Thread any. The caller sees to it that the loop is still open.
 */
HARK_API void hark_post(struct hark_op *op, struct hark_loop *loop, hark_done_fn *done);

/* Does nothing and calls back in the next turn.
 *
 * Result 0; HARK_ECANCELED.
 * Thread loop
 */
HARK_API void hark_nop(struct hark_op *op, struct hark_loop *loop, hark_done_fn *done);

/* Keeps hark_run() running although no op is alive, while other threads may still post. Counted:
 * each hold wants one hark_unhold().
 *
 * Thread loop
 */
HARK_API void hark_hold(struct hark_loop *loop);
HARK_API void hark_unhold(struct hark_loop *loop);

/* Names the kernel interface that the loop runs on: "select", "poll", "epoll", "kqueue",
 * "io_uring", "iocp".
 *
 * Thread any
 */
HARK_API const char *hark_loop_backend(const struct hark_loop *loop);

/* Names the backends of this build, best first: index 0, 1, ... NULL ends the list.
 *
 * Thread any
 */
HARK_API const char *hark_backend_name(size_t index);

/* Opens and closes a loop on one backend, to tell whether this kernel allows it.
 *
 * why     receives a line that says what was found or what refuses; room_bytes 0 wants none.
 * Result  0 if it works here; else the error; HARK_EINVAL for an unknown name.
 * Thread  any
 */
HARK_API int hark_backend_probe(const char *name, char *why, size_t room_bytes);

#define hark_post(op, ...) (hark_post)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_nop(op, ...) (hark_nop)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
