/* Descriptors over Unix sockets: SCM_RIGHTS in messages of hark's own form; see sys.h, and
 * <hark/descriptor.h> for the form.
 *
 * A message is a row of bytes, and private_moved tells how many have gone or come:
 *
 *   0 ..... 16 .............. 16 + groups - 1 ............ + len
 *   header     a byte a group                 data
 *
 * A part is what one sendmsg(2) may hold: the header, one byte, the data, or the rest of these. The
 * descriptors of a group travel with the first byte of their part. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backend/sys.h"
#include "base/limits.h"
#include <hark/descriptor.h>

enum { HEADER_BYTES = 16, RIGHTS_MAX = 253, EXCESS_BYTES = 4096, AT_END = 1 };

_Static_assert(sizeof ((struct hark_descriptors *)0)->private_header == HEADER_BYTES,
               "the header goes out as it stands");

/* As cmsg(3) wants it: aligned like a cmsghdr. */
struct rights { _Alignas(struct cmsghdr) char room[CMSG_SPACE(RIGHTS_MAX * sizeof(int))]; };

struct part { char *base; size_t len; uint32_t group; bool is_begin, is_data; };

static uint64_t data_begin(const struct hark_descriptors *d)
{
    uint64_t groups = ((uint64_t)d->private_header.count + LIMIT_RIGHTS - 1) / LIMIT_RIGHTS;
    return HEADER_BYTES + (groups != 0 ? groups - 1 : 0);
}

/* Before the header has come whole, its numbers mean nothing, and are not looked at. */
static bool is_done(const struct hark_descriptors *d)
{
    return d->private_moved >= HEADER_BYTES &&
           d->private_moved - HEADER_BYTES >= data_begin(d) - HEADER_BYTES &&
           d->private_moved - data_begin(d) >= d->private_header.len;
}

/* The part to go on with. filler: one byte for those that carry nothing else. */
static struct part next_part(struct hark_descriptors *d, char *filler)
{
    uint64_t moved = d->private_moved;
    if (moved < HEADER_BYTES)
        return (struct part){ (char *)&d->private_header + moved, HEADER_BYTES - moved, 0,
                              moved == 0, false };
    uint64_t begin = data_begin(d), done = moved - begin;
    if (moved < begin)
        return (struct part){ filler, 1, (uint32_t)(moved - HEADER_BYTES + 1), true, false };
    return (struct part){ d->data != NULL ? (char *)d->data + done : NULL,
                          (size_t)(d->private_header.len - done), 0, false, true };
}

/* 0 if a socket can carry descriptors in a row of messages. */
static int check_socket(int fd)
{
    int domain = call_domain(fd), type = 0;
    socklen_t len = sizeof type;
    if (domain < 0) return -errno;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0) return -errno;
    return domain == AF_UNIX && type != SOCK_DGRAM ? 0 : -EOPNOTSUPP;
}

/* A bad one in a later group would break the message off in its middle. */
static int check_descriptors(const struct hark_descriptors *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (fcntl(d->fds[i], F_GETFD) < 0) return -EBADF;
    return 0;
}

static int begin_sending(struct hark_op *op, struct hark_descriptors *d)
{
    int error = check_socket(op->on.io->fd);
    if (error == 0 && d->count > LIMIT_RIGHTS) error = check_descriptors(d);
    memcpy(d->private_header.magic, "hark", 4);
    d->private_header.count = d->count;
    d->private_header.len = d->len;
    return error;
}

static void put_rights(struct msghdr *header, struct rights *rights,
                       const struct hark_descriptors *d, uint32_t group)
{
    size_t first = (size_t)group * LIMIT_RIGHTS, count = d->count - first;
    if (count > LIMIT_RIGHTS) count = LIMIT_RIGHTS;
    header->msg_control = rights->room;
    header->msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    control->cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(control), d->fds + first, count * sizeof(int));
}

/* Bytes that went, or a negative errno. */
static ssize_t send_part(int fd, struct hark_descriptors *d)
{
    struct rights rights;
    char filler = '+';
    struct part part = next_part(d, &filler);
    struct iovec slice = { part.base, sys_short_len(part.len) };
    struct msghdr header = { .msg_iov = &slice, .msg_iovlen = 1 };
    if (part.is_begin && d->count != 0) put_rights(&header, &rights, d, part.group);
    ssize_t n;
    do n = sendmsg(fd, &header, SYS_SEND_FLAGS);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* ETOOMANYREFS: as many are on their way as this user may have open. The other end takes some, and
 * then there is room again; the socket's readiness does not tell. */
int64_t sys_try_send_rights(struct hark_op *op)
{
    struct hark_descriptors *d = op->u.rights.descriptors;
    if (d->private_moved == 0) {
        int error = begin_sending(op, d);
        if (error != 0) return error;
    }
    op->u.rights.is_stuck = false;
    while (!is_done(d)) { /* each round moves bytes, or ends */
        ssize_t n = send_part(op->on.io->fd, d);
        op->u.rights.is_stuck = n == -ETOOMANYREFS;
        if (n == -ETOOMANYREFS || n == -EAGAIN) return -EAGAIN;
        if (n < 0) {
            d->private_moved = 0;
            return n;
        }
        d->private_moved += (uint64_t)n;
    }
    d->private_moved = 0;
    return (int64_t)d->len;
}

/* Calls keep() for each descriptor of a message; it closes what it does not want. */
static void each_right(struct msghdr *header, void (*keep)(struct hark_descriptors *d, int fd),
                       struct hark_descriptors *d)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            keep(d, fd);
        }
    }
}

static void keep_none(struct hark_descriptors *d, int fd)
{
    (void)d;
    (void)sys_close(fd); /* another's, and unwanted: an error is not ours to tell */
}

static void keep_if_room(struct hark_descriptors *d, int fd)
{
    if (d->count < d->room) d->fds[d->count++] = fd;
    else keep_none(d, fd);
}

void sys_close_rights(struct msghdr *header) { each_right(header, keep_none, NULL); }

void sys_drop_rights(struct hark_descriptors *d)
{
    while (d->count != 0) (void)sys_close(d->fds[--d->count]);
    d->private_moved = 0;
}

/* Where received bytes go: beyond the room, to nowhere. */
static struct iovec slice_of(const struct hark_descriptors *d, struct part part, char *excess)
{
    if (!part.is_data) return (struct iovec){ part.base, part.len };
    uint64_t done = d->private_moved - data_begin(d);
    if (done >= d->len)
        return (struct iovec){ excess, part.len < EXCESS_BYTES ? part.len : EXCESS_BYTES };
    size_t len = part.len < d->len - done ? part.len : d->len - (size_t)done;
    return (struct iovec){ part.base, sys_short_len(len) };
}

static bool is_as_announced(const struct hark_descriptors *d)
{
    if (d->private_moved < HEADER_BYTES) return true;
    return memcmp(d->private_header.magic, "hark", 4) == 0 &&
           d->private_header.len <= INT64_MAX - UINT32_MAX && d->count <= d->private_header.count;
}

/* 0, or a negative errno; or AT_END before a message. */
static int recv_part(int fd, struct hark_descriptors *d)
{
    struct rights rights;
    char filler, excess[EXCESS_BYTES];
    struct part part = next_part(d, &filler);
    struct iovec slice = slice_of(d, part, excess);
    struct msghdr header = { .msg_iov = &slice, .msg_iovlen = 1, .msg_control = &rights,
                             .msg_controllen = sizeof rights };
    ssize_t n;
    do n = recvmsg(fd, &header, SYS_RECV_FLAGS | CALL_RIGHTS_FLAGS);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    each_right(&header, keep_if_room, d);
    if (n == 0) return d->private_moved == 0 ? AT_END : -ECONNRESET;
    d->private_moved += (uint64_t)n;
    if (header.msg_flags & MSG_TRUNC) { /* a packet: what does not fit is gone */
        if (!part.is_data) return -EPROTO;
        d->private_moved = data_begin(d) + d->private_header.len;
    }
    return is_as_announced(d) ? 0 : -EPROTO;
}

static int64_t received(struct hark_descriptors *d)
{
    uint64_t len = d->private_header.len;
    d->private_moved = 0;
    d->lost = d->private_header.count - d->count;
    d->is_truncated = len > d->len;
    return (int64_t)(d->is_truncated ? d->len : len);
}

/* Whoever sends without an end must not hold the turn: the rest is for the next one. */
int64_t sys_try_recv_rights(struct hark_op *op)
{
    struct hark_descriptors *d = op->u.rights.descriptors;
    int error = d->private_moved == 0 ? check_socket(op->on.io->fd) : 0;
    for (int round = 0; error == 0 && !is_done(d); round++)
        error = round < LIMIT_RIGHTS_ROUNDS ? recv_part(op->on.io->fd, d) : -EAGAIN;
    if (error == 0) return received(d);
    if (error != AT_END) return error;
    d->is_end = true;
    return 0;
}
