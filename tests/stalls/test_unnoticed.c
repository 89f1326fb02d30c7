/* A look at a thread is nothing that the thread could notice: no call fails, no signal is lost. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "held.h"

enum { SIGNAL_LOOKS = 10000, RACE_LOOKS = 3000, FEW_LOOKS = 100 };

static struct target target;
static struct capture capture;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* A system call that a child makes and judges. */
struct odd {
    void (*prepare)(struct odd *);
    bool (*is_right)(const struct odd *);
    struct shared *shared;
    long number, arguments[5], result;
    int error;
    bool is_direct;           /* called by name, not through a pointer */
    int64_t took_ns;
};

/* Makes the call in a frame of unknown size, which it is called for through a pointer: such a stack
 * cannot be told from the stack pointer alone, so that a look would like to stop the thread. */
static NOINLINE void call_in_odd_frame(struct odd *odd, size_t bytes)
{
    volatile char *room = __builtin_alloca(bytes);
    room[0] = 1;
    const long *at = odd->arguments;
    odd->result = syscall(odd->number, at[0], at[1], at[2], at[3], at[4], 0L);
    odd->error = errno;
}

static void (*volatile odd_caller)(struct odd *, size_t) = call_in_odd_frame;

static void run_odd(void *arg)
{
    struct odd *odd = arg;
    odd->prepare(odd);
    odd->shared->is_ready = true;
    int64_t began = now_ns();
    size_t bytes = 100 + (size_t)(getpid() % 7) * 16;
    if (odd->is_direct) call_in_odd_frame(odd, bytes);
    else odd_caller(odd, bytes);
    odd->took_ns = now_ns() - began;
    _exit(odd->is_right(odd) ? 0 : 1);
}

static char byte;

static void prepare_receive(struct odd *odd)
{
    int pair[2];
    struct timeval limit = { .tv_usec = 700000 };
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    odd->arguments[0] = pair[0];
    odd->arguments[1] = (long)&byte;
    odd->arguments[2] = 1;
}

static bool is_timed_out(const struct odd *odd)
{
    return odd->result == -1 && odd->error == EAGAIN;
}

static void prepare_wait(struct odd *odd)
{
    static struct epoll_event event;
    odd->arguments[0] = epoll_create1(0);
    odd->arguments[1] = (long)&event;
    odd->arguments[2] = 1;
    odd->arguments[3] = 700;
}

static bool is_nothing(const struct odd *odd)
{
    return odd->result == 0;
}

static const struct timespec sleep_time = { .tv_nsec = 700000000 };

static void prepare_sleep(struct odd *odd)
{
    odd->arguments[0] = CLOCK_MONOTONIC;
    odd->arguments[2] = (long)&sleep_time;
}

static bool has_slept(const struct odd *odd)
{
    return odd->result == 0 && odd->took_ns >= sleep_time.tv_nsec;
}

/* Looks while the child is in its call. Gives how often it was stopped for that. */
static int look_at_odd(struct odd odd)
{
    odd.shared = shared_new();
    pid_t pid = held_start(run_odd, &odd);
    await_true(&odd.shared->is_ready);
    await_call(pid, pid, odd.number);
    open_target(&target, pid);
    int stops = 0, seen = 0;
    for (int i = 0; i < FEW_LOOKS; i++) {
        if (capture_take(&target, pid, NULL, NULL, &capture) != 0) continue;
        seen += capture.call == odd.number;
        stops += capture.stopped_ns > 0;
    }
    ck_assert_int_gt(seen, 0);
    target_close(&target);
    int status = held_wait(pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the call noticed: %x", status);
    return stops;
}

START_TEST(a_receive_with_a_time_out_is_never_interrupted)
{
    const struct odd odd = { prepare_receive, is_timed_out, .number = SYS_recvfrom };
    ck_assert_int_eq(look_at_odd(odd), 0);
}
END_TEST

START_TEST(a_wait_for_events_is_never_interrupted)
{
    const struct odd odd = { prepare_wait, is_nothing, .number = SYS_epoll_wait };
    ck_assert_int_eq(look_at_odd(odd), 0);
}
END_TEST

START_TEST(a_wait_in_a_frame_of_unknown_size_is_walked_by_the_call_of_it)
{
    static struct stack stack;
    struct odd odd = { prepare_wait, is_nothing, .number = SYS_epoll_wait, .is_direct = true };
    odd.shared = shared_new();
    pid_t pid = held_start(run_odd, &odd);
    await_true(&odd.shared->is_ready);
    await_call(pid, pid, odd.number);
    open_target(&target, pid);
    ck_assert_int_eq(capture_take(&target, pid, NULL, NULL, &capture), 0);
    ck_assert_int_eq(capture.stopped_ns, 0);
    ck_assert(!native_is_whole(target.native));
    capture_resolve(&target, &capture, &stack);
    const char *order[] = { "call_in_odd_frame", "run_odd", "main", NULL };
    assert_order(&stack, order);
    target_close(&target);
    held_end(pid);
}
END_TEST

START_TEST(a_sleep_that_was_stopped_sleeps_in_full)
{
    const struct odd odd = { prepare_sleep, has_slept, .number = SYS_clock_nanosleep };
    ck_assert_int_gt(look_at_odd(odd), 0);
}
END_TEST

static void run_and_wait(void *arg)
{
    struct shared *shared = arg;
    struct epoll_event event;
    int epoll = epoll_create1(0);
    shared->is_ready = true;
    while (!shared->wants_end) {
        for (int i = 0; i < 20000; i++) AFTER_CALL;
        if (epoll_wait(epoll, &event, 1, 1) < 0 && errno == EINTR) shared->other++;
        shared->count++;
    }
}

START_TEST(a_wait_that_begins_while_it_is_stopped_is_not_interrupted_either)
{
    struct shared *shared = shared_new();
    pid_t pid = held_start(run_and_wait, shared);
    await_true(&shared->is_ready);
    open_target(&target, pid);
    int stops = 0;
    for (int i = 0; i < RACE_LOOKS || (stops == 0 && i < WAIT_TURNS * RACE_LOOKS); i++) {
        if (capture_take(&target, pid, NULL, NULL, &capture) == 0) stops += capture.stopped_ns > 0;
    }
    ck_assert_int_gt(stops, 0);
    ck_assert_int_eq(shared->other, 0);
    target_close(&target);
    held_end(pid);
}
END_TEST

static struct shared *counts;

static void count_own(int sig)
{
    (void)sig;
    counts->count++;
}

static void count_other(int sig)
{
    (void)sig;
    counts->other++;
}

static void send_to_itself(void *arg)
{
    const union sigval value = { .sival_int = 1 };
    counts = arg;
    signal(SIGRTMIN, count_own);
    signal(SIGRTMIN + 1, count_other);
    counts->is_ready = true;
    long sent = 0;
    while (!counts->wants_end)
        if (sigqueue(getpid(), SIGRTMIN, value) == 0) sent++;
    _exit(sent == counts->count ? 0 : 1);
}

START_TEST(no_signal_is_lost_over_ten_thousand_looks)
{
    const union sigval value = { .sival_int = 1 };
    struct shared *shared = shared_new();
    pid_t pid = held_start(send_to_itself, shared);
    await_true(&shared->is_ready);
    open_target(&target, pid);
    long sent = 0, stops = 0;
    for (int i = 0; i < SIGNAL_LOOKS; i++) {
        if (i % 4 == 0 && sigqueue(pid, SIGRTMIN + 1, value) == 0) sent++;
        if (capture_take(&target, pid, NULL, NULL, &capture) == 0) stops += capture.stopped_ns > 0;
    }
    shared->wants_end = true;
    int status = held_wait(pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it lost its own: %x", status);
    ck_assert_int_eq(shared->other, sent);
    ck_assert_int_gt(stops, SIGNAL_LOOKS / 2);
    ck_assert_int_gt(shared->count, 0);
    target_close(&target);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unnoticed");
    ADD_CASE(suite, a_receive_with_a_time_out_is_never_interrupted);
    ADD_CASE(suite, a_wait_for_events_is_never_interrupted);
    ADD_CASE(suite, a_wait_in_a_frame_of_unknown_size_is_walked_by_the_call_of_it);
    ADD_CASE(suite, a_sleep_that_was_stopped_sleeps_in_full);
    ADD_CASE(suite, a_wait_that_begins_while_it_is_stopped_is_not_interrupted_either);
    ADD_CASE(suite, no_signal_is_lost_over_ten_thousand_looks);
    return unit_run(suite);
}
