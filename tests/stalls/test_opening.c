/* A target that is opened beside the watch. */
#include <dirent.h>
#include <sys/syscall.h>

#include "held.h"
#include "stalls/opening.h"

static struct capture capture;
static struct stack stack;

static NOINLINE void sleep_long(void)
{
    const struct timespec hour = { .tv_sec = 3600 };
    nanosleep(&hour, NULL);
    AFTER_CALL;
}

static NOINLINE void run_sleep(void *arg)
{
    (void)arg;
    sleep_long();
    AFTER_CALL;
}

static void await_over(struct opening *opening)
{
    for (int i = 0; i < WAIT_TURNS && !opening_is_over(opening); i++) pause_us(1000);
    ck_assert(opening_is_over(opening));
}

START_TEST(what_another_thread_has_opened_is_looked_into_from_here)
{
    const char *why;
    pid_t pid = held_start(run_sleep, NULL);
    await_call(pid, pid, SYS_clock_nanosleep);
    struct opening *opening = opening_begin(pid);
    ck_assert_ptr_nonnull(opening);
    await_over(opening);
    struct target *target = opening_target(opening, &why);
    ck_assert_ptr_nonnull(target);
    ck_assert_int_eq(capture_take(target, pid, NULL, NULL, &capture), 0);
    capture_resolve(target, &capture, &stack);
    assert_order(&stack, (const char *const[]){ "sleep_long", "run_sleep", NULL });
    opening_end(opening);
    held_end(pid);
}
END_TEST

START_TEST(one_that_fails_tells_why)
{
    const char *why = "";
    pid_t gone = held_start(run_sleep, NULL);
    held_end(gone);
    struct opening *opening = opening_begin(gone);
    ck_assert_ptr_nonnull(opening);
    await_over(opening);
    ck_assert_ptr_null(opening_target(opening, &why));
    ck_assert_ptr_nonnull(strstr(why, "there is no process"));
    opening_end(opening);
}
END_TEST

static int count_entries(const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);
    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    return count;
}

START_TEST(one_that_nobody_waits_for_is_closed_by_its_thread)
{
    pid_t pid = held_start(run_sleep, NULL);
    int file_count = count_entries("/proc/self/fd");
    int thread_count = count_entries("/proc/self/task");
    for (int i = 0; i < 4; i++) {
        struct opening *opening = opening_begin(pid);
        ck_assert_ptr_nonnull(opening);
        opening_end(opening);
    }
    for (int i = 0; i < WAIT_TURNS && count_entries("/proc/self/task") > thread_count; i++)
        pause_us(1000);
    ck_assert_int_eq(count_entries("/proc/self/fd"), file_count);
    held_end(pid);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("opening");
    ADD_CASE(suite, what_another_thread_has_opened_is_looked_into_from_here);
    ADD_CASE(suite, one_that_fails_tells_why);
    ADD_CASE(suite, one_that_nobody_waits_for_is_closed_by_its_thread);
    return unit_run(suite);
}
