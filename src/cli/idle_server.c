/* The server side of hark idle: one thread, one loop, one echo server, and a control socket on the
 * same loop. The coordinator asks over it until when to wait; its end ends the server. */
#include <hark/hark.h>
#include <stdio.h>
#include <string.h>

#include "idle.h"
#include "idle_system.h"
#include "server.h"

enum { BUFFERS = 64, BUFFER_BYTES_MIN = 4096 };

struct control {
    struct hark_io io;
    struct hark_op recv_op, send_op, close_op;
    struct idle_server_order order;
    struct idle_server_answer answer;
    struct server server;
    size_t got;     /* bytes of the next order */
    bool is_asked;  /* an order waits for its answer */
};

static void on_answered(struct hark_op *op);
static void receive_order(struct control *control);

static void answer_if_reached(struct control *control)
{
    if (!control->is_asked || control->server.open_count < control->order.open_count) return;
    if (hark_is_alive(&control->send_op)) return; /* its callback comes here again */
    control->is_asked = false;
    control->answer.open_count = control->server.open_count;
    hark_send(&control->send_op, &control->io, &control->answer, sizeof control->answer,
              on_answered);
}

static void on_answered(struct hark_op *op)
{
    /* If the coordinator is gone, the next receive says so. */
    if (op->result >= 0) answer_if_reached(op->user);
}

static void on_closed(struct hark_op *op)
{
    (void)op; /* nothing waits for it but hark_run() */
}

static void on_accepted(struct server *server)
{
    answer_if_reached(server->user);
}

static void on_order(struct hark_op *op)
{
    struct control *control = op->user;
    if (op->result <= 0) {
        server_end(&control->server);
        hark_close(&control->close_op, &control->io, on_closed);
        return;
    }
    control->got += (size_t)op->result;
    if (control->got == sizeof control->order) {
        control->got = 0;
        control->is_asked = true;
        answer_if_reached(control);
    }
    receive_order(control);
}

static void receive_order(struct control *control)
{
    hark_recv(&control->recv_op, &control->io, (char *)&control->order + control->got,
              sizeof control->order - control->got, on_order);
}

/* Sends the first answer, before the loop runs: the port, or why there is none. */
static int report_opening(int fd, const struct idle_server_answer *answer)
{
    return idle_send(fd, answer, sizeof *answer) == 0 && !answer->error[0] ? 0 : -1;
}

static int open_server(struct control *control, struct hark_loop *loop,
                       const struct idle_task *task, int fd)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof address;
    struct server_options options = { .buffer_count = BUFFERS, .buffer_bytes = BUFFER_BYTES_MIN };
    if ((size_t)task->message_bytes > options.buffer_bytes)
        options.buffer_bytes = (size_t)task->message_bytes;
    int error = server_open(&control->server, loop, (struct sockaddr *)&address, len, &options);
    if (error == 0)
        error = hark_local_address(&control->server.listener, (struct sockaddr *)&address, &len);
    if (error == 0) error = hark_io_adopt(&control->io, loop, fd);
    if (error < 0) {
        snprintf(control->answer.error, IDLE_NOTE, "no server: %s", hark_strerror(error));
        return -1;
    }
    control->server.on_accepted = on_accepted;
    control->server.user = control->recv_op.user = control->send_op.user = control;
    control->answer.port = address.sin_port;
    control->answer.room = idle_room(task->backend);
    return 0;
}

int idle_serve(int fd, const struct idle_task *task)
{
    static struct control control; /* not on the stack: the loop borrows it */
    struct hark_loop_options options = { .backend = task->backend };
    struct hark_loop *loop;
    int error = hark_loop_open(&loop, &options);
    if (error < 0) {
        char *why = control.answer.error;
        snprintf(why, IDLE_NOTE, "%s", hark_strerror(error));
        (void)hark_backend_probe(task->backend, why, IDLE_NOTE); /* says it in more words */
        return report_opening(fd, &control.answer);
    }
    (void)open_server(&control, loop, task, fd); /* the answer tells */
    if (report_opening(fd, &control.answer) < 0) return 1;
    receive_order(&control);
    if (hark_run(loop) < 0) return 1;
    server_close(&control.server);
    hark_loop_close(loop);
    return 0;
}
