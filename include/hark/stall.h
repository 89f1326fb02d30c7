/* Which callback holds the loop? A watch over all loops of the process.
 *
 * While it is on, a loop tells by two plain stores a callback whose it is, and one thread, the
 * sampler, looks at it. A turn that lasts longer than the budget is caught while it lasts: the
 * stack of its thread, whether it runs or waits, in which system call and on what, and the op whose
 * callback holds the loop. It is looked at again every 10 ms, and its length is told at the end.
 * While all loops sleep, the sampler does too, without a bound.
 *
 * Nothing is done to the program that it could notice. No call of its own ends with EINTR: the
 * stack of a thread in a system call is read from outside, and a running one is asked by a timer of
 * its own processor time, whose signal Linux (5.9 and later; before, nearly always) hands over on
 * the way out of the kernel only. That signal is a real-time one that has no handler; it gets one
 * while the watch is on.
 *
 * On Windows the thread (by HARK_STALL_DUMP each in turn) stands still for as long as its registers
 * and the upper part of its stack are copied, which needs no call of its own either. Its system
 * call is told by the name that ntdll has for it, without a descriptor. On processors other than
 * x86-64 there is neither. On macOS and the BSDs a thread cannot be looked at by another: there it
 * is told whose callback holds the loop, where that was submitted and for how long, and no stack.
 *
 * HARK_STALL=50ms in the environment turns the watch on in any program that opens a loop, with that
 * budget and reports on stderr; HARK_STALL=50ms,dump and 50ms,abort do more, as enum
 * hark_stall_action says. Units are us, ms and s. A value that is none is told in a line on stderr,
 * and nothing is watched.
 *
 * The first 64 loops are watched. */
#ifndef HARK_STALL_H
#define HARK_STALL_H

#include <hark/loop.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* When a report is made. */
enum hark_stall_moment {
    HARK_STALL_CAUGHT,      /* the turn has lasted longer than the budget */
    HARK_STALL_GOES_ON,     /* and still does, again_ns later */
    HARK_STALL_OVER         /* it has ended: held_ns is its length */
};

/* What is done besides calling fn. */
enum hark_stall_action {
    HARK_STALL_WARN,        /* reports on stderr: one stall a second, the others are counted */
    HARK_STALL_QUIET,       /* nothing */
    HARK_STALL_DUMP,        /* a report with the stacks of all threads of the process, where one can
                             * look at another */
    HARK_STALL_ABORT        /* a report, then abort(3): a core has everything */
};

/* What the thread of the loop does. */
enum hark_stall_state {
    HARK_STALL_UNKNOWN,     /* there is nobody to ask, as where /proc is missing */
    HARK_STALL_RUNS,        /* on a processor, or ready to be */
    HARK_STALL_WAITS        /* in a system call, or for memory. On Windows also in one that does not
                             * wait, of win32u.dll if the watch found that loaded when it began */
};

enum { HARK_STALL_FRAMES = 48 };

/* What is known of a stall. All of it is the sampler's and only there during the call of fn. */
struct hark_stall {
    enum hark_stall_moment moment;
    const struct hark_loop *loop; /* to compare with: it may be closed by now */
    int64_t held_ns;        /* how long this turn has kept the loop from waiting, so far */
    int64_t budget_ns;
    int64_t call_ns;        /* how long the callback that runs has, at least */
    unsigned callbacks;     /* begun in this turn, modulo 2^16 */
    int64_t ready_ns;       /* how long, since the first look at this turn, the thread could run and
                             * had no processor; 0 also where the kernel does not tell */
    bool is_many;           /* no single callback took half of it: many add up */
    unsigned share;         /* with is_many: percent of the looks that met this kind and place */
    int thread;             /* as gettid(2) or GetCurrentThreadId() says; elsewhere it only tells
                             * threads apart */

    /* The callback that runs; with is_many the one met most often. All may be NULL. */
    const char *kind;       /* of the op, as inspection tells it: "recv", "file read", ...; or
                             * "fibers": those that were ready */
    const char *place;      /* file:line of its submission */
    const char *label;      /* as it was set, as long as its memory is readable */
    const char *fiber;      /* that runs: its name, or "" */
    const char *fiber_place; /* file:line of its start */

    enum hark_stall_state state;
    int syscall;            /* its number, or -1, as always on Windows */
    const char *syscall_name; /* "read", "NtReadFile", ...; NULL: none, or one that is not in the
                             * table */
    int fd;                 /* that it works on, or -1 */
    const char *target;     /* what that is: a path, "tcp 127.0.0.1:80"; or the path of an open;
                             * or NULL */

    /* The innermost first. Those from `certain` on were found by looking for return addresses on
     * the stack, and may be of calls that are over. */
    const uintptr_t *frames;
    size_t frame_count, certain;
};

/* Called by the sampler's thread, for one stall after the other. It may be called while the loop
 * goes on. It must not wait for a loop. */
typedef void hark_stall_fn(const struct hark_stall *stall, void *user);

/* All zero is the default for each. */
struct hark_stall_options {
    int64_t budget_ns;      /* 0: 50 ms */
    int64_t again_ns;       /* between two looks at a stall that goes on; 0: 10 ms */
    hark_stall_fn *fn;      /* NULL: none */
    void *user;             /* for fn */
    enum hark_stall_action action;
};

/* Turns the watch on for all loops of the process, those that are open and those to come; or
 * changes its options. It takes the place of what HARK_STALL asked for.
 *
 * options  copied; NULL for the defaults.
 * Result   0; HARK_EINVAL: a time is negative or less than 100 us, or there is no such action;
 *          HARK_EAGAIN: the sampler's thread, or what wakes it, is not to be had.
 * Thread   any but the sampler's
 */
HARK_API int hark_stall_watch(const struct hark_stall_options *options);

/* Turns the watch off, and leaves signals as they were. Does nothing if it is off. fn is not called
 * any more when this returns. In a program that forks, the child has no watch.
 *
 * Thread   any; from fn it returns at once, and that call of fn is the last one.
 */
HARK_API void hark_stall_unwatch(void);

/* Prints a stall as HARK_STALL_WARN does.
 *
 * Thread   the sampler's, in fn
 */
HARK_API void hark_stall_print(const struct hark_stall *stall, FILE *to);

/* Writes where a frame is: "function (file:line)" if libdw can be loaded (it is looked for when the
 * first name is asked for), else "function+0x12 (module)" or "module+0x1234". On Windows the place
 * of libdw is dbghelp's, which one thread at a time may use: a program that does so itself turns
 * the watch off meanwhile.
 *
 * index   of the frame.
 * text    always terminated.
 * Result  the length of the text; 0: there is no such frame.
 * Thread  the sampler's, in fn
 */
HARK_API size_t hark_stall_frame(const struct hark_stall *stall, size_t index, char *text,
                                 size_t room_bytes);

#ifdef __cplusplus
}
#endif
#endif
