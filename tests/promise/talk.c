#include "talk.h"

#include <stdio.h>

void open_talk(struct talk *talk, const struct hark_stream_options *more)
{
    struct hark_stream_options options = { 0 };
    memset(talk, 0, sizeof *talk);
    ck_assert(wire_open(&talk->wire, WIRE_UNIX));
    if (more != NULL) options = *more;
    options.in = talk->in;
    options.in_bytes = options.in_bytes != 0 ? options.in_bytes : IN_BYTES;
    options.out = talk->out;
    options.out_bytes = OUT_BYTES;
    ck_assert_int_eq(hark_stream_open(&talk->stream, &talk->wire.io, &options), 0);
}

struct hark_loop *open_talk_apart(struct talk *talk)
{
    struct hark_loop *other;
    struct hark_stream_options options = { .in = talk->in, .in_bytes = IN_BYTES };
    int fds[2];
    memset(talk, 0, sizeof *talk);
    ck_assert(plain_pair(fds, WIRE_UNIX));
    talk->wire.peer = fds[1];
    ck_assert_int_eq(hark_loop_open(&other, NULL), 0);
    ck_assert_int_eq(hark_io_adopt(&talk->wire.io, other, fds[0]), 0);
    ck_assert_int_eq(hark_stream_open(&talk->stream, &talk->wire.io, &options), 0);
    return other;
}

void close_talk(struct talk *talk)
{
    struct probe closing = { 0 };
    hark_stream_close(&closing.op, &talk->stream, on_probe);
    await(&closing);
    ck_assert_result(&closing, 0);
    if (talk->wire.peer >= 0) close(talk->wire.peer);
}

void say(struct talk *talk, const char *text)
{
    write_all(talk->wire.peer, text, strlen(text));
}

void hang_up(struct talk *talk)
{
    close(talk->wire.peer);
    talk->wire.peer = -1;
}

int64_t read_line(struct talk *talk)
{
    struct probe reading = { 0 };
    hark_stream_read_line(&reading.op, &talk->stream, on_probe);
    ck_assert_int_eq(reading.calls, 0);
    await(&reading);
    return reading.result;
}

void expect_line(struct talk *talk, const char *wanted)
{
    snprintf(doing, sizeof doing, "line '%s'", wanted);
    ck_assert_int_eq(read_line(talk), (int64_t)strlen(wanted));
    ck_assert_str_eq(talk->stream.data, wanted);
}
