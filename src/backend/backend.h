/* The contract of a kernel: what a backend must do, and the few reports it makes.
 *
 * A backend moves ops in and out of one kernel interface. It sees ops, ios and pools, never the
 * loop; it never calls a callback. Everything but wake() runs on the loop's thread. */
#ifndef HARK_BACKEND_BACKEND_H
#define HARK_BACKEND_BACKEND_H

#include <hark/io.h>
#include <hark/net.h>
#include <hark/op.h>
#include <string.h>

#include "system/ready_set.h"

/* All kinds from OP_RECV on work on an io; those from OP_SEND on, on its write side. */
enum op_kind {
    OP_NOP, OP_TIMER, OP_EVERY, OP_POST, OP_OFFLOAD, OP_MOMENT, OP_REFUSED, OP_FILE, OP_PATH,
    OP_LAYER, OP_CLOSE,
    OP_RECV, OP_RECV_POOL, OP_RECVFROM, OP_ACCEPT, OP_ACCEPT_ONE, OP_READ_READY, OP_RECV_NOTHING,
    OP_READ, OP_RECV_BATCH, OP_RECV_RIGHTS,
    OP_SEND, OP_SENDV, OP_SENDTO, OP_CONNECT, OP_WRITE_READY, OP_SHUTDOWN, OP_WRITE,
    OP_SEND_FILE, OP_SEND_BATCH, OP_SEND_RIGHTS,
    OP_KINDS
};

/* What an OP_FILE or OP_PATH does: hark_op.call. */
enum file_call {
    CALL_OPEN, CALL_CLOSE, CALL_READ, CALL_WRITE, CALL_READV, CALL_WRITEV, CALL_SYNC, CALL_DATASYNC,
    CALL_TRUNCATE, CALL_STAT, CALL_READ_DIR, CALL_COPY, CALL_NAME,            /* OP_FILE */
    CALL_STAT_PATH, CALL_RENAME, CALL_LINK, CALL_SYMLINK, CALL_READLINK, CALL_UNLINK, CALL_MKDIR,
    CALL_RMDIR, CALL_ACCESS, CALL_CHMOD, CALL_UTIMES, CALL_TRUNCATE_PATH,     /* OP_PATH */
    CALL_REPLACE, CALL_COPY_PATH,
    CALLS
};

enum op_state {
    STATE_IDLE,     /* the caller's */
    STATE_QUEUED,   /* behind another op on its side: no kernel knows it */
    STATE_RUNNING,  /* a backend, the wheel or the pool has it */
    STATE_DONE,     /* the result is set, the callback not yet made */
};

enum op_flag {
    FLAG_TIMED = 1,       /* in the wheel */
    FLAG_BACKGROUND = 2,  /* does not keep the loop running */
    FLAG_CANCELED = 4,    /* hark_cancel() asked */
    FLAG_TIMED_OUT = 8,   /* the deadline asked */
    FLAG_STEP = 16,       /* others wait behind it, or the last callback needs more than a call */
    FLAG_PAUSED = 32,     /* waits for the retry timer: no kernel has it */
    FLAG_STARVED = 64,    /* waits for a buffer of its pool: no kernel has it */
    FLAG_ENDED = 128,     /* the backend gave it up with this report: start it again */
};

enum io_state { IO_CLOSED, IO_OPEN, IO_CLOSING, IO_DOOMED /* its loop is being closed */ };

enum io_flag {
    IO_IS_NONBLOCK = 1,     /* O_NONBLOCK is known to be set */
    IO_WAS_BLOCKING = 2,    /* adopted, and O_NONBLOCK set by us: put back */
    IO_EDGE = 4,            /* epoll: report once a change; for the wake descriptor */
    IO_STARVED = 8,         /* a read found no buffer: try at once when there is one again */
    IO_CONTROL = 16,        /* received datagrams bring more than bytes and a sender */
    IO_CUTS = 32,           /* the kernel cuts packets into segments, and */
    IO_ASKED_CUTS = 64,     /* whether it does is known */
    IO_UNMIRRORED = 128,    /* epoll does not take it: see backend.always_ready */
};

enum { SIDE_READ = HARK_READABLE, SIDE_WRITE = HARK_WRITABLE };

static inline int op_side(const struct hark_op *op) { return op->kind >= OP_SEND; }
bool layer_is_repeating(const struct hark_op *op);
static inline bool op_is_repeating(const struct hark_op *op)
{
    if (op->kind == OP_LAYER) return layer_is_repeating(op);
    return op->kind == OP_ACCEPT || op->kind == OP_RECV_POOL || op->kind == OP_EVERY;
}

static inline bool op_is_of_files(const struct hark_op *op)
{
    return op->kind == OP_FILE || op->kind == OP_PATH;
}

/* A file that is sent waits for room in the socket, is on a thread of the pool, or, on io_uring, in
 * one of the other three states: hark_op.call. See uring_send.c. */
enum { SEND_WAITS, SEND_IS_OFFLOADED, SEND_READS, SEND_WRITES, SEND_STARVES };

static inline bool op_is_offloaded_send(const struct hark_op *op)
{
    return op->kind == OP_SEND_FILE && op->call == SEND_IS_OFFLOADED;
}

static inline bool op_accepts(const struct hark_op *op)
{
    return op->kind == OP_ACCEPT || op->kind == OP_ACCEPT_ONE;
}

/* A send that found no room though its own socket has some: there is none where it goes, and this
 * socket's readiness will not tell when there is. */
static inline bool op_is_stuck(const struct hark_op *op)
{
    if (op->kind == OP_SEND_BATCH) return op->u.batch.is_stuck;
    if (op->kind == OP_SEND_RIGHTS) return op->u.rights.is_stuck;
    return op->kind == OP_SENDTO;
}

/* By hark_cancel() or its deadline. */
static inline bool op_is_asked_to_end(const struct hark_op *op)
{
    return op->flags & (FLAG_CANCELED | FLAG_TIMED_OUT);
}

struct op_queue { struct hark_op *head, *tail; };

static inline void queue_push(struct op_queue *queue, struct hark_op *op)
{
    op->next = NULL;
    if (queue->head == NULL) queue->head = op;
    else queue->tail->next = op;
    queue->tail = op;
}

static inline struct hark_op *queue_pop(struct op_queue *queue)
{
    struct hark_op *op = queue->head;
    if (op != NULL) queue->head = op->next;
    return op;
}

/* Takes op out of a queue; false if it is not there. Walks the queue. */
bool queue_remove(struct op_queue *queue, struct hark_op *op);

struct hark_loop;
struct backend;

/* A pool of buffers as a backend sees it. */
struct hark_pool {
    struct hark_loop *loop;
    char *memory;
    size_t count, bytes;
    size_t out_count;           /* with callers, or in a result on its way to one */
    size_t op_count;            /* ops submitted on it */
    struct op_queue starved;    /* wait for a buffer */
    uint32_t *free_list;        /* where the kernel does not pick: indices, free_count of them */
    size_t free_count;
    void *ring;                 /* where it does: the backend's, as are these two */
    size_t ring_entries;
    int group;
};

struct backend_ops {
    const char *name;
    bool wants_nonblock;  /* sockets must carry O_NONBLOCK for accept and connect not to block */

    /* Opens the kernel's side. 0, or a negative errno: refused, the next backend is tried. why says
     * in a line what was found or what refuses. Whatever was opened is closed again on failure. */
    int (*open)(struct backend *backend, char *why, size_t room_bytes);
    void (*close)(struct backend *backend);

    /* Makes room for one more io, so that nothing needs memory later; undoes that, and makes the
     * kernel forget the descriptor. */
    int (*adopt)(struct backend *backend, struct hark_io *io);
    void (*forget)(struct backend *backend, struct hark_io *io);

    /* Starts an op on an io; exactly one last backend_finish() follows, now or later. Called again
     * for a repeating op after each callback that had FLAG_ENDED, and after pause and starvation.
     * Not called for a read-side op while io->parks says that there is nothing to be done for it:
     * the backend will find it in io->active. */
    void (*start)(struct backend *backend, struct hark_op *op);

    /* Optional: starts an op on a file or a path, if the kernel can do it without a thread of
     * ours; false: it cannot, and nothing was done. backend_finish_file() or backend_offload()
     * follows. */
    bool (*start_file)(struct backend *backend, struct hark_op *op);
    /* Calls fn for each of them that has not ended; fn may cancel it. */
    void (*each_file)(const struct backend *backend, void (*fn)(struct hark_op *, void *),
                      void *arg);

    /* Asks for the end of an op that was started; it still finishes by itself. */
    void (*cancel)(struct backend *backend, struct hark_op *op);

    /* Hands over what was started, sleeps up to timeout_ns (< 0: no bound), and reports results, at
     * most `most` of them. Never returns early without a cause, and reports in this call only. */
    int (*wait)(struct backend *backend, int64_t timeout_ns, unsigned most);

    /* Makes a set of the loop's readable from now on whenever wait() would find something; ios are
     * all that are adopted. 0, or a negative errno. */
    int (*lend)(struct backend *backend, struct ready_set *set, struct hark_io *ios);
    /* Optional: hands over what was started, and reports nothing: nobody calls wait() until the
     * lent set is readable. */
    void (*hand_over)(struct backend *backend);

    /* Ends a wait, or the next one. Any thread. */
    void (*wake)(struct backend *backend);

    /* Optional: lets the kernel pick buffers of a pool. NULL, or a negative errno from attach: the
     * pool's own list is used. */
    int (*attach_pool)(struct backend *backend, struct hark_pool *pool);
    void (*detach_pool)(struct backend *backend, struct hark_pool *pool);
    void (*give_buffer)(struct backend *backend, struct hark_pool *pool, uint32_t index);
};

/* Ops with a result, in the order of their callbacks. *tail is where the next one goes, and is
 * garbage until something is put there: end_chain() closes it before a walk. */
struct op_chain { struct hark_op *head, **tail; };

static inline void chain_clear(struct op_chain *chain) { chain->tail = &chain->head; }
static inline bool chain_is_empty(const struct op_chain *chain)
{
    return chain->tail == &chain->head;
}
static inline void chain_push(struct op_chain *chain, struct hark_op *op)
{
    *chain->tail = op;
    chain->tail = &op->next;
}

struct backend {
    const struct backend_ops *ops;
    struct hark_loop *loop;
    void *state;
    struct op_chain due;  /* the results, for the loop to call back */
    bool is_dated;        /* set by open(): works, but lacks what makes it the best here */
    bool is_inherited;    /* before close(): by a fork; what the kernel holds is the parent's too */
    size_t always_ready;  /* ios that are watched, and that no lent set can hold */
};

/* Stands in io->active between the result of an op and its callback while others wait behind it, so
 * that none that is submitted meanwhile goes before them. */
extern struct hark_op io_taken;

/* The reports. They queue the callback and never call it. */

/* The last result of an op: >= 0, or a negative errno. */
void backend_finish_slowly(struct backend *backend, struct hark_op *op, int64_t result);

/* A running op about which nothing is special: no deadline, no cancel, nobody behind it. */
static inline bool op_is_plain(const struct hark_op *op, enum op_kind kind)
{
    struct { bool more; uint8_t kind, state, flags; } plain = { false, (uint8_t)kind,
                                                                STATE_RUNNING, 0 };
    /* Four bytes in a row, so that it is one comparison. */
    return memcmp((const char *)op + offsetof(struct hark_op, more), &plain, sizeof plain) == 0;
}

_Static_assert(offsetof(struct hark_op, flags) == offsetof(struct hark_op, more) + 3,
               "more, kind, state and flags lie in a row");

/* The same for a plain op and a result that is no error. */
static inline void backend_finish_plain(struct backend *backend, struct hark_op *op, int side,
                                        int64_t result)
{
    op->on.io->active[side] = NULL;
    op->result = result;
    op->state = STATE_DONE;
    chain_push(&backend->due, op);
}

static inline void backend_finish(struct backend *backend, struct hark_op *op, int64_t result)
{
    if (__builtin_expect(result >= 0 && op->flags == 0, 1))
        backend_finish_plain(backend, op, op_side(op), result);
    else
        backend_finish_slowly(backend, op, result);
}

/* io->parks: a read-side op needs no start(), since the kernel watches already. Set only while the
 * io is open. */
static inline bool op_parks_itself(const struct hark_op *op, const struct hark_io *io, int side)
{
    return side == SIDE_READ && io->parks && op->kind != OP_RECV_NOTHING;
}

/* The result of an op on a file or a path: >= 0, or a negative errno. */
void backend_finish_file(struct backend *backend, struct hark_op *op, int64_t result);

/* The kernel would rather not: the op is for the pool after all. */
void backend_offload(struct backend *backend, struct hark_op *op);

/* One result of a repeating op; is_ended: the kernel no longer has it, start it again. */
void backend_report(struct backend *backend, struct hark_op *op, int64_t result, bool is_ended);

/* The op cannot go on for want of something that comes back by itself: start it again a little
 * later. A repeating one reports error (a positive errno) to its callback first. */
void backend_pause(struct backend *backend, struct hark_op *op, int error);

/* The op waits for a buffer of its pool: start it again when one is given back. */
void backend_starve(struct backend *backend, struct hark_op *op);

/* A buffer of the pool that the kernel had in vain is free again: starts those that starve. */
void backend_resume(struct backend *backend, struct hark_pool *pool);

/* Resizes memory by the loop's allocator. */
void *backend_resize(struct backend *backend, void *ptr, size_t old_bytes, size_t new_bytes);

/* The pool's own list of free buffers. */
static inline bool pool_has_free(const struct hark_pool *pool) { return pool->free_count != 0; }
static inline char *pool_buffer(const struct hark_pool *pool, uint32_t index)
{
    return pool->memory + (size_t)index * pool->bytes;
}

#endif
