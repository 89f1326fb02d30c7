/* The load client of the echo benchmarks: plain epoll, one message under way on each connection. It
 * verifies echoed bytes while it warms up, then measures windows, and prints one line of JSON each.
 *
 * usage: echo_client [option value]...
 *   --port N          of the server on 127.0.0.1
 *   --server PID      whose processor time and system calls are measured
 *   --connections N   that talk (64)
 *   --idle N          that do not, after one message each (0)
 *   --bytes N         of a message, at most 16384 (64)
 *   --turns 1         the connections talk one after the other, a round trip each (0: all at once)
 *   --messages N      verified messages to begin with (0: as many as --warm-up-ms takes)
 *   --warm-up-ms N    (150)
 *   --window-ms N     length of a measured window (1000)
 *   --windows N       how many (1; 0: end after the verified messages)
 *   --count-ms N      then a window in which system calls are counted (0: none)
 *   --hold 1          before the end, print a line and wait for the end of the standard input */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "observe.h"

enum { BYTES_MAX = 16384, EVENTS = 256, SOURCES = 32, SECONDS_MAX = 600, PATIENCE_S = 60 };

enum option {
    PORT, SERVER, CONNECTIONS, IDLE, BYTES, TURNS, MESSAGES, WARM_UP_MS, WINDOW_MS, WINDOWS,
    COUNT_MS, HOLD, OPTIONS
};

static const char *const option_names[OPTIONS] = {
    "--port", "--server", "--connections", "--idle", "--bytes", "--turns", "--messages",
    "--warm-up-ms", "--window-ms", "--windows", "--count-ms", "--hold",
};

static long options[OPTIONS] = {
    [CONNECTIONS] = 64, [BYTES] = 64, [WARM_UP_MS] = 150, [WINDOW_MS] = 1000, [WINDOWS] = 1,
};

struct talker {
    int fd;
    size_t got; /* of the message under way */
};

static struct talker *talkers;
static char message[BYTES_MAX], echo[BYTES_MAX];
static int epoll;
static bool verifies = true;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "echo_client: %s: %s\n", what, errno != 0 ? strerror(errno) : "failed");
    exit(1);
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        int at = 0;
        while (at < OPTIONS && strcmp(argv[i], option_names[at]) != 0) at++;
        if (at == OPTIONS) die(argv[i]);
        options[at] = strtol(argv[i + 1], NULL, 10);
    }
    if (options[PORT] <= 0 || options[CONNECTIONS] <= 0) die("--port and --connections are needed");
    if (options[BYTES] <= 0 || options[BYTES] > BYTES_MAX) die("--bytes");
}

/* Sources from 127.0.0.2 on, so that no pair of addresses runs out of ports. */
static int connect_one(long number)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(number % SOURCES)),
    };
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)options[PORT]),
    };
    int on = 1;
    struct linger reset = { .l_onoff = 1 }; /* else a minute of TIME_WAIT for each */
    struct timeval patience = { .tv_sec = PATIENCE_S };
    bool is_open = setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
                   setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0 &&
                   setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
                   setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
                   bind(fd, (struct sockaddr *)&source, sizeof source) == 0 &&
                   connect(fd, (struct sockaddr *)&server, sizeof server) == 0;
    if (!is_open) die("connect");
    return fd;
}

static void speak(int fd)
{
    ssize_t sent = send(fd, message, (size_t)options[BYTES], MSG_NOSIGNAL);
    if (sent != options[BYTES]) die("send");
}

/* Takes what has come of an echo; true when it is complete. */
static bool hear(struct talker *talker, int flags)
{
    size_t room = (size_t)options[BYTES] - talker->got;
    ssize_t n = recv(talker->fd, echo, room, flags);
    if (n < 0 && errno == EAGAIN && flags != 0) return false;
    if (n <= 0) die("no echo");
    if (verifies && memcmp(echo, message + talker->got, (size_t)n) != 0) die("a wrong echo");
    talker->got += (size_t)n;
    if (talker->got < (size_t)options[BYTES]) return false;
    talker->got = 0;
    return true;
}

static void round_trip(struct talker *talker)
{
    speak(talker->fd);
    while (!hear(talker, 0)) { /* in parts */ }
}

/* Takes what has come, on all connections at once; each echo is answered by the next message, but
 * not while the connections fall silent. The number of echoes. */
static long talk_at_once(bool is_last)
{
    struct epoll_event events[EVENTS];
    long made = 0;
    int count = epoll_wait(epoll, events, EVENTS, PATIENCE_S * 1000);
    if (count <= 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
        struct talker *talker = events[i].data.ptr;
        if (!hear(talker, MSG_DONTWAIT)) continue;
        made++;
        if (!is_last) speak(talker->fd);
    }
    return made;
}

static long talk_in_turns(void)
{
    for (long i = 0; i < options[CONNECTIONS]; i++) round_trip(&talkers[i]);
    return options[CONNECTIONS];
}

static long talk(void) { return options[TURNS] ? talk_in_turns() : talk_at_once(false); }

/* So that a window has all of its messages and none of another's. */
static void fall_silent(void)
{
    long under_way = options[TURNS] ? 0 : options[CONNECTIONS];
    while (under_way > 0) under_way -= talk_at_once(true);
}

static void speak_up(void)
{
    if (options[TURNS]) return;
    for (long i = 0; i < options[CONNECTIONS]; i++) speak(talkers[i].fd);
}

static void open_connections(void)
{
    epoll = epoll_create1(EPOLL_CLOEXEC);
    talkers = calloc((size_t)options[CONNECTIONS], sizeof *talkers);
    if (epoll < 0 || talkers == NULL) die("set-up");
    for (long i = 0; i < BYTES_MAX; i++) message[i] = (char)(i * 31 + i / 251);
    for (long i = 0; i < options[CONNECTIONS]; i++) {
        struct talker *talker = &talkers[i];
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = talker };
        talker->fd = connect_one(i);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, talker->fd, &event) != 0) die("epoll_ctl");
    }
    for (long i = 0; i < options[IDLE]; i++) {
        struct talker idle = { .fd = connect_one(i) };
        round_trip(&idle);
    }
}

static int64_t wall_ns(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void warm_up(void)
{
    int64_t end = wall_ns() + options[WARM_UP_MS] * 1000000;
    bool is_counted = options[MESSAGES] > 0;
    long made = options[TURNS] ? 0 : options[CONNECTIONS]; /* those that fall_silent() waits for */
    speak_up();
    while (is_counted ? made < options[MESSAGES] : wall_ns() < end) made += talk();
    fall_silent();
    verifies = false;
    printf("{\"window\": \"verified\", \"messages\": %ld}\n", made);
}

static void measure(const char *kind, long ms)
{
    struct observation start = observe();
    int64_t messages = options[TURNS] ? 0 : options[CONNECTIONS]; /* as when warming up */
    int64_t end = start.wall_ns + ms * 1000000;
    speak_up();
    do {
        for (int i = 0; i < 64; i++) messages += talk(); /* the clock is read rarely */
    } while (wall_ns() < end);
    fall_silent();
    struct observation now = observe();
    struct observation d = observe_difference(&now, &start);
    printf("{\"window\": \"%s\", \"messages\": %lld, \"wall_ns\": %lld, \"server_ns\": %lld, "
           "\"client_ns\": %lld, \"busy_ns\": %lld", kind, (long long)messages,
           (long long)d.wall_ns, (long long)d.server_ns, (long long)d.client_ns,
           (long long)d.busy_ns);
    for (int i = 0; i < OBSERVE_CALLS; i++)
        printf(", \"%s\": %lld", observe_call_names[i], (long long)d.calls[i]);
    printf("}\n");
}

int main(int argc, char **argv)
{
    alarm(SECONDS_MAX);
    read_options(argc, argv);
    if (options[SERVER] > 0 && !observe_open((pid_t)options[SERVER])) die("--server");
    open_connections();
    warm_up();
    for (long i = 0; i < options[WINDOWS]; i++) measure("timed", options[WINDOW_MS]);
    if (options[COUNT_MS] > 0 && observe_count_calls((pid_t)options[SERVER]))
        measure("counted", options[COUNT_MS]);
    if (!options[HOLD]) return 0; /* the end of the process resets the connections */
    printf("{\"window\": \"held\", \"connections\": %ld}\n", options[CONNECTIONS] + options[IDLE]);
    fflush(stdout);
    while (getchar() != EOF) { /* only the end matters */ }
    return 0;
}
