/* Promises 8 and 10: what is hot starves nothing else, counted in turns and callbacks, never in
 * time; and what is idle costs nothing. */
#include "groups.h"
#include "harness.h"

#include <netinet/in.h>

/* A connection that never runs dry: each callback feeds the peer one more byte and reads again. */
struct hot {
    struct probe probe;
    struct wire wire;
    char byte;
    bool is_over;
};

static void again(struct probe *probe)
{
    struct hot *hot = probe->arg;
    if (hot->is_over) return;
    ck_assert_int_eq(probe->result, 1);
    write_all(hot->wire.peer, "h", 1);
    hark_recv(&probe->op, &hot->wire.io, &hot->byte, 1, on_probe);
}

static bool hot_open(struct hot *hot, enum wire_kind kind)
{
    memset(hot, 0, sizeof *hot);
    if (!wire_open(&hot->wire, kind)) return false;
    write_all(hot->wire.peer, "hhhhhhhh", 8);
    hot->probe.then = again;
    hot->probe.arg = hot;
    hark_recv(&hot->probe.op, &hot->wire.io, &hot->byte, 1, on_probe);
    return true;
}

static void hot_close(struct hot *hot)
{
    hot->is_over = true;
    wire_close(&hot->wire);
}

enum { HOT = 12 };
static struct hot hots[HOT];

/* Turns that may pass until everyone has had a chance: a small build makes three callbacks a turn
 * and takes two events from epoll, and a visit of the kernel may take two turns. */
enum { FAIR_TURNS = 4 * HOT + 8 };

static bool open_hots(enum wire_kind kind)
{
    for (int i = 0; i < HOT; i++)
        if (!hot_open(&hots[i], kind)) return false;
    spin(FAIR_TURNS);
    for (int i = 0; i < HOT; i++) ck_assert_int_gt(hots[i].probe.calls, 0);
    return true;
}

static void close_hots(void)
{
    for (int i = 0; i < HOT; i++) hot_close(&hots[i]);
}

static int turns_until(const struct probe *probe)
{
    int turns = 0;
    for (; probe->calls == 0; turns++) {
        ck_assert_msg(turns < 10000, "starved");
        ck_assert_int_ge(hark_step(loop, 0), 0);
    }
    return turns;
}

START_TEST(hot_connections_do_not_starve_a_timer)
{
    if (!open_hots((enum wire_kind)_i)) return;
    for (int round = 0; round < 20; round++) {
        struct probe timer = { 0 };
        hark_timer(&timer.op, loop, hark_now(loop), on_probe);
        ck_assert_int_le(turns_until(&timer), FAIR_TURNS);
    }
    close_hots();
}
END_TEST

START_TEST(hot_connections_do_not_starve_a_post)
{
    if (!open_hots((enum wire_kind)_i)) return;
    for (int round = 0; round < 20; round++) {
        struct probe post = { 0 };
        hark_post(&post.op, loop, on_probe);
        ck_assert_int_le(turns_until(&post), FAIR_TURNS);
    }
    close_hots();
}
END_TEST

START_TEST(hot_connections_do_not_starve_a_quiet_one)
{
    struct wire quiet;
    char byte;
    if (!wire_open(&quiet, (enum wire_kind)_i) || !open_hots((enum wire_kind)_i)) return;
    for (int round = 0; round < 20; round++) {
        struct probe receiving = { 0 };
        hark_recv(&receiving.op, &quiet.io, &byte, 1, on_probe);
        spin(round % 4);
        ck_assert_int_eq(receiving.calls, 0);
        write_all(quiet.peer, "q", 1);
        ck_assert_int_le(turns_until(&receiving), FAIR_TURNS);
    }
    close_hots();
    wire_close(&quiet);
}
END_TEST

START_TEST(hot_connections_do_not_starve_a_listener)
{
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i) || !open_hots((enum wire_kind)_i)) return;
    for (int round = 0; round < 10; round++) {
        struct probe accepting = { 0 };
        hark_accept(&accepting.op, &listener.io, on_probe);
        spin(round % 4);
        int fd = listener_dial(&listener);
        ck_assert_int_le(turns_until(&accepting), FAIR_TURNS);
        close((int)accepting.result);
        hark_cancel(&accepting.op);
        await(&accepting);
        close(fd);
    }
    close_hots();
    close_io(&listener.io);
}
END_TEST

START_TEST(hot_connections_share_the_turns_evenly)
{
    if (!open_hots((enum wire_kind)_i)) return;
    int before[HOT], least = INT32_MAX, most = 0;
    for (int i = 0; i < HOT; i++) before[i] = hots[i].probe.calls;
    spin(1000);
    for (int i = 0; i < HOT; i++) {
        int made = hots[i].probe.calls - before[i];
        if (made < least) least = made;
        if (made > most) most = made;
    }
    ck_assert_int_gt(least, 0);
    ck_assert_int_le(most, 3 * least + 10);
    close_hots();
}
END_TEST

/* Promise 8: what a callback submits belongs to the next turn, though it could finish at once. */
START_TEST(one_hot_connection_gets_one_callback_a_turn)
{
    struct hot hot;
    if (!hot_open(&hot, (enum wire_kind)_i)) return;
    for (int turn = 0; turn < 50; turn++) {
        int before = hot.probe.calls;
        spin(1);
        ck_assert_int_le(hot.probe.calls, before + 1);
    }
    ck_assert_int_ge(hot.probe.calls, 10);
    hot_close(&hot);
}
END_TEST

static bool nops_are_over;

static void nop_again(struct probe *probe)
{
    if (!nops_are_over) hark_nop(&probe->op, loop, on_probe);
}

/* Work that never ends and needs no kernel must not keep the loop from looking at the kernel. */
START_TEST(endless_callbacks_do_not_starve_the_kernel_and_the_timers)
{
    struct wire wire;
    struct probe nops[8] = { 0 }, receiving = { 0 }, timer = { 0 };
    char byte;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    nops_are_over = false;
    for (int i = 0; i < 8; i++) {
        nops[i].then = nop_again;
        hark_nop(&nops[i].op, loop, on_probe);
    }
    spin(5);
    hark_recv(&receiving.op, &wire.io, &byte, 1, on_probe);
    write_all(wire.peer, "x", 1);
    ck_assert_int_le(turns_until(&receiving), FAIR_TURNS);
    hark_timer(&timer.op, loop, hark_now(loop), on_probe);
    ck_assert_int_le(turns_until(&timer), FAIR_TURNS);
    nops_are_over = true;
    for (int i = 0; i < 8; i++) await(&nops[i]);
    wire_close(&wire);
}
END_TEST

/* A stream sent without end must not keep a receive on the same io from its turn. */
static void send_again(struct probe *probe)
{
    static char block[64];
    struct wire *wire = probe->arg;
    drain(wire->peer);
    if (probe->result > 0) hark_send(&probe->op, &wire->io, block, sizeof block, on_probe);
}

START_TEST(write_side_does_not_starve_the_read_side)
{
    struct wire wire;
    struct probe sending = { .then = send_again, .arg = &wire };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_send(&sending.op, &wire.io, "x", 1, on_probe);
    for (int round = 0; round < 20; round++) {
        struct probe receiving = { 0 };
        char byte;
        hark_recv(&receiving.op, &wire.io, &byte, 1, on_probe);
        spin(2);
        write_all(wire.peer, "x", 1);
        ck_assert_int_le(turns_until(&receiving), FAIR_TURNS);
    }
    hark_cancel(&sending.op);
    sending.then = NULL;
    await(&sending);
    wire_close(&wire);
}
END_TEST

/* Trap 25 of what users report: receiving datagrams until EAGAIN lets no timer fire. */
static void datagram_again(struct probe *probe)
{
    if (probe->result >= 0) hark_recvfrom(&probe->op, hark_op_io(&probe->op), probe->arg, on_probe);
}

START_TEST(flood_of_datagrams_does_not_starve_a_timer)
{
    struct hark_io io = { 0 };
    struct probe receiving = { 0 }, timer = { 0 };
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof addr;
    char room[8];
    struct hark_datagram datagram = { .data = room, .len = sizeof room };
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_DGRAM, 0), 0);
    ck_assert_int_eq(hark_bind(&io, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(hark_local_address(&io, (struct sockaddr *)&addr, &len), 0);
    int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < 100; i++) sendto(sender, "d", 1, 0, (struct sockaddr *)&addr, len);
    receiving.then = datagram_again;
    receiving.arg = &datagram;
    hark_recvfrom(&receiving.op, &io, &datagram, on_probe);
    spin(3);
    ck_assert_int_lt(receiving.calls, 100);
    hark_timer(&timer.op, loop, hark_now(loop), on_probe);
    ck_assert_int_le(turns_until(&timer), 8);
    close_io(&io);
    close(sender);
}
END_TEST

enum { IDLE = 500, ACTIVE = 3 };
static struct wire idle[IDLE];
static struct probe idle_receiving[IDLE];
static char idle_byte;

/* With select: below FD_SETSIZE, since the peers are moved up. */
static bool open_idle(enum wire_kind kind)
{
    if (!allow_descriptors(2000)) return false;
    for (int i = 0; i < IDLE; i++) {
        if (!wire_open(&idle[i], kind)) return false;
        idle[i].peer = move_up(idle[i].peer, 1100);
        hark_recv(&idle_receiving[i].op, &idle[i].io, &idle_byte, 1, on_probe);
    }
    spin(IDLE); /* a small ring takes four requests at once */
    return true;
}

static void close_idle(void)
{
    for (int i = 0; i < IDLE; i++) wire_close(&idle[i]);
}

/* One step that may sleep long sleeps as long: whatever woke it without a cause would end it. */
START_TEST(idle_connections_wake_nobody)
{
    if (!open_idle((enum wire_kind)_i)) return;
    int64_t begun = clock_now(), worked = processor_now();
    ck_assert_int_eq(hark_step(loop, 100 * HARK_MILLISECOND), 0);
    ck_assert_int_ge(clock_now() - begun, 100 * HARK_MILLISECOND);
    ck_assert_int_lt(processor_now() - worked, 50 * HARK_MILLISECOND);
    close_idle();
}
END_TEST

/* n ready cost n callbacks, and turns of the order of n, whatever the number of idle ones. */
START_TEST(ready_connections_among_idle_ones_cost_turns_for_the_ready_only)
{
    if (!open_idle((enum wire_kind)_i)) return;
    static const int active[ACTIVE] = { 0, IDLE / 2, IDLE - 1 };
    for (int round = 0; round < 50; round++) {
        int turns = 0, made = 0;
        for (int i = 0; i < ACTIVE; i++) write_all(idle[active[i]].peer, "x", 1);
        for (; made < ACTIVE; turns++) {
            ck_assert_int_lt(turns, 50);
            int64_t ran = hark_step(loop, HARK_SECOND);
            ck_assert_int_ge(ran, 0);
            made += (int)ran;
        }
        ck_assert_int_eq(made, ACTIVE);
        ck_assert_int_le(turns, 3 * ACTIVE);
        for (int i = 0; i < ACTIVE; i++) {
            struct probe *probe = &idle_receiving[active[i]];
            ck_assert_int_eq(probe->calls, 1);
            *probe = (struct probe){ 0 };
            hark_recv(&probe->op, &idle[active[i]].io, &idle_byte, 1, on_probe);
        }
    }
    close_idle();
}
END_TEST

/* Interest that is never dropped burns the processor: bytes, room or an end that nobody waits for
 * wake the loop a few times at most. */
START_TEST(readiness_that_nobody_waits_for_is_dropped)
{
    enum { MANY = 10 };
    struct wire wires[MANY];
    struct probe receiving[MANY] = { 0 };
    char byte;
    for (int i = 0; i < MANY; i++) {
        if (!wire_open(&wires[i], (enum wire_kind)_i)) return;
        hark_recv(&receiving[i].op, &wires[i].io, &byte, 1, on_probe);
    }
    spin(3);
    for (int i = 0; i < MANY; i++) {
        write_all(wires[i].peer, "xyz", 3);
        await(&receiving[i]);
        if (i % 2 != 0) continue;
        close(wires[i].peer);
        wires[i].peer = -1;
    }
    int64_t begun = clock_now();
    int turns = 0;
    for (; clock_now() < begun + 50 * HARK_MILLISECOND; turns++)
        ck_assert_int_eq(hark_step(loop, 50 * HARK_MILLISECOND), 0);
    ck_assert_int_le(turns, 3 * MANY + 2);
    for (int i = 0; i < MANY; i++) { /* and asked for again, it is there */
        struct probe next = { 0 };
        hark_recv(&next.op, &wires[i].io, &byte, 1, on_probe);
        await(&next);
        ck_assert_result(&next, 1);
        wire_close(&wires[i]);
    }
}
END_TEST

START_TEST(room_that_nobody_waits_for_is_dropped)
{
    struct wire wire;
    struct probe sending = { 0 };
    static char big[4 << 20];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    hark_send(&sending.op, &wire.io, big, sizeof big, on_probe);
    spin(3);
    hark_cancel(&sending.op);
    await(&sending);
    for (int i = 0; i < 100; i++) drain(wire.peer);
    int64_t begun = clock_now();
    int turns = 0;
    for (; clock_now() < begun + 30 * HARK_MILLISECOND; turns++)
        ck_assert_int_eq(hark_step(loop, 30 * HARK_MILLISECOND), 0);
    ck_assert_int_le(turns, 5);
    wire_close(&wire);
}
END_TEST

Suite *group_starvation(void)
{
    Suite *suite = suite_create("starvation");
    EACH_WIRE(suite, hot_connections_do_not_starve_a_timer);
    EACH_WIRE(suite, hot_connections_do_not_starve_a_post);
    EACH_WIRE(suite, hot_connections_do_not_starve_a_quiet_one);
    EACH_WIRE(suite, hot_connections_do_not_starve_a_listener);
    EACH_WIRE(suite, hot_connections_share_the_turns_evenly);
    EACH_WIRE(suite, one_hot_connection_gets_one_callback_a_turn);
    EACH_WIRE(suite, endless_callbacks_do_not_starve_the_kernel_and_the_timers);
    EACH_WIRE(suite, write_side_does_not_starve_the_read_side);
    CASE(suite, flood_of_datagrams_does_not_starve_a_timer);
    EACH_WIRE(suite, idle_connections_wake_nobody);
    EACH_WIRE(suite, ready_connections_among_idle_ones_cost_turns_for_the_ready_only);
    EACH_WIRE(suite, readiness_that_nobody_waits_for_is_dropped);
    EACH_WIRE(suite, room_that_nobody_waits_for_is_dropped);
    return suite;
}
