/* An echo server: sends back whatever comes.
 *
 *     echo [HOST:PORT]
 *
 * A connection is one struct with one op in it. The op is the program's again in each callback, so
 * the same one receives, sends and finally closes. */
#include <stdlib.h>

#include "example.h"

struct client {
    struct hark_io io;
    struct hark_op op;
    char buf[16384];
};

static void on_read(struct hark_op *op);

static void on_closed(struct hark_op *op) { free(op->user); }

static void on_sent(struct hark_op *op)
{
    struct client *client = op->user;
    if (op->result < 0) {
        hark_close(op, &client->io, on_closed);
        return;
    }
    op->deadline_ns = hark_after(client->io.loop, 60 * HARK_SECOND); /* silent ones go */
    hark_recv(op, &client->io, client->buf, sizeof client->buf, on_read);
}

static void on_read(struct hark_op *op)
{
    struct client *client = op->user;
    if (op->result <= 0) { /* the end, an error or the deadline: one way out */
        hark_close(op, &client->io, on_closed);
        return;
    }
    op->deadline_ns = hark_after(client->io.loop, 60 * HARK_SECOND); /* as those that never read */
    hark_send(op, &client->io, client->buf, (size_t)op->result, on_sent);
}

static void on_accept(struct hark_op *op)
{
    struct client *client = example_accepted(op, sizeof *client);
    if (client == NULL) return;
    client->op.user = client;
    hark_recv(&client->op, &client->io, client->buf, sizeof client->buf, on_read);
}

int main(int argc, char **argv)
{
    struct hark_loop *loop = example_open();
    example_listen(loop, argc > 1 ? argv[1] : "127.0.0.1:0", on_accept);
    return example_run(loop);
}
