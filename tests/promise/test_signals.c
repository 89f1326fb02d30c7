/* Promise 15: signals and stdio are left as found: no SIGPIPE, no handler, no mask changed, no
 * O_NONBLOCK left behind, nothing printed. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

enum { SIGNALS = 64 };

struct dispositions {
    struct sigaction actions[SIGNALS + 1];
    sigset_t mask;
};

static void note_dispositions(struct dispositions *as)
{
    memset(as, 0, sizeof *as);
    for (int number = 1; number <= SIGNALS; number++) sigaction(number, NULL, &as->actions[number]);
    pthread_sigmask(SIG_BLOCK, NULL, &as->mask);
}

static void expect_same(const struct dispositions *before)
{
    struct dispositions now;
    note_dispositions(&now);
    for (int number = 1; number <= SIGNALS; number++) {
        const struct sigaction *a = &before->actions[number], *b = &now.actions[number];
        ck_assert_msg(a->sa_handler == b->sa_handler && a->sa_flags == b->sa_flags,
                      "%s: signal %d has another handler", doing, number);
        ck_assert_msg(sigismember(&before->mask, number) == sigismember(&now.mask, number),
                      "%s: signal %d is masked otherwise", doing, number);
    }
}

static int64_t work_nothing(struct hark_op *op)
{
    (void)op;
    return 0;
}

static void look_from_inside(struct probe *probe) { expect_same(probe->arg); }

START_TEST(handlers_and_masks_are_left_as_found)
{
    struct dispositions before;
    struct scene scene;
    struct probe work = { .then = look_from_inside, .arg = &before };
    note_dispositions(&before);
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    expect_same(&before);
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { .then = look_from_inside, .arg = &before };
        scene_submit(&scene, &probe, 0);
        spin(2);
        expect_same(&before);
        hark_cancel(&probe.op);
        await(&probe);
    }
    hark_offload(&work.op, loop, HARK_OFFLOAD_WORK, work_nothing, on_probe);
    expect_same(&before);
    await(&work);
    hark_loop_close(loop);
    expect_same(&before);
}
END_TEST

static volatile sig_atomic_t pipe_signals;

static void on_pipe_signal(int number)
{
    (void)number;
    pipe_signals++;
}

/* Trap 19. With SIGPIPE's own disposition the process would die; with a handler it would count. */
START_TEST(a_send_to_a_peer_that_has_gone_raises_no_sigpipe)
{
    for (int has_handler = 0; has_handler < 2; has_handler++) {
        signal(SIGPIPE, has_handler ? on_pipe_signal : SIG_DFL);
        for (int kind = 0; kind < WIRE_KINDS; kind++) {
            struct wire wire;
            if (!wire_open(&wire, (enum wire_kind)kind)) continue;
            close(wire.peer);
            wire.peer = -1;
            for (int i = 0; i < 6; i++) {
                struct probe probe = { 0 };
                struct iovec slice = { (char[]){ 'x' }, 1 };
                struct hark_datagram datagram = { .data = slice.iov_base, .len = 1 };
                if (i % 3 == 0) hark_send(&probe.op, &wire.io, "x", 1, on_probe);
                else if (i % 3 == 1) hark_sendv(&probe.op, &wire.io, &slice, 1, on_probe);
                else hark_sendto(&probe.op, &wire.io, &datagram, on_probe);
                await(&probe);
                bool is_gone = probe.result == HARK_EPIPE || probe.result == HARK_ECONNRESET;
                ck_assert(is_gone || (i == 0 && probe.result == 1)); /* TCP learns by the first */
                spin(1);
            }
            wire_close(&wire);
        }
    }
    ck_assert_int_eq(pipe_signals, 0);
}
END_TEST

START_TEST(a_send_that_waits_when_the_peer_goes_raises_no_sigpipe)
{
    signal(SIGPIPE, on_pipe_signal);
    for (int kind = 0; kind < WIRE_KINDS; kind++) {
        struct wire wire;
        struct probe sending = { 0 }, behind = { 0 };
        if (!wire_open(&wire, (enum wire_kind)kind)) continue;
        wire_fill_up(&wire);
        hark_send(&sending.op, &wire.io, "x", 1, on_probe);
        hark_send(&behind.op, &wire.io, "x", 1, on_probe);
        spin(2);
        close(wire.peer); /* with unread bytes: a reset */
        wire.peer = -1;
        await(&sending);
        await(&behind);
        ck_assert(sending.result == HARK_EPIPE || sending.result == HARK_ECONNRESET);
        ck_assert(behind.result == HARK_EPIPE || behind.result == HARK_ECONNRESET);
        wire_close(&wire);
    }
    ck_assert_int_eq(pipe_signals, 0);
}
END_TEST

static bool is_nonblock(int fd) { return fcntl(fd, F_GETFL) & O_NONBLOCK; }

/* Trap 20: the flag belongs to the open description, so a copy tells what is left behind. */
START_TEST(o_nonblock_is_as_it_was_after_close_and_after_release)
{
    for (int way = 0; way < 4; way++) {
        struct scene scene;
        bool is_release = way % 2 == 1, was_set = way >= 2;
        FOR_EACH_SCENE(&scene) {
            struct probe probe = { 0 };
            struct hark_io *io = &scene.wire.io;
            if (scene.verb->is_timer) continue;
            int fd = hark_io_release(io);
            ck_assert_int_ge(fd, 0);
            int flags = fcntl(fd, F_GETFL) & ~O_NONBLOCK;
            ck_assert_int_eq(fcntl(fd, F_SETFL, flags | (was_set ? O_NONBLOCK : 0)), 0);
            ck_assert_int_eq(hark_io_adopt(io, loop, fd), 0);
            int copy = dup(fd);
            scene_submit(&scene, &probe, 0);
            spin(2);
            hark_cancel(&probe.op);
            await(&probe);
            if (is_release) ck_assert_int_eq(hark_io_release(io), fd);
            else close_io(io);
            ck_assert_msg(is_nonblock(copy) == was_set, "%s: O_NONBLOCK is %d", doing, !was_set);
            close(copy);
            if (is_release) close(fd);
        }
    }
}
END_TEST

START_TEST(o_nonblock_is_not_touched_by_waiting_and_moving_bytes)
{
    struct scene scene;
    FOR_EACH_SCENE(&scene) {
        struct probe probe = { 0 };
        bool may_set = strncmp(doing, "connect", 7) == 0 || strncmp(doing, "accept", 6) == 0;
        if (scene.verb->is_timer || may_set) continue;
        ck_claim(!is_nonblock(scene.wire.io.fd));
        scene_submit(&scene, &probe, 0);
        spin(2);
        ck_claim(!is_nonblock(scene.wire.io.fd));
        scene_fulfil(&scene);
        await_calls(&probe, 1);
        ck_claim(!is_nonblock(scene.wire.io.fd));
        if (hark_cancel(&probe.op)) await(&probe);
    }
}
END_TEST

/* Standard output and error, as a pipe that is read afterwards. */
START_TEST(nothing_is_printed)
{
    int fds[2], kept[2];
    char said[16];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        kept[i] = dup(i + 1);
        ck_assert_int_eq(dup2(fds[1], i + 1), i + 1);
    }
    struct hark_io io = { 0 };
    struct probe receiving = { 0 }, connecting = { 0 };
    struct sockaddr_storage addr = { .ss_family = AF_UNIX };
    int error = hark_socket(&io, loop, AF_UNIX, SOCK_STREAM, 0);
    hark_recv(&receiving.op, &io, said, 1, on_probe);
    hark_connect(&connecting.op, &io, (struct sockaddr *)&addr, sizeof addr, on_probe);
    for (int i = 0; i < 50; i++) (void)hark_step(loop, 0);
    hark_close(&connecting.op, &io, on_probe);
    for (int i = 0; i < 50; i++) (void)hark_step(loop, 0);
    struct hark_loop *second;
    struct hark_loop_options options = { .backend = "none such" };
    int second_error = hark_loop_open(&second, &options);
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(kept[i], i + 1);
        close(kept[i]);
    }
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(second_error, HARK_EINVAL);
    ck_assert_int_eq(read(fds[0], said, sizeof said), -1);
    ck_assert_int_eq(errno, EAGAIN);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* Trap 34: what a program started by this one inherits. */
START_TEST(a_loop_leaves_no_descriptor_open_across_exec)
{
    enum { FDS = 256 };
    bool was_open[FDS];
    for (int fd = 0; fd < FDS; fd++) was_open[fd] = fcntl(fd, F_GETFD) != -1;
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    struct listener listener;
    struct probe accepting = { 0 };
    ck_assert(listener_open(&listener, WIRE_TCP4));
    hark_accept(&accepting.op, &listener.io, on_probe);
    int client = listener_dial(&listener);
    await_calls(&accepting, 1);
    ck_assert_int_ge(accepting.result, 0);
    int seen = 0;
    for (int fd = 0; fd < FDS; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (was_open[fd] || flags == -1) continue;
        ck_assert_msg(flags & FD_CLOEXEC, "descriptor %d", fd);
        seen++;
    }
    ck_assert_int_ge(seen, 4); /* at least: a wake descriptor, listener, client, accepted */
    close((int)accepting.result);
    close(client);
    close_io(&listener.io);
    hark_loop_close(loop);
}
END_TEST

Suite *group_signals(void)
{
    Suite *suite = suite_create("signals");
    BARE_CASE(suite, handlers_and_masks_are_left_as_found);
    CASE(suite, a_send_to_a_peer_that_has_gone_raises_no_sigpipe);
    CASE(suite, a_send_that_waits_when_the_peer_goes_raises_no_sigpipe);
    CASE(suite, o_nonblock_is_as_it_was_after_close_and_after_release);
    CASE(suite, o_nonblock_is_not_touched_by_waiting_and_moving_bytes);
    CASE(suite, nothing_is_printed);
    BARE_CASE(suite, a_loop_leaves_no_descriptor_open_across_exec);
    return suite;
}
