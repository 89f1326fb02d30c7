/* Transfers, connects and accepts on a descriptor. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "blocking/blocking.h"

static void check(const char *call, int fd, int flags, enum descriptor_way way)
{
    char text[DESCRIPTOR_TEXT];
    if (!thread_is_watched()) return;
    int error = errno;
    if (descriptor_can_block(fd, flags, way))
        report_call("%s(%s)", call, descriptor_text(fd, text));
    errno = error;
}

EXPORT ssize_t read(int fd, void *buf, size_t len)
{
    check("read", fd, 0, WAY_IN);
    return REAL(read)(fd, buf, len);
}

EXPORT ssize_t readv(int fd, const struct iovec *list, int count)
{
    check("readv", fd, 0, WAY_IN);
    return REAL(readv)(fd, list, count);
}

EXPORT ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
    check("pread", fd, 0, WAY_IN);
    return REAL(pread)(fd, buf, len, offset);
}

EXPORT ssize_t pread64(int fd, void *buf, size_t len, off64_t offset)
{
    check("pread", fd, 0, WAY_IN);
    return REAL(pread64)(fd, buf, len, offset);
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    check("pwrite", fd, 0, WAY_OUT);
    return REAL(pwrite)(fd, buf, len, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
    check("pwrite", fd, 0, WAY_OUT);
    return REAL(pwrite64)(fd, buf, len, offset);
}

EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    check("recv", fd, flags, WAY_IN);
    return REAL(recv)(fd, buf, len, flags);
}

EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags,
                        __SOCKADDR_ARG addr, socklen_t *restrict addr_len)
{
    check("recvfrom", fd, flags, WAY_IN);
    return REAL(recvfrom)(fd, buf, len, flags, addr, addr_len);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    check("recvmsg", fd, flags, WAY_IN);
    return REAL(recvmsg)(fd, message, flags);
}

EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
    check("write", fd, 0, WAY_OUT);
    return REAL(write)(fd, buf, len);
}

EXPORT ssize_t writev(int fd, const struct iovec *list, int count)
{
    check("writev", fd, 0, WAY_OUT);
    return REAL(writev)(fd, list, count);
}

EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    check("send", fd, flags, WAY_OUT);
    return REAL(send)(fd, buf, len, flags);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags, __CONST_SOCKADDR_ARG addr,
                      socklen_t addr_len)
{
    check("sendto", fd, flags, WAY_OUT);
    return REAL(sendto)(fd, buf, len, flags, addr, addr_len);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    check("sendmsg", fd, flags, WAY_OUT);
    return REAL(sendmsg)(fd, message, flags);
}

EXPORT int accept(int fd, __SOCKADDR_ARG addr, socklen_t *restrict addr_len)
{
    check("accept", fd, 0, WAY_IN);
    return REAL(accept)(fd, addr, addr_len);
}

EXPORT int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *restrict addr_len, int flags)
{
    check("accept4", fd, 0, WAY_IN);
    return REAL(accept4)(fd, addr, addr_len, flags);
}

EXPORT int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    bool has_family = addr.__sockaddr__ != NULL && len >= sizeof(sa_family_t);
    if (thread_is_watched() && has_family && descriptor_is_blocking(fd)) {
        char text[DESCRIPTOR_TEXT];
        address_print(addr.__sockaddr__, len, text, sizeof text);
        report_call("connect(%d -> %s)", fd, text);
    }
    return REAL(connect)(fd, addr, len);
}

/* What programs compiled with _FORTIFY_SOURCE call. */

ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags);

EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
    check("read", fd, 0, WAY_IN);
    return REAL(__read_chk)(fd, buf, len, room);
}

ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len, size_t room, int flags,
                       __SOCKADDR_ARG addr, socklen_t *restrict addr_len);

EXPORT ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len, size_t room, int flags,
                              __SOCKADDR_ARG addr, socklen_t *restrict addr_len)
{
    check("recvfrom", fd, flags, WAY_IN);
    return REAL(__recvfrom_chk)(fd, buf, len, room, flags, addr, addr_len);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags)
{
    check("recv", fd, flags, WAY_IN);
    return REAL(__recv_chk)(fd, buf, len, room, flags);
}
