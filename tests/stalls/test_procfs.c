/* The watch with nothing but /proc and ptrace: it finds what it can, and suspects nobody for being
 * busy. */
#include "planted.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "held.h"

#define MS(n) ((int64_t)(n) * 1000000)
enum { TRIES = 5 };

#ifdef SYS_epoll_wait
enum { WAIT_CALL = SYS_epoll_wait };
#else
enum { WAIT_CALL = SYS_epoll_pwait };
#endif

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* A watch that the machine does not let run sees less: so one of some tries has to find
 * them all. */
static bool finds_all(const char *call)
{
    bool has_all = true;
    struct planted *planted = planted_run(
        WATCH_PROCFS, MS(20), "loop_bare",
        LIST(call, "busy:100", "sleep:100", "fifo:100", "nested:100", "exit:5"));
    ck_assert_int_eq(planted->truth_count, 4);
    for (int i = 0; i < 4; i++) {
        const struct truth *truth = &planted->truths[i];
        const struct stall *stall = planted_find(planted, truth);
        has_all = has_all && stall != NULL;
        if (stall == NULL) continue;
        double off = (double)(stall->held_ns - (truth->ended_ns - truth->began_ns)) / 1e6;
        printf("%s: length %+.3f ms, %d looks\n", truth->name, off, stall->look_count);
    }
    fflush(stdout);
    ck_assert_int_eq(planted->facts.mode, WATCH_PROCFS);
    ck_assert_int_eq(planted->facts.loop_count, 1);
    ck_assert_int_eq(planted->result, 5);
    ck_assert_int_eq(planted->failures, 0); /* no call of the target was ever cut short */
    planted_free(planted);
    return has_all;
}

static void check_found(const char *call)
{
    for (int i = 0; i < TRIES; i++)
        if (finds_all(call)) return;
    ck_abort_msg("%s: not all were found in %d tries", call, TRIES);
}

START_TEST(stalls_are_found_by_looking)
{
    check_found("epoll_wait");
    check_found("epoll_pwait");
    check_found("poll");
}
END_TEST

/* Each of these is run to its wait, and let go about where the wait begins: the worst place. */
START_TEST(a_wait_that_a_probe_meets_does_not_fail)
{
    static const char busy[] = "busy:40";
    const char *stalls[32] = { "epoll_wait" };
    for (int i = 1; i < 31; i++) stalls[i] = busy;
    struct planted *planted = planted_run(WATCH_PROCFS, MS(20), "loop_bare", stalls);
    ck_assert_int_eq(planted->truth_count, 30);
    ck_assert_int_eq(planted->failures, 0);
    planted_free(planted);
}
END_TEST

START_TEST(an_idle_loop_is_not_suspected)
{
    struct planted *planted = planted_run(WATCH_PROCFS, MS(20), "loop_bare",
                                          LIST("epoll_wait", "idle:4000"));
    printf("the watch used %.2f %% of a core\n", (double)planted->watcher_ns / 4.3e7);
    ck_assert_int_eq(planted->facts.loop_count, 1);
    ck_assert_int_eq(planted->stall_count, 0);
    planted_free(planted);
}
END_TEST

/* Its turns are half a millisecond, but /proc never shows it waiting. */
START_TEST(a_saturated_loop_is_cleared_by_running_it_to_its_next_wait)
{
    struct planted *planted = planted_run(WATCH_PROCFS, MS(50), "loop_bare",
                                          LIST("epoll_wait", "short:3000"));
    printf("%d stalls, %d failures\n", planted->stall_count, planted->failures);
    for (int i = 0; i < planted->stall_count; i++)
        ck_assert(planted_was_late(planted, &planted->stalls[i]));
    ck_assert_int_eq(planted->failures, 0);
    planted_free(planted);
}
END_TEST

static void wait_once_told(void *arg)
{
    struct epoll_event event;
    struct shared *shared = arg;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    shared->is_ready = true;
    while (!shared->wants_end) shared->count++;
    epoll_wait(epoll, &event, 1, -1);
}

/* All threads are looked at rarely, the main one each time: it is the loop, mostly. */
START_TEST(a_loop_of_the_main_thread_is_found_at_its_first_wait)
{
    enum { BEFORE_THE_NEXT_SCAN = 8 };
    struct pulse pulse;
    char why[TEXT_ROOM] = "";
    struct shared *shared = shared_new();
    pid_t pid = held_start(wait_once_told, shared);
    await_true(&shared->is_ready);
    struct procfs *procfs = procfs_open(pid, MS(2), why, sizeof why);
    ck_assert_msg(procfs != NULL, "%s", why);
    for (int i = 0; i < BEFORE_THE_NEXT_SCAN; i++)
        ck_assert_int_eq(procfs_read(procfs, clock_read(), &pulse, 1), 0);
    shared->wants_end = true;
    await_call(pid, pid, WAIT_CALL);
    ck_assert_int_eq(procfs_read(procfs, clock_read(), &pulse, 1), 1);
    ck_assert_int_eq(pulse.tid, pid);
    ck_assert(pulse.is_waiting);
    procfs_close(procfs);
    held_end(pid);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("procfs");
    ADD_CASE(suite, a_loop_of_the_main_thread_is_found_at_its_first_wait);
    UNIT_CASE(suite, stalls_are_found_by_looking);
    UNIT_CASE(suite, a_wait_that_a_probe_meets_does_not_fail);
    UNIT_CASE(suite, an_idle_loop_is_not_suspected);
    UNIT_CASE(suite, a_saturated_loop_is_cleared_by_running_it_to_its_next_wait);
    return unit_run(suite);
}
