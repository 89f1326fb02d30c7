/* A call-sequence fuzzer against a model: what the files of this program share.
 *
 * A run opens a loop, makes random calls on random ops, ios and plain peers, and checks in every
 * callback what the promises allow (model.c). Sockets and what needs no io are the core's
 * (calls.c, links.c); all else is a family of verbs in a file of its own, with its own part of the
 * model, and takes part in some of the runs. The choices follow from the seed alone; only
 * the order in which the kernel answers may differ between two runs of one seed, so what a callback
 * chooses comes from a generator of its own. Ops, buffers and ios are allocated one by one and
 * freed as early as the promises allow: the address sanitizer then checks the rest. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <hark/hark.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum verb {
    RECV, READ, RECV_POOL, RECVFROM, RECV_BATCH, ACCEPT, READY_READ,     /* the read side */
    SEND, WRITE, SENDV, SENDTO, SEND_BATCH, CONNECT, READY_WRITE, SHUTDOWN, /* the write side */
    NOP, POST, TIMER, EVERY, OFFLOAD,                                    /* no io */
    CLOSE,
    FAMILY_VERBS                                     /* and on: numbered by their families */
};

static inline bool verb_has_side(int verb) { return verb <= SHUTDOWN; }
static inline int side_of(int verb) { return verb >= SEND; }

enum kind { STREAM, DATAGRAM, LISTENER, DIALER, FOREIGN, KINDS };
enum state { OPEN, CLOSING, CLOSED, RELEASED };

enum {
    LINKS = 6, SLOTS = 56,
    FAMILIES = 7,
    BYTES_MAX = 3000,      /* of one send or receive */
    STREAM_MAX = 1 << 18,  /* bytes sent in one direction of one stream */
    SLICES = 5,
    HELD = 3,              /* pool buffers that the run keeps for a while */
    DIALED = 4,            /* plain sockets that wait to be accepted */
    PATIENCE_S = 10,
};

/* An io and its plain peer. */
struct link {
    struct hark_io io;
    enum kind kind;
    enum state state;
    int fd;                    /* RELEASED: the descriptor */
    int peer;                  /* or -1 */
    uint64_t salt;             /* of the bytes that the peer writes */
    bool is_tcp;
    bool peer_has_ended;       /* the peer writes no more */
    bool is_disturbed;         /* reset, or closed by the peer: errors may come, bytes be lost */
    bool peer_reads_not;       /* the peer has shut its read side */
    bool has_shut_read, has_shut_write; /* hark_shutdown() was submitted */
    bool is_spent;             /* a connect that failed or succeeded: close it, or use it */
    size_t written, received;  /* bytes, or datagrams, from the peer to hark */
    unsigned char *sent;       /* what hark's sends have moved, in order */
    size_t sent_len;
    unsigned char *got;        /* what the peer has read */
    size_t got_len;
    uint32_t datagrams_sent, datagrams_got; /* from hark to the peer: the next number to see */
    size_t datagrams_unsure;   /* of a packet of several that an end came into */
};

/* What a datagram begins with. */
struct head { uint32_t number, len; };

struct slot;

/* What a file of further verbs gives. */
struct family {
    void (*act)(void);                            /* one random call, or one of a peer */
    bool (*is_due)(const struct slot *slot);      /* as of model_is_due() */
    bool (*may_break)(const struct slot *slot);   /* hark may cancel it unasked; or NULL: never */
    /* In every callback. Decisions of hark's own have been checked, but not what follows. */
    void (*check)(struct slot *slot, bool is_decision);
    void (*help)(void);                           /* peers read all */
    size_t (*audit)(void);                        /* looks at all; gives how many ios are open */
    void (*wind_up)(void);                        /* closes what is open */
    void (*clear)(void);                          /* the loop is closed: the last look */
};

/* A submission. The op is its first member. */
struct slot {
    struct hark_op op;
    int verb;
    const struct family *family;   /* NULL: the core's */
    void *subject, *other;     /* of the family: what it is on */
    void *memory;              /* of the family: borrowed with the op, and freed */
    size_t place;              /* of the family */
    bool is_repeating, is_close, is_hurried; /* of the family; hurried: hark may set a deadline */
    bool is_cut;               /* what it is on was closed behind it */
    uint64_t number;           /* of the submission: later ones are higher */
    struct link *link;
    bool is_alive;
    bool is_asked;             /* hark_cancel() */
    bool was_closed;           /* the io was not open, or the loop was closing */
    bool is_seen;              /* by hark_loop_inspect() */
    bool is_refused;           /* a connect to where nobody listens */
    int fd;                    /* CLOSE: what is closed, and which one that is */
    ino_t inode;
    int64_t deadline;          /* or a timer's moment; 0: none */
    int64_t armed_at;          /* hark_now() when that was set */
    uint64_t arm_number;
    int64_t interval;
    unsigned char *buf;
    size_t len;
    struct iovec slices[SLICES];
    struct hark_datagram datagram;
    struct sockaddr_storage addr;
    int calls;
    atomic_int work_runs;
};

struct world {
    uint64_t seed;
    unsigned step;
    uint64_t *random;          /* the generator in use */
    uint64_t main_random;
    struct hark_loop *loop;
    struct hark_pool *pool;
    struct link *links[LINKS];
    struct slot *slots[SLOTS];
    uint64_t next_number;
    bool is_stepping;          /* callbacks are allowed */
    bool is_closing;           /* inside hark_loop_close() */
    bool is_quiet;             /* callbacks make no new calls */
    bool has_family[FAMILIES]; /* those that take part */
    char directory[32];        /* a temporary one */
    int depth;                 /* of callbacks */
    void *held[HELD];
    unsigned char held_first[HELD];
    int dialed[DIALED];
    int plain_listener;        /* for hark_connect() */
    int plain_refuser;         /* bound, and not listening */
    long memory_balance;
};

extern struct world world;

/* main.c */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint32_t below(uint32_t bound);
static inline bool one_in(uint32_t n) { return below(n) == 0; }
int checked(int result, const char *what);

/* Each in the file of its name. */
extern const struct family files, streams, clocks, signals, processes, watches, rights;
extern const struct family *const families[FAMILIES];

/* processes.c: what a child does */
_Noreturn void child_main(const char *text);

/* batches.c: datagrams by the batch, on links */
void submit_send_batch(struct slot *slot);
void submit_recv_batch(struct slot *slot);
void check_sent_batch(struct slot *slot);
void check_received_batch(struct slot *slot);

/* links.c: ios and their peers */
struct link *link_open(enum kind kind);
struct link *link_any(void);
void link_free(struct link *link);
void link_take_accepted(int fd, struct slot *slot);
void link_connected(struct link *link);
void peer_act(struct link *link);
void peer_read(struct link *link, size_t most);
void peer_dial(void);
void peer_check(struct link *link, bool is_over);
int plain_socket(int type);
void tcp_pair(int fds[2]);
unsigned char pattern(uint64_t salt, size_t position);
void bytes_append(unsigned char **all, size_t *all_len, const void *bytes, size_t len);

/* model.c: what a callback may say */
_Noreturn void wrong(const struct slot *slot, const char *why);
bool family_uses(const struct family *family, const void *subject);
void model_called(struct hark_op *op);
void model_audit(void);
bool model_is_due(const struct slot *slot);
bool link_is_busy(const struct link *link);
void pool_give_one(void);
void pool_give_all(void);
void pool_close_if_unused(void);
void slot_free(struct slot *slot);

/* calls.c: what a run does */
void act(void);
void act_while_closing(void);
void close_link(struct link *link, struct slot *slot);
struct slot *slot_idle(void);
struct slot *slot_prepare(const struct family *family, int verb, void *subject);
void slot_take_buffer(struct slot *slot, size_t len);
void *slot_take_memory(struct slot *slot, size_t len);
void slot_arm(struct slot *slot, int64_t moment);
int64_t some_moment(int64_t now);
size_t some_length(void);
void cancel(struct slot *slot);

/* watchdog.c: ends a run that hangs */
void watchdog_start(void);
void watchdog_begin(uint64_t seed);
void watchdog_end(void);

#endif
