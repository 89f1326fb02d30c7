/* What a child process is started with: program, arguments, environment, directory, rights,
 * descriptors, groups, signals. And what a spawn that fails leaves behind: nothing. */
#include "children.h"
#include "groups.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

START_TEST(arguments_environment_and_directory_are_as_told)
{
    char said[256], before[4096];
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    const char *const env[] = { "PATH=/usr/bin:/bin", "HARK_WORD=some words", NULL };
    struct hark_process_options options = { .directory = "/usr", .env = env };
    said_by("pwd; echo \"$HARK_WORD\"; echo \"${HOME-unset}\"", options, said, sizeof said);
    ck_assert_str_eq(said, "/usr\nsome words\nunset\n");
    setenv("HARK_WORD", "of the parent", 1);
    said_by("echo \"$HARK_WORD\"", (struct hark_process_options){ 0 }, said, sizeof said);
    ck_assert_str_eq(said, "of the parent\n");
    char now[4096];
    ck_assert_str_eq(getcwd(now, sizeof now), before);
}
END_TEST

START_TEST(the_name_of_a_program_is_looked_for_in_the_path_of_the_child)
{
    const char *const argv[] = { "told so", "-c", "exit 3", NULL };
    const char *const no_env[] = { NULL };
    const char *const bad_path[] = { "PATH=/nowhere:/etc/passwd:", NULL };
    const char *const late_path[] = { "PATH=/nowhere:/etc/passwd:/usr/bin:/bin", NULL };
    struct hark_process_options options = { .argv = argv, .program = "sh" };
    ck_assert_int_eq(run(&options), 3);
    options.env = no_env;
    ck_assert_int_eq(run(&options), 3);
    options.env = bad_path;
    ck_assert_int_eq(run(&options), HARK_ENOENT);
    options.env = late_path;
    ck_assert_int_eq(run(&options), 3);
    options.env = bad_path; /* its last part is empty: the current directory, the new one */
    options.directory = "/bin";
    ck_assert_int_eq(run(&options), 3);
    options.directory = "/";
    options.program = "bin/sh";
    ck_assert_int_eq(run(&options), 3);
    options.program = "/bin/sh";
    ck_assert_int_eq(run(&options), 3);
}
END_TEST

/* A folder of files that are no programs. */
static char folder[] = "/tmp/hark-spawn-XXXXXX";

static const char *make_file(const char *name, mode_t mode)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    write_all(fd, "\1\2\3\4 no program", 15);
    close(fd);
    ck_assert_int_eq(chmod(path, mode), 0);
    return path;
}

static void expect_no_signal(void)
{
    sigset_t pending;
    sigpending(&pending);
    ck_claim(!sigismember(&pending, SIGCHLD));
}

#define EXPECT_FAILURE(error, ...)                                                      \
    do {                                                                                \
        EXPECT_REFUSAL(error, __VA_ARGS__);                                             \
        expect_no_signal();                                                             \
    } while (0)

START_TEST(what_keeps_a_program_from_running_is_the_result_and_no_child_is_left)
{
    sigset_t child;
    struct hark_io in = { 0 }, out = { 0 };
    const struct hark_process_fd pipes[] = {
        { .number = 0, .source = HARK_PROCESS_READS, .io = &in },
        { .number = 1, .source = HARK_PROCESS_WRITES, .io = &out },
        { .number = 2, .source = HARK_PROCESS_NULL },
    };
    ck_assert_ptr_nonnull(mkdtemp(folder));
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    const char *const absent[] = { "hark-no-such-program", NULL };
    EXPECT_FAILURE(HARK_ENOENT, .argv = absent);
    EXPECT_FAILURE(HARK_ENOENT, .argv = absent, .fds = pipes, .fd_count = 3);
    EXPECT_FAILURE(HARK_ENOENT, .argv = cat, .program = "/nowhere/cat");
    EXPECT_FAILURE(HARK_ENOENT, .argv = cat, .program = "");
    EXPECT_FAILURE(HARK_ENOTDIR, .argv = cat, .program = "/etc/passwd/cat");
    EXPECT_FAILURE(HARK_EACCES, .argv = cat, .program = make_file("plain", 0600));
    EXPECT_FAILURE(HARK_EACCES, .argv = cat, .program = folder);
    EXPECT_FAILURE(HARK_ENOEXEC, .argv = cat, .program = make_file("garbage", 0700));
    EXPECT_FAILURE(HARK_ENOENT, .argv = cat, .directory = "/nowhere");
    EXPECT_FAILURE(HARK_ENOTDIR, .argv = cat, .directory = "/etc/passwd");
    EXPECT_FAILURE(HARK_EPERM, .argv = cat, .group = getpid() + 1000000);
    EXPECT_FAILURE(HARK_EINVAL, .argv = NULL);
    EXPECT_FAILURE(HARK_EINVAL, .argv = (const char *const[]){ NULL });
    const struct hark_process_fd bad[] = { pipes[0], pipes[1], { .number = 5, .fd = -1,
                                           .source = HARK_PROCESS_FD } };
    EXPECT_FAILURE(HARK_EBADF, .argv = cat, .fds = bad, .fd_count = 3);
    const struct hark_process_fd shut[] = { pipes[0], { .number = 900 } };
    EXPECT_FAILURE(HARK_EBADF, .argv = cat, .fds = shut, .fd_count = 2);
    const struct hark_process_fd negative[] = { pipes[0], { .number = -1 } };
    EXPECT_FAILURE(HARK_EINVAL, .argv = cat, .fds = negative, .fd_count = 2);
    const struct hark_process_fd beyond[] = { pipes[0], { .number = INT_MAX,
                                              .source = HARK_PROCESS_NULL } };
    EXPECT_FAILURE(HARK_EMFILE, .argv = cat, .fds = beyond, .fd_count = 2);
    const struct hark_process_fd no_io[] = { pipes[0], { .number = 1,
                                             .source = HARK_PROCESS_WRITES } };
    EXPECT_FAILURE(HARK_EINVAL, .argv = cat, .fds = no_io, .fd_count = 2);
    static char big[8 << 20];
    memset(big, 'x', sizeof big - 1);
    EXPECT_FAILURE(HARK_E2BIG, .argv = (const char *const[]){ "cat", big, NULL });
    unlink(make_file("plain", 0600));
    unlink(make_file("garbage", 0600));
    rmdir(folder);
}
END_TEST

static void *be_there(void *arg)
{
    while (!__atomic_load_n((bool *)arg, __ATOMIC_RELAXED)) sched_yield();
    return NULL;
}

/* It may do so between any two steps of the thread that spawns. */
START_TEST(a_spawn_that_fails_ends_also_where_another_thread_is_given_sigchld)
{
    enum { SPAWNS = 300 };
    const char *const absent[] = { "hark-no-such-program", NULL };
    pthread_t other;
    bool is_over = false;
    ck_assert_int_eq(pthread_create(&other, NULL, be_there, &is_over), 0);
    for (int i = 0; i < SPAWNS; i++)
        ck_assert_int_eq(run(&(struct hark_process_options){ .argv = absent }), HARK_ENOENT);
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    ck_assert_int_eq(pthread_join(other, NULL), 0);
    expect_no_child();
}
END_TEST

START_TEST(data_goes_both_ways_through_pipes)
{
    static char sent[4 << 20], got[sizeof sent + 1];
    size_t len = IS_SLOW ? sizeof sent / 8 : sizeof sent;
    struct hark_process process = { 0 };
    struct hark_io in = { 0 }, out = { 0 };
    struct hark_process_fd fds[] = {
        { .number = 0, .source = HARK_PROCESS_READS, .io = &in },
        { .number = 1, .source = HARK_PROCESS_WRITES, .io = &out },
    };
    struct probe writing = { 0 };
    pattern_fill(sent, len, 0);
    start(&process, &(struct hark_process_options){ .argv = cat, .fds = fds, .fd_count = 2 });
    hark_write(&writing.op, &in, sent, len, on_probe);
    for (size_t all = 0; all < len;) {
        struct probe reading = { 0 };
        hark_read(&reading.op, &out, got + all, sizeof got - all, on_probe);
        await(&reading);
        ck_assert_int_gt(reading.result, 0);
        all += (size_t)reading.result;
        ck_assert_uint_le(all, len);
    }
    await(&writing);
    ck_assert_result(&writing, (int64_t)len);
    pattern_check(got, len, 0);
    close_io(&in); /* its end: cat ends too */
    ck_assert_uint_eq(read_to_end(&out, got, sizeof got), 0);
    close_io(&out);
    ck_assert_int_eq(await_end(&process), 0);
}
END_TEST

/* The descriptors of another process, as bits. */
static uint64_t descriptors_of(pid_t pid)
{
    char path[64];
    uint64_t bits = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        int fd = atoi(entry->d_name);
        ck_assert_int_lt(fd, 64);
        bits |= UINT64_C(1) << fd;
    }
    closedir(dir);
    return bits;
}

START_TEST(a_child_has_the_descriptors_it_was_given_and_none_of_our_200)
{
    int ours[200];
    struct hark_process process = { 0 };
    struct hark_io in = { 0 }, out = { 0 };
    for (int i = 0; i < 200; i++) {
        ours[i] = open("/dev/null", O_RDWR); /* not close-on-exec */
        ck_assert_int_ge(ours[i], 0);
    }
    struct hark_process_fd fds[] = {
        { .number = 0, .source = HARK_PROCESS_READS, .io = &in },
        { .number = 1, .source = HARK_PROCESS_WRITES, .io = &out },
        { .number = 7, .source = HARK_PROCESS_FD, .fd = ours[150] },
        { .number = 50, .source = HARK_PROCESS_NULL },
    };
    start(&process, &(struct hark_process_options){ .argv = cat, .fds = fds, .fd_count = 4 });
    expect_echo(&in, &out);
    uint64_t wanted = 7 | UINT64_C(1) << 7 | UINT64_C(1) << 50;
    ck_assert_uint_eq(descriptors_of(process.pid), wanted);
    finish(&process);
    close_io(&in);
    close_io(&out);
    for (int i = 0; i < 200; i++) close(ours[i]);
}
END_TEST

/* Sources and numbers cross: none is overwritten before it was copied. */
START_TEST(descriptors_may_change_places)
{
    int pipes[2][2];
    char said[16];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pipe2(pipes[i], O_CLOEXEC), 0);
        pipes[i][0] = move_up(pipes[i][0], 20);
        pipes[i][1] = move_up(pipes[i][1], 20);
    }
    ck_assert_int_eq(dup3(pipes[0][1], 8, O_CLOEXEC), 8);
    ck_assert_int_eq(dup3(pipes[1][1], 9, O_CLOEXEC), 9);
    int error = hark_loop_open(&loop, NULL);
    ck_assert_int_eq(error, 0);
    struct hark_process_fd fds[] = { { .number = 8, .source = HARK_PROCESS_FD, .fd = 9 },
                                     { .number = 9, .source = HARK_PROCESS_FD, .fd = 8 } };
    ck_assert_int_eq(run(&(struct hark_process_options){
        .argv = SHELL("echo eight >&8; echo nine >&9"), .fds = fds, .fd_count = 2 }), 0);
    ck_assert_int_eq(read(pipes[0][0], said, sizeof said), 5);
    ck_assert_int_eq(memcmp(said, "nine\n", 5), 0);
    ck_assert_int_eq(read(pipes[1][0], said, sizeof said), 6);
    ck_assert_int_eq(memcmp(said, "eight\n", 6), 0);
    hark_loop_close(loop);
}
END_TEST

START_TEST(a_child_may_have_the_rights_of_another_user)
{
    char said[256];
    const gid_t groups[] = { 12345, 23456 };
    struct hark_process_user user = { .uid = 65534, .gid = 54321, .groups = groups,
                                      .group_count = 2 };
    struct hark_process_options options = { .user = &user };
    if (geteuid() != 0) {
        options.argv = cat;
        ck_assert_int_eq(run(&options), HARK_EPERM);
        return;
    }
    said_by("id -u; id -ru; id -g; id -G", options, said, sizeof said);
    ck_assert_str_eq(said, "65534\n65534\n54321\n54321 12345 23456\n");
    user.groups = NULL; /* none of ours remains either */
    said_by("id -u; id -g; id -G", options, said, sizeof said);
    ck_assert_str_eq(said, "65534\n54321\n54321\n");
    ck_assert_int_eq(geteuid(), 0);
    ck_assert_int_eq(getuid(), 0);
    ck_assert_ptr_nonnull(mkdtemp(folder)); /* 0700, ours: no place for that user */
    options.argv = cat;
    options.directory = folder;
    ck_assert_int_eq(run(&options), HARK_EACCES);
    rmdir(folder);
}
END_TEST

START_TEST(signals_of_a_child_are_as_by_default_or_as_told)
{
    struct hark_process process = { 0 };
    struct hark_io in = { 0 }, out = { 0 };
    struct hark_process_fd fds[] = {
        { .number = 0, .source = HARK_PROCESS_READS, .io = &in },
        { .number = 1, .source = HARK_PROCESS_WRITES, .io = &out },
    };
    sigset_t blocked, before, after;
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigprocmask(SIG_BLOCK, NULL, &before);
    for (int told = 0; told < 2; told++) {
        struct hark_process_options options = { .argv = cat, .fds = fds, .fd_count = 2 };
        if (told) {
            options.blocked = HARK_SIGNAL_BIT(SIGUSR1) | HARK_SIGNAL_BIT(40);
            options.ignored = HARK_SIGNAL_BIT(SIGPIPE) | HARK_SIGNAL_BIT(64);
        }
        start(&process, &options);
        expect_echo(&in, &out);
        uint64_t pipe_and_last = UINT64_C(1) << (SIGPIPE - 1) | UINT64_C(1) << 63;
        uint64_t ignored = status_mask(process.pid, "SigIgn:");
        /* Two are glibc's, whose posix_spawn() ignores them and whose sigaction() cannot say so. */
        if (backend_is("kqueue")) ignored &= ~(UINT64_C(3) << 31);
        ck_assert_uint_eq(ignored, told ? pipe_and_last : 0);
        ck_assert_uint_eq(status_mask(process.pid, "SigBlk:"),
                          told ? UINT64_C(1) << (SIGUSR1 - 1) | UINT64_C(1) << 39 : 0);
        finish(&process);
        close_io(&in);
        close_io(&out);
    }
    sigprocmask(SIG_BLOCK, NULL, &after);
    ck_assert_int_eq(memcmp(&before, &after, sizeof before), 0);
}
END_TEST

START_TEST(a_child_leads_or_joins_a_group_or_a_session)
{
    struct hark_process plain = { 0 }, leader = { 0 }, member = { 0 }, alone = { 0 };
    start(&plain, &(struct hark_process_options){ .argv = forever });
    start(&leader, &(struct hark_process_options){ .argv = forever, .leads_group = true });
    start(&member, &(struct hark_process_options){ .argv = forever, .group = leader.pid });
    start(&alone, &(struct hark_process_options){ .argv = forever, .leads_session = true });
    ck_assert_int_eq(getpgid(plain.pid), getpgid(0));
    ck_assert_int_eq(getsid(plain.pid), getsid(0));
    ck_assert_int_eq(getpgid(leader.pid), leader.pid);
    ck_assert_int_eq(getsid(leader.pid), getsid(0));
    ck_assert_int_eq(getpgid(member.pid), leader.pid);
    ck_assert_int_eq(getsid(alone.pid), alone.pid);
    finish(&plain);
    finish(&leader);
    finish(&member);
    finish(&alone);
}
END_TEST

START_TEST(a_session_may_have_a_controlling_terminal)
{
    char said[64], path[64];
    struct hark_process process = { 0 };
    struct hark_io out = { 0 };
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(terminal, 0);
    ck_assert_int_eq(unlockpt(terminal), 0);
    ck_assert_int_eq(ptsname_r(terminal, path, sizeof path), 0);
    int theirs = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(theirs, 0);
    struct hark_process_fd fds[] = {
        { .number = 0, .source = HARK_PROCESS_FD, .fd = theirs },
        { .number = 1, .source = HARK_PROCESS_WRITES, .io = &out },
    };
    struct hark_process_options options = {
        .argv = SHELL("test -e /dev/tty && echo x >/dev/tty && tty"), .fds = fds, .fd_count = 2,
        .leads_session = true, .takes_terminal = true };
    start(&process, &options);
    said[read_to_end(&out, said, sizeof said - 1)] = '\0';
    ck_assert_int_eq(await_end(&process), 0);
    ck_assert_int_eq(strncmp(said, path, strlen(path)), 0);
    ck_assert_int_eq(read(terminal, said, sizeof said), 3); /* x, and a line end of terminals */
    close_io(&out);
    close(theirs);
    close(terminal);
}
END_TEST

Suite *group_spawn(void)
{
    Suite *suite = suite_create("spawn");
    CASE(suite, arguments_environment_and_directory_are_as_told);
    CASE(suite, the_name_of_a_program_is_looked_for_in_the_path_of_the_child);
    CASE(suite, what_keeps_a_program_from_running_is_the_result_and_no_child_is_left);
    CASE(suite, a_spawn_that_fails_ends_also_where_another_thread_is_given_sigchld);
    CASE(suite, data_goes_both_ways_through_pipes);
    CASE(suite, a_child_has_the_descriptors_it_was_given_and_none_of_our_200);
    BARE_CASE(suite, descriptors_may_change_places);
    CASE(suite, a_child_may_have_the_rights_of_another_user);
    CASE(suite, signals_of_a_child_are_as_by_default_or_as_told);
    CASE(suite, a_child_leads_or_joins_a_group_or_a_session);
    CASE(suite, a_session_may_have_a_controlling_terminal);
    return suite;
}
