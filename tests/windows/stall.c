/* Promise 20 on Windows: what the thread that holds its loop does, and where, and what the
 * environment asks for. All else is in the group stall, as on every system. */
#include <promise/groups.h>
#include <promise/harness.h>
#include <promise/witness.h>

#define BUDGET_NS (20 * HARK_MILLISECOND)

/* The calls that wait. */

static HANDLE event, ends[2];

static bool CULPRIT wait_in_sleep(void)
{
    while (witness_count(HARK_STALL_GOES_ON) < WITNESS_LOOKS) Sleep(200);
    return true;
}

static bool CULPRIT wait_for_event(void)
{
    return WaitForSingleObject(event, 20000) == WAIT_OBJECT_0;
}

static bool CULPRIT wait_in_read(void)
{
    char byte;
    DWORD got = 0;
    return ReadFile(ends[0], &byte, 1, &got, NULL) && got == 1;
}

static void do_nothing(void) {}
static void make_event(void) { event = CreateEventW(NULL, TRUE, FALSE, NULL); }
static void set_event(void) { SetEvent(event); }
static void make_pipe(void) { ck_assert(CreatePipe(&ends[0], &ends[1], NULL, 0)); }

static void write_byte(void)
{
    DWORD sent = 0;
    ck_assert(WriteFile(ends[1], "x", 1, &sent, NULL));
}

static const struct waiting {
    const char *call;       /* how its name begins */
    bool (*wait)(void);     /* false: it ended too early */
    void (*make)(void);
    void (*release)(void);
} waitings[] = {
    { "NtDelayExecution", wait_in_sleep, do_nothing, do_nothing },
    { "NtWaitFor", wait_for_event, make_event, set_event },
    { "NtReadFile", wait_in_read, make_pipe, write_byte },
};

START_TEST(a_callback_that_waits_is_told_with_its_call_which_does_not_end_early)
{
    const struct waiting *waiting = &waitings[_i];
    struct told waited;
    waiting->make();
    ck_assert(witness_wait(waiting->wait, waiting->release, &waited));
    ck_assert_int_eq(waited.stall.state, HARK_STALL_WAITS);
    ck_assert_msg(strncmp(waited.call, waiting->call, strlen(waiting->call)) == 0, "%s",
                  waited.call);
    ck_assert_int_eq(waited.stall.syscall, -1);
    ck_assert_int_eq(waited.stall.fd, -1);
    ck_assert(waited.is_culprit_certain);
    HANDLE made[] = { event, ends[0], ends[1] };
    for (int i = 0; i < 3; i++)
        if (made[i] != NULL) CloseHandle(made[i]);
}
END_TEST

static void compute(struct probe *probe)
{
    (void)probe;
    compute_until_met();
}

START_TEST(a_frame_is_written_with_its_function)
{
    struct probe probe = { .then = compute };
    witness_begin(BUDGET_NS);
    hark_nop(&probe.op, loop, on_probe);
    await(&probe);
    struct told told = witness_met();
    ck_assert_msg(strstr(told.culprit, "compute_until_met") != NULL, "%s", told.culprit);
}
END_TEST

/* A frame that is larger than what is copied of a stack: there its list ends. */
static int64_t CULPRIT compute_on_a_large_frame(void)
{
    volatile char large[256 * 1024];
    large[0] = 1;
    compute_until(HARK_STALL_CAUGHT, 1);
    return large[0];
}

static void compute_large(struct probe *probe)
{
    probe->result = compute_on_a_large_frame();
}

START_TEST(a_frame_larger_than_the_copy_is_the_last_one)
{
    struct probe probe = { .then = compute_large };
    witness_begin(BUDGET_NS);
    hark_nop(&probe.op, loop, on_probe);
    await(&probe);
    struct told told = witness_told(HARK_STALL_CAUGHT);
    ck_assert_int_gt(told.stall.frame_count, 0);
    ck_assert_int_lt(told.stall.frame_count, 8);
}
END_TEST

Suite *group_stall_thread(void)
{
    Suite *suite = suite_create("stall_thread");
    EACH_OF(suite, a_callback_that_waits_is_told_with_its_call_which_does_not_end_early,
            sizeof waitings / sizeof waitings[0]);
    CASE(suite, a_frame_is_written_with_its_function);
    CASE(suite, a_frame_larger_than_the_copy_is_the_last_one);
    return suite;
}

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
    char own[64];
    run_from_environment("20ms,dump", compute_until_told);
    snprintf(own, sizeof own, "hark: thread %d\n", gettid());
    ck_assert_ptr_nonnull(strstr(errors(), "hark: thread ")); /* the sampler itself, at least */
    ck_assert_ptr_null(strstr(errors(), own));
}
END_TEST

static void ignore(struct hark_op *op) { (void)op; }

START_TEST(a_malformed_environment_is_told_in_a_line_and_nothing_is_watched)
{
    run_from_environment("50", ignore);
    ck_assert_msg(strstr(errors(), "HARK_STALL=50 is no time") != NULL, "%s", errors());
    ck_assert_ptr_eq(strchr(errors(), '\n'), errors() + strlen(errors()) - 1);
}
END_TEST

Suite *group_stall_watch(void)
{
    Suite *suite = suite_create("stall_watch");
    BARE_CASE(suite, the_environment_turns_the_watch_on);
    BARE_CASE(suite, a_dump_has_the_other_threads_too);
    BARE_CASE(suite, a_malformed_environment_is_told_in_a_line_and_nothing_is_watched);
    return suite;
}
