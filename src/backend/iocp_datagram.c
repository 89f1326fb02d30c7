/* The ops of datagrams on a completion port: one at a time, also where a batch is received. See
 * iocp_socket.c. */
#include "backend/iocp.h"

#include <errno.h>
#include <hark/datagram.h>

/* What Winsock says in other words than all others. */
static int datagram_error(int error)
{
    if (error == WSAECONNRESET || error == WSAENETRESET) return WSAECONNREFUSED;
    return error == WSAENOTCONN ? WSAEDESTADDRREQ : error;
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
    request->peer_len = sizeof *peer;
    int error = iocp_last_error(WSARecvFrom(iocp_socket_of(op), &slice, 1, &n, &request->flags,
                                            (struct sockaddr *)peer, &request->peer_len,
                                            iocp_fresh(request), NULL));
    if (!iocp_is_pending(request, op, error)) iocp_received_datagram(backend, op, error, n);
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
    packet->peer_len = request->peer_len;
    packet->is_truncated = is_truncated;
    packet->segment_bytes = packet->interface = 0;
    packet->time_ns = 0;
    packet->destination.family = AF_UNSPEC;
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
