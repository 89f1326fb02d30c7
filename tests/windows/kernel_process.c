/* The group `kernel`, too: what processes are given and tell, by paths, quotes and codes of
 * Windows. */
#include <promise/children.h>
#include <promise/groups.h>

#include <limits.h>
#include <windows.h>

#include "kernel.h"

static char said[4096];

/* The folder of the programs that cases start, with a slash behind it. */
static const char *programs(void)
{
    static char path[MAX_PATH];
    GetModuleFileNameA(NULL, path, sizeof path);
    strrchr(path, '\\')[1] = '\0';
    return path;
}

static const char *program(const char *name)
{
    static char path[MAX_PATH * 2];
    snprintf(path, sizeof path, "%s%s", programs(), name);
    return path;
}

/* What a program says; the result is how it ended. */
static int64_t listen_to(struct hark_process_options options)
{
    struct hark_process process = { 0 };
    struct hark_io out = { 0 };
    struct hark_process_fd fd = { .number = 1, .source = HARK_PROCESS_WRITES, .io = &out };
    options.fds = &fd;
    options.fd_count = 1;
    start(&process, &options);
    said[read_to_end(&out, said, sizeof said - 1)] = '\0';
    close_io(&out);
    return await_end(&process);
}

#define ARGUMENTS(...) (const char *const[]){ __VA_ARGS__, NULL }

START_TEST(arguments_are_parted_as_they_were_told)
{
    const char *const *argv = ARGUMENTS("told so", "--args", "", "a b", "a\"b", "a\\b", "a\\\\b c",
                                        "a\\\"b", "end\\", "end \\\\", "tab\there", "%PATH%", "^&|",
                                        "\xc3\xbc\xe6\x97\xa5\xf0\x9f\x98\x80");
    ck_assert_int_eq(listen_to((struct hark_process_options){ .argv = argv, .program = "sh" }), 0);
    ck_assert_str_eq(said, "told so\n[]\n[a b]\n[a\"b]\n[a\\b]\n[a\\\\b c]\n[a\\\"b]\n[end\\]\n"
                           "[end \\\\]\n[tab\there]\n[%PATH%]\n[^&|]\n"
                           "[\xc3\xbc\xe6\x97\xa5\xf0\x9f\x98\x80]\n");
    ck_assert_int_eq(run(&(struct hark_process_options){ .argv = ARGUMENTS("a\"b"),
                                                         .program = "sh" }), HARK_EINVAL);
    ck_assert_int_eq(run(&(struct hark_process_options){ .argv = ARGUMENTS("sh", "\xff") }),
                     HARK_EINVAL);
}
END_TEST

START_TEST(an_environment_is_as_told_and_sorted)
{
    struct hark_process_options options = {
        .argv = ARGUMENTS("sh", "--env"), .program = program("sh.exe"),
        .env = ARGUMENTS("hark_b=2", "HARK_A=some words", "HARK_C=\xc3\xbc", "HARK_=0") };
    ck_assert_int_eq(listen_to(options), 0);
    ck_assert_str_eq(said, "HARK_=0\nHARK_A=some words\nhark_b=2\nHARK_C=\xc3\xbc\n");
    options.env = (const char *const[]){ NULL };
    ck_assert_int_eq(listen_to(options), 0);
    ck_assert_str_eq(said, "");
    options.env = NULL;
    setenv("HARK_WORD", "of the parent", 1);
    options.argv = SHELL("echo \"$HARK_WORD\"");
    ck_assert_int_eq(listen_to(options), 0);
    ck_assert_str_eq(said, "of the parent\n");
}
END_TEST

START_TEST(a_program_is_found_in_the_path_of_the_child_and_by_its_directory)
{
    char path[MAX_PATH * 2], folder[MAX_PATH];
    snprintf(folder, sizeof folder, "%s", programs());
    folder[strlen(folder) - 1] = '\0';
    snprintf(path, sizeof path, "Path=C:\\nowhere;;\"%s\"", folder);
    struct hark_process_options options = { .argv = SHELL("exit 3"), .env = ARGUMENTS(path) };
    ck_assert_int_eq(run(&options), 3);
    options.program = "sh.exe";
    ck_assert_int_eq(run(&options), 3);
    options.env = ARGUMENTS("PATH=C:\\nowhere;");
    options.directory = folder; /* no place to look in */
    ck_assert_int_eq(run(&options), HARK_ENOENT);
    options.program = "./sh";
    ck_assert_int_eq(run(&options), 3);
    options.argv = SHELL("pwd");
    ck_assert_int_eq(listen_to(options), 0);
    ck_assert_int_eq(_strnicmp(said, folder, strlen(folder)), 0);
    ck_assert_str_eq(said + strlen(folder), "\n");
}
END_TEST

START_TEST(what_keeps_a_program_from_running_is_told)
{
    struct hark_io in = { 0 }, out = { 0 };
    const struct hark_process_fd fds[] = {
        { .number = 0, .source = HARK_PROCESS_READS, .io = &in },
        { .number = 1, .source = HARK_PROCESS_WRITES, .io = &out },
        { .number = 2, .source = HARK_PROCESS_NULL },
        { .number = 256, .source = HARK_PROCESS_NULL },
    };
    const struct hark_process_fd bad[] = { fds[0], { .number = 1, .source = HARK_PROCESS_FD,
                                                     .fd = 0x7ffffffc } };
    static char big[40000];
    memset(big, 'x', sizeof big - 1);
    const char *file = make_file("garbage", "no program");
    EXPECT_REFUSAL(HARK_ENOENT, .argv = ARGUMENTS("hark-no-such-program"), .fds = fds,
                   .fd_count = 3);
    EXPECT_REFUSAL(HARK_ENOENT, .argv = cat, .program = "C:/nowhere/cat");
    EXPECT_REFUSAL(HARK_ENOENT, .argv = cat, .program = "");
    EXPECT_REFUSAL(HARK_EACCES, .argv = cat, .program = programs());
    EXPECT_REFUSAL(HARK_ENOEXEC, .argv = cat, .program = file);
    EXPECT_REFUSAL(HARK_ENOENT, .argv = cat, .directory = "C:/nowhere", .fds = fds, .fd_count = 3);
    EXPECT_REFUSAL(HARK_ENOTDIR, .argv = cat, .directory = file);
    EXPECT_REFUSAL(HARK_EINVAL, .argv = NULL);
    EXPECT_REFUSAL(HARK_E2BIG, .argv = ARGUMENTS("cat", big));
    EXPECT_REFUSAL(HARK_EBADF, .argv = cat, .fds = bad, .fd_count = 2);
    EXPECT_REFUSAL(HARK_EMFILE, .argv = cat, .fds = fds, .fd_count = 4);
    EXPECT_REFUSAL(HARK_EOPNOTSUPP, .argv = cat, .user = &(struct hark_process_user){ .uid = 1 });
    EXPECT_REFUSAL(HARK_EOPNOTSUPP, .argv = cat, .leads_session = true);
    EXPECT_REFUSAL(HARK_EOPNOTSUPP, .argv = cat, .leads_group = true);
    EXPECT_REFUSAL(HARK_EOPNOTSUPP, .argv = cat, .ignored = HARK_SIGNAL_BIT(SIGINT));
    remove_file(file);
}
END_TEST

/* And none in between. */
START_TEST(a_child_has_descriptors_of_higher_numbers)
{
    struct hark_process process = { 0 };
    struct hark_io five = { 0 }, last = { 0 };
    const struct hark_process_fd fds[] = {
        { .number = 255, .source = HARK_PROCESS_WRITES, .io = &last },
        { .number = 5, .source = HARK_PROCESS_WRITES, .io = &five },
    };
    start(&process, &(struct hark_process_options){
        .argv = SHELL("echo five >&5; echo four >&4; echo last >&255"), .fds = fds,
        .fd_count = 2 });
    said[read_to_end(&five, said, sizeof said - 1)] = '\0';
    ck_assert_str_eq(said, "five\n");
    said[read_to_end(&last, said, sizeof said - 1)] = '\0';
    ck_assert_str_eq(said, "last\n");
    close_io(&five);
    close_io(&last);
    ck_assert_int_eq(await_end(&process), 1); /* of the echo that had nowhere to go */
}
END_TEST

START_TEST(a_batch_file_is_not_run)
{
    static const char *const names[] = { "a.bat", "b.CMD" };
    for (int i = 0; i < 2; i++) {
        char longer[PATH_MAX], path[PATH_MAX];
        const char *file = make_file(names[i], "exit 0\r\n");
        EXPECT_REFUSAL(HARK_EINVAL, .argv = cat, .program = file);
        snprintf(longer, sizeof longer, "%.1000s. .", file);
        EXPECT_REFUSAL(HARK_EINVAL, .argv = cat, .program = longer);
        snprintf(path, sizeof path, "PATH=%.*s", (int)(strrchr(file, '/') - file), file);
        EXPECT_REFUSAL(HARK_EINVAL, .argv = ARGUMENTS(names[i]), .env = ARGUMENTS(path));
        remove_file(file);
    }
}
END_TEST

/* A handle that can be inherited, of a pipe: it ends though the child goes on. */
START_TEST(a_child_has_no_handle_but_those_it_was_given)
{
    struct hark_process process = { 0 };
    struct hark_io io = { 0 };
    struct probe reading = { 0 };
    char byte;
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    HANDLE writes = (HANDLE)(intptr_t)fds[1];
    ck_assert(SetHandleInformation(writes, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT));
    ck_assert_int_eq(hark_io_adopt(&io, loop, fds[0]), 0);
    start(&process, &(struct hark_process_options){ .argv = forever });
    close(fds[1]);
    reading.op.deadline_ns = hark_after(loop, HARK_SECOND);
    hark_read(&reading.op, &io, &byte, 1, on_probe);
    await(&reading);
    ck_assert_result(&reading, 0);
    finish(&process);
    close_io(&io);
}
END_TEST

START_TEST(streams_of_a_child_may_be_nothing_or_a_file)
{
    const char *file = make_file("out", "");
    int fd = open(file, O_RDWR);
    ck_assert_int_ge(fd, 0);
    const struct hark_process_fd fds[] = {
        { .number = 0, .source = HARK_PROCESS_NULL },
        { .number = 1, .source = HARK_PROCESS_NULL }, /* the last one counts */
        { .number = 1, .source = HARK_PROCESS_FD, .fd = fd },
    };
    ck_assert_int_eq(run(&(struct hark_process_options){ .argv = SHELL("read line; echo got"),
                                                         .fds = fds, .fd_count = 3 }), 0);
    close(fd);
    expect_text(file, "got\n");
    remove_file(file);
}
END_TEST

static int64_t run_to_end(const char *code, struct hark_process *process)
{
    start(process, &(struct hark_process_options){ .argv = ARGUMENTS("sh", "--end", code) });
    return await_end(process);
}

START_TEST(exit_codes_of_windows_are_told_as_posix_has_them)
{
    struct hark_process process = { 0 };
    ck_assert_int_eq(run_to_end("0", &process), 0);
    ck_assert_int_eq(run_to_end("254", &process), 254);
    ck_assert_int_eq(run_to_end("256", &process), 255);
    ck_assert_int_eq(run_to_end("0x80070000", &process), 255);
    ck_assert_int_eq(process.end.signal, 0);
    ck_assert_int_eq(run_to_end("0xc0000005", &process), 256 + SIGSEGV);
    ck_assert_int_eq(process.end.signal, SIGSEGV);
    ck_assert_int_eq(process.end.code, 0);
}
END_TEST

START_TEST(a_process_is_opened_by_its_number_and_by_no_other)
{
    struct hark_process process = { 0 }, again = { 0 };
    struct probe closing = { 0 };
    start(&process, &(struct hark_process_options){ .argv = forever });
    ck_assert_int_eq(hark_process_open(&again, loop, process.pid + 1), HARK_ESRCH);
    ck_assert_int_eq(hark_process_open(&again, loop, 0), HARK_EINVAL);
    ck_assert_int_eq(hark_process_open(&again, loop, -5), HARK_EINVAL);
    ck_assert_int_eq(hark_process_open(&again, loop, process.pid), 0);
    ck_assert_int_eq(hark_process_kill(&again, SIGTERM), 0);
    ck_assert_int_eq(await_end(&again), 256 + SIGTERM); /* it is told to both */
    ck_assert_int_eq(await_end(&process), 256 + SIGTERM);
    ck_assert_int_eq(hark_process_open(&again, loop, getpid()), 0);
    ck_assert_int_eq(hark_process_kill(&again, 0), 0);
    hark_process_close(&closing.op, &again, on_probe);
    await(&closing);
    ck_assert_result(&closing, 0);
}
END_TEST

START_TEST(there_is_nothing_to_reap)
{
    struct probe reaping = { 0 };
    struct hark_reaper reaper = { 0 };
    hark_reap(&reaping.op, &reaper, loop, on_probe);
    ck_assert_int_eq(reaping.calls, 0);
    await(&reaping);
    ck_assert_result(&reaping, HARK_EOPNOTSUPP);
}
END_TEST

void add_process_cases(Suite *suite)
{
    CASE(suite, arguments_are_parted_as_they_were_told);
    CASE(suite, an_environment_is_as_told_and_sorted);
    CASE(suite, a_program_is_found_in_the_path_of_the_child_and_by_its_directory);
    CASE(suite, what_keeps_a_program_from_running_is_told);
    CASE(suite, a_child_has_descriptors_of_higher_numbers);
    CASE(suite, a_batch_file_is_not_run);
    CASE(suite, a_child_has_no_handle_but_those_it_was_given);
    CASE(suite, streams_of_a_child_may_be_nothing_or_a_file);
    CASE(suite, exit_codes_of_windows_are_told_as_posix_has_them);
    CASE(suite, a_process_is_opened_by_its_number_and_by_no_other);
    CASE(suite, there_is_nothing_to_reap);
}
