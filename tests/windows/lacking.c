/* The groups of what hark does not do on Windows: each verb says so, by its callback where it has
 * one, and nothing is left alive. */
#include <promise/groups.h>
#include <promise/harness.h>

#include <hark/descriptor.h>
#include <hark/systemd.h>

static void check_refused(struct probe *probe)
{
    ck_assert_int_eq(probe->calls, 0);
    await(probe);
    ck_assert_result(probe, HARK_EOPNOTSUPP);
    ck_assert(!probe->op.more);
}

START_TEST(a_loop_is_not_lent)
{
    ck_assert_int_eq(hark_loop_fd(loop), HARK_EOPNOTSUPP);
}
END_TEST

START_TEST(descriptors_in_messages_are_refused_by_the_callback)
{
    struct wire wire;
    struct probe sending = { 0 }, receiving = { 0 };
    char text[1] = "x", room[1];
    struct hark_descriptors out = { .data = text, .len = 1 }, in = { .data = room, .len = 1 };
    struct hark_credentials peer;
    ck_assert(wire_open(&wire, WIRE_TCP4));
    hark_send_descriptors(&sending.op, &wire.io, &out, on_probe);
    check_refused(&sending);
    hark_recv_descriptors(&receiving.op, &wire.io, &in, on_probe);
    check_refused(&receiving);
    ck_assert_int_eq(hark_peer_credentials(&wire.io, &peer), HARK_EOPNOTSUPP);
    wire_close(&wire);
}
END_TEST

START_TEST(no_service_manager_hands_over_or_asks_for_anything)
{
    struct hark_systemd_socket sockets[1];
    ck_assert_int_eq(hark_systemd_sockets(sockets, 1, loop, false), 0);
    ck_assert_int_eq(hark_systemd_notify("READY=1"), 0);
    ck_assert_int_eq(hark_systemd_watchdog_ns(), 0);
}
END_TEST

#define LACKING(group, name)                  \
    Suite *group_##group(void)                \
    {                                         \
        Suite *suite = suite_create(#group);  \
        CASE(suite, name);                    \
        return suite;                         \
    }

LACKING(foreign, a_loop_is_not_lent)
LACKING(descriptors, descriptors_in_messages_are_refused_by_the_callback)
LACKING(systemd, no_service_manager_hands_over_or_asks_for_anything)
