/* Read before every file of the promise suite on Windows: the plain system calls that a test makes
 * on the other end of hark's, over Winsock. A Unix socket pair is loopback TCP here, or loopback
 * UDP for datagrams. */
#ifndef TESTS_WINDOWS_POSIX_H
#define TESTS_WINDOWS_POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <hark/statx.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int plain_socket(int domain, int type, int protocol);
int plain_connect(int fd, const struct sockaddr *addr, socklen_t len);
int plain_accept(int fd, struct sockaddr *addr, socklen_t *len);
ssize_t plain_send(int fd, const void *data, size_t len, int flags);
ssize_t plain_recv(int fd, void *buf, size_t len, int flags);
ssize_t plain_sendto(int fd, const void *data, size_t len, const struct sockaddr *to, socklen_t n);
ssize_t plain_read(int fd, void *buf, size_t len);
ssize_t plain_write(int fd, const void *data, size_t len);
int plain_close(int fd);
int plain_shutdown(int fd, int how);
int plain_pair_of(int type, int fds[2]);
int plain_dup(int fd);
int plain_pipe(int fds[2], int flags);
int plain_fcntl(int fd, int command, ...);
int64_t plain_lseek(int fd, int64_t offset, int from);
int plain_mkstemp(char *name);
char *mkdtemp(char *name);

#undef connect
#undef read
#undef write
#undef lseek
#undef fcntl
#define socket(domain, type, protocol) plain_socket(domain, type, protocol)
#define connect(fd, addr, len) plain_connect(fd, addr, len)
#define accept(fd, addr, len) plain_accept(fd, addr, len)
#define accept4(fd, addr, len, flags) plain_accept(fd, addr, len)
#define send(fd, data, len, flags) plain_send(fd, data, len, flags)
#define recv(fd, buf, len, flags) plain_recv(fd, buf, len, flags)
#define sendto(fd, data, len, flags, to, n) plain_sendto(fd, data, len, to, n)
#define read(fd, buf, len) plain_read(fd, buf, len)
#define write(fd, data, len) plain_write(fd, data, len)
#define close(fd) plain_close(fd)
#define shutdown(fd, how) plain_shutdown(fd, how)
#define socketpair(domain, type, protocol, fds) plain_pair_of(type, fds)
#define pipe(fds) plain_pipe(fds, 0)
#define pipe2(fds, flags) plain_pipe(fds, flags)

#define dup(fd) plain_dup(fd)
int plain_dup2(int fd, int number); /* of what the C library writes */
#define dup2(fd, number) plain_dup2(fd, number)
#define fcntl(...) plain_fcntl(__VA_ARGS__)

/* Files: by the calls of the seam. */
#define lseek(fd, offset, from) plain_lseek(fd, offset, from)
#define mkstemp(name) plain_mkstemp(name)
#define fdatasync(fd) fsync(fd)
#define posix_fadvise(fd, offset, len, advice) 0 /* there is no such advice */
enum { RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2 };

static inline char *strchrnul(const char *text, int wanted)
{
    const char *at = strchr(text, wanted);
    return (char *)(uintptr_t)(at != NULL ? at : text + strlen(text));
}

/* For cases that do not apply. */
#define recvfrom(fd, buf, room, flags, from, len) ((void)(buf), (void)(len), -1)
enum { SO_RCVBUFFORCE = SO_RCVBUF, MSG_MORE = 0 };
#define mkfifo(path, mode) (-1)
#define geteuid() 1
/* "lo" is the loopback interface, whatever its name. */
unsigned plain_if_nametoindex(const char *name);
#define if_nametoindex(name) plain_if_nametoindex(name)
#define gettid() ((int)GetCurrentThreadId())
#define setresuid(real, effective, saved) (-1)
#define unshare(flags) ((void)(flags), errno = ENOSYS, -1)
#define posix_openpt(flags) (-1)
#define pause() ((void)0)
#define sigpending(set) (*(set) = 0)
#define getpgid(pid) ((pid_t)(pid))
#define getsid(pid) ((pid_t)(pid))
#define ptsname_r(fd, path, room) (-1)
#define dup3(from, to, flags) (-1)
#define grantpt(fd) (-1)
#define unlockpt(fd) (-1)
#define ptsname(fd) NULL
#define sigprocmask(how, set, before) system_sigmask(how, set, before)
#define sigemptyset(set) (*(set) = 0)
#define sigaddset(set, number) (*(set) |= (sigset_t)1 << (number))
struct itimerval { struct timeval it_interval, it_value; };
static inline int setitimer(int which, const struct itimerval *to, struct itimerval *from)
{
    (void)which, (void)to, (void)from;
    return -1;
}
enum { ITIMER_REAL = 0, SIGPIPE = 13, SIGALRM = 14, SIGCHLD = 17, SIGXFSZ = 25 };
enum { O_DIRECT = 0, SO_NO_CHECK = 0x7f05, SCM_RIGHTS = 1 };

/* Messages carry nothing beside their bytes. */
struct cmsghdr { size_t cmsg_len; int cmsg_level, cmsg_type; };
#define CMSG_SPACE(len) (sizeof(struct cmsghdr) + (len))
#define CMSG_LEN(len) (sizeof(struct cmsghdr) + (len))
#define CMSG_FIRSTHDR(message) ((struct cmsghdr *)(message)->msg_control)
#undef CMSG_DATA
#define CMSG_DATA(message) ((void *)((message) + 1))
#define sendmsg(fd, message, flags) ((void)(message), -1)

#define INADDR_ALLHOSTS_GROUP 0xe0000001u

/* Told of all allocations of what is linked here; as the sanitizers have it. */
#define HAS_OTHER_MALLOC

/* Signals have no masks here, and those of the C library stand for those of users; a handler of a
 * test stays, as on POSIX, when it was called. */
#define SIGUSR1 SIGBREAK
#define SIGUSR2 SIGINT
#undef raise
#undef sigaction
#define sigaction(number, to, from) plain_sigaction(number, to, from)
#define kill(pid, number) plain_kill(pid, number)
int plain_kill(pid_t pid, int number);
#define getuid() 0u
int plain_sigaction(int number, const struct sigaction *to, struct sigaction *from);
#define sigismember(set, number) ((*(const sigset_t *)(set) >> (number)) & 1)

/* A stream into memory: a file, and its bytes once it is closed. */
FILE *open_memstream(char **text, size_t *len);
FILE *fmemopen(void *text, size_t room, const char *mode);
int plain_fclose(FILE *file);
#define fclose(file) plain_fclose(file)

/* No clock beside those of winpthreads. */
#define CLOCK_BOOTTIME CLOCK_MONOTONIC
enum { CLONE_NEWUSER = 0 };

#undef far
#undef near
#define O_NONBLOCK (1 << 27) /* for pipes of tests: what hark gets has none */
#define byte byte_ /* a type in headers of COM */

int plain_poll(struct pollfd *list, unsigned long count, int timeout_ms);
#define poll(list, count, timeout_ms) plain_poll(list, count, timeout_ms)

#endif
