/* The ground of the promise tests; see harness.h. */
#include "harness.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

struct hark_loop *loop;
char doing[64];
static int descriptors_before, order_count;

const char *const wire_names[WIRE_KINDS] = { "tcp4", "tcp6", "unix" };

int64_t clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * HARK_SECOND + ts.tv_nsec;
}

int64_t processor_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * HARK_SECOND + ts.tv_nsec;
}

static void open_loop(void)
{
    end_with_runner();
    order_count = 0;
    descriptors_before = open_descriptor_count();
    int error = hark_loop_open(&loop, NULL);
    ck_assert_msg(error == 0, "hark_loop_open: %s", hark_strerror(error));
}

static void close_loop(void)
{
    hark_stall_unwatch(); /* mostly it is off */
    hark_loop_close(loop);
    loop = NULL;
    ck_assert_int_eq(open_descriptor_count(), descriptors_before);
}

static TCase *add(Suite *suite, const char *name, bool has_loop)
{
    TCase *tcase = tcase_create(name);
    if (has_loop) tcase_add_checked_fixture(tcase, open_loop, close_loop);
    else tcase_add_checked_fixture(tcase, end_with_runner, NULL);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return tcase;
}

void harness_add(Suite *suite, const char *name, const TTest *test)
{
    TCase *tcase = add(suite, name, true);
    tcase_add_test(tcase, test);
}

void harness_add_each(Suite *suite, const char *name, const TTest *test, size_t count)
{
    TCase *tcase = add(suite, name, true);
    tcase_add_loop_test(tcase, test, 0, (int)count);
}

void harness_add_each_wire(Suite *suite, const char *name, const TTest *test)
{
    harness_add_each(suite, name, test, has_unix_sockets ? WIRE_KINDS : WIRE_UNIX);
}

void harness_add_bare(Suite *suite, const char *name, const TTest *test, size_t count)
{
    TCase *tcase = add(suite, name, false);
    tcase_add_loop_test(tcase, test, 0, (int)count);
}

bool backend_is(const char *name)
{
    const char *wanted = getenv("HARK_BACKEND");
    return wanted != NULL && strcmp(wanted, name) == 0;
}

void on_probe(struct hark_op *op)
{
    struct probe *probe = (struct probe *)(void *)op; /* op is its first member */
    probe->calls++;
    probe->result = op->result;
    probe->os_error = op->os_error;
    probe->deadline_seen = op->deadline_ns;
    probe->label_seen = op->label;
    probe->time_ns = hark_now(hark_op_loop(op));
    if (!op->more) {
        probe->last_calls++;
        probe->order = ++order_count;
    }
    if (probe->then != NULL) probe->then(probe);
}

static void step_until(const int *count, int wanted, const char *what)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (*count < wanted) {
        ck_assert_msg(clock_now() < end, "%s: %s did not come within %d s", doing, what,
                      PATIENCE_S);
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    }
}

void await(struct probe *probe) { step_until(&probe->last_calls, 1, "the last callback"); }

void await_calls(struct probe *probe, int calls) { step_until(&probe->calls, calls, "a callback"); }

void spin(int turns)
{
    for (int i = 0; i < turns; i++) ck_assert_int_ge(hark_step(loop, 0), 0);
}

void close_io(struct hark_io *io)
{
    struct probe closing = { 0 };
    hark_close(&closing.op, io, on_probe);
    await(&closing);
    ck_assert_result(&closing, 0);
}

static socklen_t loopback(struct sockaddr_storage *addr, enum wire_kind kind)
{
    memset(addr, 0, sizeof *addr);
    if (kind == WIRE_TCP4) {
        struct sockaddr_in *in = (struct sockaddr_in *)addr;
        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof *in;
    }
    if (kind == WIRE_TCP6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;
        in6->sin6_family = AF_INET6;
        in6->sin6_addr = in6addr_loopback;
        return sizeof *in6;
    }
    return local_address(addr);
}

bool lacks(const char *what)
{
    fprintf(stderr, "skipped: %s: %s\n", what, strerror(errno));
    return false;
}

bool plain_pair(int fds[2], enum wire_kind kind)
{
    struct sockaddr_storage addr;
    socklen_t len = loopback(&addr, kind);
    int listener = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_bound = listener >= 0 && bind(listener, (struct sockaddr *)&addr, len) == 0;
    if (!is_bound && kind == WIRE_TCP6) {
        if (listener >= 0) close(listener);
        return lacks("IPv6 loopback");
    }
    ck_assert(is_bound);
    ck_assert_int_eq(listen(listener, 1), 0);
    len = sizeof addr;
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    fds[0] = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fds[0], 0);
    ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&addr, len), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(fds[1], 0);
    close(listener);
    return true;
}

bool wire_open(struct wire *wire, enum wire_kind kind)
{
    int fds[2];
    memset(wire, 0, sizeof *wire);
    if (!plain_pair(fds, kind)) return false;
    ck_assert_int_eq(hark_io_adopt(&wire->io, loop, fds[0]), 0);
    wire->peer = fds[1];
    return true;
}

void wire_close(struct wire *wire)
{
    if (hark_io_is_open(&wire->io)) close_io(&wire->io);
    if (wire->peer >= 0) close(wire->peer);
    wire->peer = -1;
}

bool listener_open(struct listener *listener, enum wire_kind kind)
{
    memset(listener, 0, sizeof *listener);
    socklen_t len = loopback(&listener->addr, kind);
    struct sockaddr *addr = (struct sockaddr *)&listener->addr;
    int error = hark_socket(&listener->io, loop, addr->sa_family, SOCK_STREAM, 0);
    if (error == 0) error = hark_bind(&listener->io, addr, len);
    if (error != 0 && kind == WIRE_TCP6) {
        if (hark_io_is_open(&listener->io)) close_io(&listener->io);
        return lacks("IPv6 loopback");
    }
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(hark_listen(&listener->io, 0), 0);
    listener->len = sizeof listener->addr;
    ck_assert_int_eq(hark_local_address(&listener->io, addr, &listener->len), 0);
    return true;
}

int listener_dial(const struct listener *listener)
{
    int fd = socket(listener->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect(fd, (const struct sockaddr *)&listener->addr, listener->len) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

void wire_narrow(struct wire *wire)
{
    int room = 65536;
    ck_assert_int_eq(setsockopt(wire->io.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    ck_assert_int_eq(setsockopt(wire->peer, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
}

size_t wire_fill(struct wire *wire)
{
    static char block[65536];
    size_t sent = 0;
    for (int tries = 0; tries < 100000; tries++) {
        ssize_t n = send(wire->io.fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) { /* what TCP moves on meanwhile makes room again */
            if (is_ready(wire->io.fd, POLLOUT, 10)) continue;
            return sent;
        }
        ck_assert_int_ge(n, 0);
        sent += (size_t)n;
    }
    ck_abort_msg("a socket that never fills");
}

size_t drain(int fd)
{
    static char block[65536];
    size_t got = 0;
    for (;;) {
        ssize_t n = recv(fd, block, sizeof block, MSG_DONTWAIT);
        if (n <= 0) return got;
        got += (size_t)n;
    }
}

/* 251 is prime and the rest of the offset moves on: no power of two repeats it. */
static unsigned char pattern_at(size_t offset)
{
    return (unsigned char)(offset % 251 + offset / 4096);
}

void pattern_fill(void *buf, size_t len, size_t offset)
{
    unsigned char *bytes = buf;
    for (size_t i = 0; i < len; i++) bytes[i] = pattern_at(offset + i);
}

void pattern_check(const void *buf, size_t len, size_t offset)
{
    const unsigned char *bytes = buf;
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != pattern_at(offset + i)) ck_abort_msg("wrong byte at %zu", offset + i);
}

size_t pattern_take(int fd, size_t offset, size_t most)
{
    static char block[65536];
    size_t got = 0;
    while (got < most) {
        size_t len = most - got < sizeof block ? most - got : sizeof block;
        ssize_t n = recv(fd, block, len, MSG_DONTWAIT);
        if (n <= 0) return got;
        pattern_check(block, (size_t)n, offset + got);
        got += (size_t)n;
    }
    return got;
}

void write_all(int fd, const void *data, size_t len)
{
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
}

void write_text(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    write_all(fd, text, strlen(text));
    close(fd);
}

void expect_text(const char *path, const char *text)
{
    char buf[256] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(read(fd, buf, sizeof buf - 1), (ssize_t)strlen(text));
    ck_assert_str_eq(buf, text);
    close(fd);
}

void reset_and_close(int fd)
{
    struct linger at_once = { .l_onoff = 1 };
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(fd);
}

bool is_ready(int fd, short mask, int patience_ms)
{
    struct pollfd one = { .fd = fd, .events = mask };
    return poll(&one, 1, patience_ms) == 1;
}
