/* Batches of datagrams: the verbs, and the options of datagram sockets. */
#include <errno.h>
#include <hark/datagram.h>
#include <string.h>

#include "backend/sys.h"
#include "loop/loop.h"

static void submit(struct hark_op *op, struct hark_io *io, struct hark_datagram_batch *batch,
                   enum op_kind kind, hark_done_fn *done)
{
    op->u.batch.batch = batch;
    op->u.batch.offset = op->u.batch.moved = 0;
    op->u.batch.is_plain = op->u.batch.is_stuck = false;
    io_submit(op, io, kind, done);
}

void (hark_recv_batch)(struct hark_op *op, struct hark_io *io, struct hark_datagram_batch *batch,
                       hark_done_fn *done)
{
    submit(op, io, batch, batch->count != 0 ? OP_RECV_BATCH : OP_RECV_NOTHING, done);
}

void (hark_send_batch)(struct hark_op *op, struct hark_io *io, struct hark_datagram_batch *batch,
                       hark_done_fn *done)
{
    submit(op, io, batch, OP_SEND_BATCH, done);
}

uint32_t hark_sent_packets(const struct hark_op *op)
{
    return op->kind == OP_SEND_BATCH ? op->u.batch.moved : 0;
}

static int answer(int result) { return result == 0 ? 0 : hark_error_from_os(errno); }

/* Where the kernel keeps an option: that of IPv4 and of IPv6 differ by name; -1: it has none. */
struct option { int level, name; bool brings_control, is_flag; };

static const struct option options[][2] = {
    [HARK_ARRIVAL_TIMES] = { { SOL_SOCKET, CALL_TIMES, true, true },
                             { SOL_SOCKET, CALL_TIMES, true, true } },
    [HARK_DESTINATIONS] = { { IPPROTO_IP, CALL_DESTINATION_V4, true, true },
                            { IPPROTO_IPV6, CALL_DESTINATION_V6, true, true } },
    [HARK_SEGMENTS] = { { IPPROTO_UDP, CALL_UDP_GRO, true, true },
                        { IPPROTO_UDP, CALL_UDP_GRO, true, true } },
    [HARK_MULTICAST_HOPS] = { { IPPROTO_IP, IP_MULTICAST_TTL, false, false },
                              { IPPROTO_IPV6, IPV6_MULTICAST_HOPS, false, false } },
    [HARK_MULTICAST_LOOP] = { { IPPROTO_IP, IP_MULTICAST_LOOP, false, true },
                              { IPPROTO_IPV6, IPV6_MULTICAST_LOOP, false, true } },
    [HARK_MULTICAST_INTERFACE] = { { IPPROTO_IP, IP_MULTICAST_IF, false, false },
                                   { IPPROTO_IPV6, IPV6_MULTICAST_IF, false, false } },
};

/* -1 means "the default" to some of them, and another length to others: neither is asked for. */
static bool is_sane(enum hark_datagram_option option, const struct option *where, int value)
{
    if (where->is_flag) return value == 0 || value == 1;
    return value >= 0 && (option != HARK_MULTICAST_HOPS || value <= 255);
}

int hark_datagram_set(struct hark_io *io, enum hark_datagram_option option, int value)
{
    struct ip_mreqn interface = { .imr_ifindex = value };
    if (io->state == IO_CLOSED) return HARK_EBADF;
    if ((unsigned)option >= sizeof options / sizeof options[0]) return HARK_EINVAL;
    int domain = call_domain(io->fd);
    bool is_inet = domain == AF_INET || domain == AF_INET6;
    const struct option *where = &options[option][domain == AF_INET6];
    if (!is_inet && where->level != SOL_SOCKET) return HARK_EOPNOTSUPP;
    if (!is_sane(option, where, value)) return HARK_EINVAL;
    if (where->name < 0) return HARK_EOPNOTSUPP;
    bool takes_struct = option == HARK_MULTICAST_INTERFACE && domain == AF_INET;
    const void *data = takes_struct ? (const void *)&interface : &value;
    socklen_t len = takes_struct ? sizeof interface : sizeof value;
    if (setsockopt(io->fd, where->level, where->name, data, len) != 0) return answer(-1);
    if (where->brings_control && value != 0) io->flags |= IO_CONTROL;
    return 0;
}

bool hark_has_segments(struct hark_io *io)
{
    return io->state != IO_CLOSED && sys_cuts_packets(io);
}

static int change_group(struct hark_io *io, const struct sockaddr *group, uint32_t interface,
                        int name)
{
    struct group_req request = { .gr_interface = interface };
    bool is_v6 = group->sa_family == AF_INET6;
    if (io->state == IO_CLOSED) return HARK_EBADF;
    if (group->sa_family != AF_INET && !is_v6) return HARK_EAFNOSUPPORT;
    if (call_domain(io->fd) != group->sa_family) return HARK_EOPNOTSUPP;
    memcpy(&request.gr_group, group, is_v6 ? sizeof(struct sockaddr_in6)
                                           : sizeof(struct sockaddr_in));
    return answer(setsockopt(io->fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, name, &request,
                             sizeof request));
}

int hark_join_group(struct hark_io *io, const struct sockaddr *group, uint32_t interface)
{
    return change_group(io, group, interface, MCAST_JOIN_GROUP);
}

int hark_leave_group(struct hark_io *io, const struct sockaddr *group, uint32_t interface)
{
    return change_group(io, group, interface, MCAST_LEAVE_GROUP);
}
