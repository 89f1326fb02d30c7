/* A TCP proxy: each client gets a connection of its own to the target.
 *
 *     proxy LISTEN-HOST:PORT TARGET-HOST:PORT
 *
 * Each direction is a flow with one buffer and one op, which receives, then sends, then receives
 * again. So nothing is read while the other end is slow, the sender is slowed down in its turn, and
 * memory never grows. An end of stream is handed on as one; the other direction lives on. */
#include <stdio.h>
#include <stdlib.h>

#include "example.h"

struct flow {
    struct hark_op op;
    struct hark_io *from, *to;
    struct link *link;
    char buf[65536];
};

struct link {
    struct hark_io client, server;
    struct flow up, down;  /* client to server, and back */
    int open_count;        /* flows that go on; then ios that are not closed yet */
    bool is_failed;
};

static struct address target;

static void on_received(struct hark_op *op);

static void on_closed(struct hark_op *op)
{
    struct flow *flow = op->user;
    if (--flow->link->open_count == 0) free(flow->link);
}

/* One flow has ended, and its op is idle. A failed one ends the other; the last closes the link. */
static void finish(struct flow *flow, bool is_failed)
{
    struct link *link = flow->link;
    if (is_failed) {
        link->is_failed = true;
        hark_cancel(&link->up.op); /* an idle one is left alone */
        hark_cancel(&link->down.op);
    }
    if (--link->open_count != 0) return;
    link->open_count = 2;
    hark_close(&link->up.op, &link->client, on_closed);
    hark_close(&link->down.op, &link->server, on_closed);
}

static void on_shut(struct hark_op *op) { finish(op->user, op->result < 0); }

static void receive(struct flow *flow)
{
    hark_recv(&flow->op, flow->from, flow->buf, sizeof flow->buf, on_received);
}

static void on_sent(struct hark_op *op)
{
    struct flow *flow = op->user;
    if (op->result < 0 || flow->link->is_failed) finish(flow, true);
    else receive(flow);
}

static void on_received(struct hark_op *op)
{
    struct flow *flow = op->user;
    if (op->result < 0 || flow->link->is_failed) finish(flow, true);
    else if (op->result == 0) hark_shutdown(op, flow->to, SHUT_WR, on_shut);
    else hark_send(op, flow->to, flow->buf, (size_t)op->result, on_sent);
}

static void on_connected(struct hark_op *op)
{
    struct flow *up = op->user;
    if (op->result < 0) {
        if (op->result != HARK_ECANCELED)
            fprintf(stderr, "connect: %s\n", hark_strerror(op->result));
        finish(up, true);
        return;
    }
    up->link->open_count = 2;
    receive(up);
    receive(&up->link->down);
}

static void on_accept(struct hark_op *op)
{
    struct link *link = example_accepted(op, sizeof *link);
    if (link == NULL) return;
    struct hark_io *client = &link->client, *server = &link->server;
    link->up.from = link->down.to = client;
    link->down.from = link->up.to = server;
    link->up.link = link->down.link = link;
    link->up.op.user = &link->up;
    link->down.op.user = &link->down;
    link->open_count = 1;
    int error = hark_socket(server, client->loop, target.storage.ss_family, SOCK_STREAM, 0);
    if (error < 0) {
        fprintf(stderr, "socket: %s\n", hark_strerror(error));
        hark_close(&link->up.op, client, on_closed);
        return;
    }
    link->up.op.deadline_ns = hark_after(client->loop, 10 * HARK_SECOND);
    hark_connect(&link->up.op, server, (void *)&target.storage, target.len, on_connected);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: proxy LISTEN-HOST:PORT TARGET-HOST:PORT\n");
        return 2;
    }
    target = example_address(argv[2]);
    struct hark_loop *loop = example_open();
    example_listen(loop, argv[1], on_accept);
    return example_run(loop);
}
