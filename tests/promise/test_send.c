/* send and sendv: all bytes go, whole and in order, or hark_sent_bytes() tells exactly how many
 * did; and whatever the peer does, no SIGPIPE. */
#include "groups.h"
#include "harness.h"

#include <limits.h>
#include <poll.h>
#include <sys/mman.h>

enum { BIG = 12 << 20 /* bytes: more than both socket buffers together can hold */ };

static char *big_pattern(void)
{
    char *buf = malloc(BIG);
    ck_assert_ptr_nonnull(buf);
    pattern_fill(buf, BIG, 0);
    return buf;
}

/* Runs turns and lets the peer read step_bytes in each, until the probe is done; gives the bytes
 * that the peer got from offset on. */
static size_t read_slowly(struct probe *probe, int peer, size_t offset, size_t step_bytes)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    size_t got = 0;
    while (probe->last_calls == 0) {
        ck_assert_msg(clock_now() < end, "the send did not end");
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        got += pattern_take(peer, offset + got, step_bytes);
    }
    return got;
}

/* All that is still on its way once the sender has closed. */
static size_t read_to_the_end(int peer, size_t offset)
{
    size_t got = 0;
    while (is_ready(peer, POLLIN, 5000)) {
        size_t n = pattern_take(peer, offset + got, SIZE_MAX);
        if (n == 0) break;
        got += n;
    }
    return got;
}

START_TEST(send_gives_the_whole_length_and_the_peer_gets_the_bytes)
{
    struct wire wire;
    struct probe sending = { 0 };
    char in[8] = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_send(&sending.op, &wire.io, "hello", 5, on_probe);
    await(&sending);
    ck_assert_result(&sending, 5);
    ck_assert_uint_eq(hark_sent_bytes(&sending.op), 5);
    ck_assert_int_eq(read(wire.peer, in, sizeof in), 5);
    ck_assert_int_eq(memcmp(in, "hello", 5), 0);
    wire_close(&wire);
}
END_TEST

START_TEST(send_of_nothing_is_zero_in_its_turn)
{
    struct wire wire;
    struct probe first = { 0 }, nothing = { 0 }, none_of_a_list = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_send(&first.op, &wire.io, "x", 1, on_probe);
    hark_send(&nothing.op, &wire.io, NULL, 0, on_probe);
    hark_sendv(&none_of_a_list.op, &wire.io, NULL, 0, on_probe);
    await(&none_of_a_list);
    ck_assert_result(&nothing, 0);
    ck_assert_result(&none_of_a_list, 0);
    ck_assert_int_eq(first.order, 1);
    ck_assert_int_eq(nothing.order, 2);
    ck_assert_uint_eq(drain(wire.peer), 1);
    wire_close(&wire);
}
END_TEST

START_TEST(send_bigger_than_any_socket_buffer_is_completed_whole)
{
    struct wire wire;
    struct probe sending = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    char *buf = big_pattern();
    hark_send(&sending.op, &wire.io, buf, BIG, on_probe);
    spin(10);
    ck_assert_int_eq(sending.calls, 0);
    size_t got = read_slowly(&sending, wire.peer, 0, 200000);
    ck_assert_int_eq(sending.calls, 1);
    ck_assert_result(&sending, BIG);
    ck_assert_uint_eq(hark_sent_bytes(&sending.op), BIG);
    close_io(&wire.io);
    ck_assert_uint_eq(got + read_to_the_end(wire.peer, got), BIG);
    free(buf);
    wire_close(&wire);
}
END_TEST

/* Trap 18: in 32 bits this length is 5. */
START_TEST(send_beyond_4_gib_is_not_cut_to_32_bits)
{
    struct wire wire;
    struct probe sending = { 0 };
    const size_t len = (size_t)UINT32_MAX + 1 + 5;
    char *buf = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(buf, MAP_FAILED);
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_send(&sending.op, &wire.io, buf, len, on_probe);
    size_t got = 0;
    for (int turns = 0; turns < 1000 && got < 1000000; turns++) {
        spin(1);
        got += drain(wire.peer);
    }
    ck_assert_uint_ge(got, 1000000);
    ck_assert_int_eq(sending.calls, 0);
    hark_cancel(&sending.op);
    await(&sending);
    ck_assert_result(&sending, HARK_ECANCELED);
    size_t sent = hark_sent_bytes(&sending.op);
    close_io(&wire.io);
    while (is_ready(wire.peer, POLLIN, 5000)) {
        size_t n = drain(wire.peer);
        if (n == 0) break;
        got += n;
    }
    ck_assert_uint_eq(sent, got);
    munmap(buf, len);
    wire_close(&wire);
}
END_TEST

START_TEST(queued_sends_go_out_in_the_order_submitted)
{
    enum { COUNT = 100, PIECE = 40000 };
    struct wire wire;
    static struct probe sending[COUNT];
    memset(sending, 0, sizeof sending);
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    char *buf = big_pattern();
    for (size_t i = 0; i < COUNT; i++)
        hark_send(&sending[i].op, &wire.io, buf + i * PIECE, PIECE, on_probe);
    size_t got = read_slowly(&sending[COUNT - 1], wire.peer, 0, 100000);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_result(&sending[i], PIECE);
        ck_assert_int_eq(sending[i].order, i + 1);
    }
    close_io(&wire.io);
    ck_assert_uint_eq(got + read_to_the_end(wire.peer, got), (size_t)COUNT * PIECE);
    free(buf);
    wire_close(&wire);
}
END_TEST

/* The deadline asks as a cancel does. */
static void end_midway(struct probe *sending, bool by_deadline)
{
    if (by_deadline) ck_assert(hark_rearm(&sending->op, hark_after(loop, HARK_MILLISECOND)));
    else ck_assert(hark_cancel(&sending->op));
    await(sending);
    ck_assert_result(sending, by_deadline ? HARK_ETIMEDOUT : HARK_ECANCELED);
}

static void check_midway(enum wire_kind kind, bool by_deadline)
{
    struct wire wire;
    struct probe sending = { 0 };
    if (!wire_open(&wire, kind)) return;
    char *buf = big_pattern();
    hark_send(&sending.op, &wire.io, buf, BIG, on_probe);
    spin(4);
    size_t got = pattern_take(wire.peer, 0, 300001);
    spin(4);
    end_midway(&sending, by_deadline);
    size_t sent = hark_sent_bytes(&sending.op);
    ck_assert_uint_gt(sent, 300001);
    ck_assert_uint_lt(sent, BIG);
    memset(buf, 0, BIG); /* the buffer is the caller's again: nothing may be read from it now */
    close_io(&wire.io);
    got += read_to_the_end(wire.peer, got);
    ck_assert_uint_eq(sent, got);
    free(buf);
    wire_close(&wire);
}

START_TEST(sent_bytes_tell_exactly_what_a_canceled_send_had_moved)
{
    check_midway((enum wire_kind)_i, false);
}
END_TEST

START_TEST(sent_bytes_tell_exactly_what_a_late_send_had_moved)
{
    check_midway((enum wire_kind)_i, true);
}
END_TEST

START_TEST(canceled_send_that_waited_behind_another_sends_nothing)
{
    struct wire wire;
    struct probe first = { 0 }, canceled = { 0 }, last = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    char *buf = big_pattern();
    hark_send(&first.op, &wire.io, buf, BIG / 2, on_probe);
    hark_send(&canceled.op, &wire.io, "!!!!", 4, on_probe);
    hark_send(&last.op, &wire.io, buf + BIG / 2, BIG / 2, on_probe);
    spin(3);
    ck_assert_int_eq(first.calls, 0);
    hark_cancel(&canceled.op);
    await(&canceled);
    ck_assert_result(&canceled, HARK_ECANCELED);
    ck_assert_uint_eq(hark_sent_bytes(&canceled.op), 0);
    ck_assert_int_eq(first.calls, 0);
    size_t got = read_slowly(&last, wire.peer, 0, 1000000);
    close_io(&wire.io);
    ck_assert_uint_eq(got + read_to_the_end(wire.peer, got), BIG);
    free(buf);
    wire_close(&wire);
}
END_TEST

/* Trap 19. The default action of SIGPIPE would end this process. */
START_TEST(send_to_a_peer_that_is_gone_is_epipe_and_raises_no_signal)
{
    struct wire wire;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    if (_i == WIRE_UNIX) close(wire.peer);
    else reset_and_close(wire.peer);
    wire.peer = -1;
    for (int again = 0; again < 4; again++) {
        struct probe sending = { 0 };
        struct iovec slice = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
        if (again % 2 == 0) hark_send(&sending.op, &wire.io, "x", 1, on_probe);
        else hark_sendv(&sending.op, &wire.io, &slice, 1, on_probe);
        await(&sending);
        if (again == 0 && _i != WIRE_UNIX) ck_assert_result(&sending, HARK_ECONNRESET);
        else ck_assert_result(&sending, HARK_EPIPE);
        ck_assert_uint_eq(hark_sent_bytes(&sending.op), 0);
    }
    wire_close(&wire);
}
END_TEST

START_TEST(send_ends_with_an_error_when_the_peer_goes_midway)
{
    struct wire wire;
    struct probe sending = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    char *buf = big_pattern();
    hark_send(&sending.op, &wire.io, buf, BIG, on_probe);
    spin(4);
    ck_assert_int_eq(sending.calls, 0);
    close(wire.peer); /* with bytes unread: a reset */
    wire.peer = -1;
    await(&sending);
    ck_assert(sending.result == HARK_EPIPE || sending.result == HARK_ECONNRESET);
    ck_assert_int_ne(sending.os_error, 0);
    ck_assert_uint_gt(hark_sent_bytes(&sending.op), 0);
    ck_assert_uint_lt(hark_sent_bytes(&sending.op), BIG);
    free(buf);
    wire_close(&wire);
}
END_TEST

/* A list of slices of uneven lengths, every seventh of them empty. */
static size_t cut_into_slices(char *buf, size_t bytes, struct iovec *slices, size_t room)
{
    size_t count = 0;
    for (size_t at = 0; at < bytes; count++) {
        ck_assert_uint_lt(count, room);
        size_t len = count % 7 == 0 ? 0 : 1 + count * 37 % 4099;
        if (len > bytes - at) len = bytes - at;
        slices[count] = (struct iovec){ .iov_base = len == 0 ? NULL : buf + at, .iov_len = len };
        at += len;
    }
    return count;
}

START_TEST(sendv_sends_thousands_of_slices_through_short_sends)
{
    enum { ROOM = 8000, BYTES = 10 << 20 };
    static struct iovec slices[ROOM];
    struct wire wire;
    struct probe sending = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    char *buf = big_pattern();
    size_t count = cut_into_slices(buf, BYTES, slices, ROOM);
    ck_assert_uint_gt(count, 2 * IOV_MAX);
    hark_sendv(&sending.op, &wire.io, slices, count, on_probe);
    spin(4);
    size_t got = read_slowly(&sending, wire.peer, 0, 70001);
    ck_assert_result(&sending, BYTES);
    ck_assert_uint_eq(hark_sent_bytes(&sending.op), BYTES);
    close_io(&wire.io);
    ck_assert_uint_eq(got + read_to_the_end(wire.peer, got), BYTES);
    free(buf);
    wire_close(&wire);
}
END_TEST

START_TEST(sendv_of_more_than_iov_max_tiny_slices_sends_each)
{
    enum { COUNT = 3 * IOV_MAX };
    static struct iovec slices[COUNT];
    static char buf[COUNT];
    struct wire wire;
    struct probe sending = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    pattern_fill(buf, sizeof buf, 0);
    for (size_t i = 0; i < COUNT; i++)
        slices[i] = (struct iovec){ .iov_base = buf + i, .iov_len = 1 };
    hark_sendv(&sending.op, &wire.io, slices, COUNT, on_probe);
    size_t got = read_slowly(&sending, wire.peer, 0, SIZE_MAX);
    ck_assert_result(&sending, COUNT);
    close_io(&wire.io);
    ck_assert_uint_eq(got + read_to_the_end(wire.peer, got), COUNT);
    wire_close(&wire);
}
END_TEST

START_TEST(sendv_passes_over_any_number_of_empty_slices)
{
    enum { EMPTY = 2000 };
    static struct iovec slices[EMPTY + 2];
    struct wire wire;
    struct probe sending = { 0 }, only_empty = { 0 };
    char in[4] = { 0 };
    memset(slices, 0, sizeof slices);
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    slices[EMPTY / 2] = (struct iovec){ .iov_base = (char[]){ 'a' }, .iov_len = 1 };
    slices[EMPTY + 1] = (struct iovec){ .iov_base = (char[]){ 'b' }, .iov_len = 1 };
    hark_sendv(&sending.op, &wire.io, slices, EMPTY + 2, on_probe);
    await(&sending);
    ck_assert_result(&sending, 2);
    ck_assert_int_eq(recv(wire.peer, in, 2, MSG_WAITALL), 2);
    ck_assert_int_eq(memcmp(in, "ab", 2), 0);
    memset(slices, 0, sizeof slices);
    hark_sendv(&only_empty.op, &wire.io, slices, EMPTY, on_probe);
    await(&only_empty);
    ck_assert_result(&only_empty, 0);
    wire_close(&wire);
}
END_TEST

START_TEST(sent_bytes_tell_exactly_what_a_canceled_sendv_had_moved)
{
    enum { ROOM = 8000, BYTES = 10 << 20 };
    static struct iovec slices[ROOM];
    struct wire wire;
    struct probe sending = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    char *buf = big_pattern();
    size_t count = cut_into_slices(buf, BYTES, slices, ROOM);
    hark_sendv(&sending.op, &wire.io, slices, count, on_probe);
    spin(6);
    size_t got = pattern_take(wire.peer, 0, 123457);
    spin(6);
    ck_assert_int_eq(sending.calls, 0);
    hark_cancel(&sending.op);
    await(&sending);
    ck_assert_result(&sending, HARK_ECANCELED);
    size_t sent = hark_sent_bytes(&sending.op);
    close_io(&wire.io);
    ck_assert_uint_eq(sent, got + read_to_the_end(wire.peer, got));
    free(buf);
    wire_close(&wire);
}
END_TEST

/* Trap 35: io_uring takes the header at the submission, so each entry needs one of its own. */
START_TEST(many_sendvs_in_one_turn_keep_their_slices_apart)
{
    enum { COUNT = 26 };
    static struct wire wires[COUNT];
    static struct probe sending[COUNT];
    struct iovec slices[COUNT][2];
    char text[COUNT][4], in[8];
    memset(sending, 0, sizeof sending);
    for (int i = 0; i < COUNT; i++) {
        if (!wire_open(&wires[i], (enum wire_kind)_i)) return;
        text[i][0] = (char)('A' + i);
        text[i][1] = (char)('a' + i);
        slices[i][0] = (struct iovec){ .iov_base = text[i], .iov_len = 1 };
        slices[i][1] = (struct iovec){ .iov_base = text[i] + 1, .iov_len = 1 };
        hark_sendv(&sending[i].op, &wires[i].io, slices[i], 2, on_probe);
    }
    for (int i = 0; i < COUNT; i++) {
        await(&sending[i]);
        ck_assert_result(&sending[i], 2);
        ck_assert_int_eq(read(wires[i].peer, in, sizeof in), 2);
        ck_assert_int_eq(in[0], 'A' + i);
        ck_assert_int_eq(in[1], 'a' + i);
        wire_close(&wires[i]);
    }
}
END_TEST

START_TEST(send_where_none_is_possible_answers_by_the_callback)
{
    struct hark_io fresh = { 0 }, tube = { 0 };
    struct probe unconnected = { 0 }, no_socket = { 0 }, closed = { 0 };
    int pipe_fds[2];
    ck_assert_int_eq(hark_socket(&fresh, loop, AF_UNIX, SOCK_STREAM, 0), 0);
    hark_send(&unconnected.op, &fresh, "x", 1, on_probe);
    await(&unconnected);
    ck_assert_result(&unconnected, HARK_ENOTCONN);
    ck_assert_int_eq(pipe(pipe_fds), 0);
    ck_assert_int_eq(hark_io_adopt(&tube, loop, pipe_fds[1]), 0);
    hark_send(&no_socket.op, &tube, "x", 1, on_probe);
    await(&no_socket);
    ck_assert_result(&no_socket, HARK_ENOTSOCK);
    close_io(&fresh);
    hark_send(&closed.op, &fresh, "x", 1, on_probe);
    await(&closed);
    ck_assert_result(&closed, HARK_EBADF);
    close_io(&tube);
    close(pipe_fds[0]);
}
END_TEST

Suite *group_send(void)
{
    Suite *suite = suite_create("send");
    EACH_WIRE(suite, send_gives_the_whole_length_and_the_peer_gets_the_bytes);
    EACH_WIRE(suite, send_of_nothing_is_zero_in_its_turn);
    EACH_WIRE(suite, send_bigger_than_any_socket_buffer_is_completed_whole);
    EACH_WIRE(suite, send_beyond_4_gib_is_not_cut_to_32_bits);
    EACH_WIRE(suite, queued_sends_go_out_in_the_order_submitted);
    EACH_WIRE(suite, sent_bytes_tell_exactly_what_a_canceled_send_had_moved);
    EACH_WIRE(suite, sent_bytes_tell_exactly_what_a_late_send_had_moved);
    EACH_WIRE(suite, canceled_send_that_waited_behind_another_sends_nothing);
    EACH_WIRE(suite, send_to_a_peer_that_is_gone_is_epipe_and_raises_no_signal);
    EACH_WIRE(suite, send_ends_with_an_error_when_the_peer_goes_midway);
    EACH_WIRE(suite, sendv_sends_thousands_of_slices_through_short_sends);
    EACH_WIRE(suite, sendv_of_more_than_iov_max_tiny_slices_sends_each);
    EACH_WIRE(suite, sendv_passes_over_any_number_of_empty_slices);
    EACH_WIRE(suite, sent_bytes_tell_exactly_what_a_canceled_sendv_had_moved);
    EACH_WIRE(suite, many_sendvs_in_one_turn_keep_their_slices_apart);
    CASE(suite, send_where_none_is_possible_answers_by_the_callback);
    return suite;
}
