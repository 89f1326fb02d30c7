/* Promise 20, the other half: the watch turned on by the environment; what it costs an idle loop;
 * that the program does not notice it; and what is left when /proc, threads or signals are not to
 * be had. */
#include "groups.h"
#include "harness.h"
#include "witness.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define BUDGET_NS (20 * HARK_MILLISECOND)
enum { SIGNALS = 64, RESTORER = 0x04000000 /* libc adds it to all that was ever set */ };

/* The sampler's thread, by its name; 0: there is none. */
static int find_sampler(void)
{
    DIR *folder = opendir("/proc/self/task");
    int found = 0;
    ck_assert_ptr_nonnull(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[64], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%d/comm", atoi(entry->d_name));
        FILE *file = fopen(path, "r");
        if (file == NULL) continue;
        if (fgets(name, sizeof name, file) == NULL) name[0] = '\0';
        fclose(file);
        if (strcmp(name, "hark-stall\n") == 0) found = atoi(entry->d_name);
    }
    closedir(folder);
    return found;
}

static void await_no_sampler(void)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (find_sampler() != 0) ck_assert_msg(clock_now() < end, "the sampler stays");
}

static void unwatch(const struct hark_stall *stall)
{
    (void)stall;
    hark_stall_unwatch();
}

START_TEST(a_sampler_that_nobody_joins_ends)
{
    witness_then = unwatch;
    witness_begin(BUDGET_NS);
    hold_once();
    await_no_sampler();
}
END_TEST

/* How often a thread has gone to sleep or was put aside: any wake-up shows. */
static long switches(int tid)
{
    char path[64], line[128];
    long sum = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        char *found = strstr(line, "voluntary_ctxt_switches:");
        if (found != NULL) sum += strtol(strchr(found, ':') + 1, NULL, 10);
    }
    fclose(file);
    return sum;
}

static int loop_thread;
static long loop_switches, sampler_switches;

/* Waits until the sampler has fallen asleep, then looks what a second changes. */
static void *watch_idle_second(void *arg)
{
    int sampler = find_sampler();
    long before = -1;
    (void)arg;
    for (int i = 0; sampler != 0 && i < 100 && switches(sampler) != before; i++) {
        before = switches(sampler);
        sleep_for(3 * BUDGET_NS);
    }
    loop_switches = -switches(loop_thread);
    sampler_switches = sampler != 0 ? -switches(sampler) : -1;
    sleep_for(HARK_SECOND);
    loop_switches += switches(loop_thread);
    if (sampler != 0) sampler_switches += switches(sampler);
    hark_stop(loop);
    return NULL;
}

START_TEST(while_all_loops_sleep_so_does_the_sampler)
{
    pthread_t thread;
    loop_thread = gettid();
    witness_begin(BUDGET_NS);
    hold_once(); /* it was awake */
    hark_hold(loop);
    ck_assert_int_eq(pthread_create(&thread, NULL, watch_idle_second, NULL), 0);
    ck_assert_int_eq(hark_run(loop), 0);
    pthread_join(thread, NULL);
    hark_unhold(loop);
    ck_assert_int_eq(loop_switches, 0);
    ck_assert_int_eq(sampler_switches, 0);
}
END_TEST

static void compute(struct probe *probe)
{
    (void)probe;
    compute_until(HARK_STALL_CAUGHT, 1);
}

static void note_actions(struct sigaction *actions)
{
    for (int number = 1; number <= SIGNALS; number++) sigaction(number, NULL, &actions[number]);
}

static void compute_deaf(struct probe *probe)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    compute(probe);
    hark_stall_unwatch(); /* the signal may be pending now, and would end the program */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

START_TEST(signals_are_as_they_were_when_the_watch_is_off_again)
{
    static struct sigaction before[SIGNALS + 1], after[SIGNALS + 1];
    void (*const culprits[])(struct probe *) = { compute, compute_deaf };
    note_actions(before);
    for (int i = 0; i < 2; i++) {
        struct probe probe = { .then = culprits[i] };
        witness_begin(BUDGET_NS);
        hark_nop(&probe.op, loop, on_probe);
        await(&probe);
        hark_stall_unwatch();
        note_actions(after);
        for (int number = 1; number <= SIGNALS; number++) {
            ck_assert(after[number].sa_handler == before[number].sa_handler);
            ck_assert_int_eq((after[number].sa_flags ^ before[number].sa_flags) & ~RESTORER, 0);
        }
    }
}
END_TEST

static void on_user_signal(int number) { (void)number; }

START_TEST(a_signal_that_the_program_uses_stays_the_programs)
{
    struct sigaction own = { .sa_handler = on_user_signal }, now;
    sigemptyset(&own.sa_mask);
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) sigaction(number, &own, NULL);
    witness_begin(BUDGET_NS);
    hold_once();
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
        sigaction(number, NULL, &now);
        ck_assert(now.sa_handler == on_user_signal);
    }
    ck_assert(!witness_told(HARK_STALL_CAUGHT).is_culprit_met); /* it could not be asked */
}
END_TEST

static void compute_met(struct probe *probe)
{
    (void)probe;
    compute_until_met();
}

/* No descriptor is left: neither /proc nor libdw can be opened. */
START_TEST(without_proc_a_stall_is_told_all_the_same)
{
    struct probe probe = { .then = compute_met };
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
    witness_begin(BUDGET_NS);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    hark_nop(&probe.op, loop, on_probe);
    await(&probe);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    struct told told = witness_met();
    ck_assert_str_eq(told.kind, "nop");
    ck_assert_int_eq(told.stall.state, HARK_STALL_UNKNOWN);
    ck_assert_str_eq(told.call, "");
    if (STACKS_ARE_TRUE) ck_assert_ptr_nonnull(strstr(told.culprit, "+0x"));
}
END_TEST

START_TEST(without_a_thread_there_is_no_watch_and_the_loop_works)
{
    pthread_attr_t attr, before;
    ck_assert_int_eq(pthread_getattr_default_np(&before), 0);
    pthread_attr_init(&attr);
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, (size_t)1 << 46), 0); /* not to be had */
    ck_assert_int_eq(pthread_setattr_default_np(&attr), 0);
    ck_assert_int_eq(hark_stall_watch(NULL), HARK_EAGAIN);
    ck_assert_int_eq(pthread_setattr_default_np(&before), 0);
    hark_stall_unwatch();
    struct probe probe = { 0 };
    hark_nop(&probe.op, loop, on_probe);
    await(&probe);
    witness_begin(BUDGET_NS); /* the next one can be */
    hold_once();
}
END_TEST

/* The environment. */

START_TEST(the_environment_turns_the_watch_on)
{
    run_from_environment("20ms", compute_until_told);
    ck_assert_ptr_nonnull(strstr(errors(), "hark: stall: thread "));
    ck_assert_ptr_nonnull(strstr(errors(), "\"of the environment\", submitted at "));
    ck_assert_ptr_nonnull(strstr(errors(), "witness.c:"));
}
END_TEST

START_TEST(a_dump_has_the_other_threads_too)
{
    run_from_environment("20ms,dump", compute_until_told);
    char sampler[64], *found = strstr(errors(), "hark: thread ");
    snprintf(sampler, sizeof sampler, "hark: thread %d\n", (int)getpid());
    ck_assert_ptr_nonnull(found); /* the sampler itself, at least */
    ck_assert_ptr_null(strstr(errors(), sampler));
}
END_TEST

static void do_nothing(struct hark_op *op) { (void)op; }

static const char *const malformed[] = { "50", "ms", "0ms", "-5ms", "50 ms", "50ms,", "50ms,die",
                                         "1us", "50msx", "99999999999999999999s", "yes" };

START_TEST(a_malformed_environment_is_told_in_a_line_and_nothing_is_watched)
{
    run_from_environment(malformed[_i], do_nothing);
    ck_assert_msg(strstr(errors(), malformed[_i]) != NULL, "%s: %s", malformed[_i], errors());
    ck_assert_ptr_eq(strchr(errors(), '\n'), errors() + strlen(errors()) - 1);
    ck_assert_int_eq(find_sampler(), 0);
}
END_TEST

START_TEST(without_the_environment_nothing_is_watched_and_nothing_is_told)
{
    run_from_environment("", do_nothing);
    ck_assert_str_eq(errors(), "");
    ck_assert_int_eq(find_sampler(), 0);
}
END_TEST

static void compute_for_ever(struct hark_op *op)
{
    (void)op;
    for (int64_t end = clock_now() + 30 * HARK_SECOND; clock_now() < end;) {}
}

START_TEST(on_wish_a_stall_ends_the_program)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = { 0 };
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        run_from_environment("20ms,abort", compute_for_ever);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

/* A fork takes the sampler away; the child may have a watch of its own. */
START_TEST(a_child_has_no_watch_until_it_asks_for_one)
{
    if (IS_TSAN) return;
    witness_begin(BUDGET_NS);
    hold_once();
    pid_t child = fork();
    if (child == 0) {
        struct hark_loop *own;
        bool had_none = find_sampler() == 0;
        witness_begin(BUDGET_NS);
        bool is_open = hark_loop_open(&own, NULL) == 0;
        loop = own;
        if (is_open) hold_once();
        hark_stall_unwatch();
        _exit(had_none && is_open && witness_count(HARK_STALL_CAUGHT) == 1 ? 0 : 1);
    }
    int status = 1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    witness_begin(BUDGET_NS); /* and the parent still has its own */
    hold_once();
}
END_TEST

/* It is no longer the one that is to run, and has not ended. */

static _Atomic bool is_unwatched, has_forked;

static void unwatch_and_linger(const struct hark_stall *stall)
{
    unwatch(stall);
    is_unwatched = true;
    while (!has_forked) sleep_for(HARK_MILLISECOND);
}

static void hold_until_unwatched(struct probe *probe)
{
    (void)probe;
    while (!is_unwatched) sleep_for(HARK_MILLISECOND);
}

START_TEST(a_child_may_watch_though_the_sampler_of_its_parent_was_just_ending)
{
    if (IS_TSAN) return;
    struct probe probe = { .then = hold_until_unwatched };
    int status = 1;
    witness_then = unwatch_and_linger;
    witness_begin(BUDGET_NS);
    hark_nop(&probe.op, loop, on_probe);
    await(&probe);
    pid_t child = fork();
    if (child == 0) {
        alarm(PATIENCE_S); /* else it would wait for ever */
        (void)hark_stall_watch(NULL);
        hark_stall_unwatch();
        _exit(0);
    }
    has_forked = true;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    await_no_sampler();
}
END_TEST

Suite *group_stall_watch(void)
{
    Suite *suite = suite_create("stall_watch");
    CASE(suite, a_sampler_that_nobody_joins_ends);
    CASE(suite, while_all_loops_sleep_so_does_the_sampler);
    CASE(suite, signals_are_as_they_were_when_the_watch_is_off_again);
    CASE(suite, a_signal_that_the_program_uses_stays_the_programs);
    CASE(suite, without_proc_a_stall_is_told_all_the_same);
    CASE(suite, without_a_thread_there_is_no_watch_and_the_loop_works);
    BARE_CASE(suite, the_environment_turns_the_watch_on);
    if (THREADS_ARE_SEEN) BARE_CASE(suite, a_dump_has_the_other_threads_too);
    BARE_EACH_OF(suite, a_malformed_environment_is_told_in_a_line_and_nothing_is_watched,
                 sizeof malformed / sizeof malformed[0]);
    BARE_CASE(suite, without_the_environment_nothing_is_watched_and_nothing_is_told);
    BARE_CASE(suite, on_wish_a_stall_ends_the_program);
    CASE(suite, a_child_has_no_watch_until_it_asks_for_one);
    CASE(suite, a_child_may_watch_though_the_sampler_of_its_parent_was_just_ending);
    return suite;
}
