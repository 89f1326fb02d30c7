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
    LIMIT_BATCH = 2,             /* datagrams handed to one system call */
    LIMIT_RIGHTS = 3,            /* descriptors in one message; 253 for Linux */
    LIMIT_RIGHTS_ROUNDS = 2,     /* parts received in a turn */
    LIMIT_SEND_BUFFERS = 1,      /* for files that io_uring sends, and their length */
    LIMIT_SEND_BYTES = 16384,
    LIMIT_SEND_BYTES_MIN = 4096, /* read at a time, however little the socket takes */
    LIMIT_TIMER_SCAN = 2,        /* timers looked at to find the earliest */
    LIMIT_RETRY_MS = 1,
    LIMIT_THREAD_IDLE_S = 1,
    LIMIT_CLOSE_TRIES = 1000,    /* waits that fail in a row before a closing loop gives up */
    LIMIT_STACK_BYTES = 65536,   /* of a fiber, unless the loop's options say */
    LIMIT_SLAB_STACKS = 2,       /* stacks of fibers in one mapping */
    LIMIT_SLABS_KEPT = 0,        /* unused mappings that are kept */
    LIMIT_QUESTIONS = 4,         /* to name servers at once; their ids have 16 bits */
    LIMIT_REPLIES = 2,           /* of name servers, read in one go */
    LIMIT_TIMEOUT_GRAIN_MS = 1,  /* between looks at which questions have timed out */
    LIMIT_LISTING_BYTES = 128,   /* of a directory on kqueue, at first */
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
    LIMIT_BATCH = 64,
    LIMIT_RIGHTS = 253,
    LIMIT_RIGHTS_ROUNDS = 64,
    LIMIT_SEND_BUFFERS = 16,
    LIMIT_SEND_BYTES = 131072,
    LIMIT_SEND_BYTES_MIN = 16384,
    LIMIT_TIMER_SCAN = 16,
    LIMIT_RETRY_MS = 20,
    LIMIT_THREAD_IDLE_S = 10,
    LIMIT_CLOSE_TRIES = 1000,
    LIMIT_STACK_BYTES = 65536,
    LIMIT_SLAB_STACKS = 64,
    LIMIT_SLABS_KEPT = 4,
    LIMIT_QUESTIONS = 32768,
    LIMIT_REPLIES = 64,
    LIMIT_TIMEOUT_GRAIN_MS = 10,
    LIMIT_LISTING_BYTES = 16384,
};
#endif

#endif
