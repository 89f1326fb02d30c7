/* Datagrams: each whole or cut and told so, empty ones included, with their senders. */
#include "flavours.h"
#include "groups.h"
#include "harness.h"

/* Two bound sockets, and a datagram from the first that is addressed to the second. */
struct pair {
    struct hark_io from, to;
    struct address from_address, to_address;
    struct hark_datagram out, in;
    struct probe sending, receiving;
    char data[256], room[256];
};

static bool pair_open(struct pair *pair, enum flavour flavour)
{
    memset(pair, 0, sizeof *pair);
    if (!open_bound(&pair->from, flavour, &pair->from_address)) return false;
    ck_assert(open_bound(&pair->to, flavour, &pair->to_address));
    pattern_fill(pair->data, sizeof pair->data, 0);
    pair->out = (struct hark_datagram){ .data = pair->data, .len = 100,
                                        .peer = pair->to_address.any,
                                        .peer_len = pair->to_address.len };
    pair->in = (struct hark_datagram){ .data = pair->room, .len = sizeof pair->room };
    return true;
}

static void pair_close(struct pair *pair)
{
    close_io(&pair->from);
    close_io(&pair->to);
}

static void send_out(struct pair *pair)
{
    pair->sending = (struct probe){ 0 };
    hark_sendto(&pair->sending.op, &pair->from, &pair->out, on_probe);
    await(&pair->sending);
    ck_assert_result(&pair->sending, (int64_t)pair->out.len);
}

static void receive_in(struct pair *pair)
{
    pair->receiving = (struct probe){ 0 };
    hark_recvfrom(&pair->receiving.op, &pair->to, &pair->in, on_probe);
    await(&pair->receiving);
}

static void check_sender(const struct hark_datagram *datagram, const struct address *address)
{
    ck_assert_uint_eq(datagram->peer_len, address->len);
    ck_assert_int_eq(memcmp(&datagram->peer, &address->any, address->len), 0);
}

START_TEST(datagram_arrives_whole_with_its_sender)
{
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    hark_recvfrom(&pair.receiving.op, &pair.to, &pair.in, on_probe);
    spin(5);
    ck_assert_int_eq(pair.receiving.calls, 0);
    send_out(&pair);
    await(&pair.receiving);
    ck_assert_result(&pair.receiving, 100);
    pattern_check(pair.room, 100, 0);
    ck_assert_int_eq(pair.room[100], 0);
    ck_assert(!pair.in.is_truncated);
    check_sender(&pair.in, &pair.from_address);
    pair_close(&pair);
}
END_TEST

START_TEST(datagram_longer_than_the_room_is_cut_and_flagged)
{
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    memset(pair.room, '#', sizeof pair.room);
    send_out(&pair);
    send_out(&pair);
    pair.in.len = 99;
    receive_in(&pair);
    ck_assert_result(&pair.receiving, 99);
    ck_assert(pair.in.is_truncated);
    pattern_check(pair.room, 99, 0);
    ck_assert_int_eq(pair.room[99], '#');
    pair.in.len = 100; /* exactly enough is not cut; and the flag does not stick */
    receive_in(&pair);
    ck_assert_result(&pair.receiving, 100);
    ck_assert(!pair.in.is_truncated);
    pair_close(&pair);
}
END_TEST

START_TEST(empty_datagram_is_a_datagram)
{
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    pair.out.len = 0;
    send_out(&pair);
    pair.out.len = 7;
    send_out(&pair);
    receive_in(&pair);
    ck_assert_result(&pair.receiving, 0);
    ck_assert(!pair.in.is_truncated);
    check_sender(&pair.in, &pair.from_address);
    receive_in(&pair);
    ck_assert_result(&pair.receiving, 7);
    pair_close(&pair);
}
END_TEST

START_TEST(datagrams_keep_their_bounds_and_their_order)
{
    enum { COUNT = 30 };
    struct pair pair;
    static struct probe receiving[COUNT];
    static struct hark_datagram in[COUNT];
    static char room[COUNT][256];
    memset(receiving, 0, sizeof receiving);
    if (!pair_open(&pair, (enum flavour)_i)) return;
    for (int i = 0; i < COUNT; i++) {
        in[i] = (struct hark_datagram){ .data = room[i], .len = sizeof room[i] };
        hark_recvfrom(&receiving[i].op, &pair.to, &in[i], on_probe);
    }
    for (int i = 0; i < COUNT; i++) {
        pair.out.len = (size_t)i * 5;
        send_out(&pair);
    }
    await(&receiving[COUNT - 1]);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_result(&receiving[i], i * 5);
        pattern_check(room[i], (size_t)i * 5, 0);
        check_sender(&in[i], &pair.from_address);
        if (i > 0) ck_assert_int_gt(receiving[i].order, receiving[i - 1].order);
    }
    pair_close(&pair);
}
END_TEST

/* The header of each must last until the kernel has read it. */
START_TEST(datagrams_sent_in_one_turn_all_go_out_in_order)
{
    enum { COUNT = 8 }; /* a Unix queue holds ten */
    struct pair pair;
    struct probe sending[COUNT] = { 0 };
    struct hark_datagram out[COUNT];
    if (!pair_open(&pair, (enum flavour)_i)) return;
    for (size_t i = 0; i < COUNT; i++) {
        out[i] = pair.out;
        out[i].data = pair.data + i;
        out[i].len = i + 1;
        hark_sendto(&sending[i].op, &pair.from, &out[i], on_probe);
    }
    for (int i = 0; i < COUNT; i++) {
        receive_in(&pair);
        ck_assert_result(&pair.receiving, i + 1);
        pattern_check(pair.room, (size_t)i + 1, (size_t)i);
        await(&sending[i]);
        ck_assert_result(&sending[i], i + 1);
    }
    pair_close(&pair);
}
END_TEST

START_TEST(connected_socket_sends_without_an_address_and_hears_its_peer_only)
{
    struct pair pair;
    struct hark_io stranger;
    struct address nowhere;
    struct probe connecting = { 0 }, strange = { 0 };
    if (!pair_open(&pair, (enum flavour)_i)) return;
    ck_assert(open_bound(&stranger, (enum flavour)_i, &nowhere));
    hark_connect(&connecting.op, &pair.from, (struct sockaddr *)&pair.to_address.any,
                 pair.to_address.len, on_probe);
    await(&connecting);
    ck_assert_result(&connecting, 0);
    pair.out.peer_len = 0;
    send_out(&pair);
    receive_in(&pair);
    ck_assert_result(&pair.receiving, 100);
    check_sender(&pair.in, &pair.from_address);
    struct hark_datagram foreign = { .data = pair.data, .len = 5, .peer = pair.from_address.any,
                                     .peer_len = pair.from_address.len };
    struct hark_datagram answer = { .data = pair.data, .len = 6, .peer = pair.from_address.any,
                                    .peer_len = pair.from_address.len };
    hark_sendto(&strange.op, &stranger, &foreign, on_probe);
    await(&strange);
    if (_i == UNIX_DGRAM) ck_assert_result(&strange, HARK_EPERM); /* UDP drops it unsaid */
    struct probe answering = { 0 }, hearing = { 0 };
    hark_sendto(&answering.op, &pair.to, &answer, on_probe);
    await(&answering);
    ck_assert_result(&answering, 6);
    hark_recvfrom(&hearing.op, &pair.from, &pair.in, on_probe);
    await(&hearing);
    ck_assert_result(&hearing, 6);
    close_io(&stranger);
    pair_close(&pair);
}
END_TEST

START_TEST(recv_and_send_work_on_a_connected_datagram_socket)
{
    struct pair pair;
    struct probe connecting = { 0 }, sending = { 0 }, receiving = { 0 };
    char buf[16];
    if (!pair_open(&pair, (enum flavour)_i)) return;
    hark_connect(&connecting.op, &pair.from, (struct sockaddr *)&pair.to_address.any,
                 pair.to_address.len, on_probe);
    hark_send(&sending.op, &pair.from, "hello", 5, on_probe);
    hark_recv(&receiving.op, &pair.to, buf, sizeof buf, on_probe);
    await(&receiving);
    ck_assert_result(&sending, 5);
    ck_assert_result(&receiving, 5);
    pair_close(&pair);
}
END_TEST

/* The kernel tells of the port that nobody has with the next call. */
START_TEST(datagram_to_nobody_makes_the_next_call_econnrefused)
{
    struct pair pair;
    struct probe connecting = { 0 }, receiving = { 0 }, again = { 0 };
    if (!pair_open(&pair, (enum flavour)_i)) return;
    hark_connect(&connecting.op, &pair.from, (struct sockaddr *)&pair.to_address.any,
                 pair.to_address.len, on_probe);
    await(&connecting);
    close_io(&pair.to);
    pair.out.peer_len = 0;
    if (_i == UNIX_DGRAM) {
        hark_sendto(&again.op, &pair.from, &pair.out, on_probe);
        await(&again);
        ck_assert_result(&again, HARK_ECONNREFUSED);
    } else {
        hark_recvfrom(&receiving.op, &pair.from, &pair.in, on_probe);
        spin(3);
        send_out(&pair);
        await(&receiving);
        ck_assert_result(&receiving, HARK_ECONNREFUSED);
        ck_assert(is_system_error(receiving.os_error, ECONNREFUSED));
        send_out(&pair);
        hark_sendto(&again.op, &pair.from, &pair.out, on_probe);
        await(&again);
        ck_assert_result(&again, HARK_ECONNREFUSED);
    }
    close_io(&pair.from);
}
END_TEST

START_TEST(datagram_that_cannot_go_is_refused_by_the_callback)
{
    struct pair pair;
    struct probe no_address = { 0 }, too_long = { 0 };
    static char big[70000];
    if (!pair_open(&pair, (enum flavour)_i)) return;
    struct hark_datagram nowhere = { .data = pair.data, .len = 1 };
    hark_sendto(&no_address.op, &pair.from, &nowhere, on_probe);
    await(&no_address);
    if (_i == UNIX_DGRAM) ck_assert_result(&no_address, HARK_ENOTCONN);
    else ck_assert_result(&no_address, HARK_EDESTADDRREQ);
    if (_i != UNIX_DGRAM) {
        struct hark_datagram huge = pair.out;
        huge.data = big;
        huge.len = sizeof big;
        hark_sendto(&too_long.op, &pair.from, &huge, on_probe);
        await(&too_long);
        ck_assert_result(&too_long, HARK_EMSGSIZE);
    }
    pair_close(&pair);
}
END_TEST

/* A Unix receiver that does not read lets its senders wait, as a stream would. */
START_TEST(datagram_send_waits_for_room_at_a_unix_receiver)
{
    enum { COUNT = 3000 };
    struct pair pair;
    static struct probe sending[COUNT];
    static struct hark_datagram out[COUNT];
    memset(sending, 0, sizeof sending);
    ck_assert(pair_open(&pair, UNIX_DGRAM));
    int sent = 0;
    for (int i = 0; i < COUNT; i++) {
        out[i] = pair.out;
        out[i].len = 1;
        hark_sendto(&sending[i].op, &pair.from, &out[i], on_probe);
    }
    spin(20);
    ck_assert_int_eq(sending[COUNT - 1].calls, 0);
    for (; sent < COUNT; sent++) {
        receive_in(&pair);
        ck_assert_result(&pair.receiving, 1);
    }
    await(&sending[COUNT - 1]);
    for (int i = 0; i < COUNT; i++) ck_assert_result(&sending[i], 1);
    pair_close(&pair);
}
END_TEST

/* An unconnected Unix socket is always writable for poll(2), whatever its receiver's queue. */
START_TEST(datagram_send_that_waits_does_not_spin)
{
    enum { COUNT = 20, WATCHED_MS = 40 };
    struct pair pair;
    struct probe sending[COUNT] = { 0 };
    struct hark_datagram out[COUNT];
    ck_assert(pair_open(&pair, UNIX_DGRAM));
    for (int i = 0; i < COUNT; i++) {
        out[i] = pair.out;
        hark_sendto(&sending[i].op, &pair.from, &out[i], on_probe);
    }
    spin(2 * COUNT);
    int64_t begun = clock_now();
    int turns = 0;
    for (; clock_now() < begun + WATCHED_MS * HARK_MILLISECOND; turns++)
        ck_assert_int_ge(hark_step(loop, 10 * HARK_MILLISECOND), 0);
    int64_t passed_ms = (clock_now() - begun) / HARK_MILLISECOND;
    ck_assert_int_eq(sending[COUNT - 1].calls, 0);
    ck_assert_int_lt(turns, 4 * passed_ms + 20); /* the shortest back-off is 1 ms */
    pair_close(&pair);
}
END_TEST

START_TEST(canceled_recvfrom_leaves_the_datagram_to_the_next)
{
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    for (int round = 0; round < 30; round++) {
        struct probe canceled = { 0 };
        struct hark_datagram unused = { .data = pair.room, .len = sizeof pair.room };
        hark_recvfrom(&canceled.op, &pair.to, &unused, on_probe);
        spin(round % 3);
        if (round % 2 != 0) send_out(&pair);
        hark_cancel(&canceled.op);
        await(&canceled);
        if (round % 2 == 0) send_out(&pair);
        if (canceled.result == 100) continue;
        ck_assert_result(&canceled, HARK_ECANCELED);
        receive_in(&pair);
        ck_assert_result(&pair.receiving, 100);
    }
    pair_close(&pair);
}
END_TEST

/* Both ends of a SOCK_SEQPACKET pair are hark's. */
START_TEST(seqpackets_keep_their_bounds_and_tell_of_a_cut)
{
    int fds[2];
    struct hark_io ends[2] = { { 0 } };
    struct probe sending = { 0 }, receiving = { 0 };
    char data[100], room[60];
    pattern_fill(data, sizeof data, 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(hark_io_adopt(&ends[i], loop, fds[i]), 0);
    struct hark_packet out[3] = { { .data = data, .len = 60 }, { .data = data, .len = 61 },
                                  { .data = data, .len = 1 } };
    struct hark_datagram_batch batch = { .packets = out, .count = 3 };
    struct hark_datagram in = { .data = room, .len = sizeof room };
    hark_send_batch(&sending.op, &ends[0], &batch, on_probe);
    for (int i = 0; i < 3; i++) {
        receiving = (struct probe){ 0 };
        hark_recvfrom(&receiving.op, &ends[1], &in, on_probe);
        await(&receiving);
        ck_assert_result(&receiving, i < 2 ? 60 : 1);
        ck_assert_int_eq(in.is_truncated, i == 1);
        pattern_check(room, (size_t)receiving.result, 0);
    }
    await(&sending);
    ck_assert_result(&sending, 3);
    close_io(&ends[0]);
    receiving = (struct probe){ 0 };
    hark_recvfrom(&receiving.op, &ends[1], &in, on_probe);
    await(&receiving);
    ck_assert_result(&receiving, 0);
    close_io(&ends[1]);
}
END_TEST

#define EACH_FLAVOUR(suite, name) EACH_WIRE(suite, name)
_Static_assert((int)FLAVOURS == (int)WIRE_KINDS, "_i counts the flavours too");

START_TEST(segments_of_a_packet_are_its_datagrams)
{
    char data[10];
    static const size_t wanted[][5] = { { 10 }, { 10 }, { 5, 5 }, { 4, 4, 2 }, { 0 } };
    static const uint32_t steps[] = { 0, 10, 5, 4, 4 }, counts[] = { 1, 1, 2, 3, 1 };
    for (int i = 0; i < 5; i++) {
        struct hark_packet packet = { .data = data, .len = i == 4 ? 0 : 10,
                                      .segment_bytes = steps[i] };
        struct hark_segment segment = { 0 };
        uint32_t count = 0;
        size_t at = 0;
        for (; hark_next_segment(&packet, &segment); count++) {
            ck_assert_ptr_eq(segment.data, data + at);
            ck_assert_uint_eq(segment.len, wanted[i][count]);
            at += segment.len;
        }
        ck_assert_uint_eq(count, counts[i]);
    }
}
END_TEST

Suite *group_datagram(void)
{
    Suite *suite = suite_create("datagram");
    EACH_FLAVOUR(suite, datagram_arrives_whole_with_its_sender);
    EACH_FLAVOUR(suite, datagram_longer_than_the_room_is_cut_and_flagged);
    EACH_FLAVOUR(suite, empty_datagram_is_a_datagram);
    EACH_FLAVOUR(suite, datagrams_keep_their_bounds_and_their_order);
    EACH_FLAVOUR(suite, datagrams_sent_in_one_turn_all_go_out_in_order);
    EACH_FLAVOUR(suite, connected_socket_sends_without_an_address_and_hears_its_peer_only);
    EACH_FLAVOUR(suite, recv_and_send_work_on_a_connected_datagram_socket);
    EACH_FLAVOUR(suite, datagram_to_nobody_makes_the_next_call_econnrefused);
    EACH_FLAVOUR(suite, datagram_that_cannot_go_is_refused_by_the_callback);
    CASE(suite, datagram_send_waits_for_room_at_a_unix_receiver);
    CASE(suite, datagram_send_that_waits_does_not_spin);
    EACH_FLAVOUR(suite, canceled_recvfrom_leaves_the_datagram_to_the_next);
    CASE(suite, seqpackets_keep_their_bounds_and_tell_of_a_cut);
    CASE(suite, segments_of_a_packet_are_its_datagrams);
    return suite;
}
