/* Descriptors that came from elsewhere: taken over as they are, never blocked on, and given back as
 * they were; both directions at once; a thousand at once. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>

static bool is_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    ck_assert_int_ge(flags, 0);
    return flags & O_NONBLOCK;
}

static void set_nonblock(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

START_TEST(adopting_what_is_not_open_is_ebadf)
{
    struct hark_io io = { 0 };
    int fd = dup(0);
    close(fd);
    ck_assert_int_eq(hark_io_adopt(&io, loop, fd), HARK_EBADF);
    ck_assert_int_eq(hark_io_adopt(&io, loop, -1), HARK_EBADF);
    ck_assert_int_eq(hark_io_adopt(&io, loop, 1 << 24), HARK_EBADF);
    ck_assert(!hark_io_is_open(&io));
}
END_TEST

START_TEST(adopting_twice_is_eexist_until_the_first_is_gone)
{
    struct hark_io first = { 0 }, second = { 0 };
    int fds[2];
    ck_assert(plain_pair(fds, WIRE_UNIX));
    ck_assert_int_eq(hark_io_adopt(&first, loop, fds[0]), 0);
    ck_assert_int_eq(hark_io_adopt(&second, loop, fds[0]), HARK_EEXIST);
    ck_assert(!hark_io_is_open(&second));
    ck_assert(hark_io_is_open(&first));
    ck_assert_int_eq(hark_io_release(&first), fds[0]);
    ck_assert_int_eq(hark_io_adopt(&second, loop, fds[0]), 0);
    ck_assert_int_eq(hark_io_adopt(&first, loop, fds[0]), HARK_EEXIST);
    close_io(&second);
    close(fds[1]);
}
END_TEST

START_TEST(released_descriptor_works_by_system_calls_and_can_be_adopted_again)
{
    struct wire wire;
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    for (int round = 0; round < 5; round++) {
        struct probe receiving = { 0 }, sending = { 0 };
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        spin(2);
        ck_assert_int_eq(hark_io_release(&wire.io), HARK_EBUSY);
        ck_assert(hark_io_is_open(&wire.io));
        hark_send(&sending.op, &wire.io, "hark", 4, on_probe);
        write_all(wire.peer, "one", 3);
        await(&receiving);
        await(&sending);
        int fd = hark_io_release(&wire.io);
        ck_assert_int_ge(fd, 0);
        ck_assert(!hark_io_is_open(&wire.io));
        ck_assert_int_eq(hark_io_release(&wire.io), HARK_EBADF);
        write_all(wire.peer, "two", 3);
        spin(3);
        ck_assert(!is_nonblock(fd));
        ck_assert_int_eq(recv(fd, buf, sizeof buf, MSG_DONTWAIT), 3);
        write_all(fd, "plain", 5);
        ck_assert_uint_eq(drain(wire.peer), 9);
        ck_assert_int_eq(hark_io_adopt(&wire.io, loop, fd), 0);
    }
    wire_close(&wire);
}
END_TEST

/* Trap 20, promise 15. What moves bytes needs no O_NONBLOCK: it is not touched even meanwhile. */
/* Also in the turns between an op's result and its callback. */
START_TEST(an_io_is_not_released_before_the_last_callback_of_its_ops)
{
    struct hark_loop_options options = { .turn_budget = 1 };
    struct wire wire;
    struct probe nothing = { 0 }, receiving = { 0 };
    char buf[8];
    ck_assert_int_eq(hark_loop_open(&loop, &options), 0);
    ck_assert(wire_open(&wire, WIRE_UNIX));
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    spin(2);
    write_all(wire.peer, "hark", 4);
    for (int turns = 0; receiving.calls == 0; turns++) {
        ck_assert_int_eq(hark_io_release(&wire.io), HARK_EBUSY);
        ck_assert_int_lt(turns, 100);
        if (!hark_is_alive(&nothing.op)) hark_nop(&nothing.op, loop, on_probe);
        nothing.last_calls = 0;
        ck_assert_int_eq(hark_step(loop, 0), 1);
    }
    ck_assert_result(&receiving, 4);
    wire_close(&wire);
    hark_loop_close(loop);
}
END_TEST

START_TEST(receiving_and_sending_leave_a_blocking_descriptor_blocking)
{
    struct wire wire;
    struct probe receiving = { 0 }, sending = { 0 }, reading = { 0 };
    static char big[8 << 20];
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    ck_assert(!is_nonblock(wire.io.fd));
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    hark_ready(&reading.op, &wire.io, HARK_READABLE, on_probe);
    hark_send(&sending.op, &wire.io, big, sizeof big, on_probe);
    spin(5);
    ck_assert_int_eq(receiving.calls + sending.calls, 0);
    ck_assert(!is_nonblock(wire.io.fd));
    while (sending.calls == 0) {
        drain(wire.peer);
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    }
    ck_assert_result(&sending, sizeof big);
    ck_assert(!is_nonblock(wire.io.fd));
    write_all(wire.peer, "x", 1);
    await(&receiving);
    ck_assert(!is_nonblock(wire.io.fd));
    wire_close(&wire);
}
END_TEST

/* The queue is empty when the second accept of a burst is tried: a blocking one would hang. */
START_TEST(accept_on_a_blocking_listener_never_blocks_and_close_restores_the_flag)
{
    struct listener listener;
    struct probe accepting = { 0 };
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    int fd = hark_io_release(&listener.io), copy;
    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
    ck_assert_int_eq(hark_io_adopt(&listener.io, loop, fd), 0);
    hark_accept(&accepting.op, &listener.io, on_probe);
    spin(3);
    int client = listener_dial(&listener);
    await_calls(&accepting, 1);
    int accepted = (int)accepting.result;
    ck_assert_int_ge(accepted, 0);
    spin(5);
    ck_assert_int_eq(accepting.calls, 1);
    copy = dup(fd);
    close_io(&listener.io);
    ck_assert(!is_nonblock(copy));
    close(accepted);
    close(client);
    close(copy);
}
END_TEST

START_TEST(accept_puts_the_flag_back_when_the_listener_is_released)
{
    struct listener listener;
    struct probe accepting = { 0 };
    ck_assert(listener_open(&listener, WIRE_TCP4));
    int fd = hark_io_release(&listener.io);
    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
    ck_assert_int_eq(hark_io_adopt(&listener.io, loop, fd), 0);
    hark_accept(&accepting.op, &listener.io, on_probe);
    int client = listener_dial(&listener);
    await_calls(&accepting, 1);
    int accepted = (int)accepting.result;
    ck_assert_int_ge(accepted, 0);
    hark_cancel(&accepting.op);
    await(&accepting);
    close(accepted);
    ck_assert_int_eq(hark_io_release(&listener.io), fd);
    ck_assert(!is_nonblock(fd));
    close(fd);
    close(client);
}
END_TEST

START_TEST(connect_on_a_blocking_descriptor_never_blocks_and_close_restores_the_flag)
{
    struct listener listener;
    struct hark_io io = { 0 };
    struct probe connecting = { 0 };
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    ck_assert_int_eq(listen(listener.io.fd, 0), 0);
    int fillers[3];
    for (int i = 0; i < 3; i++) { /* the queue is full after the first, or the second (Unix) */
        fillers[i] = socket(listener.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&listener.addr, listener.len);
    }
    int fd = socket(listener.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), copy = dup(fd);
    ck_assert_int_eq(hark_io_adopt(&io, loop, fd), 0);
    hark_connect(&connecting.op, &io, (struct sockaddr *)&listener.addr, listener.len, on_probe);
    spin(3);
    ck_assert_int_eq(connecting.calls, 0);
    ck_assert(hark_rearm(&connecting.op, hark_after(loop, 5 * HARK_MILLISECOND)));
    await(&connecting);
    ck_assert_result(&connecting, HARK_ETIMEDOUT);
    close_io(&io);
    ck_assert(!is_nonblock(copy));
    for (int i = 0; i < 3; i++) close(fillers[i]);
    close(copy);
    close_io(&listener.io);
}
END_TEST

START_TEST(nonblocking_descriptor_waits_all_the_same_and_stays_nonblocking)
{
    struct hark_io io = { 0 };
    struct probe receiving = { 0 }, sending = { 0 };
    static char big[8 << 20];
    char buf[4];
    int fds[2];
    if (!plain_pair(fds, (enum wire_kind)_i)) return;
    set_nonblock(fds[0]);
    int copy = dup(fds[0]);
    ck_assert_int_eq(hark_io_adopt(&io, loop, fds[0]), 0);
    hark_recv(&receiving.op, &io, buf, sizeof buf, on_probe);
    hark_send(&sending.op, &io, big, sizeof big, on_probe);
    spin(10);
    ck_assert_int_eq(receiving.calls + sending.calls, 0);
    while (sending.calls == 0) {
        drain(fds[1]);
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    }
    ck_assert_result(&sending, sizeof big);
    ck_assert_int_eq(receiving.calls, 0);
    write_all(fds[1], "x", 1);
    await(&receiving);
    ck_assert_result(&receiving, 1);
    close_io(&io);
    ck_assert(is_nonblock(copy));
    close(copy);
    close(fds[1]);
}
END_TEST

START_TEST(loop_close_gives_adopted_descriptors_their_flag_back)
{
    struct hark_loop *own;
    struct hark_io io = { 0 };
    struct probe accepting = { 0 };
    struct listener listener;
    ck_assert(listener_open(&listener, WIRE_TCP4));
    int fd = hark_io_release(&listener.io), copy = dup(fd);
    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
    ck_assert_int_eq(hark_loop_open(&own, NULL), 0);
    ck_assert_int_eq(hark_io_adopt(&io, own, fd), 0);
    hark_accept(&accepting.op, &io, on_probe);
    int client = listener_dial(&listener);
    for (int i = 0; i < 1000 && accepting.calls == 0; i++) hark_step(own, 10 * HARK_MILLISECOND);
    ck_assert_int_ge(accepting.result, 0);
    int accepted = (int)accepting.result;
    hark_loop_close(own);
    ck_assert_int_eq(accepting.last_calls, 1);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    ck_assert(!is_nonblock(copy));
    close(copy);
    close(client);
    close(accepted);
}
END_TEST

START_TEST(both_directions_flow_at_once)
{
    enum { BYTES = 6 << 20, PIECE = 50000 };
    struct wire wire;
    struct probe sending = { 0 };
    static char in[PIECE];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    char *out = malloc(BYTES);
    ck_assert_ptr_nonnull(out);
    pattern_fill(out, BYTES, 0);
    set_nonblock(wire.peer);
    hark_send(&sending.op, &wire.io, out, BYTES, on_probe);
    size_t there = 0, back = 0, fed = 0;
    struct probe receiving = { 0 };
    hark_recv(&receiving.op, &wire.io, in, sizeof in, on_probe);
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (there < BYTES || back < BYTES) {
        ck_assert_msg(clock_now() < end, "%zu there, %zu back", there, back);
        there += pattern_take(wire.peer, there, 3 * PIECE);
        size_t piece = BYTES - fed < PIECE ? BYTES - fed : PIECE;
        ssize_t n = piece == 0 ? 0 : write(wire.peer, out + fed, piece);
        fed += n > 0 ? (size_t)n : 0;
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        if (receiving.calls == 0) continue;
        ck_assert_int_gt(receiving.result, 0);
        pattern_check(in, (size_t)receiving.result, back);
        back += (size_t)receiving.result;
        receiving = (struct probe){ 0 };
        hark_recv(&receiving.op, &wire.io, in, sizeof in, on_probe);
    }
    await(&sending);
    ck_assert_result(&sending, BYTES);
    free(out);
    wire_close(&wire);
}
END_TEST

START_TEST(a_thousand_connections_talk_at_once)
{
    enum { COUNT = 1000 }; /* with select: below FD_SETSIZE, when the peers are moved up */
    static struct {
        struct hark_io io;
        struct probe receiving, sending;
        char in[4], out[4];
        int peer;
    } connections[COUNT];
    if (!allow_descriptors(3 * COUNT + 200)) return;
    for (int i = 0; i < COUNT; i++) {
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        connections[i].peer = move_up(fds[1], 1100);
        ck_assert_int_eq(hark_io_adopt(&connections[i].io, loop, fds[0]), 0);
        memcpy(connections[i].out, &i, 4);
        hark_recv(&connections[i].receiving.op, &connections[i].io, connections[i].in, 4, on_probe);
        hark_send(&connections[i].sending.op, &connections[i].io, connections[i].out, 4, on_probe);
    }
    for (int i = 0; i < COUNT; i++) {
        int number;
        await(&connections[i].sending);
        ck_assert_int_eq(read(connections[i].peer, &number, 4), 4);
        ck_assert_int_eq(number, i);
    }
    for (int i = 0; i < COUNT; i++) write_all(connections[i].peer, &i, 4);
    for (int i = 0; i < COUNT; i++) {
        await(&connections[i].receiving);
        ck_assert_result(&connections[i].receiving, 4);
        ck_assert_int_eq(memcmp(connections[i].in, &i, 4), 0);
        ck_assert_int_eq(connections[i].receiving.calls, 1);
        ck_assert_int_eq(connections[i].sending.calls, 1);
        close(connections[i].peer);
        close_io(&connections[i].io);
    }
}
END_TEST

/* It is not kept waiting for a buffer that could not help it. */
START_TEST(what_is_no_socket_says_so_also_when_the_pool_is_empty)
{
    struct wire wire;
    struct hark_io io = { 0 };
    struct hark_pool *pool;
    struct probe holding = { 0 }, receiving = { 0 };
    ck_assert(wire_open(&wire, WIRE_UNIX));
    ck_assert_int_eq(hark_pool_open(&pool, loop, 1, 8), 0);
    hark_recv_pool(&holding.op, &wire.io, pool, on_probe);
    write_all(wire.peer, "x", 1);
    await_calls(&holding, 1);
    ck_assert_int_eq(hark_io_adopt(&io, loop, open("/dev/null", O_RDWR | O_CLOEXEC)), 0);
    hark_recv_pool(&receiving.op, &io, pool, on_probe);
    spin(3);
    hark_pool_give(pool, hark_data(&holding.op));
    await(&receiving);
    ck_assert_result(&receiving, HARK_ENOTSOCK);
    close_io(&io);
    wire_close(&wire);
    ck_assert_int_eq(hark_pool_close(pool), 0);
}
END_TEST

Suite *group_adopt(void)
{
    Suite *suite = suite_create("adopt");
    CASE(suite, adopting_what_is_not_open_is_ebadf);
    BARE_CASE(suite, an_io_is_not_released_before_the_last_callback_of_its_ops);
    CASE(suite, adopting_twice_is_eexist_until_the_first_is_gone);
    EACH_WIRE(suite, released_descriptor_works_by_system_calls_and_can_be_adopted_again);
    EACH_WIRE(suite, receiving_and_sending_leave_a_blocking_descriptor_blocking);
    EACH_WIRE(suite, accept_on_a_blocking_listener_never_blocks_and_close_restores_the_flag);
    CASE(suite, accept_puts_the_flag_back_when_the_listener_is_released);
    EACH_WIRE(suite, connect_on_a_blocking_descriptor_never_blocks_and_close_restores_the_flag);
    EACH_WIRE(suite, nonblocking_descriptor_waits_all_the_same_and_stays_nonblocking);
    CASE(suite, loop_close_gives_adopted_descriptors_their_flag_back);
    CASE(suite, what_is_no_socket_says_so_also_when_the_pool_is_empty);
    EACH_WIRE(suite, both_directions_flow_at_once);
    CASE(suite, a_thousand_connections_talk_at_once);
    return suite;
}
