/* Files in fibers: the calls that look as if they blocked. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>

static char path[] = "/tmp/hark-fiber-XXXXXX";

static int64_t use_files(void *arg)
{
    char buf[16] = "";
    struct hark_file file = { 0 };
    (void)arg;
    ck_assert_int_eq(hark_fiber_file_open(&file, path, O_RDWR, 0), 0);
    ck_assert_int_eq(hark_fiber_file_write(&file, "0123456789", 10, 0), 10);
    ck_assert_int_eq(hark_fiber_file_read(&file, buf, 4, 3), 4);
    ck_assert_str_eq(buf, "3456");
    ck_assert_int_eq(hark_fiber_file_close(&file), 0);
    ck_assert_int_eq(hark_fiber_file_close(&file), HARK_EBADF);
    ck_assert_int_eq(hark_fiber_file_open(&file, "/none/here", O_RDONLY, 0), HARK_ENOENT);
    ck_assert_int_eq(hark_fiber_file_read_all(path, buf, 9), HARK_EFBIG);
    ck_assert_int_eq(hark_fiber_file_read_all(path, buf, 10), 10);
    ck_assert_mem_eq(buf, "0123456789", 10);
    ck_assert_int_eq(hark_fiber_file_read_all(path, buf, 16), 10);
    ck_assert_int_eq(hark_fiber_file_read_all("/none/here", buf, 16), HARK_ENOENT);
    ck_assert_int_eq(hark_fiber_file_read_all("/tmp", buf, 16), HARK_EISDIR);
    return 42;
}

START_TEST(a_fiber_opens_reads_writes_and_closes_files)
{
    int before = open_descriptor_count();
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(hark_fiber_main(loop, use_files, NULL), 42);
    ck_assert_int_eq(open_descriptor_count(), before);
    unlink(path);
}
END_TEST

/* A close comes to its end all the same. */
static int64_t use_in_canceled_scope(void *arg)
{
    struct hark_file *file = arg;
    struct hark_scope scope;
    char buf[4];
    ck_assert_int_eq(hark_fiber_file_open(file, "/proc/self/comm", O_RDONLY, 0), 0);
    hark_scope_open(&scope, 0);
    hark_scope_cancel(&scope);
    ck_assert_int_eq(hark_fiber_file_read(file, buf, 4, 0), HARK_ECANCELED);
    ck_assert_int_eq(hark_fiber_file_write(file, buf, 4, 0), HARK_ECANCELED);
    ck_assert_int_eq(hark_fiber_file_read_all("/proc/self/comm", buf, 4), HARK_ECANCELED);
    ck_assert_int_eq(hark_fiber_file_close(file), 0);
    (void)hark_scope_close(&scope); /* canceled, as was asked */
    return 0;
}

START_TEST(in_a_canceled_scope_only_a_close_of_a_file_goes_on)
{
    struct hark_file file = { 0 };
    ck_assert_int_eq(hark_fiber_main(loop, use_in_canceled_scope, &file), 0);
    ck_assert(!hark_file_is_open(&file));
}
END_TEST

Suite *group_file_fiber(void)
{
    Suite *suite = suite_create("file_fiber");
    CASE(suite, a_fiber_opens_reads_writes_and_closes_files);
    CASE(suite, in_a_canceled_scope_only_a_close_of_a_file_goes_on);
    return suite;
}
