/* Names: addresses and services looked up, and connections by name.
 *
 * Look-ups go through c-ares, which asks name servers itself: any number at once, each with a
 * deadline, and a cancel ends one at once. Where this build lacks c-ares, or the loop is told so,
 * the system's own getaddrinfo(3) answers on the threads of the pool (HARK_OFFLOAD_NAME). The hosts
 * file comes first; names without a dot are completed as resolv.conf says. A look-up allocates.
 * On Windows hark is tested without c-ares; a name is UTF-8, and completed as the system does. */
#ifndef HARK_DNS_H
#define HARK_DNS_H

#include <hark/io.h>
#include <hark/system.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What can be asked for. */
enum hark_dns_type {
    HARK_DNS_ADDRESSES,  /* A and AAAA together; records come as one or the other, AAAA first */
    HARK_DNS_A,
    HARK_DNS_AAAA,
    HARK_DNS_SRV,
    HARK_DNS_TXT,
    HARK_DNS_PTR,        /* the names of a numeric address */
    HARK_DNS_TYPES
};

/* One record of an answer. */
struct hark_dns_record {
    enum hark_dns_type type;
    uint32_t ttl_s;          /* how long it is good; 0 if no name server said so */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr;                  /* A, AAAA; the port is 0 */
    uint16_t port, priority, weight; /* SRV */
    bool continues;          /* TXT: the next record goes on with the same text */
    uint16_t text_len;
    char text[256];          /* SRV: the target; PTR: the name; TXT: up to 255 bytes of any kind.
                              * A zero byte is added */
};

/* Where an answer goes. The caller's, borrowed until the callback. */
struct hark_dns_answer {
    struct hark_dns_record *records;
    size_t room_count;       /* of records */
    size_t found_count;      /* filled in: how many there were; more than room_count: the others
                              * were left out */
};

/* Looks a name up. Numeric addresses need no name server. IPv6 addresses come before IPv4's, those
 * of a family in the order of the answer, not sorted by where this machine can go: hark_dial()
 * does that.
 *
 * name    read during the call only. At most 253 bytes, in labels of at most 63; a final dot keeps
 *         it from being completed. For PTR "192.0.2.1" or "2001:db8::1".
 * answer  see there.
 * Result  the number of records filled in; HARK_ENONAME: no such name, or none of that type;
 *         HARK_ESERVER: the name server failed or refused; HARK_ETIMEDOUT: none answered;
 *         HARK_EINVAL: not a name; HARK_ENOSYS: type is beyond getaddrinfo(3); HARK_ENOMEM; ...
 * Thread  loop
 */
HARK_API void hark_resolve(struct hark_op *op, struct hark_loop *loop, const char *name,
                           enum hark_dns_type type, struct hark_dns_answer *answer,
                           hark_done_fn *done);

/* How a loop looks names up. All zero is the default for each. */
struct hark_dns_options {
    const char *servers;      /* "127.0.0.1:5353,[::1]:53": asked instead of resolv.conf's */
    const char *resolv_conf;  /* a path; NULL: /etc/resolv.conf */
    unsigned timeout_ms;      /* until a server is asked again, doubled each time; 0: 5000 */
    unsigned tries;           /* how often each server is asked; 0: 4 */
    bool uses_system;         /* getaddrinfo(3) on the pool, and none of the above */
};

/* Sets how a loop looks names up from now on, and reads resolv.conf again.
 *
 * options  copied; NULL for the defaults.
 * Result   0; HARK_EBUSY: a look-up is alive; HARK_EINVAL: servers cannot be read; HARK_ENOMEM;
 *          HARK_ENOSYS: this build lacks c-ares, and servers or resolv_conf are given.
 * Thread   loop
 */
HARK_API int hark_dns_configure(struct hark_loop *loop, const struct hark_dns_options *options);

/* How hark_dial() goes about it. All zero is what RFC 8305 recommends. */
struct hark_dial_options {
    int64_t attempt_delay_ns;     /* from one attempt to the next; 0: 250 ms */
    int64_t resolution_delay_ns;  /* wait for IPv6 addresses when IPv4's are there; 0: 50 ms */
};

/* Opens io on a connection to one of the addresses of a name, as RFC 8305 says (Happy Eyeballs):
 * A and AAAA are asked for at once; addresses are tried in the order of RFC 6724, mostly IPv6
 * first, the families taking turns; attempts overlap. The first to connect wins, and the others
 * are closed before the callback.
 *
 * io       zeroed or closed before; the caller's, and idle, when the callback comes.
 * target   "host:service", "[2001:db8::1]:80", or "/path" of a Unix socket; read during the call
 *          only. A service is a number or a name of services(5).
 * options  copied; NULL for the defaults.
 * Result   0: io is open and connected; HARK_ECONNREFUSED and its like: of the attempt that says
 *          most; HARK_EINVAL: target cannot be read; errors as for hark_resolve().
 * Thread   loop
 */
HARK_API void hark_dial(struct hark_op *op, struct hark_io *io, struct hark_loop *loop,
                        const char *target, const struct hark_dial_options *options,
                        hark_done_fn *done);

/* The same for fibers: as hark_resolve() and hark_dial().
 *
 * Thread fiber
 */
HARK_API int64_t hark_fiber_resolve(const char *name, enum hark_dns_type type,
                                    struct hark_dns_answer *answer);
HARK_API int64_t hark_fiber_dial(struct hark_io *io, const char *target,
                                 const struct hark_dial_options *options);

#define hark_resolve(op, ...) (hark_resolve)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_dial(op, io, ...) \
    (hark_dial)(hark_at(op, HARK_PLACE), hark_io_at(io, HARK_PLACE), __VA_ARGS__)
#define hark_fiber_resolve(...) (hark_fiber_at(HARK_PLACE), (hark_fiber_resolve)(__VA_ARGS__))
#define hark_fiber_dial(...) (hark_fiber_at(HARK_PLACE), (hark_fiber_dial)(__VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
