/* Every bound of the library in one place, and the shrunken ones of test builds (HARK_SMALL), which
 * make rare paths daily ones. */
#ifndef HARK_BASE_LIMITS_H
#define HARK_BASE_LIMITS_H

#ifdef HARK_SMALL
enum {
    LIMIT_TURN_BUDGET = 3,       /* callbacks in a turn */
    LIMIT_EVENTS = 2,            /* events taken from epoll at once */
    LIMIT_RING_ENTRIES = 4,      /* submission queue of io_uring */
    LIMIT_RING_COMPLETIONS = 8,
    LIMIT_HARVESTS = 2,          /* turns that live on completions already there */
    LIMIT_ACCEPT_BURST = 2,      /* accepts of one listener in a turn */
    LIMIT_IOVECS = 2,            /* slices handed to one system call */
    LIMIT_TIMER_SCAN = 2,        /* timers looked at to find the earliest */
    LIMIT_RETRY_MS = 1,
    LIMIT_THREAD_IDLE_S = 1,
    LIMIT_CLOSE_TRIES = 1000,    /* waits that fail in a row before a closing loop gives up */
};
#else
enum {
    LIMIT_TURN_BUDGET = 1024,
    LIMIT_EVENTS = 256,
    LIMIT_RING_ENTRIES = 512,
    LIMIT_RING_COMPLETIONS = 4096,
    LIMIT_HARVESTS = 16,
    LIMIT_ACCEPT_BURST = 32,
    LIMIT_IOVECS = 64,
    LIMIT_TIMER_SCAN = 16,
    LIMIT_RETRY_MS = 20,
    LIMIT_THREAD_IDLE_S = 10,
    LIMIT_CLOSE_TRIES = 1000,
};
#endif

#endif
