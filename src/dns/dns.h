/* What the files of dns/ share: a loop's names, and look-ups.
 *
 * A look-up is the library's memory. It asks one question, or two (AAAA and A), for one candidate
 * after the other (a name, completed by the domains of resolv.conf) until one has records. Who
 * wants it may abandon it at any moment: its questions then come to their end in the background,
 * their answers go nowhere, and it frees itself.
 *
 *   lookup_new ---> lookup_begin ---> waiting ---> asked ---> the last change(), freed
 *                                        |           |
 *                                        +-----------+--- lookup_abandon: freed with its questions
 */
#ifndef HARK_DNS_DNS_H
#define HARK_DNS_DNS_H

#include <hark/dns.h>
#include <sys/un.h>

#include "loop/layer.h"

enum { NAME_BYTES = 256, LOOKUP_QUESTIONS = 2 };

struct lookup;
struct channel;

/* Who wants a look-up. Both are called from inside lookup_begin() too. */
struct lookup_user {
    void (*record)(void *owner, const struct hark_dns_record *record);
    void (*change)(void *owner, const struct lookup *lookup); /* pending == 0: for the last time */
};

struct question {
    struct lookup *lookup;
    enum hark_dns_type type;
    unsigned bit;                  /* in lookup->pending */
};

struct lookup {
    const struct layer *layer;     /* of hark_resolve(), whose op's memory this is */
    struct hark_dns_answer *answer;
    struct names *names;
    struct lookup *next;           /* in names->waiting */
    const struct lookup_user *user;
    void *owner;                   /* NULL: nobody wants it any more */
    struct question questions[LOOKUP_QUESTIONS];
    unsigned question_count;
    unsigned types;                /* a bit for each type that is asked for: 1 << type */
    unsigned pending;              /* of these, what is not answered yet */
    size_t record_count;
    int error;                     /* without records: why */
    unsigned candidate;            /* the next one to ask for */
    bool is_waiting, is_asking;
    struct hark_op work;           /* getaddrinfo(3) on a thread */
    struct addrinfo *list;
    char name[NAME_BYTES];
};

struct names {
    struct hark_loop *loop;
    struct channel *channel;       /* to name servers; NULL: not opened */
    struct hark_dns_options options; /* the strings are copies */
    size_t live;                   /* look-ups that somebody wants */
    size_t asked;                  /* questions that the channel has */
    struct lookup *waiting, **waiting_end; /* for room in the channel, first come first */
};

/* names.c. A new look-up of a valid name, or NULL: no memory. */
struct names *names_of(struct hark_loop *loop);
struct lookup *lookup_new(struct names *names, const char *name, enum hark_dns_type type,
                          const struct lookup_user *user, void *owner);
void lookup_begin(struct lookup *lookup);
void lookup_abandon(struct lookup *lookup);
void lookup_record(struct lookup *lookup, const struct hark_dns_record *record);
void lookup_answer(struct question *question, int error); /* its records came before */
void lookup_fail(struct lookup *lookup, int error);       /* all of them */
void names_go_on(struct names *names);                    /* the channel may have room again */

/* address.c */
bool address_is_name(const char *name);
bool address_read(const char *text, struct hark_dns_record *record);
bool address_reverse(const char *text, char name[NAME_BYTES]);
int address_port(const char *service); /* or a negative hark error */

/* An address to connect to. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
};

/* sort.c: an address to go to, and the one that this machine would go from. IPv4 is mapped. */
struct route {
    struct in6_addr to, from;
    bool is_usable;                /* there is a way */
    bool is_known;                 /* the others are filled in */
};

void sort_find_route(struct route *route, const union address *to);
int sort_compare(const struct route *a, const struct route *b); /* < 0: a first. 0: no matter */

/* cares.c; cares_absent.c where this build lacks it. Errors are hark's. */
extern const bool cares_is_there;
int cares_open(struct names *names);
void cares_close(struct names *names);
void cares_ask(struct question *question, const char *name);
void cares_cancel(struct names *names);
void cares_read_hosts(struct lookup *lookup, enum hark_dns_type type);
unsigned cares_domain_count(const struct names *names);
const char *cares_domain(const struct names *names, unsigned index);
int cares_dots(const struct names *names); /* a name with so many is complete */
unsigned cares_type(enum hark_dns_type type); /* its number in messages */

/* answer.c: 0, or HARK_ESERVER if it is malformed. */
int answer_read(struct question *question, const unsigned char *message, int len);

/* system.c */
void system_begin(struct lookup *lookup);
void system_free(struct lookup *lookup);

#endif
