/* As much of the headers of a BSD as the tree needs for a syntax check, in one file; the numbers
 * are in freebsd.h, netbsd.h, openbsd.h and dragonfly.h beside this. Nothing that is compiled with
 * this can run: structs have the fields that POSIX names, in no system's order, but for struct
 * kevent, which is each system's own. */
#ifndef TESTS_KQUEUE_STUB_H
#define TESTS_KQUEUE_STUB_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__FreeBSD__)
#include "freebsd.h"
#elif defined(__NetBSD__)
#include "netbsd.h"
#elif defined(__OpenBSD__)
#include "openbsd.h"
#else
#include "dragonfly.h"
#endif

typedef long ssize_t, off_t, time_t, suseconds_t, blkcnt_t, blksize_t;
typedef int pid_t, clockid_t;
typedef unsigned uid_t, gid_t, socklen_t, nfds_t, id_t, nlink_t, tcflag_t;
typedef unsigned short mode_t, in_port_t;
typedef unsigned char sa_family_t, cc_t;
typedef uint64_t ino_t, dev_t;
typedef uint32_t in_addr_t;
typedef struct { unsigned bits[4]; } sigset_t;
typedef struct { uint64_t bits[16]; } fd_set;
typedef struct stub_file FILE;
typedef struct stub_dir DIR;
typedef struct stub_thread *pthread_t;
typedef struct { void *p; } pthread_mutex_t, pthread_cond_t, pthread_attr_t, pthread_once_t;
typedef struct { void *p; } pthread_condattr_t, pthread_mutexattr_t, pthread_rwlock_t;
#define PTHREAD_MUTEX_INITIALIZER { 0 }
#define PTHREAD_COND_INITIALIZER { 0 }
#define PTHREAD_RWLOCK_INITIALIZER { 0 }
#define PTHREAD_ONCE_INIT { 0 }

extern int *stub_errno(void);
#define errno (*stub_errno())
extern FILE *stderr, *stdout;

enum { PIPE_BUF = 512, CHAR_BIT = 8, INT_MAX = 0x7fffffff, PATH_MAX = 1024, NAME_MAX = 255 };
enum { SEEK_SET, SEEK_CUR, SEEK_END, EOF = -1, STDIN_FILENO = 0, STDOUT_FILENO, STDERR_FILENO };
enum { R_OK = 4, W_OK = 2, X_OK = 1, F_OK = 0, BUFSIZ = 1024 };

struct timespec { time_t tv_sec; long tv_nsec; };
struct timeval { time_t tv_sec; suseconds_t tv_usec; };
struct iovec { void *iov_base; size_t iov_len; };
struct pollfd { int fd; short events, revents; };
struct sockaddr { uint8_t sa_len; sa_family_t sa_family; char sa_data[14]; };
struct sockaddr_storage { uint8_t ss_len; sa_family_t ss_family; char room[126]; };
struct sockaddr_un { uint8_t sun_len; sa_family_t sun_family; char sun_path[104]; };
struct in_addr { in_addr_t s_addr; };
struct in6_addr { uint8_t s6_addr[16]; };
struct sockaddr_in {
    uint8_t sin_len;
    sa_family_t sin_family;
    in_port_t sin_port;
    struct in_addr sin_addr;
    char sin_zero[8];
};
struct sockaddr_in6 {
    uint8_t sin6_len;
    sa_family_t sin6_family;
    in_port_t sin6_port;
    uint32_t sin6_flowinfo;
    struct in6_addr sin6_addr;
    uint32_t sin6_scope_id;
};
struct in6_pktinfo { struct in6_addr ipi6_addr; unsigned ipi6_ifindex; };
struct group_req { uint32_t gr_interface; struct sockaddr_storage gr_group; };
struct ip_mreqn { struct in_addr imr_multiaddr, imr_address; int imr_ifindex; };
struct linger { int l_onoff, l_linger; };
struct msghdr {
    void *msg_name;
    socklen_t msg_namelen;
    struct iovec *msg_iov;
    int msg_iovlen;
    void *msg_control;
    socklen_t msg_controllen;
    int msg_flags;
};
struct cmsghdr { socklen_t cmsg_len; int cmsg_level, cmsg_type; };
#define CMSG_ALIGN(n) (((n) + 7) & ~(size_t)7)
#define CMSG_LEN(n) (CMSG_ALIGN(sizeof(struct cmsghdr)) + (n))
#define CMSG_SPACE(n) (CMSG_ALIGN(sizeof(struct cmsghdr)) + CMSG_ALIGN(n))
#define CMSG_DATA(c) ((unsigned char *)(c) + CMSG_ALIGN(sizeof(struct cmsghdr)))
struct cmsghdr *CMSG_FIRSTHDR(struct msghdr *), *CMSG_NXTHDR(struct msghdr *, struct cmsghdr *);
struct dirent { ino_t d_fileno; uint16_t d_reclen; uint8_t d_type; char d_name[256]; };
#define d_ino d_fileno
struct stat {
    mode_t st_mode;
    ino_t st_ino;
    dev_t st_dev, st_rdev;
    nlink_t st_nlink;
    uid_t st_uid;
    gid_t st_gid;
    off_t st_size;
    blkcnt_t st_blocks;
    blksize_t st_blksize;
    struct timespec st_atim, st_mtim, st_ctim;
};
#define st_atime st_atim.tv_sec
#define st_mtime st_mtim.tv_sec
#define st_ctime st_ctim.tv_sec
#ifndef S_IFMT
enum { S_IFMT = 0170000, S_IFIFO = 0010000, S_IFCHR = 0020000, S_IFDIR = 0040000,
       S_IFBLK = 0060000, S_IFREG = 0100000, S_IFSOCK = 0140000 };
#endif
#define S_ISREG(m) (((m) & S_IFMT) == S_IFREG)
#define S_ISDIR(m) (((m) & S_IFMT) == S_IFDIR)
#define S_ISCHR(m) (((m) & S_IFMT) == S_IFCHR)
#define S_ISBLK(m) (((m) & S_IFMT) == S_IFBLK)
#define S_ISFIFO(m) (((m) & S_IFMT) == S_IFIFO)
#define S_ISSOCK(m) (((m) & S_IFMT) == S_IFSOCK)
int major(dev_t), minor(dev_t);

/* Each system's own. */
struct kevent STUB_KEVENT;
#if defined(__FreeBSD__)
#define EV_SET(at, a, b, c, d, e, f)                                                  \
    (*(at) = (struct kevent){ .ident = (a), .filter = (b), .flags = (c), .fflags = (d), \
                              .data = (e), .udata = (f), .ext = { 0 } })
#else
void EV_SET(struct kevent *, uintptr_t, int, unsigned, unsigned, int64_t, void *);
#endif
int kqueue(void);
int kevent(int, const struct kevent *, STUB_COUNT, struct kevent *, STUB_COUNT,
           const struct timespec *);

enum { CLOCK_REALTIME, CLOCK_MONOTONIC = 4, AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 2 };
enum { SIG_BLOCK = 1, SIG_UNBLOCK, SIG_SETMASK, _SC_NPROCESSORS_ONLN = 58, _SC_PAGESIZE = 29 };
enum { POLLIN = 1, POLLOUT = 4, POLLERR = 8, POLLHUP = 16, POLLNVAL = 32 };
struct rusage { struct timeval ru_utime, ru_stime; };
typedef struct { void *si_addr; int si_code; pid_t si_pid; } siginfo_t;
typedef enum { P_PID, P_ALL = 7 } idtype_t;
enum { NSIG = 33 };
#define WIFEXITED(status) (((status) & 0x7f) == 0)
#define WEXITSTATUS(status) ((status) >> 8 & 0xff)
#define WIFSIGNALED(status) (((status) & 0x7f) != 0)
#define WTERMSIG(status) ((status) & 0x7f)
#define WCOREDUMP(status) ((status) & 0x80)
struct sigaction {
    void (*sa_handler)(int), (*sa_sigaction)(int, siginfo_t *, void *);
    sigset_t sa_mask;
    int sa_flags;
};
#define SIG_DFL ((void (*)(int))0)
#define SIG_IGN ((void (*)(int))1)
enum { SA_ONSTACK = 1, SA_RESTART, SA_SIGINFO = 0x40, PTHREAD_CREATE_DETACHED = 1, IOV_MAX = 1024 };
enum { INET_ADDRSTRLEN = 16, INET6_ADDRSTRLEN = 46 };
#define PRId64 __INT64_FMTd__
#define PRIu64 __UINT64_FMTu__
#define PRIx64 __UINT64_FMTx__
enum { SS_DISABLE = 4, SIGSTKSZ = 34816 };
#define FIOCLEX 0x20006601ul
#define FIONBIO 0x8004667eul
typedef struct { void *ss_sp; size_t ss_size; int ss_flags; } stack_t;
enum { MCAST_JOIN_GROUP = 80, MCAST_LEAVE_GROUP = 81 };
#define MAP_FAILED ((void *)-1)

#include "functions.h"

#endif
