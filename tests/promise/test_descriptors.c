/* Descriptors passed over Unix sockets: any number arrives, in order, close-on-exec, and none is
 * left over whatever goes wrong. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/limits.h"

enum { MOST = 900, ROOM = 8192 };

/* A stream or a seqpacket pair; what is sent on the first end and received on the second. */
struct line {
    struct hark_io from, to;
    struct hark_descriptors out, in;
    struct probe sending, receiving;
    int sent[MOST], got[MOST];
    char data[ROOM], room[ROOM];
    int open_before;
};

static const int kinds[] = { SOCK_STREAM, SOCK_SEQPACKET };
enum { KINDS = 2 };

static void line_open(struct line *line, int kind)
{
    int fds[2];
    memset(line, 0, sizeof *line);
    ck_assert_int_eq(socketpair(AF_UNIX, kind | SOCK_CLOEXEC, 0, fds), 0);
    ck_assert_int_eq(hark_io_adopt(&line->from, loop, fds[0]), 0);
    ck_assert_int_eq(hark_io_adopt(&line->to, loop, fds[1]), 0);
    pattern_fill(line->data, sizeof line->data, 0);
    line->out = (struct hark_descriptors){ .fds = line->sent, .data = line->data };
    line->in = (struct hark_descriptors){ .fds = line->got, .room = MOST, .data = line->room,
                                          .len = sizeof line->room };
    line->open_before = open_descriptor_count();
}

static void line_close(struct line *line)
{
    if (hark_io_is_open(&line->from)) close_io(&line->from);
    if (hark_io_is_open(&line->to)) close_io(&line->to);
}

/* To send: count descriptors that can be told apart, ends of few pipes over and over. */
enum { PIPES = 5 };
static int pipes[PIPES][2];

static void pipes_open(void)
{
    for (int i = 0; i < PIPES; i++) ck_assert_int_eq(pipe(pipes[i]), 0);
}

static void pipes_close(void)
{
    for (int i = 0; i < PIPES; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

static void put(struct line *line, uint32_t count, size_t len)
{
    for (uint32_t i = 0; i < count; i++) line->sent[i] = pipes[i % PIPES][0];
    line->out.count = count;
    line->out.len = len;
}

static void begin_send(struct line *line)
{
    line->sending = (struct probe){ 0 };
    hark_send_descriptors(&line->sending.op, &line->from, &line->out, on_probe);
}

static void begin_receive(struct line *line)
{
    memset(line->room, '#', sizeof line->room);
    line->receiving = (struct probe){ 0 };
    hark_recv_descriptors(&line->receiving.op, &line->to, &line->in, on_probe);
}

/* Each that came is the one that was sent at its place, close-on-exec; closes them. */
static void check_got(struct line *line, uint32_t count)
{
    ck_assert_uint_eq(line->in.count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct stat sent, got;
        ck_assert_int_eq(fstat(pipes[i % PIPES][0], &sent), 0);
        ck_assert_int_eq(fstat(line->got[i], &got), 0);
        ck_assert_uint_eq(got.st_ino, sent.st_ino);
        ck_assert_int_eq(fcntl(line->got[i], F_GETFD), FD_CLOEXEC);
        close(line->got[i]);
    }
    line->in.count = 0;
}

static void pass(struct line *line, uint32_t count, size_t len)
{
    put(line, count, len);
    begin_send(line);
    begin_receive(line);
    await(&line->receiving);
    ck_assert_result(&line->receiving, (int64_t)len);
    await(&line->sending);
    ck_assert_result(&line->sending, (int64_t)len);
    ck_assert_uint_eq(line->in.lost, 0);
    ck_assert(!line->in.is_truncated && !line->in.is_end);
    pattern_check(line->room, len, 0);
    if (len < sizeof line->room) ck_assert_int_eq(line->room[len], '#');
    check_got(line, count);
}

START_TEST(descriptors_arrive_in_order_with_their_bytes)
{
    static struct line line;
    static const uint32_t counts[] = { 0, 1, 3, 4, 252, 253, 254, 506, 507, 800 };
    static const size_t lens[] = { 0, 1, 16, 5000 };
    line_open(&line, kinds[_i % KINDS]);
    pipes_open();
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (size_t j = 0; j < sizeof lens / sizeof lens[0]; j++) {
            snprintf(doing, sizeof doing, "%u descriptors, %zu bytes", counts[i], lens[j]);
            pass(&line, counts[i], lens[j]);
        }
    }
    pipes_close();
    ck_assert_int_eq(open_descriptor_count(), line.open_before);
    line_close(&line);
}
END_TEST

START_TEST(messages_sent_in_a_row_stay_apart)
{
    static struct line line;
    static struct hark_descriptors out[4];
    static struct probe sending[4];
    line_open(&line, kinds[_i % KINDS]);
    pipes_open();
    put(&line, MOST, 0);
    for (uint32_t i = 0; i < 4; i++) {
        out[i] = (struct hark_descriptors){ .fds = line.sent, .count = i * 2, .data = line.data,
                                            .len = 10 - i };
        hark_send_descriptors(&sending[i].op, &line.from, &out[i], on_probe);
    }
    for (uint32_t i = 0; i < 4; i++) {
        begin_receive(&line);
        await(&line.receiving);
        ck_assert_result(&line.receiving, 10 - (int)i);
        check_got(&line, i * 2);
        await(&sending[i]);
    }
    pipes_close();
    line_close(&line);
}
END_TEST

START_TEST(a_passed_descriptor_works)
{
    static struct line line;
    char byte = 0;
    line_open(&line, kinds[_i % KINDS]);
    pipes_open();
    put(&line, 1, 0);
    line.sent[0] = pipes[0][1];
    begin_send(&line);
    begin_receive(&line);
    await(&line.receiving);
    await(&line.sending);
    ck_assert_uint_eq(line.in.count, 1);
    ck_assert_int_eq(write(line.got[0], "!", 1), 1);
    ck_assert_int_eq(read(pipes[0][0], &byte, 1), 1);
    ck_assert_int_eq(byte, '!');
    close(line.got[0]);
    pipes_close();
    line_close(&line);
}
END_TEST

START_TEST(descriptors_beyond_the_room_are_closed_and_told)
{
    static struct line line;
    line_open(&line, kinds[_i % KINDS]);
    pipes_open();
    put(&line, 300, 100);
    line.in.room = 270;
    line.in.len = 60;
    begin_send(&line);
    begin_receive(&line);
    await(&line.receiving);
    await(&line.sending);
    ck_assert_result(&line.receiving, 60);
    ck_assert(line.in.is_truncated);
    ck_assert_uint_eq(line.in.lost, 30);
    ck_assert_int_eq(line.room[60], '#');
    check_got(&line, 270);
    line.in.room = MOST;
    line.in.len = ROOM;
    pass(&line, 2, 7); /* the connection goes on with the next message */
    pipes_close();
    ck_assert_int_eq(open_descriptor_count(), line.open_before);
    line_close(&line);
}
END_TEST

START_TEST(a_full_descriptor_table_loses_and_tells)
{
    static struct line line;
    struct rlimit before, tight;
    int fillers[4];
    line_open(&line, kinds[_i % KINDS]);
    pipes_open();
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    put(&line, 20, 5);
    begin_send(&line);
    await(&line.sending);
    for (int i = 0; i < 4; i++) ck_assert_int_ge(fillers[i] = dup(0), 0);
    tight = (struct rlimit){ (rlim_t)fillers[3] + 1, before.rlim_max };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int i = 0; i < 4; i++) close(fillers[i]);
    begin_receive(&line);
    await(&line.receiving);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_result(&line.receiving, 5);
    ck_claim(line.in.count >= 1 && line.in.count <= 4);
    ck_assert_uint_eq(line.in.count + line.in.lost, 20);
    uint32_t count = line.in.count;
    if (LIMIT_RIGHTS >= 20) check_got(&line, count); /* else some of each group came */
    else while (count != 0) close(line.got[--count]);
    pipes_close();
    ck_assert_int_eq(open_descriptor_count(), line.open_before);
    line_close(&line);
}
END_TEST

/* By hand: bytes with descriptors, as a stranger may send them. */
static void send_raw(int fd, const void *bytes, size_t len, int count)
{
    int fds[8];
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fds)] = { 0 };
    struct iovec slice = { (void *)(uintptr_t)bytes, len };
    struct msghdr message = { .msg_iov = &slice, .msg_iovlen = 1, .msg_control = control,
                              .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int)) };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    for (int i = 0; i < count; i++) fds[i] = pipes[i % PIPES][0];
    *rights = (struct cmsghdr){ .cmsg_len = CMSG_LEN((size_t)count * sizeof(int)),
                                .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(rights), fds, (size_t)count * sizeof(int));
    ck_assert_int_eq(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)len);
}

struct header { char magic[4]; uint32_t count; uint64_t len; };

START_TEST(the_form_on_the_wire_is_the_documented_one)
{
    static struct line line;
    line_open(&line, SOCK_STREAM);
    pipes_open();
    struct { struct header header; char data[5]; } message = {
        { { 'h', 'a', 'r', 'k' }, 2, 5 }, { 'h', 'e', 'l', 'l', 'o' } };
    begin_receive(&line);
    send_raw(line.from.fd, &message, 21, 2); /* what a stranger may put into one message */
    await(&line.receiving);
    ck_assert_result(&line.receiving, 5);
    ck_assert_int_eq(memcmp(line.room, "hello", 5), 0);
    check_got(&line, 2);
    pipes_close();
    line_close(&line);
}
END_TEST

START_TEST(a_stranger_s_message_is_refused_and_leaves_nothing)
{
    static struct line line;
    static const struct { struct header header; int count; size_t len; } bad[] = {
        { { { 'h', 'a', 'r', 't' }, 2, 0 }, 2, 16 },
        { { { 'h', 'a', 'r', 'k' }, 1, 0 }, 2, 16 },            /* more than announced */
        { { { 'h', 'a', 'r', 'k' }, 2, UINT64_MAX }, 2, 16 },
    };
    pipes_open();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(doing, sizeof doing, "bad header %zu", i);
        line_open(&line, kinds[_i % KINDS]);
        send_raw(line.from.fd, &bad[i].header, bad[i].len, bad[i].count);
        begin_receive(&line);
        await(&line.receiving);
        ck_assert_result(&line.receiving, HARK_EPROTO);
        ck_assert_uint_eq(line.in.count, 0);
        ck_assert_int_eq(open_descriptor_count(), line.open_before);
        line_close(&line);
    }
    pipes_close();
}
END_TEST

START_TEST(absurd_numbers_are_waited_for_and_not_believed)
{
    static struct line line;
    struct header header = { { 'h', 'a', 'r', 'k' }, UINT32_MAX, UINT64_MAX / 4 };
    line_open(&line, SOCK_STREAM);
    pipes_open();
    send_raw(line.from.fd, &header, sizeof header, 2);
    begin_receive(&line);
    spin(5);
    ck_assert_int_eq(line.receiving.calls, 0);
    pipes_close();
    close_io(&line.to);
    ck_assert_result(&line.receiving, HARK_ECANCELED);
    ck_assert_int_eq(open_descriptor_count(), line.open_before - 1);
    line_close(&line);
}
END_TEST

/* Whatever ends a receive in the middle of a message. */
enum cut { BY_THE_END, BY_A_CLOSE, BY_LOOP_CLOSE };

START_TEST(a_message_cut_off_leaves_nothing)
{
    static struct line line;
    struct header header = { { 'h', 'a', 'r', 'k' }, 2, 100 };
    line_open(&line, SOCK_STREAM);
    pipes_open();
    begin_receive(&line);
    send_raw(line.from.fd, &header, _i == BY_THE_END ? sizeof header : 7, 2);
    spin(5);
    ck_assert_int_eq(line.receiving.calls, 0);
    ck_assert_int_eq(open_descriptor_count(), line.open_before + 2 + 2 * PIPES);
    pipes_close();
    if (_i == BY_THE_END) {
        close_io(&line.from);
        await(&line.receiving);
        ck_assert_result(&line.receiving, HARK_ECONNRESET);
        ck_assert_int_eq(open_descriptor_count(), line.open_before - 1);
    } else if (_i == BY_A_CLOSE) {
        close_io(&line.to);
        ck_assert_result(&line.receiving, HARK_ECANCELED);
        ck_assert_int_eq(open_descriptor_count(), line.open_before - 1);
    } else { /* the fixture closes the loop, and looks for descriptors left open */
        return;
    }
    ck_assert_uint_eq(line.in.count, 0);
    line_close(&line);
}
END_TEST

START_TEST(a_receive_canceled_midway_goes_on_and_loses_none)
{
    static struct line line;
    struct { struct header header; char data[10]; } message = {
        { { 'h', 'a', 'r', 'k' }, 3, 10 }, { 0 } };
    static const size_t cuts[] = { 0, 1, 16, 20 };
    line_open(&line, SOCK_STREAM);
    pipes_open();
    pattern_fill(message.data, 10, 0);
    for (size_t i = 0; i < 4; i++) {
        size_t cut = cuts[i];
        snprintf(doing, sizeof doing, "canceled after %zu bytes", cut);
        begin_receive(&line);
        if (cut != 0) send_raw(line.from.fd, &message, cut, 3);
        spin(5);
        if (i % 2 == 0) hark_cancel(&line.receiving.op);
        else hark_rearm(&line.receiving.op, hark_now(loop));
        await(&line.receiving);
        ck_assert_result(&line.receiving, i % 2 == 0 ? HARK_ECANCELED : HARK_ETIMEDOUT);
        ck_assert_uint_eq(line.in.count, cut != 0 ? 3 : 0);
        line.receiving = (struct probe){ 0 };
        hark_recv_descriptors(&line.receiving.op, &line.to, &line.in, on_probe);
        if (cut == 0) send_raw(line.from.fd, &message, 26, 3);
        else write_all(line.from.fd, (char *)&message + cut, 26 - cut);
        await(&line.receiving);
        ck_assert_result(&line.receiving, 10);
        pattern_check(line.room, 10, 0);
        check_got(&line, 3);
    }
    pipes_close();
    ck_assert_int_eq(open_descriptor_count(), line.open_before);
    line_close(&line);
}
END_TEST

/* That it is refused is an error as any other: nothing of the message is left. */
START_TEST(a_receive_that_would_go_on_after_the_close_drops_what_had_come)
{
    static struct line line;
    struct { struct header header; char data[10]; } message = {
        { { 'h', 'a', 'r', 'k' }, 3, 10 }, { 0 } };
    line_open(&line, SOCK_STREAM);
    pipes_open();
    begin_receive(&line);
    send_raw(line.from.fd, &message, 20, 3);
    spin(5);
    hark_cancel(&line.receiving.op);
    await(&line.receiving);
    ck_assert_result(&line.receiving, HARK_ECANCELED);
    ck_assert_uint_eq(line.in.count, 3);
    close_io(&line.to);
    line.receiving = (struct probe){ 0 };
    hark_recv_descriptors(&line.receiving.op, &line.to, &line.in, on_probe);
    await(&line.receiving);
    ck_assert_result(&line.receiving, HARK_EBADF);
    ck_assert_uint_eq(line.in.count, 0);
    pipes_close();
    close_io(&line.from);
    ck_assert_int_eq(open_descriptor_count(), line.open_before - 2);
}
END_TEST

START_TEST(a_send_canceled_midway_goes_on)
{
    static struct line line;
    static char big[1 << 20];
    line_open(&line, SOCK_STREAM);
    pipes_open();
    pattern_fill(big, sizeof big, 0);
    put(&line, 5, sizeof big);
    line.out.data = big;
    begin_send(&line);
    spin(3);
    hark_cancel(&line.sending.op);
    await(&line.sending);
    ck_assert_result(&line.sending, HARK_ECANCELED);
    begin_send(&line);
    begin_receive(&line);
    await(&line.receiving);
    await(&line.sending);
    ck_assert_result(&line.sending, (int64_t)sizeof big);
    ck_assert_result(&line.receiving, ROOM);
    ck_assert(line.in.is_truncated);
    pattern_check(line.room, ROOM, 0);
    check_got(&line, 5);
    pipes_close();
    line_close(&line);
}
END_TEST

/* A user without privilege may have only as many on their way as it may have open. */
START_TEST(descriptors_wait_while_too_many_are_on_their_way)
{
    enum { LIMIT = 300, COUNT = 800 };
    static struct line line;
    struct rlimit before;
    uid_t user = geteuid();
    line_open(&line, kinds[_i % KINDS]);
    pipes_open();
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit tight = { LIMIT, before.rlim_max };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    if (user == 0) ck_assert_int_eq(seteuid(65534), 0);
    put(&line, COUNT, 5);
    begin_send(&line);
    for (int turns = 0; turns < 20; turns++)
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    ck_assert_int_eq(line.sending.calls, 0);
    ck_assert_int_eq(seteuid(user), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    begin_receive(&line);
    await(&line.receiving);
    await(&line.sending);
    ck_assert_result(&line.sending, 5);
    ck_assert_result(&line.receiving, 5);
    check_got(&line, COUNT);
    pipes_close();
    line_close(&line);
}
END_TEST

START_TEST(the_end_of_the_peer_is_told)
{
    static struct line line;
    line_open(&line, kinds[_i % KINDS]);
    begin_receive(&line);
    close_io(&line.from);
    await(&line.receiving);
    ck_assert_result(&line.receiving, 0);
    ck_assert(line.in.is_end);
    line_close(&line);
}
END_TEST

START_TEST(a_bad_descriptor_is_refused_before_anything_goes)
{
    static struct line line;
    line_open(&line, kinds[_i % KINDS]);
    pipes_open();
    for (uint32_t count = 2; count <= 600; count += 299) {
        put(&line, count, 5);
        line.sent[count - 1] = -1;
        begin_send(&line);
        await(&line.sending);
        ck_assert_result(&line.sending, HARK_EBADF);
    }
    pass(&line, 3, 5);
    close_io(&line.to);
    put(&line, 1, 5);
    begin_send(&line);
    await(&line.sending);
    ck_claim(line.sending.result == HARK_EPIPE || line.sending.result == HARK_ECONNRESET);
    pipes_close();
    line_close(&line);
}
END_TEST

START_TEST(descriptors_go_over_connected_unix_sockets_only)
{
    struct wire wire;
    struct probe sending = { 0 }, receiving = { 0 };
    struct hark_credentials peer = { 0, 0, 0 };
    struct hark_descriptors out = { 0 }, in = { 0 };
    ck_assert(wire_open(&wire, WIRE_TCP4));
    hark_send_descriptors(&sending.op, &wire.io, &out, on_probe);
    await(&sending);
    ck_assert_result(&sending, HARK_EOPNOTSUPP);
    hark_recv_descriptors(&receiving.op, &wire.io, &in, on_probe);
    write_all(wire.peer, "x", 1);
    await(&receiving);
    ck_assert_result(&receiving, HARK_EOPNOTSUPP);
    ck_assert_int_eq(hark_peer_credentials(&wire.io, &peer), HARK_EOPNOTSUPP);
    wire_close(&wire);
}
END_TEST

START_TEST(the_peer_s_credentials_are_told)
{
    static struct line line;
    struct hark_io lonely = { 0 };
    struct hark_credentials peer = { 0, 0, 0 };
    line_open(&line, kinds[_i % KINDS]);
    ck_assert_int_eq(hark_peer_credentials(&line.to, &peer), 0);
    ck_assert_int_eq(peer.pid, getpid());
    ck_assert_uint_eq(peer.uid, geteuid());
    ck_assert_uint_eq(peer.gid, getegid());
    ck_assert_int_eq(hark_socket(&lonely, loop, AF_UNIX, SOCK_STREAM, 0), 0);
    ck_assert_int_eq(hark_peer_credentials(&lonely, &peer), HARK_ENOTCONN);
    close_io(&lonely);
    ck_assert_int_eq(hark_peer_credentials(&lonely, &peer), HARK_EBADF);
    line_close(&line);
}
END_TEST

/* Three runs: the last is the first again. */
#define EACH_KIND(suite, name) EACH_WIRE(suite, name)

Suite *group_descriptors(void)
{
    Suite *suite = suite_create("descriptors");
    EACH_KIND(suite, descriptors_arrive_in_order_with_their_bytes);
    EACH_KIND(suite, messages_sent_in_a_row_stay_apart);
    EACH_KIND(suite, a_passed_descriptor_works);
    EACH_KIND(suite, descriptors_beyond_the_room_are_closed_and_told);
    EACH_KIND(suite, a_full_descriptor_table_loses_and_tells);
    CASE(suite, the_form_on_the_wire_is_the_documented_one);
    EACH_KIND(suite, a_stranger_s_message_is_refused_and_leaves_nothing);
    CASE(suite, absurd_numbers_are_waited_for_and_not_believed);
    EACH_WIRE(suite, a_message_cut_off_leaves_nothing);
    CASE(suite, a_receive_canceled_midway_goes_on_and_loses_none);
    CASE(suite, a_receive_that_would_go_on_after_the_close_drops_what_had_come);
    CASE(suite, a_send_canceled_midway_goes_on);
    EACH_KIND(suite, descriptors_wait_while_too_many_are_on_their_way);
    EACH_KIND(suite, the_end_of_the_peer_is_told);
    EACH_KIND(suite, a_bad_descriptor_is_refused_before_anything_goes);
    CASE(suite, descriptors_go_over_connected_unix_sockets_only);
    EACH_KIND(suite, the_peer_s_credentials_are_told);
    return suite;
}
