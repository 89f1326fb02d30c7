/* Sockets: thin verbs that fill in an op and submit it, and the calls that need no waiting. */
#include <errno.h>
#include <hark/net.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "backend/sys.h"
#include "loop/loop.h"

int (hark_socket)(struct hark_io *io, struct hark_loop *loop, int domain, int type, int protocol)
{
    bool is_nonblock = loop->backend.ops->wants_nonblock;
    int fd = sys_socket(domain, type, protocol, is_nonblock);
    if (fd < 0) return hark_error_from_os(-fd);
    int error = io_open(io, loop, fd, is_nonblock ? IO_IS_NONBLOCK : 0);
    if (error != 0) (void)sys_close(fd); /* new and unused: nothing can be lost */
    return error;
}

static int answer(int result) { return result == 0 ? 0 : hark_error_from_os(errno); }

int hark_bind(struct hark_io *io, const struct sockaddr *addr, socklen_t len)
{
    int type = 0, on = 1;
    socklen_t room = sizeof type;
    if (io->state == IO_CLOSED) return HARK_EBADF;
    if (getsockopt(io->fd, SOL_SOCKET, SO_TYPE, &type, &room) != 0) return answer(-1);
    if (type == SOCK_STREAM && addr->sa_family != AF_UNIX)
        (void)setsockopt(io->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* bind(2) tells */
    return answer(bind(io->fd, addr, len));
}

int hark_listen(struct hark_io *io, int backlog)
{
    if (io->state == IO_CLOSED) return HARK_EBADF;
    return answer(listen(io->fd, backlog > 0 ? backlog : SOMAXCONN));
}

void (hark_accept)(struct hark_op *op, struct hark_io *listener, hark_done_fn *done)
{
    io_submit(op, listener, OP_ACCEPT, done);
}

void (hark_accept_one)(struct hark_op *op, struct hark_io *listener, hark_done_fn *done)
{
    io_submit(op, listener, OP_ACCEPT_ONE, done);
}

int (hark_accepted)(struct hark_io *io, struct hark_op *op)
{
    int fd = (int)op->result;
    REQUIRE(op_accepts(op) && fd >= 0, "promise 3: hark_accepted() without a connection");
    int error = io_open(io, op->on.io->loop, fd, IO_IS_NONBLOCK);
    if (error != 0) (void)sys_close(fd); /* the caller hears of the error that matters */
    return error;
}

void (hark_connect)(struct hark_op *op, struct hark_io *io, const struct sockaddr *addr,
                    socklen_t len, hark_done_fn *done)
{
    op->u.peer.addr = addr;
    op->u.peer.len = (uint32_t)len;
    op->u.peer.has_begun = false;
    io_submit(op, io, OP_CONNECT, done);
}

void (hark_ready)(struct hark_op *op, struct hark_io *io, enum hark_side side, hark_done_fn *done)
{
    io_submit(op, io, side == HARK_WRITABLE ? OP_WRITE_READY : OP_READ_READY, done);
}

void (hark_recv)(struct hark_op *op, struct hark_io *io, void *buf, size_t len, hark_done_fn *done)
{
    op->u.buf.base = buf;
    op->u.buf.len = len;
    if (HARK_UNLIKELY(len == 0)) io_submit(op, io, OP_RECV_NOTHING, done);
    else if (HARK_LIKELY(io->parks)) io_submit_parked(op, io, OP_RECV, done);
    else io_submit(op, io, OP_RECV, done);
}

void (hark_send)(struct hark_op *op, struct hark_io *io, const void *buf, size_t len,
                 hark_done_fn *done)
{
    op->u.buf.base = (char *)(uintptr_t)buf; /* never written to */
    op->u.buf.len = len;
    op->u.buf.moved = 0;
    io_submit(op, io, OP_SEND, done);
}

void (hark_sendv)(struct hark_op *op, struct hark_io *io, struct iovec *slices, size_t count,
                  hark_done_fn *done)
{
    op->u.iov.list = slices;
    op->u.iov.count = count;
    op->u.iov.moved = 0;
    io_submit(op, io, OP_SENDV, done);
}

void (hark_read)(struct hark_op *op, struct hark_io *io, void *buf, size_t len, hark_done_fn *done)
{
    op->u.buf.base = buf;
    op->u.buf.len = len;
    io_submit(op, io, len != 0 ? OP_READ : OP_RECV_NOTHING, done);
}

void (hark_write)(struct hark_op *op, struct hark_io *io, const void *buf, size_t len,
                  hark_done_fn *done)
{
    op->u.buf.base = (char *)(uintptr_t)buf; /* never written to */
    op->u.buf.len = len;
    op->u.buf.moved = 0;
    io_submit(op, io, OP_WRITE, done);
}

size_t hark_sent_bytes(const struct hark_op *op)
{
    if (op->kind == OP_SEND_FILE) return op->u.sending.sent;
    bool is_list = op->kind == OP_SENDV;
    if (op->kind != OP_SEND && op->kind != OP_WRITE && !is_list) return 0;
    if (op->result >= 0) return (size_t)op->result;
    return is_list ? op->u.iov.moved : op->u.buf.moved;
}

void (hark_recvfrom)(struct hark_op *op, struct hark_io *io, struct hark_datagram *datagram,
                     hark_done_fn *done)
{
    op->u.dgram.datagram = datagram;
    io_submit(op, io, OP_RECVFROM, done);
}

void (hark_sendto)(struct hark_op *op, struct hark_io *io, struct hark_datagram *datagram,
                   hark_done_fn *done)
{
    op->u.dgram.datagram = datagram;
    io_submit(op, io, OP_SENDTO, done);
}

void (hark_shutdown)(struct hark_op *op, struct hark_io *io, int how, hark_done_fn *done)
{
    op->u.shutdown.how = how;
    io_submit(op, io, OP_SHUTDOWN, done);
}

int hark_local_address(const struct hark_io *io, struct sockaddr *addr, socklen_t *len)
{
    if (io->state == IO_CLOSED) return HARK_EBADF;
    return answer(getsockname(io->fd, addr, len));
}

int hark_peer_address(const struct hark_io *io, struct sockaddr *addr, socklen_t *len)
{
    if (io->state == IO_CLOSED) return HARK_EBADF;
    return answer(getpeername(io->fd, addr, len));
}

int hark_nodelay(struct hark_io *io, bool is_on)
{
    int value = is_on;
    if (io->state == IO_CLOSED) return HARK_EBADF;
    return answer(setsockopt(io->fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
}
