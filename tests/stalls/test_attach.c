/* The watch of a process that is there already: it is found, left alone, and goes on afterwards. */
#include "planted.h"

#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS(n) ((int64_t)(n) * 1000000)

/* Starts a program beside the test. Its stalls come long enough after its start to be
 * waited for. */
static pid_t start(const char *program, const char *call, const char *stalls)
{
    char path[1024] = "", list[256];
    char *arguments[32] = { path };
    int count = 1;
    if (readlink("/proc/self/exe", path, sizeof path - 64) < 0) ck_abort();
    memcpy(strrchr(path, '/') + 1, program, strlen(program) + 1);
    snprintf(list, sizeof list, "%s %s", call, stalls);
    char *rest = list, *word;
    while ((word = strsep(&rest, " ")) != NULL && count < 31) arguments[count++] = word;
    setenv("PLANT_OUT", "/dev/null", 1);
    pid_t pid = fork();
    if (pid == 0) {
        execv(path, arguments);
        _exit(127);
    }
    ck_assert_int_gt(pid, 0);
    return pid;
}

static int finish(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static struct planted *watch(pid_t pid, int mode, int64_t duration_ns)
{
    struct planted *planted = planted_new();
    struct watch_options options = {
        .threshold_ns = MS(20), .duration_ns = duration_ns, .pid = pid,
        .has_mode = mode >= 0, .mode = mode >= 0 ? (enum watch_mode)mode : WATCH_PROCFS,
    };
    planted->result = watch_run(&options, NULL, &planted->facts);
    return planted;
}

/* Until it is the program and no longer this one after the fork. */
static void let_begin(pid_t pid, const char *program)
{
    char path[64], name[64];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    for (;;) {
        FILE *file = fopen(path, "re");
        bool has_name = file != NULL && fscanf(file, "%63s", name) == 1;
        bool is_there = has_name && strcmp(name, program) == 0;
        if (file != NULL) fclose(file);
        if (is_there) return;
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}

static bool sees_all(const char *program, int mode, enum watch_mode expected)
{
    pid_t pid = start(program, strcmp(program, "loop_hark") == 0 ? "-" : "epoll_wait",
                      "idle:500 sleep:100 busy:100 fifo:100 exit:9");
    let_begin(pid, program);
    struct planted *planted = watch(pid, mode, 0);
    ck_assert_int_eq(planted->result, 0);
    ck_assert_int_eq(planted->facts.mode, expected);
    ck_assert_int_eq(planted->facts.loop_count, 1);
    ck_assert_ptr_nonnull(strstr(planted->facts.exit_text, "ended"));
    bool has_all = planted->stall_count >= 3;
    planted_free(planted);
    ck_assert_int_eq(finish(pid), 9);
    return has_all;
}

/* Who looks at /proc sees less if the machine does not let it run: one of some tries has to do. */
static void check_mode(const char *program, int mode, enum watch_mode expected)
{
    int tries = expected == WATCH_PROCFS ? 5 : 1;
    while (!sees_all(program, mode, expected)) ck_assert_int_gt(--tries, 0);
}

START_TEST(a_program_that_uses_hark_tells_of_itself)
{
    check_mode("loop_hark", -1, WATCH_HARK);
}
END_TEST

START_TEST(a_loop_is_found_by_looking_at_proc)
{
    check_mode("loop_bare", WATCH_PROCFS, WATCH_PROCFS);
}
END_TEST

START_TEST(the_best_way_is_taken_by_itself)
{
    char why[TEXT_ROOM];
    struct bpf *bpf = bpf_open(getpid(), MS(20), why, sizeof why);
    if (bpf == NULL) printf("no BPF: %s\n", why);
    check_mode("loop_bare", -1, bpf != NULL ? WATCH_BPF : WATCH_PROCFS);
    bpf_close(bpf);
}
END_TEST

START_TEST(the_target_goes_on_after_the_watch)
{
    pid_t pid = start("loop_bare", "epoll_wait", "idle:1500 exit:4");
    let_begin(pid, "loop_bare");
    struct planted *planted = watch(pid, -1, MS(300));
    ck_assert_int_eq(planted->result, 0);
    ck_assert_ptr_nonnull(strstr(planted->facts.exit_text, "goes on"));
    ck_assert_int_eq(kill(pid, 0), 0);
    ck_assert_int_eq(planted->stall_count, 0);
    planted_free(planted);
    ck_assert_int_eq(finish(pid), 4);
}
END_TEST

static void *interrupt_soon(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
    kill(*(const pid_t *)arg, SIGINT);
    return NULL;
}

START_TEST(an_interrupt_ends_the_watch_and_not_the_target)
{
    pthread_t thread;
    pid_t self = getpid();
    pid_t pid = start("loop_bare", "epoll_wait", "idle:1500 exit:4");
    let_begin(pid, "loop_bare");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* the thread must not be the one that gets it */
    pthread_create(&thread, NULL, interrupt_soon, &self);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    struct planted *planted = watch(pid, -1, 0);
    ck_assert_int_eq(planted->result, 0);
    ck_assert_int_eq(kill(pid, 0), 0);
    pthread_join(thread, NULL);
    planted_free(planted);
    ck_assert_int_eq(finish(pid), 4);
}
END_TEST

/* SIGKILL in the middle of captures and probes: the target must not stay stopped. */
START_TEST(a_watch_that_is_killed_leaves_its_target_running)
{
    for (int i = 0; i < 8; i++) {
        pid_t pid = start("loop_bare", "epoll_wait", "busy:300 short:300 exit:4");
        let_begin(pid, "loop_bare");
        pid_t watcher = fork();
        if (watcher == 0) {
            watch(pid, WATCH_PROCFS, 0);
            _exit(0);
        }
        nanosleep(&(struct timespec){ .tv_nsec = 350000000 + i * 37000000 }, NULL);
        kill(watcher, SIGKILL);
        waitpid(watcher, NULL, 0);
        ck_assert_int_eq(finish(pid), 4);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attach");
    UNIT_CASE(suite, a_program_that_uses_hark_tells_of_itself);
    UNIT_CASE(suite, a_loop_is_found_by_looking_at_proc);
    UNIT_CASE(suite, the_best_way_is_taken_by_itself);
    UNIT_CASE(suite, the_target_goes_on_after_the_watch);
    UNIT_CASE(suite, an_interrupt_ends_the_watch_and_not_the_target);
    UNIT_CASE(suite, a_watch_that_is_killed_leaves_its_target_running);
    return unit_run(suite);
}
