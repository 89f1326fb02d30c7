/* hark load: a measuring client for anyone's echo server, itself one loop.
 *
 *   CONNECTING --all connected--> RUNNING --time is over--> DRAINING --all answered--> OVER
 *        \------------------ error, Ctrl-C, two seconds of draining --------------------^
 *
 * Without --rate each connection keeps `depth` messages in flight: a closed loop, in which a slow
 * server is asked less often. With --rate message k is due at start + k / rate whatever the server
 * does, and its latency counts from that moment, also while it still waits to be sent: this is what
 * avoids coordinated omission. */
#include "load.h"

#include <hark/hark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "content.h"
#include "show/format.h"
#include "options.h"
#include "tool.h"

enum { CHUNK_BYTES = 65536, CONNECTING_MAX = 256, POOL_BUFFERS = 256, POOL_BYTES = 16384 };

enum phase { CONNECTING, RUNNING, DRAINING, OVER };

struct client {
    struct hark_io io;
    struct hark_op op;        /* connects, then receives */
    struct hark_op send_op;
    struct hark_op close_op;
    struct load *load;
    int64_t index;
    int64_t asked, answered;  /* messages; asked - answered are in flight */
    uint64_t sent, received;  /* bytes of the stream; sent counts what was submitted */
    int64_t *due_ns;          /* of the messages in flight, by their number modulo depth */
    char *chunk;              /* being sent */
};

struct load {
    struct load_settings settings;
    struct load_result result;
    struct address address;
    struct hark_loop *loop;
    struct hark_pool *pool;
    struct client *clients;
    size_t chunk_bytes;
    enum phase phase;
    int64_t opened, connected; /* clients */
    int64_t asked;             /* messages of all clients */
    int64_t start_ns, end_ns, last_ns; /* last: the latest echo */
    int64_t paced;             /* with a rate: messages whose moment has come */
    struct hark_op pace_op, end_op, progress_op;
    int code;
};

static void pump(struct client *client);
static void open_next(struct load *load);

/* Ends the run with a complaint; the first one counts. */
static void fail(struct load *load, const char *what, const char *why)
{
    if (load->phase == OVER) return;
    tool_complain("load", "%s%s%s", what, why ? ": " : "", why ? why : "");
    load->code = TOOL_FAILED;
    load->phase = OVER;
}

/* The moment at which message `number` of all is due. */
static int64_t due_at(const struct load *load, int64_t number)
{
    double ns = (double)number * 1e9 / (double)load->settings.rate;
    return load->start_ns + (int64_t)ns;
}

/* Tells whether this client may send one more message, and from when it counts. */
static bool may_ask(const struct client *client, int64_t now_ns, int64_t *due_ns)
{
    const struct load *load = client->load;
    *due_ns = now_ns;
    if (load->phase != RUNNING && load->phase != DRAINING) return false;
    if (client->asked - client->answered >= load->settings.depth) return false;
    if (!load->settings.rate) return load->phase == RUNNING;
    *due_ns = due_at(load, client->index + client->asked * load->settings.connections);
    return *due_ns <= now_ns && *due_ns < load->end_ns;
}

static void on_sent(struct hark_op *op)
{
    struct client *client = op->user;
    struct load *load = client->load;
    if (load->phase == OVER) return;
    if (op->result < 0) fail(load, "a send failed", hark_strerror(op->result));
    else pump(client);
}

/* Sends what may be sent now, unless a send is under way: then its callback does. */
static void pump(struct client *client)
{
    struct load *load = client->load;
    int64_t due_ns, now_ns = tool_clock_ns();
    while (may_ask(client, now_ns, &due_ns)) {
        client->due_ns[client->asked++ % load->settings.depth] = due_ns;
        load->asked++;
    }
    uint64_t until = (uint64_t)(client->asked * load->settings.message_bytes);
    if (client->sent == until || hark_is_alive(&client->send_op)) return;
    size_t len = load->chunk_bytes;
    if (until - client->sent < len) len = (size_t)(until - client->sent);
    content_fill((uint64_t)client->index + 1, client->sent, client->chunk, len);
    client->sent += len;
    hark_send(&client->send_op, &client->io, client->chunk, len, on_sent);
}

static bool is_all_answered(const struct load *load)
{
    if (!load->settings.rate) return load->asked == load->result.messages;
    return due_at(load, load->result.messages) >= load->end_ns;
}

/* Counts bytes that came and are right. */
static void take_echo(struct client *client, int64_t len)
{
    struct load *load = client->load;
    uint64_t size = (uint64_t)load->settings.message_bytes;
    int64_t now_ns = tool_clock_ns();
    client->received += (uint64_t)len;
    while (client->received >= (uint64_t)(client->answered + 1) * size) {
        int64_t due_ns = client->due_ns[client->answered++ % load->settings.depth];
        histogram_record(&load->result.latency, now_ns - due_ns);
        load->result.messages++;
        load->last_ns = now_ns;
    }
    pump(client);
    if (load->phase == DRAINING && is_all_answered(load)) load->phase = OVER;
}

static void on_received(struct hark_op *op)
{
    struct client *client = op->user;
    struct load *load = client->load;
    size_t len = op->result > 0 ? (size_t)op->result : 0, right = 0;
    if (len) {
        void *data = hark_data(op);
        right = content_check((uint64_t)client->index + 1, client->received, data, len);
        hark_pool_give(load->pool, data);
    }
    if (load->phase == OVER) return;
    char what[120];
    if (op->result == 0) {
        fail(load, load->settings.target, "the server ended a connection");
    } else if (op->result < 0) {
        fail(load, "a receive failed", hark_strerror(op->result));
    } else if (client->received + len > client->sent) {
        snprintf(what, sizeof what, "connection %lld got more back than it had sent",
                 (long long)client->index);
        fail(load, what, NULL);
    } else if (right < len) {
        snprintf(what, sizeof what, "byte %llu of the echo on connection %lld is wrong",
                 (unsigned long long)(client->received + right), (long long)client->index);
        fail(load, what, NULL);
    } else {
        take_echo(client, (int64_t)len);
    }
}

/* With a rate: sends what has become due, and sleeps until the next message is. */
static void on_pace(struct hark_op *op)
{
    struct load *load = op->user;
    if (load->phase != RUNNING || op->result < 0) return;
    int64_t now_ns = tool_clock_ns(), count = load->settings.connections, first = load->paced;
    while (due_at(load, load->paced) <= now_ns) load->paced++;
    /* One look at a client sends all that is due on it. */
    if (load->paced - first > count) first = load->paced - count;
    for (int64_t i = first; i < load->paced; i++) pump(&load->clients[i % count]);
    hark_timer(op, load->loop, due_at(load, load->paced), on_pace);
}

static void on_drained(struct hark_op *op)
{
    struct load *load = op->user;
    load->phase = OVER;
}

static void on_end(struct hark_op *op)
{
    struct load *load = op->user;
    if (load->phase != RUNNING || op->result < 0) return;
    load->phase = DRAINING;
    for (int64_t i = 0; i < load->settings.connections; i++) pump(&load->clients[i]);
    if (is_all_answered(load)) load->phase = OVER;
    else hark_timer(op, load->loop, hark_refresh(load->loop) + 2 * HARK_SECOND, on_drained);
}

static void on_progress(struct hark_op *op)
{
    struct load *load = op->user;
    char messages[32], left[32];
    if (load->phase != RUNNING || op->result < 0) return;
    int64_t left_ns = load->end_ns - tool_clock_ns();
    tool_progress("%s messages, %s left",
                  format_count(load->result.messages, messages, sizeof messages),
                  format_time(left_ns > 0 ? left_ns : 0, left, sizeof left));
}

/* All are connected: the clock starts. */
static void begin(struct load *load)
{
    int64_t now = hark_refresh(load->loop);
    load->phase = RUNNING;
    load->start_ns = load->last_ns = tool_clock_ns();
    load->end_ns = load->start_ns + load->settings.duration_ns;
    load->end_op.user = load->pace_op.user = load->progress_op.user = load;
    hark_timer(&load->end_op, load->loop, now + load->settings.duration_ns, on_end);
    hark_timer_every(&load->progress_op, load->loop, now + HARK_SECOND / 4, HARK_SECOND / 4,
                     on_progress);
    if (load->settings.rate) {
        hark_timer(&load->pace_op, load->loop, now, on_pace);
        return;
    }
    for (int64_t i = 0; i < load->settings.connections; i++) pump(&load->clients[i]);
}

static void on_connected(struct hark_op *op)
{
    struct client *client = op->user;
    struct load *load = client->load;
    if (load->phase == OVER) return;
    if (op->result < 0) {
        char what[200];
        snprintf(what, sizeof what, "cannot connect to %s", load->settings.target);
        fail(load, what, hark_strerror(op->result));
        return;
    }
    (void)hark_nodelay(&client->io, true); /* on what is no TCP it is not needed */
    hark_recv_pool(op, &client->io, load->pool, on_received);
    if (++load->connected == load->settings.connections) begin(load);
    else open_next(load);
}

static void open_next(struct load *load)
{
    if (load->opened == load->settings.connections) return;
    struct client *client = &load->clients[load->opened];
    client->load = load;
    client->index = load->opened++;
    client->op.user = client->send_op.user = client->close_op.user = client;
    client->due_ns = calloc((size_t)load->settings.depth, sizeof *client->due_ns);
    client->chunk = malloc(load->chunk_bytes);
    int error = HARK_ENOMEM;
    if (client->due_ns && client->chunk)
        error = hark_socket(&client->io, load->loop, load->address.storage.ss_family, SOCK_STREAM,
                            0);
    if (error < 0) {
        fail(load, "cannot open a socket", hark_strerror(error));
        return;
    }
    client->op.deadline_ns = hark_after(load->loop, 10 * HARK_SECOND);
    hark_connect(&client->op, &client->io, (struct sockaddr *)&load->address.storage,
                 load->address.len, on_connected);
}

static void on_closed(struct hark_op *op)
{
    (void)op; /* hark_run() returns after the last one */
}

/* With a rate, what was never answered counts as having taken until now: leaving it out would be
 * the omission that --rate is there to avoid. */
static void count_unanswered(struct load *load)
{
    int64_t now_ns = tool_clock_ns(), count = load->settings.connections;
    int64_t until_ns = now_ns < load->end_ns ? now_ns : load->end_ns;
    for (int64_t i = 0; i < count; i++) {
        struct client *client = &load->clients[i];
        int64_t number = client->answered;
        for (; load->settings.rate; number++) {
            int64_t due_ns = due_at(load, i + number * count);
            if (due_ns >= until_ns) break;
            histogram_record(&load->result.latency, now_ns - due_ns);
        }
        load->result.unanswered += load->settings.rate ? number - client->answered
                                                       : client->asked - client->answered;
    }
}

static void tear_down(struct load *load)
{
    load->phase = OVER;
    hark_cancel(&load->end_op);
    hark_cancel(&load->pace_op);
    hark_cancel(&load->progress_op);
    for (int64_t i = 0; i < load->opened; i++)
        if (hark_io_is_open(&load->clients[i].io))
            hark_close(&load->clients[i].close_op, &load->clients[i].io, on_closed);
    if (hark_run(load->loop) < 0) return; /* the process ends, with all it holds */
    (void)hark_pool_close(load->pool);    /* nothing receives any more */
    hark_loop_close(load->loop);
    for (int64_t i = 0; i < load->opened; i++) {
        free(load->clients[i].due_ns);
        free(load->clients[i].chunk);
    }
    free(load->clients);
}

/* Connects and runs to the end, Ctrl-C or an error. */
static void drive(struct load *load)
{
    int64_t first = load->settings.connections;
    if (first > CONNECTING_MAX) first = CONNECTING_MAX;
    for (int64_t i = 0; i < first && load->phase != OVER; i++) open_next(load);
    int64_t turned = 0;
    while (load->phase != OVER && !tool_is_interrupted() && turned >= 0)
        turned = hark_step(load->loop, -1);
    if (turned < 0) fail(load, "the loop ended", hark_strerror(turned));
    load->result.is_interrupted = tool_is_interrupted();
    if (!load->start_ns) return;
    /* All of the time asked for counts, also if no echo came at its end: else a server that stopped
     * half-way would seem as fast as one that went on. */
    int64_t now_ns = tool_clock_ns();
    int64_t until_ns = load->last_ns > load->end_ns ? load->last_ns : load->end_ns;
    load->result.elapsed_ns = (now_ns < until_ns ? now_ns : until_ns) - load->start_ns;
    count_unanswered(load);
}

static int prepare(struct load *load)
{
    struct load_settings *settings = &load->settings;
    if (settings->connections + 32 > tool_raise_descriptor_limit()) {
        char limit[32];
        tool_complain("load", "--connections is beyond the limit of %s open descriptors",
                      format_count(tool_raise_descriptor_limit(), limit, sizeof limit));
        return TOOL_FAILED;
    }
    int code = address_parse("load", settings->target, &load->address);
    if (code == TOOL_OK) code = tool_open_loop("load", settings->backend, &load->loop);
    if (code != TOOL_OK) return code;
    load->result.backend = hark_loop_backend(load->loop);
    int64_t in_flight_bytes = settings->message_bytes * settings->depth;
    load->chunk_bytes = in_flight_bytes > CHUNK_BYTES ? CHUNK_BYTES : (size_t)in_flight_bytes;
    load->clients = calloc((size_t)settings->connections, sizeof *load->clients);
    int error = HARK_ENOMEM;
    if (load->clients) error = hark_pool_open(&load->pool, load->loop, POOL_BUFFERS, POOL_BYTES);
    if (error == 0) return TOOL_OK;
    tool_complain("load", "cannot begin: %s", hark_strerror(error));
    free(load->clients);
    hark_loop_close(load->loop);
    return TOOL_FAILED;
}

static int run(const struct load_settings *settings)
{
    static struct load load; /* 30 KB of histogram, and ops that may outlive a failed loop */
    load.settings = *settings;
    tool_show_progress(!settings->is_quiet);
    int code = prepare(&load);
    if (code != TOOL_OK) return code;
    tool_catch_interrupts(load.loop);
    drive(&load);
    tool_catch_interrupts(NULL);
    tear_down(&load);
    tool_progress(NULL);
    if (load.result.messages > 0) {
        load_report(settings, &load.result);
    } else if (load.result.is_interrupted) {
        return TOOL_INTERRUPTED;
    } else if (load.code == TOOL_OK) {
        tool_complain("load", "no echo came from %s", settings->target);
        return TOOL_FAILED;
    }
    return load.code;
}

static const char about[] =
    "Sends messages of pseudo-random bytes to an echo server and compares every byte that comes\n"
    "back. Without --rate it is a closed loop: --depth messages are in flight on each connection,\n"
    "and a new one follows each echo. With --rate messages are due at even distances whatever the\n"
    "server does, and latency counts from the moment a message was due (no coordinated omission).\n"
    "Ctrl-C prints what was measured so far and exits with 0, or 130 if that is nothing. A wrong\n"
    "byte, a refused or lost connection ends the run with 1.\n";

int load_main(int argc, char **argv)
{
    struct load_settings settings = {
        .connections = 64, .message_bytes = 64, .depth = 1, .duration_ns = 5 * HARK_SECOND,
    };
    const struct option table[] = {
        { "--connections", "N", "how many (64)", OPTION_COUNT, &settings.connections, 1, 1000000 },
        { "--size", "BYTES", "of a message (64)", OPTION_SIZE, &settings.message_bytes, 1,
          64 << 20 },
        { "--depth", "N", "messages in flight on a connection at most (1)", OPTION_COUNT,
          &settings.depth, 1, 65536 },
        { "--duration", "TIME", "how long to send (5s)", OPTION_DURATION, &settings.duration_ns,
          HARK_MILLISECOND, 24 * 3600 * HARK_SECOND },
        { "--rate", "N", "messages a second in all (0: as fast as it goes)", OPTION_COUNT,
          &settings.rate, 0, 100000000 },
        { "--backend", "NAME", "the kernel interface (the best there is)", OPTION_BACKEND,
          &settings.backend, 0, 0 },
        { "--json", NULL, "prints the result as data", OPTION_FLAG, &settings.as_json, 0, 0 },
        { "--quiet", NULL, "no progress on the terminal", OPTION_FLAG, &settings.is_quiet, 0, 0 },
    };
    const struct command command = {
        .name = "load", .summary = "a measuring client for anyone's echo server",
        .operand = "HOST:PORT", .operand_example = "127.0.0.1:7000", .about = about,
        .options = table, .option_count = sizeof table / sizeof *table,
    };
    switch (options_parse(&command, argc, argv, &settings.target)) {
    case OPTIONS_WRONG: return TOOL_MISUSED;
    case OPTIONS_HELPED: return TOOL_OK;
    default: return run(&settings);
    }
}
