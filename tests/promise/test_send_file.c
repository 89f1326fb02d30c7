/* Sending a file on a stream: whole, in order with other sends, told when cut short. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

enum { BYTES = 3 << 20 };

static struct hark_file file;

/* A file without a name that holds the pattern. */
static void open_pattern(size_t len)
{
    char *buf = malloc(len);
    char name[] = "/tmp/hark-send-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    unlink(name);
    pattern_fill(buf, len, 0);
    write_all(fd, buf, len);
    free(buf);
    ck_assert_int_eq(hark_file_adopt(&file, loop, fd), 0);
}

/* What is read next comes from the disk, where there is one. */
static void make_cold(void)
{
    ck_assert_int_eq(fdatasync(file.fd), 0);
    ck_assert_int_eq(posix_fadvise(file.fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

static void close_pattern(void)
{
    struct probe closed = { 0 };
    hark_file_close(&closed.op, &file, on_probe);
    await(&closed);
    ck_assert_result(&closed, 0);
}

START_TEST(a_range_of_a_file_arrives_whole_and_in_order_with_other_sends)
{
    struct wire wire;
    static char buf[2][64];
    struct probe before = { 0 }, sent = { 0 }, after = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pattern(BYTES);
    pattern_fill(buf[0], 64, 0);
    pattern_fill(buf[1], 64, BYTES);
    struct hark_range range = { &file, 64, BYTES - 64 };
    hark_send(&before.op, &wire.io, buf[0], 64, on_probe);
    hark_send_file(&sent.op, &wire.io, &range, on_probe);
    hark_send(&after.op, &wire.io, buf[1], 64, on_probe);
    ck_assert_int_eq(sent.calls, 0);
    for (size_t taken = 0; taken < BYTES + 64 || after.calls == 0;) {
        taken += pattern_take(wire.peer, taken, 1 << 16);
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        ck_assert_uint_le(taken, BYTES + 64);
    }
    ck_assert_result(&sent, BYTES - 64);
    ck_assert_uint_eq(hark_sent_bytes(&sent.op), BYTES - 64);
    ck_assert_int_lt(before.order, sent.order);
    ck_assert_int_lt(sent.order, after.order);
    close_pattern();
    wire_close(&wire);
}
END_TEST

START_TEST(a_range_beyond_the_end_of_the_file_ends_with_it)
{
    struct wire wire;
    struct probe sent = { 0 }, none = { 0 };
    ck_assert(wire_open(&wire, WIRE_UNIX));
    open_pattern(1000);
    struct hark_range range = { &file, 400, UINT64_MAX }, behind = { &file, 5000, 10 };
    hark_send_file(&sent.op, &wire.io, &range, on_probe);
    hark_send_file(&none.op, &wire.io, &behind, on_probe);
    await(&none);
    ck_assert_result(&sent, 600);
    ck_assert_result(&none, 0);
    ck_assert_uint_eq(pattern_take(wire.peer, 400, 1000), 600);
    close_pattern();
    wire_close(&wire);
}
END_TEST

/* The peer reads nothing: the send stands still, and the loop does not. */
START_TEST(cancel_and_deadline_end_a_send_that_stands_still_and_tell_what_went)
{
    for (int how = 0; how < 2; how++) {
        struct wire wire;
        struct probe sent = { 0 };
        ck_assert(wire_open(&wire, WIRE_UNIX));
        open_pattern(BYTES);
        struct hark_range range = { &file, 0, BYTES };
        if (how == 1) sent.op.deadline_ns = hark_refresh(loop) + 20 * HARK_MILLISECOND;
        hark_send_file(&sent.op, &wire.io, &range, on_probe);
        while (how == 0 && !is_ready(wire.peer, POLLIN, 0)) hark_step(loop, HARK_MILLISECOND);
        if (how == 0) ck_assert(hark_cancel(&sent.op));
        await(&sent);
        ck_assert_result(&sent, how == 0 ? HARK_ECANCELED : HARK_ETIMEDOUT);
        size_t went = hark_sent_bytes(&sent.op);
        ck_assert_uint_gt(went, 0);
        ck_assert_uint_lt(went, BYTES);
        ck_assert_uint_eq(pattern_take(wire.peer, 0, BYTES), went);
        close_pattern();
        wire_close(&wire);
    }
}
END_TEST

static int seen;

static void note_entry(const struct hark_inspect_entry *entry, void *arg)
{
    (void)arg;
    seen += strcmp(entry->kind, "send file") == 0;
}

START_TEST(a_close_of_io_file_or_loop_settles_a_send_in_every_phase)
{
    int count = open_descriptor_count();
    for (int steps = 0; steps < 6; steps++) {
        for (int how = 0; how < 3; how++) {
            struct wire wire;
            struct probe sent = { 0 }, closed = { 0 }, late = { 0 };
            ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
            ck_assert(wire_open(&wire, WIRE_UNIX));
            file = (struct hark_file){ 0 };
            open_pattern(BYTES);
            struct hark_range range = { &file, 0, BYTES };
            hark_send_file(&sent.op, &wire.io, &range, on_probe);
            for (int i = 0; i < steps; i++) hark_step(loop, i > 2 ? HARK_MILLISECOND : 0);
            seen = 0;
            hark_loop_inspect(loop, note_entry, NULL);
            ck_assert_int_eq(seen, 1);
            if (how == 0) hark_close(&closed.op, &wire.io, on_probe);
            if (how == 1) hark_file_close(&closed.op, &file, on_probe);
            if (how != 2) hark_send_file(&late.op, &wire.io, &range, on_probe);
            if (how == 0) await(&closed);
            hark_loop_close(loop);
            ck_assert_int_eq(sent.calls, 1);
            ck_assert_result(&sent, HARK_ECANCELED);
            if (how != 2) ck_assert_result(&late, HARK_EBADF);
            if (how != 2) ck_assert_int_lt(sent.order, closed.order);
            close(wire.peer);
            ck_assert_int_eq(open_descriptor_count(), count);
        }
    }
}
END_TEST

/* More sends than a loop has buffers for: they take turns, and each is whole. */
START_TEST(many_sends_at_once_are_whole_and_the_ring_needs_no_thread_for_them)
{
    enum { WIRES = 40, LEN = 300000 };
    static struct wire wires[WIRES];
    static struct probe sent[WIRES];
    size_t taken[WIRES] = { 0 }, all = 0;
    int before = thread_count();
    open_pattern(LEN);
    struct hark_range range = { &file, 0, LEN };
    for (int i = 0; i < WIRES; i++) {
        ck_assert(wire_open(&wires[i], WIRE_UNIX));
        hark_send_file(&sent[i].op, &wires[i].io, &range, on_probe);
    }
    while (all < (size_t)WIRES * LEN) {
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        for (int i = 0; i < WIRES; i++) {
            size_t n = pattern_take(wires[i].peer, taken[i], 1 << 16);
            taken[i] += n;
            all += n;
            ck_assert_uint_le(taken[i], LEN);
        }
    }
    for (int i = 0; i < WIRES; i++) {
        await(&sent[i]);
        ck_assert_result(&sent[i], LEN);
        wire_close(&wires[i]);
    }
    close_pattern();
    if (backend_is("io_uring")) ck_assert_int_eq(thread_count(), before);
}
END_TEST

/* In whatever phase a cancel meets them: each tells what arrived, and the others go on. */
START_TEST(a_cancel_at_any_turn_tells_what_went)
{
    enum { WIRES = 5, LEN = 150000 };
    for (int steps = 0; steps < 12; steps++) {
        static struct wire wires[WIRES];
        struct probe sent[WIRES] = { 0 };
        size_t taken[WIRES] = { 0 };
        open_pattern(LEN);
        if (steps % 2 == 1) make_cold();
        struct hark_range range = { &file, 0, LEN };
        for (int i = 0; i < WIRES; i++) {
            ck_assert(wire_open(&wires[i], WIRE_UNIX));
            hark_send_file(&sent[i].op, &wires[i].io, &range, on_probe);
        }
        for (int i = 0; i < steps; i++) ck_assert_int_ge(hark_step(loop, 0), 0);
        for (int i = 0; i < WIRES; i += 2) (void)hark_cancel(&sent[i].op);
        for (int i = 0; i < WIRES; i++) {
            while (sent[i].calls == 0 || taken[i] < hark_sent_bytes(&sent[i].op)) {
                ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
                taken[i] += pattern_take(wires[i].peer, taken[i], LEN);
            }
            size_t went = hark_sent_bytes(&sent[i].op);
            ck_assert_int_eq(sent[i].calls, 1);
            if (i % 2 == 1 || went == LEN) ck_assert_result(&sent[i], LEN);
            else ck_assert_result(&sent[i], HARK_ECANCELED);
            wire_close(&wires[i]);
            ck_assert_uint_eq(taken[i], went);
        }
        close_pattern();
    }
}
END_TEST

/* Reads of this one want room at certain addresses only. */
START_TEST(a_file_that_goes_around_the_page_cache_is_sent_whole)
{
    struct wire wire;
    struct probe sent = { 0 }, closed = { 0 };
    struct hark_file direct = { 0 };
    char self[40];
    ck_assert(wire_open(&wire, WIRE_UNIX));
    open_pattern(8192);
    snprintf(self, sizeof self, "/proc/self/fd/%d", file.fd);
    int fd = open(self, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "skipped: O_DIRECT: %s\n", strerror(errno));
    } else {
        ck_assert_int_eq(hark_file_adopt(&direct, loop, fd), 0);
        struct hark_range range = { &direct, 0, UINT64_MAX };
        hark_send_file(&sent.op, &wire.io, &range, on_probe);
        await(&sent);
        ck_assert_result(&sent, 8192);
        ck_assert_uint_eq(pattern_take(wire.peer, 0, 10000), 8192);
        hark_file_close(&closed.op, &direct, on_probe);
        await(&closed);
    }
    close_pattern();
    wire_close(&wire);
}
END_TEST

/* What a read would take from it stays, and what only sendfile(2) can do is done by that. */
START_TEST(what_only_a_thread_can_send_is_sent_by_one)
{
    int out[2], in[2];
    char buf[100];
    struct hark_io io = { 0 };
    struct hark_file taker = { 0 };
    struct probe sent[2] = { 0 };
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(in, O_CLOEXEC | O_NONBLOCK), 0);
    write_all(in[1], "abc", 3);
    open_pattern(100);
    ck_assert_int_eq(hark_io_adopt(&io, loop, out[1]), 0);
    ck_assert_int_eq(hark_file_adopt(&taker, loop, in[0]), 0);
    struct hark_range whole = { &file, 0, 100 }, pipe = { &taker, 0, 3 };
    hark_send_file(&sent[0].op, &io, &whole, on_probe);
    hark_send_file(&sent[1].op, &io, &pipe, on_probe);
    await(&sent[1]);
    ck_assert_result(&sent[0], 100); /* into a pipe */
    ck_assert_int_lt(sent[1].result, 0); /* out of one, where an offset means nothing */
    ck_assert_uint_eq(hark_sent_bytes(&sent[1].op), 0);
    ck_assert_int_eq(read(in[0], buf, sizeof buf), 3);
    ck_assert_int_eq(read(out[0], buf, sizeof buf), 100);
    pattern_check(buf, 100, 0);
    close_pattern();
    struct probe closed = { 0 };
    hark_file_close(&closed.op, &taker, on_probe);
    await(&closed);
    close_io(&io);
    close(out[0]);
    close(in[1]);
}
END_TEST

START_TEST(what_cannot_be_sent_is_an_error_by_the_callback)
{
    struct wire wire;
    struct probe probes[3] = { 0 };
    struct hark_file never = { .loop = loop, .fd = -1 }, directory = { 0 };
    ck_assert(wire_open(&wire, WIRE_TCP4));
    open_pattern(100);
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(hark_file_adopt(&directory, loop, fd), 0);
    struct hark_range ranges[] = { { &file, -1, 10 }, { &never, 0, 10 }, { &directory, 0, 10 } };
    for (int i = 0; i < 3; i++) hark_send_file(&probes[i].op, &wire.io, &ranges[i], on_probe);
    for (int i = 0; i < 3; i++) await(&probes[i]);
    ck_assert_result(&probes[0], HARK_EINVAL);
    ck_assert_result(&probes[1], HARK_EBADF);
    ck_claim(probes[2].result == HARK_EINVAL || probes[2].result == HARK_EISDIR);
    struct probe closed = { 0 }, gone = { 0 };
    hark_file_close(&closed.op, &directory, on_probe);
    await(&closed);
    reset_and_close(wire.peer);
    struct hark_range whole = { &file, 0, 100 };
    for (int i = 0; i < 100 && gone.result >= 0; i++) { /* and no SIGPIPE */
        gone = (struct probe){ 0 };
        hark_send_file(&gone.op, &wire.io, &whole, on_probe);
        await(&gone);
    }
    ck_claim(gone.result == HARK_EPIPE || gone.result == HARK_ECONNRESET);
    close_pattern();
    close_io(&wire.io);
}
END_TEST

Suite *group_send_file(void)
{
    Suite *suite = suite_create("send_file");
    EACH_WIRE(suite, a_range_of_a_file_arrives_whole_and_in_order_with_other_sends);
    CASE(suite, a_range_beyond_the_end_of_the_file_ends_with_it);
    CASE(suite, cancel_and_deadline_end_a_send_that_stands_still_and_tell_what_went);
    BARE_CASE(suite, a_close_of_io_file_or_loop_settles_a_send_in_every_phase);
    CASE(suite, many_sends_at_once_are_whole_and_the_ring_needs_no_thread_for_them);
    CASE(suite, a_cancel_at_any_turn_tells_what_went);
    CASE(suite, a_file_that_goes_around_the_page_cache_is_sent_whole);
    CASE(suite, what_only_a_thread_can_send_is_sent_by_one);
    CASE(suite, what_cannot_be_sent_is_an_error_by_the_callback);
    return suite;
}
