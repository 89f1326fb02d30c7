/* The echo server on libevent, in two forms:
 *
 *   event        an event for each connection, one buffer for all of them
 *   bufferevent  what its manual recommends: buffered, copied by evbuffer_remove_buffer()
 *
 * usage: echo_server_libevent FORM */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve.h"

static struct event_base *base;
static char buffer[SERVE_READ_BYTES];

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct event *event = arg;
    (void)what; /* only EV_READ was asked for */
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got > 0 && send(fd, buffer, (size_t)got, MSG_NOSIGNAL) == got) return;
    if (got < 0 && errno == EAGAIN) return;
    event_free(event); /* one message is under way at a time: a refused part means broken */
    close(fd);
    serve_closed();
}

static void on_accept_event(evutil_socket_t listener, short what, void *arg)
{
    (void)what, (void)arg;
    for (int fd; (fd = serve_accept(listener)) >= 0;) {
        struct event *event = event_new(base, fd, EV_READ | EV_PERSIST, on_readable,
                                        event_self_cbarg());
        if (event == NULL || event_add(event, NULL) != 0) serve_die("event_add");
    }
}

static void on_buffered(struct bufferevent *connection, void *arg)
{
    (void)arg;
    if (bufferevent_write_buffer(connection, bufferevent_get_input(connection)) != 0)
        serve_die("bufferevent_write_buffer");
}

static void on_end(struct bufferevent *connection, short what, void *arg)
{
    (void)what, (void)arg; /* an end and an error end it alike */
    bufferevent_free(connection);
    serve_closed();
}

static void on_accept_buffered(evutil_socket_t listener, short what, void *arg)
{
    (void)what, (void)arg;
    for (int fd; (fd = serve_accept(listener)) >= 0;) {
        struct bufferevent *connection = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
        if (connection == NULL) serve_die("bufferevent_socket_new");
        bufferevent_set_max_single_read(connection, SERVE_READ_BYTES);
        bufferevent_setcb(connection, on_buffered, NULL, on_end, NULL);
        bufferevent_enable(connection, EV_READ | EV_WRITE);
    }
}

int main(int argc, char **argv)
{
    int is_buffered = argc > 1 && strcmp(argv[1], "bufferevent") == 0;
    base = event_base_new();
    if (base == NULL) serve_die("event_base_new");
    struct event *listener = event_new(base, serve_listen(), EV_READ | EV_PERSIST,
                                       is_buffered ? on_accept_buffered : on_accept_event, NULL);
    if (listener == NULL || event_add(listener, NULL) != 0) serve_die("event_add");
    return event_base_dispatch(base) != 0;
}
