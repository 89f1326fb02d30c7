/* shutdown: the end goes out in its place among the sends, and each direction ends by itself. */
#include "groups.h"
#include "harness.h"

#include <poll.h>

/* Reads until the end of stream; the case fails if it does not come. Gives the bytes before it. */
static size_t bytes_until_end(int fd)
{
    char block[4096];
    size_t got = 0;
    for (;;) {
        ck_assert_msg(is_ready(fd, POLLIN, 5000), "the end of stream did not come");
        ssize_t n = recv(fd, block, sizeof block, MSG_DONTWAIT);
        ck_assert_int_ge(n, 0);
        if (n == 0) return got;
        got += (size_t)n;
    }
}

START_TEST(shutdown_goes_out_after_every_send_submitted_before)
{
    enum { BYTES = 8 << 20 };
    struct wire wire;
    struct probe big = { 0 }, small = { 0 }, ending = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    char *buf = malloc(BYTES);
    ck_assert_ptr_nonnull(buf);
    pattern_fill(buf, BYTES, 0);
    hark_send(&big.op, &wire.io, buf, BYTES - 10, on_probe);
    hark_send(&small.op, &wire.io, buf + BYTES - 10, 10, on_probe);
    hark_shutdown(&ending.op, &wire.io, SHUT_WR, on_probe);
    spin(5);
    ck_assert_int_eq(ending.calls, 0);
    size_t got = 0;
    while (ending.last_calls == 0) {
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        got += pattern_take(wire.peer, got, SIZE_MAX);
    }
    ck_assert_result(&big, BYTES - 10);
    ck_assert_result(&small, 10);
    ck_assert_result(&ending, 0);
    ck_assert_int_eq(ending.order, 3);
    ck_assert_uint_eq(got + bytes_until_end(wire.peer), BYTES);
    free(buf);
    wire_close(&wire);
}
END_TEST

/* Trap 6: half-closed is legal. */
START_TEST(read_side_goes_on_after_the_write_side_has_ended)
{
    struct wire wire;
    struct probe ending = { 0 }, receiving = { 0 }, end = { 0 }, late = { 0 };
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    hark_shutdown(&ending.op, &wire.io, SHUT_WR, on_probe);
    await(&ending);
    ck_assert_result(&ending, 0);
    ck_assert_uint_eq(bytes_until_end(wire.peer), 0);
    spin(5);
    ck_assert_int_eq(receiving.calls, 0);
    write_all(wire.peer, "still", 5);
    await(&receiving);
    ck_assert_result(&receiving, 5);
    hark_send(&late.op, &wire.io, "x", 1, on_probe);
    await(&late);
    ck_assert_result(&late, HARK_EPIPE);
    close(wire.peer);
    wire.peer = -1;
    hark_recv(&end.op, &wire.io, buf, sizeof buf, on_probe);
    await(&end);
    ck_assert_result(&end, 0);
    wire_close(&wire);
}
END_TEST

START_TEST(write_side_goes_on_after_the_peer_has_ended_its_own)
{
    struct wire wire;
    struct probe receiving = { 0 }, sending = { 0 };
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    ck_assert_int_eq(shutdown(wire.peer, SHUT_WR), 0);
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    await(&receiving);
    ck_assert_result(&receiving, 0);
    hark_send(&sending.op, &wire.io, "answer", 6, on_probe);
    await(&sending);
    ck_assert_result(&sending, 6);
    ck_assert_int_eq(read(wire.peer, buf, sizeof buf), 6);
    wire_close(&wire);
}
END_TEST

START_TEST(shutdown_of_the_read_side_ends_a_waiting_recv)
{
    struct wire wire;
    struct probe receiving = { 0 }, ending = { 0 };
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    spin(2);
    hark_shutdown(&ending.op, &wire.io, SHUT_RD, on_probe);
    await(&ending);
    ck_assert_result(&ending, 0);
    await(&receiving);
    ck_assert_result(&receiving, 0);
    wire_close(&wire);
}
END_TEST

START_TEST(shutdown_of_the_read_side_makes_it_readable)
{
    struct wire wire;
    struct probe waiting = { 0 }, ending = { 0 }, later = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_ready(&waiting.op, &wire.io, HARK_READABLE, on_probe);
    spin(2);
    hark_shutdown(&ending.op, &wire.io, SHUT_RD, on_probe);
    await(&ending);
    ck_assert_result(&ending, 0);
    await(&waiting);
    ck_assert_result(&waiting, 0);
    hark_ready(&later.op, &wire.io, HARK_READABLE, on_probe);
    await(&later);
    ck_assert_result(&later, 0);
    wire_close(&wire);
}
END_TEST

START_TEST(shutdown_of_both_sides_ends_both)
{
    struct wire wire;
    struct probe ending = { 0 }, receiving = { 0 }, sending = { 0 };
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_shutdown(&ending.op, &wire.io, SHUT_RDWR, on_probe);
    await(&ending);
    ck_assert_result(&ending, 0);
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    hark_send(&sending.op, &wire.io, "x", 1, on_probe);
    await(&receiving);
    await(&sending);
    ck_assert_result(&receiving, 0);
    ck_assert_result(&sending, HARK_EPIPE);
    ck_assert_uint_eq(bytes_until_end(wire.peer), 0);
    wire_close(&wire);
}
END_TEST

START_TEST(shutdown_of_what_is_not_connected_is_enotconn)
{
    struct hark_io fresh = { 0 };
    struct probe ending = { 0 };
    ck_assert_int_eq(hark_socket(&fresh, loop, AF_INET, SOCK_STREAM, 0), 0);
    hark_shutdown(&ending.op, &fresh, SHUT_WR, on_probe);
    ck_assert_int_eq(ending.calls, 0);
    await(&ending);
    ck_assert_result(&ending, HARK_ENOTCONN);
    ck_assert(is_system_error(ending.os_error, ENOTCONN));
    close_io(&fresh);
}
END_TEST

START_TEST(shutdown_behind_a_send_can_be_canceled_and_then_nothing_ends)
{
    enum { BYTES = 8 << 20 };
    struct wire wire;
    struct probe big = { 0 }, ending = { 0 }, after = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    char *buf = malloc(BYTES);
    ck_assert_ptr_nonnull(buf);
    pattern_fill(buf, BYTES, 0);
    hark_send(&big.op, &wire.io, buf, BYTES, on_probe);
    hark_shutdown(&ending.op, &wire.io, SHUT_WR, on_probe);
    spin(3);
    ck_assert(hark_cancel(&ending.op));
    await(&ending);
    ck_assert_result(&ending, HARK_ECANCELED);
    size_t got = 0;
    while (big.last_calls == 0) {
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        got += pattern_take(wire.peer, got, SIZE_MAX);
    }
    ck_assert_result(&big, BYTES);
    hark_send(&after.op, &wire.io, "x", 1, on_probe);
    await(&after);
    ck_assert_result(&after, 1);
    free(buf);
    wire_close(&wire);
}
END_TEST

Suite *group_shutdown(void)
{
    Suite *suite = suite_create("shutdown");
    EACH_WIRE(suite, shutdown_goes_out_after_every_send_submitted_before);
    EACH_WIRE(suite, read_side_goes_on_after_the_write_side_has_ended);
    EACH_WIRE(suite, write_side_goes_on_after_the_peer_has_ended_its_own);
    EACH_WIRE(suite, shutdown_of_the_read_side_ends_a_waiting_recv);
    EACH_WIRE(suite, shutdown_of_the_read_side_makes_it_readable);
    EACH_WIRE(suite, shutdown_of_both_sides_ends_both);
    CASE(suite, shutdown_of_what_is_not_connected_is_enotconn);
    EACH_WIRE(suite, shutdown_behind_a_send_can_be_canceled_and_then_nothing_ends);
    return suite;
}
