/* A loop's names: how they are looked up, and the life of a look-up; see dns.h.
 *
 * The rules of completing a name are here, and not left to c-ares: A and AAAA are asked for at once
 * and are answered apart, and both answers must be of the same candidate. */
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "dns/dns.h"

static void free_text(struct hark_loop *loop, const char *text)
{
    if (text != NULL) loop_resize(loop, (void *)(uintptr_t)text, strlen(text) + 1, 0);
}

static bool copy_text(struct hark_loop *loop, const char **copy, const char *text)
{
    *copy = NULL;
    if (text == NULL) return true;
    char *memory = loop_resize(loop, NULL, 0, strlen(text) + 1);
    if (memory == NULL) return false;
    memcpy(memory, text, strlen(text) + 1);
    *copy = memory;
    return true;
}

struct names *names_of(struct hark_loop *loop)
{
    if (loop->names != NULL) return loop->names;
    struct names *names = loop_resize(loop, NULL, 0, sizeof *names);
    if (names == NULL) return NULL;
    *names = (struct names){ .loop = loop };
    names->waiting_end = &names->waiting;
    loop->names = names;
    return names;
}

static void forget_options(struct names *names)
{
    cares_close(names);
    free_text(names->loop, names->options.servers);
    free_text(names->loop, names->options.resolv_conf);
    names->options = (struct hark_dns_options){ 0 };
}

static int take_options(struct names *names, const struct hark_dns_options *options)
{
    names->options = *options;
    bool has_servers = copy_text(names->loop, &names->options.servers, options->servers);
    bool has_path = copy_text(names->loop, &names->options.resolv_conf, options->resolv_conf);
    if (!has_servers || !has_path) return HARK_ENOMEM;
    if (options->uses_system || !cares_is_there) return 0;
    return cares_open(names);
}

int hark_dns_configure(struct hark_loop *loop, const struct hark_dns_options *options)
{
    static const struct hark_dns_options defaults;
    if (options == NULL) options = &defaults;
    bool wants_servers = options->servers != NULL || options->resolv_conf != NULL;
    if (!cares_is_there && wants_servers && !options->uses_system) return HARK_ENOSYS;
    struct names *names = names_of(loop);
    if (names == NULL) return HARK_ENOMEM;
    if (names->live != 0) return HARK_EBUSY;
    forget_options(names);
    int error = take_options(names, options);
    if (error != 0) forget_options(names);
    return error;
}

/* The seam towards the loop: no op is left, and every io is shut. */
static void close_names(struct hark_loop *loop)
{
    struct names *names = loop->names;
    if (names == NULL) return;
    forget_options(names);
    loop_resize(loop, names, sizeof *names, 0);
    loop->names = NULL;
}

const struct names_ops names_seam = { .close = close_names };

struct lookup *lookup_new(struct names *names, const char *name, enum hark_dns_type type,
                          const struct lookup_user *user, void *owner)
{
    struct lookup *lookup = loop_resize(names->loop, NULL, 0, sizeof *lookup);
    if (lookup == NULL) return NULL;
    *lookup = (struct lookup){ .names = names, .user = user, .owner = owner };
    memcpy(lookup->name, name, strlen(name) + 1);
    bool is_both = type == HARK_DNS_ADDRESSES;
    lookup->question_count = is_both ? 2 : 1;
    for (unsigned i = 0; i < lookup->question_count; i++) {
        enum hark_dns_type asked = i == 0 ? HARK_DNS_AAAA : HARK_DNS_A;
        if (!is_both) asked = type;
        lookup->questions[i] = (struct question){ lookup, asked, 1u << asked };
        lookup->types |= 1u << asked;
    }
    lookup->pending = lookup->types;
    names->live++;
    return lookup;
}

static void free_lookup(struct lookup *lookup)
{
    system_free(lookup);
    loop_resize(lookup->names->loop, lookup, sizeof *lookup, 0);
}

/* Tells the user; after the last time the look-up is gone. */
static void tell_user(struct lookup *lookup)
{
    bool is_over = lookup->pending == 0;
    if (is_over && lookup->owner != NULL) lookup->names->live--;
    if (lookup->owner != NULL) lookup->user->change(lookup->owner, lookup);
    if (is_over) free_lookup(lookup);
}

void lookup_record(struct lookup *lookup, const struct hark_dns_record *record)
{
    lookup->record_count++;
    if (lookup->owner != NULL) lookup->user->record(lookup->owner, record);
}

void lookup_fail(struct lookup *lookup, int error)
{
    if (lookup->record_count == 0) lookup->error = error;
    lookup->pending = 0;
    tell_user(lookup);
}

static void ask_hosts(struct lookup *lookup)
{
    for (unsigned i = 0; i < lookup->question_count; i++)
        cares_read_hosts(lookup, lookup->questions[i].type);
}

static bool is_asked_for(const struct lookup *lookup, enum hark_dns_type type)
{
    return lookup->types & 1u << type;
}

static bool wants_addresses(const struct lookup *lookup)
{
    return is_asked_for(lookup, HARK_DNS_A) || is_asked_for(lookup, HARK_DNS_AAAA);
}

/* "localhost" and all below it are this machine (RFC 6761), whatever a name server says. */
static bool is_localhost(const char *name)
{
    static const char local[] = "localhost";
    size_t len = strlen(name), tail = sizeof local - 1;
    if (len > 0 && name[len - 1] == '.') len--;
    if (len < tail || strncasecmp(name + len - tail, local, tail) != 0) return false;
    return len == tail || name[len - tail - 1] == '.';
}

static void give(struct lookup *lookup, const char *numeric)
{
    struct hark_dns_record record;
    if (address_read(numeric, &record) && is_asked_for(lookup, record.type))
        lookup_record(lookup, &record);
}

/* What needs no name server. True: that was all. */
static bool is_answered_here(struct lookup *lookup)
{
    struct hark_dns_record record;
    if (!wants_addresses(lookup)) return false;
    bool is_numeric = address_read(lookup->name, &record);
    if (is_numeric && is_asked_for(lookup, record.type)) lookup_record(lookup, &record);
    if (!is_numeric && lookup->names->channel != NULL) ask_hosts(lookup);
    bool is_local = !is_numeric && lookup->record_count == 0 && is_localhost(lookup->name);
    if (is_local) give(lookup, "::1");
    if (is_local) give(lookup, "127.0.0.1");
    return is_numeric || is_local || lookup->record_count != 0;
}

/* Writes the n-th name to ask for: as it is, before or after those that resolv.conf completes.
 * False: there are no more. */
static bool candidate(const struct lookup *lookup, unsigned n, char name[NAME_BYTES])
{
    const char *given = lookup->name;
    size_t len = strlen(given);
    bool is_whole = given[len - 1] == '.' || !wants_addresses(lookup);
    int dots = 0;
    for (const char *at = given; *at != '\0'; at++) dots += *at == '.';
    bool is_first = is_whole || dots >= cares_dots(lookup->names);
    unsigned domains = is_whole ? 0 : cares_domain_count(lookup->names);
    if (n > domains) return false;
    memcpy(name, given, len + 1);
    if (n == (is_first ? 0 : domains)) return true;
    const char *domain = cares_domain(lookup->names, is_first ? n - 1 : n);
    if (len + 1 + strlen(domain) >= NAME_BYTES) return true; /* asked as it is, once more */
    name[len] = '.';
    memcpy(name + len + 1, domain, strlen(domain) + 1);
    return true;
}

static bool is_unfinished(const struct lookup *lookup)
{
    bool is_unknown = lookup->record_count == 0 && lookup->error == HARK_ENONAME;
    return lookup->pending == 0 && is_unknown && lookup->owner != NULL;
}

/* Asks for one candidate after the other until one has to be waited for, or has an answer. */
static void ask(struct lookup *lookup)
{
    char name[NAME_BYTES];
    lookup->is_asking = true;
    lookup->error = HARK_ENONAME;
    lookup->pending = 0;
    while (is_unfinished(lookup) && candidate(lookup, lookup->candidate, name)) {
        lookup->candidate++;
        lookup->pending = lookup->types;
        for (unsigned i = 0; i < lookup->question_count; i++) {
            lookup->names->asked++;
            cares_ask(&lookup->questions[i], name);
        }
    }
    lookup->is_asking = false;
}

/* An error that is not "no such name" tells more than that one. */
void lookup_answer(struct question *question, int error)
{
    struct lookup *lookup = question->lookup;
    lookup->names->asked--;
    lookup->pending &= ~question->bit;
    if (error != 0 && error != HARK_ENONAME) lookup->error = error;
    if (lookup->is_asking) return; /* ask() looks */
    if (is_unfinished(lookup)) ask(lookup);
    tell_user(lookup);
}

static void ask_and_tell(struct lookup *lookup)
{
    ask(lookup);
    if (lookup->pending != lookup->types) tell_user(lookup);
}

static bool has_room(const struct lookup *lookup)
{
    return lookup->names->asked + lookup->question_count <= LIMIT_QUESTIONS;
}

static void wait_for_room(struct lookup *lookup)
{
    struct names *names = lookup->names;
    lookup->is_waiting = true;
    lookup->next = NULL;
    *names->waiting_end = lookup;
    names->waiting_end = &lookup->next;
}

static void stop_waiting(struct lookup *lookup)
{
    struct lookup **at = &lookup->names->waiting;
    while (*at != lookup) at = &(*at)->next;
    *at = lookup->next;
    if (*at == NULL) lookup->names->waiting_end = at;
    lookup->is_waiting = false;
}

void names_go_on(struct names *names)
{
    while (names->waiting != NULL && has_room(names->waiting)) {
        struct lookup *lookup = names->waiting;
        stop_waiting(lookup);
        ask_and_tell(lookup);
    }
    if (names->live == 0 && names->asked != 0) cares_cancel(names);
}

void lookup_begin(struct lookup *lookup)
{
    struct names *names = lookup->names;
    bool uses_system = names->options.uses_system || !cares_is_there;
    int error = uses_system || names->channel != NULL ? 0 : cares_open(names);
    if (error != 0) lookup_fail(lookup, error);
    else if (is_answered_here(lookup)) lookup_fail(lookup, HARK_ENONAME);
    else if (uses_system) system_begin(lookup);
    else if (names->waiting != NULL || !has_room(lookup)) wait_for_room(lookup);
    else ask_and_tell(lookup);
}

/* c-ares cannot cancel one question, so its answer goes nowhere; when nobody wants any, all are
 * canceled at once, and their sockets closed. */
void lookup_abandon(struct lookup *lookup)
{
    struct names *names = lookup->names;
    lookup->owner = NULL;
    names->live--;
    if (lookup->is_waiting) {
        stop_waiting(lookup);
        free_lookup(lookup);
    } else {
        hark_cancel(&lookup->work);
    }
    names_go_on(names);
}
