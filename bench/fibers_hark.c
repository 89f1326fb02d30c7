/* The fiber benchmark on hark. Prints a line of JSON.
 *
 * usage: fibers_hark tight        ns of processor time: a switch, a spawn with its end, an item
 *                                 sent and received without a buffer
 *        fibers_hark park COUNT   so many that sleep: bytes each (resident and page tables), ns of
 *                                 processor time to create each and see it sleep, seconds of it to
 *                                 wake all and see them end
 *        fibers_hark recv COUNT   the same of so many in hark_fiber_recv(), on as many descriptors
 *                                 as the limit allows: the others wait behind those, in the same
 *                                 call on stacks of the same depth. Their bytes count the ios */
#include <hark/hark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SWITCHES = 5000000, SPAWNS = 3000000, BATCH = 100, ITEMS = 3000000 };

/* Processor time of this process, which other work on the machine does not change. */
static double processor_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* cannot fail */
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int64_t yields(void *arg)
{
    (void)arg;
    for (int i = 0; i < SWITCHES; i++) hark_fiber_yield();
    return 0;
}

static int64_t nothing(void *arg)
{
    (void)arg;
    return 0;
}

static struct hark_channel *channel;

static int64_t sends(void *arg)
{
    (void)arg;
    for (int64_t i = 0; i < ITEMS; i++) (void)hark_channel_send(channel, &i);
    return 0;
}

static double switch_ns(void)
{
    struct hark_scope scope;
    double start = processor_ns();
    hark_scope_open(&scope, 0);
    for (int i = 0; i < 2; i++) (void)hark_spawn(&scope, yields, NULL);
    (void)hark_scope_close(&scope);
    return (processor_ns() - start) / (2.0 * SWITCHES);
}

static double spawn_ns(void)
{
    struct hark_scope scope;
    double start = processor_ns();
    hark_scope_open(&scope, 0);
    for (int i = 0; i < SPAWNS; i += BATCH) {
        for (int k = 0; k < BATCH; k++) (void)hark_spawn(&scope, nothing, NULL);
        hark_fiber_yield();
    }
    (void)hark_scope_close(&scope);
    return (processor_ns() - start) / SPAWNS;
}

static double channel_ns(void)
{
    struct hark_scope scope;
    int64_t item, sum = 0;
    if (hark_channel_open(&channel, hark_fiber_loop(), sizeof item, 0) != 0) exit(1);
    double start = processor_ns();
    hark_scope_open(&scope, 0);
    (void)hark_spawn(&scope, sends, NULL);
    for (int i = 0; i < ITEMS; i++) {
        if (hark_channel_receive(channel, &item) != 0) exit(1);
        sum += item;
    }
    (void)hark_scope_close(&scope);
    double took = processor_ns() - start;
    if (sum != (int64_t)ITEMS * (ITEMS - 1) / 2) exit(1);
    hark_channel_free(channel);
    return took / ITEMS;
}

static int64_t tight(void *arg)
{
    (void)arg;
    (void)spawn_ns(); /* warm stacks */
    printf("{\"switch\": %.2f", switch_ns());
    printf(", \"spawn\": %.2f", spawn_ns());
    printf(", \"channel\": %.2f}\n", channel_ns());
    return 0;
}

/* Resident bytes and those of page tables. */
static double memory_bytes(void)
{
    double bytes = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) return 0;
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0 || strncmp(line, "VmPTE:", 6) == 0)
            bytes += strtod(line + 6, NULL) * 1024;
    (void)fclose(status);
    return bytes;
}

static size_t parked_count;
static int64_t wake_at_ns;

static int64_t parks(void *arg)
{
    (void)arg;
    parked_count++;
    return hark_fiber_sleep_until(wake_at_ns);
}

static int64_t park(void *arg)
{
    size_t count = *(size_t *)arg;
    struct hark_scope scope;
    double before = memory_bytes(), start = processor_ns();
    wake_at_ns = hark_after(hark_fiber_loop(), 60 * HARK_SECOND);
    hark_scope_open(&scope, 0);
    for (size_t i = 0; i < count; i++)
        if (hark_spawn(&scope, parks, NULL) != 0) return HARK_ENOMEM;
    while (parked_count < count) hark_fiber_yield();
    double created = processor_ns();
    double bytes = memory_bytes() - before;
    (void)hark_scope_deadline(&scope, 1); /* ends all of them now */
    start = (created - start) / (double)count;
    int64_t result = hark_scope_close(&scope);
    double woken = processor_ns() - created;
    printf("{\"bytes\": %.0f, \"create\": %.0f, \"wake_s\": %.3f}\n", bytes / (double)count, start,
           woken / 1e9);
    return result == HARK_ETIMEDOUT ? 0 : result;
}

static struct hark_io *ios;
static size_t io_count;

static int64_t receives(void *arg)
{
    char c;
    size_t number = parked_count++;
    (void)arg;
    return hark_fiber_recv(&ios[number % io_count], &c, 1);
}

/* One end of a pair, under as many descriptors as are allowed, of which each is watched. */
static int open_ios(struct hark_loop *loop, size_t count)
{
    struct rlimit limit;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) exit(1);
    (void)getrlimit(RLIMIT_NOFILE, &limit); /* cannot fail */
    io_count = limit.rlim_cur - 50 < count ? (size_t)limit.rlim_cur - 50 : count;
    ios = calloc(io_count, sizeof *ios);
    for (size_t i = 0; i < io_count; i++)
        if (ios == NULL || hark_io_adopt(&ios[i], loop, dup(pair[0])) != 0) exit(1);
    (void)close(pair[0]);
    return pair[1];
}

static int64_t park_in_recv(void *arg)
{
    size_t count = *(size_t *)arg;
    struct hark_scope scope;
    double before = memory_bytes(), start = processor_ns();
    int peer = open_ios(hark_fiber_loop(), count);
    hark_scope_open(&scope, 0);
    for (size_t i = 0; i < count; i++)
        if (hark_spawn(&scope, receives, NULL) != 0) return HARK_ENOMEM;
    while (parked_count < count) hark_fiber_yield();
    double created = processor_ns();
    double bytes = memory_bytes() - before;
    (void)close(peer); /* the end of the stream, which each receives by a system call of its own */
    int64_t result = hark_scope_close(&scope);
    double woken = processor_ns() - created;
    printf("{\"bytes\": %.0f, \"create\": %.0f, \"wake_s\": %.3f, \"descriptors\": %zu}\n",
           bytes / (double)count, (created - start) / (double)count, woken / 1e9, io_count);
    return result;
}

int main(int argc, char **argv)
{
    struct hark_loop *loop;
    size_t count = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : 1000000;
    bool is_park = argc > 1 && strcmp(argv[1], "park") == 0;
    bool is_recv = argc > 1 && strcmp(argv[1], "recv") == 0;
    if (hark_loop_open(&loop, NULL) != 0) return 1;
    int64_t result = hark_fiber_main(loop, is_recv ? park_in_recv : is_park ? park : tight,
                                     &count);
    hark_loop_close(loop);
    free(ios);
    return result != 0;
}
