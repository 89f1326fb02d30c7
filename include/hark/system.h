/* What sockets, slices and owners are called: by POSIX, or, on Windows, by Winsock and by the same
 * names for what Winsock lacks. The one header that asks for a system. */
#ifndef HARK_SYSTEM_H
#define HARK_SYSTEM_H

#ifndef _WIN32

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#else

#include <winsock2.h>
#include <ws2tcpip.h>
#include <sys/time.h>
#include <sys/types.h>
#undef interface /* another word for struct, in headers of COM */

/* A SOCKET is told as an int: the system keeps its handles to 32 bits. */
typedef unsigned short sa_family_t;
typedef unsigned uid_t;
typedef unsigned gid_t;

struct iovec { void *iov_base; size_t iov_len; };

struct msghdr {
    void *msg_name;
    socklen_t msg_namelen;
    struct iovec *msg_iov;
    size_t msg_iovlen;
    void *msg_control;
    size_t msg_controllen;
    int msg_flags;
};

struct rusage {
    struct timeval ru_utime, ru_stime;
    long ru_maxrss, ru_minflt, ru_majflt, ru_inblock, ru_oublock, ru_nvcsw, ru_nivcsw;
};

/* For <hark/file.h>: what open(2), entries of a folder and struct statx have on POSIX. */
enum { O_DIRECTORY = 1 << 24, O_NOFOLLOW = 1 << 25 };
enum { DT_UNKNOWN = 0, DT_DIR = 4, DT_REG = 8, DT_LNK = 10 };
enum { UTIME_NOW = -1, UTIME_OMIT = -2 };
#ifndef S_IFLNK
#define S_IFLNK 0120000
#endif

/* For <hark/signal.h>: the console is closed. */
#ifndef SIGHUP
#define SIGHUP 1
#endif

#ifndef SHUT_RD
enum { SHUT_RD = SD_RECEIVE, SHUT_WR = SD_SEND, SHUT_RDWR = SD_BOTH };
#endif

#endif
#endif
