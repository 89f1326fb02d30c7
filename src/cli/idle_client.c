/* The clients of hark idle: plain blocking sockets without a loop, so that what is measured is the
 * server. The connections that talk take turns: one message, its echo, the next connection. So each
 * round trip makes the server sleep and wake once, on every backend alike, and the count of system
 * calls is exact.
 *
 * Processor time of the server is read from outside, by its clock, at the edges of seven windows;
 * the median of these is the answer, so that one disturbance does not count. A clock that advances
 * by large steps gets fewer and longer windows. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "content.h"
#include "histogram.h"
#include "idle.h"
#include "idle_system.h"
#include "tool.h"

enum {
    WINDOWS = 7, WINDOW_STEPS = 60, /* of the clock, in a window; fewer say little */
    SOURCES = 32, WARM_UP_TRIPS = 200, ECHO_SECONDS = 10, PART_BYTES = 65536,
};

struct talker {
    int fd;
    uint64_t sent; /* bytes, each of them echoed */
};

struct clients {
    const struct idle_task *task;
    intptr_t server_clock;
    struct talker talkers[IDLE_ACTIVE_MAX];
    int64_t talker_next;
    int *idle;
    int64_t idle_count;
    char *message, *echo;
    struct histogram latency;
    char *error; /* of the answer under way */
};

static int fail(struct clients *clients, const char *what)
{
    snprintf(clients->error, IDLE_NOTE, "%s: %s", what, idle_system_error());
    return -1;
}

/* Connects from 127.0.0.2 and up. Gives the socket, or -1 with the error told. */
static int connect_one(struct clients *clients, int64_t number)
{
    uint32_t source = INADDR_LOOPBACK + 1 + (uint32_t)(number % SOURCES);
    int fd = idle_connect(source, clients->task->port, ECHO_SECONDS);
    return fd < 0 ? fail(clients, "a client's connection") : fd;
}

/* Sends len bytes and receives as many. Gives the nanoseconds that took, or -1. */
static int64_t exchange(struct clients *clients, int fd, size_t len)
{
    int64_t before = tool_clock_ns();
    if (idle_send(fd, clients->message, len) < 0) return fail(clients, "a client's send");
    if (idle_receive(fd, clients->echo, len) < 0) return fail(clients, "no echo");
    return tool_clock_ns() - before;
}

/* Sends one message and compares its echo; messages longer than the socket's buffers go in parts.
 * Gives the nanoseconds from sending to the echo, without making and comparing the bytes, or -1. */
static int64_t round_trip(struct clients *clients, struct talker *talker, uint64_t seed)
{
    size_t size = (size_t)clients->task->message_bytes;
    int64_t took_ns = 0;
    for (size_t done = 0; done < size;) {
        size_t part = size - done < PART_BYTES ? size - done : PART_BYTES;
        content_fill(seed, talker->sent, clients->message, part);
        int64_t part_ns = exchange(clients, talker->fd, part);
        if (part_ns < 0) return -1;
        size_t right = content_check(seed, talker->sent, clients->echo, part);
        if (right < part) {
            snprintf(clients->error, IDLE_NOTE, "byte %llu of an echo is not what was sent",
                     (unsigned long long)(done + right));
            return -1;
        }
        took_ns += part_ns;
        talker->sent += part;
        done += part;
    }
    return took_ns;
}

/* One round trip of the connection whose turn it is. Gives its nanoseconds, or -1. */
static int64_t next_trip(struct clients *clients)
{
    int64_t number = clients->talker_next;
    clients->talker_next = (number + 1) % clients->task->active;
    return round_trip(clients, &clients->talkers[number], (uint64_t)number + 1);
}

static int round_trips(struct clients *clients, int64_t count)
{
    while (count-- > 0)
        if (next_trip(clients) < 0) return -1;
    return 0;
}

static int connect_active(struct clients *clients)
{
    for (int64_t i = 0; i < clients->task->active; i++) {
        clients->talkers[i].fd = connect_one(clients, i);
        if (clients->talkers[i].fd < 0) return -1;
    }
    return round_trips(clients, WARM_UP_TRIPS);
}

static int connect_idle(struct clients *clients, int64_t count)
{
    for (; clients->idle_count < count; clients->idle_count++) {
        int fd = connect_one(clients, clients->idle_count);
        if (fd < 0) return -1;
        clients->idle[clients->idle_count] = fd;
    }
    return 0;
}

/* A connection that is held answers; seeds are kept apart from those of the talkers. */
static int check_idle(struct clients *clients, int64_t count)
{
    for (int64_t i = 0; i < count && i < clients->idle_count; i++) {
        struct talker talker = { .fd = clients->idle[i * clients->idle_count / count] };
        if (round_trip(clients, &talker, (uint64_t)(i + 1000)) < 0) return -1;
    }
    return 0;
}

static int window_count(int64_t duration_ns)
{
    int64_t window_ns = idle_clock_step_ns() * WINDOW_STEPS;
    int64_t count = window_ns > 0 ? duration_ns / window_ns : WINDOWS;
    return count < 1 ? 1 : count > WINDOWS ? WINDOWS : (int)count;
}

static int rising(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static int talk(struct clients *clients, int64_t duration_ns, struct idle_client_answer *answer)
{
    double costs[WINDOWS];
    memset(&clients->latency, 0, sizeof clients->latency);
    int64_t start = tool_clock_ns(), now = start;
    int windows = window_count(duration_ns);
    for (int window = 0; window < windows; window++) {
        int64_t end = start + duration_ns / windows * (window + 1), trips = 0;
        int64_t before = idle_clock_ns(clients->server_clock);
        do {
            int64_t took = next_trip(clients);
            if (took < 0) return -1;
            histogram_record(&clients->latency, took);
            trips++;
            now = tool_clock_ns();
        } while (now < end);
        int64_t spent = idle_clock_ns(clients->server_clock) - before;
        costs[window] = (double)spent / 1e3 / (double)trips;
        answer->round_trips += trips;
    }
    qsort(costs, (size_t)windows, sizeof *costs, rising);
    answer->processor_us = costs[windows / 2];
    answer->p50_us = (double)histogram_at(&clients->latency, 0.5) / 1e3;
    answer->p99_us = (double)histogram_at(&clients->latency, 0.99) / 1e3;
    return 0;
}

static int obey(struct clients *clients, const struct idle_client_order *order,
                struct idle_client_answer *answer)
{
    clients->error = answer->error;
    switch (order->work) {
    case IDLE_CONNECT_ACTIVE: return connect_active(clients);
    case IDLE_CONNECT: return connect_idle(clients, order->amount);
    case IDLE_TALK: return talk(clients, order->amount, answer);
    case IDLE_ROUND_TRIPS: return round_trips(clients, order->amount);
    case IDLE_CHECK: return check_idle(clients, order->amount);
    }
    return -1;
}

int idle_talk(int control, const struct idle_task *task)
{
    static struct clients clients;
    clients.task = task;
    clients.idle = calloc((size_t)task->connections, sizeof *clients.idle);
    clients.message = malloc(PART_BYTES);
    clients.echo = malloc(PART_BYTES);
    if (!clients.idle || !clients.message || !clients.echo) return 1;
    if (idle_clock_open(task->server, &clients.server_clock) < 0) return 1;
    struct idle_client_order order;
    while (idle_receive(control, &order, sizeof order) == 0) {
        struct idle_client_answer answer = {0};
        (void)obey(&clients, &order, &answer); /* the answer's text tells */
        if (idle_send(control, &answer, sizeof answer) < 0) break;
    }
    return 0; /* the end of the process frees and resets the rest */
}
