/* Names: what hark_resolve() makes of what a name server says, or does not say. The name server is
 * the test's own (dns_server.c); nothing leaves this machine. */
#include "dns_server.h"
#include "groups.h"
#include "harness.h"

#include <stdio.h>

static const struct entry entries[] = {
    { "one.test", TYPE_A, REPLY_ANSWER, "192.0.2.1" },
    { "both.test", TYPE_A, REPLY_ANSWER, "192.0.2.1;192.0.2.2" },
    { "both.test", TYPE_AAAA, REPLY_ANSWER, "2001:db8::1;2001:db8::2" },
    { "half.test", TYPE_A, REPLY_ANSWER, "192.0.2.9" },
    { "half.test", TYPE_AAAA, REPLY_SERVFAIL, NULL },
    { "slow6.test", TYPE_A, REPLY_ANSWER, "192.0.2.1" },
    { "slow6.test", TYPE_AAAA, REPLY_HELD, "2001:db8::1" },
    { "_http._tcp.test", TYPE_SRV, REPLY_ANSWER, "10 60 8080 big.test;20 5 81 small.test" },
    { "text.test", TYPE_TXT, REPLY_ANSWER, "v=1|goes on;second" },
    { "2.2.0.192.in-addr.arpa", TYPE_PTR, REPLY_ANSWER, "two.test" },
    { "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", TYPE_PTR,
      REPLY_ANSWER, "six.test" },
    { "servfail.test", TYPE_A, REPLY_SERVFAIL, NULL },
    { "refused.test", TYPE_A, REPLY_REFUSED, NULL },
    { "silent.test", TYPE_A, REPLY_SILENCE, NULL },
    { "silent.test", TYPE_AAAA, REPLY_SILENCE, NULL },
    { "garbage.test", TYPE_A, REPLY_GARBAGE, "192.0.2.1;192.0.2.2" },
    { "cut.test", TYPE_A, REPLY_CUT, "192.0.2.7" },
    { "held.test", TYPE_A, REPLY_HELD, "192.0.2.8" },
    { "nN.many.test", TYPE_A, REPLY_ECHO, NULL },
    { "nN.wild.test", TYPE_A, REPLY_WILD, "192.0.2.1;192.0.2.2" },
    { "nN.wild.test", TYPE_SRV, REPLY_WILD, "1 2 3 one.wild.test;4 5 6 two.wild.test" },
    { "nN.wild.test", TYPE_TXT, REPLY_WILD, "text|goes on;second" },
};

static struct dns_server *server;

/* A loop that asks the test's server; false: this build cannot. */
static bool begin_with(struct hark_dns_options options)
{
    if (!has_cares()) return false;
    server = dns_server_start(entries, sizeof entries / sizeof entries[0], 0);
    options.servers = dns_server_place(server);
    ck_assert_int_eq(hark_dns_configure(loop, &options), 0);
    return true;
}

static bool begin(void) { return begin_with((struct hark_dns_options){ .timeout_ms = 5000 }); }

/* The same for what asks nobody. False: this build could not. */
static bool begin_alone(void)
{
    server = dns_server_start(entries, sizeof entries / sizeof entries[0], 0);
    struct hark_dns_options options = { .servers = dns_server_place(server) };
    int error = hark_dns_configure(loop, &options);
    ck_assert(error == 0 || error == HARK_ENOSYS);
    return error == 0;
}

/* Runs turns until no more descriptors are open. */
static void await_descriptors(int count)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (open_descriptor_count() != count) {
        ck_assert_msg(clock_now() < end, "%s: a socket was left", doing);
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    }
}

START_TEST(addresses_of_both_families_come_with_ipv6_first)
{
    struct search search, slow = { 0 };
    if (!begin()) return;
    ck_assert_int_eq(found(&search, "both.test", HARK_DNS_ADDRESSES), 4);
    check_address(&search.records[0], "2001:db8::1");
    check_address(&search.records[1], "2001:db8::2");
    check_address(&search.records[2], "192.0.2.1");
    check_address(&search.records[3], "192.0.2.2");
    ck_assert_uint_eq(search.records[0].ttl_s, 300);
    look_up(&slow, "slow6.test", HARK_DNS_ADDRESSES);
    dns_server_await_asked(server, TYPE_AAAA, 2);
    spin(20); /* the answer of the other family comes first */
    dns_server_let_go(server, TYPE_AAAA);
    await(&slow.probe);
    ck_assert_int_eq(slow.probe.result, 2);
    check_address(&slow.records[0], "2001:db8::1");
    check_address(&slow.records[1], "192.0.2.1");
    dns_server_stop(server);
}
END_TEST

START_TEST(only_the_family_that_is_asked_for_comes)
{
    struct search search;
    if (!begin()) return;
    ck_assert_int_eq(found(&search, "both.test", HARK_DNS_A), 2);
    check_address(&search.records[0], "192.0.2.1");
    ck_assert_int_eq(found(&search, "both.test", HARK_DNS_AAAA), 2);
    check_address(&search.records[0], "2001:db8::1");
    ck_assert_int_eq(found(&search, "one.test", HARK_DNS_AAAA), HARK_ENONAME);
    ck_assert_int_eq(found(&search, "one.test", HARK_DNS_ADDRESSES), 1);
    ck_assert_int_eq(found(&search, "half.test", HARK_DNS_ADDRESSES), 1); /* the other failed */
    check_address(&search.records[0], "192.0.2.9");
    dns_server_stop(server);
}
END_TEST

START_TEST(services_texts_and_names_of_addresses_are_read)
{
    struct search search;
    if (!begin()) return;
    ck_assert_int_eq(found(&search, "_http._tcp.test", HARK_DNS_SRV), 2);
    ck_assert_str_eq(search.records[0].text, "big.test");
    ck_assert_uint_eq(search.records[0].priority, 10);
    ck_assert_uint_eq(search.records[0].weight, 60);
    ck_assert_uint_eq(search.records[0].port, 8080);
    ck_assert_str_eq(search.records[1].text, "small.test");
    ck_assert_int_eq(found(&search, "text.test", HARK_DNS_TXT), 3);
    ck_assert_str_eq(search.records[0].text, "v=1");
    ck_assert(search.records[0].continues);
    ck_assert_str_eq(search.records[1].text, "goes on");
    ck_assert_uint_eq(search.records[1].text_len, 7);
    ck_assert(!search.records[1].continues);
    ck_assert_str_eq(search.records[2].text, "second");
    ck_assert_int_eq(found(&search, "192.0.2.2", HARK_DNS_PTR), 1);
    ck_assert_str_eq(search.records[0].text, "two.test");
    ck_assert_int_eq(found(&search, "2001:db8::1", HARK_DNS_PTR), 1);
    ck_assert_str_eq(search.records[0].text, "six.test");
    dns_server_stop(server);
}
END_TEST

START_TEST(what_a_name_server_refuses_is_told_apart_from_what_is_not_there)
{
    struct search search;
    if (!begin_with((struct hark_dns_options){ .timeout_ms = 1000, .tries = 1 })) return;
    ck_assert_int_eq(found(&search, "nowhere.test", HARK_DNS_A), HARK_ENONAME);
    ck_assert_int_eq(found(&search, "nowhere.test", HARK_DNS_SRV), HARK_ENONAME);
    ck_assert_int_eq(found(&search, "servfail.test", HARK_DNS_A), HARK_ESERVER);
    ck_assert_int_eq(found(&search, "refused.test", HARK_DNS_A), HARK_ESERVER);
    ck_assert_int_eq(found(&search, "garbage.test", HARK_DNS_AAAA), HARK_ENONAME);
    dns_server_stop(server);
}
END_TEST

START_TEST(a_malformed_answer_is_an_error_of_the_server)
{
    struct search search;
    if (!begin()) return;
    ck_assert_int_eq(found(&search, "garbage.test", HARK_DNS_A), HARK_ESERVER);
    ck_assert_uint_eq(search.answer.found_count, 0); /* nor what came before the end of it */
    dns_server_stop(server);
}
END_TEST

START_TEST(a_server_that_is_silent_or_absent_ends_the_look_up)
{
    struct search search;
    if (!begin_with((struct hark_dns_options){ .timeout_ms = 20, .tries = 2 })) return;
    ck_assert_int_eq(found(&search, "silent.test", HARK_DNS_ADDRESSES), HARK_ETIMEDOUT);
    ck_assert_int_ge(dns_server_asked(server, TYPE_A), 2); /* tries */
    ck_assert_int_eq(search.probe.os_error, 0);
    struct hark_dns_options absent = { .servers = "127.0.0.1:1", .timeout_ms = 20, .tries = 1 };
    ck_assert_int_eq(hark_dns_configure(loop, &absent), 0);
    int64_t result = found(&search, "one.test", HARK_DNS_A);
    ck_assert(result == HARK_ESERVER || result == HARK_ETIMEDOUT);
    dns_server_stop(server);
}
END_TEST

START_TEST(a_deadline_ends_a_look_up_before_the_server_answers)
{
    struct search search = { 0 };
    if (!begin()) return;
    int64_t due = hark_after(loop, 20 * HARK_MILLISECOND);
    search.probe.op.deadline_ns = due;
    look_up(&search, "silent.test", HARK_DNS_ADDRESSES);
    await(&search.probe);
    ck_assert_result(&search.probe, HARK_ETIMEDOUT);
    ck_assert_int_ge(search.probe.time_ns, due);
    dns_server_stop(server);
}
END_TEST

START_TEST(a_canceled_look_up_ends_at_once_and_leaves_no_socket)
{
    struct search search = { 0 };
    if (!begin()) return;
    int before = open_descriptor_count();
    look_up(&search, "held.test", HARK_DNS_A);
    dns_server_await_asked(server, TYPE_A, 1);
    ck_assert_int_gt(open_descriptor_count(), before);
    hark_cancel(&search.probe.op);
    ck_assert_int_eq(search.probe.calls, 0);
    spin(1);
    ck_assert_int_eq(search.probe.last_calls, 1);
    ck_assert_result(&search.probe, HARK_ECANCELED);
    await_descriptors(before);
    ck_assert_int_eq(hark_run(loop), 0); /* nothing is alive */
    dns_server_let_go(server, 0);
    ck_assert_int_eq(found(&search, "both.test", HARK_DNS_A), 2); /* and it still works */
    dns_server_stop(server);
}
END_TEST

START_TEST(a_cancel_of_one_look_up_harms_no_other)
{
    struct search searches[3] = { 0 };
    if (!begin()) return;
    for (int i = 0; i < 3; i++) look_up(&searches[i], "held.test", HARK_DNS_A);
    dns_server_await_asked(server, TYPE_A, 3);
    hark_cancel(&searches[1].probe.op);
    await(&searches[1].probe);
    ck_assert_result(&searches[1].probe, HARK_ECANCELED);
    ck_assert_int_eq(searches[0].probe.calls + searches[2].probe.calls, 0);
    dns_server_let_go(server, 0);
    for (int i = 0; i < 3; i += 2) {
        await(&searches[i].probe);
        ck_assert_result(&searches[i].probe, 1);
        check_address(&searches[i].records[0], "192.0.2.8");
    }
    ck_assert_uint_eq(searches[1].answer.found_count, 0); /* nothing was written afterwards */
    spin(10);
    ck_assert_int_eq(searches[1].probe.calls, 1);
    dns_server_stop(server);
}
END_TEST

START_TEST(a_loop_closes_while_names_are_looked_up)
{
    struct search searches[6] = { 0 };
    if (!begin()) return;
    for (int i = 0; i < 3; i++) look_up(&searches[i], "held.test", HARK_DNS_ADDRESSES);
    dns_server_await_asked(server, TYPE_A, 1);
    for (int i = 3; i < 6; i++) look_up(&searches[i], "silent.test", HARK_DNS_ADDRESSES);
    hark_cancel(&searches[4].probe.op);
    hark_loop_close(loop);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(searches[i].probe.last_calls, 1);
        if (i != 0) ck_assert_result(&searches[i].probe, HARK_ECANCELED);
    }
    dns_server_stop(server);
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0); /* for the fixture */
}
END_TEST

START_TEST(more_records_than_room_are_counted_and_left_out)
{
    struct search search = { 0 };
    if (!begin()) return;
    search.answer = (struct hark_dns_answer){ search.records, 1, 0 };
    memset(&search.records[1], 0x5a, sizeof search.records[1]);
    hark_resolve(&search.probe.op, loop, "both.test", HARK_DNS_ADDRESSES, &search.answer,
                 on_probe);
    await(&search.probe);
    ck_assert_result(&search.probe, 1);
    ck_assert_uint_eq(search.answer.found_count, 4);
    ck_assert_uint_eq((unsigned char)search.records[1].text[0], 0x5a);
    dns_server_stop(server);
}
END_TEST

START_TEST(a_truncated_answer_is_asked_for_again_by_tcp)
{
    struct search search;
    if (!begin()) return;
    int before = open_descriptor_count();
    ck_assert_int_eq(found(&search, "cut.test", HARK_DNS_A), 1);
    check_address(&search.records[0], "192.0.2.7");
    await_descriptors(before);
    dns_server_stop(server);
}
END_TEST

static void check_refused(const char *name, enum hark_dns_type type)
{
    struct search search;
    ck_assert_msg(found(&search, name, type) == HARK_EINVAL, "'%s' was taken for a name", name);
}

START_TEST(what_is_no_name_is_refused_and_asks_nobody)
{
    char longest[300];
    struct search search;
    bool can_ask = begin_alone();
    memset(longest, 'a', sizeof longest);
    longest[64] = '\0';
    check_refused("", HARK_DNS_A);
    check_refused(".", HARK_DNS_A);
    check_refused("a..b", HARK_DNS_A);
    check_refused(".a", HARK_DNS_ADDRESSES);
    check_refused(longest, HARK_DNS_A); /* a label of 64 */
    for (int i = 1; i < 299; i += 2) memcpy(longest + i - 1, "a.", 2);
    longest[255] = '\0'; /* a name of 255 */
    check_refused(longest, HARK_DNS_A);
    check_refused("one.test", HARK_DNS_PTR);
    check_refused("one.test", HARK_DNS_TYPES);
    ck_assert_int_eq(dns_server_asked(server, 0), 0);
    longest[253] = '\0';
    if (can_ask) ck_assert_int_eq(found(&search, longest, HARK_DNS_A), HARK_ENONAME);
    dns_server_stop(server);
}
END_TEST

START_TEST(numeric_addresses_and_localhost_ask_nobody)
{
    struct search search;
    (void)begin_alone();
    ck_assert_int_eq(found(&search, "192.0.2.77", HARK_DNS_ADDRESSES), 1);
    check_address(&search.records[0], "192.0.2.77");
    ck_assert_int_eq(found(&search, "2001:db8::77", HARK_DNS_ADDRESSES), 1);
    check_address(&search.records[0], "2001:db8::77");
    ck_assert_int_eq(found(&search, "2001:db8::77", HARK_DNS_A), HARK_ENONAME);
    ck_assert_int_eq(found(&search, "a.localhost", HARK_DNS_ADDRESSES), 2);
    check_address(&search.records[0], "::1");
    check_address(&search.records[1], "127.0.0.1");
    ck_assert_int_ge(found(&search, "localhost", HARK_DNS_A), 1);
    check_address(&search.records[0], "127.0.0.1");
    ck_assert_int_eq(dns_server_asked(server, 0), 0);
    dns_server_stop(server);
}
END_TEST

START_TEST(an_answer_of_any_bytes_does_no_harm)
{
    static const enum hark_dns_type types[] = { HARK_DNS_A, HARK_DNS_SRV, HARK_DNS_TXT };
    enum { COUNT = 300 };
    int errors = 0, answers = 0;
    char name[32];
    if (!begin_with((struct hark_dns_options){ .timeout_ms = 2, .tries = 2 })) return;
    for (int i = 0; i < 3 * COUNT; i++) {
        struct search search;
        snprintf(name, sizeof name, "n%d.wild.test", i / 3);
        int64_t result = found(&search, name, types[i % 3]);
        bool is_known = result == HARK_ESERVER || result == HARK_ENONAME ||
                        result == HARK_ETIMEDOUT;
        ck_assert_msg(result > 0 || is_known, "%s: %lld", name, (long long)result);
        errors += result == HARK_ESERVER;
        answers += result > 0;
        if (result <= 0) ck_assert_uint_eq(search.answer.found_count, 0);
        for (int64_t at = 0; at < result; at++)
            ck_assert_int_eq(search.records[at].text[search.records[at].text_len], 0);
    }
    ck_assert_int_gt(errors, 0);
    ck_assert_int_gt(answers, 0);
    dns_server_stop(server);
}
END_TEST

static void count_any(const struct hark_inspect_entry *entry, void *arg)
{
    int *count = arg;
    (void)entry;
    ++*count;
}

START_TEST(a_look_up_waits_without_spinning_and_leaves_nothing_behind)
{
    struct search search = { 0 };
    int left = 0;
    if (!begin()) return;
    look_up(&search, "held.test", HARK_DNS_A);
    dns_server_await_asked(server, TYPE_A, 1);
    spin(20);
    int64_t from = clock_now();
    for (int i = 0; i < 5; i++) ck_assert_int_eq(hark_step(loop, 20 * HARK_MILLISECOND), 0);
    ck_assert_int_ge(clock_now() - from, 100 * HARK_MILLISECOND);
    dns_server_let_go(server, 0);
    await(&search.probe);
    ck_assert_result(&search.probe, 1);
    spin(20);
    hark_loop_inspect(loop, count_any, &left);
    ck_assert_int_eq(left, 0);
    dns_server_stop(server);
}
END_TEST

START_TEST(a_look_up_beyond_the_limit_of_select_fails_there_and_works_elsewhere)
{
    struct search search;
    int fds[1100], count = 0;
    if (!allow_descriptors(1300) || !begin()) return;
    while (count < 1100 && (count == 0 || fds[count - 1] < 1050)) {
        fds[count] = dup(0);
        ck_assert_int_ge(fds[count++], 0);
    }
    int64_t result = found(&search, "one.test", HARK_DNS_A);
    ck_assert_int_eq(result, backend_is("select") ? HARK_ESERVER : 1);
    while (count > 0) close(fds[--count]);
    ck_assert_int_eq(found(&search, "one.test", HARK_DNS_A), 1);
    dns_server_stop(server);
}
END_TEST

/* How many questions a name server has at once at most. */
#ifdef HARK_SMALL
enum { IN_FLIGHT = 4 };
#else
enum { IN_FLIGHT = 10000 };
#endif

static void count_look_up(const struct hark_inspect_entry *entry, void *arg)
{
    int *count = arg;
    if (strcmp(entry->kind, "resolve") == 0) ++*count;
}

START_TEST(a_flood_of_answers_is_read_in_bounded_parts)
{
    enum { COUNT = 150, PART = 64 };
    static struct search searches[COUNT];
    int ended = 0;
    char name[32];
    if (!begin()) return;
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "n%d.many.test", i);
        look_up(&searches[i], name, HARK_DNS_A);
    }
    dns_server_await_asked(server, TYPE_A, (int)COUNT < (int)IN_FLIGHT ? COUNT : (int)IN_FLIGHT);
    dns_server_let_go(server, 0); /* all are in the socket now */
    for (int turns = 0; ended < COUNT; turns++) {
        int before = ended;
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
        ended = 0;
        for (int i = 0; i < COUNT; i++) ended += searches[i].probe.last_calls;
        ck_assert_int_le(ended - before, PART);
        ck_assert_int_lt(turns, 10000);
    }
    dns_server_stop(server);
}
END_TEST

START_TEST(ten_thousand_look_ups_are_in_flight_at_once)
{
    enum { COUNT = 10000 };
    char name[32], wanted[32];
    struct search *searches = calloc(COUNT, sizeof *searches);
    ck_assert_ptr_nonnull(searches);
    if (!begin_with((struct hark_dns_options){ .timeout_ms = 500, .tries = 8 })) return;
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "n%d.many.test", i);
        look_up(&searches[i], name, HARK_DNS_A);
    }
    snprintf(doing, sizeof doing, "many");
    int in_flight = 0;
    hark_loop_inspect(loop, count_look_up, &in_flight);
    ck_assert_int_eq(in_flight, COUNT);
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (dns_server_numbers(server) < IN_FLIGHT && clock_now() < end)
        ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    ck_assert_int_ge(dns_server_numbers(server), IN_FLIGHT);
    for (int i = 0; i < COUNT; i++) ck_assert_int_eq(searches[i].probe.calls, 0);
    for (int i = 0; i < COUNT; i++) {
        end = clock_now() + PATIENCE_S * HARK_SECOND;
        while (searches[i].probe.calls == 0 && clock_now() < end) {
            dns_server_let_go_some(server, 64); /* more would be lost for want of room */
            ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
        }
        ck_assert_int_eq(searches[i].probe.last_calls, 1);
        ck_assert_result(&searches[i].probe, 1);
        snprintf(wanted, sizeof wanted, "10.0.%d.%d", i >> 8, i & 255);
        check_address(&searches[i].records[0], wanted);
    }
    dns_server_stop(server);
    free(searches);
}
END_TEST

START_TEST(settings_are_refused_while_a_look_up_is_alive)
{
    struct search search = { 0 };
    if (!begin()) return;
    look_up(&search, "held.test", HARK_DNS_A);
    ck_assert_int_eq(hark_dns_configure(loop, NULL), HARK_EBUSY);
    hark_cancel(&search.probe.op);
    await(&search.probe);
    struct hark_dns_options wrong = { .servers = "not a server" };
    ck_assert_int_eq(hark_dns_configure(loop, &wrong), HARK_EINVAL);
    ck_assert_int_eq(hark_dns_configure(loop, NULL), 0);
    dns_server_stop(server);
}
END_TEST

static int64_t fiber_of_names(void *arg)
{
    struct search *search = arg;
    search->answer = (struct hark_dns_answer){ search->records, ROOM, 0 };
    return hark_fiber_resolve("both.test", HARK_DNS_A, &search->answer);
}

START_TEST(a_fiber_looks_a_name_up_as_if_it_blocked)
{
    struct search search = { 0 };
    if (!begin()) return;
    ck_assert_int_eq(hark_fiber_main(loop, fiber_of_names, &search), 2);
    check_address(&search.records[1], "192.0.2.2");
    dns_server_stop(server);
}
END_TEST

Suite *group_dns(void)
{
    Suite *suite = suite_create("dns");
    CASE(suite, addresses_of_both_families_come_with_ipv6_first);
    CASE(suite, only_the_family_that_is_asked_for_comes);
    CASE(suite, services_texts_and_names_of_addresses_are_read);
    CASE(suite, what_a_name_server_refuses_is_told_apart_from_what_is_not_there);
    CASE(suite, a_malformed_answer_is_an_error_of_the_server);
    CASE(suite, a_server_that_is_silent_or_absent_ends_the_look_up);
    CASE(suite, a_deadline_ends_a_look_up_before_the_server_answers);
    CASE(suite, a_canceled_look_up_ends_at_once_and_leaves_no_socket);
    CASE(suite, a_cancel_of_one_look_up_harms_no_other);
    CASE(suite, a_loop_closes_while_names_are_looked_up);
    CASE(suite, more_records_than_room_are_counted_and_left_out);
    CASE(suite, a_truncated_answer_is_asked_for_again_by_tcp);
    CASE(suite, what_is_no_name_is_refused_and_asks_nobody);
    CASE(suite, numeric_addresses_and_localhost_ask_nobody);
    CASE(suite, a_flood_of_answers_is_read_in_bounded_parts);
    CASE(suite, ten_thousand_look_ups_are_in_flight_at_once);
    CASE(suite, an_answer_of_any_bytes_does_no_harm);
    CASE(suite, a_look_up_waits_without_spinning_and_leaves_nothing_behind);
    CASE(suite, a_look_up_beyond_the_limit_of_select_fails_there_and_works_elsewhere);
    CASE(suite, settings_are_refused_while_a_look_up_is_alive);
    CASE(suite, a_fiber_looks_a_name_up_as_if_it_blocked);
    return suite;
}
