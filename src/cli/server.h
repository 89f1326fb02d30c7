/* The echo server behind `hark echo` and `hark idle`: one loop, one pool of buffers.
 *
 * An idle connection is one struct connection and nothing else: a buffer and an op to send with
 * belong to bytes on their way, not to connections. */
#ifndef CLI_SERVER_H
#define CLI_SERVER_H

#include <hark/hark.h>

struct connection;
struct connection_block;
struct reply;

struct server_options {
    size_t buffer_count;
    size_t buffer_bytes;
    int64_t send_timeout_ns; /* a peer that reads nothing for so long is let go; 0: never */
};

struct server {
    struct hark_loop *loop;
    struct server_options options;
    struct hark_pool *pool;
    struct hark_io listener;
    struct hark_op accept_op;
    struct reply *replies, *free_replies;
    struct connection_block *blocks;
    struct connection *free_connections;
    bool is_ending;

    /* To set after server_open(): told of each connection. */
    void (*on_accepted)(struct server *server);
    void *user;

    /* To read. */
    int64_t connection_count; /* accepted */
    int64_t open_count;       /* of these, open now */
    int64_t refused_count;    /* for want of descriptors or memory */
    int64_t failed_count;     /* ended by an error */
    int64_t message_count;    /* results of hark_recv_pool() */
    int64_t byte_count;
};

/* Opens a listening echo server on a loop; it works while the loop runs.
 *
 * server  anything; stays where it is until server_close().
 * Result  0 or a hark error; then nothing is open.
 */
int server_open(struct server *server, struct hark_loop *loop, const struct sockaddr *addr,
                socklen_t len, const struct server_options *options);

/* Begins to end: stops accepting and closes every connection. hark_run() returns when all of it has
 * come about, if nothing else is on the loop. */
void server_end(struct server *server);

/* Frees the server, after server_end() and hark_run(). */
void server_close(struct server *server);

#endif
