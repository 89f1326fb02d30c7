/* <sys/socket.h> over Winsock: descriptors are ints, and errors are in errno. */
#ifndef HARK_WINDOWS_SYS_SOCKET_H
#define HARK_WINDOWS_SYS_SOCKET_H

#include <hark/system.h>

enum { MSG_DONTWAIT = 1 << 20, MSG_NOSIGNAL = 0 }; /* the first is for tests */
enum { SOCK_CLOEXEC = 0, SOCK_NONBLOCK = 1 << 20 }; /* every socket is born so; for tests */

enum { SO_DOMAIN = 0x7f00, SO_PEERCRED = 0x7f04 }; /* the seam answers, and Winsock refuses */

struct ucred { pid_t pid; uid_t uid; gid_t gid; };

int system_bind(int fd, const struct sockaddr *addr, socklen_t len);
int system_connect(int fd, const struct sockaddr *addr, socklen_t len);
int system_listen(int fd, int backlog);
int system_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int system_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int system_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int system_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

#define bind(fd, addr, len) system_bind(fd, addr, len)
#define connect(fd, addr, len) system_connect(fd, addr, len)
#define listen(fd, backlog) system_listen(fd, backlog)
#define getsockname(fd, addr, len) system_getsockname(fd, addr, len)
#define getpeername(fd, addr, len) system_getpeername(fd, addr, len)
#define getsockopt(fd, level, name, value, len) system_getsockopt(fd, level, name, value, len)
#define setsockopt(fd, level, name, value, len) system_setsockopt(fd, level, name, value, len)

#ifndef AF_UNIX
#define AF_UNIX 1
#endif

#undef FILE_OPEN /* a name of hark's own, too */

#endif
