/* Promise 16, its heart: hark_await() and hark_await_start() take any op and give its result. */
#include "groups.h"
#include "harness.h"

static int64_t awaits_a_receive(void *arg)
{
    struct wire *wire = arg;
    char buf[8];
    struct hark_op op = { .user = arg };
    op.deadline_ns = hark_after(loop, HARK_MILLISECOND);
    ck_assert_int_eq(hark_await(&op, hark_recv, &wire->io, buf, sizeof buf), HARK_ETIMEDOUT);
    ck_assert_ptr_eq(op.user, arg);
    ck_assert_int_eq(hark_await(&op, hark_nop, loop), 0);
    ck_assert_int_eq(hark_await(&op, hark_timer, loop, hark_after(loop, 1000)), 0);
    ck_assert_int_eq(hark_await(&op, hark_ready, &wire->io, HARK_WRITABLE), 0);
    ck_assert_int_eq(hark_await(&op, hark_shutdown, &wire->io, SHUT_WR), 0);
    ck_assert_int_eq(hark_await(&op, hark_send, &wire->io, "x", 1), HARK_EPIPE);
    ck_assert_int_eq(hark_await(&op, hark_post, loop), 0);
    return hark_await(&op, hark_close, &wire->io);
}

START_TEST(await_starts_any_op_and_returns_its_result)
{
    struct wire wire;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    ck_assert_int_eq(hark_fiber_main(loop, awaits_a_receive, &wire), 0);
    close(wire.peer);
}
END_TEST

static int64_t accepts_one(void *arg)
{
    struct hark_op op = { 0 };
    int64_t fd = hark_await(&op, hark_accept_one, arg);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write((int)fd, "abcde", 5), 5);
    return close((int)fd);
}

static int64_t awaits_the_others(void *arg)
{
    struct listener *listener = arg;
    struct hark_io io = { 0 };
    struct hark_op op = { 0 };
    struct hark_scope scope;
    char buf[8] = { 0 }, text[] = "abc";
    struct iovec slices[2] = { { text, 2 }, { text + 2, 1 } };
    const struct sockaddr *addr = (const struct sockaddr *)&listener->addr;
    hark_scope_open(&scope, 0);
    hark_spawn(&scope, accepts_one, &listener->io);
    ck_assert_int_eq(hark_socket(&io, loop, addr->sa_family, SOCK_STREAM, 0), 0);
    ck_assert_int_eq(hark_await(&op, hark_connect, &io, addr, listener->len), 0);
    ck_assert_int_eq(hark_await(&op, hark_ready, &io, HARK_READABLE), 0);
    ck_assert_int_eq(hark_await(&op, hark_recv, &io, buf, sizeof buf), 5);
    ck_assert_str_eq(buf, "abcde");
    int64_t sent = hark_await(&op, hark_sendv, &io, slices, 2);
    ck_assert(sent == 3 || sent == HARK_EPIPE || sent == HARK_ECONNRESET); /* it has gone */
    ck_assert_int_eq(hark_await(&op, hark_close, &io), 0);
    return hark_scope_close(&scope);
}

START_TEST(await_of_a_connection_from_its_beginning_to_its_end)
{
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    ck_assert_int_eq(hark_fiber_main(loop, awaits_the_others, &listener), 0);
    close_io(&listener.io);
}
END_TEST

struct job { struct hark_op op; int number; };

static int64_t doubles(struct hark_op *op) { return 2 * ((struct job *)(void *)op)->number; }

static int64_t awaits_datagrams(void *arg)
{
    struct hark_io *ios = arg;
    struct hark_op op = { 0 };
    struct job job = { .number = 21 };
    char buf[8] = { 0 }, text[] = "hi";
    struct hark_datagram out = { .data = text, .len = 2 }, in = { .data = buf, .len = sizeof buf };
    ck_assert_int_eq(hark_await(&op, hark_sendto, &ios[0], &out), 2);
    ck_assert_int_eq(hark_await(&op, hark_recvfrom, &ios[1], &in), 2);
    ck_assert_str_eq(buf, "hi");
    op.deadline_ns = hark_after(loop, HARK_MILLISECOND);
    ck_assert_int_eq(hark_await(&op, hark_recvfrom, &ios[1], &in), HARK_ETIMEDOUT);
    return hark_await(&job.op, hark_offload, loop, HARK_OFFLOAD_WORK, doubles);
}

START_TEST(await_of_datagrams_and_of_work)
{
    struct hark_io ios[2] = { 0 };
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(hark_io_adopt(&ios[i], loop, fds[i]), 0);
    ck_assert_int_eq(hark_fiber_main(loop, awaits_datagrams, ios), 42);
    for (int i = 0; i < 2; i++) close_io(&ios[i]);
}
END_TEST

static int64_t awaits_other_clocks(void *arg)
{
    struct hark_op op = { 0 };
    struct hark_scope scope;
    (void)arg;
    int64_t when = hark_boot_now() + HARK_MILLISECOND;
    ck_assert_int_eq(hark_await(&op, hark_timer_boot, loop, when), 0);
    ck_assert_int_ge(hark_boot_now(), when);
    ck_assert_int_eq(hark_await(&op, hark_timer_wall, loop, hark_wall_now() - 1), 0);
    when = hark_wall_now() + 1000 * HARK_SECOND;
    hark_scope_open(&scope, hark_after(loop, HARK_MILLISECOND));
    ck_assert_int_eq(hark_await(&op, hark_timer_wall, loop, when), HARK_ETIMEDOUT);
    return hark_scope_close(&scope);
}

START_TEST(await_of_other_clocks)
{
    ck_assert_int_eq(hark_fiber_main(loop, awaits_other_clocks, NULL), HARK_ETIMEDOUT);
}
END_TEST

static int64_t starts_two(void *arg)
{
    struct wire *wire = arg;
    char buf[8];
    struct hark_op reading = { 0 }, timer = { 0 };
    hark_await_start(&reading, hark_recv, &wire->io, buf, sizeof buf);
    hark_await_start(&timer, hark_timer, loop, hark_after(loop, HARK_MILLISECOND));
    ck_assert_int_eq(hark_await_started(&timer), 0);
    ck_assert(hark_is_alive(&reading));
    write_all(wire->peer, "abc", 3);
    ck_assert_int_eq(hark_fiber_sleep(5 * HARK_MILLISECOND), 0);
    while (hark_is_alive(&reading)) ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), 0);
    return hark_await_started(&reading);
}

START_TEST(a_started_op_runs_beside_the_fiber)
{
    struct wire wire;
    ck_assert(wire_open(&wire, WIRE_UNIX));
    ck_assert_int_eq(hark_fiber_main(loop, starts_two, &wire), 3);
    wire_close(&wire);
}
END_TEST

Suite *group_await(void)
{
    Suite *suite = suite_create("await");
    EACH_WIRE(suite, await_starts_any_op_and_returns_its_result);
    EACH_WIRE(suite, await_of_a_connection_from_its_beginning_to_its_end);
    CASE(suite, await_of_datagrams_and_of_work);
    CASE(suite, await_of_other_clocks);
    CASE(suite, a_started_op_runs_beside_the_fiber);
    return suite;
}
