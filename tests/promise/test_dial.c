/* Connections by name: Happy Eyeballs after RFC 8305, against a name server and dead addresses of
 * the test's own, in a network namespace where that is permitted: nothing leaves it.
 *
 * An address that is dead swallows what comes: a listener whose queue is full, so that the kernel
 * drops every further attempt. Whether attempts overlap is seen by who got a connection, not by a
 * clock; delays are made so long or so short that they cannot matter, or must. */
#include "dns_server.h"
#include "groups.h"
#include "harness.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/un.h>

static const struct entry entries[] = {
    { "both.test", TYPE_A, REPLY_ANSWER, "127.0.0.1" },
    { "both.test", TYPE_AAAA, REPLY_ANSWER, "::1" },
    { "many.test", TYPE_A, REPLY_ANSWER, "127.0.0.2;127.0.0.3;127.0.0.1" },
    { "four.test", TYPE_A, REPLY_ANSWER, "127.0.0.1" },
    { "slow6.test", TYPE_A, REPLY_ANSWER, "127.0.0.1" },
    { "slow6.test", TYPE_AAAA, REPLY_HELD, "::1" },
    { "silent6.test", TYPE_A, REPLY_ANSWER, "127.0.0.1" },
    { "silent6.test", TYPE_AAAA, REPLY_SILENCE, NULL },
    { "slow4.test", TYPE_A, REPLY_HELD, "127.0.0.1" },
    { "slow4.test", TYPE_AAAA, REPLY_ANSWER, "::1" },
    { "silent.test", TYPE_A, REPLY_SILENCE, NULL },
    { "silent.test", TYPE_AAAA, REPLY_SILENCE, NULL },
    { "nowhere4.test", TYPE_A, REPLY_ANSWER, "127.0.0.1" },
    { "nowhere4.test", TYPE_AAAA, REPLY_ANSWER, "2001:db8::1" },
    { "mapped.test", TYPE_AAAA, REPLY_ANSWER, "::ffff:127.0.0.1;::1" },
    { "local6.test", TYPE_A, REPLY_ANSWER, "127.0.0.1" },
    { "local6.test", TYPE_AAAA, REPLY_HELD, "fd00::1" },
    { "broken.test", TYPE_A, REPLY_SERVFAIL, NULL },
};

enum { NEVER_S = 1000 };

/* A listener's end. */
enum state { ALIVE, DEAD, REFUSING };

static struct dns_server *server;
static int four = -1, six = -1, filler[2] = { -1, -1 }, port;
static struct hark_io io;
static struct probe dialing;
static int asked_before;
static bool is_alone; /* in a network of its own */
static bool asks_server; /* this build can */
static const char *both; /* a name that has ::1 and 127.0.0.1 */

/* Gives a listener its state: bound only, it refuses. */
static void become(int fd, enum state state, int which)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    if (state == REFUSING) return;
    ck_assert_int_eq(listen(fd, state == DEAD ? 0 : 64), 0);
    if (state != DEAD) return;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    filler[which] = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(filler[which], (struct sockaddr *)&addr, len), 0);
}

/* For cases that need `both` only, as where this build asks no name server. False, with a reason:
 * not on this machine. */
static bool begin_local(enum state of_four, enum state of_six)
{
    is_alone = own_network(); /* else on the machine's loopback */
    server = dns_server_start(entries, sizeof entries / sizeof entries[0], 0);
    struct hark_dns_options options = { .servers = dns_server_place(server), .timeout_ms = 5000 };
    int error = hark_dns_configure(loop, &options);
    ck_assert(error == 0 || error == HARK_ENOSYS);
    asks_server = error == 0;
    both = asks_server ? "both.test" : "localhost";
    for (int tries = 0; tries < 50; tries++) {
        port = 0;
        six = bind_at(AF_INET6, &port);
        if (six < 0) break;
        four = bind_at(AF_INET, &port);
        if (four >= 0) break;
        close(six);
    }
    if (six < 0) {
        fprintf(stderr, "skipped: IPv6 loopback\n");
        dns_server_stop(server);
        return false;
    }
    become(four, of_four, 0);
    become(six, of_six, 1);
    return true;
}

/* False, with a reason: not on this machine or in this build. */
static bool begin(enum state of_four, enum state of_six)
{
    return has_cares() && begin_local(of_four, of_six);
}

static void finish(void)
{
    if (hark_io_is_open(&io)) close_io(&io);
    for (int i = 0; i < 2; i++)
        if (filler[i] >= 0) close(filler[i]);
    close(four);
    close(six);
    dns_server_stop(server);
}

static void dial(const char *host, const struct hark_dial_options *options)
{
    char target[300];
    snprintf(target, sizeof target, "%s:%d", host, port);
    snprintf(doing, sizeof doing, "%s", host);
    asked_before = server != NULL ? dns_server_asked(server, TYPE_A) : 0;
    hark_dial(&dialing.op, &io, loop, target, options, on_probe);
    memset(target, 'x', sizeof target); /* it was copied */
    ck_assert_int_eq(dialing.calls, 0); /* promise 1 */
}

static int64_t dialed(const char *host, const struct hark_dial_options *options)
{
    dialing = (struct probe){ 0 };
    dial(host, options);
    await(&dialing);
    return dialing.result;
}

/* Neither delay ever passes by itself. */
static const struct hark_dial_options no_delay_passes = {
    .attempt_delay_ns = NEVER_S * HARK_SECOND, .resolution_delay_ns = NEVER_S * HARK_SECOND,
};

/* The next attempt comes at once, the others are still under way. */
static const struct hark_dial_options impatient = {
    .attempt_delay_ns = 1, .resolution_delay_ns = NEVER_S * HARK_SECOND,
};

static int family_of_io(void)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    ck_assert_int_eq(hark_peer_address(&io, (struct sockaddr *)&addr, &len), 0);
    return addr.ss_family;
}

/* Runs turns until the name server was asked since the dial began, and its answer is here. */
static void await_asked(int type)
{
    dns_server_await_asked(server, type, asked_before + 1);
    for (int i = 0; i < 20; i++) ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
}

/* Nothing of a dial is left but the caller's own. */
static void check_nothing_is_left(int descriptors)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (open_descriptor_count() != descriptors) { /* the name server's are closed behind it */
        ck_assert_msg(clock_now() < end, "%s: a socket was left", doing);
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    }
    ck_assert_int_eq(hark_run(loop), 0);
}

START_TEST(with_both_families_alive_ipv6_wins_and_ipv4_is_not_tried)
{
    if (!begin_local(ALIVE, ALIVE)) return;
    int descriptors = open_descriptor_count();
    ck_assert_int_eq(dialed(both, &no_delay_passes), 0);
    ck_assert_int_eq(family_of_io(), AF_INET6);
    ck_assert(is_ready(six, POLLIN, 1000));
    ck_assert(!is_ready(four, POLLIN, 0));
    check_nothing_is_left(descriptors + 1);
    finish();
}
END_TEST

START_TEST(with_ipv6_dead_ipv4_wins_after_the_attempt_delay)
{
    if (!begin_local(ALIVE, DEAD)) return;
    int descriptors = open_descriptor_count();
    int64_t from = hark_refresh(loop), delay = 30 * HARK_MILLISECOND;
    ck_assert_int_eq(dialed(both, &(struct hark_dial_options){ .attempt_delay_ns = delay }),
                     0);
    ck_assert_int_eq(family_of_io(), AF_INET);
    ck_assert_int_ge(dialing.time_ns - from, delay);
    check_nothing_is_left(descriptors + 1); /* the attempt that hangs is closed */
    finish();
}
END_TEST

START_TEST(the_attempt_delay_is_a_quarter_of_a_second_unless_told)
{
    if (!begin_local(ALIVE, DEAD)) return;
    int64_t from = hark_refresh(loop);
    ck_assert_int_eq(dialed(both, NULL), 0);
    ck_assert_int_ge(dialing.time_ns - from, 250 * HARK_MILLISECOND);
    ck_assert_int_eq(family_of_io(), AF_INET);
    finish();
}
END_TEST

START_TEST(with_ipv6_refused_ipv4_follows_at_once)
{
    if (!begin_local(ALIVE, REFUSING)) return;
    ck_assert_int_eq(dialed(both, &no_delay_passes), 0);
    ck_assert_int_eq(family_of_io(), AF_INET);
    finish();
}
END_TEST

START_TEST(with_no_way_to_ipv6_ipv4_follows_at_once)
{
    if (!begin(ALIVE, REFUSING)) return;
    if (is_alone) {
        ck_assert_int_eq(dialed("nowhere4.test", &no_delay_passes), 0);
        ck_assert_int_eq(family_of_io(), AF_INET);
    } else {
        fprintf(stderr, "skipped: packets could leave this machine\n");
    }
    finish();
}
END_TEST

START_TEST(within_a_family_the_best_address_comes_first)
{
    if (!begin(ALIVE, ALIVE)) return;
    ck_assert_int_eq(dialed("mapped.test", &no_delay_passes), 0);
    ck_assert(is_ready(six, POLLIN, 1000)); /* ::1 before a mapped one */
    ck_assert(!is_ready(four, POLLIN, 0));
    finish();
}
END_TEST

/* Gives this network, our own, an address that the kernel first checks, and listens there. */
static int listen_at_new(const char *text)
{
    struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
    int local = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(inet_pton(AF_INET6, text, &addr.sin6_addr), 1);
    struct { struct in6_addr addr; uint32_t bits; int index; }
        request = { addr.sin6_addr, 128, (int)if_nametoindex("lo") };
    ck_assert_int_eq(ioctl(local, SIOCSIFADDR, &request), 0);
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (bind(local, (struct sockaddr *)&addr, sizeof addr) != 0 && clock_now() < end)
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    ck_assert_int_eq(listen(local, 4), 0);
    return local;
}

START_TEST(ipv4_comes_first_where_it_is_the_better_one)
{
    if (!begin(ALIVE, REFUSING)) return;
    if (is_alone) {
        int local = listen_at_new("fd00::1"); /* has less precedence than IPv4 */
        dial("local6.test", &no_delay_passes);
        await_asked(TYPE_A);
        dns_server_let_go(server, TYPE_AAAA); /* now both are there */
        await(&dialing);
        ck_assert_int_eq(family_of_io(), AF_INET);
        ck_assert(!is_ready(local, POLLIN, 0)); /* not even tried */
        close(local);
    } else {
        fprintf(stderr, "skipped: the address would be the machine's\n");
    }
    finish();
}
END_TEST

START_TEST(a_name_without_ipv6_waits_for_no_delay)
{
    if (!begin(ALIVE, ALIVE)) return;
    ck_assert_int_eq(dialed("four.test", &no_delay_passes), 0);
    ck_assert_int_eq(family_of_io(), AF_INET);
    finish();
}
END_TEST

START_TEST(a_late_answer_for_ipv6_is_waited_for_by_the_resolution_delay)
{
    if (!begin(ALIVE, ALIVE)) return;
    dial("slow6.test", &no_delay_passes);
    await_asked(TYPE_A);
    ck_assert_int_eq(dialing.calls, 0);
    ck_assert(!is_ready(four, POLLIN, 0)); /* not even tried */
    dns_server_let_go(server, TYPE_AAAA);
    await(&dialing);
    ck_assert_result(&dialing, 0);
    ck_assert_int_eq(family_of_io(), AF_INET6);
    finish();
}
END_TEST

START_TEST(an_answer_for_ipv6_that_is_too_late_is_not_waited_for)
{
    if (!begin(ALIVE, ALIVE)) return;
    int64_t from = hark_refresh(loop);
    ck_assert_int_eq(dialed("silent6.test", NULL), 0);
    ck_assert_int_eq(family_of_io(), AF_INET);
    ck_assert_int_ge(dialing.time_ns - from, 50 * HARK_MILLISECOND);
    finish();
}
END_TEST

START_TEST(addresses_that_come_while_an_attempt_hangs_are_tried_too)
{
    if (!begin(ALIVE, DEAD)) return;
    dial("slow4.test", &impatient);
    await_asked(TYPE_A);
    ck_assert_int_eq(dialing.calls, 0);
    dns_server_let_go(server, TYPE_A);
    await(&dialing);
    ck_assert_result(&dialing, 0);
    ck_assert_int_eq(family_of_io(), AF_INET);
    finish();
}
END_TEST

START_TEST(every_address_is_tried_before_a_dial_fails)
{
    if (!begin(ALIVE, ALIVE)) return;
    ck_assert_int_eq(dialed("many.test", &no_delay_passes), 0); /* the first two refuse */
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    ck_assert_int_eq(hark_peer_address(&io, (struct sockaddr *)&addr, &len), 0);
    ck_assert_uint_eq(ntohl(addr.sin_addr.s_addr), INADDR_LOOPBACK);
    finish();
}
END_TEST

START_TEST(with_all_refused_the_error_says_so)
{
    if (!begin_local(REFUSING, REFUSING)) return;
    int descriptors = open_descriptor_count();
    ck_assert_int_eq(dialed(both, &no_delay_passes), HARK_ECONNREFUSED);
    ck_assert(is_system_error(dialing.os_error, ECONNREFUSED));
    ck_assert(!hark_io_is_open(&io));
    check_nothing_is_left(descriptors);
    if (asks_server) {
        ck_assert_int_eq(dialed("absent.test", NULL), HARK_ENONAME);
        ck_assert_int_eq(dialed("broken.test", NULL), HARK_ESERVER);
    }
    check_nothing_is_left(descriptors);
    finish();
}
END_TEST

START_TEST(with_all_dead_the_deadline_ends_it_and_nothing_is_left)
{
    if (!begin_local(DEAD, DEAD)) return;
    int descriptors = open_descriptor_count();
    dialing = (struct probe){ 0 };
    int64_t due = hark_after(loop, 50 * HARK_MILLISECOND);
    dialing.op.deadline_ns = due;
    dial(both, &impatient);
    await(&dialing);
    ck_assert_result(&dialing, HARK_ETIMEDOUT);
    ck_assert_int_ge(dialing.time_ns, due);
    ck_assert(!hark_io_is_open(&io));
    check_nothing_is_left(descriptors);
    finish();
}
END_TEST

START_TEST(numeric_hosts_are_dialed_without_a_look_up)
{
    if (!begin_local(ALIVE, ALIVE)) return;
    ck_assert_int_eq(dialed("127.0.0.1", &no_delay_passes), 0);
    ck_assert_int_eq(family_of_io(), AF_INET);
    close_io(&io);
    ck_assert_int_eq(dialed("[::1]", &no_delay_passes), 0);
    ck_assert_int_eq(family_of_io(), AF_INET6);
    ck_assert_int_eq(dns_server_asked(server, 0), 0);
    finish();
}
END_TEST

START_TEST(the_connection_is_the_callers_and_carries_bytes)
{
    char buf[8] = { 0 };
    struct probe sending = { 0 }, receiving = { 0 };
    if (!begin_local(ALIVE, ALIVE)) return;
    ck_assert_int_eq(dialed(both, NULL), 0);
    int peer = accept4(six, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(peer, 0);
    hark_send(&sending.op, &io, "ping", 4, on_probe);
    await(&sending);
    ck_assert_int_eq(recv(peer, buf, sizeof buf, 0), 4);
    write_all(peer, "pong!", 5);
    hark_recv(&receiving.op, &io, buf, sizeof buf, on_probe);
    await(&receiving);
    ck_assert_result(&receiving, 5);
    ck_assert_str_eq(buf, "pong!");
    close(peer);
    finish();
}
END_TEST

START_TEST(a_unix_path_is_dialed_as_well)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    snprintf(addr.sun_path, sizeof addr.sun_path, "/tmp/hark-dial-%d", (int)getpid());
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof addr), 0);
    ck_assert_int_eq(listen(listener, 4), 0);
    hark_dial(&dialing.op, &io, loop, addr.sun_path, NULL, on_probe);
    await(&dialing);
    ck_assert_result(&dialing, 0);
    close_io(&io);
    close(listener);
    unlink(addr.sun_path);
    dialing = (struct probe){ 0 };
    hark_dial(&dialing.op, &io, loop, addr.sun_path, NULL, on_probe);
    await(&dialing);
    ck_assert_result(&dialing, HARK_ENOENT);
}
END_TEST

START_TEST(a_target_that_cannot_be_read_is_refused)
{
    static const char *const wrong[] = {
        "", "host", "host:", ":80", "host:99999", "host:-1", "host:8x", "host:no-such-service",
        "[::1]", "[::1]80", "[::1:80", "::1:80", "a..b:80", "[]:80", "host:123456789012345",
    };
    char longest[400];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        dialing = (struct probe){ 0 };
        snprintf(doing, sizeof doing, "%s", wrong[i]);
        hark_dial(&dialing.op, &io, loop, wrong[i], NULL, on_probe);
        await(&dialing);
        ck_assert_result(&dialing, HARK_EINVAL);
    }
    memset(longest, 'a', sizeof longest);
    memcpy(longest + 390, ":80", 4);
    dialing = (struct probe){ 0 };
    hark_dial(&dialing.op, &io, loop, longest, NULL, on_probe);
    await(&dialing);
    ck_assert_result(&dialing, HARK_EINVAL);
    longest[0] = '/';
    dialing = (struct probe){ 0 };
    hark_dial(&dialing.op, &io, loop, longest, NULL, on_probe);
    await(&dialing);
    ck_assert_result(&dialing, HARK_ENAMETOOLONG);
}
END_TEST

/* The phases in which a dial can be given up: it has just begun; it waits for both answers; for the
 * late one of IPv6; one attempt hangs; both do. Those in the middle take a name server. */
enum { PHASES = 5 };

static int next_phase(int phase) { return phase == 0 && !asks_server ? PHASES - 1 : phase + 1; }

static void go_to_phase(int phase)
{
    const char *const hosts[PHASES] = { both, "silent.test", "slow6.test", "slow4.test", both };
    dialing = (struct probe){ 0 };
    dial(hosts[phase], phase == PHASES - 1 ? &impatient : &no_delay_passes);
    if (phase != 0 && asks_server) await_asked(TYPE_A);
    else if (phase != 0) spin(20);
    ck_assert_int_eq(dialing.calls, 0);
}

START_TEST(a_dial_is_canceled_in_every_phase)
{
    if (!begin_local(DEAD, DEAD)) return;
    int descriptors = open_descriptor_count();
    for (int phase = 0; phase < PHASES; phase = next_phase(phase)) {
        go_to_phase(phase);
        hark_cancel(&dialing.op);
        ck_assert_int_eq(dialing.calls, 0);
        await(&dialing);
        ck_assert_result(&dialing, HARK_ECANCELED);
        ck_assert(!hark_io_is_open(&io));
        check_nothing_is_left(descriptors);
        ck_assert_int_eq(dialing.calls, 1);
    }
    finish();
}
END_TEST

START_TEST(a_loop_closes_in_every_phase_of_a_dial)
{
    if (!begin_local(DEAD, DEAD)) return;
    struct hark_dns_options options = { .servers = dns_server_place(server) };
    for (int phase = 0; phase < PHASES; phase = next_phase(phase)) {
        go_to_phase(phase);
        hark_loop_close(loop);
        ck_assert_int_eq(dialing.calls, 1);
        ck_assert_result(&dialing, HARK_ECANCELED);
        ck_assert(!hark_io_is_open(&io));
        ck_assert_int_eq(hark_loop_open(&loop, NULL), 0); /* for the next, and for the fixture */
        ck_assert_int_eq(hark_dns_configure(loop, &options), asks_server ? 0 : HARK_ENOSYS);
    }
    finish();
}
END_TEST

/* The loser's close is under way when the cancel comes: the connection is there already. */
static void cancel_after_turns(int turns)
{
    dialing = (struct probe){ 0 };
    dial(both, &impatient);
    for (int i = 0; i < turns && dialing.calls == 0; i++)
        ck_assert_int_ge(hark_step(loop, 5 * HARK_MILLISECOND), 0);
    hark_cancel(&dialing.op);
    await(&dialing);
    if (dialing.result == 0) ck_assert(hark_io_is_open(&io));
    else ck_assert_result(&dialing, HARK_ECANCELED);
    if (dialing.result == 0) close_io(&io);
    ck_assert(!hark_io_is_open(&io));
}

START_TEST(a_cancel_at_any_turn_leaves_a_connection_or_nothing)
{
    if (!begin_local(ALIVE, DEAD)) return;
    int descriptors = open_descriptor_count();
    for (int turns = 0; turns < 30; turns++) {
        cancel_after_turns(turns);
        check_nothing_is_left(descriptors);
    }
    finish();
}
END_TEST

START_TEST(getaddrinfo_on_the_pool_serves_dials_too)
{
    struct hark_dns_options options = { .uses_system = true };
    port = 0;
    four = bind_at(AF_INET, &port);
    become(four, ALIVE, 0);
    int descriptors = open_descriptor_count();
    ck_assert_int_eq(hark_dns_configure(loop, &options), 0);
    ck_assert_int_eq(dialed("localhost", NULL), 0); /* IPv6 is refused, where there is any */
    ck_assert_int_eq(family_of_io(), AF_INET);
    check_nothing_is_left(descriptors + 1);
    close_io(&io);
    dialing = (struct probe){ 0 };
    dial("localhost", NULL);
    hark_cancel(&dialing.op);
    await(&dialing);
    ck_assert_result(&dialing, HARK_ECANCELED);
    check_nothing_is_left(descriptors);
    close(four);
}
END_TEST

static int64_t fiber_of_dials(void *arg)
{
    const char *target = arg;
    int64_t result = hark_fiber_dial(&io, target, NULL);
    if (result < 0) return result;
    result = hark_fiber_send_all(&io, "ping", 4);
    int64_t closed = hark_fiber_close(&io);
    return result < 0 ? result : closed < 0 ? closed : result;
}

START_TEST(a_fiber_dials_as_if_it_blocked)
{
    char target[64];
    if (!begin_local(ALIVE, ALIVE)) return;
    snprintf(target, sizeof target, "%s:%d", both, port);
    ck_assert_int_eq(hark_fiber_main(loop, fiber_of_dials, target), 4);
    finish();
}
END_TEST

Suite *group_dial(void)
{
    Suite *suite = suite_create("dial");
    CASE(suite, with_both_families_alive_ipv6_wins_and_ipv4_is_not_tried);
    CASE(suite, with_ipv6_dead_ipv4_wins_after_the_attempt_delay);
    CASE(suite, the_attempt_delay_is_a_quarter_of_a_second_unless_told);
    CASE(suite, with_ipv6_refused_ipv4_follows_at_once);
    CASE(suite, with_no_way_to_ipv6_ipv4_follows_at_once);
    CASE(suite, within_a_family_the_best_address_comes_first);
    CASE(suite, ipv4_comes_first_where_it_is_the_better_one);
    CASE(suite, a_name_without_ipv6_waits_for_no_delay);
    CASE(suite, a_late_answer_for_ipv6_is_waited_for_by_the_resolution_delay);
    CASE(suite, an_answer_for_ipv6_that_is_too_late_is_not_waited_for);
    CASE(suite, addresses_that_come_while_an_attempt_hangs_are_tried_too);
    CASE(suite, every_address_is_tried_before_a_dial_fails);
    CASE(suite, with_all_refused_the_error_says_so);
    CASE(suite, with_all_dead_the_deadline_ends_it_and_nothing_is_left);
    CASE(suite, numeric_hosts_are_dialed_without_a_look_up);
    CASE(suite, the_connection_is_the_callers_and_carries_bytes);
    CASE(suite, a_unix_path_is_dialed_as_well);
    CASE(suite, a_target_that_cannot_be_read_is_refused);
    CASE(suite, a_dial_is_canceled_in_every_phase);
    CASE(suite, a_loop_closes_in_every_phase_of_a_dial);
    CASE(suite, a_cancel_at_any_turn_leaves_a_connection_or_nothing);
    CASE(suite, getaddrinfo_on_the_pool_serves_dials_too);
    CASE(suite, a_fiber_dials_as_if_it_blocked);
    return suite;
}
