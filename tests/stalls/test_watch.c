/* The watch with heartbeats: each planted stall is found with its length, and nothing else is. */
#include "planted.h"

#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS(n) ((int64_t)(n) * 1000000)
#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

enum { BEST = -1 };

static void print_all(const struct planted *planted)
{
    for (int i = 0; i < planted->truth_count; i++)
        printf("planted %s at %.3f for %.3f ms\n", planted->truths[i].name,
               (double)(planted->truths[i].began_ns - planted->facts.began_ns) / 1e6,
               (double)(planted->truths[i].ended_ns - planted->truths[i].began_ns) / 1e6);
    for (int i = 0; i < planted->stall_count; i++) {
        const struct stall *stall = &planted->stalls[i];
        printf("found at %.3f for %.3f ms, %.1f on the processor, %.1f queued, %d looks, %s\n",
               (double)(stall->began_ns - planted->facts.began_ns) / 1e6,
               (double)stall->held_ns / 1e6, (double)stall->processor_ns / 1e6,
               (double)stall->queued_ns / 1e6, stall->look_count,
               stall->call_text != NULL ? stall->call_text : "in no call");
    }
    fflush(stdout);
}

static void check_exact(const struct planted *planted, int expected)
{
    print_all(planted);
    ck_assert_int_eq(planted->truth_count, expected);
    for (int i = 0; i < expected; i++) {
        const struct truth *truth = &planted->truths[i];
        const struct stall *stall = planted_find(planted, truth);
        ck_assert_ptr_nonnull(stall);
        ck_assert(planted_is_exact(stall, truth));
    }
    ck_assert_int_eq(planted->failures, 0);
}

static void check_loop(const char *program, const char *call)
{
    struct planted *planted = planted_run(
        BEST, MS(20), program, LIST(call, "busy:60", "sleep:60", "fifo:60", "nested:60", "exit:7"));
    check_exact(planted, 4);
    ck_assert_int_eq(planted->facts.mode, WATCH_HEARTBEAT);
    ck_assert_int_eq(planted->facts.loop_count, 1);
    ck_assert_int_eq(planted->result, 7);
    ck_assert_str_eq(planted->facts.exit_text, "exit code 7");
    planted_free(planted);
}

START_TEST(every_call_in_which_a_loop_waits_is_seen)
{
    static const char *const calls[] = { "epoll_wait", "epoll_pwait", "epoll_pwait2" };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) check_loop("loop_bare", calls[i]);
}
END_TEST

START_TEST(a_loop_on_poll_or_select_is_seen_if_there_is_no_epoll)
{
    static const char *const calls[] = { "poll", "ppoll", "select", "pselect" };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct planted *planted = planted_run(BEST, MS(20), "loop_bare",
                                              LIST(calls[i], "busy:60", "sleep:60", "exit:7"));
        check_exact(planted, 2);
        ck_assert_int_eq(planted->facts.loop_count, 1);
        ck_assert_int_eq(planted->result, 7);
        planted_free(planted);
    }
}
END_TEST

static void check_peer(const char *program)
{
    char path[1024] = "";
    if (readlink("/proc/self/exe", path, sizeof path - 64) < 0) ck_abort();
    memcpy(strrchr(path, '/') + 1, program, strlen(program) + 1);
    if (access(path, X_OK) != 0) {
        printf("skipped: %s was not built\n", program);
        return;
    }
    check_loop(program, "-");
}

START_TEST(loops_of_libuv_and_libevent_are_seen)
{
    check_peer("loop_uv");
    check_peer("loop_event");
}
END_TEST

START_TEST(an_idle_loop_gives_no_report)
{
    struct planted *planted = planted_run(BEST, MS(20), "loop_bare",
                                          LIST("epoll_wait", "idle:4000"));
    print_all(planted);
    printf("the watch used %.2f %% of a core\n", (double)planted->watcher_ns / 4.3e7);
    ck_assert_int_eq(planted->facts.loop_count, 1);
    ck_assert_int_eq(planted->stall_count, 0);
    planted_free(planted);
}
END_TEST

/* Only a turn that truly was long may be told, such as one that the machine did not let run. */
START_TEST(a_saturated_loop_gives_no_report)
{
    struct planted *planted = planted_run(BEST, MS(50), "loop_bare",
                                          LIST("epoll_wait", "short:3000"));
    print_all(planted);
    ck_assert(planted->facts.turn_count > 500);
    for (int i = 0; i < planted->stall_count; i++)
        ck_assert(planted_was_late(planted, &planted->stalls[i]));
    planted_free(planted);
}
END_TEST

START_TEST(computing_is_told_from_waiting)
{
    struct planted *planted = planted_run(BEST, MS(20), "loop_bare",
                                          LIST("epoll_wait", "busy:200", "sleep:200"));
    check_exact(planted, 2);
    const struct stall *busy = planted_find(planted, &planted->truths[0]);
    const struct stall *sleeps = planted_find(planted, &planted->truths[1]);
    ck_assert(busy->processor_ns + busy->queued_ns > busy->held_ns / 2);
    ck_assert(sleeps->processor_ns < sleeps->held_ns / 2);
    ck_assert(!sleeps->is_running);
    ck_assert_int_gt(sleeps->look_count, 0);
    planted_free(planted);
}
END_TEST

START_TEST(children_do_not_know_of_the_shim)
{
    struct planted *planted = planted_run(BEST, MS(2000), "loop_bare",
                                          LIST("epoll_wait", "children", "fork", "idle:50"));
    ck_assert_int_eq(planted->dirty, 0);
    ck_assert_int_eq(planted->forked, 1);
    ck_assert_int_eq(planted->facts.loop_count, 1);
    planted_free(planted);
}
END_TEST

START_TEST(the_program_after_an_exec_is_watched)
{
    struct planted *planted = planted_run(
        BEST, MS(20), "loop_bare", LIST("epoll_wait", "exec", "sleep:60", "children", "exit:3"));
    check_exact(planted, 1);
    ck_assert_int_eq(planted->result, 3);
    ck_assert_int_eq(planted->dirty, 0);
    ck_assert_int_eq(planted->facts.mode, WATCH_HEARTBEAT);
    planted_free(planted);
}
END_TEST

START_TEST(a_shell_that_becomes_the_program_is_no_obstacle)
{
    char path[1024] = "", command[1200];
    if (readlink("/proc/self/exe", path, sizeof path - 64) < 0) ck_abort();
    memcpy(strrchr(path, '/') + 1, "loop_bare", sizeof "loop_bare");
    snprintf(command, sizeof command, "exec env A=b %s epoll_wait sleep:60 exit:4", path);
    struct planted *planted = planted_run(BEST, MS(20), "/bin/sh", LIST("-c", command));
    check_exact(planted, 1);
    ck_assert_int_eq(planted->result, 4);
    ck_assert_int_eq(planted->facts.mode, WATCH_HEARTBEAT);
    planted_free(planted);
}
END_TEST

static void check_shell(const char *script, int mode, const char *program)
{
    char path[1024] = "";
    if (readlink("/proc/self/exe", path, sizeof path - 64) < 0) ck_abort();
    memcpy(strrchr(path, '/') + 1, program, strlen(program) + 1);
    if (access(path, X_OK) != 0) {
        printf("skipped: %s was not built\n", program);
        return;
    }
    struct planted *planted = planted_run(BEST, MS(20), "/bin/sh", LIST("-c", script, path));
    print_all(planted);
    printf("%s\n", planted->facts.mode_text);
    for (int i = 0; i < planted->truth_count; i++)
        ck_assert_ptr_nonnull(planted_find(planted, &planted->truths[i]));
    ck_assert_int_eq(planted->truth_count, 1);
    ck_assert_int_eq(planted->result, 4);
    if (mode >= 0) ck_assert_int_eq(planted->facts.mode, mode);
    else ck_assert_int_ne(planted->facts.mode, WATCH_HEARTBEAT);
    planted_free(planted);
}

START_TEST(the_child_for_which_a_shell_waits_is_watched)
{
    check_shell("\"$0\" epoll_wait idle:2500 sleep:100 exit:4; exit $?", BEST, "loop_bare");
}
END_TEST

START_TEST(a_shell_that_waited_before_it_became_the_program_is_no_obstacle)
{
    check_shell("sleep 1; exec \"$0\" epoll_wait sleep:100 exit:4", WATCH_HEARTBEAT, "loop_bare");
}
END_TEST

START_TEST(a_program_that_loads_no_shim_is_watched_otherwise)
{
    check_shell("exec \"$0\" epoll_wait idle:2500 sleep:100 exit:4", BEST, "loop_static");
}
END_TEST

START_TEST(a_program_without_a_loop_is_told_as_that)
{
    struct planted *planted = planted_run(BEST, MS(20), "loop_bare", LIST("none", "sleep:300"));
    printf("%s\n", planted->facts.mode_text);
    ck_assert_int_eq(planted->facts.loop_count, 0);
    ck_assert_int_eq(planted->stall_count, 0);
    ck_assert_ptr_nonnull(strstr(planted->facts.mode_text, "in clock_nanosleep"));
    planted_free(planted);
}
END_TEST

START_TEST(a_command_that_cannot_be_started_is_refused_with_its_reason)
{
    struct planted *planted = planted_run(BEST, MS(20), "/nowhere/program", LIST("x"));
    ck_assert_int_eq(planted->result, WATCH_NOT_FOUND);
    ck_assert_str_eq(planted->facts.exit_text,
                     "cannot start /nowhere/program: No such file or directory");
    planted_free(planted);
    planted = planted_run(BEST, MS(20), "/tmp", LIST("x"));
    ck_assert_int_eq(planted->result, WATCH_CANNOT_RUN);
    planted_free(planted);
}
END_TEST

static void *send_term(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
    kill(*(const pid_t *)arg, SIGTERM);
    return NULL;
}

/* Of the whole process, as kill(1) would do it; the watch is what must get it, not the sender. */
START_TEST(a_signal_is_passed_on_to_the_command)
{
    pthread_t thread;
    pid_t self = getpid();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, send_term, &self);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    struct planted *planted = planted_run(BEST, MS(20), "loop_bare",
                                          LIST("epoll_wait", "idle:30000"));
    pthread_join(thread, NULL);
    ck_assert_int_eq(planted->result, 128 + SIGTERM);
    ck_assert_ptr_nonnull(strstr(planted->facts.exit_text, "killed by signal 15"));
    planted_free(planted);
}
END_TEST

START_TEST(a_target_that_is_killed_gives_128_and_the_signal)
{
    struct planted *planted = planted_run(BEST, MS(20), "/bin/sh", LIST("-c", "kill -9 $$"));
    ck_assert_int_eq(planted->result, 128 + SIGKILL);
    planted_free(planted);
}
END_TEST

/* The target dies in a turn that has not ended: it is told as far as it went. */
START_TEST(a_stall_that_never_ends_is_reported_at_the_end)
{
    struct planted *planted = planted_run(
        BEST, MS(20), "/bin/sh",
        LIST("-c", "(sleep 1; kill -9 $$) & exec \"$0\" epoll_wait sleep:60000",
             getenv("HARK_TEST_LOOP")));
    print_all(planted);
    ck_assert_int_eq(planted->result, 128 + SIGKILL);
    ck_assert_int_eq(planted->stall_count, 1);
    ck_assert(planted->stalls[0].held_ns > MS(100));
    planted_free(planted);
}
END_TEST

START_TEST(a_pid_that_cannot_be_watched_is_refused_with_its_reason)
{
    struct report_facts facts;
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    struct watch_options options = { .threshold_ns = MS(20), .pid = pid };
    ck_assert_int_eq(watch_run(&options, NULL, &facts), WATCH_REFUSED);
    ck_assert_ptr_nonnull(strstr(facts.exit_text, "has ended"));
    waitpid(pid, NULL, 0);
    ck_assert_int_eq(watch_run(&options, NULL, &facts), WATCH_REFUSED);
    ck_assert_ptr_nonnull(strstr(facts.exit_text, "no process"));
    options.pid = getpid();
    ck_assert_int_eq(watch_run(&options, NULL, &facts), WATCH_REFUSED);
    ck_assert_ptr_nonnull(strstr(facts.exit_text, "is this one"));
}
END_TEST

int main(void)
{
    char path[1024] = "";
    if (readlink("/proc/self/exe", path, sizeof path - 64) < 0) return EXIT_FAILURE;
    memcpy(strrchr(path, '/') + 1, "loop_bare", sizeof "loop_bare");
    setenv("HARK_TEST_LOOP", path, 1);
    Suite *suite = suite_create("watch");
    UNIT_CASE(suite, every_call_in_which_a_loop_waits_is_seen);
    UNIT_CASE(suite, a_loop_on_poll_or_select_is_seen_if_there_is_no_epoll);
    UNIT_CASE(suite, loops_of_libuv_and_libevent_are_seen);
    UNIT_CASE(suite, an_idle_loop_gives_no_report);
    UNIT_CASE(suite, a_saturated_loop_gives_no_report);
    UNIT_CASE(suite, computing_is_told_from_waiting);
    UNIT_CASE(suite, children_do_not_know_of_the_shim);
    UNIT_CASE(suite, the_program_after_an_exec_is_watched);
    UNIT_CASE(suite, a_shell_that_becomes_the_program_is_no_obstacle);
    UNIT_CASE(suite, the_child_for_which_a_shell_waits_is_watched);
    UNIT_CASE(suite, a_shell_that_waited_before_it_became_the_program_is_no_obstacle);
    UNIT_CASE(suite, a_program_that_loads_no_shim_is_watched_otherwise);
    UNIT_CASE(suite, a_program_without_a_loop_is_told_as_that);
    UNIT_CASE(suite, a_command_that_cannot_be_started_is_refused_with_its_reason);
    UNIT_CASE(suite, a_signal_is_passed_on_to_the_command);
    UNIT_CASE(suite, a_target_that_is_killed_gives_128_and_the_signal);
    UNIT_CASE(suite, a_stall_that_never_ends_is_reported_at_the_end);
    UNIT_CASE(suite, a_pid_that_cannot_be_watched_is_refused_with_its_reason);
    return unit_run(suite);
}
