/* hark_dial(): Happy Eyeballs, version 2 (RFC 8305).
 *
 *   look-up ---> addresses ---> attempt, attempt, ... ---> the first that connects
 *
 *  1. The first attempt begins when there are IPv6 addresses, or when it is known that there are
 *     none; IPv4 addresses alone wait for the resolution delay.
 *  2. The next begins when the latest has failed, or after the attempt delay. What is left is
 *     sorted by sort.c before each; the families take turns, beginning with that of the best.
 *  3. Whatever the end is, every attempt is closed before the callback. Then nothing is left.
 *  4. Of several errors, one that came from the other side says more than "no way from here". */
#include <errno.h>
#include <hark/net.h>
#include <string.h>
#include <unistd.h>

#include "dns/dns.h"

enum { V6, V4, FAMILIES };
enum { FAMILY_ADDRESSES = 8, ATTEMPTS = FAMILIES * FAMILY_ADDRESSES }; /* more are left out */

#define ATTEMPT_DELAY_NS (250 * HARK_MILLISECOND)
#define RESOLUTION_DELAY_NS (50 * HARK_MILLISECOND)

static const char label[] = "dial";

struct candidate { union address addr; struct route route; };

struct attempt {
    struct dial *dial;
    struct hark_io io;
    struct hark_op connecting, closing;
    union address addr;
    bool is_open;
};

struct dial {
    const struct layer *layer;
    struct hark_op *op;
    struct hark_io *io;             /* the caller's */
    struct hark_loop *loop;
    struct lookup *lookup;          /* NULL: it is over */
    struct hark_op moment;          /* when the next attempt is due */
    int64_t attempt_delay_ns, resolution_delay_ns;
    uint16_t port;                  /* in network order */
    struct candidate found[FAMILIES][FAMILY_ADDRESSES];
    unsigned found_count[FAMILIES], taken_count[FAMILIES];
    int turn;                       /* the family whose turn it is */
    struct attempt attempts[ATTEMPTS];
    unsigned attempt_count, connecting_count, open_count;
    int error, os_error;            /* of the attempt that says most */
    bool is_ending, is_canceled;
};

static void cancel(struct hark_op *op);

static const struct layer layer = { .name = "dial", .cancel = cancel };

/* What an op has that has ended, and may be looked at until its callback. */
static const struct layer *const nothing = &layer;

/* The end: the op is done, the memory goes. Rule 3. */
static void end(struct dial *dial)
{
    struct hark_op *op = dial->op;
    op->u.layer.layered = (void *)(uintptr_t)&nothing;
    if (dial->is_canceled) layer_end(op, -ECANCELED);
    else if (dial->os_error != 0) layer_end(op, -dial->os_error);
    else if (dial->error != 0) layer_fail(op, dial->error);
    else layer_end(op, 0);
    loop_resize(dial->loop, dial, sizeof *dial, 0);
}

static void on_closed(struct hark_op *op)
{
    struct attempt *attempt = op->user;
    struct dial *dial = attempt->dial;
    dial->open_count--;
    if (dial->is_ending && dial->open_count == 0) end(dial);
}

static void close_attempt(struct attempt *attempt)
{
    attempt->is_open = false;
    attempt->closing.user = attempt;
    attempt->closing.label = label;
    hark_close(&attempt->closing, &attempt->io, on_closed);
    hark_background(&attempt->closing);
}

/* Begins the end: everything is given up, and waited for. */
static void finish(struct dial *dial)
{
    struct lookup *lookup = dial->lookup;
    dial->is_ending = true;
    moment_drop(&dial->moment);
    dial->lookup = NULL;
    if (lookup != NULL) lookup_abandon(lookup);
    for (unsigned i = 0; i < dial->attempt_count; i++)
        if (dial->attempts[i].is_open) close_attempt(&dial->attempts[i]);
    if (dial->open_count == 0) end(dial);
}

static void cancel(struct hark_op *op)
{
    struct dial *dial = layer_of(op);
    if (dial->is_ending) return; /* its true result follows */
    dial->is_canceled = true;
    finish(dial);
}

/* Rule 4. */
static void note_error(struct dial *dial, int error, int os_error)
{
    bool is_of_here = error == HARK_ENETUNREACH || error == HARK_EADDRNOTAVAIL ||
                      error == HARK_EAFNOSUPPORT;
    if (dial->error != 0 && is_of_here) return;
    dial->error = error;
    dial->os_error = os_error;
}

static void succeed(struct dial *dial, struct attempt *attempt)
{
    int fd = hark_io_release(&attempt->io);
    attempt->is_open = false;
    dial->open_count--;
    dial->os_error = 0;
    dial->error = (hark_io_adopt)(dial->io, dial->loop, fd);
    if (dial->error != 0) (void)close(fd); /* told by the error */
    finish(dial);
}

static void go_on(struct dial *dial, bool is_due);

static void on_connected(struct hark_op *op)
{
    struct attempt *attempt = op->user;
    struct dial *dial = attempt->dial;
    dial->connecting_count--;
    if (dial->is_ending) return;
    if (op->result == 0) {
        succeed(dial, attempt);
        return;
    }
    note_error(dial, (int)op->result, op->os_error);
    close_attempt(attempt);
    go_on(dial, true);
}

static void on_moment(struct hark_op *op) { go_on(op->user, true); }

static void wait_for_moment(struct dial *dial, int64_t delay_ns)
{
    moment_drop(&dial->moment);
    dial->moment.user = dial;
    moment_set(&dial->moment, dial->loop, hark_after(dial->loop, delay_ns), on_moment);
}

static unsigned left_count(const struct dial *dial, int family)
{
    return dial->found_count[family] - dial->taken_count[family];
}

/* The addresses of a family that are not tried yet, best first. */
static void sort_left(struct dial *dial, int family)
{
    struct candidate *list = &dial->found[family][dial->taken_count[family]];
    unsigned count = left_count(dial, family);
    for (unsigned i = 0; i < count; i++) {
        struct candidate candidate = list[i];
        unsigned at = i;
        if (!candidate.route.is_known) sort_find_route(&candidate.route, &candidate.addr);
        for (; at > 0 && sort_compare(&candidate.route, &list[at - 1].route) < 0; at--)
            list[at] = list[at - 1];
        list[at] = candidate;
    }
}

/* Sorts what is left, and tells which family has the best. One address needs no route. */
static int sort(struct dial *dial)
{
    if (left_count(dial, V6) + left_count(dial, V4) <= 1) return dial->turn;
    sort_left(dial, V6);
    sort_left(dial, V4);
    if (left_count(dial, V6) == 0 || left_count(dial, V4) == 0) return dial->turn;
    const struct candidate *v6 = &dial->found[V6][dial->taken_count[V6]];
    const struct candidate *v4 = &dial->found[V4][dial->taken_count[V4]];
    return sort_compare(&v4->route, &v6->route) < 0 ? V4 : V6;
}

/* The next address, of the family whose turn it is if that has one. Rule 2. */
static const union address *take_address(struct dial *dial)
{
    bool is_first = dial->taken_count[V6] + dial->taken_count[V4] == 0;
    int best = sort(dial);
    if (is_first) dial->turn = best;
    int family = left_count(dial, dial->turn) != 0 ? dial->turn : !dial->turn;
    dial->turn = !family;
    return &dial->found[family][dial->taken_count[family]++].addr;
}

static socklen_t length(const union address *addr)
{
    switch (addr->any.sa_family) {
    case AF_INET: return sizeof addr->v4;
    case AF_INET6: return sizeof addr->v6;
    default: return sizeof addr->path;
    }
}

static bool has_address(const struct dial *dial)
{
    return left_count(dial, V6) + left_count(dial, V4) != 0;
}

/* False: it could not even begin. */
static bool begin_attempt(struct dial *dial)
{
    struct attempt *attempt = &dial->attempts[dial->attempt_count++];
    attempt->dial = dial;
    attempt->addr = *take_address(dial);
    int family = attempt->addr.any.sa_family;
    int error = (hark_socket)(hark_io_at(&attempt->io, dial->op->place), dial->loop, family,
                              SOCK_STREAM, 0);
    if (error != 0) {
        note_error(dial, error, 0);
        return false;
    }
    attempt->io.label = label;
    attempt->is_open = true;
    attempt->connecting.user = attempt;
    attempt->connecting.label = label;
    dial->open_count++;
    dial->connecting_count++;
    hark_connect(&attempt->connecting, &attempt->io, &attempt->addr.any, length(&attempt->addr),
                 on_connected);
    hark_background(&attempt->connecting);
    return true;
}

static bool waits_for_v6(const struct dial *dial)
{
    bool is_pending = dial->lookup != NULL && dial->lookup->pending & 1u << HARK_DNS_AAAA;
    return dial->attempt_count == 0 && is_pending && left_count(dial, V6) == 0;
}

/* Something has changed: is it time for the next attempt? is_due: it is, if there can be one. */
static void go_on(struct dial *dial, bool is_due)
{
    bool is_waiting = hark_is_alive(&dial->moment);
    if (waits_for_v6(dial) && !is_due) { /* rule 1 */
        if (has_address(dial) && !is_waiting) wait_for_moment(dial, dial->resolution_delay_ns);
        return;
    }
    if (dial->connecting_count != 0 && is_waiting && !is_due) return; /* rule 2 */
    moment_drop(&dial->moment);
    bool has_begun = false;
    while (!has_begun && has_address(dial)) has_begun = begin_attempt(dial);
    if (has_begun) wait_for_moment(dial, dial->attempt_delay_ns);
    else if (dial->connecting_count == 0 && dial->lookup == NULL) finish(dial);
}

static void take_record(void *owner, const struct hark_dns_record *record)
{
    struct dial *dial = owner;
    int family = record->type == HARK_DNS_AAAA ? V6 : V4;
    if (dial->found_count[family] == FAMILY_ADDRESSES) return;
    union address *addr = &dial->found[family][dial->found_count[family]++].addr;
    if (family == V6) addr->v6 = record->addr.v6;
    else addr->v4 = record->addr.v4;
    if (family == V6) addr->v6.sin6_port = dial->port;
    else addr->v4.sin_port = dial->port;
}

static void take_change(void *owner, const struct lookup *lookup)
{
    struct dial *dial = owner;
    if (lookup->pending == 0) dial->lookup = NULL; /* it goes by itself */
    if (lookup->pending == 0 && lookup->record_count == 0) note_error(dial, lookup->error, 0);
    go_on(dial, false);
}

static const struct lookup_user user = { .record = take_record, .change = take_change };

/* Takes "host:service" and "[v6]:service" apart. */
static bool split(const char *target, char host[NAME_BYTES], const char **service)
{
    bool has_bracket = *target == '[';
    const char *from = target + has_bracket;
    const char *to = strchr(from, has_bracket ? ']' : ':');
    if (to == NULL || to == from || to - from >= NAME_BYTES) return false;
    memcpy(host, from, (size_t)(to - from));
    host[to - from] = '\0';
    *service = to + has_bracket + 1;
    return !has_bracket || to[1] == ':';
}

/* A Unix path is the one address that there is. */
static int begin_path(struct dial *dial, const char *path)
{
    struct sockaddr_un *addr = &dial->found[V4][0].addr.path;
    if (strlen(path) >= sizeof addr->sun_path) return HARK_ENAMETOOLONG;
    addr->sun_family = AF_UNIX;
    memcpy(addr->sun_path, path, strlen(path) + 1);
    dial->found_count[V4] = 1;
    go_on(dial, false);
    return 0;
}

/* 0: it has begun, and may be over. */
static int begin(struct dial *dial, const char *target)
{
    char host[NAME_BYTES];
    const char *service;
    if (*target == '/') return begin_path(dial, target);
    if (!split(target, host, &service) || !address_is_name(host)) return HARK_EINVAL;
    int port = address_port(service);
    if (port < 0) return port;
    dial->port = htons((uint16_t)port);
    struct names *names = names_of(dial->loop);
    if (names == NULL) return HARK_ENOMEM;
    dial->lookup = lookup_new(names, host, HARK_DNS_ADDRESSES, &user, dial);
    if (dial->lookup == NULL) return HARK_ENOMEM;
    lookup_begin(dial->lookup);
    return 0;
}

static int64_t or_default(int64_t given, int64_t standard) { return given > 0 ? given : standard; }

void (hark_dial)(struct hark_op *op, struct hark_io *io, struct hark_loop *loop,
                 const char *target, const struct hark_dial_options *options, hark_done_fn *done)
{
    static const struct hark_dial_options defaults;
    if (options == NULL) options = &defaults;
    if (!layer_begin(op, loop, (void *)(uintptr_t)&nothing, done)) return;
    struct dial *dial = loop_resize(loop, NULL, 0, sizeof *dial);
    if (dial == NULL) {
        layer_fail(op, HARK_ENOMEM);
        return;
    }
    memset(dial, 0, sizeof *dial);
    dial->layer = &layer;
    dial->op = op;
    dial->io = io;
    dial->loop = loop;
    dial->attempt_delay_ns = or_default(options->attempt_delay_ns, ATTEMPT_DELAY_NS);
    dial->resolution_delay_ns = or_default(options->resolution_delay_ns, RESOLUTION_DELAY_NS);
    op->u.layer.layered = dial;
    int error = begin(dial, target);
    if (error == 0) return;
    dial->error = error;
    end(dial);
}
