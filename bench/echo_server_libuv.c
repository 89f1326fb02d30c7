/* The echo server on libuv: one buffer for all connections, and uv_try_write() first, the quickest
 * way. */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "serve.h"

struct reply {
    uv_write_t request;
    char bytes[];
};

static char buffer[SERVE_READ_BYTES];

static void check(int error, const char *what)
{
    if (error >= 0) return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(error));
    exit(1);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
    serve_closed();
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle, (void)suggested; /* the same for all servers */
    *buf = uv_buf_init(buffer, sizeof buffer);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status; /* an error is told by the read as well */
    free(request);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    if (got == 0) return; /* EAGAIN */
    if (got < 0) {
        uv_close((uv_handle_t *)stream, on_closed);
        return;
    }
    uv_buf_t all = uv_buf_init(buf->base, (unsigned)got);
    int sent = uv_try_write(stream, &all, 1);
    if (sent == got) return;
    size_t done = sent > 0 ? (size_t)sent : 0, left = (size_t)got - done;
    struct reply *reply = serve_memory(sizeof *reply + left);
    memcpy(reply->bytes, buf->base + done, left);
    uv_buf_t rest = uv_buf_init(reply->bytes, (unsigned)left);
    if (uv_write(&reply->request, stream, &rest, 1, on_written) != 0) free(reply);
}

static void on_connection(uv_stream_t *listener, int status)
{
    check(status, "accept");
    uv_tcp_t *connection = serve_memory(sizeof *connection);
    check(uv_tcp_init(listener->loop, connection), "uv_tcp_init");
    check(uv_accept(listener, (uv_stream_t *)connection), "uv_accept");
    uv_os_fd_t fd;
    check(uv_fileno((uv_handle_t *)connection, &fd), "uv_fileno");
    serve_connected(fd);
    check(uv_read_start((uv_stream_t *)connection, on_alloc, on_read), "uv_read_start");
}

int main(void)
{
    uv_tcp_t listener;
    uv_loop_t *loop = uv_default_loop();
    check(uv_tcp_init(loop, &listener), "uv_tcp_init");
    check(uv_tcp_open(&listener, serve_listen()), "uv_tcp_open");
    check(uv_listen((uv_stream_t *)&listener, 4096, on_connection), "uv_listen");
    return uv_run(loop, UV_RUN_DEFAULT);
}
