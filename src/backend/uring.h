/* io_uring: what its files share. uring_probe.c finds out what this kernel's ring can do, uring.c
 * works it, uring_file.c writes down files and paths, uring_send.c sends files, uring_pool.c has
 * the buffers that the kernel picks, uring_lend.c is for loops that are lent. */
#ifndef HARK_BACKEND_URING_H
#define HARK_BACKEND_URING_H

#include <liburing.h>

#include "backend/backend.h"
#include "backend/sys.h"
#include "base/limits.h"

enum uring_feature {
    URING_DEFER = 1,         /* completions are worked off only when the loop enters (Linux 6.1) */
    URING_SINGLE = 2,        /* one thread submits (6.0) */
    URING_COOP = 4,          /* no interrupt of the loop for a completion (5.19) */
    URING_MULTI_ACCEPT = 8,  /* one request accepts for ever (5.19) */
    URING_BUFFER_RING = 16,  /* the kernel picks buffers from a ring (5.19) */
    URING_MULTI_RECV = 32,   /* one request receives for ever (6.0) */
    URING_MULTI_POLL = 64,   /* one request polls for ever (5.13) */
    URING_TIMED_WAIT = 128,  /* a wait takes a time limit (5.11) */
    URING_ALL = 255,
};

/* The kernel that HARK_URING_MASK makes believe, and the oldest one that has an operation. */
enum uring_age { URING_AGE_5_10, URING_AGE_5_19, URING_AGE_6_1, URING_AGE_NEW };

struct uring {
    struct io_uring ring;
    unsigned features;       /* enum uring_feature */
    bool is_enabled;         /* the first wait, by the thread that owns the loop, enables it */
    bool is_wake_armed;
    int wake_fd;
    int lent_fd;             /* an eventfd that the kernel writes for each completion; or -1 */
    uint64_t wake_count;     /* where a wake-up is read to, without URING_MULTI_POLL */
    int reserve;             /* a descriptor kept for the day when the table is full */
    int next_group;          /* of buffers */
    unsigned harvests;       /* waits in a row that only harvested */
    struct op_queue backlog; /* found no room in the submission queue */
    unsigned file_calls;     /* bit: the ring does this enum file_call */
    struct hark_op *files;   /* ops on files and paths that the kernel has; see uring_file.c */
    bool has_files_to_cancel;/* some of them found no room for their cancel */
    struct msghdr *headers;  /* one for each submission entry, for OP_SENDV */
    char *buffers[LIMIT_SEND_BUFFERS]; /* see uring_send.c; made when first wanted */
    unsigned buffers_out;    /* a bit for each that is in use */
    struct op_queue starved; /* wait for one of them */
};

/* Sets up the ring with the best flags that this kernel takes and fills in what it can do. 0 or a
 * negative errno with nothing left open; then why says in a line what refuses. */
int uring_setup(struct uring *uring, char *why, size_t room_bytes);

/* uring_file.c: the file calls that the ring can do; writing one down; its completion; all of
 * them. */
unsigned uring_file_calls(const struct io_uring_probe *probe, enum uring_age age);
void uring_fill_file(struct uring *uring, struct hark_op *op, struct io_uring_sqe *sqe);
void uring_complete_file(struct backend *backend, struct hark_op *op, int result);
void uring_each_file(const struct backend *backend, void (*fn)(struct hark_op *, void *),
                     void *arg);

/* Hands an op over to the kernel, or keeps it in the backlog. wants_poll: rule 4 of uring.c. */
void uring_request(struct uring *uring, struct hark_op *op, bool wants_poll);

/* uring_send.c: the same for a file that is sent; the end of one that the kernel does not have. */
void uring_start_sending(struct backend *backend, struct hark_op *op);
void uring_fill_sending(struct uring *uring, struct hark_op *op, struct io_uring_sqe *sqe);
void uring_complete_sending(struct backend *backend, struct hark_op *op, int result);
void uring_drop_sending(struct backend *backend, struct hark_op *op);
void uring_free_buffers(struct backend *backend);

/* uring_pool.c: what struct backend_ops says of a pool. */
int uring_attach_pool(struct backend *backend, struct hark_pool *pool);
void uring_detach_pool(struct backend *backend, struct hark_pool *pool);
void uring_give_buffer(struct backend *backend, struct hark_pool *pool, uint32_t index);

/* uring_lend.c; and what it needs of uring.c: fills the submission queue, 0 or a negative errno;
 * tells whether something waits for the loop to enter the kernel. */
int uring_lend(struct backend *backend, struct ready_set *set, struct hark_io *ios);
void uring_hand_over(struct backend *backend);
int uring_prepare(struct uring *uring);
bool uring_has_kernel_work(const struct uring *uring);

/* An eventfd, or -errno. */
static inline int uring_eventfd(void)
{
    int ends[2]; /* one and the same */
    return call_wake_open(ends) == 0 ? ends[0] : -errno;
}

/* Says in a line what was found. */
void uring_describe(const struct uring *uring, char *why, size_t room_bytes);

#endif
