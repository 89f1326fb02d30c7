/* What a load client can see of the server it measures, from outside: its processor time, its
 * system calls by kind, and how busy the machine was with anything else. */
#ifndef BENCH_OBSERVE_H
#define BENCH_OBSERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum observe_call { OBSERVE_ALL, OBSERVE_EPOLL_CTL, OBSERVE_IO_URING_ENTER, OBSERVE_CALLS };

struct observation {
    int64_t wall_ns, server_ns, client_ns;
    int64_t busy_ns;                 /* of the whole machine, to a tick of 10 ms */
    int64_t calls[OBSERVE_CALLS];    /* while counting */
};

/* Names of the counters, in the order of enum observe_call. */
extern const char *const observe_call_names[OBSERVE_CALLS];

/* Chooses the process to observe. False: there is none such. */
bool observe_open(pid_t server);

/* Begins to count the system calls of a thread, by the kernel's tracepoints: they slow each call a
 * little, so no processor time is measured meanwhile. False: refused, mostly for want of root or of
 * tracefs. */
bool observe_count_calls(pid_t thread);

struct observation observe(void);

struct observation observe_difference(const struct observation *later,
                                      const struct observation *earlier);

#endif
