/* One stream spliced into another: through sockets and pipes, by splice(2) and by the buffer. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>

enum { IN_BYTES = 4096, ALL_BYTES = 3 << 20 };

enum end_kind { END_UNIX, END_TCP, END_TCP_NONBLOCK, END_PIPE, END_KINDS };
static const char *const end_names[] = { "unix", "tcp", "tcp nonblock", "pipe" };

struct end {
    struct hark_io io;
    struct hark_stream stream;
    int peer;
    char in[IN_BYTES];
};

static void open_end(struct end *end, enum end_kind kind, bool is_from)
{
    int fds[2];
    memset(end, 0, sizeof *end);
    if (kind == END_PIPE) ck_assert_int_eq(pipe(fds), 0);
    else ck_assert(plain_pair(fds, kind == END_UNIX ? WIRE_UNIX : WIRE_TCP4));
    int own = kind == END_PIPE && !is_from;
    if (kind == END_TCP_NONBLOCK) ck_assert_int_eq(fcntl(fds[own], F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(hark_io_adopt(&end->io, loop, fds[own]), 0);
    end->peer = fds[!own];
    ck_assert_int_eq(fcntl(end->peer, F_SETFL, O_NONBLOCK), 0);
    struct hark_stream_options options = { .in = end->in, .in_bytes = sizeof end->in };
    ck_assert_int_eq(hark_stream_open(&end->stream, &end->io, &options), 0);
}

static void close_end(struct end *end)
{
    struct probe closing = { 0 };
    hark_stream_close(&closing.op, &end->stream, on_probe);
    await(&closing);
    ck_assert_result(&closing, 0);
    if (end->peer >= 0) close(end->peer);
}

/* Feeds the pattern from offset on, as much as goes in. */
static size_t feed(int fd, size_t offset, size_t most)
{
    char block[3000];
    size_t len = most < sizeof block ? most : sizeof block;
    pattern_fill(block, len, offset);
    ssize_t n = len != 0 ? write(fd, block, len) : 0;
    return n > 0 ? (size_t)n : 0;
}

static size_t take(int fd, size_t offset)
{
    char block[5000];
    ssize_t n = read(fd, block, sizeof block);
    if (n <= 0) return 0;
    pattern_check(block, (size_t)n, offset);
    return (size_t)n;
}

static void check_pair(enum end_kind from_kind, enum end_kind to_kind)
{
    struct end from, to;
    struct probe splicing = { 0 };
    size_t fed = 0, got = 0, all = ALL_BYTES / 8;
    snprintf(doing, sizeof doing, "%s to %s", end_names[from_kind], end_names[to_kind]);
    open_end(&from, from_kind, true);
    open_end(&to, to_kind, false);
    hark_stream_splice(&splicing.op, &from.stream, &to.stream, on_probe);
    for (int tries = 0; tries < 2000000 && got < all; tries++) {
        fed += feed(from.peer, fed, all - fed);
        if (fed == all && from.peer >= 0) {
            close(from.peer);
            from.peer = -1;
        }
        spin(1);
        got += take(to.peer, got);
    }
    ck_assert_uint_eq(got, all);
    await(&splicing);
    ck_assert_result(&splicing, (int64_t)all);
    close_end(&from);
    close_end(&to);
}

START_TEST(every_pair_of_ends_moves_every_byte_and_the_end)
{
    for (int from = 0; from < END_KINDS; from++)
        for (int to = 0; to < END_KINDS; to++)
            check_pair((enum end_kind)from, (enum end_kind)to);
}
END_TEST

/* Leaves the buffer empty, but used up to its end. */
static void read_long_line(struct end *from)
{
    struct probe reading = { 0 };
    char line[IN_BYTES - 10];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    write_all(from->peer, line, sizeof line);
    hark_stream_read_line(&reading.op, &from->stream, on_probe);
    await(&reading);
    ck_assert_result(&reading, (int64_t)sizeof line - 1);
}

/* With nobody taking, what is on its way is bounded, and a cancel loses none of it. */
static void check_cancel(enum end_kind from_kind, enum end_kind to_kind)
{
    struct end from, to;
    struct probe splicing = { 0 }, reading = { 0 };
    size_t fed = 0, got = 0, n, sent;
    char buf[512];
    snprintf(doing, sizeof doing, "cancel %s to %s", end_names[from_kind], end_names[to_kind]);
    open_end(&from, from_kind, true);
    open_end(&to, to_kind, false);
    read_long_line(&from);
    hark_stream_splice(&splicing.op, &from.stream, &to.stream, on_probe);
    for (int idle = 0; idle < 50 && fed < 64u << 20;) {
        n = feed(from.peer, fed, 1000000);
        fed += n;
        spin(3);
        idle = n == 0 ? idle + 1 : 0;
    }
    ck_claim(fed < 64u << 20); /* back-pressure reached us */
    hark_cancel(&splicing.op);
    await(&splicing);
    ck_assert_result(&splicing, HARK_ECANCELED);
    sent = (size_t)hark_stream_spliced(&from.stream);
    ck_claim(sent > 0 && sent < fed);
    for (int tries = 0; tries < 1000000 && got < sent; tries++) {
        got += take(to.peer, got);
        if (tries > 1000) spin(1);
    }
    ck_assert_uint_eq(got, sent);
    ck_assert_uint_eq(take(to.peer, got), 0);
    while (got < fed) {
        reading = (struct probe){ 0 };
        hark_stream_read(&reading.op, &from.stream, buf, sizeof buf, on_probe);
        await(&reading);
        ck_claim(reading.result > 0);
        pattern_check(buf, (size_t)reading.result, got);
        got += (size_t)reading.result;
    }
    close_end(&from);
    close_end(&to);
}

START_TEST(canceled_splice_loses_no_byte_and_back_pressure_bounds_it)
{
    check_cancel(END_UNIX, END_UNIX);
    check_cancel(END_TCP_NONBLOCK, END_TCP_NONBLOCK);
    check_cancel(END_PIPE, END_PIPE);
    check_cancel(END_PIPE, END_UNIX);
}
END_TEST

START_TEST(splice_begins_with_what_was_read_ahead_and_follows_what_was_put)
{
    struct end from, to;
    struct probe reading = { 0 }, writing = { 0 }, splicing = { 0 };
    char buf[64];
    open_end(&from, END_TCP_NONBLOCK, true);
    open_end(&to, END_TCP_NONBLOCK, false);
    write_all(from.peer, "CONNECT\nahead", 13);
    hark_stream_read_line(&reading.op, &from.stream, on_probe);
    await(&reading);
    ck_assert_str_eq(from.stream.data, "CONNECT");
    hark_stream_write(&writing.op, &to.stream, "first ", 6, on_probe);
    hark_stream_splice(&splicing.op, &from.stream, &to.stream, on_probe);
    write_all(from.peer, " behind", 7);
    close(from.peer);
    from.peer = -1;
    await(&splicing);
    ck_assert_result(&splicing, 12);
    ck_assert_int_eq(read(to.peer, buf, sizeof buf), 18);
    ck_assert_mem_eq(buf, "first ahead behind", 18);
    close_end(&from);
    close_end(&to);
}
END_TEST

START_TEST(splice_into_what_nobody_reads_is_epipe_and_raises_no_signal)
{
    static const enum end_kind kinds[] = { END_UNIX, END_TCP_NONBLOCK, END_PIPE };
    for (int i = 0; i < 3; i++) {
        struct end from, to;
        struct probe splicing = { 0 };
        snprintf(doing, sizeof doing, "to %s", end_names[kinds[i]]);
        open_end(&from, END_PIPE, true);
        open_end(&to, kinds[i], false);
        if (kinds[i] == END_TCP_NONBLOCK) reset_and_close(to.peer);
        else close(to.peer);
        to.peer = -1;
        hark_stream_splice(&splicing.op, &from.stream, &to.stream, on_probe);
        for (int tries = 0; tries < 10000 && splicing.calls == 0; tries++) {
            feed(from.peer, 0, 10);
            spin(1);
        }
        ck_claim(splicing.result == HARK_EPIPE || splicing.result == HARK_ECONNRESET);
        close_end(&from);
        close_end(&to);
    }
}
END_TEST

START_TEST(close_of_either_end_ends_a_splice_before_it_calls_back)
{
    for (int which = 0; which < 2; which++) {
        struct end from, to;
        struct probe splicing = { 0 }, closing = { 0 };
        open_end(&from, END_UNIX, true);
        open_end(&to, END_UNIX, false);
        for (int i = 0; i < 100; i++) feed(from.peer, 0, 3000);
        hark_stream_splice(&splicing.op, &from.stream, &to.stream, on_probe);
        spin(5);
        hark_stream_close(&closing.op, which == 0 ? &from.stream : &to.stream, on_probe);
        await(&closing);
        await(&splicing);
        ck_claim(splicing.result < 0);
        if (which == 0) ck_assert_int_lt(splicing.order, closing.order);
        if (which == 0) close(from.peer);
        else close(to.peer);
        close_end(which == 0 ? &to : &from);
    }
}
END_TEST

/* No count of an earlier one is left for it. */
START_TEST(reads_and_splices_that_a_closed_stream_refuses_have_moved_nothing)
{
    struct end from, to;
    struct probe reading = { 0 }, splicing = { 0 }, closing = { 0 }, late[2] = { 0 };
    char five[5];
    open_end(&from, END_UNIX, true);
    open_end(&to, END_UNIX, false);
    ck_assert_uint_eq(feed(from.peer, 0, 1000), 1000);
    close(from.peer);
    from.peer = -1;
    hark_stream_read_exactly(&reading.op, &from.stream, five, sizeof five, on_probe);
    await(&reading);
    ck_assert_uint_eq(hark_stream_moved(&from.stream), sizeof five);
    hark_stream_splice(&splicing.op, &from.stream, &to.stream, on_probe);
    await(&splicing);
    ck_assert_int_eq(hark_stream_spliced(&from.stream), 1000 - (int)sizeof five);
    hark_stream_close(&closing.op, &from.stream, on_probe);
    await(&closing);
    hark_stream_read_exactly(&late[0].op, &from.stream, five, sizeof five, on_probe);
    await(&late[0]);
    ck_assert_result(&late[0], HARK_EBADF);
    ck_assert_uint_eq(hark_stream_moved(&from.stream), 0);
    hark_stream_splice(&late[1].op, &from.stream, &to.stream, on_probe);
    await(&late[1]);
    ck_assert_result(&late[1], HARK_EBADF);
    ck_assert_int_eq(hark_stream_spliced(&from.stream), 0);
    close_end(&to);
}
END_TEST

/* In the callback of a close the stream is the caller's again, whoever else worked with it. */
START_TEST(close_of_where_a_splice_goes_ends_it_though_nothing_comes)
{
    for (int kind = 0; kind < END_KINDS * END_KINDS; kind++) {
        struct end from, to;
        struct probe splicing = { 0 }, closing = { 0 }, late = { 0 };
        open_end(&from, (enum end_kind)(kind / END_KINDS), true);
        open_end(&to, (enum end_kind)(kind % END_KINDS), false);
        snprintf(doing, sizeof doing, "pair %d", kind);
        hark_stream_splice(&splicing.op, &from.stream, &to.stream, on_probe);
        spin(5);
        ck_assert_int_eq(splicing.calls, 0);
        hark_stream_close(&closing.op, &to.stream, on_probe);
        hark_stream_splice(&late.op, &from.stream, &to.stream, on_probe);
        await(&closing);
        ck_assert_int_eq(splicing.calls, 1);
        ck_assert_result(&splicing, HARK_ECANCELED);
        ck_assert_int_lt(splicing.order, closing.order);
        await(&late);
        late = (struct probe){ 0 };
        hark_stream_splice(&late.op, &from.stream, &to.stream, on_probe);
        await(&late);
        ck_assert_result(&late, HARK_EBADF);
        if (to.peer >= 0) close(to.peer);
        close_end(&from);
    }
}
END_TEST

Suite *group_splice(void)
{
    Suite *suite = suite_create("splice");
    CASE(suite, every_pair_of_ends_moves_every_byte_and_the_end);
    CASE(suite, canceled_splice_loses_no_byte_and_back_pressure_bounds_it);
    CASE(suite, splice_begins_with_what_was_read_ahead_and_follows_what_was_put);
    CASE(suite, splice_into_what_nobody_reads_is_epipe_and_raises_no_signal);
    CASE(suite, close_of_either_end_ends_a_splice_before_it_calls_back);
    CASE(suite, reads_and_splices_that_a_closed_stream_refuses_have_moved_nothing);
    CASE(suite, close_of_where_a_splice_goes_ends_it_though_nothing_comes);
    return suite;
}
