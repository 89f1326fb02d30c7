/* The name server of the tests; see dns_server.h. */
#include "dns_server.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <strings.h>
#include <sys/ioctl.h>

enum { MESSAGE_BYTES = 65535, TYPES = 64, HELD_MAX = 20000, NUMBERS = 20000, HEADER = 12,
       RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3, RCODE_REFUSED = 5 };

struct held { int type, len; struct sockaddr_in to; unsigned char message[80]; };

struct dns_server {
    const struct entry *entries;
    size_t count;
    int udp, tcp, control[2];
    char place[32];
    pthread_t thread;
    pthread_mutex_t lock;       /* of what follows */
    int asked[TYPES], numbers;
    bool is_let_go[TYPES], has_number[NUMBERS];
    struct held *held;
    size_t held_count;
};

struct message { unsigned char bytes[MESSAGE_BYTES]; int len; };

static void put(struct message *to, const void *bytes, size_t len)
{
    memcpy(to->bytes + to->len, bytes, len);
    to->len += (int)len;
}

static void put16(struct message *to, unsigned value)
{
    unsigned char bytes[2] = { (unsigned char)(value >> 8), (unsigned char)value };
    put(to, bytes, 2);
}

static void put_name(struct message *to, const char *name)
{
    for (const char *dot; *name != '\0'; name = *dot == '.' ? dot + 1 : dot) {
        dot = strchrnul(name, '.');
        unsigned char len = (unsigned char)(dot - name);
        put(to, &len, 1);
        put(to, name, len);
    }
    put(to, "", 1);
}

/* The data of one record, which text describes. */
static void put_data(struct message *to, int type, const char *text)
{
    unsigned char addr[16];
    unsigned priority, weight, port;
    char target[256], *rest, copy[1024];
    if (type == TYPE_A && inet_pton(AF_INET, text, addr) == 1) {
        put(to, addr, 4);
    } else if (type == TYPE_AAAA && inet_pton(AF_INET6, text, addr) == 1) {
        put(to, addr, 16);
    } else if (type == TYPE_PTR) {
        put_name(to, text);
    } else if (type == TYPE_SRV) {
        ck_assert_int_eq(sscanf(text, "%u %u %u %255s", &priority, &weight, &port, target), 4);
        put16(to, priority);
        put16(to, weight);
        put16(to, port);
        put_name(to, target);
    } else if (type == TYPE_TXT) {
        snprintf(copy, sizeof copy, "%s", text);
        for (char *part = strtok_r(copy, "|", &rest); part != NULL;
             part = strtok_r(NULL, "|", &rest)) {
            unsigned char len = (unsigned char)strlen(part);
            put(to, &len, 1);
            put(to, part, len);
        }
    } else {
        ck_abort_msg("the table of the name server cannot be read: %s", text);
    }
}

static void put_record(struct message *to, int type, const char *text)
{
    put16(to, 0xc000 + HEADER); /* the name of the question */
    put16(to, (unsigned)type);
    put16(to, 1);
    put16(to, 0);
    put16(to, 300); /* seconds that it is good for */
    int at = to->len;
    put16(to, 0);
    put_data(to, type, text);
    int len = to->len - at - 2;
    to->bytes[at] = (unsigned char)(len >> 8);
    to->bytes[at + 1] = (unsigned char)len;
}

struct asked { char name[256]; int type, end; };

static bool read_question(const unsigned char *bytes, int len, struct asked *asked)
{
    int at = HEADER, out = 0;
    while (at < len && bytes[at] != 0) {
        if (out != 0) asked->name[out++] = '.';
        for (int left = bytes[at++]; left > 0 && at < len && out < 254; left--)
            asked->name[out++] = (char)bytes[at++];
    }
    asked->name[out] = '\0';
    asked->end = at + 5;
    if (asked->end > len) return false;
    asked->type = bytes[at + 1] << 8 | bytes[at + 2];
    return asked->type < TYPES;
}

static const struct entry *entry_of(const struct dns_server *server, const struct asked *asked,
                                    bool *is_known)
{
    *is_known = false;
    for (size_t i = 0; i < server->count; i++) {
        const struct entry *entry = &server->entries[i];
        bool is_any = strncmp(entry->name, "nN", 2) == 0 && asked->name[0] == 'n' &&
                      strcmp(strchrnul(asked->name, '.'), entry->name + 2) == 0;
        if (!is_any && strcasecmp(entry->name, asked->name) != 0) continue;
        *is_known = true;
        if (entry->type == asked->type) return entry;
    }
    return NULL;
}

static void put_answers(struct message *reply, const struct entry *entry, const char *data)
{
    char copy[60000], *rest;
    unsigned count = 0;
    snprintf(copy, sizeof copy, "%s", data);
    for (char *one = strtok_r(copy, ";", &rest); one != NULL; one = strtok_r(NULL, ";", &rest)) {
        put_record(reply, entry->type, one);
        count++;
    }
    reply->bytes[6] = (unsigned char)(count >> 8);
    reply->bytes[7] = (unsigned char)count;
}

static void note_number(struct dns_server *server, int number)
{
    if (number >= 0 && number < NUMBERS && !server->has_number[number]) {
        server->has_number[number] = true;
        server->numbers++;
    }
}

static void echo(struct dns_server *server, struct message *reply, const struct entry *entry,
                 const char *name)
{
    char data[32];
    int number = atoi(name + 1);
    note_number(server, number);
    snprintf(data, sizeof data, "10.%d.%d.%d", number >> 16 & 255, number >> 8 & 255, number & 255);
    put_answers(reply, entry, data);
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* What stands behind the question is damaged; the header keeps its counts, mostly. */
static void damage(struct message *reply, const struct asked *asked)
{
    unsigned state = (unsigned)atoi(asked->name + 1);
    unsigned from = (unsigned)asked->end, len = (unsigned)reply->len - from;
    for (unsigned left = 1 + next_random(&state) % 4; left > 0; left--)
        reply->bytes[from + next_random(&state) % len] = (unsigned char)next_random(&state);
    if (next_random(&state) % 4 == 0) reply->len -= (int)(next_random(&state) % len);
    if (next_random(&state) % 8 == 0) reply->bytes[7] = (unsigned char)next_random(&state);
}

/* Composes the reply to a question; false: there is none now. Holds the lock. */
static bool compose(struct dns_server *server, const struct asked *asked, bool is_udp,
                    struct message *reply)
{
    bool is_known;
    const struct entry *entry = entry_of(server, asked, &is_known);
    reply->bytes[2] = 0x81; /* a reply; recursion wanted */
    reply->bytes[3] = 0x80; /* and had */
    memset(reply->bytes + 6, 0, 6);
    reply->len = asked->end;
    if (entry == NULL) {
        if (!is_known) reply->bytes[3] |= RCODE_NXDOMAIN;
        return true;
    }
    if (entry->reply == REPLY_NXDOMAIN) reply->bytes[3] |= RCODE_NXDOMAIN;
    else if (entry->reply == REPLY_SERVFAIL) reply->bytes[3] |= RCODE_SERVFAIL;
    else if (entry->reply == REPLY_REFUSED) reply->bytes[3] |= RCODE_REFUSED;
    else if (entry->reply == REPLY_ECHO) echo(server, reply, entry, asked->name);
    else if (entry->reply == REPLY_CUT && is_udp) reply->bytes[2] |= 2;
    else if (entry->data != NULL) put_answers(reply, entry, entry->data);
    if (entry->reply == REPLY_GARBAGE) reply->len -= 3;
    if (entry->reply == REPLY_WILD) damage(reply, asked);
    return entry->reply != REPLY_SILENCE;
}

static bool is_held(const struct dns_server *server, const struct asked *asked)
{
    bool is_known;
    const struct entry *entry = entry_of(server, asked, &is_known);
    bool may_be = entry != NULL && (entry->reply == REPLY_HELD || entry->reply == REPLY_ECHO);
    return may_be && !server->is_let_go[asked->type];
}

static void hold(struct dns_server *server, const struct held *held, const unsigned char *message)
{
    ck_assert_int_le(held->len, (int)sizeof held->message);
    if (server->held_count == HELD_MAX) return; /* lost, and asked again */
    server->held[server->held_count] = *held;
    memcpy(server->held[server->held_count++].message, message, (size_t)held->len);
}

/* Room for one message; the thread's own. */
static struct message reply;

static void answer_datagram(struct dns_server *server)
{
    struct held held = { .type = 0 };
    struct asked asked;
    socklen_t len = sizeof held.to;
    ssize_t got = recvfrom(server->udp, reply.bytes, sizeof reply.bytes, MSG_DONTWAIT,
                           (struct sockaddr *)&held.to, &len);
    if (got < HEADER || !read_question(reply.bytes, (int)got, &asked)) return;
    pthread_mutex_lock(&server->lock);
    server->asked[asked.type]++;
    bool is_due = compose(server, &asked, true, &reply);
    held.type = asked.type;
    held.len = reply.len;
    if (is_due && is_held(server, &asked)) hold(server, &held, reply.bytes);
    else if (is_due)
        (void)sendto(server->udp, reply.bytes, (size_t)reply.len, 0, (struct sockaddr *)&held.to,
                     len);
    pthread_mutex_unlock(&server->lock);
}

static bool take_all(int fd, void *buf, size_t len)
{
    return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

/* One connection, one question: enough for c-ares, which asks again on the same one if need be. */
static void answer_connection(struct dns_server *server)
{
    unsigned char size[2];
    struct asked asked;
    int fd = accept(server->tcp, NULL, NULL);
    while (fd >= 0 && take_all(fd, size, 2)) {
        int len = size[0] << 8 | size[1];
        if (!take_all(fd, reply.bytes, (size_t)len)) break;
        if (!read_question(reply.bytes, len, &asked)) break;
        pthread_mutex_lock(&server->lock);
        bool is_due = compose(server, &asked, false, &reply);
        pthread_mutex_unlock(&server->lock);
        size[0] = (unsigned char)(reply.len >> 8);
        size[1] = (unsigned char)reply.len;
        if (!is_due || send(fd, size, 2, MSG_NOSIGNAL | MSG_MORE) != 2) break;
        if (send(fd, reply.bytes, (size_t)reply.len, MSG_NOSIGNAL) != reply.len) break;
    }
    if (fd >= 0) close(fd);
}

static void *serve(void *arg)
{
    struct dns_server *server = arg;
    struct pollfd fds[] = { { .fd = server->udp, .events = POLLIN },
                            { .fd = server->tcp, .events = POLLIN },
                            { .fd = server->control[0], .events = POLLIN } };
    while (poll(fds, 3, -1) >= 0 && fds[2].revents == 0) {
        if (fds[0].revents != 0) answer_datagram(server);
        if (fds[1].revents != 0) answer_connection(server);
    }
    return NULL;
}

/* UDP and TCP on one port. */
static bool open_sockets(struct dns_server *server, int port)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    socklen_t len = sizeof addr;
    int room = 8 << 20;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    server->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(server->udp, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    bool is_bound = bind(server->udp, (struct sockaddr *)&addr, len) == 0 &&
                    getsockname(server->udp, (struct sockaddr *)&addr, &len) == 0 &&
                    bind(server->tcp, (struct sockaddr *)&addr, len) == 0 &&
                    listen(server->tcp, 16) == 0;
    snprintf(server->place, sizeof server->place, "127.0.0.1:%d", ntohs(addr.sin_port));
    if (is_bound) return true;
    close(server->udp);
    close(server->tcp);
    return false;
}

struct dns_server *dns_server_start(const struct entry *entries, size_t count, int port)
{
    struct dns_server *server = calloc(1, sizeof *server);
    ck_assert_ptr_nonnull(server);
    server->entries = entries;
    server->count = count;
    server->held = calloc(HELD_MAX, sizeof *server->held);
    ck_assert_ptr_nonnull(server->held);
    int tries = 0;
    while (!open_sockets(server, port)) ck_assert_int_lt(++tries, 50);
    ck_assert(plain_pair(server->control, WIRE_TCP4));
    pthread_mutex_init(&server->lock, NULL);
    ck_assert_int_eq(pthread_create(&server->thread, NULL, serve, server), 0);
    return server;
}

void dns_server_stop(struct dns_server *server)
{
    close(server->control[1]);
    pthread_join(server->thread, NULL);
    close(server->control[0]);
    close(server->udp);
    close(server->tcp);
    free(server->held);
    free(server);
}

bool own_network(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
    if (unshare(CLONE_NEWNET) != 0) {
        fprintf(stderr, "no network namespace: %s\n", strerror(errno));
        return false;
    }
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
    return true;
}

const char *dns_server_place(const struct dns_server *server) { return server->place; }

int dns_server_asked(struct dns_server *server, int type)
{
    int count = 0;
    pthread_mutex_lock(&server->lock);
    for (int i = 0; i < TYPES; i++)
        if (type == 0 || type == i) count += server->asked[i];
    pthread_mutex_unlock(&server->lock);
    return count;
}

int dns_server_numbers(struct dns_server *server)
{
    pthread_mutex_lock(&server->lock);
    int count = server->numbers;
    pthread_mutex_unlock(&server->lock);
    return count;
}

static void send_held(struct dns_server *server, const struct held *held)
{
    (void)sendto(server->udp, held->message, (size_t)held->len, 0,
                 (const struct sockaddr *)&held->to, sizeof held->to);
}

void dns_server_let_go_some(struct dns_server *server, size_t most)
{
    pthread_mutex_lock(&server->lock);
    for (; most > 0 && server->held_count > 0; most--)
        send_held(server, &server->held[--server->held_count]);
    pthread_mutex_unlock(&server->lock);
}

void dns_server_let_go(struct dns_server *server, int type)
{
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->held_count; i++)
        if (type == 0 || server->held[i].type == type) send_held(server, &server->held[i]);
    for (int i = 0; i < TYPES; i++)
        if (type == 0 || type == i) server->is_let_go[i] = true;
    pthread_mutex_unlock(&server->lock);
}

void dns_server_await_asked(struct dns_server *server, int type, int count)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (dns_server_asked(server, type) < count) {
        ck_assert_msg(clock_now() < end, "%s: the server was not asked", doing);
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    }
}

bool has_cares(void)
{
    struct hark_dns_options options = { .servers = "127.0.0.1:1" };
    int error = hark_dns_configure(loop, &options);
    if (error == HARK_ENOSYS) fprintf(stderr, "skipped: built without c-ares\n");
    else ck_assert_int_eq(error, 0);
    return error == 0;
}

void look_up(struct search *search, const char *name, enum hark_dns_type type)
{
    search->answer = (struct hark_dns_answer){ search->records, ROOM, 0 };
    snprintf(doing, sizeof doing, "%s", name);
    hark_resolve(&search->probe.op, loop, name, type, &search->answer, on_probe);
}

int64_t found(struct search *search, const char *name, enum hark_dns_type type)
{
    *search = (struct search){ 0 };
    look_up(search, name, type);
    ck_assert_int_eq(search->probe.calls, 0); /* promise 1 */
    await(&search->probe);
    return search->probe.result;
}

void check_address(const struct hark_dns_record *record, const char *text)
{
    char buf[INET6_ADDRSTRLEN];
    bool is_v6 = record->type == HARK_DNS_AAAA;
    ck_assert_int_eq(record->addr.any.sa_family, is_v6 ? AF_INET6 : AF_INET);
    const void *addr = &record->addr.v4.sin_addr;
    if (is_v6) addr = &record->addr.v6.sin6_addr;
    ck_assert_str_eq(inet_ntop(record->addr.any.sa_family, addr, buf, sizeof buf), text);
}

int bind_at(int family, int *at_port)
{
    struct sockaddr_storage addr = { .ss_family = (sa_family_t)family };
    socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    struct sockaddr_in *in = (struct sockaddr_in *)&addr;
    int only = 1;
    in->sin_port = htons((uint16_t)*at_port); /* at the same place in both */
    if (family == AF_INET) in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else ((struct sockaddr_in6 *)&addr)->sin6_addr = in6addr_loopback;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    if (bind(fd, (struct sockaddr *)&addr, len) != 0) {
        close(fd);
        return -1;
    }
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *at_port = ntohs(in->sin_port);
    return fd;
}
