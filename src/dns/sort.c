/* Which of two addresses to try first: destination address selection, RFC 6724, section 6.
 *
 * The rules that need what only an administrator or a routing daemon knows are left out: home
 * addresses (4) and native transport (7). Deprecated sources (3) the kernel avoids by itself
 * when it has another. The longest common prefix (9) counts for IPv6 only: among IPv4 addresses
 * it would undo the rotation by which name servers spread load. What no rule tells apart keeps its
 * order (10). */
#include <hark/io.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/sys.h"
#include "dns/dns.h"

enum { SCOPE_LINK = 2, SCOPE_SITE = 5, SCOPE_GLOBAL = 14 };
enum { PREFIX_BITS = 64 }; /* behind them an IPv6 address names the interface */

/* Section 2.1. The longest prefix that fits counts: they are in that order. */
static const struct policy { uint8_t prefix[16]; uint8_t bits, precedence, label; } policies[] = {
    { { [15] = 1 }, 128, 50, 0 },
    { { [10] = 0xff, 0xff }, 96, 35, 4 },
    { { 0 }, 96, 1, 3 },
    { { 0x20, 0x01 }, 32, 5, 5 },
    { { 0x20, 0x02 }, 16, 30, 2 },
    { { 0x3f, 0xfe }, 16, 1, 12 },
    { { 0xfe, 0xc0 }, 10, 1, 11 },
    { { 0xfc }, 7, 3, 13 },
    { { 0 }, 0, 40, 1 },
};

static unsigned common_bits(const uint8_t *a, const uint8_t *b)
{
    unsigned bits = 0;
    while (bits < 128 && !((a[bits / 8] ^ b[bits / 8]) >> (7 - bits % 8) & 1)) bits++;
    return bits;
}

static const struct policy *policy_of(const struct in6_addr *addr)
{
    const struct policy *policy = policies;
    while (common_bits(policy->prefix, addr->s6_addr) < policy->bits) policy++; /* the last fits */
    return policy;
}

/* Sections 3.1 and 3.2. */
static int scope_of(const struct in6_addr *addr)
{
    const uint8_t *byte = addr->s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(addr)) {
        bool is_link = byte[12] == 127 || (byte[12] == 169 && byte[13] == 254);
        return is_link ? SCOPE_LINK : SCOPE_GLOBAL;
    }
    if (IN6_IS_ADDR_MULTICAST(addr)) return byte[1] & 15;
    if (IN6_IS_ADDR_LINKLOCAL(addr) || IN6_IS_ADDR_LOOPBACK(addr)) return SCOPE_LINK;
    return IN6_IS_ADDR_SITELOCAL(addr) ? SCOPE_SITE : SCOPE_GLOBAL;
}

static unsigned prefix_of(const struct route *route)
{
    unsigned bits = common_bits(route->to.s6_addr, route->from.s6_addr);
    return bits < PREFIX_BITS ? bits : PREFIX_BITS;
}

int sort_compare(const struct route *a, const struct route *b)
{
    if (!a->is_usable || !b->is_usable) return b->is_usable - a->is_usable; /* rule 1 */
    int a_scope = scope_of(&a->to), b_scope = scope_of(&b->to);
    bool a_matches = a_scope == scope_of(&a->from), b_matches = b_scope == scope_of(&b->from);
    if (a_matches != b_matches) return b_matches - a_matches; /* rule 2 */
    const struct policy *a_policy = policy_of(&a->to), *b_policy = policy_of(&b->to);
    a_matches = a_policy->label == policy_of(&a->from)->label;
    b_matches = b_policy->label == policy_of(&b->from)->label;
    if (a_matches != b_matches) return b_matches - a_matches; /* rule 5 */
    if (a_policy->precedence != b_policy->precedence) /* rule 6 */
        return b_policy->precedence - a_policy->precedence;
    if (a_scope != b_scope) return a_scope - b_scope; /* rule 8 */
    if (IN6_IS_ADDR_V4MAPPED(&a->to) || IN6_IS_ADDR_V4MAPPED(&b->to)) return 0;
    return (int)prefix_of(b) - (int)prefix_of(a); /* rule 9 */
}

static void map(struct in6_addr *to, const union address *addr)
{
    if (addr->any.sa_family == AF_INET6) {
        *to = addr->v6.sin6_addr;
        return;
    }
    *to = (struct in6_addr){ .s6_addr = { [10] = 0xff, 0xff } };
    memcpy(&to->s6_addr[12], &addr->v4.sin_addr, 4);
}

/* A datagram socket that is connected has chosen its source, and sends nothing. */
void sort_find_route(struct route *route, const union address *to)
{
    union address from = { .any.sa_family = to->any.sa_family };
    socklen_t len = to->any.sa_family == AF_INET6 ? sizeof to->v6 : sizeof to->v4;
    *route = (struct route){ .is_known = true };
    map(&route->to, to);
    int fd = sys_socket(to->any.sa_family, SOCK_DGRAM, 0, true);
    if (fd < 0) return;
    route->is_usable = connect(fd, &to->any, len) == 0 && getsockname(fd, &from.any, &len) == 0;
    map(&route->from, &from);
    (void)sys_close(fd); /* ours, and nothing was written to it */
}
