/* recv: what arrives comes once, in order and whole; the ways a stream can end are told apart. */
#include "groups.h"
#include "harness.h"

#include <sys/mman.h>

START_TEST(recv_takes_what_is_there_and_touches_no_byte_beyond)
{
    struct wire wire;
    struct probe receiving = { 0 };
    char buf[100];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    memset(buf, '#', sizeof buf);
    write_all(wire.peer, "hello", 5);
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    await(&receiving);
    ck_assert_result(&receiving, 5);
    ck_assert_int_eq(memcmp(buf, "hello", 5), 0);
    for (size_t i = 5; i < sizeof buf; i++) ck_assert_int_eq(buf[i], '#');
    wire_close(&wire);
}
END_TEST

START_TEST(recv_waits_while_nothing_is_there)
{
    struct wire wire;
    struct probe receiving = { 0 };
    char buf[4];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    spin(10);
    ck_assert_int_eq(receiving.calls, 0);
    write_all(wire.peer, "x", 1);
    await(&receiving);
    ck_assert_result(&receiving, 1);
    wire_close(&wire);
}
END_TEST

/* Trap 8: the rest must not wait for a new event. */
START_TEST(recv_into_a_short_buffer_leaves_the_rest_for_the_next)
{
    struct wire wire;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    write_all(wire.peer, "0123456789", 10);
    static const int wanted[] = { 4, 4, 2 };
    for (size_t i = 0; i < 3; i++) {
        struct probe receiving = { 0 };
        char buf[4];
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        await(&receiving);
        ck_assert_result(&receiving, wanted[i]);
        ck_assert_int_eq(memcmp(buf, &"0123456789"[4 * i], (size_t)wanted[i]), 0);
    }
    struct probe last = { 0 };
    char buf[4];
    hark_recv(&last.op, &wire.io, buf, sizeof buf, on_probe);
    spin(10);
    ck_assert_int_eq(last.calls, 0);
    write_all(wire.peer, "abcd", 4);
    await(&last);
    ck_assert_result(&last, 4);
    wire_close(&wire);
}
END_TEST

START_TEST(recv_that_drains_exactly_waits_for_more_without_error)
{
    struct wire wire;
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    for (int round = 0; round < 20; round++) {
        struct probe receiving = { 0 };
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        spin(2);
        ck_assert_int_eq(receiving.calls, 0);
        write_all(wire.peer, "12345678", 8);
        await(&receiving);
        ck_assert_result(&receiving, 8);
    }
    wire_close(&wire);
}
END_TEST

START_TEST(end_of_stream_is_zero_each_time_it_is_asked_for)
{
    struct wire wire;
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    struct probe waiting = { 0 };
    hark_recv(&waiting.op, &wire.io, buf, sizeof buf, on_probe);
    spin(2);
    close(wire.peer);
    wire.peer = -1;
    await(&waiting);
    ck_assert_result(&waiting, 0);
    for (int again = 0; again < 3; again++) {
        struct probe receiving = { 0 };
        hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
        await(&receiving);
        ck_assert_result(&receiving, 0);
        ck_assert(!receiving.op.more);
    }
    wire_close(&wire);
}
END_TEST

/* Trap 5: a hang-up does not mean that nothing is left to read. */
START_TEST(bytes_sent_before_the_end_are_all_received_before_it)
{
    struct wire wire;
    char out[3000], in[512];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    pattern_fill(out, sizeof out, 0);
    write_all(wire.peer, out, sizeof out);
    close(wire.peer);
    wire.peer = -1;
    spin(3);
    size_t got = 0;
    for (;;) {
        struct probe receiving = { 0 };
        hark_recv(&receiving.op, &wire.io, in, sizeof in, on_probe);
        await(&receiving);
        ck_assert_int_ge(receiving.result, 0);
        if (receiving.result == 0) break;
        pattern_check(in, (size_t)receiving.result, got);
        got += (size_t)receiving.result;
    }
    ck_assert_uint_eq(got, sizeof out);
    wire_close(&wire);
}
END_TEST

/* A Unix stream is reset by closing it with bytes unread. */
static void reset_peer(struct wire *wire, enum wire_kind kind)
{
    if (kind == WIRE_UNIX) {
        write_all(wire->io.fd, "unread", 6);
        close(wire->peer);
    } else {
        reset_and_close(wire->peer);
    }
    wire->peer = -1;
}

START_TEST(reset_is_an_error_and_not_an_end)
{
    struct wire wire;
    struct probe receiving = { 0 };
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_recv(&receiving.op, &wire.io, buf, sizeof buf, on_probe);
    spin(2);
    reset_peer(&wire, (enum wire_kind)_i);
    await(&receiving);
    ck_assert_result(&receiving, HARK_ECONNRESET);
    ck_assert(is_system_error(receiving.os_error, ECONNRESET));
    struct probe after = { 0 };
    hark_recv(&after.op, &wire.io, buf, sizeof buf, on_probe);
    await(&after);
    ck_assert_result(&after, 0);
    wire_close(&wire);
}
END_TEST

START_TEST(recv_of_no_length_takes_nothing_and_keeps_its_place)
{
    struct wire wire;
    struct probe first = { 0 }, nothing = { 0 }, second = { 0 };
    char a, b;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_recv(&first.op, &wire.io, &a, 1, on_probe);
    hark_recv(&nothing.op, &wire.io, NULL, 0, on_probe);
    hark_recv(&second.op, &wire.io, &b, 1, on_probe);
    spin(5);
    ck_assert_int_eq(first.calls + nothing.calls + second.calls, 0);
    write_all(wire.peer, "ab", 2);
    await(&second);
    ck_assert_int_eq(first.order, 1);
    ck_assert_int_eq(nothing.order, 2);
    ck_assert_int_eq(second.order, 3);
    ck_assert_result(&nothing, 0);
    ck_assert_int_eq(a, 'a');
    ck_assert_int_eq(b, 'b');
    struct probe alone = { 0 };
    hark_recv(&alone.op, &wire.io, NULL, 0, on_probe);
    await(&alone);
    ck_assert_result(&alone, 0);
    wire_close(&wire);
}
END_TEST

/* Trap 18: in 32 bits this length is 10. */
START_TEST(recv_with_room_beyond_4_gib_is_not_cut_to_32_bits)
{
    struct wire wire;
    struct probe receiving = { 0 };
    const size_t room = (size_t)UINT32_MAX + 1 + 10;
    char *buf = mmap(NULL, room, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char out[100];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    ck_assert_ptr_ne(buf, MAP_FAILED);
    pattern_fill(out, sizeof out, 0);
    write_all(wire.peer, out, sizeof out);
    hark_recv(&receiving.op, &wire.io, buf, room, on_probe);
    await(&receiving);
    ck_assert_result(&receiving, sizeof out);
    pattern_check(buf, sizeof out, 0);
    munmap(buf, room);
    wire_close(&wire);
}
END_TEST

START_TEST(queued_recvs_get_the_stream_in_the_order_submitted)
{
    enum { COUNT = 50 };
    struct wire wire;
    static struct probe receiving[COUNT];
    char in[COUNT][3], out[COUNT * 3];
    memset(receiving, 0, sizeof receiving);
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    for (int i = 0; i < COUNT; i++)
        hark_recv(&receiving[i].op, &wire.io, in[i], sizeof in[i], on_probe);
    pattern_fill(out, sizeof out, 0);
    write_all(wire.peer, out, sizeof out);
    await(&receiving[COUNT - 1]);
    size_t at = 0;
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(receiving[i].order, i + 1);
        ck_assert_int_gt(receiving[i].result, 0);
        pattern_check(in[i], (size_t)receiving[i].result, at);
        at += (size_t)receiving[i].result;
    }
    ck_assert_uint_eq(at, sizeof out);
    wire_close(&wire);
}
END_TEST

START_TEST(canceled_recv_leaves_every_later_byte_to_the_next)
{
    struct wire wire;
    struct probe canceled = { 0 }, next = { 0 };
    char first[8] = { 0 }, second[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_recv(&canceled.op, &wire.io, first, sizeof first, on_probe);
    spin(2);
    ck_assert(hark_cancel(&canceled.op));
    await(&canceled);
    ck_assert_result(&canceled, HARK_ECANCELED);
    ck_assert_int_eq(canceled.os_error, 0);
    write_all(wire.peer, "whole", 5);
    hark_recv(&next.op, &wire.io, second, sizeof second, on_probe);
    await(&next);
    ck_assert_result(&next, 5);
    ck_assert_int_eq(memcmp(second, "whole", 5), 0);
    wire_close(&wire);
}
END_TEST

/* Promise 5: the bytes come with the canceled op or with the next one, never with none. */
START_TEST(cancel_after_arrival_loses_no_byte)
{
    struct wire wire;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    for (int round = 0; round < 60; round++) {
        struct probe canceled = { 0 }, next = { 0 };
        char one[4], two[4];
        const char *got = one;
        hark_recv(&canceled.op, &wire.io, one, sizeof one, on_probe);
        if (round % 3 != 0) spin(round % 3);
        write_all(wire.peer, "abc", 3);
        if (round % 2 != 0) spin(1);
        hark_cancel(&canceled.op);
        await(&canceled);
        if (canceled.result == HARK_ECANCELED) {
            hark_recv(&next.op, &wire.io, two, sizeof two, on_probe);
            await(&next);
            ck_assert_result(&next, 3);
            got = two;
        } else {
            ck_assert_result(&canceled, 3);
        }
        ck_assert_int_eq(memcmp(got, "abc", 3), 0);
    }
    wire_close(&wire);
}
END_TEST

START_TEST(recv_deadline_passes_and_the_stream_goes_on)
{
    struct wire wire;
    struct probe late = { 0 }, next = { 0 };
    char buf[8];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    int64_t due = hark_after(loop, 2 * HARK_MILLISECOND);
    late.op.deadline_ns = due;
    hark_recv(&late.op, &wire.io, buf, sizeof buf, on_probe);
    await(&late);
    ck_assert_result(&late, HARK_ETIMEDOUT);
    ck_assert_int_ge(late.time_ns, due);
    write_all(wire.peer, "yes", 3);
    hark_recv(&next.op, &wire.io, buf, sizeof buf, on_probe);
    await(&next);
    ck_assert_result(&next, 3);
    wire_close(&wire);
}
END_TEST

START_TEST(recv_where_none_is_possible_answers_by_the_callback)
{
    struct hark_io fresh = { 0 }, tube = { 0 };
    struct probe unconnected = { 0 }, no_socket = { 0 }, closed = { 0 };
    int pipe_fds[2];
    char buf[4];
    ck_assert_int_eq(hark_socket(&fresh, loop, AF_INET, SOCK_STREAM, 0), 0);
    hark_recv(&unconnected.op, &fresh, buf, sizeof buf, on_probe);
    await(&unconnected);
    ck_assert_result(&unconnected, HARK_ENOTCONN);
    ck_assert(is_system_error(unconnected.os_error, ENOTCONN));
    ck_assert_int_eq(pipe(pipe_fds), 0);
    ck_assert_int_eq(hark_io_adopt(&tube, loop, pipe_fds[0]), 0);
    write_all(pipe_fds[1], "x", 1);
    hark_recv(&no_socket.op, &tube, buf, sizeof buf, on_probe);
    await(&no_socket);
    ck_assert_result(&no_socket, HARK_ENOTSOCK);
    close_io(&fresh);
    hark_recv(&closed.op, &fresh, buf, sizeof buf, on_probe);
    ck_assert_int_eq(closed.calls, 0);
    await(&closed);
    ck_assert_result(&closed, HARK_EBADF);
    close_io(&tube);
    close(pipe_fds[1]);
}
END_TEST

Suite *group_recv(void)
{
    Suite *suite = suite_create("recv");
    EACH_WIRE(suite, recv_takes_what_is_there_and_touches_no_byte_beyond);
    EACH_WIRE(suite, recv_waits_while_nothing_is_there);
    EACH_WIRE(suite, recv_into_a_short_buffer_leaves_the_rest_for_the_next);
    EACH_WIRE(suite, recv_that_drains_exactly_waits_for_more_without_error);
    EACH_WIRE(suite, end_of_stream_is_zero_each_time_it_is_asked_for);
    EACH_WIRE(suite, bytes_sent_before_the_end_are_all_received_before_it);
    EACH_WIRE(suite, reset_is_an_error_and_not_an_end);
    EACH_WIRE(suite, recv_of_no_length_takes_nothing_and_keeps_its_place);
    EACH_WIRE(suite, recv_with_room_beyond_4_gib_is_not_cut_to_32_bits);
    EACH_WIRE(suite, queued_recvs_get_the_stream_in_the_order_submitted);
    EACH_WIRE(suite, canceled_recv_leaves_every_later_byte_to_the_next);
    EACH_WIRE(suite, cancel_after_arrival_loses_no_byte);
    EACH_WIRE(suite, recv_deadline_passes_and_the_stream_goes_on);
    CASE(suite, recv_where_none_is_possible_answers_by_the_callback);
    return suite;
}
