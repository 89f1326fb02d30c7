/* Receiving into a pool: buffers go to those whose bytes have arrived, and to nobody else. */
#include "groups.h"
#include "harness.h"

enum { BYTES = 64 /* of a buffer, mostly */, HELD_MAX = 64 };

static struct hark_pool *pool;

static void open_pool(size_t count, size_t bytes)
{
    ck_assert_int_eq(hark_pool_open(&pool, loop, count, bytes), 0);
}

static void close_pool(void)
{
    ck_assert_uint_eq(hark_pool_out_count(pool), 0);
    ck_assert_int_eq(hark_pool_close(pool), 0);
}

/* A repeating receive. It checks the pattern of the stream, and holds its buffers if told to. */
struct receiver {
    struct probe probe;
    size_t got;                 /* bytes of the stream so far */
    bool holds;                 /* keeps its buffers; otherwise they go back at once */
    void *held[HELD_MAX];
    int held_count;
    int cancel_after;           /* cancels itself with so many callbacks; 0: never */
};

static void receive(struct probe *probe)
{
    struct receiver *receiver = probe->arg;
    struct hark_op *op = &probe->op;
    if (op->result <= 0) {
        ck_assert(!op->more);
        return;
    }
    ck_assert(op->more);
    void *data = hark_data(op);
    ck_assert_ptr_nonnull(data);
    pattern_check(data, (size_t)op->result, receiver->got);
    receiver->got += (size_t)op->result;
    ck_assert_int_lt(receiver->held_count, HELD_MAX);
    if (receiver->holds) receiver->held[receiver->held_count++] = data;
    else hark_pool_give(pool, data);
    if (probe->calls == receiver->cancel_after) hark_cancel(op);
}

static void receiver_start(struct receiver *receiver, struct hark_io *io)
{
    receiver->probe = (struct probe){ .then = receive, .arg = receiver };
    hark_recv_pool(&receiver->probe.op, io, pool, on_probe);
}

static void give_back(struct receiver *receiver, int index)
{
    hark_pool_give(pool, receiver->held[index]);
    receiver->held[index] = NULL;
}

static void await_bytes(const struct receiver *receiver, size_t wanted)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (receiver->got < wanted) {
        ck_assert_msg(clock_now() < end, "%zu of %zu bytes came", receiver->got, wanted);
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    }
}

static void write_pattern(const struct wire *wire, size_t offset, size_t len)
{
    char buf[8192];
    ck_assert_uint_le(len, sizeof buf);
    pattern_fill(buf, len, offset);
    write_all(wire->peer, buf, len);
}

static void end_receiver(struct receiver *receiver, struct wire *wire)
{
    wire_close(wire);
    ck_assert_int_eq(receiver->probe.last_calls, 1);
}

START_TEST(bytes_come_in_buffers_of_the_pool_until_canceled)
{
    struct wire wire;
    static struct receiver receiver;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(4, BYTES);
    receiver_start(&receiver, &wire.io);
    ck_assert_int_eq(receiver.probe.calls, 0);
    for (size_t round = 0; round < 20; round++) {
        write_pattern(&wire, round * 10, 10);
        await_bytes(&receiver, round * 10 + 10);
        ck_assert_int_eq(receiver.probe.last_calls, 0);
    }
    hark_cancel(&receiver.probe.op);
    await(&receiver.probe);
    ck_assert_result(&receiver.probe, HARK_ECANCELED);
    wire_close(&wire);
    close_pool();
}
END_TEST

START_TEST(stream_longer_than_all_buffers_comes_whole)
{
    struct wire wire;
    static struct receiver receiver;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(3, BYTES);
    receiver_start(&receiver, &wire.io);
    for (size_t round = 0; round < 10; round++) write_pattern(&wire, round * 8000, 8000);
    await_bytes(&receiver, 80000);
    ck_assert_uint_eq(receiver.got, 80000);
    end_receiver(&receiver, &wire);
    close_pool();
}
END_TEST

START_TEST(end_of_stream_is_last_and_brings_no_buffer)
{
    struct wire wire;
    static struct receiver receiver;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(2, BYTES);
    receiver_start(&receiver, &wire.io);
    write_pattern(&wire, 0, 100);
    close(wire.peer);
    wire.peer = -1;
    await(&receiver.probe);
    ck_assert_result(&receiver.probe, 0);
    ck_assert_uint_eq(receiver.got, 100);
    ck_assert_uint_eq(hark_pool_out_count(pool), 0);
    wire_close(&wire);
    close_pool();
}
END_TEST

START_TEST(reset_is_last_and_brings_no_buffer)
{
    struct wire wire;
    static struct receiver receiver;
    if (_i == WIRE_UNIX || !wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(2, BYTES);
    receiver_start(&receiver, &wire.io);
    spin(2);
    reset_and_close(wire.peer);
    wire.peer = -1;
    await(&receiver.probe);
    ck_assert_result(&receiver.probe, HARK_ECONNRESET);
    ck_assert_uint_eq(hark_pool_out_count(pool), 0);
    wire_close(&wire);
    close_pool();
}
END_TEST

/* Promise 14. With a pinned buffer for each, the active one would starve. */
START_TEST(idle_connections_tie_up_no_buffer)
{
    enum { IDLE = 60 };
    static struct wire wires[IDLE + 1];
    static struct receiver receivers[IDLE + 1];
    open_pool(1, BYTES);
    for (int i = 0; i <= IDLE; i++) {
        if (!wire_open(&wires[i], (enum wire_kind)_i)) goto end;
        receiver_start(&receivers[i], &wires[i].io);
    }
    spin(30);
    ck_assert_uint_eq(hark_pool_out_count(pool), 0);
    for (size_t round = 0; round < 10; round++) {
        write_pattern(&wires[IDLE], round * 50, 50);
        await_bytes(&receivers[IDLE], round * 50 + 50);
    }
    for (int i = 0; i < IDLE; i++) ck_assert_int_eq(receivers[i].probe.calls, 0);
    for (int i = 0; i <= IDLE; i++) end_receiver(&receivers[i], &wires[i]);
end:
    close_pool();
}
END_TEST

START_TEST(one_buffer_serves_many_connections_at_once)
{
    enum { COUNT = 40 };
    static struct wire wires[COUNT];
    static struct receiver receivers[COUNT];
    open_pool(1, BYTES);
    for (int i = 0; i < COUNT; i++) {
        if (!wire_open(&wires[i], (enum wire_kind)_i)) goto end;
        receiver_start(&receivers[i], &wires[i].io);
    }
    for (int i = 0; i < COUNT; i++) write_pattern(&wires[i], 0, 1000);
    for (int i = 0; i < COUNT; i++) await_bytes(&receivers[i], 1000);
    for (int i = 0; i < COUNT; i++) end_receiver(&receivers[i], &wires[i]);
end:
    close_pool();
}
END_TEST

/* Trap 29. The kernel ends a request for want of a buffer; it must go on when one comes back, and
 * not by a timer or by spinning. */
START_TEST(starved_receive_waits_without_spinning_and_goes_on_with_a_buffer)
{
    struct wire wire;
    static struct receiver receiver;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(2, BYTES);
    receiver.holds = true;
    receiver_start(&receiver, &wire.io);
    write_pattern(&wire, 0, 5 * BYTES);
    await_bytes(&receiver, 2 * BYTES);
    spin(10);
    ck_assert_uint_eq(receiver.got, 2 * BYTES);
    ck_assert_uint_eq(hark_pool_out_count(pool), 2);
    int64_t begun = clock_now();
    int turns = 0;
    for (; clock_now() < begun + 30 * HARK_MILLISECOND; turns++)
        ck_assert_int_ge(hark_step(loop, 30 * HARK_MILLISECOND), 0);
    ck_assert_int_le(turns, 4);
    ck_assert_int_eq(receiver.probe.last_calls, 0);
    for (int i = 0; i < 3; i++) {
        give_back(&receiver, i);
        await_bytes(&receiver, (size_t)(3 + i) * BYTES);
        spin(5);
        ck_assert_uint_eq(receiver.got, (size_t)(3 + i) * BYTES);
    }
    for (int i = 3; i < 5; i++) give_back(&receiver, i);
    end_receiver(&receiver, &wire);
    close_pool();
}
END_TEST

/* Whoever starved first is served first: one buffer at a time tells the order. */
START_TEST(starved_receives_resume_in_the_order_they_starved)
{
    enum { COUNT = 6 };
    static struct wire wires[COUNT];
    static struct receiver receivers[COUNT];
    open_pool(1, BYTES);
    for (int i = 0; i < COUNT; i++) {
        if (!wire_open(&wires[i], (enum wire_kind)_i)) goto end;
        receivers[i].holds = true;
    }
    for (int i = 0; i < COUNT; i++) { /* each starves before the next begins */
        receiver_start(&receivers[i], &wires[i].io);
        write_pattern(&wires[i], 0, 10);
        spin(8);
        ck_assert_uint_eq(receivers[i].got, i == 0 ? 10 : 0);
    }
    for (int i = 1; i < COUNT; i++) {
        give_back(&receivers[i - 1], 0);
        await_bytes(&receivers[i], 10);
        spin(8);
        for (int later = i + 1; later < COUNT; later++) ck_assert_uint_eq(receivers[later].got, 0);
    }
    give_back(&receivers[COUNT - 1], 0);
    for (int i = 0; i < COUNT; i++) end_receiver(&receivers[i], &wires[i]);
end:
    close_pool();
}
END_TEST

/* The one that holds the buffer starves at once if what it read was full; the next has no bytes at
 * all; neither may keep the buffer that comes back from the last, which has some. */
START_TEST(starved_receive_without_bytes_keeps_no_buffer_from_those_with)
{
    enum { HOLDER, SILENT, READY, COUNT };
    static struct wire wires[COUNT];
    static struct receiver receivers[COUNT];
    open_pool(1, BYTES);
    for (int i = 0; i < COUNT; i++)
        if (!wire_open(&wires[i], (enum wire_kind)_i)) goto end;
    receivers[HOLDER].holds = true;
    receiver_start(&receivers[HOLDER], &wires[HOLDER].io);
    write_pattern(&wires[HOLDER], 0, BYTES);
    await_bytes(&receivers[HOLDER], BYTES);
    spin(8);
    receiver_start(&receivers[SILENT], &wires[SILENT].io);
    spin(8);
    receiver_start(&receivers[READY], &wires[READY].io);
    write_pattern(&wires[READY], 0, 10);
    spin(8);
    ck_assert_uint_eq(receivers[READY].got, 0);
    give_back(&receivers[HOLDER], 0);
    await_bytes(&receivers[READY], 10);
    write_pattern(&wires[SILENT], 0, 20);
    await_bytes(&receivers[SILENT], 20);
    for (int i = 0; i < COUNT; i++) end_receiver(&receivers[i], &wires[i]);
end:
    close_pool();
}
END_TEST

START_TEST(buffers_given_back_later_and_out_of_order_are_used_again)
{
    enum { COUNT = 5, ROUNDS = 8 };
    static const int order[COUNT] = { 3, 0, 4, 2, 1 };
    struct wire wire;
    static struct receiver receiver;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(COUNT, BYTES);
    receiver.holds = true;
    receiver_start(&receiver, &wire.io);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t before = receiver.got;
        for (size_t i = 0; i < COUNT; i++) {
            write_pattern(&wire, before + i * BYTES, BYTES);
            await_bytes(&receiver, before + (i + 1) * BYTES);
        }
        ck_assert_int_eq(receiver.held_count, COUNT);
        for (int i = 0; i < COUNT; i++) /* what is held must not be written to meanwhile */
            pattern_check(receiver.held[i], BYTES, before + (size_t)i * BYTES);
        for (int i = 0; i < COUNT; i++)
            for (int k = 0; k < i; k++) ck_assert_ptr_ne(receiver.held[i], receiver.held[k]);
        for (int i = 0; i < COUNT; i++) give_back(&receiver, order[i]);
        receiver.held_count = 0;
    }
    end_receiver(&receiver, &wire);
    close_pool();
}
END_TEST

START_TEST(cancel_of_a_starved_receive_keeps_bytes_and_buffers)
{
    struct wire wire;
    static struct receiver first, second;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(1, BYTES);
    first.holds = true;
    receiver_start(&first, &wire.io);
    write_pattern(&wire, 0, 3 * BYTES);
    await_bytes(&first, BYTES);
    spin(5);
    hark_cancel(&first.probe.op);
    await(&first.probe);
    ck_assert_result(&first.probe, HARK_ECANCELED);
    give_back(&first, 0);
    second.got = BYTES; /* goes on in the stream where the first ended */
    receiver_start(&second, &wire.io);
    await_bytes(&second, 3 * BYTES);
    end_receiver(&second, &wire);
    close_pool();
}
END_TEST

START_TEST(cancel_of_a_starved_receive_leaves_its_neighbours_in_the_queue)
{
    enum { COUNT = 5, CANCELED = 2 };
    static struct wire wires[COUNT];
    static struct receiver receivers[COUNT];
    open_pool(1, BYTES);
    for (int i = 0; i < COUNT; i++)
        if (!wire_open(&wires[i], (enum wire_kind)_i)) goto end;
    for (int i = 0; i < COUNT; i++) { /* the first takes the buffer, the others starve in order */
        receivers[i].holds = true;
        receiver_start(&receivers[i], &wires[i].io);
        write_pattern(&wires[i], 0, 10);
        spin(8);
    }
    hark_cancel(&receivers[CANCELED].probe.op);
    await(&receivers[CANCELED].probe);
    ck_assert_result(&receivers[CANCELED].probe, HARK_ECANCELED);
    hark_cancel(&receivers[COUNT - 1].probe.op);
    await(&receivers[COUNT - 1].probe);
    receiver_start(&receivers[COUNT - 1], &wires[COUNT - 1].io);
    spin(8);
    for (int i = 1, last = 0; i < COUNT; i++) {
        if (i == CANCELED) continue;
        give_back(&receivers[last], 0);
        await_bytes(&receivers[i], 10);
        spin(8);
        ck_assert_int_eq(receivers[CANCELED].probe.calls, 1);
        last = i;
    }
    give_back(&receivers[COUNT - 1], 0);
    for (int i = 0; i < COUNT; i++) end_receiver(&receivers[i], &wires[i]);
end:
    close_pool();
}
END_TEST

/* Trap 27: a canceled receive may have got bytes, and a buffer with them, all the same. */
START_TEST(cancel_while_bytes_arrive_loses_no_byte_and_no_buffer)
{
    struct wire wire;
    size_t at = 0;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(2, BYTES);
    for (int round = 0; round < 80; round++) {
        struct receiver receiver = { .got = at };
        receiver.cancel_after = round % 5 == 4;
        receiver_start(&receiver, &wire.io);
        spin(round % 3);
        write_pattern(&wire, at, 100);
        spin(round % 4);
        if (receiver.cancel_after == 0) hark_cancel(&receiver.probe.op);
        await(&receiver.probe);
        ck_assert_result(&receiver.probe, HARK_ECANCELED);
        struct receiver rest = { .got = receiver.got };
        receiver_start(&rest, &wire.io);
        at += 100;
        await_bytes(&rest, at);
        hark_cancel(&rest.probe.op);
        await(&rest.probe);
        ck_assert_uint_eq(hark_pool_out_count(pool), 0);
    }
    wire_close(&wire);
    close_pool();
}
END_TEST

START_TEST(deadline_ends_a_receive_that_got_nothing)
{
    struct wire wire;
    struct probe receiving = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(1, BYTES);
    receiving.op.deadline_ns = hark_after(loop, 2 * HARK_MILLISECOND);
    hark_recv_pool(&receiving.op, &wire.io, pool, on_probe);
    await(&receiving);
    ck_assert_result(&receiving, HARK_ETIMEDOUT);
    ck_assert_int_eq(receiving.calls, 1);
    wire_close(&wire);
    close_pool();
}
END_TEST

START_TEST(pool_in_use_cannot_be_closed)
{
    struct wire wire;
    static struct receiver receiver;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(2, BYTES);
    receiver.holds = true;
    receiver_start(&receiver, &wire.io);
    ck_assert_int_eq(hark_pool_close(pool), HARK_EBUSY);
    spin(3);
    ck_assert_int_eq(hark_pool_close(pool), HARK_EBUSY);
    write_pattern(&wire, 0, 5);
    await_bytes(&receiver, 5);
    ck_assert_uint_eq(hark_pool_out_count(pool), 1);
    end_receiver(&receiver, &wire);
    ck_assert_int_eq(hark_pool_close(pool), HARK_EBUSY);
    give_back(&receiver, 0);
    close_pool();
}
END_TEST

START_TEST(pool_of_no_size_is_refused)
{
    struct hark_pool *none = (struct hark_pool *)(uintptr_t)1;
    ck_assert_int_eq(hark_pool_open(&none, loop, 0, 16), HARK_EINVAL);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(hark_pool_open(&none, loop, 32769, 16), HARK_EINVAL);
    ck_assert_int_eq(hark_pool_open(&none, loop, 1, 0), HARK_EINVAL);
    ck_assert_int_eq(hark_pool_open(&none, loop, 1, ((size_t)1 << 30) + 1), HARK_EINVAL);
    ck_assert_int_eq(hark_pool_close(NULL), 0);
    ck_assert_int_eq(hark_pool_open(&none, loop, 32768, 1), 0);
    ck_assert_int_eq(hark_pool_close(none), 0);
}
END_TEST

START_TEST(pools_are_separate_and_their_memory_can_be_had_again)
{
    struct wire one, two;
    static struct receiver first, second;
    struct hark_pool *other;
    if (!wire_open(&one, (enum wire_kind)_i) || !wire_open(&two, (enum wire_kind)_i)) return;
    for (int round = 0; round < 20; round++) { /* as a server does that opens and closes pools */
        open_pool(3, BYTES);
        ck_assert_int_eq(hark_pool_close(pool), 0);
    }
    open_pool(1, BYTES);
    other = pool;
    open_pool(1, BYTES);
    first.holds = second.holds = true;
    receiver_start(&second, &two.io);
    first.probe = (struct probe){ .then = receive, .arg = &first };
    hark_recv_pool(&first.probe.op, &one.io, other, on_probe);
    write_pattern(&one, 0, 10);
    write_pattern(&two, 0, 20);
    await_bytes(&first, 10);
    await_bytes(&second, 20);
    ck_assert_uint_eq(hark_pool_out_count(other), 1);
    ck_assert_uint_eq(hark_pool_out_count(pool), 1);
    hark_pool_give(other, first.held[0]);
    give_back(&second, 0);
    end_receiver(&first, &one);
    end_receiver(&second, &two);
    ck_assert_int_eq(hark_pool_close(other), 0);
    close_pool();
}
END_TEST

START_TEST(recv_behind_a_canceled_pool_receive_gets_the_next_bytes)
{
    struct wire wire;
    static struct receiver receiver;
    struct probe plain = { 0 };
    char buf[16];
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    open_pool(2, BYTES);
    receiver_start(&receiver, &wire.io);
    hark_recv(&plain.op, &wire.io, buf, sizeof buf, on_probe);
    write_pattern(&wire, 0, 5);
    await_bytes(&receiver, 5);
    ck_assert_int_eq(plain.calls, 0);
    hark_cancel(&receiver.probe.op);
    await(&receiver.probe);
    write_all(wire.peer, "abc", 3);
    await(&plain);
    ck_assert_result(&plain, 3);
    wire_close(&wire);
    close_pool();
}
END_TEST

static void nop_again(struct probe *probe)
{
    if (probe->arg != NULL) return;
    probe->last_calls = 0;
    hark_nop(&probe->op, loop, on_probe);
}

/* The kernel is visited several times between a result and its callback, and says each time that
 * there is more. */
START_TEST(receive_whose_callback_comes_late_gets_the_later_bytes)
{
    enum { BUSY = 12, ROUNDS = 20 };
    struct hark_loop_options options = { .turn_budget = 1 };
    static struct probe busy[BUSY];
    static struct receiver receiver;
    struct wire wire;
    ck_assert_int_eq(hark_loop_open(&loop, &options), 0);
    ck_assert(wire_open(&wire, WIRE_UNIX));
    open_pool(4, BYTES);
    receiver_start(&receiver, &wire.io);
    for (int i = 0; i < BUSY; i++) {
        busy[i].then = nop_again;
        hark_nop(&busy[i].op, loop, on_probe);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        write_pattern(&wire, round * 10, 10);
        spin((int)round);
    }
    await_bytes(&receiver, 10 * ROUNDS);
    for (int i = 0; i < BUSY; i++) {
        busy[i].arg = &busy;
        await(&busy[i]);
    }
    end_receiver(&receiver, &wire);
    close_pool();
    hark_loop_close(loop);
}
END_TEST

Suite *group_pool(void)
{
    Suite *suite = suite_create("pool");
    EACH_WIRE(suite, bytes_come_in_buffers_of_the_pool_until_canceled);
    EACH_WIRE(suite, stream_longer_than_all_buffers_comes_whole);
    EACH_WIRE(suite, end_of_stream_is_last_and_brings_no_buffer);
    EACH_WIRE(suite, reset_is_last_and_brings_no_buffer);
    EACH_WIRE(suite, idle_connections_tie_up_no_buffer);
    EACH_WIRE(suite, one_buffer_serves_many_connections_at_once);
    EACH_WIRE(suite, starved_receive_waits_without_spinning_and_goes_on_with_a_buffer);
    EACH_WIRE(suite, starved_receives_resume_in_the_order_they_starved);
    EACH_WIRE(suite, starved_receive_without_bytes_keeps_no_buffer_from_those_with);
    EACH_WIRE(suite, buffers_given_back_later_and_out_of_order_are_used_again);
    EACH_WIRE(suite, cancel_of_a_starved_receive_keeps_bytes_and_buffers);
    EACH_WIRE(suite, cancel_of_a_starved_receive_leaves_its_neighbours_in_the_queue);
    EACH_WIRE(suite, cancel_while_bytes_arrive_loses_no_byte_and_no_buffer);
    EACH_WIRE(suite, deadline_ends_a_receive_that_got_nothing);
    EACH_WIRE(suite, pool_in_use_cannot_be_closed);
    CASE(suite, pool_of_no_size_is_refused);
    EACH_WIRE(suite, pools_are_separate_and_their_memory_can_be_had_again);
    BARE_CASE(suite, receive_whose_callback_comes_late_gets_the_later_bytes);
    EACH_WIRE(suite, recv_behind_a_canceled_pool_receive_gets_the_next_bytes);
    return suite;
}
