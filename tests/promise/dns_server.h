/* A name server of the test's own, in a thread, on 127.0.0.1, over UDP and TCP. It answers from a
 * table, counts what it is asked, and holds back what the table says until it is told to let go. */
#ifndef TESTS_PROMISE_DNS_SERVER_H
#define TESTS_PROMISE_DNS_SERVER_H

#include "harness.h"

enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_TXT = 16, TYPE_AAAA = 28, TYPE_SRV = 33 };

enum reply {
    REPLY_ANSWER,
    REPLY_NXDOMAIN,
    REPLY_SERVFAIL,
    REPLY_REFUSED,
    REPLY_SILENCE,
    REPLY_HELD,      /* an answer, once dns_server_let_go() was called */
    REPLY_CUT,       /* over UDP truncated; whole over TCP */
    REPLY_GARBAGE,   /* the right header, then records that end in the middle */
    REPLY_WILD,      /* an answer with bytes changed or cut off, by the number in the name */
    REPLY_ECHO,      /* A: 10.x.y.z from the number in a name such as n258.many.test; "nN" stands
                      * for any number. Held until let go */
};

/* What there is for a name and a type. A name that is in no entry is NXDOMAIN; one without this
 * type has no data. */
struct entry {
    const char *name;
    int type;
    enum reply reply;
    const char *data;   /* "192.0.2.1;192.0.2.2", "1 2 80 target;...", "text|goes on;..." */
};

struct dns_server;

/* A TCP socket bound to loopback at a port, 0 for a free one, which is filled in; or -1. */
int bind_at(int family, int *at_port);

/* Moves this process into a network of its own, with nothing but loopback. False, with a reason:
 * that is not permitted. */
bool own_network(void);

/* port 0: a free one. */
struct dns_server *dns_server_start(const struct entry *entries, size_t count, int port);
void dns_server_stop(struct dns_server *server);
const char *dns_server_place(const struct dns_server *server); /* "127.0.0.1:port" */
int dns_server_asked(struct dns_server *server, int type);     /* how often; 0: any type */
/* Runs turns until it has been asked so often. */
void dns_server_await_asked(struct dns_server *server, int type, int count);
int dns_server_numbers(struct dns_server *server);             /* different ones of REPLY_ECHO */
void dns_server_let_go(struct dns_server *server, int type);   /* 0: of any type */
void dns_server_let_go_some(struct dns_server *server, size_t most); /* others are held still */

enum { ROOM = 8 };

/* A look-up under test. */
struct search {
    struct probe probe;
    struct hark_dns_answer answer;
    struct hark_dns_record records[ROOM];
};

/* Whether this build can ask name servers; false, with a reason: it cannot. The loop is set to ask
 * where nobody is. */
bool has_cares(void);

/* Looks a name up; found() waits for it, and gives the result. */
void look_up(struct search *search, const char *name, enum hark_dns_type type);
int64_t found(struct search *search, const char *name, enum hark_dns_type type);
void check_address(const struct hark_dns_record *record, const char *text);

#endif
