/* An echo server on hark. A connection's life:
 *
 *              on_accept           peer ended                    sends are out
 *   free ----------------> READING ----------> ENDING (shutdown) --------------+
 *    ^      too many of its   |  ^                                             |
 *    |      buffers are out   v  | all are back                                v
 *    |                      PAUSED                     error, server_end    CLOSING
 *    +------------------------------------------------------------------------+
 *
 * Rules: 1. The connection's one op receives, then shuts down, then closes; sends have their own.
 *        2. A reply exists for each buffer of the pool, so sending never wants for one.
 *        3. A peer that does not read is given at most OUT_MAX buffers, so it cannot starve others.
 */
#include "server.h"

#include <stdlib.h>
#include <string.h>

#include "tool.h"

enum { BLOCK = 64, OUT_MAX = 16 };

enum connection_state { FREE, READING, PAUSED, ENDING, CLOSING };

struct connection {
    struct hark_io io;  /* first: hark_op_io() leads back to the connection */
    struct hark_op op;  /* its user is the server; while FREE, the next free connection */
    uint32_t out_count; /* buffers on their way back to the peer */
    uint8_t state;
    bool is_broken;     /* a send failed: only closing is left */
};

struct connection_block {
    struct connection_block *next;
    struct connection connections[BLOCK];
};

struct reply {
    struct hark_op op; /* first: the op leads back to the reply; its user is the server */
    void *data;
    struct reply *next;
};

static void on_received(struct hark_op *op);

static struct connection *connection_of(const struct hark_op *op)
{
    return (struct connection *)hark_op_io(op);
}

static struct connection *take_connection(struct server *server)
{
    if (!server->free_connections) {
        struct connection_block *block = calloc(1, sizeof *block);
        if (!block) return NULL;
        block->next = server->blocks;
        server->blocks = block;
        for (size_t i = BLOCK; i-- > 0;) {
            block->connections[i].op.user = server->free_connections;
            server->free_connections = &block->connections[i];
        }
    }
    struct connection *connection = server->free_connections;
    server->free_connections = connection->op.user;
    connection->op.user = server;
    connection->out_count = 0;
    connection->is_broken = false;
    connection->state = READING;
    return connection;
}

static void give_connection(struct server *server, struct connection *connection)
{
    connection->state = FREE;
    connection->op.user = server->free_connections;
    server->free_connections = connection;
}

static void on_closed(struct hark_op *op)
{
    struct server *server = op->user;
    server->open_count--;
    give_connection(server, connection_of(op));
}

static void close_connection(struct connection *connection)
{
    connection->state = CLOSING;
    hark_close(&connection->op, &connection->io, on_closed);
}

static void on_shut(struct hark_op *op)
{
    close_connection(connection_of(op)); /* whether the peer still was there or not */
}

/* Makes a connection's op end soon, whatever it does; its callback then closes. */
static void break_off(struct connection *connection)
{
    if (connection->state == CLOSING || connection->state == FREE) return;
    connection->is_broken = true;
    if (!hark_cancel(&connection->op)) close_connection(connection);
}

static void receive(struct server *server, struct connection *connection)
{
    connection->state = READING;
    hark_recv_pool(&connection->op, &connection->io, server->pool, on_received);
}

static void on_sent(struct hark_op *op)
{
    struct server *server = op->user;
    struct reply *reply = (struct reply *)op;
    struct connection *connection = connection_of(op);
    bool has_failed = op->result < 0;
    hark_pool_give(server->pool, reply->data);
    reply->next = server->free_replies;
    server->free_replies = reply;
    connection->out_count--;
    if (has_failed && !connection->is_broken && connection->state != CLOSING) {
        server->failed_count++;
        break_off(connection);
    }
    bool is_resting = connection->state == PAUSED && !hark_is_alive(&connection->op);
    if (is_resting && connection->out_count == 0) receive(server, connection);
}

/* Sends the buffer that this callback brought back to where it came from. */
static void echo(struct server *server, struct connection *connection)
{
    struct reply *reply = server->free_replies; /* rule 2 */
    server->free_replies = reply->next;
    struct hark_op *op = &reply->op;
    op->user = server;
    if (server->options.send_timeout_ns)
        op->deadline_ns = hark_after(server->loop, server->options.send_timeout_ns);
    reply->data = hark_data(&connection->op);
    connection->out_count++;
    server->message_count++;
    server->byte_count += connection->op.result;
    hark_send(op, &connection->io, reply->data, (size_t)connection->op.result, on_sent);
}

static void on_received(struct hark_op *op)
{
    struct server *server = op->user;
    struct connection *connection = connection_of(op);
    if (op->result > 0) echo(server, connection);
    if (op->more) {
        if (connection->out_count < OUT_MAX || connection->state != READING) return;
        connection->state = PAUSED; /* rule 3 */
        hark_cancel(op);
        return;
    }
    if (connection->is_broken || server->is_ending) {
        close_connection(connection);
    } else if (op->result == 0) {
        connection->state = ENDING;
        hark_shutdown(op, &connection->io, SHUT_WR, on_shut);
    } else if (connection->state == PAUSED) {
        if (connection->out_count == 0) receive(server, connection);
        /* else on_sent() goes on when the last buffer is back */
    } else {
        server->failed_count++;
        close_connection(connection);
    }
}

static void on_listener_closed(struct hark_op *op)
{
    (void)op; /* nothing waits for it but hark_run() */
}

static void on_accept(struct hark_op *op)
{
    struct server *server = op->user;
    if (op->result < 0) {
        if (op->more) server->refused_count++;
        else hark_close(op, &server->listener, on_listener_closed);
        return;
    }
    bool is_last = !op->more;
    struct connection *connection = take_connection(server);
    if (!connection) {
        server->refused_count++;
        tool_close((int)op->result); /* the peer sees the end, which is all that can be said */
    } else if (hark_accepted(&connection->io, op) < 0) {
        server->refused_count++;
        give_connection(server, connection);
    } else {
        (void)hark_nodelay(&connection->io, true); /* slower without, and no worse */
        server->connection_count++;
        server->open_count++;
        receive(server, connection);
        if (server->is_ending) break_off(connection);
        if (server->on_accepted) server->on_accepted(server);
    }
    if (is_last) hark_close(op, &server->listener, on_listener_closed);
}

static int make_replies(struct server *server)
{
    size_t count = server->options.buffer_count;
    server->replies = calloc(count, sizeof *server->replies);
    if (!server->replies) return HARK_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        server->replies[i].next = server->free_replies;
        server->free_replies = &server->replies[i];
    }
    return hark_pool_open(&server->pool, server->loop, count, server->options.buffer_bytes);
}

int server_open(struct server *server, struct hark_loop *loop, const struct sockaddr *addr,
                socklen_t len, const struct server_options *options)
{
    memset(server, 0, sizeof *server);
    server->loop = loop;
    server->options = *options;
    int error = make_replies(server);
    if (error == 0) error = hark_socket(&server->listener, loop, addr->sa_family, SOCK_STREAM, 0);
    bool is_open = error == 0;
    if (error == 0) error = hark_bind(&server->listener, addr, len);
    if (error == 0) error = hark_listen(&server->listener, 0);
    if (error == 0) {
        server->accept_op.user = server;
        hark_accept(&server->accept_op, &server->listener, on_accept);
        return 0;
    }
    if (is_open) {
        hark_close(&server->accept_op, &server->listener, on_listener_closed);
        (void)hark_run(loop); /* only the close is on it */
    }
    server_close(server);
    return error;
}

void server_end(struct server *server)
{
    server->is_ending = true;
    hark_cancel(&server->accept_op);
    for (struct connection_block *block = server->blocks; block; block = block->next)
        for (size_t i = 0; i < BLOCK; i++) break_off(&block->connections[i]);
}

void server_close(struct server *server)
{
    (void)hark_pool_close(server->pool); /* busy only if hark_run() failed: the loop is lost then */
    free(server->replies);
    while (server->blocks) {
        struct connection_block *next = server->blocks->next;
        free(server->blocks);
        server->blocks = next;
    }
}
