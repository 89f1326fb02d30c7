/* Streams in the fuzzer: what its two files share. A stream and its plain peer say bytes by which
 * each can be told: a peer small letters and line ends that follow from their position, hark
 * capitals. So what a stream's own writes say and what is spliced into it can be told apart. */
#ifndef TESTS_FUZZ_STREAMS_H
#define TESTS_FUZZ_STREAMS_H

#include "fuzz.h"

enum stream_verb {
    STREAM_READ = FAMILY_VERBS, STREAM_EXACTLY, STREAM_LINE, STREAM_UNTIL, STREAM_PEEK,
    STREAM_SPLICE,                                      /* the last that reads */
    STREAM_WRITE, STREAM_END, STREAM_WATER, STREAM_CLOSE,
};

enum { FLOWS = 4, FLOW_ROOM = 4096 };

/* What was put, or given to a write, in the order of the calls. */
struct said {
    unsigned char *bytes;
    size_t len;
    size_t moved;              /* of a write: how much has gone, once it has ended */
    bool is_put;
};

/* A stream, its io and its plain peer. */
struct flow {
    struct hark_stream stream;
    struct hark_io io;
    enum state state;
    bool can_read, can_write, is_socket;
    int peer;                  /* or -1 */
    uint64_t salt;             /* of what the peer says */
    size_t room, line_max;
    bool peer_has_ended;       /* the peer says no more */
    bool is_disturbed;         /* reset, or closed by the peer: errors may come, bytes be lost */
    bool has_ended;            /* hark_stream_end() was submitted */
    bool may_drop;             /* closed, or failed, with a queue */
    bool is_hurried_to_read, is_hurried_to_write;
    size_t written, taken;     /* from the peer to hark */
    struct slot *reader;       /* the op that reads, or splices from here */
    struct slot *splicer;      /* the op that splices into here */
    struct slot *water;
    struct said *said;
    size_t said_count;
    unsigned char *own;        /* what the peer has read: capitals */
    size_t own_len;
    unsigned char *passed;     /* and small letters */
    size_t passed_len;
    unsigned char *through;    /* what was spliced into here */
    size_t through_len;
    char *in, *out;
};

static inline bool stream_verb_reads(int verb) { return verb <= STREAM_SPLICE; }

unsigned char flow_letter(const struct flow *flow, size_t position);
void flow_read_peer(struct flow *flow, size_t most);
void flow_check(struct flow *flow, bool is_over);
bool stream_is_due(const struct slot *slot);
bool stream_may_break(const struct slot *slot);
void stream_check(struct slot *slot, bool is_decision);

/* What a read of a piece must say now: its length, HARK_ECLOSED, HARK_EMSGSIZE or HARK_EAGAIN.
 * skip: what goes with it. */
int64_t flow_piece(const struct flow *flow, const char *delimiter, size_t *skip, bool *is_cut);

#endif
