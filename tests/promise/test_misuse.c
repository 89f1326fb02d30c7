/* Promise 13: misuse by the caller ends the process with a line that names the broken promise; what
 * the kernel says never does, it reaches the op. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>

static void expect_abort(void (*misuse)(void), const char *text)
{
    char said[16384]; /* a sanitizer may have its say first */
    bool aborts = ends_by_abort(misuse, said, sizeof said);
    ck_assert_msg(aborts, "%s: no abort, said %s", text, said);
    ck_assert_msg(strstr(said, text) != NULL, "wanted \"%s\", said: %s", text, said);
    ck_assert_ptr_nonnull(strstr(said, "hark: "));
}

static struct hark_op op, other;
static struct hark_io io;
static char byte;

static void nothing(struct hark_op *done) { (void)done; }

static void open_io(struct hark_io *its)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) _exit(3);
    if (hark_io_adopt(its, loop, fds[0]) != 0) _exit(4);
}

static void submit_running_recv_again(void)
{
    open_io(&io);
    hark_recv(&op, &io, &byte, 1, nothing);
    hark_recv(&op, &io, &byte, 1, nothing);
}

static void submit_queued_recv_again(void)
{
    open_io(&io);
    hark_recv(&other, &io, &byte, 1, nothing);
    hark_recv(&op, &io, &byte, 1, nothing);
    hark_timer(&op, loop, 1, nothing);
}

static void submit_nop_again(void)
{
    hark_nop(&op, loop, nothing);
    hark_nop(&op, loop, nothing);
}

static void submit_timer_again(void)
{
    hark_timer(&op, loop, 1, nothing);
    hark_timer_every(&op, loop, 1, 1, nothing);
}

static void post_again(void)
{
    hark_post(&op, loop, nothing);
    hark_post(&op, loop, nothing);
}

static int64_t work_nothing(struct hark_op *its)
{
    (void)its;
    return 0;
}

static void offload_again(void)
{
    hark_offload(&op, loop, HARK_OFFLOAD_WORK, work_nothing, nothing);
    hark_offload(&op, loop, HARK_OFFLOAD_WORK, work_nothing, nothing);
}

static void close_with_an_op_in_use(void)
{
    open_io(&io);
    hark_recv(&op, &io, &byte, 1, nothing);
    hark_close(&op, &io, nothing);
}

START_TEST(an_op_submitted_before_its_last_callback_breaks_promise_2)
{
    expect_abort(submit_running_recv_again, "promise 2");
    expect_abort(submit_queued_recv_again, "promise 2");
    expect_abort(submit_nop_again, "promise 2");
    expect_abort(submit_timer_again, "promise 2");
    expect_abort(post_again, "promise 2");
    expect_abort(offload_again, "promise 2");
    expect_abort(close_with_an_op_in_use, "promise 2");
}
END_TEST

static void run_inside(struct hark_op *its) { (void)hark_run(hark_op_loop(its)); }
static void step_inside(struct hark_op *its) { (void)hark_step(hark_op_loop(its), 0); }
static void close_inside(struct hark_op *its) { hark_loop_close(hark_op_loop(its)); }

static int64_t leaves_a_scope_open(void *arg)
{
    static struct hark_scope scope;
    (void)arg;
    hark_scope_open(&scope, 0);
    return 0;
}

static void end_in_an_open_scope(void) { hark_fiber_main(loop, leaves_a_scope_open, NULL); }

static int64_t leaves_an_op(void *arg)
{
    (void)arg;
    open_io(&io);
    hark_await_start(&op, hark_recv, &io, &byte, 1);
    return 0;
}

static void end_before_an_op(void) { hark_fiber_main(loop, leaves_an_op, NULL); }

static void wait_outside_of_fibers(void) { hark_fiber_sleep(1); }

static int64_t awaits_a_repeating_op(void *arg)
{
    (void)arg;
    return hark_await(&op, hark_timer_every, loop, 1, 1);
}

static void await_what_repeats(void) { hark_fiber_main(loop, awaits_a_repeating_op, NULL); }

static int64_t selects_a_repeating_op(void *arg)
{
    struct hark_case one = { .kind = HARK_CASE_OP, .op = &op };
    (void)arg;
    hark_await_start(&op, hark_timer_every, loop, 1, 1);
    return hark_select(&one, 1);
}

static void select_what_repeats(void) { hark_fiber_main(loop, selects_a_repeating_op, NULL); }

static int64_t locks_twice(void *arg)
{
    struct hark_mutex mutex = { 0 };
    (void)arg;
    hark_mutex_lock(&mutex);
    return hark_mutex_lock(&mutex);
}

static void lock_twice(void) { hark_fiber_main(loop, locks_twice, NULL); }

START_TEST(misuse_of_fibers_and_scopes_names_the_promise_and_the_place)
{
    expect_abort(end_in_an_open_scope, "promise 18");
    expect_abort(end_in_an_open_scope, "test_misuse.c:");
    expect_abort(end_before_an_op, "promise 3");
    expect_abort(wait_outside_of_fibers, "promise 16");
    expect_abort(await_what_repeats, "promise 16");
    expect_abort(select_what_repeats, "promise 16");
    expect_abort(lock_twice, "promise 19");
}
END_TEST

static void run_from_a_callback(void)
{
    hark_nop(&op, loop, run_inside);
    (void)hark_run(loop);
}

static void step_from_a_callback(void)
{
    hark_nop(&op, loop, step_inside);
    (void)hark_step(loop, 0);
}

static void close_from_a_callback(void)
{
    hark_nop(&op, loop, close_inside);
    (void)hark_step(loop, 0);
}

static void *step_elsewhere(void *arg)
{
    (void)hark_step(loop, 0);
    return arg;
}

static void step_from_another_thread(void)
{
    pthread_t thread;
    (void)hark_step(loop, 0);
    if (pthread_create(&thread, NULL, step_elsewhere, NULL) == 0) pthread_join(thread, NULL);
}

/* Trap 23: a nested run. */
START_TEST(a_loop_run_in_its_own_callback_or_by_another_thread_breaks_promise_1)
{
    expect_abort(run_from_a_callback, "promise 1");
    expect_abort(step_from_a_callback, "promise 1");
    expect_abort(close_from_a_callback, "promise 1");
    expect_abort(step_from_another_thread, "promise 1");
}
END_TEST

static void open_twice(void)
{
    open_io(&io);
    open_io(&io);
}

static void open_while_closing(void)
{
    open_io(&io);
    hark_close(&op, &io, nothing);
    open_io(&io);
}

static void receive_on_what_was_never_opened(void)
{
    hark_recv(&op, &io, &byte, 1, nothing);
}

static void close_what_was_never_opened(void)
{
    hark_close(&op, &io, nothing);
}

static void give_what_was_not_handed_out(void)
{
    struct hark_pool *pool;
    if (hark_pool_open(&pool, loop, 2, 16) == 0) hark_pool_give(pool, &byte);
}

static void give_twice(void)
{
    struct hark_pool *pool;
    int fds[2];
    if (hark_pool_open(&pool, loop, 2, 16) != 0) _exit(3);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) _exit(4);
    if (hark_io_adopt(&io, loop, fds[0]) != 0 || write(fds[1], "hark", 4) != 4) _exit(5);
    hark_recv_pool(&op, &io, pool, nothing);
    while (hark_pool_out_count(pool) == 0) hark_step(loop, HARK_SECOND);
    hark_cancel(&op);
    while (hark_is_alive(&op)) hark_step(loop, HARK_SECOND);
    void *data = hark_data(&op);
    hark_pool_give(pool, data);
    hark_pool_give(pool, data);
}

static void accept_what_is_no_connection(void)
{
    open_io(&io);
    hark_cancel(&op);
    (void)hark_accepted(&io, &op);
}

START_TEST(an_io_or_a_buffer_used_against_its_life_breaks_promise_3)
{
    expect_abort(open_twice, "promise 3");
    expect_abort(open_while_closing, "promise 3");
    expect_abort(receive_on_what_was_never_opened, "promise 3");
    expect_abort(close_what_was_never_opened, "promise 3");
    expect_abort(give_what_was_not_handed_out, "promise 3");
    expect_abort(give_twice, "promise 3");
    expect_abort(accept_what_is_no_connection, "promise 3");
}
END_TEST

static void unhold_too_much(void)
{
    hark_hold(loop);
    hark_unhold(loop);
    hark_unhold(loop);
}

START_TEST(an_unhold_without_a_hold_is_named)
{
    expect_abort(unhold_too_much, "hark_unhold()");
}
END_TEST

/* What the kernel says about each verb on a descriptor that cannot do it; recv(2) and its kin name
 * these errors. The same on every backend. */
static void expect_errors(int fd, const int64_t wanted[5])
{
    struct hark_io its = { 0 };
    struct probe probes[5] = { 0 };
    struct sockaddr_storage addr = { .ss_family = AF_UNIX };
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(hark_io_adopt(&its, loop, fd), 0);
    hark_recv(&probes[0].op, &its, &byte, 1, on_probe);
    await(&probes[0]);
    hark_send(&probes[1].op, &its, "x", 1, on_probe);
    await(&probes[1]);
    hark_accept(&probes[2].op, &its, on_probe);
    await(&probes[2]);
    hark_connect(&probes[3].op, &its, (struct sockaddr *)&addr, sizeof(sa_family_t) + 1, on_probe);
    await(&probes[3]);
    hark_shutdown(&probes[4].op, &its, SHUT_WR, on_probe);
    await(&probes[4]);
    for (int i = 0; i < 5; i++) {
        ck_assert_msg(probes[i].result == wanted[i], "%s: verb %d: %s, wanted %s", doing, i,
                      hark_error_name(probes[i].result), hark_error_name(wanted[i]));
        ck_claim(probes[i].os_error > 0 && hark_error_from_os(probes[i].os_error) == wanted[i]);
    }
    close_io(&its);
}

START_TEST(what_the_kernel_refuses_reaches_the_op)
{
    static const int64_t no_socket[5] = { HARK_ENOTSOCK, HARK_ENOTSOCK, HARK_ENOTSOCK,
                                          HARK_ENOTSOCK, HARK_ENOTSOCK };
    int fds[2];
    snprintf(doing, sizeof doing, "a pipe");
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    expect_errors(fds[0], no_socket);
    expect_errors(fds[1], no_socket);
    snprintf(doing, sizeof doing, "a device");
    expect_errors(open("/dev/null", O_RDWR | O_CLOEXEC), no_socket);
    snprintf(doing, sizeof doing, "a regular file");
    expect_errors(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), no_socket);
}
END_TEST

START_TEST(a_full_descriptor_table_is_an_error)
{
    struct rlimit before, narrow;
    struct hark_io its = { 0 };
    struct hark_loop *second;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    narrow = before;
    narrow.rlim_cur = (rlim_t)dup(0);
    close((int)narrow.rlim_cur);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &narrow), 0);
    int socket_error = hark_socket(&its, loop, AF_UNIX, SOCK_STREAM, 0);
    int loop_error = hark_loop_open(&second, NULL);
    setrlimit(RLIMIT_NOFILE, &before);
    ck_assert_int_eq(socket_error, HARK_EMFILE);
    ck_assert(!hark_io_is_open(&its));
    ck_assert_int_eq(loop_error, HARK_EMFILE);
    ck_assert_ptr_null(second);
    ck_assert_int_eq(hark_socket(&its, loop, AF_UNIX, SOCK_STREAM, 0), 0);
    close_io(&its);
}
END_TEST

Suite *group_misuse(void)
{
    Suite *suite = suite_create("misuse");
    BARE_CASE(suite, an_op_submitted_before_its_last_callback_breaks_promise_2);
    BARE_CASE(suite, misuse_of_fibers_and_scopes_names_the_promise_and_the_place);
    BARE_CASE(suite, a_loop_run_in_its_own_callback_or_by_another_thread_breaks_promise_1);
    BARE_CASE(suite, an_io_or_a_buffer_used_against_its_life_breaks_promise_3);
    BARE_CASE(suite, an_unhold_without_a_hold_is_named);
    CASE(suite, what_the_kernel_refuses_reaches_the_op);
    CASE(suite, a_full_descriptor_table_is_an_error);
    return suite;
}
