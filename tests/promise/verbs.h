/* Every verb that can be made to wait, each in a scene of its own, so that a promise about all ops
 * is one loop over one table: FOR_EACH_SCENE(scene) { submit, do something to it, look; }.
 *
 * In a scene the verb waits until scene_fulfil(): nothing is there to receive, the send buffer is
 * full, the listener's queue is full. hark_offload() and the verbs that never wait (nop, post,
 * shutdown, close) have tests of their own. */
#ifndef TESTS_PROMISE_VERBS_H
#define TESTS_PROMISE_VERBS_H

#include "harness.h"

enum { SCENE_SLOTS = 3, SCENE_TEXT = 5 };

struct scene;

struct verb {
    const char *name;       /* as inspection names it */
    bool has_kinds;         /* a stream's verb: runs on each of the WIRE_KINDS */
    bool is_timer;          /* has no io, and its deadline is not used */
    bool is_repeating;
    int64_t result;         /* of the first callback once it is fulfilled; -1: any from 0 on */
    bool (*open)(struct scene *scene);
    void (*submit)(struct scene *scene, struct hark_op *op, int slot);
    void (*fulfil)(struct scene *scene);
};

struct scene {
    const struct verb *verb;
    enum wire_kind kind;
    struct wire wire;               /* its io is the one that the verb works on */
    int listener;                   /* of a connect, the test's own */
    struct sockaddr_storage addr;   /* where to dial or connect to */
    socklen_t len;
    struct hark_pool *pool;
    char buf[SCENE_SLOTS][SCENE_TEXT];
    struct hark_datagram datagram[SCENE_SLOTS];
    struct iovec slices[SCENE_SLOTS][2];
    struct hark_packet packet[SCENE_SLOTS];
    struct hark_datagram_batch batch[SCENE_SLOTS];
    struct hark_descriptors descriptors[SCENE_SLOTS];
    int64_t when_ns;                /* of a timer */
    int ended;                      /* callbacks with an end of stream or an error */
};

/* Opens the scene of the how manieth verb and kind; false if this one does not exist here. */
bool scene_open(struct scene *scene, size_t index);
size_t scene_count(void);

/* Submits the verb; slots 0, 1, ... are different buffers, so that several can wait behind each
 * other. What a callback brings (a buffer, a connection) goes back by itself. */
void scene_submit(struct scene *scene, struct probe *probe, int slot);

/* Makes what the verb waits for happen, for one op. */
void scene_fulfil(struct scene *scene);

/* False for a TCP connect: the kernel would take a second to try again. */
bool scene_can_fulfil(const struct scene *scene);

/* True if a first callback's result is what fulfilment brings. */
bool scene_is_true_result(const struct scene *scene, int64_t result);

/* Closes all that the scene opened and is still open. */
void scene_close(struct scene *scene);

/* Fills the write side of a wire so that it stays full until wire_empty(), and empties it again. */
void wire_fill_up(struct wire *wire);
void wire_empty(struct wire *wire);

#define FOR_EACH_SCENE(scene)                                             \
    for (size_t scene_index_ = 0; scene_index_ < scene_count(); scene_index_++) \
        for (bool scene_go_ = scene_open((scene), scene_index_); scene_go_;     \
             scene_go_ = false, scene_close(scene))

#endif
