/* Promise 17: a stack takes memory as it is used and gives it back, has a guard below it, and can
 * be walked through. */
#include "groups.h"
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unwind.h>

/* The thread sanitizer maps much for each fiber, and keeps it. */
#ifdef __has_feature
#define HAS_TSAN __has_feature(thread_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#else
#define HAS_TSAN 0
#endif
#if HAS_TSAN
enum { MAPS_ARE_OURS = false };
#else
enum { MAPS_ARE_OURS = true };
#endif

/* Addresses that this process has mapped. */
static size_t mapped_bytes(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static int64_t counts_up(void *arg)
{
    ++*(int *)arg;
    hark_fiber_yield();
    ++*(int *)arg;
    return 0;
}

/* The kept ones are fewer than 300 stacks; the crowd has 2,000, of 64 KiB at least. */
START_TEST(stacks_are_used_again_and_a_crowd_gives_its_memory_back)
{
    enum { CROWD = 2000, STACK = 65536, KEPT = 300 };
    int count = 0;
    ck_assert_int_eq(hark_fiber_start(loop, counts_up, &count), 0);
    ck_assert_int_eq(hark_run(loop), 0);
    size_t before = mapped_bytes();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CROWD; i++)
            ck_assert_int_eq(hark_fiber_start(loop, counts_up, &count), 0);
        ck_assert_uint_ge(mapped_bytes(), before + (size_t)(CROWD - KEPT) * STACK);
        ck_assert_int_eq(hark_run(loop), 0);
        size_t after = mapped_bytes();
        ck_assert(!MAPS_ARE_OURS || after <= before + (size_t)KEPT * 6 * STACK);
    }
    ck_assert_int_eq(count, 2 + 3 * 2 * CROWD);
}
END_TEST

static int64_t touches(void *arg)
{
    char deep[40000];
    for (size_t i = 0; i < sizeof deep; i += 1000) deep[i] = 1;
    __asm__ volatile("" : : "r"(deep) : "memory"); /* all of it is wanted */
    ck_assert_uint_ge(hark_fiber_stack_used(hark_fiber_self()), 40000);
    (void)arg;
    return deep[0];
}

START_TEST(a_stack_shows_how_much_of_it_was_used)
{
    ck_assert_int_eq(hark_fiber_main(loop, touches, NULL), 1);
}
END_TEST

/* Trap 44: what was used deeply and is used again shows; what never was used takes nothing. */
static int64_t touches_little(void *arg)
{
    (void)arg;
    hark_fiber_yield();
    return (int64_t)hark_fiber_stack_used(hark_fiber_self());
}

START_TEST(a_stack_takes_memory_only_as_it_is_used)
{
    int64_t used = hark_fiber_main(loop, touches_little, NULL);
    ck_assert(used > 0 && used <= 32768); /* the sanitizers' frames are larger */
}
END_TEST

static int64_t goes_too_deep(void *arg)
{
    volatile char frame[1000];
    hark_fiber_name("the deep one");
    frame[0] = (char)(intptr_t)arg;
    int64_t below = arg == NULL ? 0 : goes_too_deep((char *)arg - 1);
    return below + frame[0];
}

static void expect_overflow(const char *guard)
{
    int fds[2], status = 0;
    char said[500];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct hark_loop_options options = { .reports_overflow = true };
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        setenv("HARK_STACK_GUARD", guard, 1);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        if (hark_loop_open(&loop, &options) == 0)
            hark_fiber_main(loop, goes_too_deep, (void *)100000);
        _exit(0);
    }
    close(fds[1]);
    ssize_t len = read(fds[0], said, sizeof said - 1);
    said[len > 0 ? len : 0] = '\0';
    for (char rest[500]; read(fds[0], rest, sizeof rest) > 0;) {} /* a sanitizer's own words */
    close(fds[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(!WIFEXITED(status) || WEXITSTATUS(status) != 0, "status %d", status);
    ck_assert_msg(strstr(said, "overflowed its stack: the deep one") != NULL, "said: %s", said);
    ck_assert_msg(strstr(said, "test_stack.c:") != NULL, "said: %s", said);
}

START_TEST(an_overflow_names_the_fiber_and_ends_the_program)
{
    expect_overflow("");
    expect_overflow("mprotect"); /* as before Linux 6.13 */
}
END_TEST

/* A program may end while fibers wait: what they, and the loop's own stack, hold has not leaked. */
static int64_t holds_memory(void *arg)
{
    char *volatile held = malloc(1000);
    held[0] = (char)(arg == NULL);
    (void)hark_fiber_sleep(1000 * HARK_SECOND);
    free(held);
    return 0;
}

static int64_t ends_the_program(void *arg)
{
    (void)arg;
    (void)hark_fiber_sleep(HARK_MILLISECOND);
    exit(0);
}

START_TEST(a_program_that_ends_in_a_fiber_has_leaked_nothing)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct hark_loop *own;
        char *volatile held = malloc(2000);
        held[0] = 1;
        if (hark_loop_open(&own, NULL) != 0) _exit(3);
        hark_fiber_start(own, holds_memory, NULL);
        hark_fiber_start(own, ends_the_program, NULL);
        (void)hark_run(own);
        free(held);
        _exit(4);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}
END_TEST

/* No memory in the middle: the scope goes on with what it has. */
static int left_to_give;

static void *resize(void *user, void *ptr, size_t old_bytes, size_t new_bytes)
{
    (void)user, (void)old_bytes;
    if (new_bytes == 0) {
        free(ptr);
        return NULL;
    }
    return left_to_give-- > 0 ? realloc(ptr, new_bytes) : NULL;
}

static int64_t yields_once(void *arg)
{
    hark_fiber_yield();
    ++*(int *)arg;
    return 0;
}

static int64_t spawns_until_refused(void *arg)
{
    struct hark_scope scope;
    int ran = 0, started = 0, error;
    (void)arg;
    hark_scope_open(&scope, 0);
    left_to_give = 2;
    while ((error = hark_spawn(&scope, yields_once, &ran)) == 0) started++;
    ck_assert_int_eq(error, HARK_ENOMEM);
    left_to_give = 1000;
    ck_assert_int_eq(hark_spawn(&scope, yields_once, &ran), 0);
    ck_assert_int_eq(hark_scope_close(&scope), 0);
    ck_assert_int_eq(ran, started + 1);
    return started;
}

START_TEST(no_memory_for_a_stack_is_an_error_of_the_start_and_changes_nothing)
{
    const struct hark_allocator allocator = { .resize = resize };
    struct hark_loop_options options = { .allocator = &allocator };
    struct hark_loop *own;
    left_to_give = 1000;
    ck_assert_int_eq(hark_loop_open(&own, &options), 0);
    ck_assert_int_ge(hark_fiber_main(own, spawns_until_refused, NULL), 2);
    left_to_give = 0;
    hark_loop_close(own);
    ck_assert_int_eq(hark_loop_open(&own, &options), HARK_ENOMEM);
}
END_TEST

/* Trap 45: the way back. A walk of the stack meets each function that is in the middle of a call,
 * and ends where the fiber began. */
enum { STEPS = 64 };

struct walk { uintptr_t functions[STEPS]; int count; };

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    if (walk->count == STEPS) return _URC_END_OF_STACK;
    walk->functions[walk->count++] = _Unwind_GetRegionStart(context);
    return _URC_NO_REASON;
}

static __attribute__((noinline)) int64_t walks(struct walk *walk)
{
    hark_fiber_yield(); /* left once, and come back to */
    _Unwind_Backtrace(step, walk);
    return walk->count;
}

static __attribute__((noinline)) int64_t is_walked(void *arg)
{
    int64_t count = walks(arg);
    return count + 1;
}

START_TEST(an_unwinder_walks_from_a_fiber_to_its_beginning_and_no_further)
{
    struct walk walk = { .count = 0 };
    int64_t result = hark_fiber_main(loop, is_walked, &walk);
    ck_assert_int_eq(result, walk.count + 1);
    ck_assert(walk.count >= 3 && walk.count < 12);
    int first = walk.functions[0] != (uintptr_t)walks; /* on Windows it begins with itself */
    ck_assert_uint_eq(walk.functions[first], (uintptr_t)walks);
    ck_assert_uint_eq(walk.functions[first + 1], (uintptr_t)is_walked);
}
END_TEST

/* Trap 44. Each slab is a mapping or two, of 64 stacks; tiny builds have two in one. */
static int mapping_count(void)
{
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(maps);
    for (int c; (c = fgetc(maps)) != EOF;) count += c == '\n';
    fclose(maps);
    return count;
}

static bool kernel_has_guards(void)
{
    enum { INSTALL = 102, BYTES = 16384 };
    void *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool has = at != MAP_FAILED && madvise(at, BYTES, INSTALL) == 0;
    munmap(at, BYTES);
    return has;
}

START_TEST(guards_cost_no_mappings_where_the_kernel_can)
{
    enum { CROWD = 1000 };
    int count = 0, before = mapping_count();
    if (!kernel_has_guards()) {
        printf("skipped: this kernel has no MADV_GUARD_INSTALL\n");
        return;
    }
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(hark_fiber_start(loop, counts_up, &count), 0);
    ck_assert(!MAPS_ARE_OURS || mapping_count() - before < CROWD);
    ck_assert_int_eq(hark_run(loop), 0);
}
END_TEST

/* Trap 43. */
static int64_t spoils_errno(void *arg)
{
    (void)arg;
    errno = ENOTTY;
    return 0;
}

static int64_t has_its_errno(void *arg)
{
    pthread_t thread = *(pthread_t *)arg;
    int *at = &errno;
    for (int i = 0; i < 5; i++) {
        errno = 0;
        ck_assert(pthread_equal(pthread_self(), thread) && at == &errno);
        ck_assert_int_eq(hark_fiber_offload(HARK_OFFLOAD_WORK, spoils_errno, NULL), 0);
        ck_assert_int_eq(close(-1), -1);
        ck_assert_int_eq(*at, EBADF);
    }
    return 0;
}

START_TEST(errno_is_that_of_the_fiber_s_own_thread)
{
    pthread_t self = pthread_self();
    for (int i = 0; i < 3; i++) ck_assert_int_eq(hark_fiber_start(loop, has_its_errno, &self), 0);
    ck_assert_int_eq(hark_run(loop), 0);
}
END_TEST

static int64_t looks_at_its_signals(void *arg)
{
    sigset_t now;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(sigprocmask(SIG_SETMASK, NULL, &now), 0);
        for (int number = 1; number < 32; number++)
            ck_assert_int_eq(sigismember(&now, number), sigismember(arg, number));
        ck_assert_int_eq(hark_fiber_sleep(1000), 0);
    }
    return 0;
}

START_TEST(a_switch_leaves_the_signal_mask_alone)
{
    sigset_t mask, after;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
    ck_assert_int_eq(sigprocmask(SIG_SETMASK, NULL, &mask), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(hark_fiber_start(loop, looks_at_its_signals, &mask), 0);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(sigprocmask(SIG_SETMASK, NULL, &after), 0);
    ck_assert_int_eq(sigismember(&after, SIGUSR1), 1);
}
END_TEST

Suite *group_stack(void)
{
    Suite *suite = suite_create("stack");
    CASE(suite, stacks_are_used_again_and_a_crowd_gives_its_memory_back);
    CASE(suite, a_stack_shows_how_much_of_it_was_used);
    CASE(suite, a_stack_takes_memory_only_as_it_is_used);
    CASE(suite, an_overflow_names_the_fiber_and_ends_the_program);
    CASE(suite, a_program_that_ends_in_a_fiber_has_leaked_nothing);
    CASE(suite, no_memory_for_a_stack_is_an_error_of_the_start_and_changes_nothing);
    CASE(suite, an_unwinder_walks_from_a_fiber_to_its_beginning_and_no_further);
    CASE(suite, guards_cost_no_mappings_where_the_kernel_can);
    CASE(suite, errno_is_that_of_the_fiber_s_own_thread);
    CASE(suite, a_switch_leaves_the_signal_mask_alone);
    return suite;
}
