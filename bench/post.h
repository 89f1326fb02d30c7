/* The benchmark of posting from another thread: what post.c drives, what each post_LIBRARY.c
 * implements, and the locked queue that all but hark need. */
#ifndef BENCH_POST_H
#define BENCH_POST_H

#include <stdbool.h>
#include <stdint.h>

/* Opens the loop and what count items need. arg: of the command line, or NULL. */
void post_open(uint32_t count, const char *arg);

/* Hands an item to the loop, which calls post_arrived() with it. From the other thread. */
void post_item(uint32_t item);

/* Runs the loop until post_stop(), which only post_arrived() calls. */
void post_run(void);
void post_stop(void);

/* In post.c: an item has arrived on the loop's thread. */
void post_arrived(uint32_t item);

/* The locked queue. Open makes room for count items; push tells whether it was empty; drain calls
 * post_arrived() for all, outside the lock. */
void post_queue_open(uint32_t count);
bool post_queue_push(uint32_t item);
void post_queue_drain(void);

_Noreturn void post_die(const char *what);

#endif
