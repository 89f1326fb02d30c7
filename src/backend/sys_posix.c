/* Every POSIX system call that serves an op, tried once without blocking; see sys.h.
 *
 * EINTR is retried here, EWOULDBLOCK is EAGAIN, lengths are cut to what every system takes. */
#include "backend/sys.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

static int64_t try_recv(struct hark_op *op)
{
    ssize_t n;
    do n = recv(op->on.io->fd, op->u.buf.base, op->u.buf.len, SYS_RECV_FLAGS);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int64_t try_send(struct hark_op *op)
{
    size_t len = op->u.buf.len;
    do { /* each round moves bytes, or ends */
        ssize_t n = send(op->on.io->fd, op->u.buf.base + op->u.buf.moved, len - op->u.buf.moved,
                         SYS_SEND_FLAGS);
        if (n >= 0) op->u.buf.moved += (size_t)n;
        else if (errno != EINTR) return -errno;
    } while (op->u.buf.moved < len);
    return (int64_t)len;
}

static int64_t try_recv_pool(struct hark_op *op)
{
    struct hark_pool *pool = op->u.pool.pool;
    if (!pool_has_free(pool)) return SYS_NO_BUFFER;
    uint32_t index = pool->free_list[pool->free_count - 1];
    char *buffer = pool_buffer(pool, index);
    ssize_t n;
    do n = recv(op->on.io->fd, buffer, pool->bytes, SYS_RECV_FLAGS);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    if (n == 0) return 0;
    pool->free_count--;
    pool->out_count++;
    op->u.pool.data = buffer;
    return n;
}

static int64_t try_accept(struct hark_op *op)
{
    struct hark_io *io = op->on.io;
    int error = sys_set_nonblock(io);
    if (error != 0) return error;
    for (int tries = 0; tries < 64; tries++) { /* then the kernel is asked anew */
        int fd = call_accept(io->fd, true);
        if (fd >= 0) return fd;
        if (errno != EINTR && !sys_is_connection_gone(errno)) return -errno;
    }
    return -EAGAIN;
}

/* EINTR means that it goes on by itself, exactly as EINPROGRESS does. Whether it is over, only a
 * second connect(2) tells for certain; Linux wants one also before it says EISCONN to the next. */
static int64_t try_connect(struct hark_op *op)
{
    int fd = op->on.io->fd, error = 0;
    socklen_t len = sizeof error;
    if (!op->u.peer.has_begun) {
        error = sys_set_nonblock(op->on.io);
        if (error != 0) return error;
        if (connect(fd, op->u.peer.addr, op->u.peer.len) == 0) return 0;
        if (errno == EAGAIN) return -EAGAIN; /* a Unix listener's queue is full: nothing began */
        if (errno != EINPROGRESS && errno != EINTR) return -errno;
        op->u.peer.has_begun = true;
        return -EAGAIN;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) return -errno;
    if (error != 0) return -error;
    if (connect(fd, op->u.peer.addr, op->u.peer.len) == 0 || errno == EISCONN) return 0;
    return errno == EALREADY || errno == EINPROGRESS || errno == EINTR ? -EAGAIN : -errno;
}

static int64_t try_sendv(struct hark_op *op)
{
    for (;;) { /* bounded by the length: each round moves bytes, or ends */
        size_t count = op->u.iov.count < LIMIT_IOVECS ? op->u.iov.count : LIMIT_IOVECS;
        struct msghdr header = { .msg_iov = op->u.iov.list, .msg_iovlen = CALL_SLICES(count) };
        ssize_t n = sendmsg(op->on.io->fd, &header, SYS_SEND_FLAGS);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        if (sys_advance(op, (size_t)n)) return (int64_t)op->u.iov.moved;
    }
}

void sys_datagram_header(struct hark_datagram *datagram, bool is_send)
{
    bool has_peer = !is_send || datagram->peer_len != 0;
    datagram->private_slice = (struct iovec){ datagram->data, datagram->len };
    datagram->private_header = (struct msghdr){
        .msg_name = has_peer ? &datagram->peer : NULL,
        .msg_namelen = is_send ? datagram->peer_len : (socklen_t)sizeof datagram->peer,
        .msg_iov = &datagram->private_slice,
        .msg_iovlen = 1,
    };
}

void sys_datagram_received(struct hark_datagram *datagram, int flags)
{
    datagram->peer_len = datagram->private_header.msg_namelen;
    datagram->is_truncated = flags & MSG_TRUNC;
}

static int64_t try_recvfrom(struct hark_op *op)
{
    struct hark_datagram *datagram = op->u.dgram.datagram;
    sys_datagram_header(datagram, false);
    ssize_t n;
    do n = recvmsg(op->on.io->fd, &datagram->private_header, SYS_RECV_FLAGS);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    sys_datagram_received(datagram, datagram->private_header.msg_flags);
    return n;
}

static int64_t try_sendto(struct hark_op *op)
{
    struct hark_datagram *datagram = op->u.dgram.datagram;
    sys_datagram_header(datagram, true);
    ssize_t n;
    do n = sendmsg(op->on.io->fd, &datagram->private_header, SYS_SEND_FLAGS);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int64_t sys_try(struct hark_op *op)
{
    switch (op->kind) {
    case OP_RECV: return try_recv(op);
    case OP_RECV_POOL: return try_recv_pool(op);
    case OP_RECVFROM: return try_recvfrom(op);
    case OP_ACCEPT: case OP_ACCEPT_ONE: return try_accept(op);
    case OP_SEND: return try_send(op);
    case OP_SENDV: return try_sendv(op);
    case OP_SENDTO: return try_sendto(op);
    case OP_CONNECT: return try_connect(op);
    case OP_READ: return sys_try_read(op);
    case OP_WRITE: return sys_try_write(op);
    case OP_RECV_BATCH: return sys_try_recv_batch(op);
    case OP_SEND_BATCH: return sys_try_send_batch(op);
    case OP_RECV_RIGHTS: return sys_try_recv_rights(op);
    case OP_SEND_RIGHTS: return sys_try_send_rights(op);
    case OP_SHUTDOWN: return shutdown(op->on.io->fd, op->u.shutdown.how) == 0 ? 0 : -errno;
    default: return 0; /* OP_RECV_NOTHING, and OP_*_READY once the kernel says so, OP_SEND_FILE */
    }
}

int sys_socket(int domain, int type, int protocol, bool is_nonblock)
{
    int fd = call_socket(domain, type, protocol, is_nonblock);
    return fd >= 0 ? fd : -errno;
}

/* Linux frees the descriptor also when close(2) says EINTR: a second try could hit another's. */
int sys_close(int fd) { return close(fd) == 0 || errno == EINTR ? 0 : -errno; }

int sys_descriptor_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    return flags & O_NONBLOCK ? IO_IS_NONBLOCK : 0;
}

int sys_set_nonblock(struct hark_io *io)
{
    if (io->flags & IO_IS_NONBLOCK) return 0;
    int flags = fcntl(io->fd, F_GETFL);
    if (flags < 0 || fcntl(io->fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
    io->flags |= IO_IS_NONBLOCK | IO_WAS_BLOCKING;
    return 0;
}

void sys_set_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0) (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK); /* fails: it is gone */
}

void sys_wake_signal(int end)
{
    int error = errno;
    ssize_t n;
    do n = call_wake_signal(end);
    while (n < 0 && errno == EINTR);
    errno = error; /* EAGAIN: so many wake-ups are noted already, which is enough */
}

bool sys_is_table_full(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

bool sys_is_connection_gone(int error)
{
    switch (error) {
    case ECONNABORTED: case EPROTO: case EPERM: case ENETDOWN: case ENOPROTOOPT: case EHOSTDOWN:
#ifdef ENONET
    case ENONET:
#endif
    case EHOSTUNREACH: case ENETUNREACH: case ETIMEDOUT:
        return true; /* accept(2): errors already pending on the new socket */
    default:
        return false;
    }
}

int sys_reserve_open(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

/* Those who wait are told by a closed connection, which is better than to let them wait. Another
 * thread may snatch the reserve; then it is taken back later, and nothing is drained until then.
 * With a full table accept(2) says EMFILE also when nobody waits: Linux takes a descriptor before
 * it looks for a connection. */
bool sys_refuse_waiting(int listener, int *reserve)
{
    int refused = 0, error = 0;
    if (*reserve < 0) *reserve = sys_reserve_open();
    if (*reserve < 0) return true;
    int flags = fcntl(listener, F_GETFL);
    if (flags < 0 || fcntl(listener, F_SETFL, flags | O_NONBLOCK) < 0) return true;
    (void)close(*reserve); /* /dev/null: nothing can fail that matters */
    for (; refused < 1024; refused++) {
        int fd = call_accept(listener, false);
        error = fd < 0 ? errno : 0;
        if (fd >= 0) (void)close(fd);
        else if (!sys_is_connection_gone(error) && error != EINTR) break;
    }
    *reserve = sys_reserve_open();
    if (!(flags & O_NONBLOCK)) (void)fcntl(listener, F_SETFL, flags);
    return refused != 0 || error != EAGAIN;
}
