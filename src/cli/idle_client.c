/* The clients of hark idle: plain blocking sockets without a loop, so that what is measured is the
 * server. The connections that talk take turns: one message, its echo, the next connection. So each
 * round trip makes the server sleep and wake once, on every backend alike, and the count of system
 * calls is exact.
 *
 * Processor time of the server is read from outside, by its clock, at the edges of seven windows;
 * the median of these is the answer, so that one disturbance does not count. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <netinet/tcp.h>

#include "content.h"
#include "histogram.h"
#include "idle.h"
#include "tool.h"

enum { WINDOWS = 7, SOURCES = 32, WARM_UP_TRIPS = 200, ECHO_SECONDS = 10, PART_BYTES = 65536 };

struct talker {
    int fd;
    uint64_t sent; /* bytes, each of them echoed */
};

struct clients {
    const struct idle_client_setup *setup;
    clockid_t server_clock;
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
    snprintf(clients->error, IDLE_NOTE, "%s: %s", what, strerror(errno));
    return -1;
}

/* Connects from 127.0.0.2 and up. Gives the descriptor, or -1 with the error told. */
static int connect_one(struct clients *clients, int64_t number)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(clients, "a client's socket");
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(number % SOURCES)),
    };
    struct sockaddr_in server = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = clients->setup->port,
    };
    int on = 1;
    /* A reset at the end instead of a minute of TIME_WAIT for each of 10,000. */
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    struct timeval patience = { .tv_sec = ECHO_SECONDS };
    bool is_set = setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
                  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
    if (is_set && bind(fd, (struct sockaddr *)&source, sizeof source) == 0 &&
        connect(fd, (struct sockaddr *)&server, sizeof server) == 0) return fd;
    (void)fail(clients, "a client's connection");
    close(fd);
    return -1;
}

/* Sends len bytes and receives as many. Gives the nanoseconds that took, or -1. */
static int64_t exchange(struct clients *clients, int fd, size_t len)
{
    int64_t before = tool_clock_ns();
    if (send(fd, clients->message, len, MSG_NOSIGNAL) != (ssize_t)len)
        return fail(clients, "a client's send");
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(fd, clients->echo + got, len - got, 0);
        if (n < 0 && errno == EAGAIN) errno = ETIMEDOUT;
        if (n == 0) errno = ECONNRESET;
        if (n <= 0) return fail(clients, "no echo");
        got += (size_t)n;
    }
    return tool_clock_ns() - before;
}

/* Sends one message and compares its echo; messages longer than the socket's buffers go in parts.
 * Gives the nanoseconds from sending to the echo, without making and comparing the bytes, or -1. */
static int64_t round_trip(struct clients *clients, struct talker *talker, uint64_t seed)
{
    size_t size = (size_t)clients->setup->plan->message_bytes;
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
    clients->talker_next = (number + 1) % clients->setup->plan->active;
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
    for (int64_t i = 0; i < clients->setup->plan->active; i++) {
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

static int64_t server_ns(const struct clients *clients)
{
    struct timespec now = {0};
    clock_gettime(clients->server_clock, &now);
    return now.tv_sec * HARK_SECOND + now.tv_nsec;
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
    for (int window = 0; window < WINDOWS; window++) {
        int64_t end = start + duration_ns / WINDOWS * (window + 1), trips = 0;
        int64_t before = server_ns(clients);
        do {
            int64_t took = next_trip(clients);
            if (took < 0) return -1;
            histogram_record(&clients->latency, took);
            trips++;
            now = tool_clock_ns();
        } while (now < end);
        costs[window] = (double)(server_ns(clients) - before) / 1e3 / (double)trips;
        answer->round_trips += trips;
    }
    qsort(costs, WINDOWS, sizeof *costs, rising);
    answer->processor_us = costs[WINDOWS / 2];
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

int idle_talk(int control, const struct idle_client_setup *setup)
{
    static struct clients clients;
    clients.setup = setup;
    clients.idle = calloc((size_t)setup->plan->connections, sizeof *clients.idle);
    clients.message = malloc(PART_BYTES);
    clients.echo = malloc(PART_BYTES);
    if (!clients.idle || !clients.message || !clients.echo) return 1;
    if (clock_getcpuclockid(setup->server, &clients.server_clock) != 0) return 1;
    struct idle_client_order order;
    while (recv(control, &order, sizeof order, 0) == (ssize_t)sizeof order) {
        struct idle_client_answer answer = {0};
        (void)obey(&clients, &order, &answer); /* the answer's text tells */
        if (send(control, &answer, sizeof answer, MSG_NOSIGNAL) != (ssize_t)sizeof answer) break;
    }
    return 0; /* the end of the process frees and resets the rest */
}
