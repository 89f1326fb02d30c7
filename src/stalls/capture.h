/* One look at a thread: stop it, copy registers and frames, let it go on; then name what was
 * seen. */
#ifndef STALLS_CAPTURE_H
#define STALLS_CAPTURE_H

#include "stalls/javascript.h"
#include "stalls/native.h"
#include "stalls/python.h"
#include "stalls/stalls.h"

/* A process that is looked into. */
struct target {
    pid_t pid;
    struct native *native;
    struct python *python;         /* NULL: none */
    struct javascript *javascript; /* NULL: none */
};

/* 0, and why a runtime that is there cannot be read, or ""; or -1 and why: the process is gone, is
 * not ours, or may not be traced. */
int target_open(struct target *target, pid_t pid, char *why, size_t room);
void target_close(struct target *target);

/* Once more, of a target without one: a program may load its runtime late. */
void target_find_runtimes(struct target *target, char *why, size_t room);

/* Looks at a thread. Stops it by ptrace (SEIZE, INTERRUPT, DETACH) unless it is in a system call
 * that a stop would end with EINTR (epoll_wait, a receive with a time-out, semtimedop): then it
 * is read without a stop, as far as that goes. Never leaves it stopped, whatever happens to this
 * process. 0; -1: the thread is gone, or came back to its loop meanwhile (is_still_held says so).
 */
int capture_take(struct target *target, pid_t tid, bool (*is_still_held)(void *), void *arg,
                 struct capture *out);

/* Names the frames and merges native, Python and JavaScript ones in their true order. */
void capture_resolve(struct target *target, const struct capture *capture, struct stack *out);

/* describe.c: the system call as text, with what its descriptor is: "read(7 -> /tmp/fifo)",
 * "connect(23 -> 10.0.0.7:5432)", "flock(3 -> /tmp/lock)", "futex". */
const char *describe_call(pid_t pid, pid_t tid, long call, const uint64_t arguments[6]);

#endif
