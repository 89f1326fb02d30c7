/* Sockets: TCP over IPv4 and IPv6, Unix streams, UDP.
 *
 * What opens or names a socket answers at once, by return. What may wait is an op. Deadline and
 * cancel work on each of them; hark never raises SIGPIPE. */
#ifndef HARK_NET_H
#define HARK_NET_H

#include <hark/io.h>
#include <hark/system.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One datagram, going or coming. Borrowed with the op that carries it. */
struct hark_datagram {
    void *data;                   /* the caller's buffer */
    size_t len;                   /* bytes to send; room to receive into */
    struct sockaddr_storage peer; /* to whom; hark_recvfrom() fills in from whom */
    socklen_t peer_len;           /* 0 to send on a connected socket; filled in likewise */
    bool is_truncated;            /* received: the datagram was longer than len */

    struct msghdr private_header;
    struct iovec private_slice;
};

/* Opens io on a new socket, close-on-exec.
 *
 * domain, type, protocol  as for socket(2): AF_INET, AF_INET6, AF_UNIX; SOCK_STREAM, SOCK_DGRAM.
 * Result 0; HARK_EAFNOSUPPORT, HARK_EPROTONOSUPPORT, HARK_EMFILE, HARK_ENFILE, HARK_ENOMEM, ...;
 *        HARK_ECANCELED: the loop is being closed.
 * Thread loop
 */
HARK_API int hark_socket(struct hark_io *io, struct hark_loop *loop, int domain, int type,
                         int protocol);

/* Gives the socket its own address. A TCP socket gets SO_REUSEADDR first, so that a server can be
 * restarted at once.
 *
 * addr   read during the call only.
 * Result 0; HARK_EADDRINUSE, HARK_EADDRNOTAVAIL, HARK_EACCES, HARK_EBADF, ...
 * Thread loop
 */
HARK_API int hark_bind(struct hark_io *io, const struct sockaddr *addr, socklen_t len);

/* Makes a bound stream socket a listening one.
 *
 * backlog  connections that the kernel queues at most; 0: the system's maximum.
 * Result   0; HARK_EADDRINUSE, HARK_EOPNOTSUPP, HARK_EBADF, ...
 * Thread   loop
 */
HARK_API int hark_listen(struct hark_io *io, int backlog);

/* Accepts connections until canceled: a repeating op, one callback a connection.
 *
 * Result a descriptor, to be opened with hark_accepted() in the callback, or the caller's as it is;
 *        an error with `more` set: HARK_EMFILE, HARK_ENFILE, HARK_ENOBUFS or HARK_ENOMEM: waiting
 *        connections were refused for want of it, and hark tries again soon by itself;
 *        an error without: HARK_ECANCELED, HARK_ETIMEDOUT, HARK_EINVAL: not listening, ...
 * Thread loop
 */
HARK_API void hark_accept(struct hark_op *op, struct hark_io *listener, hark_done_fn *done);

/* Accepts one connection: one callback. While descriptors are wanting it waits, and those who wait
 * are refused, as with hark_accept().
 *
 * Result a descriptor, as for hark_accept(); its errors but for those with `more`.
 * Thread loop
 */
HARK_API void hark_accept_one(struct hark_op *op, struct hark_io *listener, hark_done_fn *done);

/* Opens io on the connection that this callback of hark_accept() announced. Needs no system call.
 *
 * op     the op of hark_accept() or hark_accept_one(), inside its callback, op->result >= 0.
 * Result 0; HARK_ENOMEM, or HARK_ECANCELED while the loop is being closed, and the connection is
 *        closed.
 * Thread loop
 */
HARK_API int hark_accepted(struct hark_io *io, struct hark_op *op);

/* Connects a stream socket, or sets the peer of a datagram one.
 *
 * addr   borrowed until the callback.
 * Result 0; HARK_ECONNREFUSED, HARK_ETIMEDOUT, HARK_EHOSTUNREACH, HARK_ENOENT (no such Unix
 *        socket), HARK_EADDRNOTAVAIL, ... After a cancel or a deadline the socket is of no more
 *        use: close it.
 * Thread loop
 * Order  a write-side op: sends submitted after it go out after it.
 */
HARK_API void hark_connect(struct hark_op *op, struct hark_io *io, const struct sockaddr *addr,
                           socklen_t len, hark_done_fn *done);

/* Receives what there is, at least one byte.
 *
 * buf    borrowed until the callback. len beyond 2 GiB - 4 KiB is taken as that.
 * Result the number of bytes; 0: the peer has ended its side (or len was 0); HARK_ECONNRESET, ...
 * Thread loop
 */
HARK_API void hark_recv(struct hark_op *op, struct hark_io *io, void *buf, size_t len,
                        hark_done_fn *done);

/* Receives into buffers of a pool until canceled: a repeating op. No buffer is tied to the
 * connection while nothing arrives; while the pool is empty the op waits for one to come back.
 *
 * Result the number of bytes, with `more` set; the data is at hark_data(op) and the buffer is the
 *        caller's until hark_pool_give(). 0: the peer has ended its side; an error: as for
 *        hark_recv(); both are last, and bring no buffer.
 * Thread loop
 */
HARK_API void hark_recv_pool(struct hark_op *op, struct hark_io *io, struct hark_pool *pool,
                             hark_done_fn *done);

/* Gives the buffer that a callback of hark_recv_pool() with a positive result brought.
 *
 * Thread loop
 */
HARK_API void *hark_data(const struct hark_op *op);

/* Sends all of the bytes; a short send is finished by hark.
 *
 * buf    borrowed until the callback.
 * Result len; HARK_EPIPE, HARK_ECONNRESET, HARK_ECANCELED, ...: not all was sent, hark_sent_bytes()
 *        tells how much had gone.
 * Thread loop
 */
HARK_API void hark_send(struct hark_op *op, struct hark_io *io, const void *buf, size_t len,
                        hark_done_fn *done);

/* Sends all bytes of a list of slices, as hark_send() does.
 *
 * slices  borrowed until the callback, with what they point to. hark moves their starts forward as
 *         bytes go, so they are used up afterwards.
 * count   any number; hark keeps to IOV_MAX itself.
 * Result  the sum of the lengths; errors as for hark_send().
 * Thread  loop
 */
HARK_API void hark_sendv(struct hark_op *op, struct hark_io *io, struct iovec *slices, size_t count,
                         hark_done_fn *done);

/* Tells how many bytes a send had moved when it ended, also when it ended with an error.
 *
 * op     of hark_send(), hark_sendv() or hark_send_file(), in its callback or before its next
 *        submission.
 * Thread loop
 */
HARK_API size_t hark_sent_bytes(const struct hark_op *op);

/* Receives one datagram and its sender.
 *
 * datagram  borrowed until the callback; data and len are the room, the rest is filled in.
 * Result    the number of bytes in data, 0 for an empty datagram; HARK_ECONNREFUSED: an earlier
 *           datagram of a connected socket found nobody; ...
 * Thread    loop
 */
HARK_API void hark_recvfrom(struct hark_op *op, struct hark_io *io, struct hark_datagram *datagram,
                            hark_done_fn *done);

/* Sends one datagram, whole or not at all.
 *
 * datagram  borrowed until the callback.
 * Result    len; HARK_EMSGSIZE, HARK_EDESTADDRREQ, HARK_ECONNREFUSED, ...
 * Thread    loop
 */
HARK_API void hark_sendto(struct hark_op *op, struct hark_io *io, struct hark_datagram *datagram,
                          hark_done_fn *done);

/* Ends one direction of a connection.
 *
 * how    SHUT_RD, SHUT_WR or SHUT_RDWR.
 * Result 0; HARK_ENOTCONN, ...
 * Thread loop
 * Order  a write-side op: the end goes out after all sends submitted before.
 */
HARK_API void hark_shutdown(struct hark_op *op, struct hark_io *io, int how, hark_done_fn *done);

/* Fills in the socket's own address, or its peer's.
 *
 * len    in: room in bytes; out: the address's length.
 * Result 0; HARK_ENOTCONN, HARK_EBADF, HARK_ENOTSOCK.
 * Thread loop
 */
HARK_API int hark_local_address(const struct hark_io *io, struct sockaddr *addr, socklen_t *len);
HARK_API int hark_peer_address(const struct hark_io *io, struct sockaddr *addr, socklen_t *len);

/* Turns TCP_NODELAY on or off: small sends leave at once instead of waiting for acknowledgments.
 *
 * Result 0; HARK_EOPNOTSUPP: not a TCP socket; HARK_EBADF.
 * Thread loop
 */
HARK_API int hark_nodelay(struct hark_io *io, bool is_on);

#define hark_socket(io, ...) (hark_socket)(hark_io_at(io, HARK_PLACE), __VA_ARGS__)
#define hark_accepted(io, ...) (hark_accepted)(hark_io_at(io, HARK_PLACE), __VA_ARGS__)
#define hark_accept(op, ...) (hark_accept)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_accept_one(op, ...) (hark_accept_one)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_connect(op, ...) (hark_connect)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_recv(op, ...) (hark_recv)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_recv_pool(op, ...) (hark_recv_pool)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_send(op, ...) (hark_send)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_sendv(op, ...) (hark_sendv)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_recvfrom(op, ...) (hark_recvfrom)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_sendto(op, ...) (hark_sendto)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_shutdown(op, ...) (hark_shutdown)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
