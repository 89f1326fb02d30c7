/* connect: success and every kind of failure by the callback; the loop never blocks for it. */
#include "groups.h"
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>

static void open_socket(struct hark_io *io, int domain)
{
    memset(io, 0, sizeof *io);
    ck_assert_int_eq(hark_socket(io, loop, domain, SOCK_STREAM, 0), 0);
}

static void connect_to(struct probe *probe, struct hark_io *io, const struct listener *listener)
{
    hark_connect(&probe->op, io, (const struct sockaddr *)&listener->addr, listener->len, on_probe);
}

static int accept_plain(const struct listener *listener)
{
    ck_assert_msg(is_ready(listener->io.fd, POLLIN, 5000), "no connection came");
    int fd = accept4(listener->io.fd, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

START_TEST(connect_succeeds_and_carries_bytes_both_ways)
{
    struct listener listener;
    struct hark_io io;
    struct probe connecting = { 0 }, sending = { 0 }, receiving = { 0 };
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    char buf[8];
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    open_socket(&io, listener.addr.ss_family);
    connect_to(&connecting, &io, &listener);
    ck_assert_int_eq(connecting.calls, 0);
    await(&connecting);
    ck_assert_result(&connecting, 0);
    ck_assert_int_eq(hark_peer_address(&io, (struct sockaddr *)&addr, &len), 0);
    ck_assert_int_eq(memcmp(&addr, &listener.addr, len), 0);
    int peer = accept_plain(&listener);
    hark_send(&sending.op, &io, "ping", 4, on_probe);
    await(&sending);
    ck_assert_int_eq(read(peer, buf, sizeof buf), 4);
    write_all(peer, "pong!", 5);
    hark_recv(&receiving.op, &io, buf, sizeof buf, on_probe);
    await(&receiving);
    ck_assert_result(&receiving, 5);
    close(peer);
    close_io(&io);
    close_io(&listener.io);
}
END_TEST

START_TEST(sends_queued_behind_a_connect_go_out_after_it)
{
    struct listener listener;
    struct hark_io io;
    struct probe connecting = { 0 }, one = { 0 }, two = { 0 }, ending = { 0 };
    char buf[8] = { 0 };
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    open_socket(&io, listener.addr.ss_family);
    connect_to(&connecting, &io, &listener);
    hark_send(&one.op, &io, "one", 3, on_probe);
    hark_send(&two.op, &io, "two", 3, on_probe);
    hark_shutdown(&ending.op, &io, SHUT_WR, on_probe);
    await(&ending);
    ck_assert_result(&connecting, 0);
    ck_assert_result(&one, 3);
    ck_assert_result(&two, 3);
    ck_assert_result(&ending, 0);
    ck_assert_int_eq(connecting.order, 1);
    ck_assert_int_eq(one.order, 2);
    ck_assert_int_eq(two.order, 3);
    ck_assert_int_eq(ending.order, 4);
    int peer = accept_plain(&listener);
    ck_assert_int_eq(recv(peer, buf, 6, MSG_WAITALL), 6);
    ck_assert_int_eq(memcmp(buf, "onetwo", 6), 0);
    ck_assert_int_eq(read(peer, buf, 1), 0);
    close(peer);
    close_io(&io);
    close_io(&listener.io);
}
END_TEST

START_TEST(many_connects_at_once_all_succeed)
{
    enum { COUNT = 120 };
    static struct hark_io ios[COUNT];
    static struct probe connecting[COUNT];
    struct listener listener;
    memset(connecting, 0, sizeof connecting);
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    for (int i = 0; i < COUNT; i++) {
        open_socket(&ios[i], listener.addr.ss_family);
        connect_to(&connecting[i], &ios[i], &listener);
    }
    for (int i = 0; i < COUNT; i++) {
        await(&connecting[i]);
        ck_assert_result(&connecting[i], 0);
        close(accept_plain(&listener));
        close_io(&ios[i]);
    }
    close_io(&listener.io);
}
END_TEST

/* A port, or name, that is bound while nobody listens: nobody else can take it meanwhile. */
START_TEST(connect_where_nobody_listens_is_refused)
{
    struct hark_io bound, io;
    struct sockaddr_storage addr = { 0 };
    struct sockaddr *any = (struct sockaddr *)&addr;
    struct probe connecting = { 0 }, behind = { 0 };
    socklen_t len = sizeof addr;
    static const int domains[WIRE_KINDS] = { AF_INET, AF_INET6, AF_UNIX };
    addr.ss_family = (sa_family_t)domains[_i];
    if (_i == WIRE_TCP4) ((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (_i == WIRE_TCP6) ((struct sockaddr_in6 *)&addr)->sin6_addr = in6addr_loopback;
    if (_i == WIRE_UNIX) len = sizeof(sa_family_t);
    open_socket(&bound, domains[_i]);
    int error = hark_bind(&bound, any, len);
    if (_i != WIRE_TCP6 || error == 0) {
        ck_assert_int_eq(error, 0);
        len = sizeof addr;
        ck_assert_int_eq(hark_local_address(&bound, any, &len), 0);
        open_socket(&io, domains[_i]);
        hark_connect(&connecting.op, &io, any, len, on_probe);
        hark_send(&behind.op, &io, "x", 1, on_probe);
        ck_assert_int_eq(connecting.calls, 0);
        await(&behind);
        ck_assert_result(&connecting, HARK_ECONNREFUSED);
        ck_assert(is_system_error(connecting.os_error, ECONNREFUSED));
        ck_assert_int_eq(connecting.order, 1);
        ck_assert_int_lt(behind.result, 0);
        close_io(&io);
    }
    close_io(&bound);
}
END_TEST

START_TEST(connect_to_a_missing_unix_path_is_enoent)
{
    struct hark_io io;
    struct probe connecting = { 0 };
    struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "/proc/self/no-such-socket" };
    open_socket(&io, AF_UNIX);
    hark_connect(&connecting.op, &io, (struct sockaddr *)&addr, sizeof addr, on_probe);
    await(&connecting);
    ck_assert_result(&connecting, HARK_ENOENT);
    ck_assert(is_system_error(connecting.os_error, ENOENT));
    close_io(&io);
}
END_TEST

/* TCP to a group address never has a route, on any machine. */
START_TEST(connect_to_the_unreachable_is_enetunreach)
{
    struct hark_io io;
    struct probe connecting = { 0 };
    struct sockaddr_in group = { .sin_family = AF_INET, .sin_port = htons(9) };
    group.sin_addr.s_addr = htonl(INADDR_ALLHOSTS_GROUP);
    open_socket(&io, AF_INET);
    hark_connect(&connecting.op, &io, (struct sockaddr *)&group, sizeof group, on_probe);
    await(&connecting);
    ck_assert_result(&connecting, HARK_ENETUNREACH);
    close_io(&io);
}
END_TEST

START_TEST(connect_with_an_address_of_another_family_is_refused_by_the_callback)
{
    struct hark_io io;
    struct probe connecting = { 0 };
    struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "x" };
    open_socket(&io, AF_INET);
    hark_connect(&connecting.op, &io, (struct sockaddr *)&addr, sizeof addr, on_probe);
    await(&connecting);
    ck_assert_result(&connecting, HARK_EAFNOSUPPORT);
    close_io(&io);
}
END_TEST

START_TEST(connect_of_what_is_connected_is_eisconn)
{
    struct listener listener;
    struct hark_io io;
    struct probe first = { 0 }, second = { 0 };
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    open_socket(&io, listener.addr.ss_family);
    connect_to(&first, &io, &listener);
    await(&first);
    ck_assert_result(&first, 0);
    connect_to(&second, &io, &listener);
    await(&second);
    ck_assert_result(&second, HARK_EISCONN);
    close_io(&io);
    close_io(&listener.io);
}
END_TEST

/* Makes the queue of a listener full; further connects hang, since the kernel drops their SYNs or
 * has no room. Gives the number of sockets that fill it; 0: this machine lacks the kind. */
static int make_blackhole(struct listener *listener, enum wire_kind kind, int fillers[8])
{
    if (!listener_open(listener, kind)) return 0;
    ck_assert_int_eq(listen(listener->io.fd, 0), 0);
    int count = 0;
    for (; count < 8; count++) {
        int fd = socket(listener->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        fillers[count] = fd;
        ck_assert_int_ge(fd, 0);
        int error = connect(fd, (struct sockaddr *)&listener->addr, listener->len);
        if (error != 0 && errno == EAGAIN) break;
        if (error != 0) ck_assert_int_eq(errno, EINPROGRESS);
        if (error != 0 && !is_ready(fd, POLLOUT, 20)) break; /* loopback answers at once or never */
    }
    ck_assert_int_lt(count, 8);
    return count + 1;
}

static void close_blackhole(struct listener *listener, const int *fillers, int count)
{
    for (int i = 0; i < count; i++) close(fillers[i]);
    close_io(&listener->io);
}

START_TEST(deadline_ends_a_connect_that_nobody_answers)
{
    struct listener listener;
    struct hark_io io;
    struct probe connecting = { 0 }, behind = { 0 };
    int fillers[8], count = make_blackhole(&listener, (enum wire_kind)_i, fillers);
    if (count == 0) return;
    open_socket(&io, listener.addr.ss_family);
    int64_t due = hark_after(loop, 10 * HARK_MILLISECOND);
    connecting.op.deadline_ns = due;
    connect_to(&connecting, &io, &listener);
    hark_send(&behind.op, &io, "x", 1, on_probe);
    await(&connecting);
    ck_assert_result(&connecting, HARK_ETIMEDOUT);
    ck_assert_int_ge(connecting.time_ns, due);
    ck_assert_int_eq(connecting.calls, 1);
    close_io(&io);
    ck_assert_int_eq(behind.calls, 1);
    close_blackhole(&listener, fillers, count);
}
END_TEST

START_TEST(cancel_ends_a_connect_midway)
{
    struct listener listener;
    int fillers[8], count = make_blackhole(&listener, (enum wire_kind)_i, fillers);
    if (count == 0) return;
    for (int turns = 0; turns < 5; turns++) {
        struct hark_io io;
        struct probe connecting = { 0 };
        open_socket(&io, listener.addr.ss_family);
        connect_to(&connecting, &io, &listener);
        spin(turns);
        ck_assert_int_eq(connecting.calls, 0);
        ck_assert(hark_cancel(&connecting.op));
        ck_assert_int_eq(connecting.calls, 0);
        await(&connecting);
        ck_assert_result(&connecting, HARK_ECANCELED);
        close_io(&io);
    }
    close_blackhole(&listener, fillers, count);
}
END_TEST

START_TEST(close_ends_a_connect_midway)
{
    struct listener listener;
    struct hark_io io;
    struct probe connecting = { 0 }, behind = { 0 };
    int fillers[8], count = make_blackhole(&listener, (enum wire_kind)_i, fillers);
    if (count == 0) return;
    open_socket(&io, listener.addr.ss_family);
    connect_to(&connecting, &io, &listener);
    hark_send(&behind.op, &io, "x", 1, on_probe);
    spin(3);
    close_io(&io);
    ck_assert_result(&connecting, HARK_ECANCELED);
    ck_assert_result(&behind, HARK_ECANCELED);
    close_blackhole(&listener, fillers, count);
}
END_TEST

/* Trap 16: EAGAIN of a Unix connect means that the listener's queue is full; nothing tells when it
 * no longer is. The connect waits for it, and the loop neither blocks nor spins. */
START_TEST(connect_waits_until_a_full_unix_listener_has_room)
{
    struct listener listener;
    struct hark_io io;
    struct probe connecting = { 0 }, ticking = { 0 };
    int fillers[8], count = make_blackhole(&listener, WIRE_UNIX, fillers);
    open_socket(&io, AF_UNIX);
    connect_to(&connecting, &io, &listener);
    hark_timer(&ticking.op, loop, hark_after(loop, 50 * HARK_MILLISECOND), on_probe);
    int64_t begun = clock_now();
    int turns = 0;
    for (; ticking.calls == 0; turns++) ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    ck_assert_int_eq(connecting.calls, 0);
    int64_t passed_ms = (clock_now() - begun) / HARK_MILLISECOND;
    ck_assert_int_lt(turns, 4 * passed_ms + 20); /* the shortest back-off is 1 ms */
    close(accept_plain(&listener));
    await(&connecting);
    ck_assert_result(&connecting, 0);
    close_io(&io);
    close_blackhole(&listener, fillers, count);
}
END_TEST

Suite *group_connect(void)
{
    Suite *suite = suite_create("connect");
    EACH_WIRE(suite, connect_succeeds_and_carries_bytes_both_ways);
    EACH_WIRE(suite, sends_queued_behind_a_connect_go_out_after_it);
    EACH_WIRE(suite, many_connects_at_once_all_succeed);
    EACH_WIRE(suite, connect_where_nobody_listens_is_refused);
    CASE(suite, connect_to_a_missing_unix_path_is_enoent);
    CASE(suite, connect_to_the_unreachable_is_enetunreach);
    CASE(suite, connect_with_an_address_of_another_family_is_refused_by_the_callback);
    EACH_WIRE(suite, connect_of_what_is_connected_is_eisconn);
    EACH_WIRE(suite, deadline_ends_a_connect_that_nobody_answers);
    EACH_WIRE(suite, cancel_ends_a_connect_midway);
    EACH_WIRE(suite, close_ends_a_connect_midway);
    CASE(suite, connect_waits_until_a_full_unix_listener_has_room);
    return suite;
}
