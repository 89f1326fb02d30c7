/* The ops of sockets on a completion port: how each is started, and what its packet means.
 *
 * Each start ends in one of three ways: the kernel has the op, it was through at once, or it
 * refused; the last two go the way that a packet goes. Where one call is not all, the next follows
 * in the same function, by a loop: success at once must not become recursion.
 *
 * A send goes out by pieces, so that one that is asked to end tells how much had gone. */
#include "backend/iocp.h"

#include <errno.h>

#include "backend/sys.h"
#include "base/check.h"
#include "base/limits.h"

enum { PIECE_BYTES = 256 * 1024, ACCEPT_TRIES = 64 };

static void complete(struct backend *backend, struct hark_op *op, int error, DWORD n);

/* The negative number that an op ends with. An end that nobody asked for: someone else has closed
 * the socket. */
static int64_t number_of(const struct hark_op *op, int error)
{
    if (error == WSA_OPERATION_ABORTED || error == ERROR_CANCELLED)
        return op_is_asked_to_end(op) ? -ECANCELED : -EBADF;
    if (error == WSAENOTSOCK && !sys_is_open(op->on.io->fd)) return -EBADF;
    return error > WSABASEERR ? -error : -EIO;
}

void iocp_fail(struct backend *backend, struct hark_op *op, int error)
{
    backend_finish(backend, op, number_of(op, error));
}

/* The first op on a stream that was reset hears so; a send after that finds that nobody reads. */
static void fail_stream(struct backend *backend, struct hark_op *op, int error)
{
    struct iocp_socket *socket = iocp_request_of(backend, op)->socket;
    bool is_reset = error == WSAECONNRESET || error == WSAECONNABORTED || error == WSAENETRESET;
    bool is_told = socket->is_reset && socket->type == SOCK_STREAM && op_side(op) == SIDE_WRITE;
    if (is_reset) socket->is_reset = true;
    iocp_fail(backend, op, is_reset && is_told ? WSAESHUTDOWN : error);
}

/* hark_shutdown() has ended what it interrupts, or what comes after it: as an end of stream. */
static bool is_end(struct backend *backend, const struct hark_op *op, int error)
{
    bool is_ours = error == WSAESHUTDOWN ||
                   (error == WSA_OPERATION_ABORTED && !op_is_asked_to_end(op));
    return is_ours && iocp_request_of(backend, op)->socket->is_shut;
}

/* Receives. */

static void start_recv(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    WSABUF slice = { iocp_short_len(op->u.buf.len), op->u.buf.base };
    DWORD n = 0;
    int error = iocp_last_error(WSARecv(iocp_socket_of(op), &slice, 1, &n, &request->flags,
                                        iocp_fresh(request), NULL));
    if (!iocp_is_pending(request, op, error)) complete(backend, op, error, n);
}

static void received(struct backend *backend, struct hark_op *op, int error, DWORD n)
{
    if (error == WSAEMSGSIZE) backend_finish(backend, op, (int64_t)op->u.buf.len); /* a datagram */
    else if (is_end(backend, op, error)) backend_finish(backend, op, 0);
    else if (error != 0) fail_stream(backend, op, error);
    else backend_finish(backend, op, n);
}

static void put_buffer_back(struct backend *backend, struct hark_op *op)
{
    struct hark_pool *pool = op->u.pool.pool;
    size_t offset = (size_t)((char *)op->u.pool.data - pool->memory);
    pool->free_list[pool->free_count++] = (uint32_t)(offset / pool->bytes);
    pool->out_count--;
    op->u.pool.data = NULL;
    if (pool->starved.head != NULL) backend_resume(backend, pool);
}

static void received_into_pool(struct backend *backend, struct hark_op *op, int error, DWORD n)
{
    iocp_request_of(backend, op)->has_buffer = false;
    bool is_cut = error == WSAEMSGSIZE;
    if (is_cut || (error == 0 && n != 0)) {
        backend_report(backend, op, is_cut ? (int64_t)op->u.pool.pool->bytes : n, true);
        return;
    }
    put_buffer_back(backend, op);
    if (error != 0 && !is_end(backend, op, error)) fail_stream(backend, op, error);
    else backend_finish(backend, op, 0);
}

/* There is something to receive: it mostly comes at once. */
static void recv_into_pool(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    struct hark_pool *pool = op->u.pool.pool;
    if (!pool_has_free(pool)) {
        backend_starve(backend, op);
        return;
    }
    char *buffer = pool_buffer(pool, pool->free_list[--pool->free_count]);
    WSABUF slice = { iocp_short_len(pool->bytes), buffer };
    DWORD n = 0;
    pool->out_count++;
    op->u.pool.data = buffer;
    request->has_buffer = true;
    int error = iocp_last_error(WSARecv(iocp_socket_of(op), &slice, 1, &n, &request->flags,
                                        iocp_fresh(request), NULL));
    if (!iocp_is_pending(request, op, error)) received_into_pool(backend, op, error, n);
}

static void pool_is_ready(struct backend *backend, struct hark_op *op, int error)
{
    if (is_end(backend, op, error)) backend_finish(backend, op, 0);
    else if (error != 0) fail_stream(backend, op, error);
    else if (op_is_asked_to_end(op)) backend_finish(backend, op, -ECANCELED);
    else recv_into_pool(backend, op);
}

/* No buffer is tied to a connection that has nothing: a receive of no bytes waits for some. It
 * would eat a datagram, so there the device tells. */
static void start_pool(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    WSABUF nothing = { 0, NULL };
    DWORD n = 0;
    if (!pool_has_free(op->u.pool.pool)) {
        backend_starve(backend, op);
        return;
    }
    if (request->socket->type != SOCK_STREAM) {
        iocp_poll(backend, op);
        return;
    }
    int error = iocp_last_error(WSARecv(iocp_socket_of(op), &nothing, 1, &n, &request->flags,
                                        iocp_fresh(request), NULL));
    if (!iocp_is_pending(request, op, error)) pool_is_ready(backend, op, error);
}

/* Accepts: the socket is made first, and becomes the connection. */

static bool is_table_full(int error) { return error == WSAEMFILE || error == WSAENOBUFS; }

static bool is_connection_gone(int error)
{
    return error == WSAECONNRESET || error == WSAECONNABORTED || error == WSAENETRESET;
}

/* False: that connection is gone, and the next one may be asked for. */
static bool accepted(struct backend *backend, struct hark_op *op, int error)
{
    struct iocp_socket *socket = iocp_request_of(backend, op)->socket;
    SOCKET listener = iocp_socket_of(op), connection = socket->accepted;
    socket->accepted = INVALID_SOCKET;
    if (error != 0) (void)closesocket(connection); /* it never became one */
    if (is_connection_gone(error) && !op_is_asked_to_end(op)) return false;
    if (error != 0) {
        iocp_fail(backend, op, error);
        return true;
    }
    (void)setsockopt((int)connection, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, &listener,
                     sizeof listener); /* fails: the peer is gone, as the first receive tells */
    if (op->kind == OP_ACCEPT) backend_report(backend, op, (int)connection, true);
    else backend_finish(backend, op, (int)connection);
    return true;
}

static bool listens(struct iocp_socket *socket, int fd)
{
    BOOL is_listening = FALSE;
    socklen_t len = sizeof is_listening;
    if (socket->listens) return true;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) != 0) return true;
    socket->listens = is_listening;
    return is_listening;
}

static void start_accept(struct backend *backend, struct hark_op *op)
{
    const struct iocp *iocp = backend->state;
    struct iocp_request *request = iocp_request_of(backend, op);
    struct iocp_socket *socket = request->socket;
    if (!listens(socket, op->on.io->fd)) {
        iocp_fail(backend, op, WSAEINVAL);
        return;
    }
    for (int tries = 0; tries < ACCEPT_TRIES; tries++) {
        int fd = sys_socket(socket->family, socket->type, socket->protocol, false);
        if (fd < 0 && is_table_full(-fd)) {
            backend_pause(backend, op, EMFILE);
            return;
        }
        if (fd < 0) {
            iocp_fail(backend, op, -fd);
            return;
        }
        DWORD n = 0;
        socket->accepted = (SOCKET)fd;
        bool is_done = iocp->accept_ex(iocp_socket_of(op), (SOCKET)fd, socket->addresses, 0,
                                       IOCP_ADDRESS_BYTES, IOCP_ADDRESS_BYTES, &n,
                                       iocp_fresh(request));
        int error = iocp_last_error(is_done ? 0 : -1);
        if (iocp_is_pending(request, op, error) || accepted(backend, op, error)) return;
    }
    backend_pause(backend, op, EAGAIN); /* a flood of those that go at once */
}

/* Connects. */

static void connect_datagrams(struct backend *backend, struct hark_op *op)
{
    BOOL is_on = TRUE; /* one peer: what it does not take is this socket's matter again */
    DWORD n;
    SOCKET socket = iocp_socket_of(op);
    int error = iocp_last_error((connect)(socket, op->u.peer.addr, (int)op->u.peer.len));
    if (error != 0) {
        iocp_fail(backend, op, error);
        return;
    }
    (void)WSAIoctl(socket, _WSAIOW(IOC_VENDOR, 12), &is_on, sizeof is_on, NULL, 0, &n, NULL, NULL);
    backend_finish(backend, op, 0);
}

static void connected(struct backend *backend, struct hark_op *op, int error)
{
    if (error != 0) {
        iocp_fail(backend, op, error);
        return;
    }
    (void)setsockopt(op->on.io->fd, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0); /* it is so */
    backend_finish(backend, op, 0);
}

/* ConnectEx wants an address of its own first; a socket that has one says EINVAL. */
static void start_connect(struct backend *backend, struct hark_op *op)
{
    const struct iocp *iocp = backend->state;
    struct iocp_request *request = iocp_request_of(backend, op);
    struct sockaddr_storage any = { .ss_family = (short)op->u.peer.addr->sa_family };
    DWORD n = 0;
    if (request->socket->type != SOCK_STREAM) {
        connect_datagrams(backend, op);
        return;
    }
    if (any.ss_family != request->socket->family) {
        backend_finish(backend, op, -EAFNOSUPPORT);
        return;
    }
    int len = any.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int error = iocp_last_error((bind)(iocp_socket_of(op), (struct sockaddr *)&any, len));
    if (error != 0 && error != WSAEINVAL) {
        iocp_fail(backend, op, error);
        return;
    }
    bool is_done = iocp->connect_ex(iocp_socket_of(op), op->u.peer.addr, (int)op->u.peer.len,
                                    NULL, 0, &n, iocp_fresh(request));
    error = iocp_last_error(is_done ? 0 : -1);
    if (!iocp_is_pending(request, op, error)) connected(backend, op, error);
}

/* Sends. */

/* The next piece; how many slices it has. */
static DWORD gather(const struct hark_op *op, WSABUF slices[LIMIT_IOVECS])
{
    DWORD count = 0;
    size_t room = PIECE_BYTES;
    if (op->kind != OP_SENDV) {
        size_t rest = op->u.buf.len - op->u.buf.moved;
        slices[0] = (WSABUF){ (ULONG)(rest < room ? rest : room),
                              op->u.buf.base + op->u.buf.moved };
        return 1;
    }
    for (; count < LIMIT_IOVECS && count < op->u.iov.count && room != 0; count++) {
        const struct iovec *slice = &op->u.iov.list[count];
        size_t len = slice->iov_len < room ? slice->iov_len : room;
        slices[count] = (WSABUF){ (ULONG)len, slice->iov_base };
        room -= len;
    }
    return count;
}

/* True: that was all. */
static bool is_all_sent(struct hark_op *op, DWORD n)
{
    if (op->kind == OP_SENDV) return sys_advance(op, n);
    op->u.buf.moved += n;
    return op->u.buf.moved == op->u.buf.len;
}

static int64_t sent_bytes(const struct hark_op *op)
{
    return (int64_t)(op->kind == OP_SENDV ? op->u.iov.moved : op->u.buf.moved);
}

static void send_on(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    WSABUF slices[LIMIT_IOVECS];
    for (;;) { /* each round moves bytes, or ends */
        DWORD count = gather(op, slices), n = 0;
        int error = count == 0 ? 0 : iocp_last_error(WSASend(iocp_socket_of(op), slices, count,
                                                             &n, 0, iocp_fresh(request), NULL));
        if (count != 0 && iocp_is_pending(request, op, error)) return;
        bool is_all = error == 0 && is_all_sent(op, n);
        if (error != 0) fail_stream(backend, op, error);
        else if (is_all) backend_finish(backend, op, sent_bytes(op));
        if (error != 0 || is_all) return;
    }
}

/* n counts also what had gone before an error. */
static void sent(struct backend *backend, struct hark_op *op, int error, DWORD n)
{
    if (is_all_sent(op, n) && (error == 0 || n != 0))
        backend_finish(backend, op, sent_bytes(op));
    else if (error != 0) fail_stream(backend, op, error);
    else if (op_is_asked_to_end(op)) backend_finish(backend, op, -ECANCELED);
    else send_on(backend, op);
}

/* Readiness. */

/* What was shut for reading would not wait, though the device does not tell. */
static void start_ready(struct backend *backend, struct hark_op *op)
{
    bool is_shut = iocp_request_of(backend, op)->socket->is_shut;
    if (is_shut && op->kind == OP_READ_READY) backend_finish(backend, op, 0);
    else iocp_poll(backend, op);
}

static void is_ready(struct backend *backend, struct hark_op *op, int error)
{
    bool has_ended = op->kind == OP_READ_READY && is_end(backend, op, error);
    if (error != 0 && !has_ended) iocp_fail(backend, op, error);
    else backend_finish(backend, op, 0);
}

/* Winsock leaves a receive that waits as it is. */
static void shut_down(struct backend *backend, struct hark_op *op)
{
    struct iocp_socket *socket = iocp_request_of(backend, op)->socket;
    struct iocp_request *reading = &socket->requests[SIDE_READ];
    int error = iocp_last_error(shutdown(iocp_socket_of(op), op->u.shutdown.how));
    if (error != 0) {
        iocp_fail(backend, op, error);
        return;
    }
    if (op->u.shutdown.how != SHUT_WR) {
        socket->is_shut = true;
        if (reading->op != NULL) iocp_cancel(backend, reading->op);
    }
    backend_finish(backend, op, 0);
}

static void start(struct backend *backend, struct hark_op *op)
{
    switch (op->kind) {
    case OP_RECV: case OP_READ: start_recv(backend, op); break;
    case OP_RECV_POOL: start_pool(backend, op); break;
    case OP_RECVFROM: case OP_RECV_BATCH: iocp_start_recv_datagram(backend, op); break;
    case OP_ACCEPT: case OP_ACCEPT_ONE: start_accept(backend, op); break;
    case OP_READ_READY: case OP_WRITE_READY: case OP_SEND_FILE: start_ready(backend, op); break;
    case OP_SEND: case OP_SENDV: case OP_WRITE: send_on(backend, op); break;
    case OP_SENDTO: iocp_start_sendto(backend, op); break;
    case OP_SEND_BATCH: iocp_send_batch_on(backend, op); break;
    case OP_CONNECT: start_connect(backend, op); break;
    case OP_SHUTDOWN: shut_down(backend, op); break;
    case OP_RECV_NOTHING: backend_finish(backend, op, 0); break;
    default: backend_finish(backend, op, -EOPNOTSUPP); break; /* descriptors in messages */
    }
}

static void complete(struct backend *backend, struct hark_op *op, int error, DWORD n)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    switch (op->kind) {
    case OP_RECV: case OP_READ: received(backend, op, error, n); break;
    case OP_RECV_POOL:
        if (request->has_buffer) received_into_pool(backend, op, error, n);
        else pool_is_ready(backend, op, error);
        break;
    case OP_RECVFROM: case OP_RECV_BATCH: iocp_received_datagram(backend, op, error, n); break;
    case OP_ACCEPT: case OP_ACCEPT_ONE:
        if (!accepted(backend, op, error)) start_accept(backend, op);
        break;
    case OP_SEND: case OP_SENDV: case OP_WRITE: sent(backend, op, error, n); break;
    case OP_SENDTO: iocp_sent_datagram(backend, op, error); break;
    case OP_SEND_BATCH: iocp_sent_of_batch(backend, op, error); break;
    case OP_CONNECT: connected(backend, op, error); break;
    default: is_ready(backend, op, error);
    }
}

const struct iocp_kind iocp_sockets = {
    .start = start, .complete = complete, .cancel = iocp_cancel,
};
