/* HARK_READY: waits until a side of any foreign descriptor is usable, and moves no data. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

static void adopt(struct hark_io *io, int fd)
{
    ck_assert_int_ge(fd, 0);
    memset(io, 0, sizeof *io);
    ck_assert_int_eq(hark_io_adopt(io, loop, fd), 0);
}

static void check_ready(struct hark_io *io, enum hark_side side)
{
    struct probe waiting = { 0 };
    hark_ready(&waiting.op, io, side, on_probe);
    ck_assert_int_eq(waiting.calls, 0);
    await(&waiting);
    ck_assert_result(&waiting, 0);
    ck_assert_int_eq(waiting.calls, 1);
}

/* Starts a wait and checks that it does wait. */
static void check_waits(struct probe *waiting, struct hark_io *io, enum hark_side side)
{
    *waiting = (struct probe){ 0 };
    hark_ready(&waiting->op, io, side, on_probe);
    spin(6);
    ck_assert_int_eq(waiting->calls, 0);
}

static void check_comes(struct probe *waiting)
{
    await(waiting);
    ck_assert_result(waiting, 0);
    spin(4);
    ck_assert_int_eq(waiting->calls, 1);
}

START_TEST(pipe_becomes_readable_with_a_byte_and_keeps_it)
{
    struct hark_io io;
    struct probe waiting;
    int fds[2];
    char buf[8];
    ck_assert_int_eq(pipe(fds), 0);
    adopt(&io, fds[0]);
    for (int round = 0; round < 5; round++) {
        check_waits(&waiting, &io, HARK_READABLE);
        write_all(fds[1], "abc", 3);
        check_comes(&waiting);
        check_ready(&io, HARK_READABLE); /* still is: nobody has read */
        ck_assert_int_eq(read(io.fd, buf, sizeof buf), 3);
    }
    close_io(&io);
    close(fds[1]);
}
END_TEST

START_TEST(full_pipe_becomes_writable_when_it_is_read)
{
    static char block[65536];
    struct hark_io io;
    struct probe waiting;
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
    adopt(&io, fds[1]);
    check_ready(&io, HARK_WRITABLE);
    while (write(io.fd, block, sizeof block) > 0) { /* until it is full */ }
    check_waits(&waiting, &io, HARK_WRITABLE);
    while (read(fds[0], block, sizeof block) > 0) { /* until it is empty */ }
    check_comes(&waiting);
    close_io(&io);
    close(fds[0]);
}
END_TEST

START_TEST(end_of_a_pipe_counts_as_usable_on_both_ends)
{
    static char block[65536];
    struct hark_io reader, writer;
    struct probe waiting;
    int first[2], second[2];
    ck_assert_int_eq(pipe(first), 0);
    ck_assert_int_eq(pipe2(second, O_NONBLOCK), 0);
    adopt(&reader, first[0]);
    adopt(&writer, second[1]);
    check_waits(&waiting, &reader, HARK_READABLE);
    close(first[1]);
    check_comes(&waiting);
    while (write(writer.fd, block, sizeof block) > 0) { /* until only the error makes it usable */ }
    check_waits(&waiting, &writer, HARK_WRITABLE);
    close(second[0]);
    check_comes(&waiting);
    check_ready(&writer, HARK_WRITABLE);
    close_io(&reader);
    close_io(&writer);
}
END_TEST

START_TEST(eventfd_is_readable_when_it_counts)
{
    struct hark_io io;
    struct probe waiting;
    uint64_t count = 7;
    adopt(&io, eventfd(0, EFD_CLOEXEC));
    check_ready(&io, HARK_WRITABLE);
    for (int round = 0; round < 3; round++) {
        check_waits(&waiting, &io, HARK_READABLE);
        write_all(io.fd, &count, sizeof count);
        check_comes(&waiting);
        ck_assert_int_eq(read(io.fd, &count, sizeof count), sizeof count);
        ck_assert_uint_eq(count, 7);
    }
    close_io(&io);
}
END_TEST

START_TEST(timerfd_is_readable_when_it_is_due)
{
    struct hark_io io;
    struct probe waiting;
    struct itimerspec soon = { .it_value.tv_nsec = 3000000 };
    uint64_t expirations = 0;
    adopt(&io, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    check_waits(&waiting, &io, HARK_READABLE);
    ck_assert_int_eq(timerfd_settime(io.fd, 0, &soon, NULL), 0);
    check_comes(&waiting);
    ck_assert_int_eq(read(io.fd, &expirations, sizeof expirations), sizeof expirations);
    ck_assert_uint_eq(expirations, 1);
    close_io(&io);
}
END_TEST

/* Trap 1: epoll refuses these with EPERM. */
START_TEST(descriptors_that_never_block_are_always_ready_on_both_sides)
{
    static const char *const paths[] = { "/proc/self/exe", "/dev/null", "/", "/dev/zero" };
    char name[64];
    const char *base = getenv("TMPDIR");
    if (base == NULL || strlen(base) > 40) base = "/tmp";
    snprintf(name, sizeof name, "%.40s/hark-XXXXXX", base);
    int fresh = mkstemp(name);
    ck_assert_int_ge(fresh, 0);
    ck_assert_int_eq(unlink(name), 0);
    for (size_t i = 0; i <= sizeof paths / sizeof paths[0]; i++) {
        struct hark_io io;
        adopt(&io, i == 0 ? fresh : open(paths[i - 1], O_RDONLY | O_CLOEXEC));
        for (int round = 0; round < 3; round++) {
            struct probe reading = { 0 }, writing = { 0 };
            hark_ready(&reading.op, &io, HARK_READABLE, on_probe);
            hark_ready(&writing.op, &io, HARK_WRITABLE, on_probe);
            ck_assert_int_eq(reading.calls + writing.calls, 0);
            await(&reading);
            await(&writing);
            ck_assert_result(&reading, 0);
            ck_assert_result(&writing, 0);
        }
        close_io(&io);
    }
}
END_TEST

START_TEST(terminal_is_readable_when_a_line_was_typed)
{
    struct hark_io io;
    struct probe waiting;
    char line[16];
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) {
        fprintf(stderr, "skipped: no pseudo-terminals: %s\n", strerror(errno));
        if (terminal >= 0) close(terminal);
        return;
    }
    int slave = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    adopt(&io, slave);
    ck_assert_int_eq(isatty(io.fd), 1);
    check_ready(&io, HARK_WRITABLE);
    check_waits(&waiting, &io, HARK_READABLE);
    write_all(terminal, "yes\n", 4);
    check_comes(&waiting);
    ck_assert_int_eq(read(io.fd, line, sizeof line), 4);
    close_io(&io);
    close(terminal);
}
END_TEST

/* What a foreign event library hands out: an epoll set of its own. */
START_TEST(foreign_epoll_set_is_readable_when_one_of_its_descriptors_is)
{
    struct hark_io io;
    struct probe waiting;
    struct epoll_event event = { .events = EPOLLIN };
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    adopt(&io, epoll_create1(EPOLL_CLOEXEC));
    ck_assert_int_eq(epoll_ctl(io.fd, EPOLL_CTL_ADD, fds[0], &event), 0);
    check_waits(&waiting, &io, HARK_READABLE);
    write_all(fds[1], "x", 1);
    check_comes(&waiting);
    close_io(&io);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* Trap 7: one registration serves both sides; neither may take the other along. */
START_TEST(both_sides_of_one_io_wait_apart)
{
    struct wire wire;
    struct probe reading, writing;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    for (int round = 0; round < 3; round++) {
        check_waits(&reading, &wire.io, HARK_READABLE);
        check_ready(&wire.io, HARK_WRITABLE);
        ck_assert_int_eq(reading.calls, 0);
        wire_fill(&wire);
        check_waits(&writing, &wire.io, HARK_WRITABLE);
        write_all(wire.peer, "x", 1);
        check_comes(&reading);
        /* The peer's byte acknowledges what it had got: TCP may have room again. */
        if (_i == WIRE_UNIX) ck_assert_int_eq(writing.calls, 0);
        ck_assert_uint_eq(drain(wire.io.fd), 1);
        check_waits(&reading, &wire.io, HARK_READABLE);
        int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
        while (writing.calls == 0) { /* what was on its way must be read too */
            ck_assert(clock_now() < end);
            drain(wire.peer);
            ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        }
        ck_assert_int_eq(reading.calls, 0);
        hark_cancel(&reading.op);
        await(&reading);
        ck_assert_result(&reading, HARK_ECANCELED);
    }
    wire_close(&wire);
}
END_TEST

START_TEST(listener_is_readable_when_a_connection_waits)
{
    struct listener listener;
    struct probe waiting;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    check_waits(&waiting, &listener.io, HARK_READABLE);
    int fd = listener_dial(&listener);
    check_comes(&waiting);
    int accepted = accept(listener.io.fd, NULL, NULL);
    ck_assert_int_ge(accepted, 0);
    close(accepted);
    close(fd);
    close_io(&listener.io);
}
END_TEST

START_TEST(half_closed_and_reset_connections_count_as_readable)
{
    struct wire wire;
    struct probe waiting;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    check_waits(&waiting, &wire.io, HARK_READABLE);
    ck_assert_int_eq(shutdown(wire.peer, SHUT_WR), 0);
    check_comes(&waiting);
    if (_i != WIRE_UNIX) {
        reset_and_close(wire.peer);
        wire.peer = -1;
        check_ready(&wire.io, HARK_READABLE);
        check_ready(&wire.io, HARK_WRITABLE);
    }
    wire_close(&wire);
}
END_TEST

START_TEST(ready_is_canceled_and_timed_out_like_any_op)
{
    struct hark_io io;
    struct probe waiting, late = { 0 };
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    adopt(&io, fds[0]);
    check_waits(&waiting, &io, HARK_READABLE);
    hark_cancel(&waiting.op);
    await(&waiting);
    ck_assert_result(&waiting, HARK_ECANCELED);
    int64_t due = hark_after(loop, 2 * HARK_MILLISECOND);
    late.op.deadline_ns = due;
    hark_ready(&late.op, &io, HARK_READABLE, on_probe);
    await(&late);
    ck_assert_result(&late, HARK_ETIMEDOUT);
    ck_assert_int_ge(late.time_ns, due);
    check_waits(&waiting, &io, HARK_READABLE);
    write_all(fds[1], "x", 1);
    check_comes(&waiting);
    close_io(&io);
    struct probe closed = { 0 };
    hark_ready(&closed.op, &io, HARK_READABLE, on_probe);
    await(&closed);
    ck_assert_result(&closed, HARK_EBADF);
    close(fds[1]);
}
END_TEST

START_TEST(ready_takes_its_turn_among_the_reads)
{
    struct wire wire;
    struct probe first = { 0 }, ready = { 0 }, second = { 0 };
    char a[2], b[2];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_recv(&first.op, &wire.io, a, 2, on_probe);
    hark_ready(&ready.op, &wire.io, HARK_READABLE, on_probe);
    hark_recv(&second.op, &wire.io, b, 2, on_probe);
    write_all(wire.peer, "ab", 2);
    await(&first);
    spin(5);
    ck_assert_int_eq(ready.calls, 0);
    write_all(wire.peer, "cd", 2);
    await(&second);
    ck_assert_result(&ready, 0);
    ck_assert_result(&second, 2);
    ck_assert_int_eq(ready.order, 2);
    ck_assert_int_eq(second.order, 3);
    ck_assert_int_eq(b[0], 'c');
    wire_close(&wire);
}
END_TEST

Suite *group_ready(void)
{
    Suite *suite = suite_create("ready");
    CASE(suite, pipe_becomes_readable_with_a_byte_and_keeps_it);
    CASE(suite, full_pipe_becomes_writable_when_it_is_read);
    CASE(suite, end_of_a_pipe_counts_as_usable_on_both_ends);
    CASE(suite, eventfd_is_readable_when_it_counts);
    CASE(suite, timerfd_is_readable_when_it_is_due);
    CASE(suite, descriptors_that_never_block_are_always_ready_on_both_sides);
    CASE(suite, terminal_is_readable_when_a_line_was_typed);
    CASE(suite, foreign_epoll_set_is_readable_when_one_of_its_descriptors_is);
    EACH_WIRE(suite, both_sides_of_one_io_wait_apart);
    EACH_WIRE(suite, listener_is_readable_when_a_connection_waits);
    EACH_WIRE(suite, half_closed_and_reset_connections_count_as_readable);
    CASE(suite, ready_is_canceled_and_timed_out_like_any_op);
    EACH_WIRE(suite, ready_takes_its_turn_among_the_reads);
    return suite;
}
