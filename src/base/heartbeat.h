/* The page on which a loop says whether it waits: written by plain stores in the watched program,
 * read by `hark stalls` from outside and by the watch inside. Shared by the preloaded shim, by hark
 * itself and by the readers.
 *
 * One slot for each loop. The writer stores at the beginning and the end of a wait, and while the
 * slot is watched twice a callback; the reader judges by is_waiting and since_ns. hark publishes
 * its page as the data symbol hark_heartbeats.
 *
 * What hark stores costs no clock call: since_ns is the end of the last wait, which the loop reads
 * anyway, and stays as it is when the next wait begins. So a reader that sees a turn last too long
 * stores 1 in wants_end; the writer then reads the clock once at the end of that turn, stores it in
 * ended_ns, and then 0 in wants_end. A reader that stores nothing knows an end to its own period. A
 * writer that reads the clock at both ends anyway, as the shim does, sets since_ns both times,
 * before is_waiting, and leaves wants_end alone; of turns longer than the page's threshold_ns it
 * keeps the last, which a reader may have been too late to see. */
#ifndef HARK_BASE_HEARTBEAT_H
#define HARK_BASE_HEARTBEAT_H

#include <stdint.h>

enum { HEARTBEAT_SLOTS = 64, HEARTBEAT_VERSION = 1 };
enum { HEARTBEAT_RING = 1 << 30 }; /* added to main_fd if it is a ring's, or its registered index */

#define HEARTBEAT_MAGIC UINT64_C(0x74616568206b7261) /* "ark heat", for who looks at memory */

/* what: a pointer to "file:line" where the op was submitted, and above it the kind of op. label: a
 * pointer to a text, and above it the number of callbacks begun in this turn, modulo 2^16. */
enum { HEARTBEAT_KIND_SHIFT = 56, HEARTBEAT_COUNT_SHIFT = 48 };

struct heartbeat {
    int32_t tid;            /* 0: the slot is free. Written last when a slot is taken */
    int32_t main_fd;        /* the loop's own epoll descriptor; -1: without one, or not told */
    uint32_t is_waiting;    /* 1 from the call to the return of the wait, and outside of a run */
    uint32_t wants_end;     /* the reader's: see above */
    int64_t since_ns;       /* CLOCK_MONOTONIC of the last change of is_waiting; of hark: to 0 */
    uint64_t turn_count;    /* waits that have ended */
    int64_t ended_ns;
    union {
        struct { uint64_t what, label; };            /* hark: of the callback, while is_watched */
        struct { int64_t long_began_ns, long_ns; };  /* the shim: of the last long turn */
    };
    uint32_t is_watched;
    uint32_t long_count;    /* of long turns; 0: none is kept */
};

struct heartbeat_page {
    uint64_t magic;
    uint32_t version, slot_count;
    int32_t pid;            /* whose page it is; the shim's is written before the program starts */
    uint32_t image_count;   /* programs that have begun to write: an exec is a new one */
    int64_t threshold_ns;   /* 0: no long turns are kept */
    uint32_t is_leaving;    /* 1 while an exec is on its way: the slots are of the old program */
    char padding[28];
    struct heartbeat slots[HEARTBEAT_SLOTS];
};

_Static_assert(sizeof(struct heartbeat) == 64, "a slot is a cache line");
_Static_assert(sizeof(struct heartbeat_page) == 64 * (HEARTBEAT_SLOTS + 1), "and so is the head");

#endif
