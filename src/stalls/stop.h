/* A thread stopped by ptrace for a moment. */
#ifndef STALLS_STOP_H
#define STALLS_STOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The kernel's ERESTARTNOHAND, which a tracer sees and may set: makes the call again, unless a
 * handler runs first; then it ends with EINTR. From its include/linux/errno.h. */
enum { STOP_RESTART = 514 };

/* What the registers say of a thread that stands. */
struct stop_call {
    bool is_known;            /* this processor's registers tell; else nothing below is set */
    long call;                /* the system call that it stands in, -1: in none */
    uint64_t arguments[6];
    bool is_interrupted;      /* it slept in it; it will be restarted by the kernel */
};

typedef void stop_look(const struct stop_call *call, void *arg);

/* Tells whether a stop is hidden by the kernel from a thread that sleeps in this call. */
bool stop_is_hidden(pid_t pid, long call, const uint64_t arguments[6]);

/* Runs work on a thread that ends with it, and waits for that: whatever it still traces then, the
 * kernel lets go, stopped or not. -1: there is no thread. */
int stop_by_thread(void *(*work)(void *), void *arg);

/* Stops a thread, calls look and lets the thread go on. 0; -1: it could not be stopped in time or
 * is gone. In every case, and if this process is killed at any moment, the thread goes on, with
 * every signal that came for it. stopped_ns: for how long it stood. */
int stop_and_look(pid_t tid, stop_look *look, void *arg, int64_t *stopped_ns);

#endif
