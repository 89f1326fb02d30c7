/* The traps that other event libraries have fallen into, as far as they concern sockets on POSIX
 * and have no home among the groups. The numbers are those of docs/traps.md. The others are in: 1
 * and 7 ready, 2, 3, 14, 27 and 30 kernel, 5, 6 and 8 recv, 6 shutdown, 16 connect, 17 accept,
 * 18 and 19 send, 20 and 33 adopt, 29 pool, 9 tests/seccomp; timers and posts elsewhere. */
#include "groups.h"
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

/* Gives the process of a child that closes every descriptor above standard error and ends. */
static void fork_one_that_closes_all(void)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        for (int fd = 3; fd < 200; fd++) close(fd);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
}

/* Traps 4 and 34: the child shares the kernel's side of the loop, an epoll set or a ring. */
START_TEST(child_that_closes_its_copies_takes_nothing_from_the_parent)
{
    struct wire wire;
    char byte;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    for (int round = 0; round < 3; round++) {
        struct probe receiving = { 0 }, sending = { 0 };
        hark_recv(&receiving.op, &wire.io, &byte, 1, on_probe);
        spin(2);
        fork_one_that_closes_all();
        spin(2);
        ck_assert_int_eq(receiving.calls, 0);
        write_all(wire.peer, "x", 1);
        await(&receiving);
        ck_assert_result(&receiving, 1);
        hark_send(&sending.op, &wire.io, "y", 1, on_probe);
        await(&sending);
        ck_assert_result(&sending, 1);
        ck_assert_int_eq(read(wire.peer, &byte, 1), 1);
    }
    wire_close(&wire);
}
END_TEST

/* Trap 34: whatever the loop opens ends with an exec. */
START_TEST(every_descriptor_of_the_loop_is_close_on_exec)
{
    bool was_open[256];
    for (int fd = 0; fd < 256; fd++) was_open[fd] = fcntl(fd, F_GETFD) >= 0;
    struct hark_loop *own;
    struct hark_io io = { 0 };
    ck_assert_int_eq(hark_loop_open(&own, NULL), 0);
    ck_assert_int_eq(hark_socket(&io, own, AF_INET, SOCK_STREAM, 0), 0);
    ck_assert_int_ge(hark_step(own, 0), 0);
    int opened = 0;
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (was_open[fd] || flags < 0) continue;
        ck_assert_msg(flags & FD_CLOEXEC, "descriptor %d survives an exec", fd);
        opened++;
    }
    ck_assert_int_ge(opened, 2);
    hark_loop_close(own);
}
END_TEST

/* Trap 5. */
START_TEST(hang_up_that_nobody_waits_for_does_not_spin)
{
    struct wire wire;
    struct probe receiving = { 0 };
    char byte;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    write_all(wire.peer, "x", 1);
    hark_recv(&receiving.op, &wire.io, &byte, 1, on_probe);
    await(&receiving);
    if (_i == WIRE_UNIX) close(wire.peer);
    else reset_and_close(wire.peer);
    wire.peer = -1;
    int64_t begun = clock_now();
    int turns = 0;
    for (; clock_now() < begun + 20 * HARK_MILLISECOND; turns++)
        ck_assert_int_eq(hark_step(loop, 20 * HARK_MILLISECOND), 0);
    ck_assert_int_le(turns, 5);
    wire_close(&wire);
}
END_TEST

/* Trap 11: what the kernel refuses to watch is told by the callback. */
static void check_broken(struct probe *probe)
{
    ck_assert_int_eq(probe->calls, 0);
    await(probe);
    ck_assert_result(probe, HARK_EBADF);
    ck_assert_int_eq(probe->calls, 1);
}

START_TEST(ops_on_a_descriptor_closed_behind_our_back_end_with_ebadf)
{
    struct wire wire;
    struct probe probes[8] = { 0 };
    struct sockaddr_in addr = { .sin_family = AF_INET };
    struct hark_datagram datagram = { 0 };
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    close(wire.io.fd);
    hark_recv(&probes[0].op, &wire.io, buf, sizeof buf, on_probe);
    check_broken(&probes[0]);
    hark_send(&probes[1].op, &wire.io, "x", 1, on_probe);
    check_broken(&probes[1]);
    hark_ready(&probes[2].op, &wire.io, HARK_READABLE, on_probe);
    check_broken(&probes[2]);
    hark_ready(&probes[3].op, &wire.io, HARK_WRITABLE, on_probe);
    check_broken(&probes[3]);
    hark_accept(&probes[4].op, &wire.io, on_probe);
    check_broken(&probes[4]);
    hark_connect(&probes[5].op, &wire.io, (struct sockaddr *)&addr, sizeof addr, on_probe);
    check_broken(&probes[5]);
    hark_recvfrom(&probes[6].op, &wire.io, &datagram, on_probe);
    check_broken(&probes[6]);
    hark_close(&probes[7].op, &wire.io, on_probe);
    check_broken(&probes[7]);
    ck_assert(!hark_io_is_open(&wire.io));
    wire_close(&wire);
}
END_TEST

/* Trap 15: poll says POLLNVAL and select fails altogether; epoll and io_uring say nothing. Whatever
 * they say, the others go on, nothing spins, and the op can be settled. */
static void close_descriptor(struct probe *probe)
{
    struct wire *wire = probe->arg;
    close(wire->io.fd);
}

/* Trap 15: the kernel speaks of the descriptor while a result of its op waits for its callback.
 * epoll forgets a closed descriptor without a word, and a ring keeps it open. */
START_TEST(descriptor_closed_before_a_callback_with_more_ends_its_op)
{
    struct hark_loop_options options = { .turn_budget = 1 };
    struct wire wire;
    struct probe receiving = { 0 }, closing = { 0 }, nops[4] = { 0 };
    struct hark_pool *pool;
    if (!backend_is("poll") && !backend_is("select")) return;
    ck_assert_int_eq(hark_loop_open(&loop, &options), 0);
    ck_assert(wire_open(&wire, WIRE_TCP4));
    ck_assert_int_eq(hark_pool_open(&pool, loop, 4, 8), 0);
    hark_recv_pool(&receiving.op, &wire.io, pool, on_probe);
    spin(3);
    nops[1].then = close_descriptor;
    nops[1].arg = &wire;
    for (int i = 0; i < 4; i++) hark_nop(&nops[i].op, loop, on_probe);
    write_all(wire.peer, "x", 1);
    await_calls(&receiving, 1);
    ck_assert_result(&receiving, 1);
    hark_pool_give(pool, hark_data(&receiving.op));
    await(&receiving);
    ck_assert_result(&receiving, HARK_EBADF);
    hark_close(&closing.op, &wire.io, on_probe);
    await(&closing);
    ck_assert_result(&closing, HARK_EBADF);
    close(wire.peer);
    ck_assert_int_eq(hark_pool_close(pool), 0);
    hark_loop_close(loop);
}
END_TEST

START_TEST(descriptor_closed_under_a_waiting_op_harms_no_other)
{
    static struct wire gone;
    struct wire broken, innocent;
    struct probe receiving = { 0 }, ready = { 0 }, other = { 0 }, closing = { 0 };
    char buf[8];
    if (!wire_open(&broken, (enum wire_kind)_i)) return;
    ck_assert(wire_open(&innocent, (enum wire_kind)_i));
    ck_assert(wire_open(&gone, (enum wire_kind)_i));
    hark_recv(&other.op, &gone.io, buf, sizeof buf, on_probe);
    spin(3);
    wire_close(&gone); /* whoever walks all ios must not meet this one */
    memset(&gone, 0xa5, sizeof gone);
    other = (struct probe){ 0 };
    hark_recv(&receiving.op, &broken.io, buf, sizeof buf, on_probe);
    hark_ready(&ready.op, &innocent.io, HARK_READABLE, on_probe);
    spin(3);
    close(broken.io.fd);
    spin(10);
    ck_assert_int_eq(ready.calls, 0);
    int64_t begun = clock_now();
    int turns = 0;
    for (; clock_now() < begun + 20 * HARK_MILLISECOND; turns++)
        ck_assert_int_ge(hark_step(loop, 20 * HARK_MILLISECOND), 0);
    ck_assert_int_le(turns, 5);
    write_all(innocent.peer, "x", 1);
    await(&ready);
    ck_assert_result(&ready, 0);
    hark_recv(&other.op, &innocent.io, buf, sizeof buf, on_probe);
    await(&other);
    ck_assert_result(&other, 1);
    hark_cancel(&receiving.op);
    await(&receiving);
    ck_assert(receiving.result == HARK_EBADF || receiving.result == HARK_ECANCELED);
    hark_close(&closing.op, &broken.io, on_probe);
    await(&closing);
    ck_assert_result(&closing, HARK_EBADF);
    wire_close(&broken);
    wire_close(&innocent);
}
END_TEST

/* Trap 16: a socket that connects to its own address is connected to itself. */
START_TEST(connection_to_itself_works_like_any_other)
{
    struct hark_io io = { 0 };
    struct probe connecting = { 0 }, sending = { 0 }, receiving = { 0 };
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof addr;
    char buf[8];
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_STREAM, 0), 0);
    ck_assert_int_eq(hark_bind(&io, (struct sockaddr *)&addr, sizeof addr), 0);
    ck_assert_int_eq(hark_local_address(&io, (struct sockaddr *)&addr, &len), 0);
    hark_connect(&connecting.op, &io, (struct sockaddr *)&addr, sizeof addr, on_probe);
    await(&connecting);
    ck_assert_result(&connecting, 0);
    hark_recv(&receiving.op, &io, buf, sizeof buf, on_probe);
    hark_send(&sending.op, &io, "me", 2, on_probe);
    await(&receiving);
    ck_assert_result(&receiving, 2);
    close_io(&io);
}
END_TEST

/* Trap 17: what is wrong with one connection must not end the accept. */
static void take_first_byte(struct probe *probe)
{
    char *byte = probe->arg;
    if (probe->result < 0) return;
    (void)recv((int)probe->result, byte, 1, MSG_DONTWAIT); /* the aborted ones say ECONNRESET */
    close((int)probe->result);
}

START_TEST(connection_aborted_before_its_accept_does_not_end_the_accept)
{
    struct listener listener;
    static char byte;
    struct probe accepting = { .then = take_first_byte, .arg = &byte };
    if (_i == WIRE_UNIX || !listener_open(&listener, (enum wire_kind)_i)) return;
    for (int i = 0; i < 5; i++) {
        int fd = listener_dial(&listener);
        ck_assert_int_ge(fd, 0);
        reset_and_close(fd);
    }
    int client = listener_dial(&listener);
    ck_assert_int_ge(client, 0);
    write_all(client, "!", 1);
    hark_accept(&accepting.op, &listener.io, on_probe);
    for (int turns = 0; turns < 100 && byte != '!'; turns++)
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    ck_assert_int_eq(byte, '!');
    spin(5);
    ck_assert_int_eq(accepting.last_calls, 0);
    close(client);
    close_io(&listener.io);
}
END_TEST

/* Trap 19 and promise 15: no handler and no mask but those that were there. */
START_TEST(signals_are_left_as_they_were)
{
    struct sigaction before[32], after;
    sigset_t mask_before, mask_after;
    struct hark_loop *own;
    struct wire wire;
    struct probe sending = { 0 };
    for (int number = 1; number < 32; number++) sigaction(number, NULL, &before[number]);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &mask_before), 0);
    ck_assert_int_eq(hark_loop_open(&own, NULL), 0);
    ck_assert_int_ge(hark_step(own, 0), 0);
    ck_assert(wire_open(&wire, WIRE_UNIX));
    hark_send(&sending.op, &wire.io, "x", 1, on_probe);
    await(&sending);
    for (int number = 1; number < 32; number++) {
        sigaction(number, NULL, &after);
        ck_assert(after.sa_handler == before[number].sa_handler);
    }
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &mask_after), 0);
    for (int number = 1; number < 32; number++)
        ck_assert_int_eq(sigismember(&mask_after, number), sigismember(&mask_before, number));
    wire_close(&wire);
    hark_loop_close(own);
}
END_TEST

/* Trap 21: completions that come at once must not nest. */
static char *lowest_frame, *highest_frame;
static int rounds_left;
static struct wire chain_wire;
static char chain_byte;

static void chain_on(struct probe *probe)
{
    char *frame = __builtin_frame_address(0);
    if (lowest_frame == NULL || frame < lowest_frame) lowest_frame = frame;
    if (frame > highest_frame) highest_frame = frame;
    ck_assert_int_ge(probe->result, 0);
    if (rounds_left-- <= 0) return;
    switch (rounds_left % 4) {
    case 0: hark_nop(&probe->op, loop, on_probe); break;
    case 1: hark_send(&probe->op, &chain_wire.io, "x", 1, on_probe); break;
    case 2: hark_recv(&probe->op, &chain_wire.io, &chain_byte, 0, on_probe); break;
    default: hark_ready(&probe->op, &chain_wire.io, HARK_WRITABLE, on_probe);
    }
}

START_TEST(ops_that_finish_at_once_do_not_nest_their_callbacks)
{
    struct probe probe = { .then = chain_on };
    ck_assert(wire_open(&chain_wire, WIRE_UNIX));
    rounds_left = 4000;
    hark_nop(&probe.op, loop, on_probe);
    for (int turns = 0; hark_is_alive(&probe.op); turns++) {
        ck_assert_int_lt(turns, 100000);
        drain(chain_wire.peer);
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    }
    ck_assert_int_lt(rounds_left, 0);
    ck_assert_int_le(highest_frame - lowest_frame, 256);
    wire_close(&chain_wire);
}
END_TEST

/* Trap 22: everything of a connection is freed in the callbacks of its own batch. */
struct connection {
    struct hark_io io;
    struct hark_op receiving, sending, closing;
    char buf[16];
    int peer;
};
static int connections_freed;

static void on_connection_closed(struct hark_op *op)
{
    struct connection *connection = op->user;
    close(connection->peer);
    memset(connection, 0xa5, sizeof *connection);
    free(connection);
    connections_freed++;
}

static void on_connection_sent(struct hark_op *op) { ck_assert_int_ne(op->result, 0); }

static void on_connection_received(struct hark_op *op)
{
    struct connection *connection = op->user;
    connection->closing.user = connection;
    hark_close(&connection->closing, &connection->io, on_connection_closed);
}

START_TEST(connections_may_be_freed_in_the_callbacks_of_one_batch)
{
    enum { COUNT = 40 };
    static char big[1 << 20];
    struct connection *all[COUNT];
    for (int i = 0; i < COUNT; i++) {
        int fds[2];
        all[i] = calloc(1, sizeof *all[i]);
        ck_assert_ptr_nonnull(all[i]);
        if (!plain_pair(fds, (enum wire_kind)_i)) { /* lacks IPv6: at the first, or never */
            free(all[i]);
            return;
        }
        all[i]->peer = fds[1];
        all[i]->receiving.user = all[i];
        ck_assert_int_eq(hark_io_adopt(&all[i]->io, loop, fds[0]), 0);
        hark_recv(&all[i]->receiving, &all[i]->io, all[i]->buf, sizeof all[i]->buf,
                  on_connection_received);
        hark_send(&all[i]->sending, &all[i]->io, big, sizeof big, on_connection_sent);
    }
    spin(COUNT);
    for (int i = 0; i < COUNT; i++) write_all(all[i]->peer, "bye", 3);
    connections_freed = 0;
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (connections_freed < COUNT) {
        ck_assert(clock_now() < end);
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    }
    spin(5);
}
END_TEST

/* Trap 27: until the last callback the buffer may be the kernel's, from then on it is not. */
START_TEST(buffer_of_a_canceled_recv_is_never_written_afterwards)
{
    struct wire wire;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    for (int round = 0; round < 40; round++) {
        struct probe canceled = { 0 };
        char buf[16];
        hark_recv(&canceled.op, &wire.io, buf, sizeof buf, on_probe);
        spin(round % 3);
        hark_cancel(&canceled.op);
        if (round % 2 != 0) write_all(wire.peer, "x", 1);
        await(&canceled);
        memset(buf, '#', sizeof buf);
        if (round % 2 == 0) write_all(wire.peer, "x", 1);
        spin(4);
        for (size_t i = 0; i < sizeof buf; i++) ck_assert_int_eq(buf[i], '#');
        ck_assert_uint_eq(drain(wire.io.fd), canceled.result == 1 ? 0 : 1);
    }
    wire_close(&wire);
}
END_TEST

/* Trap 28: a request in the ring holds the file, so that close(2) alone would end nothing. */
START_TEST(close_ends_the_connection_though_ops_were_waiting)
{
    struct wire wire;
    char in[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    struct probe receiving = { 0 }, ready = { 0 };
    hark_recv(&receiving.op, &wire.io, in, sizeof in, on_probe);
    hark_ready(&ready.op, &wire.io, HARK_READABLE, on_probe);
    spin(3);
    close_io(&wire.io);
    ck_assert_result(&receiving, HARK_ECANCELED);
    ck_assert_result(&ready, HARK_ECANCELED);
    ck_assert_msg(is_ready(wire.peer, POLLIN, 1000), "the peer was not told");
    ck_assert_int_eq(recv(wire.peer, in, sizeof in, MSG_DONTWAIT), 0);
    wire_close(&wire);
}
END_TEST

START_TEST(closed_listener_refuses_though_an_accept_was_waiting)
{
    struct listener listener;
    struct probe accepting = { 0 };
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    hark_accept(&accepting.op, &listener.io, on_probe);
    spin(3);
    close_io(&listener.io);
    ck_assert_result(&accepting, HARK_ECANCELED);
    ck_assert_int_eq(listener_dial(&listener), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
}
END_TEST

/* Trap 31: deferred completions move only when their thread enters the kernel and asks for them. */
START_TEST(turns_that_do_not_sleep_get_on_all_the_same)
{
    struct wire wire;
    struct listener listener;
    struct probe receiving = { 0 }, accepting = { 0 };
    char byte;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    ck_assert(listener_open(&listener, (enum wire_kind)_i));
    hark_recv(&receiving.op, &wire.io, &byte, 1, on_probe);
    hark_accept(&accepting.op, &listener.io, on_probe);
    spin(5);
    write_all(wire.peer, "x", 1);
    int fd = listener_dial(&listener);
    spin(20);
    ck_assert_int_eq(receiving.calls, 1);
    ck_assert_int_eq(accepting.calls, 1);
    close((int)accepting.result);
    close(fd);
    close_io(&listener.io);
    wire_close(&wire);
}
END_TEST

/* Trap 35: what a request points to is read at its submission or later, never from a dead frame. */
static void submit_connects(struct probe *connecting, struct hark_io *ios, int count,
                            const struct listener *listener)
{
    for (int i = 0; i < count; i++)
        hark_connect(&connecting[i].op, &ios[i], (const struct sockaddr *)&listener->addr,
                     listener->len, on_probe);
}

START_TEST(address_of_a_connect_is_borrowed_and_not_changed)
{
    enum { COUNT = 20 };
    struct listener listener;
    struct hark_io ios[COUNT] = { 0 };
    struct probe connecting[COUNT] = { 0 };
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    struct listener copy = listener;
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(hark_socket(&ios[i], loop, copy.addr.ss_family, SOCK_STREAM, 0), 0);
    submit_connects(connecting, ios, COUNT, &copy);
    for (int i = 0; i < COUNT; i++) {
        await(&connecting[i]);
        ck_assert_result(&connecting[i], 0);
    }
    ck_assert_int_eq(memcmp(&copy.addr, &listener.addr, sizeof copy.addr), 0);
    memset(&copy, 0xa5, sizeof copy);
    for (int i = 0; i < COUNT; i++) close_io(&ios[i]);
    close_io(&listener.io);
}
END_TEST

Suite *group_traps(void)
{
    Suite *suite = suite_create("traps");
    EACH_WIRE(suite, child_that_closes_its_copies_takes_nothing_from_the_parent);
    BARE_CASE(suite, every_descriptor_of_the_loop_is_close_on_exec);
    EACH_WIRE(suite, hang_up_that_nobody_waits_for_does_not_spin);
    EACH_WIRE(suite, ops_on_a_descriptor_closed_behind_our_back_end_with_ebadf);
    EACH_WIRE(suite, descriptor_closed_under_a_waiting_op_harms_no_other);
    BARE_CASE(suite, descriptor_closed_before_a_callback_with_more_ends_its_op);
    CASE(suite, connection_to_itself_works_like_any_other);
    EACH_WIRE(suite, connection_aborted_before_its_accept_does_not_end_the_accept);
    CASE(suite, signals_are_left_as_they_were);
    CASE(suite, ops_that_finish_at_once_do_not_nest_their_callbacks);
    EACH_WIRE(suite, connections_may_be_freed_in_the_callbacks_of_one_batch);
    EACH_WIRE(suite, buffer_of_a_canceled_recv_is_never_written_afterwards);
    EACH_WIRE(suite, close_ends_the_connection_though_ops_were_waiting);
    EACH_WIRE(suite, closed_listener_refuses_though_an_accept_was_waiting);
    EACH_WIRE(suite, turns_that_do_not_sleep_get_on_all_the_same);
    EACH_WIRE(suite, address_of_a_connect_is_borrowed_and_not_changed);
    return suite;
}
