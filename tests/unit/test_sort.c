/* Which address to try first: the examples of RFC 6724, section 10.2, and what they leave open. */
#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "dns/dns.h"

/* IPv4 as text is mapped; NULL: there is no way. */
static struct route route(const char *to, const char *from)
{
    struct route route = { .is_usable = from != NULL, .is_known = true };
    const char *texts[] = { to, from };
    struct in6_addr *addrs[] = { &route.to, &route.from };
    for (int i = 0; i < 2 && texts[i] != NULL; i++) {
        char text[64];
        const char *prefix = strchr(texts[i], ':') == NULL ? "::ffff:" : "";
        snprintf(text, sizeof text, "%s%s", prefix, texts[i]);
        ck_assert_int_eq(inet_pton(AF_INET6, text, addrs[i]), 1);
    }
    return route;
}

/* The sources are those that the examples arrive at. Two of them turn on what sort.c leaves to the
 * kernel or to nobody: a home address, and a deprecated one. */
static const struct example { const char *why, *first, *first_from, *second, *second_from; }
    examples[] = {
    { "prefer matching scope", "2001:db8:1::1", "2001:db8:1::2", "198.51.100.121",
      "169.254.13.78" },
    { "prefer matching scope", "198.51.100.121", "198.51.100.117", "2001:db8:1::1", "fe80::1" },
    { "prefer higher precedence", "2001:db8:1::1", "2001:db8:1::2", "10.1.2.3", "10.1.2.4" },
    { "prefer smaller scope", "fe80::1", "fe80::2", "2001:db8:1::1", "2001:db8:1::2" },
    { "longest matching prefix", "2001:db8:1::1", "2001:db8:1::2", "2001:db8:3ffe::1",
      "2001:db8:3f44::2" },
    { "prefer matching label", "2002:c633:6401::1", "2002:c633:6401::2", "2001:db8:1::1",
      "2002:c633:6401::2" },
    { "prefer higher precedence", "2001:db8:1::1", "2001:db8:1::2", "2002:c633:6401::1",
      "2002:c633:6401::2" },
};

static const struct example others[] = {
    { "avoid unusable", "10.1.2.3", "10.1.2.4", "2001:db8:1::1", NULL },
    { "an unusable one matches nothing", "2001:db8:1::1", "fe80::1", "fe80::1", NULL },
    { "loopback is the best", "::1", "::1", "127.0.0.1", "127.0.0.1" },
    { "unique local after IPv4", "10.1.2.3", "10.1.2.4", "fd00::1", "fd00::2" },
    { "Teredo after IPv4", "10.1.2.3", "10.1.2.4", "2001::1", "2001::2" },
    { "6bone after Teredo", "2001::1", "2001::2", "3ffe::1", "3ffe::2" },
    { "compatible addresses last", "fd00::1", "fd00::2", "::10.1.2.3", "::10.1.2.4" },
    { "site-local by scope and precedence", "2001:db8::1", "2001:db8::2", "fec0::1", "fec0::2" },
};

static void check(const struct example *example)
{
    struct route first = route(example->first, example->first_from);
    struct route second = route(example->second, example->second_from);
    ck_assert_msg(sort_compare(&first, &second) < 0, "%s: %s", example->why, example->first);
    ck_assert_msg(sort_compare(&second, &first) > 0, "%s: %s", example->why, example->second);
    ck_assert_int_eq(sort_compare(&first, &first), 0);
}

START_TEST(the_examples_of_the_standard_come_out)
{
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) check(&examples[i]);
}
END_TEST

START_TEST(each_rule_and_each_prefix_tells_two_apart)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) check(&others[i]);
}
END_TEST

START_TEST(what_no_rule_tells_apart_keeps_its_order)
{
    static const struct example same[] = {
        { "IPv4 by prefix", "10.1.2.3", "10.1.2.4", "192.0.2.1", "10.1.2.4" },
        { "behind bit 64", "2001:db8::1", "2001:db8::2", "2001:db8::ffff", "2001:db8::2" },
        { "both unusable", "2001:db8::1", NULL, "10.1.2.3", NULL },
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct route a = route(same[i].first, same[i].first_from);
        struct route b = route(same[i].second, same[i].second_from);
        ck_assert_msg(sort_compare(&a, &b) == 0 && sort_compare(&b, &a) == 0, "%s", same[i].why);
    }
}
END_TEST

START_TEST(a_route_is_found_without_a_packet)
{
    struct route found;
    union address addr = { .v4 = { .sin_family = AF_INET, .sin_port = htons(9) } };
    struct route wanted = route("127.0.0.1", "127.0.0.1");
    addr.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sort_find_route(&found, &addr);
    ck_assert(found.is_known && found.is_usable);
    ck_assert_int_eq(memcmp(&found.to, &wanted.to, sizeof found.to), 0);
    ck_assert_int_eq(memcmp(&found.from, &wanted.from, sizeof found.from), 0);
    addr = (union address){ .v6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) } };
    ck_assert_int_eq(inet_pton(AF_INET6, "fe80::1", &addr.v6.sin6_addr), 1); /* on which link? */
    sort_find_route(&found, &addr);
    ck_assert(found.is_known && !found.is_usable);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sort");
    UNIT_CASE(suite, the_examples_of_the_standard_come_out);
    UNIT_CASE(suite, each_rule_and_each_prefix_tells_two_apart);
    UNIT_CASE(suite, what_no_rule_tells_apart_keeps_its_order);
    UNIT_CASE(suite, a_route_is_found_without_a_packet);
    return unit_run(suite);
}
