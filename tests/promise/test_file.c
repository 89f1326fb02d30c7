/* Files: every call on an open one, and what bad input gets (promises 1, 5, 6 and 14). */
#include "groups.h"
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

static char folder[] = "/tmp/hark-file-XXXXXX";
static char path[PATH_MAX];

static void enter_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
}

static void leave_folder(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left */
}

static int64_t open_file(struct hark_file *file, const char *name, int flags)
{
    struct probe probe = { 0 };
    hark_file_open(&probe.op, file, loop, name, flags, 0640, on_probe);
    ck_assert_int_eq(probe.calls, 0); /* promise 1 */
    await(&probe);
    return probe.result;
}

static int64_t close_file(struct hark_file *file)
{
    struct probe probe = { 0 };
    hark_file_close(&probe.op, file, on_probe);
    await(&probe);
    return probe.result;
}

START_TEST(a_file_is_made_written_read_and_closed)
{
    struct hark_file file = { 0 };
    struct probe probe = { 0 };
    struct stat about;
    char buf[64] = "";
    enter_folder();
    umask(0);
    ck_assert_int_eq(open_file(&file, path, O_RDWR | O_CREAT | O_EXCL), 0);
    ck_assert(hark_file_is_open(&file));
    ck_assert_int_eq(fcntl(file.fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fstat(file.fd, &about), 0);
    ck_assert_int_eq(about.st_mode, kept_mode(S_IFREG | 0640));
    hark_file_write(&probe.op, &file, "hello, disk", 11, 0, on_probe);
    await(&probe);
    ck_assert_result(&probe, 11);
    expect_text(path, "hello, disk");
    probe = (struct probe){ 0 };
    hark_file_read(&probe.op, &file, buf, sizeof buf, 7, on_probe);
    await(&probe);
    ck_assert_result(&probe, 4); /* the end comes first */
    ck_assert_str_eq(buf, "disk");
    probe = (struct probe){ 0 };
    hark_file_read(&probe.op, &file, buf, sizeof buf, 11, on_probe);
    await(&probe);
    ck_assert_result(&probe, 0);
    ck_assert_int_eq(close_file(&file), 0);
    ck_assert(!hark_file_is_open(&file));
    ck_assert_int_eq(file.fd, -1);
    leave_folder();
}
END_TEST

START_TEST(the_files_own_position_moves_on_and_an_offset_leaves_it)
{
    struct hark_file file = { 0 };
    static const char *const texts[] = { "abc", "def" };
    char buf[3];
    enter_folder();
    ck_assert_int_eq(open_file(&file, path, O_RDWR | O_CREAT), 0);
    for (int i = 0; i < 2; i++) {
        struct probe probe = { 0 };
        hark_file_write(&probe.op, &file, texts[i], 3, HARK_FILE_POSITION, on_probe);
        await(&probe);
        ck_assert_result(&probe, 3);
    }
    struct probe far = { 0 }, here = { 0 };
    hark_file_read(&far.op, &file, buf, 3, 1, on_probe);
    await(&far);
    ck_assert_mem_eq(buf, "bcd", 3);
    hark_file_read(&here.op, &file, buf, 3, HARK_FILE_POSITION, on_probe);
    await(&here);
    ck_assert_result(&here, 0); /* behind what was written */
    ck_assert_int_eq(close_file(&file), 0);
    expect_text(path, "abcdef");
    leave_folder();
}
END_TEST

START_TEST(what_is_appended_goes_to_the_end_wherever_the_offset_is)
{
    struct hark_file file = { 0 };
    struct probe probe = { 0 };
    enter_folder();
    write_text(path, "old,");
    ck_assert_int_eq(open_file(&file, path, O_WRONLY | O_APPEND), 0);
    hark_file_write(&probe.op, &file, "new", 3, 0, on_probe);
    await(&probe);
    ck_assert_result(&probe, 3);
    ck_assert_int_eq(close_file(&file), 0);
    expect_text(path, "old,new");
    leave_folder();
}
END_TEST

START_TEST(lists_of_slices_are_written_and_read)
{
    struct hark_file file = { 0 };
    struct probe written = { 0 }, got = { 0 }, none = { 0 }, many = { 0 };
    char a[2], b[5];
    struct iovec out[] = { { (void *)(uintptr_t)"ab", 2 }, { NULL, 0 },
                           { (void *)(uintptr_t)"cdefg", 5 } };
    struct iovec in[] = { { a, sizeof a }, { b, sizeof b } };
    static struct iovec too_many[IOV_MAX + 1];
    enter_folder();
    ck_assert_int_eq(open_file(&file, path, O_RDWR | O_CREAT), 0);
    hark_file_writev(&written.op, &file, out, 3, 0, on_probe);
    await(&written);
    ck_assert_result(&written, 7);
    hark_file_readv(&got.op, &file, in, 2, HARK_FILE_POSITION, on_probe);
    await(&got);
    ck_assert_result(&got, 7);
    ck_assert_mem_eq(a, "ab", 2);
    ck_assert_mem_eq(b, "cdefg", 5);
    hark_file_readv(&none.op, &file, in, 0, 0, on_probe);
    await(&none);
    ck_assert_result(&none, 0);
    hark_file_readv(&many.op, &file, too_many, IOV_MAX + 1, 0, on_probe);
    await(&many);
    ck_assert_result(&many, HARK_EINVAL);
    many = (struct probe){ 0 };
    hark_file_readv(&many.op, &file, too_many, IOV_MAX, 0, on_probe);
    await(&many);
    ck_assert_result(&many, 0);
    ck_assert_int_eq(close_file(&file), 0);
    leave_folder();
}
END_TEST

START_TEST(sync_truncate_and_stat_say_what_the_system_says)
{
    struct hark_file file = { 0 };
    struct probe probes[4] = { 0 };
    struct statx about;
    enter_folder();
    write_text(path, "0123456789");
    ck_assert_int_eq(open_file(&file, path, O_RDWR), 0);
    hark_file_truncate(&probes[0].op, &file, 4, on_probe);
    await(&probes[0]);
    hark_file_sync(&probes[1].op, &file, on_probe);
    hark_file_datasync(&probes[2].op, &file, on_probe);
    hark_file_stat(&probes[3].op, &file, &about, on_probe);
    for (int i = 0; i < 4; i++) {
        await(&probes[i]);
        ck_assert_result(&probes[i], 0);
    }
    ck_assert_uint_eq(about.stx_size, 4);
    ck_assert_uint_eq(about.stx_mode & S_IFMT, S_IFREG);
    expect_text(path, "0123");
    ck_assert_int_eq(close_file(&file), 0);
    leave_folder();
}
END_TEST

START_TEST(a_close_comes_after_the_ops_that_were_there)
{
    enum { OPS = 200 };
    static struct probe probes[OPS];
    static char bufs[OPS][16];
    struct hark_file file = { 0 };
    struct probe closed = { 0 }, late = { 0 }, twice = { 0 };
    enter_folder();
    write_text(path, "0123456789abcdef");
    ck_assert_int_eq(open_file(&file, path, O_RDONLY), 0);
    for (int i = 0; i < OPS; i++)
        hark_file_read(&probes[i].op, &file, bufs[i], 16, 0, on_probe);
    hark_file_close(&closed.op, &file, on_probe);
    ck_assert(!hark_file_is_open(&file));
    hark_cancel(&closed.op); /* comes to its end by itself */
    hark_file_close(&twice.op, &file, on_probe);
    hark_file_read(&late.op, &file, bufs[0], 16, 0, on_probe);
    await(&closed);
    ck_assert_result(&closed, 0);
    for (int i = 0; i < OPS; i++) {
        ck_assert_int_eq(probes[i].calls, 1);
        ck_assert_result(&probes[i], 16);
        ck_assert_mem_eq(bufs[i], "0123456789abcdef", 16);
        ck_assert_int_lt(probes[i].order, closed.order);
    }
    ck_assert_result(&twice, HARK_EBADF);
    ck_assert_result(&late, HARK_EBADF);
    ck_assert_int_eq(open_file(&file, path, O_RDONLY), 0); /* the memory serves again */
    ck_assert_int_eq(close_file(&file), 0);
    leave_folder();
}
END_TEST

START_TEST(absurd_arguments_are_an_error_by_the_callback)
{
    struct hark_file file = { 0 };
    enum { OPS = 5 };
    struct probe probes[OPS] = { 0 };
    static const int64_t wanted[OPS] = { HARK_EINVAL, HARK_EINVAL, HARK_EINVAL, HARK_EBADF, 3 };
    char buf[4];
    enter_folder();
    write_text(path, "abc");
    ck_assert_int_eq(open_file(&file, path, O_RDWR), 0);
    hark_file_read(&probes[0].op, &file, buf, 4, -2, on_probe);
    hark_file_write(&probes[1].op, &file, buf, 4, INT64_MIN, on_probe);
    hark_file_truncate(&probes[2].op, &file, -1, on_probe);
    struct hark_file other = { 0 };
    ck_assert_int_eq(open_file(&other, path, O_WRONLY), 0);
    hark_file_read(&probes[3].op, &other, buf, 4, 0, on_probe);
    char *room = malloc(1 << 20); /* the kernel fills in three bytes */
    hark_file_read(&probes[4].op, &file, room, (size_t)1 << 40, 0, on_probe);
    for (int i = 0; i < OPS; i++) {
        snprintf(doing, sizeof doing, "argument %d", i);
        await(&probes[i]);
        ck_assert_result(&probes[i], wanted[i]);
    }
    free(room);
    struct probe far = { 0 };
    hark_file_truncate(&far.op, &file, INT64_MAX, on_probe);
    await(&far);
    ck_claim(far.result == HARK_EFBIG || far.result == 0); /* as the file system can */
    ck_assert_int_eq(close_file(&other), 0);
    ck_assert_int_eq(close_file(&file), 0);
    leave_folder();
}
END_TEST

START_TEST(what_cannot_be_opened_says_why_and_leaves_nothing)
{
    static char long_name[5000];
    struct hark_file file = { 0 };
    int count = open_descriptor_count();
    memset(long_name, 'x', sizeof long_name - 1);
    enter_folder();
    ck_assert_int_eq(open_file(&file, path, O_RDONLY), HARK_ENOENT);
    ck_assert_int_eq(open_file(&file, "", O_RDONLY), HARK_ENOENT);
    ck_assert_int_eq(open_file(&file, folder, O_WRONLY), HARK_EISDIR);
    ck_assert_int_eq(open_file(&file, long_name, O_RDONLY), HARK_ENAMETOOLONG);
    write_text(path, "x");
    ck_assert_int_eq(open_file(&file, path, O_RDONLY | O_DIRECTORY), HARK_ENOTDIR);
    ck_assert_int_eq(open_file(&file, path, O_CREAT | O_EXCL | O_RDWR), HARK_EEXIST);
    ck_assert(!hark_file_is_open(&file));
    ck_assert_int_eq(open_descriptor_count(), count);
    leave_folder();
}
END_TEST

START_TEST(an_open_that_finds_no_descriptor_says_so)
{
    struct hark_file file = { 0 };
    struct rlimit before, tight;
    enter_folder();
    write_text(path, "x");
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    int next = dup(0);
    close(next);
    tight.rlim_cur = (rlim_t)next;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    int64_t result = open_file(&file, path, O_RDONLY);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(result, HARK_EMFILE);
    leave_folder();
}
END_TEST

START_TEST(a_fifo_holds_nobody_up)
{
    struct hark_file file = { 0 };
    enter_folder();
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(open_file(&file, path, O_RDONLY), 0); /* though nobody writes */
    ck_assert_int_eq(close_file(&file), 0);
    leave_folder();
}
END_TEST

START_TEST(an_adopted_descriptor_is_closed_with_the_file)
{
    struct hark_file file = { 0 };
    enter_folder();
    write_text(path, "abc");
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(hark_file_adopt(&file, loop, fd), 0);
    ck_assert_int_eq(file.fd, fd);
    ck_assert_int_eq(close_file(&file), 0);
    if (!backend_is("iocp")) { /* there a lock of the pool's may have the number by now */
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
        ck_assert_int_eq(hark_file_adopt(&file, loop, fd), HARK_EBADF);
    }
    leave_folder();
}
END_TEST

START_TEST(bytes_are_copied_within_the_kernel)
{
    struct hark_file from = { 0 }, to = { 0 };
    struct probe copied = { 0 }, wrong = { 0 }, from_closed = { 0 }, late = { 0 };
    char other[PATH_MAX], buf[16] = "";
    enter_folder();
    write_text(path, "0123456789");
    snprintf(other, sizeof other, "%s/other", folder);
    ck_assert_int_eq(open_file(&from, path, O_RDONLY), 0);
    ck_assert_int_eq(open_file(&to, other, O_RDWR | O_CREAT), 0);
    struct hark_copy copy = { &from, &to, 2, 1, UINT64_MAX };
    hark_file_copy(&copied.op, &copy, on_probe);
    hark_file_close(&from_closed.op, &from, on_probe); /* waits for the copy */
    await(&from_closed);
    ck_assert_int_eq(copied.calls, 1);
    ck_assert_result(&copied, 8);
    ck_assert_int_eq(pread(to.fd, buf, sizeof buf, 0), 9);
    ck_assert_mem_eq(buf, "\0" "23456789", 9);
    hark_file_copy(&late.op, &copy, on_probe);
    await(&late);
    ck_assert_result(&late, HARK_EBADF);
    copy.from = &to;
    copy.from_offset = -1;
    hark_file_copy(&wrong.op, &copy, on_probe);
    await(&wrong);
    ck_assert_result(&wrong, HARK_EINVAL);
    ck_assert_int_eq(close_file(&to), 0);
    unlink(other);
    leave_folder();
}
END_TEST

START_TEST(a_temporary_file_has_no_name_until_it_is_given_one)
{
    struct hark_file file = { 0 };
    struct probe written = { 0 }, named = { 0 }, again = { 0 };
    enter_folder();
    for (int round = 0; round < 2; round++) {
        struct probe opened = { 0 };
        hark_file_open_temp(&opened.op, &file, loop, folder, 0600, on_probe);
        await(&opened);
        if (backend_is("kqueue") || backend_is("iocp")) { /* only Linux has such files */
            ck_assert_result(&opened, HARK_EOPNOTSUPP);
            leave_folder();
            return;
        }
        ck_assert_result(&opened, 0);
        ck_assert_int_eq(access(path, F_OK), -1);
        if (round == 0) ck_assert_int_eq(close_file(&file), 0); /* gone */
    }
    hark_file_write(&written.op, &file, "whole", 5, 0, on_probe);
    await(&written);
    hark_file_name(&named.op, &file, path, on_probe);
    await(&named);
    ck_assert_result(&named, 0);
    hark_file_name(&again.op, &file, path, on_probe);
    await(&again);
    ck_assert_result(&again, HARK_EEXIST);
    ck_assert_int_eq(close_file(&file), 0);
    expect_text(path, "whole");
    leave_folder();
}
END_TEST

/* What the disk has begun ends with its true result. */
START_TEST(deadline_and_cancel_end_what_waits_or_come_too_late)
{
    enum { OPS = 100 };
    static struct probe probes[OPS];
    static char bufs[OPS][8];
    struct hark_file file = { 0 };
    enter_folder();
    write_text(path, "abcdefgh");
    ck_assert_int_eq(open_file(&file, path, O_RDONLY), 0);
    for (int i = 0; i < OPS; i++) {
        if (i % 3 == 1) probes[i].op.deadline_ns = hark_now(loop) - 1;
        hark_file_read(&probes[i].op, &file, bufs[i], 8, 0, on_probe);
        if (i % 3 == 2) ck_assert(hark_cancel(&probes[i].op));
    }
    for (int i = 0; i < OPS; i++) {
        snprintf(doing, sizeof doing, "op %d", i);
        await(&probes[i]);
        static const int64_t other[] = { 8, HARK_ETIMEDOUT, HARK_ECANCELED };
        ck_claim(probes[i].result == 8 || probes[i].result == other[i % 3]);
        if (probes[i].result == 8) ck_assert_mem_eq(bufs[i], "abcdefgh", 8);
        ck_assert_int_eq(probes[i].calls, 1);
    }
    ck_assert_int_eq(close_file(&file), 0);
    leave_folder();
}
END_TEST

START_TEST(the_ring_needs_no_thread_of_the_pool)
{
    struct hark_file file = { 0 };
    struct probe probes[4] = { 0 };
    struct statx about;
    char buf[8];
    if (!backend_is("io_uring")) return;
    enter_folder();
    write_text(path, "abc");
    int before = thread_count();
    ck_assert_int_eq(open_file(&file, path, O_RDWR), 0);
    hark_file_read(&probes[0].op, &file, buf, 8, 0, on_probe);
    hark_file_write(&probes[1].op, &file, "d", 1, 3, on_probe);
    hark_file_sync(&probes[2].op, &file, on_probe);
    hark_file_stat(&probes[3].op, &file, &about, on_probe);
    for (int i = 0; i < 4; i++) {
        await(&probes[i]);
        ck_assert_int_ge(probes[i].result, 0);
    }
    ck_assert_int_eq(close_file(&file), 0);
    ck_assert_int_eq(thread_count(), before);
    leave_folder();
}
END_TEST

static size_t seen_ops, seen_files;

static void note_entry(const struct hark_inspect_entry *entry, void *arg)
{
    (void)arg;
    if (strcmp(entry->kind, "file") == 0) seen_files++;
    else if (strncmp(entry->kind, "file ", 5) == 0) seen_ops++;
}

static void expect_seen(size_t files, size_t ops)
{
    seen_ops = seen_files = 0;
    hark_loop_inspect(loop, note_entry, NULL);
    ck_assert_uint_eq(seen_files, files);
    ck_assert_uint_eq(seen_ops, ops);
}

START_TEST(inspection_lists_files_and_their_ops_once_each)
{
    enum { OPS = 50 };
    static struct probe probes[OPS];
    static char bufs[OPS][8];
    struct hark_file file = { 0 };
    struct probe opened = { 0 }, closed = { 0 };
    enter_folder();
    write_text(path, "abc");
    hark_file_open(&opened.op, &file, loop, path, O_RDONLY, 0, on_probe);
    expect_seen(0, 1);
    await(&opened);
    expect_seen(1, 0);
    for (int i = 0; i < OPS; i++) hark_file_read(&probes[i].op, &file, bufs[i], 8, 0, on_probe);
    expect_seen(1, OPS);
    hark_file_close(&closed.op, &file, on_probe);
    expect_seen(1, OPS + 1);
    while (closed.calls == 0) {
        size_t left = 1;
        hark_step(loop, 0);
        for (int i = 0; i < OPS; i++) left += probes[i].calls == 0;
        if (closed.calls == 0) expect_seen(1, left);
    }
    expect_seen(0, 0);
    leave_folder();
}
END_TEST

/* Whatever phase an op is in: an open whose descriptor comes too late is closed. */
START_TEST(a_loops_close_settles_every_phase_and_leaks_nothing)
{
    int count = open_descriptor_count();
    enter_folder();
    write_text(path, "abc");
    for (int steps = 0; steps < 4; steps++) {
        struct hark_file file = { 0 }, opening[3] = { 0 };
        struct probe opened = { 0 }, probes[3] = { 0 }, reads[40] = { 0 }, closed = { 0 };
        char buf[40][8];
        ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
        hark_file_open(&opened.op, &file, loop, path, O_RDONLY, 0, on_probe);
        await(&opened);
        for (int i = 0; i < 40; i++)
            hark_file_read(&reads[i].op, &file, buf[i], 8, 0, on_probe);
        if (steps & 1) hark_file_close(&closed.op, &file, on_probe);
        for (int i = 0; i < 3; i++)
            hark_file_open(&probes[i].op, &opening[i], loop, path, O_RDONLY, 0, on_probe);
        for (int i = 0; i < steps; i++) hark_step(loop, 0);
        hark_loop_close(loop);
        for (int i = 0; i < 3; i++) ck_assert_int_eq(probes[i].calls, 1);
        for (int i = 0; i < 40; i++) ck_assert_int_eq(reads[i].calls, 1);
        ck_assert_int_eq(closed.calls, steps & 1);
        ck_assert_int_eq(open_descriptor_count(), count);
    }
    leave_folder();
}
END_TEST

Suite *group_file(void)
{
    Suite *suite = suite_create("file");
    CASE(suite, a_file_is_made_written_read_and_closed);
    CASE(suite, the_files_own_position_moves_on_and_an_offset_leaves_it);
    CASE(suite, what_is_appended_goes_to_the_end_wherever_the_offset_is);
    CASE(suite, lists_of_slices_are_written_and_read);
    CASE(suite, sync_truncate_and_stat_say_what_the_system_says);
    CASE(suite, a_close_comes_after_the_ops_that_were_there);
    CASE(suite, absurd_arguments_are_an_error_by_the_callback);
    CASE(suite, what_cannot_be_opened_says_why_and_leaves_nothing);
    CASE(suite, an_open_that_finds_no_descriptor_says_so);
    CASE(suite, a_fifo_holds_nobody_up);
    CASE(suite, an_adopted_descriptor_is_closed_with_the_file);
    CASE(suite, bytes_are_copied_within_the_kernel);
    CASE(suite, a_temporary_file_has_no_name_until_it_is_given_one);
    CASE(suite, deadline_and_cancel_end_what_waits_or_come_too_late);
    CASE(suite, the_ring_needs_no_thread_of_the_pool);
    CASE(suite, inspection_lists_files_and_their_ops_once_each);
    BARE_CASE(suite, a_loops_close_settles_every_phase_and_leaks_nothing);
    return suite;
}
