/* The blocking-call detector, as a program speaks to it.
 *
 * libhark-blocking.so, preloaded or linked in front of libc, reports each call that can block
 * and is made on a loop's thread: at its first time, and even if it happened to be quick. A
 * loop's thread is one that runs hark, or one that waits in epoll (libuv, libevent, a loop by
 * hand). What is meant to block is marked by these calls, or listed in HARK_BLOCKING_ALLOW; see
 * hark-blocking(7). They are in libhark, and in the detector for programs without it. Without
 * the detector they do nothing. */
#ifndef HARK_BLOCKING_H
#define HARK_BLOCKING_H

#include <hark/api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Begins a scope in which this thread may block. Scopes nest. It is the thread that is marked: a
 * fiber must not wait inside of one.
 *
 * Thread any
 */
HARK_API void hark_blocking_allow_begin(void);

/* Ends the scope that was begun last.
 *
 * Thread the one that began it
 */
HARK_API void hark_blocking_allow_end(void);

/* Tells whether the detector is there.
 *
 * Thread any
 */
HARK_API bool hark_blocking_is_watched(void);

#ifdef __cplusplus
}
#endif
#endif
