/* The system calls that differ between POSIX systems, as macOS and the BSDs have them, and where
 * they have none, out of what all have; see ../linux/calls.h for what each does.
 *
 * What only some of them have is asked for by its name (#ifdef SOCK_CLOEXEC), never by the system.
 * HARK_EMULATED: the build for tests on Linux, which is to run what the plainest of them runs. */
#ifndef HARK_SYSTEM_CALLS_H
#define HARK_SYSTEM_CALLS_H

#ifdef HARK_EMULATED
#include <sys/sysmacros.h>
#define CALL_DENTS(fd, buf, room) syscall(SYS_getdents64, fd, buf, room)
#define call_entry dirent64
#include <sys/syscall.h>
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hark/statx.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* The descriptor that a program means by a number. */
static inline int call_descriptor(int number) { return number; }

/* The errno for what an op's os_error says. */
static inline int call_errno(int os_error) { return os_error; }

/* What an op's os_error is to say of a call that has just failed. */
static inline int call_last_error(void) { return errno; }

/* Descriptors. Where no flag does it, close-on-exec is set afterwards: a fork of another thread in
 * between inherits them. */

#ifdef HARK_EMULATED
#define CALL_SLICES(count) ((size_t)(count))
#define CALL_GROUPS(count) (count)
#else
#define CALL_SLICES(count) ((int)(count))
#define CALL_GROUPS(count) ((int)(count))
#endif

#ifdef MSG_NOSIGNAL
enum { CALL_SEND_FLAGS = MSG_NOSIGNAL };
#else
enum { CALL_SEND_FLAGS = 0 };
#endif
#ifdef MSG_CMSG_CLOEXEC
enum { CALL_RIGHTS_FLAGS = MSG_CMSG_CLOEXEC };
#else
enum { CALL_RIGHTS_FLAGS = 0 };
#endif

/* Makes writes to it answer EPIPE without a signal. macOS knows MSG_NOSIGNAL by name before it
 * minds it, and sends a pipe's SIGPIPE to the process: no mask of this thread keeps it away. */
static inline void call_hush(int fd)
{
#ifdef SO_NOSIGPIPE
    int yes = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes); /* no socket: no such need */
#endif
#ifdef F_SETNOSIGPIPE
    (void)fcntl(fd, F_SETNOSIGPIPE, 1);
#endif
    (void)fd;
}

/* Neither can fail for a descriptor that is open. */
static inline int call_make_ours(int fd, bool is_nonblock)
{
    int yes = 1;
    if (fd >= 0) (void)ioctl(fd, FIOCLEX);
    if (fd >= 0 && is_nonblock) (void)ioctl(fd, FIONBIO, &yes);
    return fd;
}

static inline int call_socket(int domain, int type, int protocol, bool is_nonblock)
{
    return call_make_ours(socket(domain, type, protocol), is_nonblock);
}

/* An accepted socket has the O_NONBLOCK of its listener here; nobody minds that it stays. */
static inline int call_accept(int listener, bool is_nonblock)
{
    return call_make_ours(accept(listener, NULL, NULL), is_nonblock);
}

static inline int call_pipe(int fds[2])
{
    if (pipe(fds) != 0) return -1;
    (void)call_make_ours(fds[0], true);
    (void)call_make_ours(fds[1], true);
    return 0;
}

static inline int call_blocking_pipe(int fds[2])
{
    if (pipe(fds) != 0) return -1;
    (void)call_make_ours(fds[0], false);
    (void)call_make_ours(fds[1], false);
    return 0;
}

static inline int call_child_pipe(int ends[2], int theirs)
{
    return (void)theirs, call_blocking_pipe(ends);
}

/* Where there is no other, CLOCK_MONOTONIC goes on while the machine sleeps: macOS, NetBSD. */
#ifdef CLOCK_BOOTTIME
enum { CALL_BOOT_CLOCK = CLOCK_BOOTTIME };
#else
enum { CALL_BOOT_CLOCK = CLOCK_MONOTONIC };
#endif

enum { CALL_QUEUES_ARE_INHERITED = false }; /* they are kqueues */

static inline int call_domain(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 ? address.ss_family : -1;
}

static inline int call_wake_open(int ends[2]) { return call_pipe(ends); }

static inline ssize_t call_wake_signal(int end)
{
    return write(end, "", 1); /* EAGAIN: it is full, and readable */
}

static inline void call_wake_drain(int end)
{
    char bytes[256];
    while (read(end, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {}
}

/* Reading and writing. */

static inline ssize_t call_read_now(int fd, const struct iovec *slice)
{
    (void)fd, (void)slice;
    errno = EOPNOTSUPP;
    return -1;
}

static inline ssize_t call_write_now(int fd, const struct iovec *slice)
{
    (void)fd, (void)slice;
    errno = EOPNOTSUPP;
    return -1;
}

static inline ssize_t call_readv_at(int fd, const struct iovec *list, int count, int64_t offset)
{
    return offset < 0 ? readv(fd, list, count) : preadv(fd, list, count, offset);
}

static inline ssize_t call_writev_at(int fd, const struct iovec *list, int count, int64_t offset)
{
    return offset < 0 ? writev(fd, list, count) : pwritev(fd, list, count, offset);
}

static inline bool call_is_master_terminal(int fd) { return ptsname(fd) != NULL; }

static inline int call_open_again(int fd, int flags)
{
    char name[128];
    return ttyname_r(fd, name, sizeof name) == 0 ? open(name, flags) : -1;
}

/* Datagrams, one by one. */
struct call_message { struct msghdr msg_hdr; unsigned msg_len; };

static inline int call_recv_batch(int fd, struct call_message *messages, unsigned count, int flags)
{
    unsigned done = 0;
    for (; done < count; done++) {
        ssize_t n = recvmsg(fd, &messages[done].msg_hdr, flags);
        if (n < 0) break; /* what it says after others, it says again */
        messages[done].msg_len = (unsigned)n;
    }
    return done != 0 || count == 0 ? (int)done : -1;
}

static inline int call_send_batch(int fd, struct call_message *messages, unsigned count, int flags)
{
    unsigned done = 0;
    for (; done < count; done++)
        if (sendmsg(fd, &messages[done].msg_hdr, flags) < 0) break;
    return done != 0 || count == 0 ? (int)done : -1;
}

#ifdef SO_TIMESTAMP
enum { CALL_TIMES = SO_TIMESTAMP, CALL_TIMES_MESSAGE = SCM_TIMESTAMP };
#else
enum { CALL_TIMES = -1, CALL_TIMES_MESSAGE = -1 };
#endif
#ifdef IP_PKTINFO
enum { CALL_DESTINATION_V4 = IP_PKTINFO, CALL_DESTINATION_V4_MESSAGE = IP_PKTINFO };

static inline uint32_t call_interface_of(const void *message)
{
    struct in_pktinfo info;
    memcpy(&info, message, sizeof info);
    return (uint32_t)info.ipi_ifindex;
}

static inline struct in_addr call_address_of(const void *message)
{
    struct in_pktinfo info;
    memcpy(&info, message, sizeof info);
    return info.ipi_addr;
}
#else
enum { CALL_DESTINATION_V4 = IP_RECVDSTADDR, CALL_DESTINATION_V4_MESSAGE = IP_RECVDSTADDR };

static inline uint32_t call_interface_of(const void *message)
{
    (void)message;
    return 0;
}

static inline struct in_addr call_address_of(const void *message)
{
    struct in_addr address;
    memcpy(&address, message, sizeof address);
    return address;
}
#endif
enum { CALL_UDP_SEGMENT = -1, CALL_UDP_GRO = -1, CALL_DESTINATION_V6 = IPV6_RECVPKTINFO };

static inline int64_t call_time_of(const void *message)
{
    struct timeval time;
    memcpy(&time, message, sizeof time);
    return (int64_t)time.tv_sec * 1000000000 + (int64_t)time.tv_usec * 1000;
}

struct call_peer { pid_t pid; uid_t uid; gid_t gid; };

/* Without its number, where the kernel has no way to tell that. */
static inline int call_peer(int fd, struct call_peer *peer)
{
    peer->pid = 0;
#ifdef SO_PEERCRED
    struct { pid_t pid; uid_t uid; gid_t gid; } found; /* as Linux and OpenBSD have it */
    socklen_t len = sizeof found;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &len) != 0) return -1;
    *peer = (struct call_peer){ found.pid, found.uid, found.gid };
    return 0;
#else
#ifdef LOCAL_PEERPID
    socklen_t len = sizeof peer->pid;
    (void)getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &peer->pid, &len);
#endif
    return getpeereid(fd, &peer->uid, &peer->gid);
#endif
}

enum { CALL_HAS_SPLICE = false };

static inline ssize_t call_splice(int from, int to, size_t len)
{
    (void)from, (void)to, (void)len;
    errno = EINVAL;
    return -1;
}

/* Files. */

#ifdef _DARWIN_FEATURE_64_BIT_INODE
#define CALL_NS(st, which) ((uint32_t)(st)->st_##which##timespec.tv_nsec)
#else
#define CALL_NS(st, which) ((uint32_t)(st)->st_##which##tim.tv_nsec)
#endif

static inline void call_fill_statx(struct statx *out, const struct stat *st)
{
    *out = (struct statx){
        .stx_mask = STATX_BASIC_STATS, .stx_blksize = (uint32_t)st->st_blksize,
        .stx_nlink = (uint32_t)st->st_nlink, .stx_uid = st->st_uid, .stx_gid = st->st_gid,
        .stx_mode = (uint16_t)st->st_mode, .stx_ino = st->st_ino,
        .stx_size = (uint64_t)st->st_size, .stx_blocks = (uint64_t)st->st_blocks,
        .stx_atime = { .tv_sec = st->st_atime, .tv_nsec = CALL_NS(st, a) },
        .stx_ctime = { .tv_sec = st->st_ctime, .tv_nsec = CALL_NS(st, c) },
        .stx_mtime = { .tv_sec = st->st_mtime, .tv_nsec = CALL_NS(st, m) },
        .stx_rdev_major = (uint32_t)major(st->st_rdev),
        .stx_rdev_minor = (uint32_t)minor(st->st_rdev),
        .stx_dev_major = (uint32_t)major(st->st_dev), .stx_dev_minor = (uint32_t)minor(st->st_dev),
    };
#ifdef st_birthtime
    out->stx_mask |= STATX_BTIME;
    out->stx_btime.tv_sec = st->st_birthtime;
#endif
}

enum { CALL_OPEN_TEMP = -1 }; /* there is none */

/* For the sake of its events only: macOS then lets its volume be unmounted. */
#ifdef O_EVTONLY
enum { CALL_OPEN_EVENTS = O_EVTONLY };
#else
enum { CALL_OPEN_EVENTS = O_RDONLY };
#endif

/* sendfile(2) has another form on each of them, and none on NetBSD and OpenBSD. A file that goes
 * around the page cache is read by whole pages. */
static inline ssize_t call_send_file(int to, int file, off_t offset, size_t len)
{
    _Alignas(4096) char buf[32 * 1024];
    size_t room = len < sizeof buf ? (len + 4095) & ~(size_t)4095 : sizeof buf;
    ssize_t got = pread(file, buf, room, offset);
    if (got <= 0) return got;
    if ((size_t)got > len) got = (ssize_t)len;
    ssize_t n = send(to, buf, (size_t)got, MSG_DONTWAIT | CALL_SEND_FLAGS);
    return n < 0 && errno == ENOTSOCK ? write(to, buf, (size_t)got) : n;
}

static inline ssize_t call_copy_range(int from, off_t *from_offset, int to, off_t *to_offset,
                                      size_t len)
{
    char buf[32 * 1024];
    if (from_offset == NULL || to_offset == NULL) {
        errno = ENOSYS; /* who copies whole files does so by hand */
        return -1;
    }
    ssize_t got = pread(from, buf, len < sizeof buf ? len : sizeof buf, *from_offset);
    return got <= 0 ? got : pwrite(to, buf, (size_t)got, *to_offset);
}

static inline int call_stat(int folder, const char *path, int flags, struct statx *out)
{
    struct stat st;
    if (fstatat(folder, path, &st, flags) != 0) return -1;
    call_fill_statx(out, &st);
    return 0;
}

static inline int call_stat_open(int fd, struct statx *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return -1;
    call_fill_statx(out, &st);
    return 0;
}

static inline int call_rename(const char *from, const char *to, unsigned flags)
{
    if (flags == 0) return rename(from, to);
    errno = EOPNOTSUPP;
    return -1;
}

static inline int call_name_file(int fd, const char *path)
{
    (void)fd, (void)path;
    errno = EOPNOTSUPP;
    return -1;
}

/* Behind the folder in a path; NULL: it has none. */
static inline const char *call_folder_end(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : NULL;
}

/* fsync(2) leaves the bytes in the disk's own memory on macOS. */
static inline int call_sync_data(int fd)
{
#ifdef F_FULLFSYNC
    if (fcntl(fd, F_FULLFSYNC) == 0) return 0; /* else: not on this file system */
#endif
    return fsync(fd);
}

#ifndef CALL_DENTS
#define call_entry dirent
#ifdef _DARWIN_FEATURE_64_BIT_INODE
ssize_t __getdirentries64(int fd, void *buf, size_t room, off_t *position);
#define CALL_DENTS(fd, buf, room) __getdirentries64(fd, buf, room, &(off_t){ 0 })
#else
#define CALL_DENTS(fd, buf, room) getdents(fd, buf, room)
#endif
#endif
static inline ssize_t call_read_dir(int fd, void *buf, size_t room)
{
    return CALL_DENTS(fd, buf, room);
}

/* The rest. */

static inline bool call_random(void *buf, size_t len)
{
#ifdef HARK_EMULATED
    (void)buf, (void)len;
    return false;
#else
    arc4random_buf(buf, len);
    return true;
#endif
}

/* One at a time, and only when it is pending: sigwait(2) would wait. Of this thread only: one of
 * the process could be given to another thread in between. */
static inline int call_take_signal(const sigset_t *set)
{
    sigset_t pending;
    int number;
    if (sigpending(&pending) != 0) return -1;
    for (number = 1; number < 32; number++)
        if (sigismember(set, number) && sigismember(&pending, number))
            return sigwait(set, &number) == 0 ? 0 : -1;
    errno = EAGAIN;
    return -1;
}

/* Rounded up to milliseconds. */
static inline int call_poll(struct pollfd *list, nfds_t count, const struct timespec *timeout)
{
    if (timeout == NULL) return poll(list, count, -1);
    int64_t ms = (int64_t)timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
    return poll(list, count, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

/* Only to tell threads apart; 0 is nobody's. */
static inline int call_thread_id(void)
{
#ifdef HARK_EMULATED
    return gettid(); /* as tests tell them apart */
#else
    return (int)((uintptr_t)pthread_self() >> 4 & INT32_MAX) | 1;
#endif
}

/* write(2) of what may not be there. A sanitizer would look at it before the kernel does. */
static inline ssize_t call_write_unchecked(int fd, const void *from, size_t bytes)
{
#ifdef HARK_EMULATED
    return syscall(SYS_write, fd, from, bytes);
#else
    return write(fd, from, bytes);
#endif
}

static inline void call_name_thread(const char *name)
{
#ifdef HARK_EMULATED
    (void)pthread_setname_np(pthread_self(), name);
#else
    (void)name; /* each of these systems has another call for it */
#endif
}

static inline int call_at_fork(void (*before)(void), void (*after)(void), void (*in_child)(void))
{
    return pthread_atfork(before, after, in_child);
}

/* Its first lock allocates nothing, afterwards. */
static inline void call_lock_prepare(pthread_mutex_t *lock) { (void)lock; }

/* Not all have a condition on the monotonic clock. Where the wall clock is set, an idle thread of
 * the pool ends earlier or later, and nothing else. */
static inline void call_condition_open(pthread_cond_t *condition)
{
    pthread_cond_init(condition, NULL);
}

static inline int call_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t end = until.tv_nsec + ns;
    until.tv_sec += (time_t)(end / 1000000000);
    until.tv_nsec = (long)(end % 1000000000);
    return pthread_cond_timedwait(condition, lock, &until);
}

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifndef MAP_STACK
#define MAP_STACK 0
#endif
enum { CALL_SEARCHES = false };
#define CALL_NULL_DEVICE "/dev/null"
enum { CALL_CHILD_STACK_BYTES = 0 }; /* a forked child has its own */

/* FreeBSD's MAP_STACK grows by itself and OpenBSD's must be: only there it is asked for. */
enum { CALL_STACK_MAP = MAP_PRIVATE | MAP_ANON | MAP_NORESERVE | MAP_STACK };
static inline void call_use_small_pages(void *memory, size_t bytes) { (void)memory, (void)bytes; }

/* OpenBSD does not tell. */
static inline int call_resident(void *memory, size_t bytes, unsigned char *there)
{
#ifdef CALL_LACKS_MINCORE
    (void)memory, (void)bytes, (void)there;
    return -1;
#else
    return mincore(memory, bytes, (void *)there);
#endif
}

static inline int call_find_addresses(const char *name, const struct addrinfo *hints,
                                      struct addrinfo **list)
{
    return getaddrinfo(name, NULL, hints, list);
}

static inline void call_free_addresses(struct addrinfo *list) { freeaddrinfo(list); }

/* Its memory is the thread's own on macOS; elsewhere others must not ask at the same time. */
static inline int call_service_port(const char *name)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    const struct servent *found = getservbyname(name, "tcp");
    int port = found != NULL ? found->s_port : -1;
    pthread_mutex_unlock(&lock);
    return port;
}

static inline bool call_is_linked_statically(void) { return false; }

static inline int call_processor_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int)count : 1;
}

#endif
