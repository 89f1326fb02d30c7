/* Batches of datagrams: recvmmsg(2), sendmmsg(2), and packets of many segments. See sys.h.
 *
 * A packet with segments goes out as messages: by UDP_SEGMENT several segments each, as many as
 * the kernel takes, or one each where it takes none. So the place where a batch stands is a packet
 * and an offset in it, and what differs is how far one message goes: message_len(). */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/sys.h"
#include "base/limits.h"
#include <hark/datagram.h>

enum {
    SEGMENTS_MAX = 64,     /* of one message: Linux before 6.9 */
    CUT_BYTES_MAX = 65000, /* of one message: an IP packet less all that may stand before */
    CONTROL_BYTES = 256,   /* time, destination and segment size, and something to spare */
};

/* As cmsg(3) wants it: aligned like a cmsghdr. */
struct control { _Alignas(struct cmsghdr) char room[CONTROL_BYTES]; };
struct cut { _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(uint16_t))]; };

bool sys_cuts_packets(struct hark_io *io)
{
    int size = 0;
    socklen_t len = sizeof size;
    if (!(io->flags & IO_ASKED_CUTS)) {
        io->flags |= IO_ASKED_CUTS;
        bool has_cuts = CALL_UDP_SEGMENT >= 0 &&
                        getsockopt(io->fd, IPPROTO_UDP, CALL_UDP_SEGMENT, &size, &len) == 0;
        if (has_cuts) io->flags |= IO_CUTS;
    }
    return io->flags & IO_CUTS;
}

int64_t sys_batch_room(const struct hark_op *op)
{
    uint32_t count = op->u.batch.batch->count;
    return count < LIMIT_BATCH ? count : LIMIT_BATCH;
}

/* A Unix socket may bring descriptors that nobody asked for: they are closed. */
static void read_control(struct hark_packet *packet, struct msghdr *header)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        const void *data = CMSG_DATA(c);
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == CALL_TIMES_MESSAGE) {
            packet->time_ns = call_time_of(data);
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == CALL_UDP_GRO) {
            int bytes;
            memcpy(&bytes, data, sizeof bytes);
            packet->segment_bytes = (uint32_t)bytes;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == CALL_DESTINATION_V4_MESSAGE) {
            packet->interface = call_interface_of(data);
            packet->destination.v4 = (struct sockaddr_in){ .sin_family = AF_INET,
                                                           .sin_addr = call_address_of(data) };
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, data, sizeof info);
            packet->interface = info.ipi6_ifindex;
            packet->destination.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
                                                            .sin6_addr = info.ipi6_addr };
        }
    }
    sys_close_rights(header);
}

static void take_over(struct hark_packet *packet, struct call_message *message)
{
    packet->len = message->msg_len;
    packet->peer_len = message->msg_hdr.msg_namelen;
    packet->is_truncated = message->msg_hdr.msg_flags & MSG_TRUNC;
    packet->segment_bytes = 0;
    packet->time_ns = 0;
    packet->interface = 0;
    packet->destination.family = AF_UNSPEC;
    if (message->msg_hdr.msg_controllen != 0) read_control(packet, &message->msg_hdr);
}

int64_t sys_try_recv_batch(struct hark_op *op)
{
    struct hark_datagram_batch *batch = op->u.batch.batch;
    struct call_message messages[LIMIT_BATCH];
    struct iovec slices[LIMIT_BATCH];
    struct control controls[LIMIT_BATCH];
    bool has_control = op->on.io->flags & IO_CONTROL;
    unsigned room = (unsigned)sys_batch_room(op);
    for (unsigned i = 0; i < room; i++) {
        struct hark_packet *packet = &batch->packets[i];
        packet->data = (char *)batch->arena + i * batch->room_bytes;
        slices[i] = (struct iovec){ packet->data, batch->room_bytes };
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &packet->peer, .msg_namelen = sizeof packet->peer,
            .msg_iov = &slices[i], .msg_iovlen = 1,
            .msg_control = has_control ? &controls[i] : NULL,
            .msg_controllen = has_control ? sizeof controls[i] : 0,
        };
    }
    int n;
    do n = call_recv_batch(op->on.io->fd, messages, room, SYS_RECV_FLAGS | CALL_RIGHTS_FLAGS);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    for (int i = 0; i < n; i++) take_over(&batch->packets[i], &messages[i]);
    return n;
}

/* The kernel or the device does not cut this one: the caller's error shows without it. */
static bool is_refusal(int error)
{
    return error == EINVAL || error == EIO || error == EMSGSIZE || error == EOPNOTSUPP;
}

struct place { uint32_t packet; size_t offset; };

/* How many bytes the next message carries. */
static size_t message_len(struct hark_op *op, const struct hark_packet *packet, size_t offset)
{
    size_t rest = packet->len - offset, step = packet->segment_bytes;
    if (step == 0 || rest <= step) return rest;
    if (op->u.batch.is_plain || !sys_cuts_packets(op->on.io)) return step;
    size_t segments = CUT_BYTES_MAX / step < SEGMENTS_MAX ? CUT_BYTES_MAX / step : SEGMENTS_MAX;
    if (segments < 2) return step;
    return segments * step < rest ? segments * step : rest;
}

static void put_cut(struct msghdr *header, struct cut *cut, size_t segment_bytes)
{
    uint16_t bytes = (uint16_t)segment_bytes;
    header->msg_control = cut->room;
    header->msg_controllen = sizeof cut->room;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    control->cmsg_len = CMSG_LEN(sizeof bytes);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = CALL_UDP_SEGMENT;
    memcpy(CMSG_DATA(control), &bytes, sizeof bytes);
}

static void move_on(const struct hark_datagram_batch *batch, struct place *place, size_t len)
{
    place->offset += len;
    if (place->offset < batch->packets[place->packet].len) return;
    place->packet++;
    place->offset = 0;
}

/* Sends some messages from place on, and moves it; 0, or a negative errno. */
static int send_some(struct hark_op *op, struct place *place)
{
    const struct hark_datagram_batch *batch = op->u.batch.batch;
    struct call_message messages[LIMIT_BATCH];
    struct iovec slices[LIMIT_BATCH];
    struct cut cuts[LIMIT_BATCH];
    struct place at = *place;
    unsigned count = 0;
    for (; count < LIMIT_BATCH && at.packet < batch->count; count++) {
        struct hark_packet *packet = &batch->packets[at.packet];
        size_t len = message_len(op, packet, at.offset);
        slices[count] = (struct iovec){ (char *)packet->data + at.offset, len };
        messages[count].msg_hdr = (struct msghdr){
            .msg_name = packet->peer_len != 0 ? &packet->peer : NULL,
            .msg_namelen = packet->peer_len, .msg_iov = &slices[count], .msg_iovlen = 1,
        };
        bool is_cut = packet->segment_bytes != 0 && len > packet->segment_bytes;
        if (is_cut) put_cut(&messages[count].msg_hdr, &cuts[count], packet->segment_bytes);
        move_on(batch, &at, len);
    }
    int sent = call_send_batch(op->on.io->fd, messages, count, SYS_SEND_FLAGS);
    if (sent < 0 && messages[0].msg_hdr.msg_control != NULL && is_refusal(errno)) {
        op->u.batch.is_plain = true; /* no checksum by the device, a segment beyond its frames */
        return 0;
    }
    if (sent < 0) return -errno;
    for (int i = 0; i < sent; i++) move_on(batch, place, slices[i].iov_len);
    return 0;
}

int64_t sys_try_send_batch(struct hark_op *op)
{
    struct place place = { op->u.batch.moved, op->u.batch.offset };
    int error = 0;
    op->u.batch.is_stuck = true;
    while (place.packet < op->u.batch.batch->count) { /* each round moves packets, or ends, but
                                                       * for the one that sets is_plain */
        error = send_some(op, &place);
        if (error == -EINTR) continue;
        if (error != 0) return error;
        if (op->u.batch.moved != place.packet || op->u.batch.offset != place.offset)
            op->u.batch.is_stuck = false;
        op->u.batch.moved = place.packet;
        op->u.batch.offset = place.offset;
    }
    return place.packet;
}
