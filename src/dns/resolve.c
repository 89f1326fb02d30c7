/* hark_resolve(): an op whose memory is its look-up, until it ends. */
#include <errno.h>
#include <string.h>

#include "dns/dns.h"

static void cancel(struct hark_op *op);

static const struct layer layer = { .name = "resolve", .cancel = cancel };

/* What an op has that has ended, and may be looked at until its callback. */
static const struct layer *const nothing = &layer;

static void let_go(struct hark_op *op) { op->u.layer.layered = (void *)(uintptr_t)&nothing; }

static void cancel(struct hark_op *op)
{
    struct lookup *lookup = layer_of(op);
    let_go(op);
    layer_end(op, -ECANCELED);
    lookup_abandon(lookup);
}

static void take_record(void *owner, const struct hark_dns_record *record)
{
    const struct lookup *lookup = layer_of(owner);
    struct hark_dns_answer *answer = lookup->answer;
    if (answer->found_count < answer->room_count) answer->records[answer->found_count] = *record;
    answer->found_count++;
}

static void reverse(struct hark_dns_record *records, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct hark_dns_record kept = records[i];
        records[i] = records[count - 1 - i];
        records[count - 1 - i] = kept;
    }
}

/* The answers of the two families come in any order: the one of IPv6 is brought to the front. */
static void order(struct hark_dns_record *records, size_t count)
{
    size_t first = 0;
    while (first < count && records[first].type == HARK_DNS_A) first++;
    if (first == 0 || first == count) return;
    reverse(records, first);
    reverse(records + first, count - first);
    reverse(records, count);
}

static void take_change(void *owner, const struct lookup *lookup)
{
    struct hark_op *op = owner;
    struct hark_dns_answer *answer = lookup->answer;
    if (lookup->pending != 0) return;
    bool is_short = answer->found_count > answer->room_count;
    size_t count = is_short ? answer->room_count : answer->found_count;
    order(answer->records, count);
    let_go(op);
    if (lookup->record_count != 0) layer_end(op, (int64_t)count);
    else layer_fail(op, lookup->error);
}

static const struct lookup_user user = { .record = take_record, .change = take_change };

/* A new look-up, or NULL and why. */
static struct lookup *prepare(struct hark_op *op, struct hark_loop *loop, const char *name,
                              enum hark_dns_type type, int *error)
{
    char reversed[NAME_BYTES];
    bool is_right = (unsigned)type < HARK_DNS_TYPES && address_is_name(name);
    if (is_right && type == HARK_DNS_PTR) {
        is_right = address_reverse(name, reversed);
        name = reversed;
    }
    *error = is_right ? HARK_ENOMEM : HARK_EINVAL;
    struct names *names = is_right ? names_of(loop) : NULL;
    return names != NULL ? lookup_new(names, name, type, &user, op) : NULL;
}

void (hark_resolve)(struct hark_op *op, struct hark_loop *loop, const char *name,
                    enum hark_dns_type type, struct hark_dns_answer *answer, hark_done_fn *done)
{
    int error;
    answer->found_count = 0;
    if (!layer_begin(op, loop, (void *)(uintptr_t)&nothing, done)) return;
    struct lookup *lookup = prepare(op, loop, name, type, &error);
    if (lookup == NULL) {
        layer_fail(op, error);
        return;
    }
    lookup->layer = &layer;
    lookup->answer = answer;
    op->u.layer.layered = lookup;
    lookup_begin(lookup);
}
