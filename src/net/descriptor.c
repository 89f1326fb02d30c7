/* Descriptors over Unix sockets: the verbs, and who is at the other end. */
#include <errno.h>
#include <hark/descriptor.h>
#include <sys/socket.h>

#include "calls.h"
#include "loop/loop.h"

void (hark_send_descriptors)(struct hark_op *op, struct hark_io *io,
                             struct hark_descriptors *descriptors, hark_done_fn *done)
{
    op->u.rights.descriptors = descriptors;
    op->u.rights.is_stuck = false;
    io_submit(op, io, OP_SEND_RIGHTS, done);
}

/* One that was asked to end in the middle goes on from there. */
void (hark_recv_descriptors)(struct hark_op *op, struct hark_io *io,
                             struct hark_descriptors *descriptors, hark_done_fn *done)
{
    if (descriptors->private_moved == 0) {
        descriptors->count = descriptors->lost = 0;
        descriptors->is_truncated = descriptors->is_end = false;
    }
    op->u.rights.descriptors = descriptors;
    io_submit(op, io, OP_RECV_RIGHTS, done);
}

int hark_peer_credentials(const struct hark_io *io, struct hark_credentials *peer)
{
    struct call_peer found;
    if (io->state == IO_CLOSED) return HARK_EBADF;
    if (call_domain(io->fd) != AF_UNIX) return HARK_EOPNOTSUPP;
    if (call_peer(io->fd, &found) != 0) return hark_error_from_os(errno);
    if (found.uid == (uid_t)-1) return HARK_ENOTCONN; /* pid 0: one this process cannot see */
    *peer = (struct hark_credentials){ found.pid, found.uid, found.gid };
    return 0;
}
