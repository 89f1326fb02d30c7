/* The system calls that serve ops, each tried once without blocking. Shared by the readiness engine
 * and by io_uring's way around what the ring cannot do. sys_posix.c is the POSIX side. */
#ifndef HARK_BACKEND_SYS_H
#define HARK_BACKEND_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <hark/file.h>
#include <sys/socket.h>

#include "backend/backend.h"
#include "base/check.h"
#include "calls.h"

enum {
    SYS_BYTES_MAX = 0x7ffff000, /* Linux moves no more in one call, read(2) */
    SYS_NO_BUFFER = -4096,      /* sys_try(): the pool is empty; no errno is so low */
};

static inline size_t sys_short_len(uint64_t len)
{
    return len < SYS_BYTES_MAX ? (size_t)len : SYS_BYTES_MAX;
}

/* Tries an op on an io. The result for backend_finish(), with -EAGAIN for "not now", or
 * SYS_NO_BUFFER. Keeps in the op what a later try must know. */
int64_t sys_try(struct hark_op *op);

/* sys_pipe.c: the same for descriptors that are no sockets. */
int64_t sys_try_read(struct hark_op *op);
int64_t sys_try_write(struct hark_op *op);
/* Keeps SIGPIPE away from this thread between the two (trap 19). One that was pending before stays
 * so. is_raised: a call has said EPIPE. */
struct sys_hush { sigset_t before; bool was_pending; };
void sys_hush_begin(struct sys_hush *hush);
void sys_hush_end(struct sys_hush *hush, bool is_raised);

/* sys_batch.c: batches of datagrams. */
int64_t sys_try_recv_batch(struct hark_op *op);
int64_t sys_try_send_batch(struct hark_op *op);
int64_t sys_batch_room(const struct hark_op *op); /* packets that one try receives at most */
bool sys_cuts_packets(struct hark_io *io);        /* into segments; asked once */

/* sys_rights.c: descriptors over Unix sockets. */
int64_t sys_try_recv_rights(struct hark_op *op);
int64_t sys_try_send_rights(struct hark_op *op);
void sys_close_rights(struct msghdr *header);     /* closes all that came with a message */
void sys_drop_rights(struct hark_descriptors *descriptors); /* and all that are kept */

enum { SYS_RECV_FLAGS = MSG_DONTWAIT, SYS_SEND_FLAGS = MSG_DONTWAIT | CALL_SEND_FLAGS };

/* Does what an op on a file or a path asks for, and may take its time: for the threads of the pool,
 * and for nobody else. The result, or a negative errno. */
int64_t sys_file(const struct hark_op *op);
int64_t sys_send_file(const struct hark_op *op); /* as much as the socket takes, or -EAGAIN */
/* Several calls in a row, to replace or copy a file; sys_whole.c. -1 and errno. */
int64_t sys_replace(const struct hark_content *content);
int64_t sys_copy_path(const char *from, const char *to);

/* What every file is opened with, by a thread or by the ring. */
enum { SYS_OPEN_FLAGS = O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

/* Adds n to what a sendv has moved and moves the starts of its slices. True: all is sent. */
static inline bool sys_advance(struct hark_op *op, size_t n)
{
    op->u.iov.moved += n;
    while (op->u.iov.count != 0) {
        struct iovec *slice = op->u.iov.list;
        if (n < slice->iov_len) {
            slice->iov_base = (char *)slice->iov_base + n;
            slice->iov_len -= n;
            return false;
        }
        n -= slice->iov_len;
        op->u.iov.list++;
        op->u.iov.count--;
    }
    return true;
}

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
void sys_wake_signal(int end);            /* async-signal-safe, any thread */

/* The full descriptor table (trap 17). */
bool sys_is_table_full(int error);        /* a positive errno of accept(2) */
bool sys_is_connection_gone(int error);   /* the error of one connection: accept the next */
bool sys_refuse_waiting(int listener, int *reserve); /* drains by the reserve descriptor; false:
                                                      * nobody was waiting */
int sys_reserve_open(void);               /* -1 if there is none to be had: then none is drained */

#endif
