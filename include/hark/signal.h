/* Signals as repeating ops: on any loop and thread, several listeners for one signal.
 *
 * While somebody listens, the signal's handler is hark's, installed with SA_RESTART; whatever
 * handled it before is not called, and is put back when the last listener ends (unless the program
 * has set another meanwhile). Signal masks are left alone: at least one thread must not block the
 * signal, and it need not be one of a loop. A forked child inherits no listener: there a signal
 * does what it did before the first of them.
 *
 * On Windows SIGINT, SIGTERM, SIGABRT and SIGBREAK are what this program raises, by one thread at a
 * time; Ctrl-C is SIGINT, too, and Ctrl-Break SIGBREAK; SIGHUP is the close of the console, SIGTERM
 * also a shutdown, and the system ends the program some seconds after either. No other is heard. */
#ifndef HARK_SIGNAL_H
#define HARK_SIGNAL_H

#include <hark/loop.h>
#include <hark/op.h>
#include <hark/system.h>
#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

struct layer;

/* What hark_signal() works with. */
struct hark_signal {
    int number;               /* to read in the callback: the signal */
    pid_t pid;                /* the same: who sent the last one, if it was sent by kill(2) */
    uid_t uid;                /* and whose process that was */

    /* Private from here on. */
    const struct layer *layer;
    struct hark_op *op, post;
    struct hark_signal *next;
    uint64_t sender;
    uint32_t count, is_posted;
    pid_t owner;
    bool is_ending;
};

/* Calls back whenever a signal is delivered, until canceled: a repeating op. To let hark_run() end
 * although it listens, see hark_background().
 *
 * signal  zeroed or idle; borrowed until the last callback.
 * number  of the signal; not SIGKILL or SIGSTOP, which cannot be caught, nor SIGSEGV, SIGBUS,
 *         SIGFPE or SIGILL, after which nothing can go on; on Windows see above.
 * Result  how many deliveries this callback stands for: 1 or more. The last callback too may bring
 *         some that came before the end; else HARK_ECANCELED, HARK_ETIMEDOUT; HARK_EINVAL: not a
 *         signal to listen for.
 * Thread  loop
 */
HARK_API void hark_signal(struct hark_op *op, struct hark_signal *signal, struct hark_loop *loop,
                          int number, hark_done_fn *done);

#define hark_signal(op, ...) (hark_signal)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
