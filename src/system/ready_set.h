/* A descriptor that is readable while any of several is ready, or a moment has come: what a loop
 * that is lent is waited for by (loop/lend.c). linux/ has it as an epoll set with a timerfd in it,
 * bsd/ as a kqueue. */
#ifndef HARK_SYSTEM_READY_SET_H
#define HARK_SYSTEM_READY_SET_H

#include <stdbool.h>
#include <stdint.h>

struct ready_set { int fd, timer_fd; /* -1: it needs none */ };

enum { READY_READ = 1, READY_WRITE = 2 };
enum { READY_AT_ONCE = 1, READY_NEVER = 0 }; /* moments */

/* 0 or a negative errno, as with all that follow. */
int ready_set_open(struct ready_set *set);

/* is_inherited: in a child that was forked. */
void ready_set_close(struct ready_set *set, bool is_inherited);

/* Watches fd for exactly that; 0 forgets it. What cannot be waited for is refused. */
int ready_set_watch(struct ready_set *set, int fd, unsigned want);

/* Takes away what is told once: moments, and changes of descriptors of hark's own. */
void ready_set_look(struct ready_set *set);

/* Sets the moment, by the monotonic clock, or one of the two above. */
void ready_set_arm(struct ready_set *set, int64_t when);

#endif
