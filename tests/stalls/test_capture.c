/* A look at a thread: it sees what the thread does, and lets it go whatever happens. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "held.h"
#include "stalls/stop.h"

enum { FEW_LOOKS = 100 };

static struct target target;
static struct capture capture;
static struct stack stack;

static void look(pid_t tid)
{
    ck_assert_int_eq(capture_take(&target, tid, NULL, NULL, &capture), 0);
    capture_resolve(&target, &capture, &stack);
}

static NOINLINE void spin_inside(struct shared *shared)
{
    shared->is_ready = true;
    while (!shared->wants_end) shared->count++;
}

static NOINLINE void spin_outside(struct shared *shared)
{
    spin_inside(shared);
    AFTER_CALL;
}

static void spin(void *arg)
{
    spin_outside(arg);
    AFTER_CALL;
}

static NOINLINE void sleep_long(void)
{
    const struct timespec hour = { .tv_sec = 3600 };
    nanosleep(&hour, NULL);
    AFTER_CALL;
}

static void run_sleep(void *arg)
{
    (void)arg;
    sleep_long();
    AFTER_CALL;
}

START_TEST(a_running_thread_is_stopped_and_its_callers_are_named)
{
    struct shared *shared = shared_new();
    pid_t pid = held_start(spin, shared);
    await_true(&shared->is_ready);
    open_target(&target, pid);
    look(pid);
    ck_assert(capture.is_running);
    ck_assert_ptr_null(capture.call_text);
    ck_assert_int_gt(capture.stopped_ns, 0);
    const char *order[] = { "spin_inside", "spin_outside", "spin", "main", NULL };
    assert_order(&stack, order);
    ck_assert_ptr_nonnull(strstr(stack.frames[0].file, "test_capture.c"));
    ck_assert(!stack.frames[0].is_runtime);
    ck_assert_str_eq(stack.frames[0].module, "stalls_capture");
    target_close(&target);
    held_end(pid);
}
END_TEST

START_TEST(a_thread_that_sleeps_is_read_without_a_stop)
{
    pid_t pid = held_start(run_sleep, NULL);
    await_call(pid, pid, SYS_clock_nanosleep);
    open_target(&target, pid);
    look(pid);
    ck_assert(!capture.is_running);
    ck_assert_int_eq(capture.call, SYS_clock_nanosleep);
    ck_assert_str_eq(capture.call_text, "clock_nanosleep(3.6e+03 s)");
#ifndef __SANITIZE_ADDRESS__ /* which keeps every frame by the frame pointer */
    ck_assert_int_eq(capture.stopped_ns, 0);
#endif
    const char *order[] = { "sleep_long", "run_sleep", "main", NULL };
    assert_order(&stack, order);
    ck_assert(stack.frames[0].is_runtime);
    target_close(&target);
    held_end(pid);
}
END_TEST

static void open_fifo(void *arg)
{
    (void)open(arg, O_RDONLY);
    AFTER_CALL;
}

START_TEST(the_fifo_that_an_open_waits_for_is_named)
{
    char path[] = "/tmp/hark-stalls-XXXXXX", expected[128];
    ck_assert_ptr_nonnull(mkdtemp(path));
    char fifo[64];
    snprintf(fifo, sizeof fifo, "%s/fifo", path);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    pid_t pid = held_start(open_fifo, fifo);
    await_call(pid, pid, SYS_openat);
    open_target(&target, pid);
    look(pid);
    snprintf(expected, sizeof expected, "openat(\"%s\")", fifo);
    ck_assert_str_eq(capture.call_text, expected);
    ck_assert_int_ge(find(&stack, "open_fifo", 0), 0);
    target_close(&target);
    held_end(pid);
    unlink(fifo);
    rmdir(path);
}
END_TEST

static void lock_file(void *arg)
{
    int file = open(arg, O_RDWR);
    flock(file, LOCK_EX);
    AFTER_CALL;
}

START_TEST(the_file_that_a_lock_waits_for_is_named)
{
    char path[] = "/tmp/hark-stalls-XXXXXX", expected[128];
    int file = mkostemp(path, O_CLOEXEC);
    ck_assert_int_eq(flock(file, LOCK_EX), 0);
    pid_t pid = held_start(lock_file, path);
    await_call(pid, pid, SYS_flock);
    open_target(&target, pid);
    look(pid);
    snprintf(expected, sizeof expected, "flock(%d -> %s)", (int)capture.arguments[0], path);
    ck_assert_str_eq(capture.call_text, expected);
    ck_assert_int_ge(find(&stack, "lock_file", 0), 0);
    target_close(&target);
    held_end(pid);
    unlink(path);
}
END_TEST

/* What happens at the second question, which is asked while the thread stands. */
struct plan { int asked; pid_t kill; int at; };

static bool kill_then(void *arg)
{
    struct plan *plan = arg;
    if (++plan->asked == plan->at) kill(plan->kill, SIGKILL);
    return true;
}

static void look_and_die(void *arg)
{
    struct plan plan = { .kill = getpid(), .at = 2 };
    open_target(&target, *(pid_t *)arg);
    (void)capture_take(&target, *(pid_t *)arg, kill_then, &plan, &capture);
}

START_TEST(killing_the_watcher_while_the_thread_stands_lets_it_go_on)
{
    struct shared *shared = shared_new();
    pid_t pid = held_start(spin, shared);
    await_true(&shared->is_ready);
    pid_t watcher = held_start(look_and_die, &pid);
    int status = held_wait(watcher);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    long before = shared->count;
    for (int i = 0; i < WAIT_TURNS && shared->count == before; i++) pause_us(1000);
    ck_assert_int_ne(shared->count, before);
    shared->wants_end = true;
    ck_assert_int_eq(held_wait(pid), 0);
}
END_TEST

START_TEST(a_thread_that_dies_in_the_middle_is_said_to_be_gone)
{
    for (int at = 1; at <= 2; at++) {
        struct shared *shared = shared_new();
        pid_t pid = held_start(spin, shared);
        await_true(&shared->is_ready);
        open_target(&target, pid);
        struct plan plan = { .kill = pid, .at = at };
        ck_assert_int_eq(capture_take(&target, pid, kill_then, &plan, &capture), -1);
        int status = held_wait(pid); /* its end is still there for whoever started it */
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        ck_assert_int_eq(capture_take(&target, pid, NULL, NULL, &capture), -1);
        target_close(&target);
    }
}
END_TEST

/* The kernel lets nobody stop a thread that waits for its vfork. */
static void wait_for_vfork(void *arg)
{
    struct shared *shared = arg;
    shared->is_ready = true;
    pid_t pid = vfork();
    if (pid == 0) {
        for (int i = 0; i < WAIT_TURNS && !shared->wants_end; i++) pause_us(1000);
        _exit(0);
    }
    while (shared->count < 1000000000) shared->count++;
    AFTER_CALL;
}

static void await_state(pid_t pid, char state)
{
    for (int i = 0; i < WAIT_TURNS && task_state(pid, pid) != state; i++) pause_us(1000);
    ck_assert_int_eq(task_state(pid, pid), state);
}

START_TEST(a_thread_that_nothing_can_stop_is_read_as_it_sleeps)
{
    struct shared *shared = shared_new();
    pid_t pid = held_start(wait_for_vfork, shared);
    await_true(&shared->is_ready);
    await_state(pid, 'D');
    open_target(&target, pid);
    look(pid);
    ck_assert_int_eq(capture.stopped_ns, 0);
#ifndef __SANITIZE_ADDRESS__ /* whose vfork keeps its return address elsewhere */
    ck_assert_int_ge(find(&stack, "wait_for_vfork", 0), 0);
#endif
    target_close(&target);
    shared->wants_end = true;
    held_end(pid);
}
END_TEST

static void never_called(const struct stop_call *call, void *arg)
{
    (void)call;
    *(bool *)arg = true;
}

START_TEST(a_stop_that_does_not_come_in_time_never_comes)
{
    struct shared *shared = shared_new();
    bool is_called = false;
    int64_t stopped_ns = 0;
    pid_t pid = held_start(wait_for_vfork, shared);
    await_true(&shared->is_ready);
    await_state(pid, 'D');
    ck_assert_int_eq(stop_and_look(pid, never_called, &is_called, &stopped_ns), -1);
    ck_assert(!is_called);
    shared->wants_end = true;
    for (int i = 0; i < WAIT_TURNS && shared->count == 0; i++) pause_us(1000);
    ck_assert_int_gt(shared->count, 0);
    held_end(pid);
}
END_TEST

static bool not_held(void *arg)
{
    ++*(int *)arg;
    return false;
}

START_TEST(a_thread_that_is_no_longer_held_is_left_alone)
{
    struct shared *shared = shared_new();
    int asked = 0;
    pid_t pid = held_start(spin, shared);
    await_true(&shared->is_ready);
    open_target(&target, pid);
    ck_assert_int_eq(capture_take(&target, pid, not_held, &asked, &capture), -1);
    ck_assert_int_eq(asked, 1);
    ck_assert_int_eq(capture.stopped_ns, 0);
    target_close(&target);
    held_end(pid);
}
END_TEST

START_TEST(a_process_that_someone_stopped_stays_stopped)
{
    struct shared *shared = shared_new();
    pid_t pid = held_start(spin, shared);
    await_true(&shared->is_ready);
    kill(pid, SIGSTOP);
    ck_assert_int_eq(waitpid(pid, NULL, WUNTRACED), pid);
    open_target(&target, pid);
    for (int i = 0; i < FEW_LOOKS; i++) (void)capture_take(&target, pid, NULL, NULL, &capture);
    ck_assert_int_eq(task_state(pid, pid), 'T');
    long before = shared->count;
    kill(pid, SIGCONT);
    for (int i = 0; i < WAIT_TURNS && shared->count == before; i++) pause_us(1000);
    ck_assert_int_ne(shared->count, before);
    target_close(&target);
    held_end(pid);
}
END_TEST

struct second { struct shared *shared; volatile pid_t *tid; };

static void *spin_in_thread(void *arg)
{
    struct second *second = arg;
    second->shared->other = gettid();
    spin_outside(second->shared);
    AFTER_CALL;
    return NULL;
}

static void start_thread_and_sleep(void *arg)
{
    struct second second = { .shared = arg };
    pthread_t thread;
    pthread_create(&thread, NULL, spin_in_thread, &second);
    sleep_long();
}

START_TEST(a_second_thread_is_looked_at_by_its_own_number)
{
    struct shared *shared = shared_new();
    pid_t pid = held_start(start_thread_and_sleep, shared);
    await_true(&shared->is_ready);
    open_target(&target, pid);
    look((pid_t)shared->other);
    const char *order[] = { "spin_inside", "spin_outside", "spin_in_thread", NULL };
    assert_order(&stack, order);
    await_call(pid, pid, SYS_clock_nanosleep);
    look(pid);
    ck_assert_int_ge(find(&stack, "sleep_long", 0), 0);
    target_close(&target);
    held_end(pid);
}
END_TEST

/* Both sides of it as a user without rights. */
static void look_as_nobody(void *arg)
{
    (void)arg;
    if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
    prctl(PR_SET_DUMPABLE, 1); /* as after an execve */
    struct shared *shared = shared_new();
    pid_t pid = held_start(spin, shared);
    await_true(&shared->is_ready);
    open_target(&target, pid);
    look(pid);
    const char *order[] = { "spin_inside", "spin_outside", NULL };
    assert_order(&stack, order);
    held_end(pid);
}

START_TEST(one_s_own_process_is_looked_into_without_root)
{
    ck_assert_int_eq(held_wait(held_start(look_as_nobody, NULL)), 0);
}
END_TEST

static void open_of_root(void *arg)
{
    char *why = arg;
    if (setuid(65534) != 0) _exit(2);
    _exit(target_open(&target, getppid(), why, 256) == -1 ? 0 : 1);
}

START_TEST(a_process_that_is_not_there_or_not_ours_is_refused_with_the_reason)
{
    char why[256] = "";
    pid_t gone = held_start(run_sleep, NULL);
    held_end(gone);
    ck_assert_int_eq(target_open(&target, gone, why, sizeof why), -1);
    ck_assert_ptr_nonnull(strstr(why, "there is no process"));
    ck_assert_int_eq(target_open(&target, -5, why, sizeof why), -1);
    if (geteuid() != 0) return; /* only root can be another user */
    char *shared = mmap(NULL, 256, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_int_eq(held_wait(held_start(open_of_root, shared)), 0);
    ck_assert_ptr_nonnull(strstr(shared, "another user (0)"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("capture");
    ADD_CASE(suite, a_running_thread_is_stopped_and_its_callers_are_named);
    ADD_CASE(suite, a_thread_that_sleeps_is_read_without_a_stop);
    ADD_CASE(suite, the_fifo_that_an_open_waits_for_is_named);
    ADD_CASE(suite, the_file_that_a_lock_waits_for_is_named);
    ADD_CASE(suite, killing_the_watcher_while_the_thread_stands_lets_it_go_on);
    ADD_CASE(suite, a_thread_that_dies_in_the_middle_is_said_to_be_gone);
    ADD_CASE(suite, a_thread_that_nothing_can_stop_is_read_as_it_sleeps);
    ADD_CASE(suite, a_stop_that_does_not_come_in_time_never_comes);
    ADD_CASE(suite, a_thread_that_is_no_longer_held_is_left_alone);
    ADD_CASE(suite, a_process_that_someone_stopped_stays_stopped);
    ADD_CASE(suite, a_second_thread_is_looked_at_by_its_own_number);
    ADD_CASE(suite, one_s_own_process_is_looked_into_without_root);
    ADD_CASE(suite, a_process_that_is_not_there_or_not_ours_is_refused_with_the_reason);
    return unit_run(suite);
}
