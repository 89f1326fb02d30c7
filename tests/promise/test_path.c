/* Paths and directories: every call, its effect by plain system calls, and what bad input gets. */
#include "groups.h"
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char folder[] = "/tmp/hark-path-XXXXXX";
static char a[PATH_MAX], b[PATH_MAX];

static void enter_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(a, sizeof a, "%s/a", folder);
    snprintf(b, sizeof b, "%s/b", folder);
}

static int entries(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) count++;
    closedir(dir);
    return count - 2;
}

static void leave_folder(void)
{
    unlink(a);
    unlink(b);
    ck_assert_int_eq(rmdir(folder), 0);
}

static struct probe probe;

static int64_t settle(void)
{
    await(&probe);
    ck_assert_int_eq(probe.calls, 1);
    return probe.result;
}

/* Submits, and gives the result. */
#define RESULT(verb, ...) \
    (probe = (struct probe){ 0 }, (verb)(&probe.op, loop, __VA_ARGS__, on_probe), settle())

START_TEST(names_are_given_changed_and_removed)
{
    struct stat first, second;
    enter_folder();
    write_text(a, "text");
    ck_assert_int_eq(RESULT(hark_path_link, a, b), 0);
    ck_assert_int_eq(stat(a, &first) | stat(b, &second), 0);
    ck_assert_uint_eq(first.st_ino, second.st_ino);
    ck_assert_int_eq(RESULT(hark_path_link, a, b), HARK_EEXIST);
    bool is_linux = !backend_is("kqueue") && !backend_is("iocp"); /* whose flags they are */
    ck_assert_int_eq(RESULT(hark_path_rename, a, b, RENAME_NOREPLACE),
                     is_linux ? HARK_EEXIST : HARK_EOPNOTSUPP);
    ck_assert_int_eq(RESULT(hark_path_unlink, b), 0);
    ck_assert_int_eq(access(b, F_OK), -1);
    ck_assert_int_eq(RESULT(hark_path_rename, a, b, 0), 0);
    ck_assert_int_eq(access(a, F_OK), -1);
    write_text(a, "other");
    ck_assert_int_eq(RESULT(hark_path_rename, a, b, RENAME_EXCHANGE),
                     is_linux ? 0 : HARK_EOPNOTSUPP);
    expect_text(is_linux ? a : b, "text");
    expect_text(is_linux ? b : a, "other");
    ck_assert_int_eq(RESULT(hark_path_rename, a, b, 1 << 30),
                     is_linux ? HARK_EINVAL : HARK_EOPNOTSUPP);
    leave_folder();
}
END_TEST

START_TEST(symbolic_links_are_made_and_read_and_not_followed)
{
    char buf[16] = "";
    struct statx about;
    enter_folder();
    ck_assert_int_eq(RESULT(hark_path_symlink, "some/where", a), 0);
    ck_assert_int_eq(RESULT(hark_path_readlink, a, buf, sizeof buf), 10);
    ck_assert_str_eq(buf, "some/where");
    ck_assert_int_eq(RESULT(hark_path_readlink, a, buf, 4), 4);
    ck_assert_int_eq(RESULT(hark_path_stat, a, true, &about), HARK_ENOENT);
    ck_assert_int_eq(RESULT(hark_path_stat, a, false, &about), 0);
    ck_assert_uint_eq(about.stx_mode & S_IFMT, S_IFLNK);
    write_text(b, "x");
    ck_assert_int_eq(RESULT(hark_path_readlink, b, buf, sizeof buf), HARK_EINVAL);
    unlink(a);
    ck_assert_int_eq(symlink("a", a), 0);
    ck_assert_int_eq(RESULT(hark_path_stat, a, true, &about), HARK_ELOOP);
    leave_folder();
}
END_TEST

START_TEST(directories_are_made_and_removed)
{
    struct stat about;
    char inside[PATH_MAX + 4];
    enter_folder();
    umask(0);
    ck_assert_int_eq(RESULT(hark_path_mkdir, a, 0711), 0);
    ck_assert_int_eq(stat(a, &about), 0);
    ck_assert_int_eq(about.st_mode, kept_mode(S_IFDIR | 0711));
    ck_assert_int_eq(RESULT(hark_path_mkdir, a, 0711), HARK_EEXIST);
    ck_assert_int_eq(RESULT(hark_path_unlink, a), HARK_EISDIR);
    snprintf(inside, sizeof inside, "%s/in", a);
    write_text(inside, "x");
    ck_assert_int_eq(RESULT(hark_path_rmdir, a), HARK_ENOTEMPTY);
    ck_assert_int_eq(RESULT(hark_path_rmdir, inside), HARK_ENOTDIR);
    ck_assert_int_eq(RESULT(hark_path_unlink, inside), 0);
    ck_assert_int_eq(RESULT(hark_path_rmdir, a), 0);
    ck_assert_int_eq(access(a, F_OK), -1);
    leave_folder();
}
END_TEST

START_TEST(permissions_times_and_length_are_set)
{
    struct stat about;
    struct timespec times[2] = { { 1000000000, 5 }, { 1111111111, 700 } };
    enter_folder();
    write_text(a, "0123456789");
    ck_assert_int_eq(RESULT(hark_path_chmod, a, 0604), 0);
    ck_assert_int_eq(RESULT(hark_path_truncate, a, 3), 0);
    ck_assert_int_eq(RESULT(hark_path_utimes, a, times), 0);
    ck_assert_int_eq(stat(a, &about), 0);
    ck_assert_int_eq(about.st_mode, kept_mode(S_IFREG | 0604));
    ck_assert_int_eq(about.st_atim.tv_sec, 1000000000);
    ck_assert_int_eq(about.st_mtim.tv_sec, 1111111111);
    ck_assert_int_eq(about.st_mtim.tv_nsec, 700);
    expect_text(a, "012");
    ck_assert_int_eq(RESULT(hark_path_truncate, a, -1), HARK_EINVAL);
    ck_assert_int_eq(RESULT(hark_path_truncate, folder, 0), HARK_EISDIR);
    times[0].tv_nsec = 2000000000;
    ck_assert_int_eq(RESULT(hark_path_utimes, a, times), HARK_EINVAL);
    ck_assert_int_eq(RESULT(hark_path_access, a, F_OK), 0);
    ck_assert_int_eq(RESULT(hark_path_access, a, X_OK), HARK_EACCES);
    ck_assert_int_eq(RESULT(hark_path_access, a, 0xff), HARK_EINVAL);
    leave_folder();
}
END_TEST

/* A directory of more entries than a buffer holds; each is seen once. */
START_TEST(a_directory_is_read_in_batches)
{
    enum { FILES = 300 };
    static bool is_seen[FILES];
    _Alignas(8) char buf[1024];
    struct hark_file dir = { 0 };
    struct probe opened = { 0 }, closed = { 0 };
    char name[PATH_MAX];
    int batches = 0, count = 0;
    enter_folder();
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%s/%d", folder, i);
        write_text(name, "");
    }
    hark_file_open(&opened.op, &dir, loop, folder, O_RDONLY | O_DIRECTORY, 0, on_probe);
    await(&opened);
    ck_assert_result(&opened, 0);
    for (;;) {
        probe = (struct probe){ 0 };
        hark_dir_read(&probe.op, &dir, buf, sizeof buf, on_probe);
        await(&probe);
        if (probe.result == 0) break;
        ck_assert_int_gt(probe.result, 0);
        struct hark_dir_entry entry;
        for (size_t at = 0; hark_dir_next(buf, probe.result, &at, &entry); count++) {
            int number = atoi(entry.name);
            ck_assert(!is_seen[number]);
            is_seen[number] = true;
            ck_assert(entry.type == DT_REG || entry.type == DT_UNKNOWN);
        }
        batches++;
    }
    ck_assert_int_eq(count, FILES);
    ck_assert_int_gt(batches, 1);
    probe = (struct probe){ 0 };
    ck_assert_int_eq(lseek(dir.fd, 0, SEEK_SET), 0);
    hark_dir_read(&probe.op, &dir, buf, 1, on_probe);
    await(&probe);
    ck_assert_result(&probe, HARK_EINVAL);
    hark_file_close(&closed.op, &dir, on_probe);
    await(&closed);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%s/%d", folder, i);
        unlink(name);
    }
    leave_folder();
}
END_TEST

static int64_t replace(const char *path, const char *text)
{
    struct hark_content content = { path, text, strlen(text), 0640 };
    return RESULT(hark_path_replace, &content);
}

START_TEST(a_file_is_replaced_whole_or_left_as_it_was)
{
    struct stat about;
    enter_folder();
    umask(0);
    ck_assert_int_eq(replace(a, "first"), 0);
    expect_text(a, "first");
    ck_assert_int_eq(stat(a, &about), 0);
    ck_assert_int_eq(about.st_mode, kept_mode(S_IFREG | 0640));
    ck_assert_int_eq(replace(a, "the second one"), 0);
    expect_text(a, "the second one");
    ck_assert_int_eq(entries(), 1); /* nothing is left beside it */
    ck_assert_int_eq(mkdir(b, 0700), 0);
    ck_assert_int_eq(replace(b, "x"), HARK_EISDIR);
    ck_assert_int_eq(entries(), 2);
    ck_assert_int_eq(rmdir(b), 0);
    char nowhere[PATH_MAX + 8];
    snprintf(nowhere, sizeof nowhere, "%s/no/b", folder);
    ck_assert_int_eq(replace(nowhere, "x"), HARK_ENOENT);
    leave_folder();
}
END_TEST

START_TEST(a_replacement_that_has_no_room_leaves_the_file_as_it_was)
{
    struct rlimit before, tight;
    enter_folder();
    write_text(a, "the second one");
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 8; /* room for a half */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    ck_assert_int_eq(replace(a, "something longer than that"), HARK_EFBIG);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    expect_text(a, "the second one");
    ck_assert_int_eq(entries(), 1); /* nothing is left beside it */
    leave_folder();
}
END_TEST

START_TEST(a_whole_file_is_copied_and_never_onto_itself)
{
    struct stat about;
    enter_folder();
    umask(0);
    write_text(a, "some content");
    ck_assert_int_eq(chmod(a, 0741), 0);
    ck_assert_int_eq(RESULT(hark_path_copy, a, b), 12);
    expect_text(b, "some content");
    ck_assert_int_eq(stat(b, &about), 0);
    ck_assert_int_eq(about.st_mode, kept_mode(S_IFREG | 0741));
    write_text(a, "less");
    ck_assert_int_eq(RESULT(hark_path_copy, a, b), 4);
    expect_text(b, "less");
    ck_assert_int_eq(RESULT(hark_path_copy, a, a), HARK_EINVAL);
    expect_text(a, "less");
    ck_assert_int_eq(RESULT(hark_path_copy, folder, b), HARK_EISDIR);
    expect_text(b, "less");
    leave_folder();
}
END_TEST

START_TEST(a_file_that_seems_empty_to_the_kernel_is_copied)
{
    char text[256] = "";
    enter_folder();
    int64_t copied = RESULT(hark_path_copy, "/proc/self/comm", b);
    int fd = open("/proc/self/comm", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    ck_assert_int_eq(copied, n);
    expect_text(b, text);
    leave_folder();
}
END_TEST

START_TEST(what_a_path_lacks_is_an_error_by_the_callback)
{
    static char long_name[5000];
    struct statx about;
    char buf[8];
    memset(long_name, 'x', sizeof long_name - 1);
    enter_folder();
    const char *const names[] = { a, "", long_name };
    static const int64_t wanted[] = { HARK_ENOENT, HARK_ENOENT, HARK_ENAMETOOLONG };
    struct timespec times[2] = { { 0 } };
    for (int i = 0; i < 3; i++) {
        snprintf(doing, sizeof doing, "name %d", i);
        const char *name = names[i];
        ck_assert_int_eq(RESULT(hark_path_stat, name, true, &about), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_rename, name, b, 0), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_link, name, b), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_readlink, name, buf, 8), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_unlink, name), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_rmdir, name), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_access, name, F_OK), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_chmod, name, 0600), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_utimes, name, times), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_truncate, name, 0), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_copy, name, b), wanted[i]);
        if (i == 0) continue; /* these would make it */
        ck_assert_int_eq(RESULT(hark_path_mkdir, name, 0700), wanted[i]);
        ck_assert_int_eq(RESULT(hark_path_symlink, "x", name), wanted[i]);
        if (i == 2) ck_assert_int_eq(replace(name, "x"), wanted[i]);
    }
    ck_assert_int_eq(entries(), 0);
    leave_folder();
}
END_TEST

/* As another user, from the beginning of the loop on, so that the pool's threads are, too. */
START_TEST(refused_permissions_are_an_error_by_the_callback)
{
    struct hark_file file = { 0 };
    enter_folder();
    if (geteuid() != 0) return; /* who is not root cannot become another */
    write_text(a, "x");
    ck_assert_int_eq(chmod(folder, 0755), 0);
    ck_assert_int_eq(setresuid(65534, 65534, 0), 0);
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    probe = (struct probe){ 0 };
    hark_file_open(&probe.op, &file, loop, a, O_RDONLY, 0, on_probe);
    await(&probe);
    ck_assert_result(&probe, HARK_EACCES);
    ck_assert_int_eq(RESULT(hark_path_access, a, R_OK), HARK_EACCES);
    ck_assert_int_eq(RESULT(hark_path_unlink, a), HARK_EACCES);
    ck_assert_int_eq(RESULT(hark_path_mkdir, b, 0700), HARK_EACCES);
    ck_assert_int_eq(RESULT(hark_path_rename, a, b, 0), HARK_EACCES);
    ck_assert_int_eq(RESULT(hark_path_symlink, "x", b), HARK_EACCES);
    ck_assert_int_eq(RESULT(hark_path_chmod, a, 0777), HARK_EPERM);
    ck_assert_int_eq(RESULT(hark_path_copy, a, b), HARK_EACCES);
    ck_assert_int_eq(replace(b, "x"), HARK_EACCES);
    hark_loop_close(loop);
    ck_assert_int_eq(setresuid(0, 0, 0), 0);
    leave_folder();
}
END_TEST

Suite *group_path(void)
{
    Suite *suite = suite_create("path");
    CASE(suite, names_are_given_changed_and_removed);
    CASE(suite, symbolic_links_are_made_and_read_and_not_followed);
    CASE(suite, directories_are_made_and_removed);
    CASE(suite, permissions_times_and_length_are_set);
    CASE(suite, a_directory_is_read_in_batches);
    CASE(suite, a_file_is_replaced_whole_or_left_as_it_was);
    CASE(suite, a_replacement_that_has_no_room_leaves_the_file_as_it_was);
    CASE(suite, a_whole_file_is_copied_and_never_onto_itself);
    CASE(suite, a_file_that_seems_empty_to_the_kernel_is_copied);
    CASE(suite, what_a_path_lacks_is_an_error_by_the_callback);
    BARE_CASE(suite, refused_permissions_are_an_error_by_the_callback);
    return suite;
}
