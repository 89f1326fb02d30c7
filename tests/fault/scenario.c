/* What is done while something fails. Each scenario goes on until a callback tells of trouble, then
 * closes what it has opened; both ends of every connection are hark's, so that all calls count. */
#include "fault.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { DIALS = 4, BYTES = 100 };

static int64_t soon(void) { return hark_after(loop, 2 * HARK_SECOND); }

/* Every io that is open is closed; what fails then is of no more interest. */
static void close_all(struct hark_io *ios, int count)
{
    for (int i = 0; i < count; i++) {
        if (!hark_io_is_open(&ios[i])) continue;
        struct ticket *closing = ticket_new("close");
        hark_close(ticket_op(closing), &ios[i], on_ticket);
        for (int turns = 0; turns < 1000 && closing->ended == 0; turns++)
            (void)hark_step(loop, HARK_MILLISECOND); /* an error was injected, and comes once */
        if (closing->ended == 0) fail("a close never ends");
    }
}

static bool is_well(int error)
{
    if (error == 0) return true;
    if (!inject_has_fired()) fail("%s, though nothing failed", hark_strerror(error));
    note_trouble();
    return false;
}

static bool open_bound(struct hark_io *io, int type, struct sockaddr_in *addr)
{
    socklen_t len = sizeof *addr;
    *addr = (struct sockaddr_in){ .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    return is_well(hark_socket(io, loop, AF_INET, type, 0)) &&
           is_well(hark_bind(io, (struct sockaddr *)addr, len)) &&
           is_well(hark_local_address(io, (struct sockaddr *)addr, &len));
}

/* A listener, and as many connections to it as accepted[] has room for. */
struct server {
    struct hark_io ios[1 + 2 * DIALS]; /* the listener, the dialers, the accepted */
    struct sockaddr_in addr;
    int accepted;
};

static struct server server;

static void on_accepted(struct ticket *ticket)
{
    if (ticket->result < 0) return;
    if (!is_well(hark_accepted(&server.ios[1 + DIALS + server.accepted], &ticket->op))) return;
    server.accepted++;
}

static void close_server(void) { close_all(server.ios, 1 + 2 * DIALS); }

/* False: something has failed. */
static bool open_server(int dials)
{
    memset(&server, 0, sizeof server);
    if (!open_bound(&server.ios[0], SOCK_STREAM, &server.addr)) return false;
    if (!is_well(hark_listen(&server.ios[0], 0))) return false;
    struct ticket *accepting = ticket_new("accept"), *dialing[DIALS];
    accepting->then = on_accepted;
    hark_accept(ticket_op(accepting), &server.ios[0], on_ticket);
    for (int i = 0; i < dials; i++) {
        if (!is_well(hark_socket(&server.ios[1 + i], loop, AF_INET, SOCK_STREAM, 0))) return false;
        dialing[i] = ticket_new("connect");
        hark_connect(ticket_op(dialing[i]), &server.ios[1 + i], (struct sockaddr *)&server.addr,
                     sizeof server.addr, on_ticket);
    }
    for (int i = 0; i < dials; i++)
        if (!await(dialing[i], 1)) return false;
    return await(accepting, dials);
}

static void run_accept(void)
{
    if (open_server(DIALS) && server.accepted != DIALS) fail("%d were accepted", server.accepted);
    close_server();
}

static void talk(struct hark_io *client, struct hark_io *peer)
{
    static char sent[BYTES], got[BYTES], back[BYTES];
    struct ticket *sending = ticket_new("send"), *receiving = ticket_new("recv");
    struct ticket *answering = ticket_new("sendv"), *hearing = ticket_new("the answer");
    memset(sent, 'x', sizeof sent);
    receiving->op.deadline_ns = sending->op.deadline_ns = soon();
    hark_recv(ticket_op(receiving), peer, got, sizeof got, on_ticket);
    hark_send(ticket_op(sending), client, sent, sizeof sent, on_ticket);
    if (!await(sending, 1) || !await(receiving, 1)) return;
    if (receiving->result <= 0) fail("the stream ended by itself");
    size_t len = (size_t)receiving->result;
    struct iovec slices[2] = { { got, len / 2 }, { got + len / 2, len - len / 2 } };
    hearing->op.deadline_ns = answering->op.deadline_ns = soon();
    hark_recv(ticket_op(hearing), client, back, sizeof back, on_ticket);
    hark_sendv(ticket_op(answering), peer, slices, 2, on_ticket);
    bool is_answered = await(answering, 1) && await(hearing, 1);
    if (answering->ended == 0) (void)hark_cancel(&answering->op); /* slices[] is on this stack */
    for (int turns = 0; turns < 1000 && answering->ended == 0; turns++)
        (void)hark_step(loop, HARK_MILLISECOND); /* an error was injected, and comes once */
    if (answering->ended == 0) fail("a canceled sendv never ends");
    if (is_answered && memcmp(back, sent, (size_t)hearing->result) != 0) fail("other bytes came");
}

static void end_talk(struct hark_io *client, struct hark_io *peer)
{
    static char buf[BYTES];
    struct ticket *late = ticket_new("a recv that times out"), *ended = ticket_new("the end");
    struct ticket *canceled = ticket_new("a recv that is canceled"), *shut = ticket_new("shutdown");
    late->op.deadline_ns = hark_after(loop, HARK_MILLISECOND);
    hark_recv(ticket_op(late), client, buf, sizeof buf, on_ticket);
    hark_recv(ticket_op(canceled), client, buf, sizeof buf, on_ticket);
    (void)hark_cancel(&canceled->op); /* alive: a timer or a failure ends it at the earliest */
    hark_recv(ticket_op(ended), peer, buf, sizeof buf, on_ticket);
    hark_shutdown(ticket_op(shut), client, SHUT_WR, on_ticket);
    while (late->ended == 0 || canceled->ended == 0 || shut->ended == 0) {
        int64_t made = hark_step(loop, 100 * HARK_MILLISECOND);
        if (made < 0 && !inject_has_fired()) fail("hark_step: %s", hark_strerror(made));
    }
}

static void run_echo(void)
{
    if (open_server(1)) {
        struct hark_io *client = &server.ios[1], *peer = &server.ios[1 + DIALS];
        talk(client, peer);
        if (!has_trouble()) end_talk(client, peer);
    }
    close_server();
}

static int64_t work(struct hark_op *op)
{
    (void)op;
    return 7;
}

/* hark_loop_close() has to end all of this by itself. */
static void run_abandon(void)
{
    static char bufs[3][BYTES];
    if (!open_server(1)) return;
    struct ticket *first = ticket_new("an abandoned recv"), *second = ticket_new("one behind it");
    struct ticket *timer = ticket_new("an abandoned timer"), *work_op = ticket_new("offload");
    struct ticket *closing = ticket_new("an abandoned close");
    second->op.deadline_ns = soon();
    hark_recv(ticket_op(first), &server.ios[1], bufs[0], BYTES, on_ticket);
    hark_recv(ticket_op(second), &server.ios[1], bufs[1], BYTES, on_ticket);
    hark_timer(ticket_op(timer), loop, soon(), on_ticket);
    hark_offload(ticket_op(work_op), loop, HARK_OFFLOAD_FILE, work, on_ticket);
    hark_close(ticket_op(closing), &server.ios[1 + DIALS], on_ticket);
}

static struct hark_pool *pool;
static size_t pooled_bytes;

static void on_pooled(struct ticket *ticket)
{
    if (ticket->result <= 0) return;
    pooled_bytes += (size_t)ticket->result;
    hark_pool_give(pool, hark_data(&ticket->op));
}

static void run_pool(void)
{
    static const char sent[BYTES];
    pooled_bytes = 0;
    pool = NULL;
    if (!is_well(hark_pool_open(&pool, loop, 2, BYTES / 4))) return;
    if (open_server(1)) {
        struct ticket *sending = ticket_new("send"), *receiving = ticket_new("recv_pool");
        struct ticket *shutting = ticket_new("shutdown");
        receiving->then = on_pooled;
        hark_recv_pool(ticket_op(receiving), &server.ios[1 + DIALS], pool, on_ticket);
        hark_send(ticket_op(sending), &server.ios[1], sent, sizeof sent, on_ticket);
        hark_shutdown(ticket_op(shutting), &server.ios[1], SHUT_WR, on_ticket);
        while (receiving->ended == 0 && await(receiving, receiving->calls + 1)) {
            /* until the end of the stream */
        }
        if (!has_trouble() && pooled_bytes != BYTES) fail("%zu bytes came", pooled_bytes);
    }
    close_server();
    int error = hark_pool_close(pool);
    if (error != 0) fail("hark_pool_close: %s", hark_strerror(error));
}

static void run_datagram(void)
{
    static char buf[BYTES], word[] = "hello";
    struct hark_io ios[2] = { { 0 }, { 0 } };
    struct sockaddr_in addr[2];
    static struct hark_datagram going, coming;
    going = (struct hark_datagram){ .data = word, .len = 5, .peer_len = sizeof addr[1] };
    coming = (struct hark_datagram){ .data = buf, .len = sizeof buf };
    if (open_bound(&ios[0], SOCK_DGRAM, &addr[0]) && open_bound(&ios[1], SOCK_DGRAM, &addr[1])) {
        struct ticket *sending = ticket_new("sendto"), *receiving = ticket_new("recvfrom");
        memcpy(&going.peer, &addr[1], sizeof addr[1]);
        receiving->op.deadline_ns = soon();
        hark_recvfrom(ticket_op(receiving), &ios[1], &coming, on_ticket);
        hark_sendto(ticket_op(sending), &ios[0], &going, on_ticket);
        if (await(sending, 1) && await(receiving, 1) && receiving->result != 5)
            fail("a datagram of %lld bytes", (long long)receiving->result);
    }
    close_all(ios, 2);
}

static void run_timers(void)
{
    struct ticket *once = ticket_new("timer"), *moved = ticket_new("a moved timer");
    struct ticket *every = ticket_new("timer_every"), *canceled = ticket_new("a canceled timer");
    hark_timer(ticket_op(once), loop, hark_after(loop, HARK_MILLISECOND), on_ticket);
    hark_timer(ticket_op(moved), loop, hark_after(loop, 1000 * HARK_SECOND), on_ticket);
    hark_timer(ticket_op(canceled), loop, hark_after(loop, 1000 * HARK_SECOND), on_ticket);
    hark_timer_every(ticket_op(every), loop, hark_now(loop), HARK_MILLISECOND, on_ticket);
    if (!hark_rearm(&moved->op, hark_after(loop, HARK_MILLISECOND))) fail("hark_rearm() refused");
    bool is_well_so_far = await(once, 1) && await(moved, 1) && await(every, 3);
    if (!is_well_so_far) fail("a timer cannot fail");
    if (!hark_cancel(&canceled->op) || !hark_cancel(&every->op)) fail("hark_cancel() refused");
}

static void *post_all(void *arg)
{
    struct ticket **posts = arg;
    for (int i = 0; i < 3; i++) hark_post(&posts[i]->op, loop, on_ticket);
    return NULL;
}

static void run_posts(void)
{
    struct ticket *posts[3];
    pthread_t thread;
    for (int i = 0; i < 3; i++) {
        posts[i] = ticket_new("post");
        (void)ticket_op(posts[i]); /* submitted by the other thread */
    }
    inject_pause();
    if (pthread_create(&thread, NULL, post_all, posts) != 0) fail("no thread");
    inject_resume();
    for (int i = 0; i < 3; i++)
        if (!await(posts[i], 1)) fail("a post cannot fail");
    pthread_join(thread, NULL);
    struct ticket *own = ticket_new("a post of the loop's thread");
    hark_post(ticket_op(own), loop, on_ticket);
    hark_wake(loop);
    if (!await(own, 1)) fail("a post cannot fail");
}

static void run_offload(void)
{
    struct ticket *works[4];
    for (int i = 0; i < 4; i++) {
        works[i] = ticket_new("offload");
        enum hark_offload_class class = i == 3 ? HARK_OFFLOAD_FILE : HARK_OFFLOAD_NAME;
        hark_offload(ticket_op(works[i]), loop, class, work, on_ticket);
    }
    (void)hark_cancel(&works[2]->op); /* it may have run already */
    for (int i = 0; i < 2; i++)
        if (await(works[i], 1) && works[i]->result != 7) fail("work gave another result");
}

static void run_ready(void)
{
    struct hark_io ios[3] = { { 0 }, { 0 }, { 0 } };
    int fds[3] = { -1, -1, -1 }, kept = 0;
    inject_pause();
    if (pipe2(fds, O_CLOEXEC) != 0) fail("pipe2");
    fds[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fds[2] < 0 || write(fds[1], "x", 1) != 1) fail("nothing to wait for");
    inject_resume();
    while (kept < 3 && is_well(hark_io_adopt(&ios[kept], loop, fds[kept]))) kept++;
    struct ticket *waits[3];
    for (int i = 0; i < kept; i++) {
        waits[i] = ticket_new("ready");
        waits[i]->op.deadline_ns = soon();
        hark_ready(ticket_op(waits[i]), &ios[i], i == 1 ? HARK_WRITABLE : HARK_READABLE, on_ticket);
    }
    for (int i = 0; i < kept; i++) (void)await(waits[i], 1); /* false: all are closed */
    close_all(ios, kept);
    inject_pause();
    for (int i = kept; i < 3; i++) close(fds[i]); /* a failed adoption leaves them so */
    inject_resume();
}

const struct scenario scenarios[] = {
    { "open", NULL, NULL },
    { "choose", "io_uring,epoll,poll,select", NULL },
    { "accept", NULL, run_accept },
    { "echo", NULL, run_echo },
    { "abandon", NULL, run_abandon },
    { "pool", NULL, run_pool },
    { "datagram", NULL, run_datagram },
    { "timers", NULL, run_timers },
    { "posts", NULL, run_posts },
    { "offload", NULL, run_offload },
    { "ready", NULL, run_ready },
};

const size_t scenario_count = sizeof scenarios / sizeof scenarios[0];
