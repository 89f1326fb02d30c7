/* The report when there is much to say, and when it cannot be written. */
#include "made.h"

#include <sys/resource.h>
#include <sys/stat.h>

START_TEST(ten_thousand_stalls_are_written_soon_and_small)
{
    begin("node server.js");
    for (int i = 0; i < 10000; i++) {
        struct stall *stall = connect_stall(1000 + i, 20 + i % 100);
        for (int depth = 0; depth < 60; depth++)
            push(stall, native("deep", "/usr/bin/node", false));
        stall->stack.frames[3].line = i % 300;
        report_stall(report, stall);
    }
    end();
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    ck_assert_int_lt(used.ru_maxrss, 64 * 1024); /* kB; kept whole they would be 120 MB */
    struct stat status;
    ck_assert_int_eq(stat(json, &status), 0);
    ck_assert_int_lt(status.st_size, 16 << 20);
    ck_assert_int_eq(stat(svg, &status), 0);
    ck_assert_int_lt(status.st_size, 8 << 20);
    ck_assert_ptr_nonnull(strstr(contents(out), "And 280 causes, "));
    JSON("assert len(data[\"stalls\"]) == data[\"stall_count\"] == 10000\n"
         "assert len(data[\"groups\"]) == 300\n"
         "total = sum(20 + i % 100 for i in range(10000))\n"
         "assert abs(data[\"held_ms\"] - total) < 1\n"
         "assert abs(sum(g[\"held_ms\"] for g in data[\"groups\"]) - total) < 1");
    python("[int(line.split()[-1]) for line in open(sys.argv[1])]", fold,
           "assert sum(data) == sum(20 + i % 100 for i in range(10000)) * 1000");
    SVG("assert data");
    clean();
}
END_TEST

START_TEST(stalls_beyond_what_is_kept_still_count)
{
    enum { MANY = 100000 + 5 };
    begin("node server.js");
    struct report_options options = { .command = "x", .threshold_ns = MS, .json = json };
    report_close(report);
    report = report_open(&options);
    for (int i = 0; i < MANY; i++) report_stall(report, loop_stall(1000 + i, 1, 7));
    end();
    JSON("assert data[\"stall_count\"] == 100005 == data[\"groups\"][0][\"count\"]\n"
         "assert data[\"stalls_left_out\"] == 5 and len(data[\"stalls\"]) == 100000");
    ck_assert_ptr_nonnull(strstr(contents(out), "5 stalls too many"));
    clean();
}
END_TEST

START_TEST(ever_new_stacks_do_not_fill_the_memory)
{
    enum { MANY = 40000, DEEP = 200 };
    begin("node server.js");
    struct report_options options = { .command = "x", .threshold_ns = MS, .json = json };
    report_close(report);
    report = report_open(&options);
    struct stall *stall = loop_stall(1000, 1, 7);
    while (stall->stack.count < DEEP) push(stall, native("deep", "/usr/bin/node", false));
    for (int i = 0; i < MANY; i++) {
        stall->stack.frames[DEEP - 1].offset = (uint64_t)i;
        stall->held_ns = (i == MANY - 1 ? 9 : 1) * MS;
        report_stall(report, stall);
    }
    end();
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    ck_assert_int_lt(used.ru_maxrss, 200 * 1024); /* kB; all of them would be 450 MB */
    python("open(sys.argv[1]).read()", out, "assert \"40,000 times, worst 9.00 ms\" in data");
    clean();
}
END_TEST

START_TEST(a_full_disk_is_one_line_and_the_report_still_comes)
{
    begin("node server.js");
    report_close(report);
    struct report_options options = { .command = "x", .threshold_ns = MS, .json = "/dev/full",
                                      .fold = fold };
    report = report_open(&options);
    report_stall(report, connect_stall(2000, 312));
    ck_assert_int_eq(report_end(report, &facts), -1);
    report_close(report);
    fflush(stdout);
    ck_assert_str_eq(contents(err),
                     "hark stalls: cannot write /dev/full: No space left on device\n");
    ck_assert_ptr_nonnull(strstr(contents(out), "logRow"));
    ck_assert_ptr_nonnull(strstr(contents(fold), "logRow"));
    clean();
}
END_TEST

START_TEST(a_long_report_that_finds_no_room_says_so)
{
    begin("node server.js");
    ck_assert_ptr_nonnull(freopen("/dev/full", "w", stdout));
    for (int i = 0; i < 100; i++) {
        struct stall *stall = connect_stall(1000 + i, 30);
        stall->stack.frames[3].line = i;
        report_stall(report, stall);
    }
    ck_assert_int_eq(report_end(report, &facts), -1);
    report_close(report);
    ck_assert_ptr_nonnull(strstr(contents(err), "\nhark stalls: cannot write the report: "
                                                "No space left on device\n"));
    ck_assert_ptr_nonnull(strstr(contents(json), "logRow"));
    clean();
}
END_TEST

START_TEST(a_file_that_cannot_be_written_is_told_at_once)
{
    begin("node server.js");
    report_close(report);
    struct report_options options = { .command = "x", .threshold_ns = MS, .json = json,
                                      .svg = "/tmp/no such folder/\x1b.svg" };
    ck_assert_ptr_null(report_open(&options));
    ck_assert_str_eq(contents(err), "hark stalls: cannot write /tmp/no such folder/?.svg: "
                                    "No such file or directory\n");
    ck_assert_int_eq(access(json, F_OK), -1); /* what had been made is taken away */
    clean();
}
END_TEST

START_TEST(standard_output_taken_by_data_is_data_alone)
{
    begin("node server.js");
    report_close(report);
    struct report_options options = { .command = "x", .threshold_ns = MS, .json = "-" };
    report = report_open(&options);
    report_stall(report, connect_stall(2000, 312));
    end();
    python("json.load(open(sys.argv[1]))", out, "assert data[\"stall_count\"] == 1");
    ck_assert_ptr_nonnull(strstr(contents(err), "1 stall over 1 ms held the loop"));
    clean();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report_limits");
    UNIT_CASE(suite, ten_thousand_stalls_are_written_soon_and_small);
    UNIT_CASE(suite, stalls_beyond_what_is_kept_still_count);
    UNIT_CASE(suite, ever_new_stacks_do_not_fill_the_memory);
    UNIT_CASE(suite, a_full_disk_is_one_line_and_the_report_still_comes);
    UNIT_CASE(suite, a_long_report_that_finds_no_room_says_so);
    UNIT_CASE(suite, a_file_that_cannot_be_written_is_told_at_once);
    UNIT_CASE(suite, standard_output_taken_by_data_is_data_alone);
    return unit_run(suite);
}
