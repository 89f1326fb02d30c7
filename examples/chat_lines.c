/* A chat over lines: what is typed here (or piped in) goes to everybody, and theirs comes here.
 *
 *     chat_lines [HOST:PORT]        then, in other terminals:  nc HOST PORT
 *
 * Each peer is a stream: its lines are read one by one, with a limit, and what it is sent waits in
 * a bounded queue. Whoever lets that fill up is dropped. Stdin may be a terminal, a pipe or a file;
 * its O_NONBLOCK flag is never touched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "example.h"

enum { LINE_MAX_BYTES = 500, BUFFER_BYTES = 1024, QUEUE_BYTES = 65536 };

struct peer {
    struct hark_io io;
    struct hark_stream stream;
    struct hark_op op, ending, closing;
    struct peer *next;
    bool is_leaving;
    char in[BUFFER_BYTES], queue[QUEUE_BYTES];
};

static struct peer *everybody;
static struct hark_io listener, typed;
static struct hark_op accepting, closing_listener, typing;

static void on_closed(struct hark_op *op)
{
    struct peer *peer = op->user, **at = &everybody;
    while (*at != peer) at = &(*at)->next;
    *at = peer->next;
    free(peer);
}

static void leave(struct peer *peer)
{
    if (peer->is_leaving) return;
    peer->is_leaving = true;
    hark_stream_close(&peer->closing, &peer->stream, on_closed);
}

static void tell_all(const char *line, int64_t len, const struct peer *from)
{
    char text[LINE_MAX_BYTES + 1];
    memcpy(text, line, (size_t)len);
    text[len] = '\n';
    for (struct peer *peer = everybody; peer != NULL; peer = peer->next)
        if (peer != from && !peer->is_leaving &&
            hark_stream_put(&peer->stream, text, (size_t)len + 1) != 0)
            leave(peer); /* gone, or too slow */
}

static void on_peer_line(struct hark_op *op)
{
    struct peer *peer = op->user;
    if (op->result < 0 || peer->is_leaving) { /* the end, an error, or too long a line */
        leave(peer);
        return;
    }
    puts(peer->stream.data);
    tell_all(peer->stream.data, op->result, peer);
    hark_stream_read_line(op, &peer->stream, on_peer_line);
}

static void on_accept(struct hark_op *op)
{
    struct peer *peer = example_accepted(op, sizeof *peer);
    if (peer == NULL) return;
    struct hark_stream_options options = {
        .in = peer->in, .in_bytes = BUFFER_BYTES, .line_max = LINE_MAX_BYTES,
        .out = peer->queue, .out_bytes = QUEUE_BYTES,
    };
    peer->op.user = peer->ending.user = peer->closing.user = peer;
    peer->next = everybody;
    everybody = peer;
    example_require(hark_stream_open(&peer->stream, &peer->io, &options), "stream");
    hark_stream_read_line(&peer->op, &peer->stream, on_peer_line);
}

static void on_ended(struct hark_op *op) { leave(op->user); }
static void on_listener_closed(struct hark_op *op) { (void)op; }

/* Stdin has ended: the peers hear what is queued, then the end. */
static void say_goodbye(void)
{
    if (hark_io_is_open(&listener)) hark_close(&closing_listener, &listener, on_listener_closed);
    for (struct peer *peer = everybody; peer != NULL; peer = peer->next)
        if (!peer->is_leaving) hark_stream_end(&peer->ending, &peer->stream, on_ended);
}

static void on_typed_line(struct hark_op *op)
{
    struct hark_stream *in = op->user;
    if (op->result >= 0) tell_all(in->data, op->result, NULL);
    if (op->result == HARK_EMSGSIZE) hark_stream_skip(in, hark_stream_there(in));
    if (op->result >= 0 || op->result == HARK_EMSGSIZE)
        hark_stream_read_line(op, in, on_typed_line);
    else say_goodbye();
}

int main(int argc, char **argv)
{
    static char in[BUFFER_BYTES];
    static struct hark_stream stream;
    struct hark_stream_options options = { .in = in, .in_bytes = BUFFER_BYTES,
                                           .line_max = LINE_MAX_BYTES };
    struct hark_loop *loop = example_open();
    setvbuf(stdout, NULL, _IONBF, 0); /* a line is seen at once, also through a pipe */
    example_bind(loop, argc > 1 ? argv[1] : "127.0.0.1:0", &listener);
    hark_accept(&accepting, &listener, on_accept);
    example_require(hark_io_adopt(&typed, loop, STDIN_FILENO), "stdin");
    example_require(hark_stream_open(&stream, &typed, &options), "stdin");
    typing.user = &stream;
    hark_stream_read_line(&typing, &stream, on_typed_line);
    return example_run(loop);
}
