/* Passing open descriptors to another process over a connected Unix socket, any number of them,
 * with some bytes that say what they are.
 *
 * The message between two ends that both use hark, of streams (SOCK_STREAM) as of SOCK_SEQPACKET:
 *
 *   "hark"  uint32 count  uint64 len     16 bytes, with the first 253 descriptors
 *   '+'                                  one byte for each further 253, with these
 *   data                                 len bytes
 *
 * Numbers in the machine's own order. 253 (SCM_MAX_FD) are what Linux takes at once. On a
 * SOCK_SEQPACKET socket each line is a packet. */
#ifndef HARK_DESCRIPTOR_H
#define HARK_DESCRIPTOR_H

#include <hark/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One message. Zeroed before its first use; borrowed with the op that carries it. */
struct hark_descriptors {
    int *fds;            /* to send; room to receive into */
    uint32_t count;      /* to send; received: how many of fds are open, and the caller's */
    uint32_t room;       /* to receive: how many fit into fds */
    void *data;          /* may be NULL with len 0 */
    size_t len;          /* bytes to send; room for received ones */

    /* Received, to read. */
    uint32_t lost;       /* descriptors that did not fit: into fds, or into this process's table */
    bool is_truncated;   /* there were more than len bytes; the rest is dropped */
    bool is_end;         /* the peer has ended its side: there is no message */

    struct { char magic[4]; uint32_t count; uint64_t len; } private_header;
    uint64_t private_moved;
};

/* Sends descriptors and bytes. They remain open here, and may be closed in the callback.
 *
 * Result len; HARK_EBADF: one of fds is not open; HARK_EPIPE, HARK_ECONNRESET; HARK_EMSGSIZE: more
 *        bytes than one packet of a SOCK_SEQPACKET socket takes; HARK_EOPNOTSUPP: not a connected
 *        Unix socket of these kinds; ... After HARK_ECANCELED or HARK_ETIMEDOUT a part may have
 *        gone: submit the same struct, unchanged, to go on, or close the connection.
 * Thread loop
 */
HARK_API void hark_send_descriptors(struct hark_op *op, struct hark_io *io,
                                    struct hark_descriptors *descriptors, hark_done_fn *done);

/* Receives one message of hark_send_descriptors(). All descriptors that come are close-on-exec;
 * those that are not handed out are closed.
 *
 * Result the number of bytes in data, 0 also for is_end; HARK_EPROTO: the peer speaks another
 *        protocol; HARK_ECONNRESET: it ended in the middle of a message; HARK_EOPNOTSUPP as above;
 *        ... After an error count is 0: all that had come are closed. But after HARK_ECANCELED or
 *        HARK_ETIMEDOUT nothing is lost while the io stays open: submit the same struct to go on,
 *        or close the `count` descriptors that have come, and the connection.
 * Thread loop
 */
HARK_API void hark_recv_descriptors(struct hark_op *op, struct hark_io *io,
                                    struct hark_descriptors *descriptors, hark_done_fn *done);

/* Who opened the other end, as it was when it connected or listened. */
struct hark_credentials { pid_t pid; uid_t uid; gid_t gid; };

/* Tells who is at the other end of a connected Unix socket.
 *
 * Result 0; HARK_EOPNOTSUPP: not a Unix socket; HARK_ENOTCONN; HARK_EBADF.
 * Thread loop
 */
HARK_API int hark_peer_credentials(const struct hark_io *io, struct hark_credentials *peer);

#define hark_send_descriptors(op, ...) (hark_send_descriptors)(hark_at(op, HARK_PLACE), __VA_ARGS__)
#define hark_recv_descriptors(op, ...) (hark_recv_descriptors)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
