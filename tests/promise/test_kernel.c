/* Promise 7, and what else depends on the kernel interface: reused and copied descriptors,
 * the limits of select, full rings. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/select.h>

#include "base/limits.h"

/* hark's io on one end of a socket pair, and a receive on it. */
struct duo {
    struct hark_io io;
    struct probe receiving;
    int peer;
    char byte;
};

static void duo_open(struct duo *duo)
{
    int fds[2];
    memset(duo, 0, sizeof *duo);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    duo->peer = fds[1];
    ck_assert_int_eq(hark_io_adopt(&duo->io, loop, fds[0]), 0);
}

static void duo_recv(struct duo *duo)
{
    duo->receiving = (struct probe){ 0 };
    hark_recv(&duo->receiving.op, &duo->io, &duo->byte, 1, on_probe);
}

/* A byte that goes to this io and no other. */
static void duo_check(struct duo *duo, char byte)
{
    write_all(duo->peer, &byte, 1);
    await(&duo->receiving);
    ck_assert_result(&duo->receiving, 1);
    ck_assert_int_eq(duo->byte, byte);
}

static void duo_close(struct duo *duo)
{
    close_io(&duo->io);
    close(duo->peer);
}

/* Nothing comes and nothing wakes the loop. */
static void check_silence(void)
{
    spin(4);
    int64_t begun = clock_now();
    ck_assert_int_eq(hark_step(loop, 10 * HARK_MILLISECOND), 0);
    ck_assert_int_ge(clock_now() - begun, 10 * HARK_MILLISECOND);
}

/* Trap 3. */
START_TEST(reused_descriptor_number_gets_no_event_of_its_predecessor)
{
    struct duo duo, guard;
    duo_open(&guard); /* keeps the loop's tables busy elsewhere */
    duo_recv(&guard);
    duo_open(&duo);
    for (int round = 0; round < 200; round++) {
        int number = duo.io.fd, old_peer = duo.peer;
        duo_recv(&duo);
        if (round % 4 >= 2) spin(1);
        write_all(old_peer, "old", 3); /* an event is pending, the receive may have finished */
        if (round % 2 == 0) spin(1);
        close_io(&duo.io);
        ck_assert_int_eq(duo.receiving.last_calls, 1);
        duo_open(&duo);
        ck_assert_int_eq(duo.io.fd, number);
        duo_recv(&duo);
        spin(2);
        ck_assert_int_eq(duo.receiving.calls, 0);
        close(old_peer); /* the hang-up of the old pair must not reach the new one */
        spin(2);
        ck_assert_int_eq(duo.receiving.calls, 0);
        duo_check(&duo, 'n');
    }
    ck_assert_int_eq(guard.receiving.calls, 0);
    duo_check(&guard, 'g');
    duo_close(&guard);
    duo_close(&duo);
}
END_TEST

/* Trap 2: epoll keeps what is open elsewhere, also after close(2), and then cannot be told to
 * forget it. */
START_TEST(closed_descriptor_with_a_copy_elsewhere_reports_nothing)
{
    struct duo duo;
    for (int round = 0; round < 8; round++) {
        duo_open(&duo);
        duo_recv(&duo);
        if (round % 2 != 0) spin(2);
        int copy = dup(duo.io.fd), old_peer = duo.peer;
        close_io(&duo.io);
        duo_open(&duo); /* in the same memory, mostly with the same number */
        duo_recv(&duo);
        write_all(old_peer, "stale", 5);
        check_silence();
        close(old_peer);
        check_silence();
        ck_assert_int_eq(duo.receiving.calls, 0);
        duo_check(&duo, 'n');
        close(copy);
        duo_close(&duo);
    }
}
END_TEST

START_TEST(released_descriptor_reports_nothing)
{
    struct duo duo;
    duo_open(&duo);
    duo_recv(&duo);
    duo_check(&duo, 'a');
    int fd = hark_io_release(&duo.io), old_peer = duo.peer;
    ck_assert_int_ge(fd, 0);
    duo_open(&duo);
    duo_recv(&duo);
    write_all(old_peer, "stale", 5);
    check_silence();
    close(old_peer);
    check_silence();
    ck_assert_int_eq(duo.receiving.calls, 0);
    close(fd);
    duo_check(&duo, 'n');
    duo_close(&duo);
}
END_TEST

/* A hole left in a table of descriptors shows only when some go and others come. */
START_TEST(ios_closed_out_of_order_leave_the_others_whole)
{
    enum { COUNT = 7 };
    static const int order[] = { 1, 5, 2, 0, 6 };
    static struct duo duos[COUNT];
    for (int i = 0; i < COUNT; i++) duo_open(&duos[i]);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < COUNT; i++) duo_recv(&duos[i]);
        spin(round % 3);
        for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
            struct duo *duo = &duos[(order[i] + round) % COUNT];
            duo_close(duo);
            ck_assert_result(&duo->receiving, HARK_ECANCELED);
        }
        for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
            struct duo *duo = &duos[(order[i] + round) % COUNT];
            duo_open(duo);
            duo_recv(duo);
        }
        for (int i = 0; i < COUNT; i++) duo_check(&duos[i], (char)('a' + i));
    }
    for (int i = 0; i < COUNT; i++) duo_close(&duos[i]);
}
END_TEST

static struct duo victim, heir;
static struct probe closing;

/* In the close's callback the number is free: the heir takes it at once. */
static void inherit(struct probe *probe)
{
    (void)probe;
    duo_open(&heir);
    duo_recv(&heir);
}

static void close_victim(struct probe *probe)
{
    (void)probe;
    if (closing.calls != 0 || hark_is_alive(&closing.op)) return;
    closing.then = inherit;
    hark_close(&closing.op, &victim.io, on_probe);
}

/* Trap 22: an event of the victim is in the same batch as the one whose callback closes it. */
START_TEST(close_in_a_callback_leaves_no_event_of_its_batch_behind)
{
    struct duo killer;
    for (int round = 0; round < 30; round++) {
        closing = (struct probe){ 0 };
        duo_open(round % 2 == 0 ? &killer : &victim);
        duo_open(round % 2 == 0 ? &victim : &killer);
        int number = victim.io.fd;
        duo_recv(&killer);
        killer.receiving.then = close_victim;
        duo_recv(&victim);
        spin(2);
        write_all(victim.peer, "v", 1);
        write_all(killer.peer, "k", 1);
        await(&closing);
        ck_assert_result(&closing, 0);
        ck_assert_int_eq(victim.receiving.last_calls, 1);
        ck_assert_int_eq(heir.io.fd, number);
        spin(4);
        ck_assert_int_eq(heir.receiving.calls, 0);
        duo_check(&heir, 'h');
        duo_close(&heir);
        duo_close(&killer);
        close(victim.peer);
    }
}
END_TEST

static struct duo brief[3];
static struct probe leaving[3];

/* What is left of a closed io is the caller's to spoil. */
static void spoil(struct probe *probe)
{
    struct duo *duo = probe->arg;
    close(duo->peer);
    memset(&duo->io, 0x5a, sizeof duo->io);
}

static void come_and_go(struct probe *probe)
{
    (void)probe;
    for (int i = 0; i < 3; i++) {
        duo_open(&brief[i]);
        duo_recv(&brief[i]);
    }
    for (int i = 0; i < 3; i += 2) {
        leaving[i] = (struct probe){ .then = spoil, .arg = &brief[i] };
        hark_close(&leaving[i].op, &brief[i].io, on_probe);
    }
}

/* All within turns that do not look at the kernel: it need not have heard of any of them. */
START_TEST(ios_that_go_before_the_kernel_knows_them_take_no_other_along)
{
    for (int round = 0; round < 4; round++) {
        struct probe coming = { .then = come_and_go };
        hark_nop(&coming.op, loop, on_probe);
        for (int i = 0; i < 3; i += 2) {
            await(&coming);
            await(&leaving[i]);
        }
        check_silence();
        duo_check(&brief[1], 'b');
        duo_close(&brief[1]);
    }
}
END_TEST

/* However few results a turn may bring. */
START_TEST(descriptors_that_are_gone_keep_no_other_from_being_watched)
{
    enum { GONE = 3 };
    static struct duo gone[GONE], good;
    struct hark_loop *of_fixture = loop;
    ck_assert_int_eq(hark_loop_open(&loop, &(struct hark_loop_options){ .turn_budget = 1 }), 0);
    for (int i = 0; i < GONE; i++) {
        duo_open(&gone[i]);
        duo_recv(&gone[i]);
    }
    duo_open(&good);
    duo_recv(&good);
    for (int i = 0; i < GONE; i++) {
        int fd = gone[i].io.fd;
        hark_cancel(&gone[i].receiving.op);
        close(fd);
    }
    duo_check(&good, 'g');
    for (int i = 0; i < GONE; i++) {
        await(&gone[i].receiving);
        struct probe going = { 0 };
        hark_close(&going.op, &gone[i].io, on_probe);
        await(&going);
        close(gone[i].peer);
    }
    duo_close(&good);
    hark_loop_close(loop);
    loop = of_fixture;
}
END_TEST

/* Trap 14. Select cannot wait for such a descriptor, and must not write beyond its sets. */
static void check_receives_beyond(int number)
{
    struct duo high;
    struct probe receiving = { 0 }, readable = { 0 };
    duo_open(&high);
    int fd = hark_io_release(&high.io);
    ck_assert_int_eq(hark_io_adopt(&high.io, loop, move_up(fd, number)), 0);
    ck_assert_int_ge(high.io.fd, number);
    hark_recv(&receiving.op, &high.io, &high.byte, 1, on_probe);
    hark_ready(&readable.op, &high.io, HARK_READABLE, on_probe);
    ck_assert_int_eq(receiving.calls + readable.calls, 0);
    write_all(high.peer, "xy", 2);
    await(&readable);
    ck_assert_result(&receiving, backend_is("select") ? HARK_EMFILE : 1);
    ck_assert_result(&readable, backend_is("select") ? HARK_EMFILE : 0);
    duo_close(&high);
}

static void check_pool_and_send_beyond(int number)
{
    enum { BYTES = 4 << 20 };
    struct duo high;
    struct hark_pool *pool;
    struct probe receiving = { 0 }, sending = { 0 };
    static char big[BYTES];
    duo_open(&high);
    int fd = hark_io_release(&high.io);
    ck_assert_int_eq(hark_io_adopt(&high.io, loop, move_up(fd, number)), 0);
    ck_assert_int_eq(hark_pool_open(&pool, loop, 2, 16), 0);
    hark_recv_pool(&receiving.op, &high.io, pool, on_probe);
    hark_send(&sending.op, &high.io, big, BYTES, on_probe);
    if (backend_is("select")) {
        await(&receiving);
        ck_assert_result(&receiving, HARK_EMFILE);
        await(&sending);
        ck_assert_result(&sending, HARK_EMFILE);
        ck_assert_uint_eq(hark_sent_bytes(&sending.op), drain(high.peer));
    } else {
        while (sending.calls == 0) {
            drain(high.peer);
            ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        }
        ck_assert_result(&sending, BYTES);
        ck_assert_int_eq(receiving.calls, 0);
    }
    duo_close(&high);
    ck_assert_int_eq(hark_pool_close(pool), 0);
}

static void check_listener_beyond(int number)
{
    struct listener listener;
    struct probe accepting = { 0 };
    ck_assert(listener_open(&listener, WIRE_TCP4));
    int fd = hark_io_release(&listener.io);
    ck_assert_int_eq(hark_io_adopt(&listener.io, loop, move_up(fd, number)), 0);
    hark_accept(&accepting.op, &listener.io, on_probe);
    int client = listener_dial(&listener);
    await_calls(&accepting, 1);
    if (backend_is("select")) {
        ck_assert_result(&accepting, HARK_EMFILE);
        ck_assert_int_eq(accepting.last_calls, 1);
    } else {
        ck_assert_int_ge(accepting.result, 0);
        close((int)accepting.result);
    }
    close(client);
    close_io(&listener.io);
}

START_TEST(descriptors_beyond_the_limit_of_select_answer_emfile_there_and_work_elsewhere)
{
    static const int numbers[] = { FD_SETSIZE, FD_SETSIZE + 1, 2 * FD_SETSIZE + 7, 4321 };
    struct duo low;
    if (!allow_descriptors(5000)) return;
    duo_open(&low);
    duo_recv(&low);
    spin(2);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        check_receives_beyond(numbers[i]);
        check_pool_and_send_beyond(numbers[i]);
        check_listener_beyond(numbers[i]);
    }
    ck_assert_int_eq(low.receiving.calls, 0);
    duo_check(&low, 'l');
    duo_close(&low);
}
END_TEST

/* The alarm of a clock is a descriptor like others. */
START_TEST(a_wall_timer_beyond_the_limit_of_select_answers_emfile_there_and_comes_elsewhere)
{
    static int held[FD_SETSIZE];
    struct probe timer = { 0 };
    int count = 0, turns = 0;
    if (!allow_descriptors(FD_SETSIZE + 50)) return;
    do held[count] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    while (held[count++] < FD_SETSIZE);
    hark_timer_wall(&timer.op, loop, hark_wall_now() + 30 * HARK_MILLISECOND, on_probe);
    for (; timer.calls == 0; turns++) ck_assert_int_ge(hark_step(loop, -1), 0);
    ck_assert_result(&timer, backend_is("select") ? HARK_EMFILE : 0);
    ck_assert_int_le(turns, 20);
    while (count != 0) close(held[--count]);
}
END_TEST

START_TEST(highest_descriptor_of_select_works)
{
    struct duo duo;
    if (!allow_descriptors(FD_SETSIZE + 50)) return;
    duo_open(&duo);
    int fd = hark_io_release(&duo.io);
    ck_assert_int_eq(hark_io_adopt(&duo.io, loop, move_up(fd, FD_SETSIZE - 1)), 0);
    ck_assert_int_eq(duo.io.fd, FD_SETSIZE - 1);
    for (int round = 0; round < 3; round++) {
        duo_recv(&duo);
        spin(2);
        duo_check(&duo, 'x');
    }
    duo_close(&duo);
}
END_TEST

/* Trap 30: in small builds far more than the completion queue holds. */
enum { MANY = 300 };
static struct duo many[MANY];

static bool open_many(void)
{
    if (!allow_descriptors(2000)) return false;
    for (int i = 0; i < MANY; i++) {
        duo_open(&many[i]);
        many[i].peer = move_up(many[i].peer, 1100);
        duo_recv(&many[i]);
    }
    return true;
}

START_TEST(completions_beyond_the_room_of_a_ring_are_not_lost)
{
    if (!open_many()) return;
    for (int round = 0; round < 3; round++) {
        spin(round * MANY);
        for (int i = 0; i < MANY; i++) write_all(many[i].peer, "x", 1);
        for (int i = 0; i < MANY; i++) {
            await(&many[i].receiving);
            ck_assert_result(&many[i].receiving, 1);
        }
        spin(10);
        for (int i = 0; i < MANY; i++) {
            ck_assert_int_eq(many[i].receiving.calls, 1);
            duo_recv(&many[i]);
        }
    }
    for (int i = 0; i < MANY; i++) duo_close(&many[i]);
}
END_TEST

/* A ring says by a flag that completions wait outside of it; without sleep nothing else tells. */
START_TEST(turns_that_do_not_sleep_see_what_overflowed)
{
    if (!open_many()) return;
    spin(MANY);
    for (int i = 0; i < MANY; i++) write_all(many[i].peer, "x", 1);
    spin(4 * MANY);
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(many[i].receiving.calls, 1);
        ck_assert_result(&many[i].receiving, 1);
    }
    for (int i = 0; i < MANY; i++) duo_close(&many[i]);
}
END_TEST

/* The same with the room that a ring really has: all wait for one event. */
START_TEST(more_ops_than_a_ring_has_room_for_may_end_at_one_stroke)
{
    enum { OPS = LIMIT_RING_COMPLETIONS + 300 };
    static struct hark_io ios[OPS];
    static struct probe probes[OPS];
    if (backend_is("select") || !allow_descriptors(OPS + 100)) return;
    int event = eventfd(0, EFD_CLOEXEC);
    for (int i = 0; i < OPS; i++) {
        ck_assert_int_eq(hark_io_adopt(&ios[i], loop, fcntl(event, F_DUPFD_CLOEXEC, 0)), 0);
        hark_ready(&probes[i].op, &ios[i], HARK_READABLE, on_probe);
    }
    spin(3);
    ck_assert_int_eq(probes[0].calls + probes[OPS - 1].calls, 0);
    write_all(event, &(uint64_t){ 1 }, 8);
    for (int turns = 0, ended = 0; ended < OPS; turns++, ended += (int)hark_step(loop, 0))
        ck_assert_int_lt(turns, 2 * OPS);
    for (int i = 0; i < OPS; i++) {
        ck_assert_int_eq(probes[i].calls, 1);
        ck_assert_result(&probes[i], 0);
        close_io(&ios[i]);
    }
    close(event);
}
END_TEST

/* Each cancel is a request, and each has a completion of its own (trap 27). */
START_TEST(cancels_beyond_the_room_of_a_ring_are_not_lost)
{
    if (!open_many()) return;
    for (int round = 0; round < 3; round++) {
        spin(round * MANY);
        for (int i = 0; i < MANY; i++) hark_cancel(&many[i].receiving.op);
        for (int i = 0; i < MANY; i++) {
            await(&many[i].receiving);
            ck_assert_result(&many[i].receiving, HARK_ECANCELED);
        }
        spin(10);
        for (int i = 0; i < MANY; i++) {
            ck_assert_int_eq(many[i].receiving.calls, 1);
            duo_recv(&many[i]);
        }
    }
    for (int i = 0; i < MANY; i++) duo_close(&many[i]);
}
END_TEST

/* More than the submission queue takes, before the ring was ever entered; some are canceled. */
START_TEST(more_ops_than_a_ring_takes_can_wait_for_the_first_turn)
{
    enum { OPS = 900 };
    static struct probe probes[OPS];
    static char bytes[OPS];
    if (!open_many()) return;
    for (int i = 0; i < OPS; i++)
        hark_recv(&probes[i].op, &many[i % MANY].io, &bytes[i], 1, on_probe);
    for (int i = 0; i < MANY; i += 2) hark_cancel(&many[i].receiving.op);
    for (int i = 0; i < OPS; i += 3) hark_cancel(&probes[i].op);
    for (int i = 0; i < MANY; i++) write_all(many[i].peer, "abcd", 4);
    for (int i = 0; i < MANY; i++) {
        await(&many[i].receiving);
        bool is_canceled = many[i].receiving.result == HARK_ECANCELED;
        ck_assert(is_canceled ? i % 2 == 0 : many[i].receiving.result == 1);
    }
    for (int i = 0; i < OPS; i++) {
        await(&probes[i]);
        ck_assert_result(&probes[i], i % 3 == 0 ? HARK_ECANCELED : 1);
    }
    for (int i = 0; i < MANY; i++) duo_close(&many[i]);
}
END_TEST

static struct hark_pool *shared_pool;

static void give_at_once(struct probe *probe)
{
    if (probe->result > 0) hark_pool_give(shared_pool, hark_data(&probe->op));
}

START_TEST(pool_results_beyond_the_room_of_a_ring_are_not_lost)
{
    static struct probe receiving[MANY];
    if (!open_many()) return;
    ck_assert_int_eq(hark_pool_open(&shared_pool, loop, 64, 16), 0);
    for (int i = 0; i < MANY; i++) {
        hark_cancel(&many[i].receiving.op);
        receiving[i].then = give_at_once;
        hark_recv_pool(&receiving[i].op, &many[i].io, shared_pool, on_probe);
    }
    for (int i = 0; i < MANY; i++) await(&many[i].receiving);
    spin(MANY);
    for (int i = 0; i < MANY; i++) write_all(many[i].peer, "x", 1);
    for (int i = 0; i < MANY; i++) await_calls(&receiving[i], 1);
    for (int i = 0; i < MANY; i++) {
        ck_assert_result(&receiving[i], 1);
        ck_assert_int_eq(receiving[i].calls, 1);
        duo_close(&many[i]);
        ck_assert_int_eq(receiving[i].last_calls, 1);
    }
    ck_assert_int_eq(hark_pool_close(shared_pool), 0);
}
END_TEST

Suite *group_kernel(void)
{
    Suite *suite = suite_create("kernel");
    CASE(suite, reused_descriptor_number_gets_no_event_of_its_predecessor);
    CASE(suite, closed_descriptor_with_a_copy_elsewhere_reports_nothing);
    CASE(suite, released_descriptor_reports_nothing);
    CASE(suite, ios_closed_out_of_order_leave_the_others_whole);
    CASE(suite, close_in_a_callback_leaves_no_event_of_its_batch_behind);
    CASE(suite, ios_that_go_before_the_kernel_knows_them_take_no_other_along);
    CASE(suite, descriptors_that_are_gone_keep_no_other_from_being_watched);
    CASE(suite, descriptors_beyond_the_limit_of_select_answer_emfile_there_and_work_elsewhere);
    CASE(suite, a_wall_timer_beyond_the_limit_of_select_answers_emfile_there_and_comes_elsewhere);
    CASE(suite, highest_descriptor_of_select_works);
    CASE(suite, completions_beyond_the_room_of_a_ring_are_not_lost);
    CASE(suite, turns_that_do_not_sleep_see_what_overflowed);
    CASE(suite, more_ops_than_a_ring_has_room_for_may_end_at_one_stroke);
    CASE(suite, cancels_beyond_the_room_of_a_ring_are_not_lost);
    CASE(suite, more_ops_than_a_ring_takes_can_wait_for_the_first_turn);
    CASE(suite, pool_results_beyond_the_room_of_a_ring_are_not_lost);
    return suite;
}
