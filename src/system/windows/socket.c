/* Sockets as <sys/socket.h> tells of them, over Winsock; see windows/sys/socket.h. */
#include <errno.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"

static SOCKET socket_of(int fd) { return (SOCKET)(intptr_t)fd; }

/* -1 and errno, or what it is. */
static int answer(int result)
{
    if (result == SOCKET_ERROR) errno = call_errno(WSAGetLastError());
    return result;
}

int system_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    return answer((bind)(socket_of(fd), addr, len));
}

int system_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    return answer((connect)(socket_of(fd), addr, len));
}

int system_listen(int fd, int backlog) { return answer((listen)(socket_of(fd), backlog)); }

int system_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    return answer((getsockname)(socket_of(fd), addr, len));
}

int system_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    return answer((getpeername)(socket_of(fd), addr, len));
}

/* Of a truth value only the first byte may be filled in. */
int system_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    int truth = 0;
    bool may_be_one = *len == (socklen_t)sizeof truth;
    int result = answer((getsockopt)(socket_of(fd), level, name,
                                     may_be_one ? (char *)&truth : value, len));
    if (result == 0 && may_be_one) memcpy(value, &truth, sizeof truth);
    return result;
}

int call_extension(int fd, GUID name, void *call)
{
    DWORD n;
    int result = WSAIoctl(socket_of(fd), SIO_GET_EXTENSION_FUNCTION_POINTER, &name, sizeof name,
                          call, sizeof(void (*)(void)), &n, NULL, NULL);
    return result == 0 ? 0 : WSAGetLastError();
}

/* A socket of both families wants each asked for; one of IPv6 only may refuse the other. */
static int want_destinations(int fd, int level, const void *value, socklen_t len)
{
    LPFN_WSARECVMSG receive;
    if (call_extension(fd, (GUID)WSAID_WSARECVMSG, &receive) != 0) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (level == IPPROTO_IPV6)
        (void)(setsockopt)(socket_of(fd), IPPROTO_IP, IP_PKTINFO, value, len);
    return answer((setsockopt)(socket_of(fd), level, IP_PKTINFO, value, len));
}

/* SO_REUSEADDR lets another program take a port that is in use; what POSIX means by the name is
 * how Windows is anyway. Only that it keeps others away is asked for. */
int system_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (level == SOL_SOCKET && name == SO_REUSEADDR) name = SO_EXCLUSIVEADDRUSE;
    if (level == IPPROTO_IP && name == IP_MULTICAST_IF && len == sizeof(struct ip_mreqn)) {
        const struct ip_mreqn *request = value;
        DWORD index = htonl((u_long)request->imr_ifindex);
        return answer((setsockopt)(socket_of(fd), level, name, (char *)&index, sizeof index));
    }
    bool wants_destinations = (level == IPPROTO_IP && name == IP_PKTINFO) ||
                              (level == IPPROTO_IPV6 && name == IPV6_PKTINFO);
    if (wants_destinations) return want_destinations(fd, level, value, len);
    return answer((setsockopt)(socket_of(fd), level, name, value, len));
}

ssize_t call_send_file(int socket_fd, int file, off_t offset, size_t len)
{
    char buf[32 * 1024];
    ssize_t got = pread(file, buf, len < sizeof buf ? len : sizeof buf, offset);
    if (got <= 0) return got;
    int n = send(socket_of(socket_fd), buf, (int)got, 0);
    if (n == SOCKET_ERROR) errno = call_errno(WSAGetLastError());
    return n;
}
