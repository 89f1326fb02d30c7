/* The echo server a third time, by fibers in scopes: nothing that it starts can be forgotten, and
 * each connection has a deadline that moves with what it sends.
 *
 *     echo_scopes [HOST:PORT]
 *
 * The scope in serve_all() owns every connection. When the program is asked to end, the loop
 * cancels that fiber; the scope hands it on, and each connection says goodbye under a shield
 * before it closes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "example.h"

static const char *listen_at;

static void say_goodbye(struct hark_io *io)
{
    struct hark_scope shield;
    hark_scope_open_shielded(&shield, hark_after(io->loop, HARK_SECOND));
    hark_fiber_send_all(io, "goodbye\n", 8);
    hark_scope_close(&shield);
}

static int64_t serve(void *arg)
{
    struct hark_io *io = arg;
    struct hark_scope scope;
    char buf[16384];
    int64_t n;
    hark_scope_open(&scope, 0);
    do {
        hark_scope_deadline(&scope, hark_after(io->loop, 60 * HARK_SECOND)); /* silent ones go */
        n = hark_fiber_recv(io, buf, sizeof buf);
    } while (n > 0 && hark_fiber_send_all(io, buf, (size_t)n) > 0);
    if (n == HARK_ETIMEDOUT || n == HARK_ECANCELED) say_goodbye(io);
    hark_scope_close(&scope);
    hark_fiber_close(io);
    free(io);
    return 0; /* the end of one connection is no error of the server */
}

static int64_t serve_all(void *arg)
{
    struct hark_io listener = { 0 };
    struct hark_scope scope;
    int64_t error = 0;
    example_bind(arg, listen_at, &listener);
    hark_scope_open(&scope, 0);
    while (error == 0) {
        struct hark_io *io = calloc(1, sizeof *io);
        error = io == NULL ? HARK_ENOMEM : hark_fiber_accept(&listener, io);
        if (error == 0) error = hark_spawn(&scope, serve, io);
        else free(io);
    }
    hark_scope_close(&scope); /* waits for every connection */
    return hark_fiber_close(&listener);
}

int main(int argc, char **argv)
{
    struct hark_loop *loop = example_open();
    listen_at = argc > 1 ? argv[1] : "127.0.0.1:0";
    example_require(hark_fiber_start(loop, serve_all, loop), "no stack");
    return example_run(loop);
}
