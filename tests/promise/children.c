/* See children.h. */
#include "children.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

const char *const cat[] = { "cat", NULL };
const char *const forever[] = { "sleep", "1000000", NULL };

void start(struct hark_process *process, const struct hark_process_options *options)
{
    struct probe spawning = { 0 };
    hark_process_spawn(&spawning.op, process, loop, options, on_probe);
    ck_assert_int_eq(spawning.calls, 0);
    await(&spawning);
    ck_assert_msg(spawning.result > 0, "%s: %s", options->argv[0], hark_strerror(spawning.result));
    ck_assert_int_eq(spawning.result, process->pid);
}

int64_t await_end(struct hark_process *process)
{
    struct probe waiting = { 0 };
    hark_process_wait(&waiting.op, process, on_probe);
    await(&waiting);
    return waiting.result;
}

int64_t run(const struct hark_process_options *options)
{
    struct hark_process process = { 0 };
    struct probe spawning = { 0 };
    hark_process_spawn(&spawning.op, &process, loop, options, on_probe);
    await(&spawning);
    return spawning.result < 0 ? spawning.result : await_end(&process);
}

size_t read_to_end(struct hark_io *io, char *buf, size_t room)
{
    for (size_t got = 0;;) {
        struct probe reading = { 0 };
        ck_assert_uint_lt(got, room);
        hark_read(&reading.op, io, buf + got, room - got, on_probe);
        await(&reading);
        ck_assert_int_ge(reading.result, 0);
        if (reading.result == 0) return got;
        got += (size_t)reading.result;
    }
}

void said_by(const char *script, struct hark_process_options options, char *said, size_t room)
{
    struct hark_process process = { 0 };
    struct hark_io out = { 0 };
    struct hark_process_fd fd = { .number = 1, .source = HARK_PROCESS_WRITES, .io = &out };
    options.argv = SHELL(script);
    options.fds = &fd;
    options.fd_count = 1;
    start(&process, &options);
    said[read_to_end(&out, said, room - 1)] = '\0';
    close_io(&out);
    ck_assert_int_eq(await_end(&process), 0);
}

void finish(struct hark_process *process)
{
    ck_assert_int_eq(hark_process_kill(process, SIGKILL), 0);
    ck_assert_int_eq(await_end(process), 256 + SIGKILL);
}

void expect_echo(struct hark_io *to, struct hark_io *from)
{
    char byte = 0;
    struct probe writing = { 0 }, reading = { 0 };
    hark_write(&writing.op, to, "x", 1, on_probe);
    hark_read(&reading.op, from, &byte, 1, on_probe);
    await(&writing);
    await(&reading);
    ck_assert_result(&reading, 1);
    ck_assert_int_eq(byte, 'x');
}

uint64_t status_mask(pid_t pid, const char *name)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) != 0) continue;
        fclose(file);
        return strtoull(line + strlen(name), NULL, 16);
    }
    ck_abort_msg("no line %s", name);
}

void expect_no_child(void)
{
    siginfo_t info;
    ck_assert_int_eq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL), -1);
    ck_assert_int_eq(errno, ECHILD);
}

void expect_refusal(const struct hark_process_options *options, int error)
{
    int count = open_descriptor_count();
    ck_assert_msg(run(options) == error, "%s: not %s", doing, hark_strerror(error));
    ck_claim(open_descriptor_count() == count);
    for (size_t i = 0; i < options->fd_count; i++)
        if (options->fds[i].io != NULL) ck_claim(!hark_io_is_open(options->fds[i].io));
    expect_no_child();
}
