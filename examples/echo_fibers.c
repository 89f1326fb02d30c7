/* The echo server once more, by fibers: the code of a connection reads from top to bottom.
 *
 *     echo_fibers [HOST:PORT]
 *
 * Accepting is left to a callback, since the two mix: it starts a fiber for each connection. Op and
 * buffer lie on the fiber's stack. */
#include <stdlib.h>

#include "example.h"

static int64_t serve(void *arg)
{
    struct hark_io *io = arg;
    char buf[16384];
    for (int64_t n; (n = hark_fiber_recv(io, buf, sizeof buf)) > 0;)
        if (hark_fiber_send_all(io, buf, (size_t)n) < 0) break;
    hark_fiber_close(io);
    free(io);
    return 0;
}

static void on_accept(struct hark_op *op)
{
    struct hark_io *io = example_accepted(op, sizeof *io);
    if (io != NULL) example_require(hark_fiber_start(io->loop, serve, io), "no stack");
}

int main(int argc, char **argv)
{
    struct hark_loop *loop = example_open();
    example_listen(loop, argc > 1 ? argv[1] : "127.0.0.1:0", on_accept);
    return example_run(loop);
}
