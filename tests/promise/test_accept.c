/* accept: one callback a connection, none lost, until it is canceled; and what happens when there
 * is no descriptor left for them. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

enum { ROOM = 400 };

/* An accept that keeps what it accepted. */
struct acceptor {
    struct probe probe;
    struct hark_io ios[ROOM];
    int accepted;
    int errors;         /* with `more` */
    int64_t error;      /* the latest of these */
    int cancel_after;   /* cancels itself when so many were accepted; 0: never */
};

static void keep(struct probe *probe)
{
    struct acceptor *acceptor = probe->arg;
    struct hark_op *op = &probe->op;
    if (op->result >= 0) {
        ck_assert_int_lt(acceptor->accepted, ROOM);
        ck_assert_int_eq(hark_accepted(&acceptor->ios[acceptor->accepted++], op), 0);
        if (acceptor->accepted == acceptor->cancel_after) hark_cancel(op);
    } else if (op->more) {
        acceptor->errors++;
        acceptor->error = op->result;
    }
}

static struct acceptor *accept_on(struct listener *listener)
{
    struct acceptor *acceptor = calloc(1, sizeof *acceptor);
    ck_assert_ptr_nonnull(acceptor);
    acceptor->probe.then = keep;
    acceptor->probe.arg = acceptor;
    hark_accept(&acceptor->probe.op, &listener->io, on_probe);
    return acceptor;
}

static void await_accepted(struct acceptor *acceptor, int count)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (acceptor->accepted < count) {
        ck_assert_msg(clock_now() < end, "%d of %d accepted", acceptor->accepted, count);
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    }
}

/* Closes all that is open. */
static void acceptor_end(struct acceptor *acceptor, struct listener *listener)
{
    close_io(&listener->io);
    ck_assert_int_eq(acceptor->probe.last_calls, 1);
    for (int i = 0; i < acceptor->accepted; i++) close_io(&acceptor->ios[i]);
    free(acceptor);
}

static void dial(const struct listener *listener, int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        fds[i] = listener_dial(listener);
        ck_assert_int_ge(fds[i], 0);
    }
}

/* Each must still be there: a reserve descriptor that was not taken back would be closed a second
 * time, under a number that is somebody else's by then. */
static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++) ck_assert_int_eq(close(fds[i]), 0);
}

START_TEST(each_connection_is_one_callback_with_more_set)
{
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    struct acceptor *acceptor = accept_on(&listener);
    spin(5);
    ck_assert_int_eq(acceptor->probe.calls, 0);
    for (int i = 0; i < 5; i++) {
        int fd;
        dial(&listener, &fd, 1);
        await_accepted(acceptor, i + 1);
        ck_assert_int_eq(acceptor->probe.calls, i + 1);
        ck_assert_int_eq(acceptor->probe.last_calls, 0);
        ck_assert(acceptor->probe.op.more);
        ck_assert_int_ne(fcntl(acceptor->ios[i].fd, F_GETFD) & FD_CLOEXEC, 0);
        close(fd);
    }
    acceptor_end(acceptor, &listener);
}
END_TEST

START_TEST(accepted_connection_carries_bytes_both_ways)
{
    struct listener listener;
    struct probe receiving = { 0 }, sending = { 0 };
    char buf[8];
    int fd;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    struct acceptor *acceptor = accept_on(&listener);
    dial(&listener, &fd, 1);
    await_accepted(acceptor, 1);
    write_all(fd, "ping", 4);
    hark_recv(&receiving.op, &acceptor->ios[0], buf, sizeof buf, on_probe);
    hark_send(&sending.op, &acceptor->ios[0], "pong", 4, on_probe);
    await(&receiving);
    await(&sending);
    ck_assert_result(&receiving, 4);
    ck_assert_result(&sending, 4);
    ck_assert_int_eq(read(fd, buf, sizeof buf), 4);
    ck_assert_int_eq(memcmp(buf, "pong", 4), 0);
    close(fd);
    acceptor_end(acceptor, &listener);
}
END_TEST

/* More than an accept burst, a turn's budget and (in small builds) a completion queue. */
START_TEST(send_on_an_accepted_connection_whose_peer_is_gone_raises_no_signal)
{
    struct listener listener;
    char bytes[1000] = "";
    int fd;
    ck_assert(listener_open(&listener, WIRE_TCP4));
    struct acceptor *acceptor = accept_on(&listener);
    dial(&listener, &fd, 1);
    await_accepted(acceptor, 1);
    close(fd);
    for (int64_t result = 0; result != HARK_EPIPE;) { /* after a reset, perhaps */
        struct probe sent = { 0 };
        hark_send(&sent.op, &acceptor->ios[0], bytes, sizeof bytes, on_probe);
        await(&sent);
        result = sent.result;
    }
    acceptor_end(acceptor, &listener);
}
END_TEST

START_TEST(burst_of_connections_is_accepted_whole)
{
    enum { COUNT = 300 };
    static int fds[COUNT];
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    struct acceptor *acceptor = accept_on(&listener);
    dial(&listener, fds, COUNT);
    await_accepted(acceptor, COUNT);
    spin(5);
    ck_assert_int_eq(acceptor->accepted, COUNT);
    ck_assert_int_eq(acceptor->errors, 0);
    for (int i = 0; i < COUNT; i++) write_all(fds[i], "x", 1);
    for (int i = 0; i < COUNT; i++) {
        struct probe receiving = { 0 };
        char byte;
        hark_recv(&receiving.op, &acceptor->ios[i], &byte, 1, on_probe);
        await(&receiving);
        ck_assert_result(&receiving, 1);
    }
    close_all(fds, COUNT);
    acceptor_end(acceptor, &listener);
}
END_TEST

/* Promise 8: many that wait at once are not all accepted in one turn, while a timer is due. */
START_TEST(burst_of_connections_starves_no_timer)
{
    enum { COUNT = 300 };
    static int fds[COUNT];
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    dial(&listener, fds, COUNT);
    struct acceptor *acceptor = accept_on(&listener);
    for (int turns = 0; acceptor->accepted < COUNT; turns++) {
        struct probe timer = { 0 };
        int before = acceptor->accepted;
        ck_assert_int_lt(turns, 10 * COUNT);
        hark_timer(&timer.op, loop, hark_now(loop), on_probe);
        while (timer.calls == 0) ck_assert_int_ge(hark_step(loop, 0), 0);
        ck_assert_int_le(acceptor->accepted - before, COUNT / 2);
    }
    close_all(fds, COUNT);
    acceptor_end(acceptor, &listener);
}
END_TEST

START_TEST(connections_that_waited_before_the_accept_are_accepted)
{
    int fds[20];
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    dial(&listener, fds, 20);
    struct acceptor *acceptor = accept_on(&listener);
    ck_assert_int_eq(acceptor->probe.calls, 0);
    await_accepted(acceptor, 20);
    close_all(fds, 20);
    acceptor_end(acceptor, &listener);
}
END_TEST

/* Every connection comes from the first accept or from the second, whatever the moment. */
static void cancel_at(struct listener *listener, int turns, int cancel_after)
{
    enum { COUNT = 40 };
    int fds[COUNT];
    dial(listener, fds, COUNT);
    struct acceptor *first = accept_on(listener);
    first->cancel_after = cancel_after;
    spin(turns);
    if (cancel_after == 0) hark_cancel(&first->probe.op);
    await(&first->probe);
    ck_assert_result(&first->probe, HARK_ECANCELED);
    ck_assert_int_eq(first->probe.calls, first->accepted + 1);
    int got = first->accepted;
    spin(3);
    ck_assert_int_eq(first->accepted, got);
    struct acceptor *second = accept_on(listener);
    await_accepted(second, COUNT - got);
    hark_cancel(&second->probe.op);
    await(&second->probe);
    for (int i = 0; i < COUNT; i++) write_all(fds[i], "x", 1);
    for (int i = 0; i < COUNT; i++) {
        struct hark_io *io = i < got ? &first->ios[i] : &second->ios[i - got];
        struct probe receiving = { 0 };
        char byte;
        hark_recv(&receiving.op, io, &byte, 1, on_probe);
        await(&receiving);
        ck_assert_result(&receiving, 1);
        close_io(io);
    }
    close_all(fds, COUNT);
    free(first);
    free(second);
}

START_TEST(cancel_while_connections_wait_loses_none)
{
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    for (int turns = 0; turns < 6; turns++) cancel_at(&listener, turns, 0);
    close_io(&listener.io);
}
END_TEST

START_TEST(cancel_inside_the_callback_of_a_connection_loses_none)
{
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    for (int after = 1; after < 40; after += 9) cancel_at(&listener, 0, after);
    close_io(&listener.io);
}
END_TEST

START_TEST(accept_deadline_ends_it_with_etimedout)
{
    struct listener listener;
    struct probe accepting = { 0 };
    ck_assert(listener_open(&listener, WIRE_TCP4));
    int64_t due = hark_after(loop, 3 * HARK_MILLISECOND);
    accepting.op.deadline_ns = due;
    hark_accept(&accepting.op, &listener.io, on_probe);
    await(&accepting);
    ck_assert_result(&accepting, HARK_ETIMEDOUT);
    ck_assert_int_eq(accepting.calls, 1);
    ck_assert_int_ge(accepting.time_ns, due);
    close_io(&listener.io);
}
END_TEST

START_TEST(accept_where_nobody_listens_ends_with_einval)
{
    struct hark_io io = { 0 };
    struct probe accepting = { 0 };
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_STREAM, 0), 0);
    hark_accept(&accepting.op, &io, on_probe);
    ck_assert_int_eq(accepting.calls, 0);
    await(&accepting);
    ck_assert_result(&accepting, HARK_EINVAL);
    ck_assert(is_system_error(accepting.os_error, EINVAL));
    ck_assert(!accepting.op.more);
    close_io(&io);
}
END_TEST

/* The refusal above must not cost later listeners the repeating form. */
START_TEST(accept_works_after_another_was_refused)
{
    struct hark_io io = { 0 };
    struct probe refused = { 0 };
    struct listener listener;
    int fds[10];
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_STREAM, 0), 0);
    hark_accept(&refused.op, &io, on_probe);
    await(&refused);
    ck_assert(listener_open(&listener, WIRE_TCP4));
    struct acceptor *acceptor = accept_on(&listener);
    dial(&listener, fds, 10);
    await_accepted(acceptor, 10);
    close_all(fds, 10);
    acceptor_end(acceptor, &listener);
    close_io(&io);
}
END_TEST

/* A second accept on one listener waits for its turn: one op a side is at work. */
START_TEST(second_accept_goes_on_where_the_first_ended)
{
    struct listener listener;
    int fds[4];
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    struct acceptor *first = accept_on(&listener), *second = accept_on(&listener);
    dial(&listener, fds, 2);
    await_accepted(first, 2);
    ck_assert_int_eq(second->probe.calls, 0);
    hark_cancel(&first->probe.op);
    await(&first->probe);
    dial(&listener, fds + 2, 2);
    await_accepted(second, 2);
    ck_assert_int_eq(first->accepted, 2);
    close_all(fds, 4);
    for (int i = 0; i < 2; i++) close_io(&first->ios[i]);
    free(first);
    acceptor_end(second, &listener);
}
END_TEST

/* A descriptor that the callback does not want may be kept as it is. */
START_TEST(accepted_descriptor_that_is_not_taken_is_the_callers)
{
    struct listener listener;
    struct probe accepting = { 0 };
    int fd;
    ck_assert(listener_open(&listener, WIRE_UNIX));
    hark_accept(&accepting.op, &listener.io, on_probe);
    dial(&listener, &fd, 1);
    await_calls(&accepting, 1);
    ck_assert_int_ge(accepting.result, 0);
    ck_assert_int_eq(fcntl((int)accepting.result, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    write_all((int)accepting.result, "x", 1);
    close((int)accepting.result);
    close(fd);
    close_io(&listener.io);
}
END_TEST

/* Uses up every descriptor number below a limit put just above the highest one in use. */
static int fill_table(int *fillers, struct rlimit *was)
{
    int count = 0, top = dup(0);
    ck_assert_int_ge(top, 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, was), 0);
    struct rlimit low = { .rlim_cur = (rlim_t)top + 3, .rlim_max = was->rlim_max };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    fillers[count++] = top;
    for (int fd; (fd = dup(0)) >= 0;) {
        ck_assert_int_lt(count, ROOM);
        fillers[count++] = fd;
    }
    ck_assert_int_eq(errno, EMFILE);
    return count;
}

static void empty_table(const int *fillers, int count, const struct rlimit *was)
{
    close_all(fillers, count);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, was), 0);
}

/* Trap 17. Those who wait are told at once by the end of their connection; the loop sleeps between
 * its attempts instead of spinning on EMFILE; and afterwards all is as before. */
START_TEST(full_descriptor_table_is_drained_and_backed_off_from)
{
    enum { WAITING = 10, WATCHED_MS = 100 };
    static int fillers[ROOM];
    int fds[WAITING], later;
    struct rlimit was;
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    dial(&listener, fds, WAITING);
    int filler_count = fill_table(fillers, &was);
    struct acceptor *acceptor = accept_on(&listener);
    int64_t begun = clock_now(), worked = processor_now();
    int turns = 0;
    for (; clock_now() < begun + WATCHED_MS * HARK_MILLISECOND; turns++)
        ck_assert_int_ge(hark_step(loop, 10 * HARK_MILLISECOND), 0);
    worked = processor_now() - worked;
    int64_t passed_ms = (clock_now() - begun) / HARK_MILLISECOND + 1;
    ck_assert_int_ge(acceptor->errors, 1);
    ck_assert_int_eq(acceptor->error, HARK_EMFILE);
    ck_assert_int_eq(acceptor->accepted, 0);
    ck_assert_int_le(acceptor->errors, passed_ms + 2); /* the shortest back-off is 1 ms */
    ck_assert_int_le(turns, 6 * passed_ms + 20);
    ck_assert_int_lt(worked, WATCHED_MS * HARK_MILLISECOND * 8 / 10);
    for (int i = 0; i < WAITING; i++)
        ck_assert_msg(is_ready(fds[i], POLLIN | POLLHUP, 0), "client %d was left waiting", i);
    empty_table(fillers, filler_count, &was);
    dial(&listener, &later, 1);
    await_accepted(acceptor, 1);
    ck_assert_int_eq(acceptor->probe.last_calls, 0);
    close(later);
    close_all(fds, WAITING);
    acceptor_end(acceptor, &listener);
}
END_TEST

/* Linux wants a descriptor before it looks for a connection, and so says EMFILE to an accept that
 * only waits: nobody was refused, so that is no error. */
START_TEST(full_descriptor_table_is_no_error_while_nobody_waits)
{
    static int fillers[ROOM];
    int fds[2];
    struct rlimit was;
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    dial(&listener, &fds[0], 1);
    fds[1] = socket(listener.addr.ss_family, SOCK_STREAM, 0);
    int filler_count = fill_table(fillers, &was);
    close(fillers[--filler_count]);
    struct acceptor *acceptor = accept_on(&listener);
    await_accepted(acceptor, 1); /* the next one is looked for at once */
    for (int64_t end = clock_now() + 60 * HARK_MILLISECOND; clock_now() < end;)
        ck_assert_int_ge(hark_step(loop, 10 * HARK_MILLISECOND), 0);
    ck_assert_int_eq(acceptor->errors, 0);
    ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&listener.addr, listener.len), 0);
    await_calls(&acceptor->probe, 2);
    ck_assert_int_eq(acceptor->errors, 1);
    ck_assert_int_eq(acceptor->error, HARK_EMFILE);
    ck_assert(is_ready(fds[1], POLLIN | POLLHUP, 5000));
    empty_table(fillers, filler_count, &was);
    close_all(fds, 2);
    acceptor_end(acceptor, &listener);
}
END_TEST

/* Whatever the kernel says to the op, which would have it wait or be tried again: its end was asked
 * for. */
static void cancel_with_full_table(struct listener *listener, int turns, bool is_somebody_waiting)
{
    static int fillers[ROOM];
    int fd = -1;
    struct rlimit was;
    struct probe accepting = { 0 };
    if (is_somebody_waiting) dial(listener, &fd, 1);
    int filler_count = fill_table(fillers, &was);
    hark_accept_one(&accepting.op, &listener->io, on_probe);
    spin(turns);
    hark_cancel(&accepting.op);
    spin(3);
    empty_table(fillers, filler_count, &was);
    await(&accepting);
    ck_assert_result(&accepting, HARK_ECANCELED);
    ck_assert_int_eq(accepting.calls, 1);
    if (is_somebody_waiting) close(fd);
}

START_TEST(cancel_of_an_accept_that_finds_no_descriptor_is_not_forgotten)
{
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    for (int turns = 0; turns < 4; turns++) {
        cancel_with_full_table(&listener, turns, false);
        cancel_with_full_table(&listener, turns, true);
    }
    close_io(&listener.io);
}
END_TEST

START_TEST(reserve_descriptor_serves_a_second_time)
{
    static int fillers[ROOM];
    int fds[2];
    struct rlimit was;
    struct listener listener;
    ck_assert(listener_open(&listener, WIRE_TCP4));
    for (int round = 0; round < 3; round++) {
        dial(&listener, fds, 2);
        int filler_count = fill_table(fillers, &was);
        struct acceptor *acceptor = accept_on(&listener);
        await_calls(&acceptor->probe, 1);
        ck_assert_int_eq(acceptor->error, HARK_EMFILE);
        for (int i = 0; i < 2; i++) ck_assert(is_ready(fds[i], POLLIN | POLLHUP, 1000));
        hark_cancel(&acceptor->probe.op); /* while it is backed off */
        await(&acceptor->probe);
        ck_assert_result(&acceptor->probe, HARK_ECANCELED);
        empty_table(fillers, filler_count, &was);
        close_all(fds, 2);
        free(acceptor);
    }
    close_io(&listener.io);
}
END_TEST

START_TEST(listener_closes_while_it_is_backed_off)
{
    static int fillers[ROOM];
    int fd;
    struct rlimit was;
    struct listener listener;
    ck_assert(listener_open(&listener, WIRE_TCP4));
    dial(&listener, &fd, 1);
    int filler_count = fill_table(fillers, &was);
    struct acceptor *acceptor = accept_on(&listener);
    await_calls(&acceptor->probe, 1);
    close_io(&listener.io);
    ck_assert_int_eq(acceptor->probe.last_calls, 1);
    ck_assert_result(&acceptor->probe, HARK_ECANCELED);
    empty_table(fillers, filler_count, &was);
    close(fd);
    free(acceptor);
}
END_TEST

Suite *group_accept(void)
{
    Suite *suite = suite_create("accept");
    EACH_WIRE(suite, each_connection_is_one_callback_with_more_set);
    EACH_WIRE(suite, accepted_connection_carries_bytes_both_ways);
    CASE(suite, send_on_an_accepted_connection_whose_peer_is_gone_raises_no_signal);
    EACH_WIRE(suite, burst_of_connections_is_accepted_whole);
    EACH_WIRE(suite, burst_of_connections_starves_no_timer);
    EACH_WIRE(suite, connections_that_waited_before_the_accept_are_accepted);
    EACH_WIRE(suite, cancel_while_connections_wait_loses_none);
    EACH_WIRE(suite, cancel_inside_the_callback_of_a_connection_loses_none);
    CASE(suite, accept_deadline_ends_it_with_etimedout);
    CASE(suite, accept_where_nobody_listens_ends_with_einval);
    CASE(suite, accept_works_after_another_was_refused);
    EACH_WIRE(suite, second_accept_goes_on_where_the_first_ended);
    CASE(suite, accepted_descriptor_that_is_not_taken_is_the_callers);
    EACH_WIRE(suite, full_descriptor_table_is_drained_and_backed_off_from);
    EACH_WIRE(suite, full_descriptor_table_is_no_error_while_nobody_waits);
    EACH_WIRE(suite, cancel_of_an_accept_that_finds_no_descriptor_is_not_forgotten);
    CASE(suite, reserve_descriptor_serves_a_second_time);
    CASE(suite, listener_closes_while_it_is_backed_off);
    return suite;
}
