/* Names as the files of this machine say: the hosts file, resolv.conf; and the system's own
 * getaddrinfo(3). The files are the test's, by a path or in a mount namespace of its own. */
#include "dns_server.h"
#include "groups.h"

#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

static const struct entry entries[] = {
    { "one.test", TYPE_A, REPLY_ANSWER, "192.0.2.1" },
    { "host.first.test", TYPE_A, REPLY_ANSWER, "192.0.2.21" },
    { "other.second.test", TYPE_A, REPLY_ANSWER, "192.0.2.22" },
    { "host.second.test", TYPE_AAAA, REPLY_ANSWER, "2001:db8::22" },
};

static struct dns_server *server;

/* A loop that asks the test's server; false: this build cannot. */
static bool begin(const char *resolv_conf)
{
    if (!has_cares()) return false;
    server = dns_server_start(entries, sizeof entries / sizeof entries[0], 0);
    struct hark_dns_options options = { .servers = dns_server_place(server),
                                        .resolv_conf = resolv_conf };
    ck_assert_int_eq(hark_dns_configure(loop, &options), 0);
    return true;
}

START_TEST(names_are_completed_as_resolv_conf_says)
{
    struct search search;
    char path[] = "/tmp/hark-resolv-XXXXXX";
    close(mkstemp(path));
    write_text(path, "search first.test second.test\noptions ndots:1\n");
    if (begin(path)) {
        ck_assert_int_eq(found(&search, "host", HARK_DNS_A), 1);
        check_address(&search.records[0], "192.0.2.21");
        ck_assert_int_eq(found(&search, "other", HARK_DNS_A), 1);
        check_address(&search.records[0], "192.0.2.22");
        /* Both families are of one name: the AAAA of host.second.test is another host's. */
        ck_assert_int_eq(found(&search, "host", HARK_DNS_ADDRESSES), 1);
        check_address(&search.records[0], "192.0.2.21");
        ck_assert_int_eq(found(&search, "host.", HARK_DNS_A), HARK_ENONAME);
        ck_assert_int_eq(found(&search, "one.test", HARK_DNS_A), 1);
        ck_assert_int_eq(found(&search, "nothing", HARK_DNS_A), HARK_ENONAME);
        dns_server_stop(server);
    }
    unlink(path);
}
END_TEST

START_TEST(the_name_server_of_resolv_conf_is_asked)
{
    struct search search;
    char path[] = "/tmp/hark-resolv-XXXXXX";
    if (!has_cares() || !own_network()) return;
    close(mkstemp(path));
    write_text(path, "nameserver 127.0.0.1\n");
    server = dns_server_start(entries, sizeof entries / sizeof entries[0], 53);
    struct hark_dns_options options = { .resolv_conf = path };
    ck_assert_int_eq(hark_dns_configure(loop, &options), 0);
    ck_assert_int_eq(found(&search, "one.test", HARK_DNS_A), 1);
    check_address(&search.records[0], "192.0.2.1");
    dns_server_stop(server);
    unlink(path);
}
END_TEST

/* In a mount namespace of its own, with text as /etc/hosts; false, with a reason: not permitted. */
static bool replace_hosts(const char *text)
{
    char path[] = "/tmp/hark-hosts-XXXXXX";
    close(mkstemp(path));
    write_text(path, text);
    chmod(path, 0644);
    bool is_done = unshare(CLONE_NEWNS) == 0 &&
                   mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount(path, "/etc/hosts", NULL, MS_BIND, NULL) == 0;
    if (!is_done) fprintf(stderr, "skipped: /etc/hosts of its own: %s\n", strerror(errno));
    unlink(path);
    return is_done;
}

START_TEST(the_hosts_file_comes_before_the_name_server)
{
    struct search search;
    if (!replace_hosts("192.0.2.50 one.test alias\n2001:db8::50 six.hosts.test\n")) return;
    if (!begin(NULL)) return;
    ck_assert_int_eq(found(&search, "one.test", HARK_DNS_ADDRESSES), 1);
    check_address(&search.records[0], "192.0.2.50");
    ck_assert_int_eq(found(&search, "alias", HARK_DNS_A), 1);
    ck_assert_int_eq(found(&search, "six.hosts.test", HARK_DNS_ADDRESSES), 1);
    check_address(&search.records[0], "2001:db8::50");
    ck_assert_int_eq(dns_server_asked(server, 0), 0);
    dns_server_stop(server);
}
END_TEST

START_TEST(getaddrinfo_on_the_pool_answers_where_it_is_chosen)
{
    struct search search;
    static struct search other; /* alive when the fixture closes the loop */
    struct hark_dns_options options = { .uses_system = true };
    if (!replace_hosts("192.0.2.51 pool.test\n2001:db8::51 pool.test\n")) return;
    ck_assert_int_eq(hark_dns_configure(loop, &options), 0);
    ck_assert_int_eq(found(&search, "pool.test", HARK_DNS_A), 1);
    check_address(&search.records[0], "192.0.2.51");
    ck_assert_int_eq(found(&search, "pool.test", HARK_DNS_ADDRESSES), 2);
    check_address(&search.records[0], "2001:db8::51");
    check_address(&search.records[1], "192.0.2.51");
    ck_assert_int_eq(found(&search, "text.test", HARK_DNS_TXT), HARK_ENOSYS);
    ck_assert_int_eq(found(&search, "192.0.2.2", HARK_DNS_PTR), HARK_ENOSYS);
    look_up(&other, "pool.test", HARK_DNS_ADDRESSES);
    hark_cancel(&other.probe.op);
    await(&other.probe);
    ck_assert_result(&other.probe, HARK_ECANCELED);
    other.probe.last_calls = 0;
    look_up(&other, "pool.test", HARK_DNS_ADDRESSES);
}
END_TEST

Suite *group_hosts(void)
{
    Suite *suite = suite_create("hosts");
    CASE(suite, names_are_completed_as_resolv_conf_says);
    CASE(suite, the_name_server_of_resolv_conf_is_asked);
    CASE(suite, the_hosts_file_comes_before_the_name_server);
    CASE(suite, getaddrinfo_on_the_pool_answers_where_it_is_chosen);
    return suite;
}
