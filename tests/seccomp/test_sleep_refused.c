/* Promise 9 where epoll_pwait2 is missing (before Linux 5.11) or denied: epoll_wait counts whole
 * milliseconds, and the sleep is rounded up. A timer is never early, and the loop does not spin
 * through the rest of a millisecond either (trap 9). */
#include "filter.h"

#include <hark/hark.h>
#include <sys/timerfd.h>
#include <time.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* the same on every architecture */
#endif

static int64_t clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * HARK_SECOND + ts.tv_nsec;
}

static int fired_count;
static int64_t fired_at;

static void fire(struct hark_op *op)
{
    (void)op;
    fired_count++;
    fired_at = clock_now();
}

/* One sleep, one callback, not before its time. */
static void check_timer(struct hark_loop *loop, int64_t delay_ns)
{
    struct hark_op timer = { 0 };
    hark_refresh(loop);
    int64_t when = hark_after(loop, delay_ns);
    int turns = 0;
    fired_count = 0;
    hark_timer(&timer, loop, when, fire);
    for (; fired_count == 0; turns++) CHECK(hark_step(loop, -1) >= 0);
    CHECK(fired_at >= when);
    CHECK(turns == 1);
    CHECK(fired_count == 1);
}

/* A step with a time limit of its own takes at least that long. */
static void check_step(struct hark_loop *loop, int64_t timeout_ns)
{
    int64_t begun = clock_now();
    CHECK(hark_step(loop, timeout_ns) == 0);
    CHECK(clock_now() - begun >= timeout_ns);
}

/* Milliseconds overflow an int after 25 days, and wrap after 50: a long sleep must stay one.
 * Something else ends it: the test would take long otherwise. */
static void check_long_sleep(struct hark_loop *loop, int64_t timeout_ns)
{
    struct itimerspec soon = { .it_value.tv_nsec = 5000000 };
    struct hark_io io = { 0 };
    struct hark_op waiting = { 0 }, closing = { 0 };
    int64_t begun = clock_now();
    CHECK(hark_io_adopt(&io, loop, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) == 0);
    CHECK(timerfd_settime(io.fd, 0, &soon, NULL) == 0);
    hark_ready(&waiting, &io, HARK_READABLE, fire);
    CHECK(hark_step(loop, timeout_ns) == 1);
    CHECK(clock_now() - begun >= 5 * HARK_MILLISECOND);
    hark_close(&closing, &io, fire);
    CHECK(hark_run(loop) == 0);
}

static void sleeps_rounded_up(const struct filter_case *filter_case)
{
    static const int64_t delays[] = { 1, 999, 100 * HARK_MICROSECOND, 999999, HARK_MILLISECOND,
                                      1300 * HARK_MICROSECOND, 2 * HARK_MILLISECOND + 1,
                                      2999999, 3 * HARK_MILLISECOND };
    struct hark_loop *loop;
    errno = 0;
    CHECK(syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, 0) == -1);
    CHECK(errno == filter_case->error);
    CHECK(hark_loop_open(&loop, &(struct hark_loop_options){ .backend = "epoll" }) == 0);
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
            check_timer(loop, delays[i]);
            check_step(loop, delays[i]);
        }
    }
    static const int64_t days[] = { 24, 25, 49, 50, 75, 100000 };
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++)
        check_long_sleep(loop, days[i] * 86400 * HARK_SECOND);
    check_long_sleep(loop, INT64_MAX);
    hark_loop_close(loop);
}

int main(void)
{
    static const struct filter_case cases[] = {
        { "epoll_pwait2 refused with ENOSYS", { SYS_epoll_pwait2 }, 1, ENOSYS, sleeps_rounded_up },
        { "epoll_pwait2 refused with EPERM", { SYS_epoll_pwait2 }, 1, EPERM, sleeps_rounded_up },
    };
    return filter_run_all(cases, sizeof cases / sizeof cases[0]);
}
