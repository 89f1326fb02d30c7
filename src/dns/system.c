/* Addresses by the system's getaddrinfo(3), on a thread of the pool. It cannot be ended: a look-up
 * that nobody wants any more is left to it, and goes when it returns. */
#include <errno.h>
#include <hark/offload.h>
#include <netdb.h>
#include <string.h>

#include "calls.h"
#include "dns/dns.h"

static int error_of(int status)
{
    switch (status) {
    case 0: return 0;
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY: return HARK_ENONAME;
    case EAI_MEMORY: return HARK_ENOMEM;
    case EAI_SYSTEM: return hark_error_from_os(errno);
    default: return HARK_ESERVER;
    }
}

static int64_t work(struct hark_op *op)
{
    struct lookup *lookup = op->user;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    if (lookup->types == 1u << HARK_DNS_A) hints.ai_family = AF_INET;
    if (lookup->types == 1u << HARK_DNS_AAAA) hints.ai_family = AF_INET6;
    return error_of(call_find_addresses(lookup->name, &hints, &lookup->list));
}

static void give(struct lookup *lookup, const struct addrinfo *found)
{
    struct hark_dns_record record = { .type = HARK_DNS_A };
    bool is_v6 = found->ai_family == AF_INET6;
    if (!is_v6 && found->ai_family != AF_INET) return;
    if (is_v6) record.type = HARK_DNS_AAAA;
    memcpy(&record.addr, found->ai_addr, is_v6 ? sizeof record.addr.v6 : sizeof record.addr.v4);
    lookup_record(lookup, &record);
}

static void on_worked(struct hark_op *op)
{
    struct lookup *lookup = op->user;
    const struct addrinfo *at = op->result == 0 ? lookup->list : NULL;
    for (; at != NULL; at = at->ai_next) give(lookup, at);
    lookup_fail(lookup, op->result < 0 ? (int)op->result : HARK_ENONAME);
}

void system_begin(struct lookup *lookup)
{
    unsigned addresses = 1u << HARK_DNS_A | 1u << HARK_DNS_AAAA;
    if (lookup->types & ~addresses) {
        lookup_fail(lookup, HARK_ENOSYS);
        return;
    }
    lookup->work.user = lookup;
    lookup->work.label = "names";
    hark_offload(&lookup->work, lookup->names->loop, HARK_OFFLOAD_NAME, work, on_worked);
    hark_background(&lookup->work);
}

void system_free(struct lookup *lookup)
{
    if (lookup->list != NULL) call_free_addresses(lookup->list);
}
