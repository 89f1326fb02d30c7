/* A chat room: the first line of a client is its name, every later one goes to everybody.
 *
 *     chat [HOST:PORT]        then, in other terminals:  nc HOST PORT
 *
 * What a client is still to be sent waits in its outbox, which is bounded: whoever reads so slowly
 * that it overflows is dropped, and holds up nobody else. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "example.h"

enum { LINE_BYTES = 512, NAME_BYTES = 24, OUTBOX_BYTES = 65536 };

struct client {
    struct hark_io io;
    struct hark_op reading, sending, closing;
    struct client *next;
    bool is_leaving;
    char name[NAME_BYTES];         /* empty until the first line has come */
    char line[LINE_BYTES];         /* the beginning of a line that is not complete */
    size_t line_len;
    char outbox[2][OUTBOX_BYTES];  /* one is being sent while the other fills */
    size_t filled, filling;
};

static struct client *everybody;

static void on_closed(struct hark_op *op);

/* Only asks: the client stays in the list until on_closed(), so walks of it are never disturbed. */
static void leave(struct client *client)
{
    if (client->is_leaving) return;
    client->is_leaving = true;
    hark_close(&client->closing, &client->io, on_closed);
}

/* The callback of a send; also called to begin one. */
static void send_more(struct hark_op *op)
{
    struct client *client = op->user;
    if (op->result < 0) leave(client);
    if (client->filled == 0 || client->is_leaving) return;
    hark_send(op, &client->io, client->outbox[client->filling], client->filled, send_more);
    client->filling = !client->filling;
    client->filled = 0;
}

__attribute__((format(printf, 1, 2))) static void tell_everybody(const char *format, ...)
{
    char text[LINE_BYTES + NAME_BYTES + 16];
    va_list args;
    va_start(args, format);
    size_t len = (size_t)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (struct client *client = everybody; client != NULL; client = client->next) {
        if (len > OUTBOX_BYTES - client->filled) leave(client); /* the slow reader */
        if (client->name[0] == '\0' || client->is_leaving) continue;
        memcpy(client->outbox[client->filling] + client->filled, text, len);
        client->filled += len;
        if (!hark_is_alive(&client->sending)) send_more(&client->sending);
    }
}

static void on_closed(struct hark_op *op)
{
    struct client *client = op->user, **at = &everybody;
    while (*at != client) at = &(*at)->next;
    *at = client->next;
    if (client->name[0] != '\0') tell_everybody("* %s left\n", client->name);
    free(client);
}

static void take_line(struct client *client, char *line)
{
    line[strcspn(line, "\r")] = '\0'; /* telnet ends lines with both */
    if (client->name[0] != '\0') {
        tell_everybody("%s: %s\n", client->name, line);
        return;
    }
    snprintf(client->name, NAME_BYTES, "%.*s", NAME_BYTES - 1, line[0] != '\0' ? line : "?");
    tell_everybody("* %s joined\n", client->name);
}

static void on_read(struct hark_op *op)
{
    struct client *client = op->user;
    size_t left = client->line_len + (op->result > 0 ? (size_t)op->result : 0);
    char *line = client->line;
    for (char *end; (end = memchr(line, '\n', left)) != NULL; line = end + 1) {
        *end = '\0';
        take_line(client, line);
        left -= (size_t)(end + 1 - line);
    }
    memmove(client->line, line, left);
    client->line_len = left;
    if (op->result <= 0 || left == LINE_BYTES) leave(client); /* or a line is too long */
    if (client->is_leaving) return;
    hark_recv(op, &client->io, client->line + left, LINE_BYTES - left, on_read);
}

static void on_accept(struct hark_op *op)
{
    struct client *client = example_accepted(op, sizeof *client);
    if (client == NULL) return;
    client->reading.user = client->sending.user = client->closing.user = client;
    client->next = everybody;
    everybody = client;
    hark_recv(&client->reading, &client->io, client->line, LINE_BYTES, on_read);
}

int main(int argc, char **argv)
{
    struct hark_loop *loop = example_open();
    example_listen(loop, argc > 1 ? argv[1] : "127.0.0.1:0", on_accept);
    return example_run(loop);
}
