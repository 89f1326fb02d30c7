/* hark echo: sends back whatever comes, until Ctrl-C, then says what it did. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "address.h"
#include "show/format.h"
#include "options.h"
#include "server.h"
#include "tool.h"

static const char about[] =
    "Prints 'listening on HOST:PORT (BACKEND)' when it can be connected to. Ctrl-C ends it; it\n"
    "then prints connections, messages (receives that brought bytes), bytes and processor time,\n"
    "and exits with 0. A peer that reads nothing of what it is sent for a minute is let go.\n";

struct settings {
    const char *listen, *backend;
    int64_t buffer_bytes, buffer_count, duration_ns;
};

static void on_time_over(struct hark_op *op)
{
    *(bool *)op->user = true;
}

static void print_summary(const struct server *server, int64_t processor_ns)
{
    char connections[48], messages[48], bytes[40], time[40], each[40];
    printf("%s, %s, %s, %s of processor time",
           format_things(server->connection_count, "connection", connections, sizeof connections),
           format_things(server->message_count, "message", messages, sizeof messages),
           format_bytes((double)server->byte_count, bytes, sizeof bytes),
           format_time(processor_ns, time, sizeof time));
    if (server->message_count > 0) {
        double us = (double)processor_ns / 1e3 / (double)server->message_count;
        printf(" (%s us a message)", format_short(us, each, sizeof each));
    }
    printf("\n");
    if (server->failed_count)
        printf("%s ended by an error\n", format_things(server->failed_count, "connection",
                                                       connections, sizeof connections));
    if (server->refused_count)
        printf("%" PRId64 " refused for want of descriptors or memory\n", server->refused_count);
}

/* Serves until Ctrl-C or the end of the time. Gives an exit code. */
static int serve(struct server *server, struct hark_loop *loop, int64_t duration_ns)
{
    static struct hark_op timer; /* outlives this function if the loop fails */
    static bool is_over;
    timer.user = &is_over;
    if (duration_ns) hark_timer(&timer, loop, hark_after(loop, duration_ns), on_time_over);
    int64_t turned = 0;
    while (!tool_is_interrupted() && !is_over && turned >= 0) turned = hark_step(loop, -1);
    hark_cancel(&timer);
    if (turned >= 0) {
        server_end(server);
        turned = hark_run(loop);
    }
    if (turned >= 0) return TOOL_OK;
    tool_complain("echo", "the loop ended: %s", hark_strerror(turned));
    return TOOL_FAILED;
}

static int announce(const struct server *server)
{
    struct address own = { .len = sizeof own.storage };
    char text[ADDRESS_TEXT];
    int error = hark_local_address(&server->listener, (struct sockaddr *)&own.storage, &own.len);
    if (error < 0) {
        tool_complain("echo", "no address of its own: %s", hark_strerror(error));
        return TOOL_FAILED;
    }
    printf("listening on %s (%s)\n", address_show(&own, text, sizeof text),
           hark_loop_backend(server->loop));
    return tool_finish(TOOL_OK); /* now: a script waits for this line */
}

static int run(const struct settings *settings)
{
    struct address address;
    int code = address_parse("echo", settings->listen, &address);
    if (code != TOOL_OK) return code;
    (void)tool_raise_descriptor_limit(); /* however many it allows */
    struct hark_loop *loop;
    code = tool_open_loop("echo", settings->backend, &loop);
    if (code != TOOL_OK) return code;

    static struct server server;
    struct server_options options = {
        .buffer_count = (size_t)settings->buffer_count,
        .buffer_bytes = (size_t)settings->buffer_bytes,
        .send_timeout_ns = 60 * HARK_SECOND,
    };
    int error = server_open(&server, loop, (struct sockaddr *)&address.storage, address.len,
                            &options);
    if (error < 0) {
        tool_complain("echo", "cannot listen on %s: %s", settings->listen, hark_strerror(error));
        hark_loop_close(loop);
        return TOOL_FAILED;
    }
    tool_catch_interrupts(loop);
    code = announce(&server);
    int served = serve(&server, loop, code == TOOL_OK ? settings->duration_ns : 1);
    tool_catch_interrupts(NULL);
    if (served != TOOL_OK) return served; /* ops are alive on a dead loop: leave all as it is */
    if (code == TOOL_OK) print_summary(&server, tool_processor_ns());
    server_close(&server);
    hark_loop_close(loop);
    return code;
}

int echo_main(int argc, char **argv)
{
    struct settings settings = {
        .listen = "127.0.0.1:0", .buffer_bytes = 16384, .buffer_count = 1024,
    };
    const struct option table[] = {
        { "--listen", "HOST:PORT", "where (127.0.0.1:0: any free port)", OPTION_TEXT,
          &settings.listen, 0, 0 },
        { "--backend", "NAME", "the kernel interface (the best there is)", OPTION_BACKEND,
          &settings.backend, 0, 0 },
        { "--size", "BYTES", "the size of a receive buffer (16k)", OPTION_SIZE,
          &settings.buffer_bytes, 1, 16 << 20 },
        { "--buffers", "N", "how many buffers all connections share (1,024)", OPTION_COUNT,
          &settings.buffer_count, 1, 32768 },
        { "--duration", "TIME", "ends by itself after it (0: never)", OPTION_DURATION,
          &settings.duration_ns, 0, 24 * 3600 * HARK_SECOND },
    };
    const struct command command = {
        .name = "echo", .summary = "an echo server", .about = about,
        .options = table, .option_count = sizeof table / sizeof *table,
    };
    switch (options_parse(&command, argc, argv, NULL)) {
    case OPTIONS_WRONG: return TOOL_MISUSED;
    case OPTIONS_HELPED: return TOOL_OK;
    default: return run(&settings);
    }
}
