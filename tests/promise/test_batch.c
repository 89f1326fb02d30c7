/* Batches of datagrams: none lost, none glued, in order; segments and plain datagrams look the same
 * to who receives. */
#include "flavours.h"
#include "groups.h"
#include "harness.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/limits.h"

enum { ROOM = 256, MOST = 40 };

/* Two bound sockets, a batch from one to the other, and room for what comes. */
struct pair {
    struct hark_io from, to;
    struct address from_address, to_address;
    struct hark_packet out[MOST], in[MOST];
    struct hark_datagram_batch sent, got;
    struct probe sending, receiving;
    char data[MOST * ROOM], arena[MOST * ROOM];
};

static bool pair_open(struct pair *pair, enum flavour flavour)
{
    memset(pair, 0, sizeof *pair);
    if (!open_bound(&pair->from, flavour, &pair->from_address)) return false;
    ck_assert(open_bound(&pair->to, flavour, &pair->to_address));
    pattern_fill(pair->data, sizeof pair->data, 0);
    pair->sent = (struct hark_datagram_batch){ .packets = pair->out };
    pair->got = (struct hark_datagram_batch){ .packets = pair->in, .count = MOST,
                                              .arena = pair->arena, .room_bytes = ROOM };
    return true;
}

static void pair_close(struct pair *pair)
{
    close_io(&pair->from);
    close_io(&pair->to);
}

/* Packet i has len(i) bytes, out of the pattern at i * ROOM. */
static size_t len_of(uint32_t i) { return i * 13 % ROOM; }

static void put(struct pair *pair, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        pair->out[i] = (struct hark_packet){ .data = pair->data + i * ROOM, .len = len_of(i),
                                             .peer = pair->to_address.any,
                                             .peer_len = pair->to_address.len };
    pair->sent.count = count;
}

static void begin_send(struct pair *pair)
{
    pair->sending = (struct probe){ 0 };
    hark_send_batch(&pair->sending.op, &pair->from, &pair->sent, on_probe);
}

/* Receives one batch; gives how many packets. */
static uint32_t receive(struct pair *pair)
{
    memset(pair->arena, '#', sizeof pair->arena);
    pair->receiving = (struct probe){ 0 };
    hark_recv_batch(&pair->receiving.op, &pair->to, &pair->got, on_probe);
    await(&pair->receiving);
    ck_claim(pair->receiving.result >= 1 && pair->receiving.result <= pair->got.count);
    return (uint32_t)pair->receiving.result;
}

START_TEST(batch_arrives_whole_in_order_with_its_senders)
{
    enum { COUNT = 25 };
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    put(&pair, COUNT);
    begin_send(&pair);
    for (uint32_t seen = 0; seen < COUNT;) {
        uint32_t n = receive(&pair);
        for (uint32_t i = 0; i < n; i++, seen++) {
            const struct hark_packet *packet = &pair.in[i];
            ck_assert_uint_eq(packet->len, len_of(seen));
            pattern_check(packet->data, packet->len, seen * ROOM);
            ck_assert_int_eq(((char *)packet->data)[packet->len], '#');
            ck_assert(!packet->is_truncated);
            ck_assert_uint_eq(packet->segment_bytes, 0);
            ck_assert_uint_eq(packet->peer_len, pair.from_address.len);
            ck_assert_int_eq(memcmp(&packet->peer, &pair.from_address.any, packet->peer_len), 0);
        }
    }
    await(&pair.sending);
    ck_assert_result(&pair.sending, COUNT);
    ck_assert_uint_eq(hark_sent_packets(&pair.sending.op), COUNT);
    pair_close(&pair);
}
END_TEST

START_TEST(batch_of_what_is_there_comes_by_one_op)
{
    struct pair pair;
    uint32_t count = LIMIT_BATCH < 8 ? LIMIT_BATCH : 8;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    put(&pair, count);
    begin_send(&pair);
    await(&pair.sending);
    ck_assert_uint_eq(receive(&pair), count);
    pair_close(&pair);
}
END_TEST

START_TEST(batch_tells_which_packets_were_cut)
{
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    put(&pair, 3);
    for (uint32_t i = 0; i < 3; i++) pair.out[i].len = 99 + i;
    begin_send(&pair);
    await(&pair.sending);
    pair.got.room_bytes = 100;
    for (uint32_t seen = 0; seen < 3;) {
        uint32_t n = receive(&pair);
        for (uint32_t i = 0; i < n; i++, seen++) {
            ck_assert_uint_eq(pair.in[i].len, seen == 0 ? 99 : 100);
            ck_assert_int_eq(pair.in[i].is_truncated, seen == 2);
            pattern_check(pair.in[i].data, pair.in[i].len, seen * ROOM);
        }
    }
    pair_close(&pair);
}
END_TEST

START_TEST(batch_that_fails_in_the_middle_tells_how_many_went)
{
    struct pair pair;
    static char huge[70000 + 300000];
    if (!pair_open(&pair, (enum flavour)_i)) return;
    put(&pair, 5);
    pair.out[3].data = huge;
    pair.out[3].len = sizeof huge;
    begin_send(&pair);
    await(&pair.sending);
    ck_assert_result(&pair.sending, HARK_EMSGSIZE);
    ck_assert_uint_eq(hark_sent_packets(&pair.sending.op), 3);
    for (uint32_t seen = 0; seen < 3;) seen += receive(&pair);
    pair_close(&pair);
}
END_TEST

START_TEST(batch_of_none_ends_at_once)
{
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    begin_send(&pair);
    await(&pair.sending);
    ck_assert_result(&pair.sending, 0);
    pair.got.count = 0;
    hark_recv_batch(&pair.receiving.op, &pair.to, &pair.got, on_probe);
    await(&pair.receiving);
    ck_assert_result(&pair.receiving, 0);
    pair_close(&pair);
}
END_TEST

/* A Unix receiver's queue is shorter than the batch: the sender waits, and loses none. */
static void wait_for_room(bool is_connected)
{
    struct pair pair;
    struct probe connecting = { 0 };
    ck_assert(pair_open(&pair, UNIX_DGRAM));
    put(&pair, MOST);
    if (is_connected) { /* the socket's own readiness tells of a connected receiver */
        hark_connect(&connecting.op, &pair.from, (struct sockaddr *)&pair.to_address.any,
                     pair.to_address.len, on_probe);
        for (uint32_t i = 0; i < MOST; i++) pair.out[i].peer_len = 0;
    }
    begin_send(&pair);
    spin(5);
    ck_assert_int_eq(pair.sending.calls, 0);
    uint32_t seen = 0;
    while (seen < MOST) {
        uint32_t n = receive(&pair);
        for (uint32_t i = 0; i < n; i++, seen++)
            pattern_check(pair.in[i].data, len_of(seen), seen * ROOM);
    }
    await(&pair.sending);
    ck_assert_result(&pair.sending, MOST);
    pair_close(&pair);
}

START_TEST(batch_waits_for_room_and_goes_on)
{
    wait_for_room(false);
    wait_for_room(true);
}
END_TEST

/* The sender's socket is writable all the time: only a pause between tries keeps it quiet. */
START_TEST(batch_that_waits_for_its_receiver_does_not_spin)
{
    enum { WATCHED_MS = 40 };
    struct pair pair;
    int turns = 0;
    ck_assert(pair_open(&pair, UNIX_DGRAM));
    put(&pair, MOST);
    begin_send(&pair);
    spin(MOST);
    int64_t begun = clock_now();
    for (; clock_now() < begun + WATCHED_MS * HARK_MILLISECOND; turns++)
        ck_assert_int_ge(hark_step(loop, 10 * HARK_MILLISECOND), 0);
    int64_t passed_ms = (clock_now() - begun) / HARK_MILLISECOND;
    ck_assert_int_eq(pair.sending.calls, 0);
    ck_assert_int_lt(turns, 4 * passed_ms + 20); /* the shortest back-off is 1 ms */
    pair_close(&pair);
}
END_TEST

START_TEST(batch_canceled_midway_tells_how_many_went)
{
    struct pair pair;
    ck_assert(pair_open(&pair, UNIX_DGRAM));
    put(&pair, MOST);
    begin_send(&pair);
    spin(3);
    ck_assert(hark_cancel(&pair.sending.op));
    await(&pair.sending);
    ck_assert_result(&pair.sending, HARK_ECANCELED);
    uint32_t sent = hark_sent_packets(&pair.sending.op), seen = 0;
    ck_assert(sent > 0 && sent < MOST);
    while (seen < sent) seen += receive(&pair);
    ck_assert_uint_eq(seen, sent);
    pair_close(&pair);
}
END_TEST

START_TEST(canceled_receive_of_a_batch_loses_none)
{
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    for (int round = 0; round < 20; round++) {
        struct probe canceled = { 0 };
        put(&pair, 2);
        hark_recv_batch(&canceled.op, &pair.to, &pair.got, on_probe);
        spin(round % 3);
        if (round % 2 != 0) begin_send(&pair);
        hark_cancel(&canceled.op);
        await(&canceled);
        if (round % 2 == 0) begin_send(&pair);
        await(&pair.sending);
        uint32_t seen = canceled.result > 0 ? (uint32_t)canceled.result : 0;
        while (seen < 2) seen += receive(&pair);
        ck_assert_uint_eq(seen, 2);
    }
    pair_close(&pair);
}
END_TEST

START_TEST(batch_times_out)
{
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    pair.receiving.op.deadline_ns = hark_after(loop, 5 * HARK_MILLISECOND);
    hark_recv_batch(&pair.receiving.op, &pair.to, &pair.got, on_probe);
    await(&pair.receiving);
    ck_assert_result(&pair.receiving, HARK_ETIMEDOUT);
    pair_close(&pair);
}
END_TEST

static void hear_of_nobody(bool waits)
{
    struct pair pair;
    struct probe connecting = { 0 };
    ck_assert(pair_open(&pair, UDP4));
    hark_connect(&connecting.op, &pair.from, (struct sockaddr *)&pair.to_address.any,
                 pair.to_address.len, on_probe);
    await(&connecting);
    close_io(&pair.to);
    put(&pair, 1);
    pair.out[0].peer_len = 0;
    if (waits) hark_recv_batch(&pair.receiving.op, &pair.from, &pair.got, on_probe);
    spin(3);
    begin_send(&pair);
    await(&pair.sending);
    ck_assert_result(&pair.sending, 1);
    if (!waits) hark_recv_batch(&pair.receiving.op, &pair.from, &pair.got, on_probe);
    await(&pair.receiving);
    ck_assert_result(&pair.receiving, HARK_ECONNREFUSED);
    close_io(&pair.from);
}

START_TEST(connected_batch_hears_of_nobody)
{
    hear_of_nobody(true);
    if (keeps_datagram_errors()) hear_of_nobody(false);
}
END_TEST

/* What makes a kernel cut packets, or not: the receiver sees the same. */
enum segments { CUT, CUT_AND_JOINED, REFUSED_BY_THE_SOCKET, NEVER_BY_UNIX, CUT_V6, SEGMENT_KINDS };

static const enum flavour segment_flavours[] = { UDP4, UDP4, UDP4, UNIX_DGRAM, UDP6 };

enum { SEGMENT = 100, SEGMENTED_BYTES = 150 * SEGMENT + 37, SEGMENTED = 151 };

struct segmented {
    struct pair pair;
    char data[SEGMENTED_BYTES];
    char arena[4 * 65536];
    uint32_t joined;
};

/* Receives segments until all have come. */
static void receive_segments(struct segmented *s)
{
    struct pair *pair = &s->pair;
    size_t seen = 0;
    for (uint32_t count = 0; count < SEGMENTED;) {
        pair->receiving = (struct probe){ 0 };
        hark_recv_batch(&pair->receiving.op, &pair->to, &pair->got, on_probe);
        await(&pair->receiving);
        ck_claim(pair->receiving.result >= 1);
        for (int64_t i = 0; i < pair->receiving.result; i++) {
            const struct hark_packet *packet = &pair->in[i];
            struct hark_segment segment = { 0 };
            ck_assert(!packet->is_truncated);
            for (; hark_next_segment(packet, &segment); count++) {
                ck_assert_uint_eq(segment.len, count < SEGMENTED - 1 ? SEGMENT : 37);
                pattern_check(segment.data, segment.len, seen);
                seen += segment.len;
            }
            if (packet->len > SEGMENT) s->joined++;
        }
    }
    ck_assert_uint_eq(seen, SEGMENTED_BYTES);
}

static bool segments_may_be_joined(struct segmented *s)
{
    int error = hark_datagram_set(&s->pair.to, HARK_SEGMENTS, 1);
    if (error != 0) fprintf(stderr, "skipped: UDP_GRO: %s\n", hark_strerror(error));
    return error == 0;
}

static void send_segments(enum segments kind)
{
    static struct segmented s;
    struct pair *pair = &s.pair;
    int on = 1;
    memset(&s, 0, sizeof s);
    if (!pair_open(pair, segment_flavours[kind])) return;
    pattern_fill(s.data, sizeof s.data, 0);
    put(pair, 1);
    pair->out[0].data = s.data;
    pair->out[0].len = sizeof s.data;
    pair->out[0].segment_bytes = SEGMENT;
    pair->got = (struct hark_datagram_batch){ pair->in, 4, s.arena, 65536 };
    bool wants_joined = kind == CUT_AND_JOINED && segments_may_be_joined(&s);
    if (kind == REFUSED_BY_THE_SOCKET) /* without checksums Linux refuses UDP_SEGMENT */
        ck_assert_int_eq(setsockopt(pair->from.fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof on), 0);
    if (kind == NEVER_BY_UNIX) ck_assert(!hark_has_segments(&pair->from));
    begin_send(pair);
    receive_segments(&s);
    await(&pair->sending);
    ck_assert_result(&pair->sending, 1);
    ck_claim((s.joined != 0) == (wants_joined && hark_has_segments(&pair->from)));
    pair_close(pair);
}

START_TEST(segments_arrive_as_datagrams_whoever_cuts_them)
{
    for (int kind = 0; kind < SEGMENT_KINDS; kind++) {
        snprintf(doing, sizeof doing, "kind %d", kind);
        send_segments((enum segments)kind);
    }
}
END_TEST

START_TEST(a_segment_too_long_for_a_datagram_is_told)
{
    struct pair pair;
    static char huge[400000];
    if (!pair_open(&pair, (enum flavour)_i)) return;
    put(&pair, 1);
    pair.out[0] = (struct hark_packet){ .data = huge, .len = sizeof huge,
                                        .segment_bytes = 399999,
                                        .peer = pair.to_address.any,
                                        .peer_len = pair.to_address.len };
    begin_send(&pair);
    await(&pair.sending);
    ck_assert_result(&pair.sending, HARK_EMSGSIZE);
    ck_assert_uint_eq(hark_sent_packets(&pair.sending.op), 0);
    pair_close(&pair);
}
END_TEST

static int64_t wall_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * HARK_SECOND + now.tv_nsec;
}

START_TEST(packets_tell_when_they_came)
{
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    put(&pair, 1);
    begin_send(&pair);
    receive(&pair);
    ck_assert_int_eq(pair.in[0].time_ns, 0); /* not asked for */
    ck_assert_int_eq(hark_datagram_set(&pair.to, HARK_ARRIVAL_TIMES, 1), 0);
    int64_t before = 0, came = 0, after = 0;
    for (int tries = 0; tries < 3; tries++) { /* a clock that is set meanwhile is another's doing */
        before = wall_now();
        begin_send(&pair);
        receive(&pair);
        came = pair.in[0].time_ns;
        after = wall_now();
        if (before <= came && came <= after) break;
    }
    ck_assert_int_le(before, came);
    ck_assert_int_le(came, after);
    pair_close(&pair);
}
END_TEST

START_TEST(packets_tell_where_they_went)
{
    struct pair pair;
    if (!pair_open(&pair, (enum flavour)_i)) return;
    if (_i == UNIX_DGRAM) {
        ck_assert_int_eq(hark_datagram_set(&pair.to, HARK_DESTINATIONS, 1), HARK_EOPNOTSUPP);
        pair_close(&pair);
        return;
    }
    ck_assert_int_eq(hark_datagram_set(&pair.to, HARK_DESTINATIONS, 1), 0);
    put(&pair, 1);
    begin_send(&pair);
    receive(&pair);
    const struct hark_packet *packet = &pair.in[0];
    ck_assert_uint_ne(packet->interface, 0);
    if (_i == UDP4) {
        ck_assert_int_eq(packet->destination.family, AF_INET);
        ck_assert_uint_eq(ntohl(packet->destination.v4.sin_addr.s_addr), INADDR_LOOPBACK);
    } else {
        ck_assert_int_eq(packet->destination.family, AF_INET6);
        ck_assert(IN6_IS_ADDR_LOOPBACK(&packet->destination.v6.sin6_addr));
    }
    ck_assert_int_eq(hark_datagram_set(&pair.to, HARK_DESTINATIONS, 0), 0);
    begin_send(&pair);
    receive(&pair);
    ck_assert_uint_eq(packet->interface, 0);
    ck_assert_int_eq(packet->destination.family, AF_UNSPEC);
    pair_close(&pair);
}
END_TEST

START_TEST(a_socket_of_both_families_tells_destinations_of_either)
{
    struct pair pair;
    if (_i == UNIX_DGRAM || !pair_open(&pair, (enum flavour)_i)) return;
    close_io(&pair.to);
    bool is_there = open_for_both(&pair.to, &pair.to_address);
    if (is_there) {
        ck_assert_int_eq(hark_datagram_set(&pair.to, HARK_DESTINATIONS, 1), 0);
        put(&pair, 1);
        pair.out[0].len = 11;
        pair.got.room_bytes = 10; /* what is cut tells it all the same */
        begin_send(&pair);
        receive(&pair);
        ck_assert(pair.in[0].is_truncated);
        ck_assert_uint_ne(pair.in[0].interface, 0);
        ck_assert_int_eq(pair.in[0].destination.family, AF_INET6);
        ck_assert_mem_eq(&pair.in[0].destination.v6.sin6_addr,
                         _i == UDP6 ? "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
                                    : "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
    }
    if (is_there) close_io(&pair.to);
    close_io(&pair.from);
}
END_TEST

/* Room for arrival times is room for descriptors too, which a stranger may send. */
START_TEST(descriptors_that_nobody_asked_for_are_closed)
{
    struct pair pair;
    ck_assert(pair_open(&pair, UNIX_DGRAM));
    ck_assert_int_eq(hark_datagram_set(&pair.to, HARK_ARRIVAL_TIMES, 1), 0);
    int fds[3] = { 0, 1, 2 }, count = open_descriptor_count();
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fds)] = { 0 };
    char byte = 'x';
    struct iovec slice = { &byte, 1 };
    struct msghdr message = { .msg_name = &pair.to_address.any,
                              .msg_namelen = pair.to_address.len, .msg_iov = &slice,
                              .msg_iovlen = 1, .msg_control = control,
                              .msg_controllen = sizeof control };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    *rights = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fds), .cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(rights), fds, sizeof fds);
    ck_assert_int_eq(sendmsg(pair.from.fd, &message, 0), 1);
    ck_assert_uint_eq(receive(&pair), 1);
    ck_assert_uint_eq(pair.in[0].len, 1);
    ck_assert_int_eq(open_descriptor_count(), count);
    pair_close(&pair);
}
END_TEST

START_TEST(options_of_the_wrong_kind_or_value_are_refused)
{
    struct pair pair;
    struct hark_io closed = { .fd = -1 };
    ck_assert(pair_open(&pair, UDP4));
    ck_assert_int_eq(hark_datagram_set(&closed, HARK_SEGMENTS, 1), HARK_EBADF);
    ck_assert_int_eq(hark_datagram_set(&pair.to, (enum hark_datagram_option)99, 1), HARK_EINVAL);
    ck_assert_int_eq(hark_datagram_set(&pair.to, HARK_SEGMENTS, 2), HARK_EINVAL);
    ck_assert_int_eq(hark_datagram_set(&pair.to, HARK_MULTICAST_HOPS, 256), HARK_EINVAL);
    ck_assert_int_eq(hark_datagram_set(&pair.to, HARK_MULTICAST_HOPS, -1), HARK_EINVAL);
    ck_assert(!hark_has_segments(&closed));
    close_io(&pair.from);
    hark_recv_batch(&pair.receiving.op, &pair.from, &pair.got, on_probe);
    await(&pair.receiving);
    ck_assert_result(&pair.receiving, HARK_EBADF);
    close_io(&pair.to);
}
END_TEST

struct waiter { struct pair *pair; int64_t result; };

static int64_t receive_in_a_fiber(void *arg)
{
    struct waiter *waiter = arg;
    struct hark_op op = { 0 };
    waiter->result = hark_await(&op, hark_recv_batch, &waiter->pair->to, &waiter->pair->got);
    return 0;
}

START_TEST(a_fiber_waits_for_a_batch)
{
    struct pair pair;
    struct waiter waiter = { &pair, 0 };
    ck_assert(pair_open(&pair, UDP4));
    ck_assert_int_eq(hark_fiber_start(loop, receive_in_a_fiber, &waiter), 0);
    spin(3);
    put(&pair, 1);
    begin_send(&pair);
    await(&pair.sending);
    for (int turns = 0; turns < 1000 && waiter.result == 0; turns++) spin(1);
    ck_assert_int_eq(waiter.result, 1);
    pair_close(&pair);
}
END_TEST

#define EACH_FLAVOUR(suite, name) EACH_WIRE(suite, name)
_Static_assert((int)FLAVOURS == (int)WIRE_KINDS, "_i counts the flavours too");

Suite *group_batch(void)
{
    Suite *suite = suite_create("batch");
    EACH_FLAVOUR(suite, batch_arrives_whole_in_order_with_its_senders);
    EACH_FLAVOUR(suite, batch_of_what_is_there_comes_by_one_op);
    EACH_FLAVOUR(suite, batch_tells_which_packets_were_cut);
    EACH_FLAVOUR(suite, batch_that_fails_in_the_middle_tells_how_many_went);
    EACH_FLAVOUR(suite, batch_of_none_ends_at_once);
    CASE(suite, batch_waits_for_room_and_goes_on);
    CASE(suite, segments_arrive_as_datagrams_whoever_cuts_them);
    CASE(suite, batch_that_waits_for_its_receiver_does_not_spin);
    CASE(suite, batch_canceled_midway_tells_how_many_went);
    EACH_FLAVOUR(suite, canceled_receive_of_a_batch_loses_none);
    EACH_FLAVOUR(suite, batch_times_out);
    CASE(suite, connected_batch_hears_of_nobody);
    EACH_FLAVOUR(suite, a_segment_too_long_for_a_datagram_is_told);
    EACH_FLAVOUR(suite, packets_tell_when_they_came);
    EACH_FLAVOUR(suite, packets_tell_where_they_went);
    EACH_FLAVOUR(suite, a_socket_of_both_families_tells_destinations_of_either);
    CASE(suite, descriptors_that_nobody_asked_for_are_closed);
    CASE(suite, options_of_the_wrong_kind_or_value_are_refused);
    CASE(suite, a_fiber_waits_for_a_batch);
    return suite;
}
