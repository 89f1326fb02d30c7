/* The system calls that differ between POSIX systems, as Linux has them; ../bsd/calls.h is the
 * other side. The build puts one of the two folders on the include path. Each does one thing, sets
 * errno, and is inline, so that the seam costs nothing. */
#ifndef HARK_SYSTEM_CALLS_H
#define HARK_SYSTEM_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The descriptor that a program means by a number. */
static inline int call_descriptor(int number) { return number; }

/* The errno for what an op's os_error says. */
static inline int call_errno(int os_error) { return os_error; }

/* What an op's os_error is to say of a call that has just failed. */
static inline int call_last_error(void) { return errno; }

/* Descriptors. All that are made are close-on-exec. */

#define CALL_SLICES(count) ((size_t)(count)) /* as msg_iovlen is counted */

enum { CALL_SEND_FLAGS = MSG_NOSIGNAL, CALL_RIGHTS_FLAGS = MSG_CMSG_CLOEXEC };

static inline int call_socket(int domain, int type, int protocol, bool is_nonblock)
{
    return socket(domain, type | SOCK_CLOEXEC | (is_nonblock ? SOCK_NONBLOCK : 0), protocol);
}

static inline int call_accept(int listener, bool is_nonblock)
{
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | (is_nonblock ? SOCK_NONBLOCK : 0));
}

static inline int call_pipe(int fds[2]) { return pipe2(fds, O_CLOEXEC | O_NONBLOCK); }
static inline int call_blocking_pipe(int fds[2]) { return pipe2(fds, O_CLOEXEC); }

/* One of whose ends a child gets. */
static inline int call_child_pipe(int ends[2], int theirs)
{
    return (void)theirs, call_blocking_pipe(ends);
}

enum { CALL_BOOT_CLOCK = CLOCK_BOOTTIME };

/* Whether a forked child has what hark waits with: of ends, clocks and files. */
enum { CALL_QUEUES_ARE_INHERITED = true };

/* Makes writes to it answer EPIPE without a signal, where a flag of the call does not. */
static inline void call_hush(int fd) { (void)fd; }

static inline int call_domain(int fd)
{
    int domain = 0;
    socklen_t len = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 ? domain : -1;
}

/* Two ends of what wakes a loop: readable from the first signal until it is drained. */
static inline int call_wake_open(int ends[2])
{
    ends[0] = ends[1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return ends[0] < 0 ? -1 : 0;
}

static inline ssize_t call_wake_signal(int end)
{
    uint64_t one = 1;
    return write(end, &one, sizeof one);
}

static inline void call_wake_drain(int end)
{
    uint64_t count;
    ssize_t n = read(end, &count, sizeof count);
    (void)n; /* EAGAIN: drained before */
}

/* Reading and writing. */

/* Without a wait, whatever O_NONBLOCK says; EOPNOTSUPP where the kernel cannot. */
static inline ssize_t call_read_now(int fd, const struct iovec *slice)
{
    return preadv2(fd, slice, 1, -1, RWF_NOWAIT);
}

static inline ssize_t call_write_now(int fd, const struct iovec *slice)
{
    return pwritev2(fd, slice, 1, -1, RWF_NOWAIT);
}

/* offset -1: at the position. */
static inline ssize_t call_readv_at(int fd, const struct iovec *list, int count, int64_t offset)
{
    return preadv2(fd, list, count, offset, 0);
}

static inline ssize_t call_writev_at(int fd, const struct iovec *list, int count, int64_t offset)
{
    return pwritev2(fd, list, count, offset, 0);
}

static inline bool call_is_master_terminal(int fd)
{
    unsigned number;
    return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* By a name of it: -1 where it has none. */
static inline int call_open_again(int fd, int flags)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags);
}

/* Batches of datagrams: how many, or -1. */
#define call_message mmsghdr
static inline int call_recv_batch(int fd, struct call_message *messages, unsigned count, int flags)
{
    return recvmmsg(fd, messages, count, flags, NULL);
}

static inline int call_send_batch(int fd, struct call_message *messages, unsigned count, int flags)
{
    return sendmmsg(fd, messages, count, flags);
}

/* Options of datagram sockets, and what they bring; -1: there is none. */
enum {
    CALL_UDP_SEGMENT = UDP_SEGMENT, CALL_UDP_GRO = UDP_GRO,
    CALL_TIMES = SO_TIMESTAMPNS, CALL_TIMES_MESSAGE = SCM_TIMESTAMPNS,
    CALL_DESTINATION_V4 = IP_PKTINFO, CALL_DESTINATION_V4_MESSAGE = IP_PKTINFO,
    CALL_DESTINATION_V6 = IPV6_RECVPKTINFO,
};

/* What comes with IPv4: the interface, 0 if the system does not tell, and the address. */
static inline uint32_t call_interface_of(const void *message)
{
    struct in_pktinfo info;
    __builtin_memcpy(&info, message, sizeof info);
    return (uint32_t)info.ipi_ifindex;
}

static inline struct in_addr call_address_of(const void *message)
{
    struct in_pktinfo info;
    __builtin_memcpy(&info, message, sizeof info);
    return info.ipi_addr;
}

static inline int64_t call_time_of(const void *message)
{
    struct timespec time;
    __builtin_memcpy(&time, message, sizeof time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Who is at the other end of a Unix socket; uid -1: nobody that can be told. */
struct call_peer { pid_t pid; uid_t uid; gid_t gid; };

static inline int call_peer(int fd, struct call_peer *peer)
{
    struct ucred found;
    socklen_t len = sizeof found;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &len) != 0) return -1;
    *peer = (struct call_peer){ found.pid, found.uid, found.gid };
    return 0;
}

/* Moves pages from a pipe or to one. */
enum { CALL_HAS_SPLICE = true };

static inline ssize_t call_splice(int from, int to, size_t len)
{
    return splice(from, NULL, to, NULL, len, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
}

/* Files. */

enum { CALL_OPEN_TEMP = O_TMPFILE };

static inline ssize_t call_send_file(int socket_fd, int file, off_t offset, size_t len)
{
    return sendfile(socket_fd, file, &offset, len);
}

/* At the positions where the offsets are NULL. */
static inline ssize_t call_copy_range(int from, off_t *from_offset, int to, off_t *to_offset,
                                      size_t len)
{
    return copy_file_range(from, from_offset, to, to_offset, len, 0);
}

static inline int call_stat(int folder, const char *path, int flags, struct statx *out)
{
    return statx(folder, path, flags, STATX_BASIC_STATS | STATX_BTIME, out);
}

static inline int call_stat_open(int fd, struct statx *out)
{
    return call_stat(fd, "", AT_EMPTY_PATH, out);
}

static inline int call_rename(const char *from, const char *to, unsigned flags)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* Gives a file without a name one. AT_EMPTY_PATH would want a capability. */
static inline int call_name_file(int fd, const char *path)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* Behind the folder in a path; NULL: it has none. */
static inline const char *call_folder_end(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : NULL;
}

static inline int call_sync_data(int fd) { return fdatasync(fd); }

#define call_entry dirent64
static inline ssize_t call_read_dir(int fd, void *buf, size_t room)
{
    return syscall(SYS_getdents64, fd, buf, room);
}

/* The rest. */

static inline bool call_random(void *buf, size_t len)
{
    return getrandom(buf, len, GRND_NONBLOCK) == (ssize_t)len;
}

/* Takes a pending signal of the set away; 0 or -1. */
static inline int call_take_signal(const sigset_t *set)
{
    static const struct timespec at_once;
    return sigtimedwait(set, NULL, &at_once) < 0 ? -1 : 0;
}

static inline int call_poll(struct pollfd *list, nfds_t count, const struct timespec *timeout)
{
    return ppoll(list, count, timeout, NULL);
}

static inline int call_thread_id(void) { return gettid(); }

static inline int call_at_fork(void (*before)(void), void (*after)(void), void (*in_child)(void))
{
    return pthread_atfork(before, after, in_child);
}

/* Its first lock allocates nothing, afterwards. */
static inline void call_lock_prepare(pthread_mutex_t *lock) { (void)lock; }

/* A condition whose waits end by the monotonic clock, and such a wait. */
static inline void call_condition_open(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static inline int call_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t end = until.tv_nsec + ns;
    until.tv_sec += end / 1000000000;
    until.tv_nsec = end % 1000000000;
    return pthread_cond_timedwait(condition, lock, &until);
}

enum { CALL_SEARCHES = false }; /* a spawn has the paths of a program looked for */
#define CALL_NULL_DEVICE "/dev/null"
enum { CALL_CHILD_STACK_BYTES = 16384 }; /* it shares our memory until it calls exec */

enum { CALL_STACK_MAP = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK };
static inline void call_use_small_pages(void *memory, size_t bytes)
{
    (void)madvise(memory, bytes, MADV_NOHUGEPAGE); /* a kernel without huge pages refuses */
}

/* Bit 0 of a byte for each page: it is in memory. */
static inline int call_resident(void *memory, size_t bytes, unsigned char *there)
{
    return mincore(memory, bytes, there);
}

/* The addresses of a name in UTF-8, as getaddrinfo(3) has them; 0, or one of EAI_*. */
static inline int call_find_addresses(const char *name, const struct addrinfo *hints,
                                      struct addrinfo **list)
{
    return getaddrinfo(name, NULL, hints, list);
}

static inline void call_free_addresses(struct addrinfo *list) { freeaddrinfo(list); }

/* The port of a TCP service in the network's order, or -1. */
static inline int call_service_port(const char *name)
{
    char buf[1024];
    struct servent entry, *found = NULL;
    int error = getservbyname_r(name, "tcp", &entry, buf, sizeof buf, &found);
    return error == 0 && found != NULL ? found->s_port : -1;
}

static inline bool call_is_linked_statically(void) { return getauxval(AT_BASE) == 0; }

static inline int call_processor_count(void)
{
    cpu_set_t allowed;
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
}

#endif
