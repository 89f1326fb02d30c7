/* Datagrams by the batch, and what datagram sockets can be told: the arrival time, the destination,
 * segments, multicast groups.
 *
 * Many small datagrams cost mostly system calls; a batch goes out or comes in by one. Where the
 * kernel can, one packet carries many datagrams of one size (segments), in both directions; where
 * it cannot, hark sends them one by one, and the receiver sees no difference. */
#ifndef HARK_DATAGRAM_H
#define HARK_DATAGRAM_H

#include <hark/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One of a batch: a datagram, or several of one size to or from one peer. */
struct hark_packet {
    void *data;
    size_t len;                   /* bytes to send; bytes received */
    struct sockaddr_storage peer; /* to whom; from whom */
    socklen_t peer_len;           /* 0 to send on a connected socket */
    uint32_t segment_bytes;       /* data is datagrams of so many bytes, the last maybe shorter;
                                   * 0: it is one datagram */

    /* Received only. */
    bool is_truncated;            /* longer than the room: the rest is lost */
    int64_t time_ns;              /* HARK_ARRIVAL_TIMES: ns of CLOCK_REALTIME; else 0 */
    uint32_t interface;           /* HARK_DESTINATIONS: the index of that it came in by; else 0 */
    union { sa_family_t family; struct sockaddr_in v4; struct sockaddr_in6 v6; } destination;
                                  /* the same: to which address, no port; else AF_UNSPEC */
};

/* The caller's memory for a batch. Borrowed with the op that carries it, with all it points to. */
struct hark_datagram_batch {
    struct hark_packet *packets;
    uint32_t count;               /* packets to send; packets there is room for */
    void *arena;                  /* to receive: count times room_bytes */
    size_t room_bytes;
};

/* Receives the datagrams that are there, at least one. Each packet gets room_bytes of the arena.
 *
 * Result how many packets are filled in, from the first on, perhaps fewer than are there; 0: count
 *        was 0; HARK_ECONNREFUSED: an earlier datagram of a connected socket found nobody; ...
 * Thread loop
 */
HARK_API void hark_recv_batch(struct hark_op *op, struct hark_io *io,
                              struct hark_datagram_batch *batch, hark_done_fn *done);

/* Sends all packets, in order; what the kernel does not take at once is finished by hark.
 *
 * Result count; an error: the packet hark_sent_packets() could not go: HARK_EMSGSIZE,
 *        HARK_ECONNREFUSED, HARK_ECANCELED, ...
 * Thread loop
 */
HARK_API void hark_send_batch(struct hark_op *op, struct hark_io *io,
                              struct hark_datagram_batch *batch, hark_done_fn *done);

/* Tells how many packets a batch had sent whole when it ended, also when it ended with an error. Of
 * the next one, some segments may have gone.
 *
 * op     of hark_send_batch(), in its callback or before its next submission.
 * Thread loop
 */
HARK_API uint32_t hark_sent_packets(const struct hark_op *op);

struct hark_segment { char *data; size_t len; };

/* Goes through the datagrams of a received packet, without copying.
 *
 * segment  zeroed before the first; filled in with the next.
 * Result   false: there was no further one. An empty datagram is one segment.
 * Thread   any
 */
static inline bool hark_next_segment(const struct hark_packet *packet,
                                     struct hark_segment *segment)
{
    char *data = (char *)packet->data;
    size_t at = segment->data == NULL ? 0 : (size_t)(segment->data - data) + segment->len;
    if (segment->data != NULL && at >= packet->len) return false;
    size_t rest = packet->len - at, step = packet->segment_bytes;
    segment->data = data + at;
    segment->len = step != 0 && step < rest ? step : rest;
    return true;
}

enum hark_datagram_option {
    HARK_ARRIVAL_TIMES,        /* packets tell when they came: 0 or 1 */
    HARK_DESTINATIONS,         /* packets tell to which address, by which interface: 0 or 1 */
    HARK_SEGMENTS,             /* the kernel may put what a peer sent into one packet: 0 or 1. Then
                                * room_bytes should be 65,536, or packets are cut */
    HARK_MULTICAST_HOPS,       /* how far what is sent to a group goes: 0 to 255; else 1 */
    HARK_MULTICAST_LOOP,       /* whether this machine hears it too: 0 or 1; else 1 */
    HARK_MULTICAST_INTERFACE,  /* the index of the one it goes out by; 0: the system's choice */
};

/* Sets an option of a datagram socket; the first three are for hark_recv_batch().
 *
 * Result 0; HARK_EOPNOTSUPP or HARK_ENOSYS: not on this kind of socket, not by this kernel (by
 *        Windows neither times nor segments; destinations if the socket's provider can);
 *        HARK_EINVAL, HARK_EADDRNOTAVAIL: no such value, no such interface; HARK_EBADF.
 * Thread loop
 */
HARK_API int hark_datagram_set(struct hark_io *io, enum hark_datagram_option option, int value);

/* Tells whether the kernel cuts packets into segments for this socket. For curiosity's sake: where
 * it does not, hark_send_batch() does.
 *
 * Thread loop
 */
HARK_API bool hark_has_segments(struct hark_io *io);

/* Joins a multicast group, or leaves it.
 *
 * group      its address, AF_INET or AF_INET6; the port does not matter.
 * interface  the index of the interface; 0: the system's choice.
 * Result     0; HARK_EADDRINUSE: a member already; HARK_EADDRNOTAVAIL: not a member; HARK_ENXIO: no
 *            such interface; HARK_EINVAL: not a group; HARK_EOPNOTSUPP: not such a socket; ...
 * Thread     loop
 */
HARK_API int hark_join_group(struct hark_io *io, const struct sockaddr *group,
                             uint32_t interface);
HARK_API int hark_leave_group(struct hark_io *io, const struct sockaddr *group,
                              uint32_t interface);

#define hark_recv_batch(op, ...) (hark_recv_batch)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_send_batch(op, ...) (hark_send_batch)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
