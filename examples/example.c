/* The frame of the examples; see example.h. */
#include "example.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct hark_loop *running_loop; /* what the signal handler stops */

void example_require(int64_t result, const char *what)
{
    if (result >= 0) return;
    fprintf(stderr, "%s: %s\n", what, hark_strerror(result));
    exit(EXIT_FAILURE);
}

/* hark_stop() is an atomic store, a compare-and-swap and perhaps a write(2): safe in a handler, and
 * on the thread that Windows has for Ctrl-C. */
static void on_signal(int number)
{
    (void)number;
    hark_stop(running_loop);
}

static void handle_signals(void (*handler)(int))
{
    signal(SIGINT, handler);
    signal(SIGTERM, handler);
}

struct hark_loop *example_open(void)
{
    example_require(hark_loop_open(&running_loop, NULL), "no loop");
    handle_signals(on_signal);
    return running_loop;
}

struct address example_address(const char *text)
{
    char host[64];
    struct address address = { .len = 0 };
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    const char *colon = strrchr(text, ':');
    bool is_bracketed = text[0] == '[' && colon > text && colon[-1] == ']';
    size_t host_len = colon == NULL ? sizeof host : (size_t)(colon - text);
    if (host_len < sizeof host) {
        if (is_bracketed) snprintf(host, sizeof host, "%.*s", (int)host_len - 2, text + 1);
        else snprintf(host, sizeof host, "%.*s", (int)host_len, text);
        if (getaddrinfo(host, colon + 1, &hints, &found) != 0) found = NULL;
    }
    if (found == NULL) {
        fprintf(stderr, "'%s' is no address such as 127.0.0.1:7000 or [::1]:7000\n", text);
        exit(EXIT_FAILURE);
    }
    memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.len = (socklen_t)found->ai_addrlen;
    freeaddrinfo(found);
    return address;
}

static void print_own_address(const struct hark_io *listener)
{
    char host[64], port[8];
    struct address own = { .len = sizeof own.storage };
    struct sockaddr *addr = (struct sockaddr *)&own.storage;
    example_require(hark_local_address(listener, addr, &own.len), "getsockname");
    getnameinfo(addr, own.len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    bool is_v6 = own.storage.ss_family == AF_INET6;
    printf(is_v6 ? "listening on [%s]:%s\n" : "listening on %s:%s\n", host, port);
    fflush(stdout); /* now: somebody may wait for this line */
}

void example_bind(struct hark_loop *loop, const char *text, struct hark_io *listener)
{
    struct address at = example_address(text);
    example_require(hark_socket(listener, loop, at.storage.ss_family, SOCK_STREAM, 0), "socket");
    example_require(hark_bind(listener, (struct sockaddr *)&at.storage, at.len), text);
    example_require(hark_listen(listener, 0), text);
    print_own_address(listener);
}

void example_listen(struct hark_loop *loop, const char *text, hark_done_fn *on_accept)
{
    static struct hark_io listener;
    static struct hark_op accepting;
    example_bind(loop, text, &listener);
    hark_accept(&accepting, &listener, on_accept); /* one op for all connections: it repeats */
}

void *example_accepted(struct hark_op *op, size_t bytes)
{
    if (op->result == HARK_ECANCELED) return NULL; /* the loop is being closed */
    if (op->result < 0) { /* out of descriptors, mostly; with op->more hark tries again by itself */
        fprintf(stderr, "accept: %s\n", hark_strerror(op->result));
        return NULL;
    }
    struct hark_io *io = calloc(1, bytes);
    example_require(io == NULL ? HARK_ENOMEM : 0, "accept");
    if (hark_accepted(io, op) == 0) return io;
    free(io); /* no memory, or the loop is being closed: hark has closed the connection */
    return NULL;
}

int example_run(struct hark_loop *loop)
{
    int error = hark_run(loop); /* at once, if a signal came before */
    handle_signals(SIG_IGN); /* the loop that they would stop is about to be freed */
    hark_loop_close(loop);
    if (error < 0) fprintf(stderr, "the loop ended: %s\n", hark_strerror(error));
    return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
