/* SIGPIPE as macOS has it: what is sent to a peer that is gone raises it, unless the socket has
 * been told not to (SO_NOSIGPIPE). Not modelled: a copy of the descriptor does not know of that. */
#include "emulate.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_hushed[FDS_MAX];

static int quiet(int fd)
{
    bool is_so = fd >= 0 && fd < FDS_MAX && __atomic_load_n(&is_hushed[fd], __ATOMIC_RELAXED);
    return is_so ? 0x4000 /* MSG_NOSIGNAL */ : 0;
}

void socket_forget(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) __atomic_store_n(&is_hushed[fd], false, __ATOMIC_RELAXED);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct stat st;
    if (level != SOL_SOCKET || name != SO_NOSIGPIPE)
        return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
    if (fstat(fd, &st) != 0) return -1;
    if (!S_ISSOCK(st.st_mode) || fd >= FDS_MAX) {
        errno = ENOTSOCK;
        return -1;
    }
    __atomic_store_n(&is_hushed[fd], *(const int *)value != 0, __ATOMIC_RELAXED);
    return 0;
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    return syscall(SYS_sendto, fd, buf, len, flags | quiet(fd), NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return syscall(SYS_sendmsg, fd, message, flags | quiet(fd));
}
