/* What a stream writes: its order, its bounded queue, its end. */
#include "groups.h"
#include "talk.h"
#include "verbs.h"

#include <poll.h>

#include "base/clock.h"

static void take_all(struct talk *talk, size_t *got, size_t wanted)
{
    for (int tries = 0; tries < 1000000 && *got < wanted; tries++) {
        *got += pattern_take(talk->wire.peer, *got, wanted - *got);
        spin(1);
    }
    ck_assert_uint_eq(*got, wanted);
}

START_TEST(puts_and_writes_go_out_in_the_order_of_the_calls)
{
    static char data[100000];
    struct talk talk;
    struct probe writes[4] = { 0 };
    size_t at = 0, got = 0;
    pattern_fill(data, sizeof data, 0);
    open_talk(&talk, NULL);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 3; i++) {
            if (hark_stream_put(&talk.stream, data + at, 30) == 0) at += 30;
        }
        hark_stream_write(&writes[round].op, &talk.stream, data + at, 20000, on_probe);
        at += 20000;
    }
    ck_assert_uint_gt(at, 80000);
    take_all(&talk, &got, at);
    for (int round = 0; round < 4; round++) {
        await(&writes[round]);
        ck_assert_result(&writes[round], 20000);
    }
    ck_assert_int_lt(writes[0].order, writes[3].order);
    ck_assert_uint_eq(talk.stream.queued_bytes, 0);
    close_talk(&talk);
}
END_TEST

START_TEST(queue_is_bounded_and_tells_of_high_and_low_water)
{
    static char data[OUT_BYTES];
    struct talk talk;
    struct probe water = { 0 };
    open_talk(&talk, NULL);
    wire_fill_up(&talk.wire);
    hark_stream_water(&water.op, &talk.stream, on_probe);
    spin(2);
    ck_assert_int_eq(water.calls, 0);
    ck_assert_int_eq(hark_stream_put(&talk.stream, data, OUT_BYTES / 2 + 1), HARK_EMSGSIZE);
    int taken = 0;
    while (hark_stream_put(&talk.stream, data, 16) == 0 && taken <= OUT_BYTES) taken += 16;
    ck_assert_int_gt(taken, OUT_BYTES / 2);
    ck_assert_int_le(taken, OUT_BYTES);
    ck_assert_int_eq(hark_stream_put(&talk.stream, data, 16), HARK_EAGAIN);
    ck_assert_int_eq((int)talk.stream.queued_bytes, taken);
    ck_assert_int_eq(water.calls, 0); /* never inside a call */
    await_calls(&water, 1);
    ck_assert(talk.stream.is_high && water.op.more);
    spin(4);
    ck_assert_int_eq(water.calls, 1);
    for (int tries = 0; tries < 100000 && water.calls < 2; tries++) {
        drain(talk.wire.peer);
        spin(1);
    }
    ck_assert_int_eq(water.calls, 2);
    ck_assert(!talk.stream.is_high);
    ck_assert_int_eq(hark_stream_put(&talk.stream, data, 16), 0);
    hark_cancel(&water.op);
    await(&water);
    ck_assert_result(&water, HARK_ECANCELED);
    close_talk(&talk);
}
END_TEST

START_TEST(failed_queue_fails_what_is_behind_it_and_is_remembered)
{
    static char data[16];
    struct talk talk;
    struct probe water = { 0 }, behind = { 0 }, later = { 0 };
    struct hark_stream_options options = { .write_timeout_ns = 5 * HARK_MILLISECOND };
    open_talk(&talk, &options);
    wire_fill_up(&talk.wire);
    hark_stream_water(&water.op, &talk.stream, on_probe);
    ck_assert_int_eq(hark_stream_put(&talk.stream, data, sizeof data), 0);
    behind.op.deadline_ns = hark_after(loop, 3600 * HARK_SECOND);
    hark_stream_write(&behind.op, &talk.stream, data, sizeof data, on_probe);
    await(&water);
    ck_assert_result(&water, HARK_ETIMEDOUT);
    await(&behind);
    ck_assert_result(&behind, HARK_ECANCELED);
    ck_assert_int_eq(hark_stream_put(&talk.stream, data, 1), HARK_ETIMEDOUT);
    hark_stream_write(&later.op, &talk.stream, data, 1, on_probe);
    await(&later);
    ck_assert_result(&later, HARK_ETIMEDOUT);
    close_talk(&talk);
}
END_TEST

/* The peer reads all of it meanwhile. */
START_TEST(a_queue_that_is_taken_when_a_held_loop_looks_is_not_late)
{
    const int64_t timeout_ns = 100 * HARK_MILLISECOND;
    static char data[16];
    struct talk talk;
    struct hark_stream_options options = { .write_timeout_ns = timeout_ns };
    for (;;) {
        open_talk(&talk, &options);
        wire_fill_up(&talk.wire);
        int64_t begun = clock_now();
        ck_assert_int_eq(hark_stream_put(&talk.stream, data, sizeof data), 0);
        spin(1);
        if (clock_now() - begun < timeout_ns) break;
        close_talk(&talk); /* this thread waited for the processor: once more */
    }
    int64_t end = clock_now() + timeout_ns;
    while (drain(talk.wire.peer) != 0 || clock_now() < end) {}
    spin(3);
    ck_assert_int_eq(hark_stream_put(&talk.stream, data, 1), 0);
    close_talk(&talk);
}
END_TEST

static char more[16];

static void write_more(struct probe *probe)
{
    struct talk *talk = probe->arg;
    static struct probe late;
    hark_stream_write(&late.op, &talk->stream, more, sizeof more, on_probe);
}

/* Between the time-out and the callback of what it canceled. */
START_TEST(what_was_put_behind_lost_bytes_does_not_go_out_with_a_later_write)
{
    struct talk talk;
    struct probe writing = { .then = write_more, .arg = &talk };
    struct hark_stream_options options = { .write_timeout_ns = 5 * HARK_MILLISECOND };
    open_talk(&talk, &options);
    wire_fill_up(&talk.wire); /* by zeros */
    memset(more, 'm', sizeof more);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(hark_stream_put(&talk.stream, more, sizeof more), 0);
    /* Both are due in one turn. */
    hark_timer(&writing.op, loop, hark_after(loop, options.write_timeout_ns + 1), on_probe);
    for (int64_t end = clock_now() + 10 * HARK_MILLISECOND; clock_now() < end;) {}
    await(&writing);
    spin(3);
    char block[4096];
    for (ssize_t n; is_ready(talk.wire.peer, POLLIN, 20);) {
        n = recv(talk.wire.peer, block, sizeof block, 0);
        ck_assert_int_gt(n, 0);
        ck_assert_ptr_null(memchr(block, 'm', (size_t)n));
        spin(1);
    }
    close_talk(&talk);
}
END_TEST

START_TEST(end_goes_out_after_all_that_was_written_and_reading_goes_on)
{
    struct talk talk;
    struct probe ending = { 0 };
    char buf[8];
    open_talk(&talk, NULL);
    for (int i = 0; i < 4; i += 2)
        ck_assert_int_eq(hark_stream_put(&talk.stream, &"abcd"[i], 2), 0);
    hark_stream_end(&ending.op, &talk.stream, on_probe);
    await(&ending);
    ck_assert_result(&ending, 0);
    ck_assert_int_eq(recv(talk.wire.peer, buf, sizeof buf, MSG_WAITALL), 4);
    ck_assert_mem_eq(buf, "abcd", 4);
    ck_assert_int_eq(recv(talk.wire.peer, buf, sizeof buf, 0), 0);
    say(&talk, "still\n");
    expect_line(&talk, "still");
    close_talk(&talk);
}
END_TEST

Suite *group_stream_write(void)
{
    Suite *suite = suite_create("stream_write");
    CASE(suite, puts_and_writes_go_out_in_the_order_of_the_calls);
    CASE(suite, queue_is_bounded_and_tells_of_high_and_low_water);
    CASE(suite, failed_queue_fails_what_is_behind_it_and_is_remembered);
    CASE(suite, a_queue_that_is_taken_when_a_held_loop_looks_is_not_late);
    CASE(suite, what_was_put_behind_lost_bytes_does_not_go_out_with_a_later_write);
    CASE(suite, end_goes_out_after_all_that_was_written_and_reading_goes_on);
    return suite;
}
