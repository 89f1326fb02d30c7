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
    SYS_NO_BUFFER = -4096,      /* sys_try(): the pool is empty; no errno is so low */
};

/* Tries an op on an io. The result for backend_finish(), with -EAGAIN for "not now", or
 * SYS_NO_BUFFER. Keeps in the op what a later try must know. */
int64_t sys_try(struct hark_op *op);

enum { SYS_RECV_FLAGS = MSG_DONTWAIT, SYS_SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL };

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
