/* Streams: lines, pieces, exact counts and peeks over sockets and pipes; their close. */
#include "groups.h"
#include "talk.h"
#include "verbs.h"

#include <stdio.h>

static int64_t read_some(struct talk *talk, char *buf, size_t len)
{
    struct probe reading = { 0 };
    hark_stream_read(&reading.op, &talk->stream, buf, len, on_probe);
    await(&reading);
    return reading.result;
}

START_TEST(lines_come_whole_with_either_end_and_the_last_without)
{
    struct talk talk;
    open_talk(&talk, NULL);
    say(&talk, "one\ntwo\r\n\nfo");
    expect_line(&talk, "one");
    expect_line(&talk, "two");
    expect_line(&talk, "");
    say(&talk, "ur\rx\nlast");
    hang_up(&talk);
    expect_line(&talk, "four\rx");
    ck_assert(!talk.stream.is_cut);
    expect_line(&talk, "last");
    ck_assert(talk.stream.is_cut);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(read_line(&talk), HARK_ECLOSED);
    close_talk(&talk);
}
END_TEST

START_TEST(lines_may_be_taken_without_an_op_while_there_are_some)
{
    struct talk talk;
    open_talk(&talk, NULL);
    say(&talk, "a\nbb\nccc\nrest");
    expect_line(&talk, "a");
    ck_assert_int_eq(hark_stream_next_line(&talk.stream), 2);
    ck_assert_str_eq(talk.stream.data, "bb");
    ck_assert_int_eq(hark_stream_next_line(&talk.stream), 3);
    ck_assert_int_eq(hark_stream_next_line(&talk.stream), HARK_EAGAIN);
    ck_assert_uint_eq(hark_stream_there(&talk.stream), 4);
    say(&talk, "\n");
    expect_line(&talk, "rest");
    close_talk(&talk);
}
END_TEST

/* What was searched in vain for something else may well hold a line. */
START_TEST(line_is_found_behind_a_canceled_wait_for_another_delimiter)
{
    struct talk talk;
    struct probe reading = { 0 };
    open_talk(&talk, NULL);
    say(&talk, "one\ntwo\n");
    hark_stream_read_until(&reading.op, &talk.stream, "#", 1, on_probe);
    while (hark_stream_there(&talk.stream) == 0) spin(1);
    hark_cancel(&reading.op);
    await(&reading);
    ck_assert_result(&reading, HARK_ECANCELED);
    ck_assert_int_eq(hark_stream_next_line(&talk.stream), 3);
    ck_assert_str_eq(talk.stream.data, "one");
    ck_assert_int_eq(hark_stream_next_line(&talk.stream), 3);
    ck_assert_str_eq(talk.stream.data, "two");
    close_talk(&talk);
}
END_TEST

/* Every length around the limit. */
START_TEST(line_limit_is_exact_and_an_over_long_line_stays_there)
{
    for (size_t limit = 1; limit <= 20; limit += 19) {
        for (size_t len = limit - 1; len <= limit + 2; len++) {
            struct talk talk;
            struct hark_stream_options options = { .line_max = limit };
            char text[IN_BYTES], buf[IN_BYTES];
            memset(text, 'x', sizeof text);
            memcpy(text + len, "\r\nnext\n", 8);
            open_talk(&talk, &options);
            say(&talk, text);
            snprintf(doing, sizeof doing, "%zu of %zu", len, limit);
            int64_t result = read_line(&talk);
            ck_claim(result == (len <= limit ? (int64_t)len : HARK_EMSGSIZE));
            if (len > limit) {
                size_t got = 0, all = strlen(text);
                while (got < all) got += (size_t)read_some(&talk, buf + got, all - got);
                ck_assert_mem_eq(buf, text, all);
            } else if (limit >= 4) {
                expect_line(&talk, "next");
            }
            close_talk(&talk);
        }
    }
}
END_TEST

START_TEST(line_longer_than_the_buffer_is_emsgsize_and_can_be_skipped)
{
    struct talk talk;
    char text[IN_BYTES * 2];
    open_talk(&talk, NULL);
    memset(text, 'y', sizeof text);
    memcpy(text + sizeof text - 7, "\nafter", 6);
    text[sizeof text - 1] = '\n';
    write_all(talk.wire.peer, text, sizeof text);
    int64_t result;
    int rounds = 0;
    while ((result = read_line(&talk)) == HARK_EMSGSIZE && rounds++ < 10)
        hark_stream_skip(&talk.stream, hark_stream_there(&talk.stream));
    ck_assert_int_gt(rounds, 0);
    expect_line(&talk, "after");
    close_talk(&talk);
}
END_TEST

START_TEST(pieces_end_at_any_delimiter_wherever_it_is_split)
{
    static const char text[] = "GET / HTTP/1.0\r\n\r\nbody\r\n\r\n";
    for (size_t split = 1; split < sizeof text - 1; split++) {
        struct talk talk;
        struct probe reading = { 0 };
        open_talk(&talk, NULL);
        snprintf(doing, sizeof doing, "split at %zu", split);
        hark_stream_read_until(&reading.op, &talk.stream, "\r\n\r\n", 4, on_probe);
        write_all(talk.wire.peer, text, split);
        spin(3);
        write_all(talk.wire.peer, text + split, sizeof text - 1 - split);
        await(&reading);
        ck_assert_result(&reading, 14);
        ck_assert_str_eq(talk.stream.data, "GET / HTTP/1.0");
        reading = (struct probe){ 0 };
        hark_stream_read_until(&reading.op, &talk.stream, "\r\n\r\n", 4, on_probe);
        await(&reading);
        ck_assert_result(&reading, 4);
        ck_assert_str_eq(talk.stream.data, "body");
        close_talk(&talk);
    }
}
END_TEST

START_TEST(exact_counts_smaller_and_larger_than_the_buffer_are_met)
{
    static char data[4096], buf[4096];
    static const size_t lens[] = { 0, 1, 7, IN_BYTES - 2, IN_BYTES - 1, IN_BYTES, 500, 2000 };
    struct talk talk;
    size_t at = 0;
    pattern_fill(data, sizeof data, 0);
    open_talk(&talk, NULL);
    write_all(talk.wire.peer, data, sizeof data);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct probe reading = { 0 };
        snprintf(doing, sizeof doing, "%zu at %zu", lens[i], at);
        hark_stream_read_exactly(&reading.op, &talk.stream, buf, lens[i], on_probe);
        await(&reading);
        ck_assert_result(&reading, (int64_t)lens[i]);
        pattern_check(buf, lens[i], at);
        at += lens[i];
    }
    hang_up(&talk);
    struct probe reading = { 0 };
    hark_stream_read_exactly(&reading.op, &talk.stream, buf, sizeof data, on_probe);
    await(&reading);
    ck_assert_result(&reading, HARK_ECLOSED);
    size_t moved = hark_stream_moved(&talk.stream);
    pattern_check(buf, moved, at);
    ck_assert_uint_eq(moved + hark_stream_there(&talk.stream), sizeof data - at);
    close_talk(&talk);
}
END_TEST

START_TEST(peek_takes_nothing)
{
    struct talk talk;
    struct probe peeking = { 0 };
    char buf[8];
    open_talk(&talk, NULL);
    hark_stream_peek(&peeking.op, &talk.stream, 4, on_probe);
    say(&talk, "PR");
    spin(3);
    ck_assert_int_eq(peeking.calls, 0);
    say(&talk, "I *");
    await(&peeking);
    ck_assert_int_ge(peeking.result, 4);
    ck_assert_mem_eq(talk.stream.data, "PRI ", 4);
    peeking = (struct probe){ 0 };
    hark_stream_read_exactly(&peeking.op, &talk.stream, buf, 5, on_probe);
    await(&peeking);
    ck_assert_mem_eq(buf, "PRI *", 5);
    peeking = (struct probe){ 0 };
    hark_stream_peek(&peeking.op, &talk.stream, IN_BYTES, on_probe);
    await(&peeking);
    ck_assert_result(&peeking, HARK_EMSGSIZE);
    close_talk(&talk);
}
END_TEST

START_TEST(canceled_or_late_reads_lose_no_byte)
{
    for (int is_deadline = 0; is_deadline < 2; is_deadline++) {
        struct talk talk;
        struct probe reading = { 0 };
        open_talk(&talk, NULL);
        say(&talk, "be");
        if (is_deadline) reading.op.deadline_ns = hark_after(loop, HARK_MILLISECOND);
        hark_stream_read_line(&reading.op, &talk.stream, on_probe);
        spin(3);
        if (!is_deadline) hark_cancel(&reading.op);
        await(&reading);
        ck_assert_result(&reading, is_deadline ? HARK_ETIMEDOUT : HARK_ECANCELED);
        ck_assert_int_eq(reading.calls, 1);
        say(&talk, "gun\n");
        expect_line(&talk, "begun");
        close_talk(&talk);
    }
}
END_TEST

START_TEST(canceled_exact_read_accounts_for_every_byte)
{
    struct talk talk;
    struct probe reading = { 0 };
    char data[300], buf[1000];
    pattern_fill(data, sizeof data, 0);
    open_talk(&talk, NULL);
    hark_stream_read_exactly(&reading.op, &talk.stream, buf, sizeof buf, on_probe);
    write_all(talk.wire.peer, data, sizeof data);
    spin(20);
    hark_cancel(&reading.op);
    await(&reading);
    ck_assert_result(&reading, HARK_ECANCELED);
    size_t got = hark_stream_moved(&talk.stream);
    pattern_check(buf, got, 0);
    while (got < sizeof data) {
        int64_t n = read_some(&talk, buf, sizeof data - got);
        ck_assert_int_gt(n, 0);
        pattern_check(buf, (size_t)n, got);
        got += (size_t)n;
    }
    close_talk(&talk);
}
END_TEST

START_TEST(second_read_is_busy_until_the_callback_of_the_first)
{
    struct talk talk;
    struct probe first = { 0 }, second = { 0 };
    open_talk(&talk, NULL);
    say(&talk, "a\nb\n");
    hark_stream_read_line(&first.op, &talk.stream, on_probe);
    hark_stream_read_line(&second.op, &talk.stream, on_probe);
    ck_assert_int_eq(hark_stream_next_line(&talk.stream), HARK_EBUSY);
    await(&second);
    await(&first);
    ck_assert_result(&first, 1);
    ck_assert_result(&second, HARK_EBUSY);
    expect_line(&talk, "b");
    close_talk(&talk);
}
END_TEST

/* As a callback does that takes long. */
static void hold_loop(int64_t ns)
{
    for (int64_t end = clock_now() + ns; clock_now() < end;) {}
}

START_TEST(bytes_that_came_while_the_loop_was_held_put_the_read_timeout_off)
{
    const int64_t timeout_ns = 100 * HARK_MILLISECOND;
    struct talk talk;
    struct hark_stream_options options = { .read_timeout_ns = timeout_ns };
    struct probe reading;
    open_talk(&talk, &options);
    for (;;) {
        int64_t begun = clock_now();
        reading = (struct probe){ 0 };
        hark_stream_read_line(&reading.op, &talk.stream, on_probe);
        spin(2);
        if (clock_now() - begun < timeout_ns) break;
        await(&reading); /* this thread waited for the processor: once more */
    }
    say(&talk, "x");
    hold_loop(timeout_ns);
    int64_t held = clock_now();
    while (reading.calls == 0 && hark_stream_there(&talk.stream) == 0) spin(1);
    await(&reading);
    ck_assert_result(&reading, HARK_ETIMEDOUT);
    ck_assert_int_ge(clock_now() - held, timeout_ns);
    say(&talk, "y\n");
    expect_line(&talk, "xy");
    close_talk(&talk);
}
END_TEST

/* A machine that lets this thread wait too long is asked again. */
START_TEST(read_timeout_is_put_off_by_what_arrives)
{
    struct talk talk;
    struct hark_stream_options options = { .read_timeout_ns = 40 * HARK_MILLISECOND };
    struct probe reading = { 0 };
    char line[100] = "";
    int64_t said;
    size_t len = 0;
    open_talk(&talk, &options);
    do {
        ck_assert_uint_lt(len, sizeof line - 2);
        int64_t begun = clock_now();
        reading = (struct probe){ 0 };
        hark_stream_read_line(&reading.op, &talk.stream, on_probe);
        while (reading.calls == 0 && clock_now() - begun < 20 * HARK_MILLISECOND) spin(1);
        said = clock_now();
        say(&talk, "x");
        line[len++] = 'x';
        while (reading.calls == 0 && hark_stream_there(&talk.stream) < len) spin(1);
        if (clock_now() - begun >= 40 * HARK_MILLISECOND) await(&reading);
    } while (reading.calls != 0);
    await(&reading);
    ck_assert_result(&reading, HARK_ETIMEDOUT);
    ck_assert_int_ge(clock_now() - said, 40 * HARK_MILLISECOND);
    line[len] = 'y';
    say(&talk, "y\n");
    expect_line(&talk, line);
    close_talk(&talk);
}
END_TEST

START_TEST(close_calls_back_after_all_ops_of_the_stream)
{
    struct talk talk;
    struct probe reading = { 0 }, water = { 0 }, writing = { 0 }, closing = { 0 };
    open_talk(&talk, NULL);
    wire_fill_up(&talk.wire);
    hark_stream_read_line(&reading.op, &talk.stream, on_probe);
    hark_stream_water(&water.op, &talk.stream, on_probe);
    hark_stream_put(&talk.stream, "x", 1);
    hark_stream_write(&writing.op, &talk.stream, "y", 1, on_probe);
    spin(2);
    hark_stream_close(&closing.op, &talk.stream, on_probe);
    ck_assert(hark_cancel(&closing.op)); /* changes nothing */
    await(&closing);
    ck_assert_result(&closing, 0);
    ck_assert_int_eq(reading.last_calls + water.last_calls + writing.last_calls, 3);
    ck_assert_result(&reading, HARK_ECANCELED);
    ck_assert_result(&water, HARK_ECANCELED);
    ck_assert_result(&writing, HARK_ECANCELED);
    ck_assert_int_eq(closing.order, 4);
    close(talk.wire.peer);
}
END_TEST

START_TEST(ops_behind_a_close_are_refused_and_do_not_hold_it_up)
{
    struct talk talk;
    struct probe reading = { 0 }, water = { 0 }, closing = { 0 };
    open_talk(&talk, NULL);
    hark_stream_close(&closing.op, &talk.stream, on_probe);
    hark_stream_read_line(&reading.op, &talk.stream, on_probe);
    hark_stream_water(&water.op, &talk.stream, on_probe);
    await(&closing);
    await(&reading);
    await(&water);
    ck_assert_result(&closing, 0);
    ck_assert_result(&reading, HARK_EBADF);
    ck_assert_result(&water, HARK_EBADF);
    close(talk.wire.peer);
}
END_TEST

START_TEST(stream_of_pipes_reads_lines_and_ends_apart_from_errors)
{
    struct hark_io reads = { 0 }, writes = { 0 };
    struct hark_stream in = { 0 }, out = { 0 };
    struct probe reading = { 0 }, ending = { 0 }, closing = { 0 };
    char buf[32], unused[2], queue[32];
    struct hark_stream_options options = { .in = buf, .in_bytes = sizeof buf };
    ck_assert_int_eq(hark_pipe(&reads, &writes, loop), 0);
    ck_assert_int_eq(hark_stream_open(&in, &reads, &options), 0);
    options = (struct hark_stream_options){ .in = unused, .in_bytes = 2, .out = queue,
                                            .out_bytes = sizeof queue };
    ck_assert_int_eq(hark_stream_open(&out, &writes, &options), 0);
    ck_assert_int_eq(hark_stream_put(&out, "hello\n", 6), 0);
    hark_stream_end(&ending.op, &out, on_probe);
    await(&ending);
    ck_assert_result(&ending, 0);
    hark_stream_close(&closing.op, &out, on_probe);
    await(&closing);
    hark_stream_read_line(&reading.op, &in, on_probe);
    await(&reading);
    ck_assert_str_eq(in.data, "hello");
    reading = closing = (struct probe){ 0 };
    hark_stream_read_line(&reading.op, &in, on_probe);
    await(&reading);
    ck_assert_result(&reading, HARK_ECLOSED);
    hark_stream_close(&closing.op, &in, on_probe);
    await(&closing);
}
END_TEST

START_TEST(reset_connection_is_an_error_and_no_end)
{
    struct talk talk;
    memset(&talk, 0, sizeof talk);
    struct hark_stream_options options = { .in = talk.in, .in_bytes = IN_BYTES };
    ck_assert(wire_open(&talk.wire, WIRE_TCP4));
    ck_assert_int_eq(hark_stream_open(&talk.stream, &talk.wire.io, &options), 0);
    reset_and_close(talk.wire.peer);
    talk.wire.peer = -1;
    ck_assert_int_eq(read_line(&talk), HARK_ECONNRESET);
    close_talk(&talk);
}
END_TEST

START_TEST(wrong_options_are_refused)
{
    struct hark_io io = { 0 };
    struct hark_stream stream = { 0 };
    char buf[16];
    struct hark_stream_options options = { .in = buf, .in_bytes = sizeof buf };
    ck_assert_int_eq(hark_stream_open(&stream, &io, &options), HARK_EBADF);
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_DGRAM, 0), 0);
    ck_assert_int_eq(hark_stream_open(&stream, &io, &options), HARK_EPROTOTYPE);
    options.in_bytes = 1;
    ck_assert_int_eq(hark_stream_open(&stream, &io, &options), HARK_EINVAL);
    close_io(&io);
}
END_TEST

static int64_t read_by_fiber(void *arg)
{
    struct talk *talk = arg;
    char *line;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(hark_fiber_stream_read_line(&talk->stream, &line), 2);
    ck_assert_str_eq(line, "cc");
    ck_assert_int_eq(hark_fiber_stream_read_line(&talk->stream, &line), HARK_ECLOSED);
    return hark_fiber_stream_write(&talk->stream, "done", 4);
}

START_TEST(fiber_reads_lines_and_writes)
{
    struct talk talk;
    char buf[8];
    open_talk(&talk, NULL);
    say(&talk, "aa\nbb\ncc\n");
    ck_assert_int_eq(shutdown(talk.wire.peer, SHUT_WR), 0);
    ck_assert_int_eq(hark_fiber_main(loop, read_by_fiber, &talk), 4);
    ck_assert_int_eq(recv(talk.wire.peer, buf, sizeof buf, 0), 4);
    close_talk(&talk);
}
END_TEST

static void close_then(struct probe *reading)
{
    struct probe *closing = reading->arg;
    hark_stream_close(&closing->op, closing->arg, on_probe);
}

START_TEST(stream_may_be_closed_by_a_callback_of_the_closing_loop)
{
    struct talk talk;
    struct probe closing = { .arg = &talk.stream };
    struct probe reading = { .then = close_then, .arg = &closing };
    struct hark_loop *other = open_talk_apart(&talk);
    hark_stream_read_line(&reading.op, &talk.stream, on_probe);
    hark_loop_close(other);
    ck_assert_int_eq(reading.last_calls + closing.last_calls, 2);
    ck_assert_result(&reading, HARK_ECANCELED);
    ck_assert_result(&closing, 0);
    ck_assert(!hark_io_is_open(&talk.wire.io));
    close(talk.wire.peer);
}
END_TEST

Suite *group_stream(void)
{
    Suite *suite = suite_create("stream");
    CASE(suite, lines_come_whole_with_either_end_and_the_last_without);
    CASE(suite, lines_may_be_taken_without_an_op_while_there_are_some);
    CASE(suite, line_is_found_behind_a_canceled_wait_for_another_delimiter);
    CASE(suite, line_limit_is_exact_and_an_over_long_line_stays_there);
    CASE(suite, line_longer_than_the_buffer_is_emsgsize_and_can_be_skipped);
    CASE(suite, pieces_end_at_any_delimiter_wherever_it_is_split);
    CASE(suite, exact_counts_smaller_and_larger_than_the_buffer_are_met);
    CASE(suite, peek_takes_nothing);
    CASE(suite, canceled_or_late_reads_lose_no_byte);
    CASE(suite, canceled_exact_read_accounts_for_every_byte);
    CASE(suite, second_read_is_busy_until_the_callback_of_the_first);
    CASE(suite, read_timeout_is_put_off_by_what_arrives);
    CASE(suite, bytes_that_came_while_the_loop_was_held_put_the_read_timeout_off);
    CASE(suite, close_calls_back_after_all_ops_of_the_stream);
    CASE(suite, ops_behind_a_close_are_refused_and_do_not_hold_it_up);
    CASE(suite, stream_of_pipes_reads_lines_and_ends_apart_from_errors);
    CASE(suite, reset_connection_is_an_error_and_no_end);
    CASE(suite, wrong_options_are_refused);
    CASE(suite, fiber_reads_lines_and_writes);
    CASE(suite, stream_may_be_closed_by_a_callback_of_the_closing_loop);
    return suite;
}
