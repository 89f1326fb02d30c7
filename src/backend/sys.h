/* The system calls that serve ops, each tried once without blocking. Shared by the readiness engine
 * and by io_uring's way around what the ring cannot do. sys_posix.c is the POSIX side. */
#ifndef HARK_BACKEND_SYS_H
#define HARK_BACKEND_SYS_H

#include <errno.h>
#include <sys/socket.h>

#include "backend/backend.h"
#include "base/check.h"

enum {
    SYS_BYTES_MAX = 0x7ffff000, /* Linux moves no more in one call, read(2) */
    SYS_NO_BUFFER = -4096,      /* sys_try() of OP_RECV_POOL: the pool is empty; no errno is so low */
};

/* Tries an op on an io. The result for backend_finish(), with -EAGAIN for "not now", or
 * SYS_NO_BUFFER. Keeps in the op what a later try must know. */
int64_t sys_try(struct hark_op *op);

/* The same for the two kinds on which everything depends, to be inlined. */
static inline int64_t sys_recv(struct hark_op *op)
{
    for (;;) {
        ssize_t n = recv(op->on.io->fd, op->u.buf.base, op->u.buf.len, MSG_DONTWAIT);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}

static inline int64_t sys_send(struct hark_op *op)
{
    size_t moved = op->u.buf.moved, len = op->u.buf.len;
    for (;;) { /* bounded by len: each round moves bytes, or ends */
        ssize_t n = send(op->on.io->fd, op->u.buf.base + moved, len - moved,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (HARK_LIKELY(n >= 0)) {
            op->u.buf.moved = moved += (size_t)n;
            if (HARK_LIKELY(moved == len)) return (int64_t)len;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
}

/* Adds n to what a sendv has moved and moves the starts of its slices. True: all is sent. */
bool sys_advance(struct hark_op *op, size_t n);

/* Fills in a message header for a datagram going (is_send) or coming. */
void sys_datagram_header(struct hark_datagram *datagram, bool is_send);

/* Takes over from the header what came with a received datagram. */
void sys_datagram_received(struct hark_datagram *datagram, int flags);

/* Descriptors. */
int sys_socket(int domain, int type, int protocol, bool is_nonblock); /* fd or -errno */
int sys_close(int fd);                    /* 0 or -errno; the descriptor is gone in any case */
int sys_descriptor_flags(int fd);         /* an enum io_flag for an open descriptor, or -errno */
int sys_set_nonblock(struct hark_io *io); /* sets O_NONBLOCK if it is not; notes it for the close */
void sys_set_blocking(int fd);
int sys_wake_open(void);                  /* an eventfd, or -errno */
void sys_wake_signal(int fd);             /* async-signal-safe, any thread */
void sys_wake_drain(int fd);

/* The full descriptor table (trap 17). */
bool sys_is_table_full(int error);        /* a positive errno of accept(2) */
bool sys_is_connection_gone(int error);   /* the error of one connection: accept the next */
void sys_refuse_waiting(int listener, int *reserve); /* drains by the reserve descriptor */
int sys_reserve_open(void);               /* -1 if there is none to be had: then none is drained */

#endif
