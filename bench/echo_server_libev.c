/* The echo server on libev: a watcher for each connection, one buffer for all of them. */
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve.h"

static char buffer[SERVE_READ_BYTES];

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events; /* only EV_READ was asked for */
    ssize_t got = recv(watcher->fd, buffer, sizeof buffer, 0);
    if (got > 0 && send(watcher->fd, buffer, (size_t)got, MSG_NOSIGNAL) == got) return;
    if (got < 0 && errno == EAGAIN) return;
    /* One message is under way at a time, so a socket that refuses a part of it is broken. */
    ev_io_stop(loop, watcher);
    close(watcher->fd);
    free(watcher);
    serve_closed();
}

static void on_accept(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    for (int fd; (fd = serve_accept(watcher->fd)) >= 0;) {
        ev_io *connection = serve_memory(sizeof *connection);
        ev_io_init(connection, on_readable, fd, EV_READ);
        ev_io_start(loop, connection);
    }
}

int main(void)
{
    ev_io listener;
    struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);
    if (loop == NULL) serve_die("ev_default_loop");
    ev_io_init(&listener, on_accept, serve_listen(), EV_READ);
    ev_io_start(loop, &listener);
    ev_run(loop, 0);
    return 0;
}
