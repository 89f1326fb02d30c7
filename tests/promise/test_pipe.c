/* hark_read() and hark_write() on pipes, terminals, files and devices; the flags and signals that
 * they leave alone. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void adopt(struct hark_io *io, int fd)
{
    ck_assert_int_ge(fd, 0);
    memset(io, 0, sizeof *io);
    ck_assert_int_eq(hark_io_adopt(io, loop, fd), 0);
}

enum { PLAIN, NONBLOCK, FLAG_KINDS };

/* hark has one end, the test the other. */
static void open_pipe(struct hark_io *io, int *other, bool is_reader, int kind)
{
    int fds[2];
    ck_assert_int_eq(pipe2(fds, kind == NONBLOCK ? O_NONBLOCK : 0), 0);
    adopt(io, fds[!is_reader]);
    *other = fds[is_reader];
}

START_TEST(read_gives_what_is_in_a_pipe_then_its_end)
{
    for (int kind = PLAIN; kind < FLAG_KINDS; kind++) {
        struct hark_io io;
        struct probe reading = { 0 };
        char buf[8];
        int other;
        open_pipe(&io, &other, true, kind);
        int flags = fcntl(io.fd, F_GETFL);
        hark_read(&reading.op, &io, buf, sizeof buf, on_probe);
        spin(4);
        ck_assert_int_eq(reading.calls, 0);
        write_all(other, "abc", 3);
        await(&reading);
        ck_assert_result(&reading, 3);
        ck_assert_mem_eq(buf, "abc", 3);
        close(other);
        reading = (struct probe){ 0 };
        hark_read(&reading.op, &io, buf, sizeof buf, on_probe);
        await(&reading);
        ck_assert_result(&reading, 0);
        ck_assert_int_eq(fcntl(io.fd, F_GETFL), flags);
        close_io(&io);
    }
}
END_TEST

/* Reads without a wait what is there, and checks the pattern. */
static size_t take(int fd, size_t offset)
{
    static char block[65536];
    struct pollfd one = { .fd = fd, .events = POLLIN };
    size_t got = 0;
    while (poll(&one, 1, 0) > 0) {
        ssize_t n = read(fd, block, sizeof block);
        if (n <= 0) break;
        pattern_check(block, (size_t)n, offset + got);
        got += (size_t)n;
    }
    return got;
}

/* A write that blocked the loop would wait for ever: nobody reads but this thread. */
START_TEST(write_of_a_megabyte_to_any_pipe_blocks_no_turn_and_loses_no_byte)
{
    static char data[1 << 20];
    pattern_fill(data, sizeof data, 0);
    for (int kind = PLAIN; kind < FLAG_KINDS; kind++) {
        struct hark_io io;
        struct probe writing = { 0 };
        size_t got = 0;
        int other;
        open_pipe(&io, &other, false, kind);
        int flags = fcntl(io.fd, F_GETFL);
        hark_write(&writing.op, &io, data, sizeof data, on_probe);
        spin(4);
        ck_assert_int_eq(writing.calls, 0);
        for (int tries = 0; tries < 1000000 && got < sizeof data; tries++) {
            got += take(other, got);
            spin(1);
        }
        ck_assert_uint_eq(got, sizeof data);
        await(&writing);
        ck_assert_result(&writing, (int64_t)sizeof data);
        ck_assert_int_eq(fcntl(io.fd, F_GETFL), flags);
        close_io(&io);
        close(other);
    }
}
END_TEST

START_TEST(write_to_a_pipe_that_nobody_reads_is_epipe_and_raises_no_signal)
{
    for (int kind = PLAIN; kind < FLAG_KINDS; kind++) {
        struct hark_io io;
        struct probe writing = { 0 };
        sigset_t before, after;
        int other;
        open_pipe(&io, &other, false, kind);
        close(other);
        pthread_sigmask(SIG_SETMASK, NULL, &before);
        hark_write(&writing.op, &io, "x", 1, on_probe); /* SIGPIPE would end the case */
        await(&writing);
        ck_assert_result(&writing, HARK_EPIPE);
        pthread_sigmask(SIG_SETMASK, NULL, &after);
        ck_assert_int_eq(sigismember(&before, SIGPIPE), sigismember(&after, SIGPIPE));
        sigpending(&after);
        ck_assert(!sigismember(&after, SIGPIPE));
        close_io(&io);
    }
}
END_TEST

START_TEST(sigpipe_that_was_pending_before_a_write_still_is_after_it)
{
    struct hark_io io;
    struct probe writing = { 0 };
    sigset_t pipe_only, pending;
    int other;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    raise(SIGPIPE);
    open_pipe(&io, &other, false, PLAIN);
    close(other);
    hark_write(&writing.op, &io, "x", 1, on_probe);
    await(&writing);
    ck_assert_result(&writing, HARK_EPIPE);
    sigpending(&pending);
    ck_assert(sigismember(&pending, SIGPIPE));
    close_io(&io);
}
END_TEST

START_TEST(canceled_or_late_read_leaves_the_bytes_to_the_next)
{
    for (int is_deadline = 0; is_deadline < 2; is_deadline++) {
        struct hark_io io;
        struct probe first = { 0 }, second = { 0 };
        char buf[8];
        int other;
        open_pipe(&io, &other, true, PLAIN);
        if (is_deadline) first.op.deadline_ns = hark_after(loop, HARK_MILLISECOND);
        hark_read(&first.op, &io, buf, sizeof buf, on_probe);
        if (!is_deadline) hark_cancel(&first.op);
        await(&first);
        ck_assert_result(&first, is_deadline ? HARK_ETIMEDOUT : HARK_ECANCELED);
        write_all(other, "kept", 4);
        hark_read(&second.op, &io, buf, sizeof buf, on_probe);
        await(&second);
        ck_assert_result(&second, 4);
        ck_assert_mem_eq(buf, "kept", 4);
        close_io(&io);
        close(other);
    }
}
END_TEST

START_TEST(canceled_write_tells_how_much_had_gone)
{
    static char data[1 << 20];
    struct hark_io io;
    struct probe writing = { 0 };
    int other;
    pattern_fill(data, sizeof data, 0);
    open_pipe(&io, &other, false, PLAIN);
    hark_write(&writing.op, &io, data, sizeof data, on_probe);
    spin(4);
    hark_cancel(&writing.op);
    await(&writing);
    ck_assert_result(&writing, HARK_ECANCELED);
    size_t sent = hark_sent_bytes(&writing.op);
    ck_assert_uint_gt(sent, 0);
    ck_assert_uint_eq(take(other, 0), sent);
    close_io(&io);
    close(other);
}
END_TEST

START_TEST(bytes_of_a_canceled_write_stay_in_front_of_those_of_the_next)
{
    static char data[1 << 18];
    struct hark_io io;
    struct probe first = { 0 }, given_up = { 0 }, next = { 0 };
    int other;
    pattern_fill(data, sizeof data, 0);
    open_pipe(&io, &other, false, PLAIN);
    hark_write(&first.op, &io, data, sizeof data, on_probe);
    spin(200); /* until it is full */
    hark_cancel(&first.op);
    await(&first);
    size_t sent = hark_sent_bytes(&first.op), got = 0;
    hark_write(&given_up.op, &io, "x", 1, on_probe); /* there is no room yet */
    spin(2);
    hark_cancel(&given_up.op);
    await(&given_up);
    ck_assert_result(&given_up, HARK_ECANCELED);
    ck_assert_uint_eq(hark_sent_bytes(&given_up.op), 0);
    hark_write(&next.op, &io, data + sent, sizeof data - sent, on_probe);
    for (int tries = 0; tries < 1000000 && got < sizeof data; tries++) {
        got += take(other, got);
        spin(1);
    }
    await(&next);
    ck_assert_uint_eq(got, sizeof data);
    ck_assert_result(&next, (int64_t)(sizeof data - sent));
    close_io(&io);
    close(other);
}
END_TEST

/* Both sides of a pty, in raw mode so that bytes pass as they are. */
static bool open_pty(int *master, int *slave)
{
    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*master < 0 || grantpt(*master) != 0 || unlockpt(*master) != 0) return false;
    *slave = open(ptsname(*master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*slave < 0) return false;
    return hark_terminal_mode(*slave, HARK_TERMINAL_RAW) == 0;
}

static void check_terminal(int from, int to, size_t len)
{
    static char data[1 << 18];
    struct hark_io io;
    struct probe writing = { 0 };
    size_t got = 0;
    pattern_fill(data, len, 0);
    adopt(&io, from);
    int flags = fcntl(from, F_GETFL);
    hark_write(&writing.op, &io, data, len, on_probe);
    spin(4); /* nobody reads: a write that waits stands here for ever */
    ck_assert_int_eq(writing.calls, 0);
    for (int tries = 0; tries < 1000000 && got < len; tries++) {
        got += take(to, got);
        spin(1);
    }
    await(&writing);
    ck_assert_result(&writing, (int64_t)len);
    ck_assert_int_eq(fcntl(from, F_GETFL), flags);
    ck_assert_int_eq(hark_io_release(&io), from);
}

START_TEST(write_to_a_terminal_that_nobody_reads_blocks_no_turn)
{
    int master, slave;
    ck_assert(open_pty(&master, &slave));
    snprintf(doing, sizeof doing, "slave");
    check_terminal(slave, master, 1 << 18);
    snprintf(doing, sizeof doing, "master");
    check_terminal(master, slave, 1 << 15);
    close(master);
    close(slave);
}
END_TEST

START_TEST(read_of_a_terminal_waits_for_keys_and_ends_when_it_is_gone)
{
    struct hark_io io;
    struct probe reading = { 0 };
    char buf[8];
    int master, slave;
    ck_assert(open_pty(&master, &slave));
    adopt(&io, slave);
    hark_read(&reading.op, &io, buf, sizeof buf, on_probe);
    spin(4);
    ck_assert_int_eq(reading.calls, 0);
    write_all(master, "k", 1);
    await(&reading);
    ck_assert_result(&reading, 1);
    ck_assert_int_eq(buf[0], 'k');
    reading = (struct probe){ 0 };
    hark_read(&reading.op, &io, buf, sizeof buf, on_probe);
    spin(2);
    close(master);
    await(&reading);
    ck_claim(reading.result == 0 || reading.result == HARK_EIO); /* the kernel says either */
    close_io(&io);
}
END_TEST

START_TEST(regular_file_and_null_device_are_read_like_a_pipe)
{
    struct hark_io io;
    struct probe reading = { 0 }, writing = { 0 };
    char buf[8], path[] = "/tmp/hark-pipe-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    write_all(fd, "file", 4);
    lseek(fd, 0, SEEK_SET);
    adopt(&io, fd);
    for (int64_t wanted = 4; wanted >= 0; wanted -= 4) {
        hark_read(&reading.op, &io, buf, sizeof buf, on_probe);
        await(&reading);
        ck_assert_result(&reading, wanted);
        reading.calls = reading.last_calls = 0;
    }
    ck_assert_mem_eq(buf, "file", 4);
    close_io(&io);
    adopt(&io, open("/dev/null", O_RDWR | O_CLOEXEC));
    reading = (struct probe){ 0 };
    hark_read(&reading.op, &io, buf, sizeof buf, on_probe);
    hark_write(&writing.op, &io, buf, sizeof buf, on_probe);
    await(&reading);
    await(&writing);
    ck_assert_result(&reading, 0);
    ck_assert_result(&writing, sizeof buf);
    close_io(&io);
}
END_TEST

/* Trap 20: the description is shared with a child that SIGKILL ends while it reads through hark. */
START_TEST(shared_description_keeps_its_flags_even_when_the_reader_is_killed)
{
    int fds[2], told[2], status;
    char byte;
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(pipe(told), 0);
    int flags = fcntl(fds[0], F_GETFL);
    pid_t child = fork();
    if (child == 0) {
        struct hark_loop *own;
        struct hark_io io = { 0 };
        struct hark_op op = { 0 };
        if (hark_loop_open(&own, NULL) != 0 || hark_io_adopt(&io, own, fds[0]) != 0) _exit(1);
        hark_read(&op, &io, &byte, 1, on_probe);
        for (int i = 0; i < 4; i++) hark_step(own, 0);
        if (write(told[1], "r", 1) != 1) _exit(1);
        for (;;) pause();
    }
    ck_assert_int_eq(read(told[0], &byte, 1), 1);
    ck_assert_int_eq(fcntl(fds[0], F_GETFL), flags);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(fcntl(fds[0], F_GETFL), flags);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(told[i]);
    }
}
END_TEST

START_TEST(pipe_of_harks_own_is_close_on_exec_and_moves_bytes)
{
    struct hark_io reads = { 0 }, writes = { 0 };
    struct probe reading = { 0 }, writing = { 0 };
    char buf[4];
    ck_assert_int_eq(hark_pipe(&reads, &writes, loop), 0);
    ck_assert_int_eq(fcntl(reads.fd, F_GETFD) & fcntl(writes.fd, F_GETFD), FD_CLOEXEC);
    hark_read(&reading.op, &reads, buf, sizeof buf, on_probe);
    hark_write(&writing.op, &writes, "ab", 2, on_probe);
    await(&reading);
    await(&writing);
    ck_assert_result(&reading, 2);
    ck_assert_result(&writing, 2);
    close_io(&writes);
    close_io(&reads);
}
END_TEST

START_TEST(fifo_opens_without_waiting_and_says_when_nobody_reads)
{
    struct hark_io reads = { 0 }, writes = { 0 };
    struct probe reading = { 0 }, writing = { 0 };
    char buf[4], folder[] = "/tmp/hark-fifo-XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fifo", folder);
    ck_assert_int_eq(hark_fifo(&reads, loop, path, HARK_READABLE), HARK_ENOENT);
    ck_assert_int_eq(hark_fifo(&reads, loop, "/dev/null", HARK_READABLE), HARK_EINVAL);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(hark_fifo(&writes, loop, path, HARK_WRITABLE), HARK_ENXIO);
    ck_assert_int_eq(hark_fifo(&reads, loop, path, HARK_READABLE), 0);
    ck_assert_int_eq(hark_fifo(&writes, loop, path, HARK_WRITABLE), 0);
    hark_read(&reading.op, &reads, buf, sizeof buf, on_probe);
    hark_write(&writing.op, &writes, "ab", 2, on_probe);
    await(&reading);
    await(&writing);
    ck_assert_result(&reading, 2);
    close_io(&reads);
    close_io(&writes);
    unlink(path);
    rmdir(folder);
}
END_TEST

Suite *group_pipe(void)
{
    Suite *suite = suite_create("pipe");
    CASE(suite, read_gives_what_is_in_a_pipe_then_its_end);
    CASE(suite, write_of_a_megabyte_to_any_pipe_blocks_no_turn_and_loses_no_byte);
    CASE(suite, write_to_a_pipe_that_nobody_reads_is_epipe_and_raises_no_signal);
    CASE(suite, sigpipe_that_was_pending_before_a_write_still_is_after_it);
    CASE(suite, canceled_or_late_read_leaves_the_bytes_to_the_next);
    CASE(suite, canceled_write_tells_how_much_had_gone);
    CASE(suite, bytes_of_a_canceled_write_stay_in_front_of_those_of_the_next);
    CASE(suite, write_to_a_terminal_that_nobody_reads_blocks_no_turn);
    CASE(suite, read_of_a_terminal_waits_for_keys_and_ends_when_it_is_gone);
    CASE(suite, regular_file_and_null_device_are_read_like_a_pipe);
    CASE(suite, shared_description_keeps_its_flags_even_when_the_reader_is_killed);
    CASE(suite, pipe_of_harks_own_is_close_on_exec_and_moves_bytes);
    CASE(suite, fifo_opens_without_waiting_and_says_when_nobody_reads);
    return suite;
}
