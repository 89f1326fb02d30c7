/* What is done while something fails. Each scenario goes on until a callback tells of trouble, then
 * closes what it has opened; both ends of every connection are hark's, so that all calls count. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DIALS = 4, BYTES = 100 };

static int64_t soon(void) { return hark_after(loop, 2 * HARK_SECOND); }

/* Every io that is open is closed; what fails then is of no more interest. */
void close_ios(struct hark_io *ios, int count)
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

bool is_well(int error)
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

static void close_server(void) { close_ios(server.ios, 1 + 2 * DIALS); }

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
    close_ios(ios, 2);
}

/* Two datagrams, of which the second is two segments. */
static void run_batch(void)
{
    static char arena[4 * BYTES], word[] = "hello";
    struct hark_io ios[2] = { { 0 }, { 0 } };
    struct sockaddr_in addr[2];
    static struct hark_packet out[2], in[4];
    struct hark_datagram_batch going = { .packets = out, .count = 2 };
    struct hark_datagram_batch coming = { in, 4, arena, BYTES };
    for (int i = 0; i < 2; i++)
        out[i] = (struct hark_packet){ .data = word, .len = 5, .segment_bytes = i == 1 ? 3 : 0,
                                       .peer_len = sizeof addr[1] };
    if (open_bound(&ios[0], SOCK_DGRAM, &addr[0]) && open_bound(&ios[1], SOCK_DGRAM, &addr[1]) &&
        is_well(hark_datagram_set(&ios[1], HARK_ARRIVAL_TIMES, 1))) {
        struct ticket *sending = ticket_new("send_batch"), *receiving = ticket_new("recv_batch");
        for (int i = 0; i < 2; i++) memcpy(&out[i].peer, &addr[1], sizeof addr[1]);
        receiving->op.deadline_ns = soon();
        hark_recv_batch(ticket_op(receiving), &ios[1], &coming, on_ticket);
        hark_send_batch(ticket_op(sending), &ios[0], &going, on_ticket);
        if (await(sending, 1) && await(receiving, 1) && receiving->result > 0 && in[0].len != 5)
            fail("a datagram of %zu bytes", in[0].len);
    }
    close_ios(ios, 2);
}

/* More descriptors than one message takes. What came is closed; main.c looks whether more is
 * left. */
static void run_descriptors(void)
{
    enum { COUNT = 300 };
    static int sent[COUNT], got[COUNT];
    static struct hark_descriptors out, in;
    struct hark_io ios[2] = { { 0 }, { 0 } };
    int fds[2] = { -1, -1 }, kept = 0;
    inject_pause();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) fail("socketpair");
    inject_resume();
    while (kept < 2 && is_well(hark_io_adopt(&ios[kept], loop, fds[kept]))) kept++;
    out = (struct hark_descriptors){ .fds = sent, .count = COUNT };
    in = (struct hark_descriptors){ .fds = got, .room = COUNT };
    if (kept == 2) {
        struct ticket *sending = ticket_new("send_descriptors");
        struct ticket *receiving = ticket_new("recv_descriptors");
        receiving->op.deadline_ns = soon();
        hark_send_descriptors(ticket_op(sending), &ios[0], &out, on_ticket);
        hark_recv_descriptors(ticket_op(receiving), &ios[1], &in, on_ticket);
        if (await(sending, 1) && await(receiving, 1) && in.count != COUNT)
            fail("%u descriptors came", in.count);
    }
    close_ios(ios, kept);
    inject_pause();
    while (in.count != 0) close(got[--in.count]);
    for (int i = kept; i < 2; i++) close(fds[i]); /* a failed adoption leaves them so */
    inject_resume();
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
    close_ios(ios, kept);
    inject_pause();
    for (int i = kept; i < 3; i++) close(fds[i]); /* a failed adoption leaves them so */
    inject_resume();
}

/* A name server of hark's: every name is 127.0.0.1. */
static struct {
    struct hark_io io;
    struct hark_datagram datagram;
    char buf[512];
} names;

static void listen_for_names(struct ticket *asked)
{
    names.datagram = (struct hark_datagram){ .data = names.buf, .len = sizeof names.buf - 16 };
    hark_recvfrom(ticket_op(asked), &names.io, &names.datagram, on_ticket);
}

/* The question comes back with an answer behind it: its name, A or AAAA, a minute, the address. */
static void on_asked(struct ticket *asked)
{
    static const char header[] = { '\x81', '\x80', 0, 1, 0, 1, 0, 0, 0, 0 };
    static const char record[] = { '\xc0', 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1 };
    struct ticket *answering = asked->arg;
    if (asked->result < 32 || !hark_io_is_open(&names.io)) return;
    size_t len = (size_t)asked->result;
    bool is_a = names.buf[len - 3] == 1;
    memcpy(names.buf + 2, header, sizeof header);
    memcpy(names.buf + len, record, sizeof record);
    if (!is_a) names.buf[7] = 0; /* no record */
    names.datagram.len = is_a ? len + sizeof record : len;
    hark_sendto(ticket_op(answering), &names.io, &names.datagram, on_ticket);
}

static void on_answered(struct ticket *answering)
{
    bool goes_on = answering->result >= 0 && hark_io_is_open(&names.io);
    if (goes_on) listen_for_names(answering->arg);
}

static void resolve_and_dial(const char *target)
{
    static struct hark_dns_record records[2];
    static struct hark_dns_answer answer;
    struct ticket *asked = ticket_new("a question"), *answering = ticket_new("an answer");
    struct ticket *resolving = ticket_new("resolve"), *dialing = ticket_new("dial");
    answer = (struct hark_dns_answer){ .records = records, .room_count = 2 };
    asked->then = on_asked;
    asked->arg = answering;
    answering->then = on_answered;
    answering->arg = asked;
    listen_for_names(asked);
    resolving->op.deadline_ns = dialing->op.deadline_ns = soon();
    hark_resolve(ticket_op(resolving), loop, "a.name.for.the.test.", HARK_DNS_ADDRESSES, &answer,
                 on_ticket);
    hark_dial(ticket_op(dialing), &server.ios[1], loop, target, NULL, on_ticket);
    if (await(resolving, 1) && resolving->result != 1) fail("not one address");
    (void)await(dialing, 1); /* false: it has failed, and closed what it had */
    struct ticket *abandoned = ticket_new("an abandoned dial");
    hark_dial(ticket_op(abandoned), &server.ios[2], loop, target, NULL, on_ticket);
}

static void run_names(void)
{
    char place[32], target[64];
    struct sockaddr_in addr;
    memset(&names, 0, sizeof names);
    if (open_server(0) && open_bound(&names.io, SOCK_DGRAM, &addr)) {
        snprintf(place, sizeof place, "127.0.0.1:%d", ntohs(addr.sin_port));
        snprintf(target, sizeof target, "a.name.for.the.test.:%d", ntohs(server.addr.sin_port));
        struct hark_dns_options options = { .servers = place, .timeout_ms = 10, .tries = 2 };
        int error = hark_dns_configure(loop, &options);
        if (error != HARK_ENOSYS && is_well(error)) resolve_and_dial(target);
    }
    close_ios(&names.io, 1);
    /* The rest is for hark_loop_close(). */
}

/* Whatever became of it: no child is left to this program. */
static void forget_child(struct hark_process *process)
{
    struct ticket *closing = ticket_new("the close of a process");
    inject_pause();
    if (process->loop != NULL) {
        (void)kill(process->pid, SIGKILL);
        hark_process_close(ticket_op(closing), process, on_ticket);
        for (int turns = 0; turns < 1000 && closing->ended == 0; turns++)
            (void)hark_step(loop, HARK_MILLISECOND);
    }
    if (process->pid > 0) (void)waitpid(process->pid, NULL, __WALL); /* mostly it is gone */
    if (waitpid(-1, NULL, WNOHANG | __WALL) != -1 || errno != ECHILD) fail("a child is left");
    inject_resume();
}

static void run_process(void)
{
    static const char *const argv[] = { "cat", NULL };
    static struct hark_process process;
    static char got[BYTES];
    struct hark_io ios[2] = { { 0 }, { 0 } };
    const struct hark_process_fd fds[] = {
        { .number = 0, .source = HARK_PROCESS_READS, .io = &ios[0] },
        { .number = 1, .source = HARK_PROCESS_WRITES, .io = &ios[1] },
        { .number = 2, .source = HARK_PROCESS_NULL },
    };
    struct hark_process_options options = { .argv = argv, .fds = fds, .fd_count = 3 };
    struct ticket *spawning = ticket_new("spawn"), *waiting = ticket_new("wait");
    struct ticket *writing = ticket_new("write"), *reading = ticket_new("read");
    process = (struct hark_process){ 0 };
    hark_process_spawn(ticket_op(spawning), &process, loop, &options, on_ticket);
    bool is_running = await(spawning, 1);
    if (is_running != (process.loop != NULL)) fail("a failed spawn leaves a process");
    if (!is_running && (hark_io_is_open(&ios[0]) || hark_io_is_open(&ios[1])))
        fail("a failed spawn leaves an io");
    if (is_running) {
        hark_write(ticket_op(writing), &ios[0], "hello", 5, on_ticket);
        hark_read(ticket_op(reading), &ios[1], got, sizeof got, on_ticket);
        if (await(writing, 1) && await(reading, 1) && reading->result == 0)
            fail("cat says nothing");
    }
    close_ios(ios, 2);
    if (is_running && !has_trouble()) {
        hark_process_wait(ticket_op(waiting), &process, on_ticket);
        if (await(waiting, 1) && waiting->result != 0) fail("cat has failed");
    }
    forget_child(&process);
}

static void run_signal(void)
{
    static struct hark_signal signal;
    struct ticket *listening = ticket_new("signal");
    signal = (struct hark_signal){ 0 };
    hark_signal(ticket_op(listening), &signal, loop, SIGUSR1, on_ticket);
    for (int i = 1; i <= 2; i++) {
        inject_pause();
        raise(SIGUSR1);
        inject_resume();
        if (!await(listening, i)) fail("a signal cannot fail");
    }
}

const struct scenario scenarios[] = {
    { "open", NULL, NULL },
#ifdef HARK_WITH_KQUEUE
    { "choose", "kqueue,poll,select", NULL },
#else
    { "choose", "io_uring,epoll,poll,select", NULL },
#endif
    { "accept", NULL, run_accept },
    { "echo", NULL, run_echo },
    { "abandon", NULL, run_abandon },
    { "pool", NULL, run_pool },
    { "datagram", NULL, run_datagram },
    { "batch", NULL, run_batch },
    { "descriptors", NULL, run_descriptors },
    { "timers", NULL, run_timers },
    { "posts", NULL, run_posts },
    { "offload", NULL, run_offload },
    { "ready", NULL, run_ready },
    { "names", NULL, run_names },
    { "process", NULL, run_process },
    { "signal", NULL, run_signal },
    { "files", NULL, run_files },
    { "streams", NULL, run_streams },
    { "watch", NULL, run_watch },
    { "clocks", NULL, run_clocks },
};

const size_t scenario_count = sizeof scenarios / sizeof scenarios[0];
