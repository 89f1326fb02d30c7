/* The loops that program.c can make its call in. */
#ifndef TESTS_BLOCKING_LOOPS_H
#define TESTS_BLOCKING_LOOPS_H

#include <stdatomic.h>
#include <stdbool.h>

/* Runs a loop that waits twice and calls fn in a callback in between, then ends it. name is
 * "epoll", "libuv", "libevent" or "hark" (its backend by $HARK_BACKEND). False: it is not in
 * this build. */
bool loop_run(const char *name, void (*fn)(void));

#endif
