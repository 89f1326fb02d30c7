/* Of the group `kernel`: pipes and files whose handles are not overlapped, as ios. */
#include <promise/groups.h>
#include <promise/harness.h>

#include <hark/stream.h>
#include <windows.h>

#include "kernel.h"

enum { LONG_BYTES = 300000 };

static struct hark_io reads, writes;
static HANDLE reading, writing;
static struct probe probe;
static char buf[64], data[LONG_BYTES], got[LONG_BYTES];

static int as_fd(HANDLE handle) { return (int)(intptr_t)handle; }

static void make_pipe(void) { ck_assert(CreatePipe(&reading, &writing, NULL, 4096)); }

static void put(const char *text)
{
    DWORD n;
    ck_assert(WriteFile(writing, text, (DWORD)strlen(text), &n, NULL));
}

static void read_some(size_t len)
{
    probe = (struct probe){ 0 };
    hark_read(&probe.op, &reads, buf, len, on_probe);
}

static void expect_read(const char *text)
{
    await(&probe);
    ck_assert_result(&probe, (int64_t)strlen(text));
    ck_assert_mem_eq(buf, text, strlen(text));
}

START_TEST(a_pipe_that_is_not_overlapped_is_read_by_a_thread)
{
    make_pipe();
    ck_assert_int_eq(hark_io_adopt(&reads, loop, as_fd(reading)), 0);
    read_some(sizeof buf);
    spin(3);
    ck_assert_int_eq(probe.calls, 0);
    put("abc");
    expect_read("abc");
    put("defg");
    read_some(2);
    expect_read("de");
    DWORD left;
    ck_assert(PeekNamedPipe(reading, NULL, 0, NULL, &left, NULL));
    ck_assert_uint_eq(left, 2); /* no more was taken than asked for */
    read_some(2);
    expect_read("fg");
    CloseHandle(writing);
    read_some(2);
    await(&probe);
    ck_assert_result(&probe, 0);
    close_io(&reads);
}
END_TEST

START_TEST(a_canceled_read_of_such_a_pipe_loses_no_byte)
{
    make_pipe();
    ck_assert_int_eq(hark_io_adopt(&reads, loop, as_fd(reading)), 0);
    for (int round = 0; round < 20; round++) {
        read_some(4);
        if (round % 2 != 0) Sleep(2);
        hark_cancel(&probe.op);
        await(&probe);
        ck_assert_result(&probe, HARK_ECANCELED);
        put("word");
        if (round % 3 != 0) Sleep(2);
        if (round % 3 == 2) spin(2); /* it has come before somebody asks */
        read_some(sizeof buf);
        expect_read("word");
    }
    probe = (struct probe){ 0 };
    hark_ready(&probe.op, &reads, HARK_READABLE, on_probe);
    await(&probe);
    ck_assert_result(&probe, HARK_EOPNOTSUPP);
    close_io(&reads);
    CloseHandle(writing);
}
END_TEST

/* Reads all that is written, until the end. */
static size_t read_all(void)
{
    size_t len = 0;
    for (probe.result = 1; probe.result > 0; len += (size_t)probe.result) {
        probe = (struct probe){ 0 };
        hark_read(&probe.op, &reads, got + len, sizeof got - len, on_probe);
        await(&probe);
        ck_assert_int_ge(probe.result, 0);
        if (len + (size_t)probe.result == sizeof got) return sizeof got;
    }
    return len;
}

START_TEST(a_long_write_to_such_a_pipe_arrives_whole)
{
    struct probe written = { 0 };
    make_pipe();
    pattern_fill(data, sizeof data, 0);
    ck_assert_int_eq(hark_io_adopt(&reads, loop, as_fd(reading)), 0);
    ck_assert_int_eq(hark_io_adopt(&writes, loop, as_fd(writing)), 0);
    hark_write(&written.op, &writes, data, sizeof data, on_probe);
    ck_assert_uint_eq(read_all(), sizeof data);
    pattern_check(got, sizeof data, 0);
    await(&written);
    ck_assert_result(&written, (int64_t)sizeof data);
    close_io(&reads);
    written = (struct probe){ 0 };
    hark_write(&written.op, &writes, data, sizeof data, on_probe);
    await(&written);
    ck_assert_result(&written, HARK_EPIPE);
    close_io(&writes);
}
END_TEST

START_TEST(a_canceled_write_to_such_a_pipe_tells_what_has_gone)
{
    struct probe written = { 0 };
    make_pipe();
    pattern_fill(data, sizeof data, 0);
    ck_assert_int_eq(hark_io_adopt(&reads, loop, as_fd(reading)), 0);
    ck_assert_int_eq(hark_io_adopt(&writes, loop, as_fd(writing)), 0);
    hark_write(&written.op, &writes, data, sizeof data, on_probe);
    for (int i = 0; i < 20; i++) ck_assert_int_ge(hark_step(loop, 5 * HARK_MILLISECOND), 0);
    hark_cancel(&written.op);
    await(&written);
    ck_assert_result(&written, HARK_ECANCELED);
    size_t gone = hark_sent_bytes(&written.op);
    ck_assert(gone != 0 && gone < sizeof data);
    struct probe rest = { 0 };
    hark_write(&rest.op, &writes, data + gone, sizeof data - gone, on_probe);
    ck_assert_uint_eq(read_all(), sizeof data);
    pattern_check(got, sizeof data, 0);
    await(&rest);
    close_io(&writes);
    close_io(&reads);
}
END_TEST

START_TEST(a_file_is_read_and_written_on_from_its_position)
{
    const char *path = make_file("file", "abc");
    HANDLE file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    ck_assert(file != INVALID_HANDLE_VALUE);
    ck_assert_int_eq(hark_io_adopt(&reads, loop, as_fd(file)), 0);
    probe = (struct probe){ 0 };
    hark_ready(&probe.op, &reads, HARK_READABLE, on_probe);
    await(&probe);
    ck_assert_result(&probe, 0);
    read_some(2);
    expect_read("ab");
    probe = (struct probe){ 0 };
    hark_write(&probe.op, &reads, "de", 2, on_probe);
    await(&probe);
    ck_assert_result(&probe, 2);
    read_some(2);
    await(&probe);
    ck_assert_result(&probe, 0);
    probe = (struct probe){ 0 };
    hark_recv(&probe.op, &reads, buf, 1, on_probe);
    await(&probe);
    ck_assert_result(&probe, HARK_ENOTSOCK);
    close_io(&reads);
    expect_text(path, "abde");
    remove_file(path);
}
END_TEST

/* Of what a canceled read or write has left with its thread; the loop may close before it comes. */
START_TEST(such_a_pipe_is_closed_while_calls_are_under_way)
{
    struct probe written = { 0 };
    int count = open_descriptor_count();
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    make_pipe();
    ck_assert_int_eq(hark_io_adopt(&reads, loop, as_fd(reading)), 0);
    read_some(sizeof buf);
    spin(3);
    Sleep(5);
    close_io(&reads);
    ck_assert_result(&probe, HARK_ECANCELED);
    CloseHandle(writing);
    make_pipe();
    ck_assert_int_eq(hark_io_adopt(&writes, loop, as_fd(writing)), 0);
    hark_write(&written.op, &writes, data, sizeof data, on_probe);
    for (int i = 0; i < 20; i++) ck_assert_int_ge(hark_step(loop, 5 * HARK_MILLISECOND), 0);
    hark_cancel(&written.op);
    await(&written);
    hark_loop_close(loop);
    CloseHandle(reading);
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    make_pipe();
    ck_assert_int_eq(hark_io_adopt(&reads, loop, as_fd(reading)), 0);
    read_some(sizeof buf);
    spin(3);
    Sleep(5);
    hark_cancel(&probe.op);
    await(&probe);
    put("late");
    Sleep(20); /* its packet is there, and nobody has looked */
    hark_loop_close(loop);
    CloseHandle(writing);
    ck_assert_int_eq(open_descriptor_count(), count);
}
END_TEST

void add_blocking_cases(Suite *suite)
{
    CASE(suite, a_pipe_that_is_not_overlapped_is_read_by_a_thread);
    CASE(suite, a_canceled_read_of_such_a_pipe_loses_no_byte);
    CASE(suite, a_long_write_to_such_a_pipe_arrives_whole);
    CASE(suite, a_canceled_write_to_such_a_pipe_tells_what_has_gone);
    CASE(suite, a_file_is_read_and_written_on_from_its_position);
    BARE_CASE(suite, such_a_pipe_is_closed_while_calls_are_under_way);
}
