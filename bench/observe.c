/* Reads the server's processor clock, perf counters and /proc/stat; see observe.h. */
#include "observe.h"

#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const int64_t second_ns = 1000000000;

const char *const observe_call_names[OBSERVE_CALLS] = { "all", "epoll_ctl", "io_uring_enter" };

static const char *const tracepoints[OBSERVE_CALLS] = {
    "raw_syscalls/sys_enter", "syscalls/sys_enter_epoll_ctl", "syscalls/sys_enter_io_uring_enter",
};

static clockid_t server_clock;
static int counters[OBSERVE_CALLS] = { -1, -1, -1 };

static int64_t read_clock(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now); /* of a server that is gone: 0, and the client notices */
    return now.tv_sec * second_ns + now.tv_nsec;
}

bool observe_open(pid_t server)
{
    return clock_getcpuclockid(server, &server_clock) == 0;
}

/* The number of a tracepoint; -1: it cannot be read. */
static int tracepoint_id(const char *name)
{
    static const char *const roots[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        char path[128];
        int id;
        snprintf(path, sizeof path, "%s/events/%s/id", roots[i], name);
        FILE *file = fopen(path, "r");
        if (file == NULL) continue;
        bool is_read = fscanf(file, "%d", &id) == 1;
        fclose(file);
        if (is_read) return id;
    }
    return -1;
}

bool observe_count_calls(pid_t thread)
{
    for (int i = 0; i < OBSERVE_CALLS; i++) {
        int id = tracepoint_id(tracepoints[i]);
        if (id < 0) return false;
        struct perf_event_attr attr = {
            .type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = (unsigned)id,
        };
        counters[i] = (int)syscall(SYS_perf_event_open, &attr, thread, -1, -1,
                                   PERF_FLAG_FD_CLOEXEC);
        if (counters[i] < 0) return false;
    }
    return true;
}

/* user, nice, system, irq, softirq and steal: all but idle and waiting for a disk. */
static int64_t machine_busy_ns(void)
{
    long long t[8] = {0};
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL) return 0;
    int count = fscanf(file, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &t[0], &t[1], &t[2],
                       &t[3], &t[4], &t[5], &t[6], &t[7]);
    fclose(file);
    if (count < 8) return 0;
    long long ticks = t[0] + t[1] + t[2] + t[5] + t[6] + t[7];
    return ticks * (second_ns / sysconf(_SC_CLK_TCK));
}

struct observation observe(void)
{
    struct observation seen = {
        .wall_ns = read_clock(CLOCK_MONOTONIC), .server_ns = read_clock(server_clock),
        .client_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID), .busy_ns = machine_busy_ns(),
    };
    for (int i = 0; i < OBSERVE_CALLS; i++) {
        uint64_t count = 0;
        if (counters[i] >= 0 && read(counters[i], &count, sizeof count) == (ssize_t)sizeof count)
            seen.calls[i] = (int64_t)count;
    }
    return seen;
}

struct observation observe_difference(const struct observation *later,
                                      const struct observation *earlier)
{
    struct observation d = {
        .wall_ns = later->wall_ns - earlier->wall_ns,
        .server_ns = later->server_ns - earlier->server_ns,
        .client_ns = later->client_ns - earlier->client_ns,
        .busy_ns = later->busy_ns - earlier->busy_ns,
    };
    for (int i = 0; i < OBSERVE_CALLS; i++) d.calls[i] = later->calls[i] - earlier->calls[i];
    return d;
}
