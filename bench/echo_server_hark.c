/* The echo server on hark, in four forms:
 *
 *   recv   an op and a buffer of its own for each connection: hark_recv(), then hark_send()
 *   pool   hark_recv_pool(): no buffer while a connection is idle; on io_uring a multishot receive
 *   ready  hark_ready() and the server's own recv(2) and send(2), as with a readiness loop
 *   fiber  a fiber for each connection, with its buffer on its stack
 *
 * usage: echo_server_hark BACKEND FORM */
#include <errno.h>
#include <hark/hark.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve.h"

struct connection {
    struct hark_io io;
    struct hark_op op;
    char buffer[]; /* of form recv only */
};

/* One send of form pool; as many as there are buffers. */
struct reply {
    struct hark_op op;
    struct reply *next;
    void *data;
};

static struct hark_loop *loop;
static struct hark_pool *pool;
static struct reply *free_replies;
static hark_done_fn *start;
static size_t connection_bytes = sizeof(struct connection);

static void on_closed(struct hark_op *op)
{
    free(op->user);
    serve_closed();
}

static void on_sent(struct hark_op *op);

static void on_received(struct hark_op *op)
{
    struct connection *c = op->user;
    if (op->result <= 0) hark_close(op, &c->io, on_closed);
    else hark_send(op, &c->io, c->buffer, (size_t)op->result, on_sent);
}

static void on_sent(struct hark_op *op)
{
    struct connection *c = op->user;
    if (op->result < 0) hark_close(op, &c->io, on_closed);
    else hark_recv(op, &c->io, c->buffer, SERVE_READ_BYTES, on_received);
}

static void start_recv(struct hark_op *op)
{
    struct connection *c = op->user;
    hark_recv(op, &c->io, c->buffer, SERVE_READ_BYTES, on_received);
}

static void on_replied(struct hark_op *op)
{
    struct reply *reply = op->user;
    hark_pool_give(pool, reply->data);
    reply->next = free_replies;
    free_replies = reply; /* an error is told by the receive as well */
}

static void on_pool(struct hark_op *op)
{
    struct connection *c = op->user;
    if (op->result > 0) {
        struct reply *reply = free_replies;
        free_replies = reply->next;
        reply->data = hark_data(op);
        hark_send(&reply->op, &c->io, reply->data, (size_t)op->result, on_replied);
    } else {
        hark_close(op, &c->io, on_closed);
    }
}

static void start_pool(struct hark_op *op)
{
    struct connection *c = op->user;
    hark_recv_pool(op, &c->io, pool, on_pool);
}

static void on_ready(struct hark_op *op)
{
    static char buffer[SERVE_READ_BYTES];
    struct connection *c = op->user;
    ssize_t got = recv(c->io.fd, buffer, sizeof buffer, MSG_DONTWAIT);
    bool is_ended = got == 0 || (got < 0 && errno != EAGAIN);
    if (got > 0 && send(c->io.fd, buffer, (size_t)got, MSG_NOSIGNAL | MSG_DONTWAIT) != got)
        is_ended = true; /* one message under way: a socket never refuses it */
    if (is_ended) hark_close(op, &c->io, on_closed);
    else hark_ready(op, &c->io, HARK_READABLE, on_ready);
}

static void start_ready(struct hark_op *op)
{
    struct connection *c = op->user;
    hark_ready(op, &c->io, HARK_READABLE, on_ready);
}

static int64_t serve(void *arg)
{
    struct connection *c = arg;
    char buffer[SERVE_READ_BYTES];
    for (int64_t n; (n = hark_fiber_recv(&c->io, buffer, sizeof buffer)) > 0;)
        if (hark_fiber_send_all(&c->io, buffer, (size_t)n) < 0) break;
    (void)hark_fiber_close(&c->io);
    free(c);
    serve_closed();
    return 0;
}

static void start_fiber(struct hark_op *op)
{
    if (hark_fiber_start(loop, serve, op->user) != 0) serve_die("hark_fiber_start");
}

static void on_accept(struct hark_op *op)
{
    if (op->result < 0) serve_die(hark_strerror(op->result));
    struct connection *c = serve_memory(connection_bytes);
    memset(c, 0, sizeof *c);
    serve_connected((int)op->result);
    if (hark_accepted(&c->io, op) != 0) serve_die("hark_accepted");
    c->op.user = c;
    start(&c->op);
}

static void open_pool(void)
{
    int error = hark_pool_open(&pool, loop, SERVE_BUFFERS, SERVE_READ_BYTES);
    if (error != 0) serve_die(hark_strerror(error));
    struct reply *replies = calloc(SERVE_BUFFERS, sizeof *replies);
    if (replies == NULL) serve_die("calloc");
    for (int i = 0; i < SERVE_BUFFERS; i++) {
        replies[i].op.user = &replies[i];
        replies[i].next = free_replies;
        free_replies = &replies[i];
    }
}

int main(int argc, char **argv)
{
    struct hark_loop_options options = { .backend = argc > 1 ? argv[1] : NULL };
    const char *form = argc > 2 ? argv[2] : "recv";
    static struct hark_io listener;
    static struct hark_op accepting;
    int error = hark_loop_open(&loop, &options);
    if (error != 0) serve_die(hark_strerror(error));
    if (strcmp(form, "pool") == 0) {
        start = start_pool;
        open_pool();
    } else if (strcmp(form, "ready") == 0) {
        start = start_ready;
    } else if (strcmp(form, "fiber") == 0) {
        start = start_fiber;
    } else {
        start = start_recv;
        connection_bytes += SERVE_READ_BYTES;
    }
    if (hark_io_adopt(&listener, loop, serve_listen()) != 0) serve_die("hark_io_adopt");
    hark_accept(&accepting, &listener, on_accept);
    return hark_run(loop) != 0; /* serve_closed() ends it before */
}
