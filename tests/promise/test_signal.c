/* Signals as repeating ops: every listener hears, none is lost, and what was there before comes
 * back. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

static int64_t heard;
static volatile sig_atomic_t earlier_calls;

static void count_heard(struct probe *probe)
{
    if (probe->result > 0) heard += probe->result;
}

static void on_earlier(int number)
{
    (void)number;
    earlier_calls++;
}

static void other_handler(int number) { (void)number; }

struct listener_op {
    struct probe probe;
    struct hark_signal signal;
};

static void listen_for(struct listener_op *listener, int number)
{
    *listener = (struct listener_op){ .probe.then = count_heard };
    hark_signal(&listener->probe.op, &listener->signal, loop, number, on_probe);
}

static void end_listening(struct listener_op *listener)
{
    hark_cancel(&listener->probe.op);
    await(&listener->probe);
}

static void await_heard(int64_t wanted)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (heard < wanted) {
        ck_assert(clock_now() < end);
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    }
}

START_TEST(a_signal_calls_back_with_its_sender_until_canceled)
{
    struct listener_op listener;
    listen_for(&listener, SIGUSR1);
    spin(3);
    ck_assert_int_eq(listener.probe.calls, 0);
    for (int i = 1; i <= 5; i++) {
        raise(SIGUSR1);
        ck_assert_int_eq(listener.probe.calls, i - 1); /* not from inside the handler */
        await_heard(i);
        ck_assert_int_eq(listener.probe.calls, i);
        ck_assert_result(&listener.probe, 1);
        ck_assert_int_eq(listener.signal.number, SIGUSR1);
        ck_assert_int_eq(listener.signal.pid, getpid());
        ck_assert_uint_eq(listener.signal.uid, getuid());
    }
    end_listening(&listener);
    ck_assert_result(&listener.probe, HARK_ECANCELED);
    ck_assert_int_eq(listener.probe.last_calls, 1);
    listen_for(&listener, SIGUSR1); /* the struct is idle again */
    raise(SIGUSR1);
    await_heard(6);
    end_listening(&listener);
}
END_TEST

START_TEST(what_cannot_be_heard_is_einval)
{
    static const int numbers[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, 0, -1, 32, 33,
                                   65, 1 << 20 };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct listener_op listener;
        listen_for(&listener, numbers[i]);
        await(&listener.probe);
        ck_assert_result(&listener.probe, HARK_EINVAL);
    }
}
END_TEST

START_TEST(an_earlier_handler_rests_and_is_put_back_by_the_last_listener)
{
    struct listener_op first, second;
    struct sigaction before = { .sa_handler = on_earlier, .sa_flags = SA_NODEFER }, after;
    sigaddset(&before.sa_mask, SIGHUP);
    ck_assert_int_eq(sigaction(SIGUSR2, &before, NULL), 0);
    listen_for(&first, SIGUSR2);
    listen_for(&second, SIGUSR2);
    raise(SIGUSR2);
    await_heard(2);
    end_listening(&first);
    raise(SIGUSR2);
    await_heard(3);
    ck_assert_int_eq(earlier_calls, 0);
    end_listening(&second);
    raise(SIGUSR2);
    ck_assert_int_eq(earlier_calls, 1);
    ck_assert_int_eq(sigaction(SIGUSR2, NULL, &after), 0);
    ck_assert_int_eq(after.sa_flags & SA_NODEFER, SA_NODEFER);
    ck_assert_int_eq(after.sa_flags & SA_SIGINFO, 0);
    ck_assert_int_eq(sigismember(&after.sa_mask, SIGHUP), 1);

    listen_for(&first, SIGUSR2);
    signal(SIGUSR2, other_handler); /* set meanwhile: stays */
    end_listening(&first);
    ck_assert_int_eq(sigaction(SIGUSR2, NULL, &after), 0);
    ck_assert(after.sa_handler == other_handler);
}
END_TEST

START_TEST(the_close_of_the_loop_puts_the_handler_back)
{
    struct listener_op listener;
    struct sigaction after;
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    listen_for(&listener, SIGUSR2);
    hark_loop_close(loop);
    ck_assert_result(&listener.probe, HARK_ECANCELED);
    ck_assert_int_eq(sigaction(SIGUSR2, NULL, &after), 0);
    ck_assert(after.sa_handler == SIG_DFL);
}
END_TEST

/* Each thread takes its own: every delivery is made before the next raise(3). */
enum { STORM = 2500, STORM_THREADS = 4 };

static void *storm(void *arg)
{
    (void)arg;
    for (int i = 0; i < STORM; i++) raise(SIGUSR1);
    return NULL;
}

START_TEST(of_a_storm_from_many_threads_none_is_lost)
{
    struct listener_op first, second;
    pthread_t threads[STORM_THREADS];
    listen_for(&first, SIGUSR1);
    listen_for(&second, SIGUSR1);
    for (int i = 0; i < STORM_THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, storm, NULL), 0);
    await_heard(2 * STORM * STORM_THREADS);
    for (int i = 0; i < STORM_THREADS; i++) pthread_join(threads[i], NULL);
    spin(5);
    ck_assert_int_eq(heard, 2 * STORM * STORM_THREADS);
    end_listening(&first);
    end_listening(&second);
}
END_TEST

static atomic_bool is_over;

static void *storm_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_over)) raise(SIGUSR1);
    return NULL;
}

/* The memory is the caller's after the last callback, whatever the handlers of others do. */
START_TEST(listeners_come_and_go_in_a_storm)
{
    struct listener_op *listeners[3], steady;
    pthread_t thread;
    signal(SIGUSR1, on_earlier);
    listen_for(&steady, SIGUSR1);
    ck_assert_int_eq(pthread_create(&thread, NULL, storm_on, NULL), 0);
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 3; i++) {
            listeners[i] = malloc(sizeof *listeners[i]);
            listen_for(listeners[i], SIGUSR1);
        }
        spin(round % 4);
        for (int i = 0; i < 3; i++) {
            end_listening(listeners[i]);
            ck_assert(listeners[i]->probe.result > 0 ||
                      listeners[i]->probe.result == HARK_ECANCELED);
            memset(listeners[i], 0xff, sizeof *listeners[i]);
            free(listeners[i]);
        }
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    end_listening(&steady);
    ck_assert_int_eq(earlier_calls, 0);
}
END_TEST

struct other_loop { pthread_t thread; atomic_int heard; atomic_bool listens; };

static void on_other(struct hark_op *op)
{
    struct other_loop *other = op->user;
    if (op->result > 0) atomic_fetch_add(&other->heard, (int)op->result);
}

static void *run_other(void *arg)
{
    struct other_loop *other = arg;
    struct hark_loop *own;
    struct hark_op op = { .user = other };
    struct hark_signal signal = { 0 };
    ck_assert_int_eq(hark_loop_open(&own, NULL), 0);
    hark_signal(&op, &signal, own, SIGUSR1, on_other);
    atomic_store(&other->listens, true);
    while (atomic_load(&other->heard) < 3) ck_assert_int_ge(hark_step(own, -1), 0);
    hark_loop_close(own);
    return NULL;
}

/* This thread blocks the signal: any other takes it. */
START_TEST(loops_in_several_threads_all_hear_also_where_it_is_blocked)
{
    struct other_loop others[2] = { 0 };
    struct listener_op listener;
    sigset_t set;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&others[i].thread, NULL, run_other, &others[i]), 0);
        while (!atomic_load(&others[i].listens)) sched_yield();
    }
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    listen_for(&listener, SIGUSR1);
    for (int i = 1; i <= 3; i++) {
        kill(getpid(), SIGUSR1);
        await_heard(i);
        for (int k = 0; k < 2; k++)
            while (atomic_load(&others[k].heard) < i) sched_yield();
    }
    for (int i = 0; i < 2; i++) pthread_join(others[i].thread, NULL);
    end_listening(&listener);
    ck_assert_int_eq(heard, 3);
}
END_TEST

#ifndef __SANITIZE_THREAD__
static int reading[2];
static atomic_bool is_reading;

static void *read_one(void *arg)
{
    char byte;
    (void)arg;
    atomic_store(&is_reading, true);
    return read(reading[0], &byte, 1) == 1 ? &is_reading : NULL;
}

START_TEST(system_calls_of_other_threads_go_on)
{
    struct listener_op listener;
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pipe2(reading, O_CLOEXEC), 0);
    listen_for(&listener, SIGUSR1);
    ck_assert_int_eq(pthread_create(&thread, NULL, read_one, NULL), 0);
    while (!atomic_load(&is_reading)) sched_yield();
    for (int i = 1; i <= 20; i++) {
        pthread_kill(thread, SIGUSR1);
        await_heard(i);
    }
    write_all(reading[1], "x", 1);
    pthread_join(thread, &result);
    ck_assert_ptr_nonnull(result);
    end_listening(&listener);
    close(reading[0]);
    close(reading[1]);
}
END_TEST
#endif

START_TEST(in_a_forked_child_a_signal_does_what_it_did_before_and_wakes_no_parent)
{
    struct listener_op listener;
    int status;
    listen_for(&listener, SIGUSR2);
    ck_assert_int_eq(hark_step(loop, 0), 0);
    pid_t child = fork();
    if (child == 0) {
        raise(SIGUSR2);
        _exit(0); /* not reached: it ends the child, as by default */
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
    int64_t before = clock_now();
    ck_assert_int_eq(hark_step(loop, 30 * HARK_MILLISECOND), 0); /* a wake would end it */
    ck_assert_int_ge(clock_now() - before, 30 * HARK_MILLISECOND);
    ck_assert_int_eq(listener.probe.calls, 0);
    raise(SIGUSR2); /* and here all is as it was */
    await_heard(1);
    end_listening(&listener);
}
END_TEST

START_TEST(what_was_delivered_before_the_end_is_told_by_the_last_callback)
{
    struct listener_op listener;
    listen_for(&listener, SIGTERM);
    raise(SIGTERM);
    raise(SIGTERM);
    end_listening(&listener);
    ck_assert_result(&listener.probe, 2);
    ck_assert_int_eq(listener.probe.calls, 1);
    listener = (struct listener_op){ 0 };
    listener.probe.op.deadline_ns = hark_after(loop, HARK_MILLISECOND);
    hark_signal(&listener.probe.op, &listener.signal, loop, SIGTERM, on_probe);
    await(&listener.probe);
    ck_assert_result(&listener.probe, HARK_ETIMEDOUT);
}
END_TEST

Suite *group_signal(void)
{
    Suite *suite = suite_create("signal");
    CASE(suite, a_signal_calls_back_with_its_sender_until_canceled);
    CASE(suite, what_cannot_be_heard_is_einval);
    CASE(suite, an_earlier_handler_rests_and_is_put_back_by_the_last_listener);
    BARE_CASE(suite, the_close_of_the_loop_puts_the_handler_back);
    CASE(suite, of_a_storm_from_many_threads_none_is_lost);
    CASE(suite, listeners_come_and_go_in_a_storm);
    CASE(suite, loops_in_several_threads_all_hear_also_where_it_is_blocked);
#ifndef __SANITIZE_THREAD__ /* it puts a signal off until the read is over */
    CASE(suite, system_calls_of_other_threads_go_on);
#endif
    CASE(suite, in_a_forked_child_a_signal_does_what_it_did_before_and_wakes_no_parent);
    CASE(suite, what_was_delivered_before_the_end_is_told_by_the_last_callback);
    return suite;
}
