/* kqueue(2) for the tests: FreeBSD's struct and numbers, worked by tests/kqueue/emulate.c. It is
 * found instead of the system's by builds of the kqueue backend for the machine that tests it. */
#ifndef TESTS_KQUEUE_SYS_EVENT_H
#define TESTS_KQUEUE_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

enum {
    EVFILT_READ = -1, EVFILT_WRITE = -2, EVFILT_VNODE = -4, EVFILT_PROC = -5, EVFILT_SIGNAL = -6,
    EVFILT_TIMER = -7, EVFILT_USER = -11,
};
#define EVFILT_USER EVFILT_USER /* asked for by #ifdef, as on the systems that have it */

enum {
    EV_ADD = 1, EV_DELETE = 2, EV_ENABLE = 4, EV_DISABLE = 8, EV_ONESHOT = 0x10, EV_CLEAR = 0x20,
    EV_RECEIPT = 0x40, EV_DISPATCH = 0x80, EV_ERROR = 0x4000, EV_EOF = 0x8000,
};

enum {
    NOTE_SECONDS = 1, NOTE_MSECONDS = 2, NOTE_USECONDS = 4, NOTE_NSECONDS = 8, NOTE_ABSTIME = 16,
    NOTE_DELETE = 1, NOTE_WRITE = 2, NOTE_EXTEND = 4, NOTE_ATTRIB = 8, NOTE_LINK = 16,
    NOTE_RENAME = 32, NOTE_REVOKE = 64,
};
#define NOTE_NSECONDS NOTE_NSECONDS
#define NOTE_TRIGGER 0x01000000u
#define NOTE_EXIT 0x80000000u

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned fflags;
    int64_t data;
    void *udata;
    uint64_t ext[4];
};

#define EV_SET(at, a, b, c, d, e, f)                                         \
    (*(at) = (struct kevent){ .ident = (a), .filter = (short)(b),            \
                              .flags = (unsigned short)(c), .fflags = (d),   \
                              .data = (e), .udata = (f) })

int kqueue(void);
int kevent(int fd, const struct kevent *changes, int change_count, struct kevent *events,
           int event_room, const struct timespec *timeout);

#endif
