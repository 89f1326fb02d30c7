/* What the tests of streams share. */
#ifndef TESTS_PROMISE_TALK_H
#define TESTS_PROMISE_TALK_H

#include "harness.h"

enum { IN_BYTES = 64, OUT_BYTES = 256 };

/* A stream of hark's on one end, a descriptor of the test on the other. */
struct talk {
    struct hark_stream stream;
    struct wire wire;
    char in[IN_BYTES], out[OUT_BYTES];
};

void open_talk(struct talk *talk, const struct hark_stream_options *more);
void close_talk(struct talk *talk);

/* The same on a new loop of its own; when that has been closed, the other end is the case's to
 * close. */
struct hark_loop *open_talk_apart(struct talk *talk);

/* What the other end does. */
void say(struct talk *talk, const char *text);
void hang_up(struct talk *talk);

/* A line that the stream reads; its length, or an error. */
int64_t read_line(struct talk *talk);
void expect_line(struct talk *talk, const char *wanted);

#endif
