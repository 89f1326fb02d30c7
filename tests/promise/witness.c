/* See witness.h. */
#include "witness.h"

#include <stdio.h>
#include <string.h>

#ifdef _WIN32
static void CULPRIT_PART("_a") culprits_begin(void) {}
static void CULPRIT_PART("_z") culprits_end(void) {}
#else
extern char culprits_begin[] __asm__("__start_culprits"); /* the linker's */
extern char culprits_end[] __asm__("__stop_culprits");
#endif

void (*witness_then)(const struct hark_stall *stall);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct told told[HARK_STALL_OVER + 1];
static struct told met;
static _Atomic int counts[HARK_STALL_OVER + 1], met_count;

static void copy(char *to, size_t room, const char *text)
{
    snprintf(to, room, "%s", text != NULL ? text : "");
}

static void look_for_culprit(struct told *as, const struct hark_stall *stall)
{
    for (size_t i = 0; i < stall->frame_count && !as->is_culprit_met; i++) {
        uintptr_t at = stall->frames[i];
        if (at < (uintptr_t)culprits_begin || at >= (uintptr_t)culprits_end) continue;
        as->is_culprit_met = true;
        as->is_culprit_certain = i < stall->certain;
        hark_stall_frame(stall, i, as->culprit, sizeof as->culprit);
    }
}

static void on_stall(const struct hark_stall *stall, void *user)
{
    struct told as = { .stall = *stall };
    ck_assert_ptr_eq(user, told);
    copy(as.kind, sizeof as.kind, stall->kind);
    copy(as.place, sizeof as.place, stall->place);
    copy(as.label, sizeof as.label, stall->label);
    copy(as.fiber, sizeof as.fiber, stall->fiber);
    copy(as.fiber_place, sizeof as.fiber_place, stall->fiber_place);
    copy(as.call, sizeof as.call, stall->syscall_name);
    copy(as.target, sizeof as.target, stall->target);
    look_for_culprit(&as, stall);
    pthread_mutex_lock(&lock);
    told[stall->moment] = as;
    bool is_met = as.is_culprit_met || !STACKS_ARE_TRUE;
    if (is_met) met = as;
    pthread_mutex_unlock(&lock);
    met_count += is_met;
    if (witness_then != NULL) witness_then(stall);
    counts[stall->moment]++;
}

void witness_begin(int64_t budget_ns)
{
    struct hark_stall_options options = { .budget_ns = budget_ns, .fn = on_stall, .user = told,
                                          .action = HARK_STALL_QUIET };
    for (int i = 0; i <= HARK_STALL_OVER; i++) counts[i] = 0;
    met_count = 0;
    ck_assert_int_eq(hark_stall_watch(&options), 0);
}

int witness_count(enum hark_stall_moment moment) { return counts[moment]; }

struct told witness_told(enum hark_stall_moment moment)
{
    pthread_mutex_lock(&lock);
    struct told as = told[moment];
    pthread_mutex_unlock(&lock);
    return as;
}

struct told witness_met(void)
{
    pthread_mutex_lock(&lock);
    struct told as = met;
    pthread_mutex_unlock(&lock);
    return as;
}

void witness_await(enum hark_stall_moment moment, int count)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (witness_count(moment) < count) {
        ck_assert_msg(clock_now() < end, "%s: moment %d was not told", doing, moment);
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    }
}

/* Uses the processor until count reaches what is wanted. */
static inline __attribute__((always_inline)) void compute(const _Atomic int *count, int wanted)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (*count < wanted)
        ck_assert_msg(clock_now() < end, "%s: nobody noticed", doing);
}

void CULPRIT compute_until(enum hark_stall_moment moment, int count)
{
    compute(&counts[moment], count);
}

static void compute_once(struct probe *probe)
{
    (void)probe;
    compute_until(HARK_STALL_CAUGHT, 1);
}

void hold_once(void)
{
    struct probe probe = { .then = compute_once };
    hark_nop(&probe.op, loop, on_probe);
    await(&probe);
}

void sleep_for(int64_t ns)
{
    struct timespec pause = { .tv_sec = ns / HARK_SECOND, .tv_nsec = (long)(ns % HARK_SECOND) };
    nanosleep(&pause, NULL);
}

void CULPRIT compute_until_met(void) { compute(&met_count, 1); }

/* Waits. */

static struct {
    bool (*wait)(void);
    void (*release)(void);
    struct told *told;          /* the latest in a call, not on its way to the next */
    bool has_lasted;
} waiting;

static void wait_for_release(struct probe *probe)
{
    (void)probe;
    waiting.has_lasted = waiting.wait();
}

static void release_after_looks(const struct hark_stall *stall)
{
    if (stall->moment != HARK_STALL_GOES_ON) return;
    if (stall->state == HARK_STALL_WAITS) *waiting.told = witness_told(HARK_STALL_GOES_ON);
    if (witness_count(HARK_STALL_GOES_ON) == WITNESS_LOOKS - 1) waiting.release();
}

bool witness_wait(bool (*wait)(void), void (*release)(void), struct told *waited)
{
    struct probe probe = { .then = wait_for_release };
    memset(waited, 0, sizeof *waited);
    waiting.wait = wait;
    waiting.release = release;
    waiting.told = waited;
    witness_then = release_after_looks;
    witness_begin(20 * HARK_MILLISECOND);
    hark_nop(&probe.op, loop, on_probe);
    await(&probe);
    witness_await(HARK_STALL_OVER, 1);
    hark_stall_unwatch();
    return waiting.has_lasted;
}

/* The environment. */

static int errors_fd;

void catch_errors(void)
{
    char name[] = "/tmp/hark-watch-XXXXXX";
    errors_fd = mkstemp(name);
    ck_assert_int_ge(errors_fd, 0);
    unlink(name);
    ck_assert_int_ge(dup2(errors_fd, STDERR_FILENO), 0);
}

const char *errors(void)
{
    static char text[16384];
    ssize_t len = pread(errors_fd, text, sizeof text - 1, 0);
    text[len < 0 ? 0 : len] = '\0';
    return text;
}

void compute_until_told(struct hark_op *op)
{
    (void)op;
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (strstr(errors(), "submitted at") == NULL)
        ck_assert_msg(clock_now() < end, "nothing was told on stderr");
}

void run_from_environment(const char *value, hark_done_fn *done)
{
    struct hark_loop *own;
    struct hark_op op = { .label = "of the environment" };
    ck_assert_int_eq(setenv("HARK_STALL", value, 1), 0);
    catch_errors();
    ck_assert_int_eq(hark_loop_open(&own, NULL), 0);
    hark_nop(&op, own, done);
    ck_assert_int_eq(hark_run(own), 0);
    hark_loop_close(own);
    hark_stall_unwatch();
}
