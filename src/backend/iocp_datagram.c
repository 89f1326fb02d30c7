/* The ops of datagrams on a completion port: one at a time, also where a batch is received. See
 * iocp_socket.c. Where a packet is to tell its destination, it comes by WSARecvMsg. */
#include "backend/iocp.h"

#include <errno.h>
#include <hark/datagram.h>
#include <string.h>

/* What Winsock says in other words than all others. */
static int datagram_error(int error)
{
    if (error == WSAECONNRESET || error == WSAENETRESET) return WSAECONNREFUSED;
    return error == WSAENOTCONN ? WSAEDESTADDRREQ : error;
}

/* 0, WSA_IO_PENDING, or an error. The list of slices is captured by the call. */
static int recv_message(struct hark_op *op, struct iocp_request *request, WSABUF *slice,
                        struct sockaddr_storage *peer, DWORD *n)
{
    struct iocp_socket *socket = request->socket;
    struct iocp_message *message = &socket->message;
    int error = socket->recv_message != NULL ? 0 :
                call_extension(op->on.io->fd, (GUID)WSAID_WSARECVMSG, &socket->recv_message);
    if (error != 0) return WSAEOPNOTSUPP;
    message->head = (WSAMSG){
        .name = (struct sockaddr *)peer, .namelen = sizeof *peer, .lpBuffers = slice,
        .dwBufferCount = 1, .Control = { sizeof message->control, message->control },
    };
    return iocp_last_error(socket->recv_message(iocp_socket_of(op), &message->head, n,
                                                iocp_fresh(request), NULL));
}

void iocp_start_recv_datagram(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    bool is_batch = op->kind == OP_RECV_BATCH;
    struct hark_datagram *one = op->u.dgram.datagram;
    struct hark_datagram_batch *batch = op->u.batch.batch;
    WSABUF slice = { iocp_short_len(is_batch ? batch->room_bytes : one->len),
                     is_batch ? batch->arena : one->data };
    struct sockaddr_storage *peer = is_batch ? &batch->packets[0].peer : &one->peer;
    DWORD n = 0;
    int error;
    request->peer_len = sizeof *peer;
    request->has_message = is_batch && op->on.io->flags & IO_CONTROL;
    if (request->has_message) error = recv_message(op, request, &slice, peer, &n);
    else error = iocp_last_error(WSARecvFrom(iocp_socket_of(op), &slice, 1, &n, &request->flags,
                                             (struct sockaddr *)peer, &request->peer_len,
                                             iocp_fresh(request), NULL));
    if (!iocp_is_pending(request, op, error)) iocp_received_datagram(backend, op, error, n);
}

/* Of IPv4 to a socket of both families: by the IPv6 address that stands for it, as elsewhere. */
static void put_destination(struct hark_packet *packet, struct in_addr to, int family)
{
    if (family == AF_INET) {
        packet->destination.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = to };
        return;
    }
    struct sockaddr_in6 mapped = { .sin6_family = AF_INET6 };
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.sin6_addr.s6_addr[12], &to, sizeof to);
    packet->destination.v6 = mapped;
}

static void read_control(struct hark_packet *packet, struct iocp_socket *socket)
{
    const WSABUF *control = &socket->message.head.Control;
    const size_t align = _Alignof(WSACMSGHDR);
    for (size_t at = 0; at + sizeof(WSACMSGHDR) <= control->len;) {
        const WSACMSGHDR *c = (void *)(control->buf + at);
        if (c->cmsg_len < sizeof *c) return; /* no header */
        at += (c->cmsg_len + align - 1) / align * align;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, WSA_CMSG_DATA(c), sizeof info);
            packet->interface = info.ipi_ifindex;
            put_destination(packet, info.ipi_addr, socket->family);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, WSA_CMSG_DATA(c), sizeof info);
            packet->interface = info.ipi6_ifindex;
            packet->destination.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
                                                            .sin6_addr = info.ipi6_addr };
        }
    }
}

void iocp_received_datagram(struct backend *backend, struct hark_op *op, int error, DWORD n)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    bool is_truncated = error == WSAEMSGSIZE;
    if (error != 0 && !is_truncated) {
        iocp_fail(backend, op, datagram_error(error));
        return;
    }
    if (op->kind == OP_RECVFROM) {
        struct hark_datagram *datagram = op->u.dgram.datagram;
        datagram->peer_len = request->peer_len;
        datagram->is_truncated = is_truncated;
        backend_finish(backend, op, is_truncated ? (int64_t)datagram->len : n);
        return;
    }
    struct hark_datagram_batch *batch = op->u.batch.batch;
    struct hark_packet *packet = &batch->packets[0];
    packet->data = batch->arena;
    packet->len = is_truncated ? batch->room_bytes : n;
    packet->peer_len = request->has_message ? request->socket->message.head.namelen
                                            : request->peer_len;
    packet->is_truncated = is_truncated;
    packet->segment_bytes = packet->interface = 0;
    packet->time_ns = 0;
    packet->destination.family = AF_UNSPEC;
    if (request->has_message) read_control(packet, request->socket);
    backend_finish(backend, op, 1);
}

static int send_datagram(struct hark_op *op, struct iocp_request *request, WSABUF slice,
                         const struct sockaddr_storage *peer, socklen_t peer_len)
{
    DWORD n = 0;
    const struct sockaddr *to = peer_len != 0 ? (const struct sockaddr *)peer : NULL;
    int error = iocp_last_error(WSASendTo(iocp_socket_of(op), &slice, 1, &n, 0, to, peer_len,
                                          iocp_fresh(request), NULL));
    return error == WSAEINVAL && to == NULL ? WSAENOTCONN : error; /* it has no name */
}

void iocp_start_sendto(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    struct hark_datagram *datagram = op->u.dgram.datagram;
    WSABUF slice = { iocp_short_len(datagram->len), datagram->data };
    int error = send_datagram(op, request, slice, &datagram->peer, datagram->peer_len);
    if (!iocp_is_pending(request, op, error)) iocp_sent_datagram(backend, op, error);
}

void iocp_sent_datagram(struct backend *backend, struct hark_op *op, int error)
{
    if (error != 0) iocp_fail(backend, op, datagram_error(error));
    else backend_finish(backend, op, (int64_t)op->u.dgram.datagram->len);
}

static WSABUF next_of_batch(const struct hark_op *op)
{
    const struct hark_packet *packet = &op->u.batch.batch->packets[op->u.batch.moved];
    size_t rest = packet->len - op->u.batch.offset, step = packet->segment_bytes;
    size_t len = step != 0 && step < rest ? step : rest;
    return (WSABUF){ iocp_short_len(len), (char *)packet->data + op->u.batch.offset };
}

static void move_on_in_batch(struct hark_op *op)
{
    op->u.batch.offset += next_of_batch(op).len;
    if (op->u.batch.offset < op->u.batch.batch->packets[op->u.batch.moved].len) return;
    op->u.batch.moved++;
    op->u.batch.offset = 0;
}

void iocp_send_batch_on(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    struct hark_datagram_batch *batch = op->u.batch.batch;
    while (op->u.batch.moved < batch->count) { /* each round moves a datagram, or ends */
        const struct hark_packet *packet = &batch->packets[op->u.batch.moved];
        int error = send_datagram(op, request, next_of_batch(op), &packet->peer,
                                  packet->peer_len);
        if (iocp_is_pending(request, op, error)) return;
        if (error != 0) {
            iocp_fail(backend, op, datagram_error(error));
            return;
        }
        move_on_in_batch(op);
    }
    backend_finish(backend, op, op->u.batch.moved);
}

void iocp_sent_of_batch(struct backend *backend, struct hark_op *op, int error)
{
    if (error == 0) move_on_in_batch(op);
    bool is_all = op->u.batch.moved == op->u.batch.batch->count;
    if (error != 0) iocp_fail(backend, op, datagram_error(error));
    else if (op_is_asked_to_end(op) && !is_all) backend_finish(backend, op, -ECANCELED);
    else iocp_send_batch_on(backend, op);
}
