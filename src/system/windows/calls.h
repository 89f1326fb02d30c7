/* The system calls that differ between systems, as Windows has them, for the layers that it shares
 * with POSIX; see ../linux/calls.h for what each does. Ops themselves are not made of these: what a
 * completion port does stands in backend/iocp*.c.
 *
 * posix/ holds what the same layers find under <sys/socket.h> and its like. */
#ifndef HARK_SYSTEM_CALLS_H
#define HARK_SYSTEM_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <hark/statx.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <mswsock.h>

/* Winsock's numbers begin at 10,000, where errno never comes. Those of Windows itself are told
 * above both, as in an HRESULT: 0x70000 is added. */
enum { CALL_WINDOWS_ERRORS = 0x70000 };
int call_errno(int os_error);

/* What Windows said, if errno comes from that, or else errno. */
static inline int call_last_error(void)
{
    int os_error = CALL_WINDOWS_ERRORS + (int)GetLastError();
    return call_errno(os_error) == errno ? os_error : errno;
}

/* Standard input, output and error have their numbers of POSIX, which no handle has. */
static inline int call_descriptor(int number)
{
    if (number < 0 || number > 2) return number;
    HANDLE handle = GetStdHandle(STD_INPUT_HANDLE - (DWORD)number); /* they count down */
    return handle != NULL ? (int)(intptr_t)handle : -1;
}

enum { CALL_SEND_FLAGS = 0 };

static inline void call_hush(int fd) { (void)fd; /* no signal comes of a write here */ }

/* The counter behind it goes on while the machine is suspended. */
enum { CALL_BOOT_CLOCK = CLOCK_MONOTONIC };

enum { CALL_QUEUES_ARE_INHERITED = false }; /* nothing is: there is no fork */

static inline int call_domain(int fd)
{
    WSAPROTOCOL_INFOW info = { 0 };
    socklen_t len = sizeof info;
    int result = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL_INFOW, &info, &len);
    return result == 0 ? info.iAddressFamily : -1;
}

/* pipe.c: overlapped ends; and one of which the end of a child is not. */
int call_pipe(int fds[2]);
int call_child_pipe(int ends[2], int theirs);

/* A child: child.c looks for the program by itself, in room that the spawn has for it. */
enum { CALL_SEARCHES = true, CALL_CHILD_STACK_BYTES = 160 * 1024 };
#define CALL_NULL_DEVICE "NUL"

enum { CALL_HAS_SPLICE = false };

static inline ssize_t call_splice(int from, int to, size_t len)
{
    (void)from, (void)to, (void)len;
    errno = EINVAL;
    return -1;
}

/* What brings something with a datagram wants another call for receiving, which not every provider
 * has. Times (SIO_TIMESTAMPING, since Windows 11) are of the performance counter or of a card's own
 * clock, and not of CLOCK_REALTIME; wine 8 has none, so that nothing here could be tried. */
enum {
    CALL_UDP_GRO = -1, CALL_TIMES = -1,
    CALL_DESTINATION_V4 = IP_PKTINFO, CALL_DESTINATION_V6 = IPV6_PKTINFO,
};

/* Fills in the pointer at call: a function of the socket's provider that Winsock does not export.
 * 0, or Winsock's error. */
int call_extension(int fd, GUID name, void *call);

struct call_peer { pid_t pid; uid_t uid; gid_t gid; };

static inline int call_peer(int fd, struct call_peer *peer)
{
    (void)fd, (void)peer;
    errno = EOPNOTSUPP;
    return -1;
}

/* Files: system/windows/{file,name,folder}.c. */

enum { CALL_OPEN_TEMP = -1 };

struct call_entry {
    uint64_t d_ino;
    uint16_t d_reclen;
    uint8_t d_type;
    char d_name[];
};

ssize_t call_readv_at(int fd, const struct iovec *list, int count, int64_t offset);
ssize_t call_writev_at(int fd, const struct iovec *list, int count, int64_t offset);
ssize_t call_read_dir(int fd, void *buf, size_t room);
int call_stat(int folder, const char *path, int flags, struct statx *out);
int call_stat_open(int fd, struct statx *out);
int call_rename(const char *from, const char *to, unsigned flags);
bool call_random(void *buf, size_t len);

/* The socket does not block: see sys_set_nonblock(). */
ssize_t call_send_file(int socket_fd, int file, off_t offset, size_t len);

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

static inline int call_name_file(int fd, const char *path)
{
    (void)fd, (void)path;
    errno = EOPNOTSUPP;
    return -1;
}

static inline int call_sync_data(int fd) { return fsync(fd); }

/* Behind the folder in a path; NULL: it has none. */
static inline const char *call_folder_end(const char *path)
{
    size_t len = strlen(path);
    while (len != 0 && strchr("/\\:", path[len - 1]) == NULL) len--;
    return len != 0 ? path + len : NULL;
}

/* The rest. */

static inline int call_thread_id(void) { return (int)GetCurrentThreadId(); }

/* Nothing forks here. */
static inline int call_at_fork(void (*before)(void), void (*after)(void), void (*in_child)(void))
{
    (void)before, (void)after, (void)in_child;
    return 0;
}

/* The first lock of a mutex of winpthreads allocates; afterwards it has been. */
static inline void call_lock_prepare(pthread_mutex_t *lock)
{
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
}

/* Conditions of winpthreads are on the wall clock: where that is set, an idle thread of the pool
 * ends earlier or later, and nothing else. */
static inline void call_condition_open(pthread_cond_t *condition)
{
    pthread_cond_init(condition, NULL);
}

static inline int call_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t end = until.tv_nsec + ns;
    until.tv_sec += end / 1000000000;
    until.tv_nsec = (long)(end % 1000000000);
    return pthread_cond_timedwait(condition, lock, &until);
}

enum { CALL_STACK_MAP = 0 };
static inline void call_use_small_pages(void *memory, size_t bytes) { (void)memory, (void)bytes; }

static inline int call_resident(void *memory, size_t bytes, unsigned char *there)
{
    return mincore(memory, bytes, there);
}

int call_find_addresses(const char *name, const struct addrinfo *hints, struct addrinfo **list);
void call_free_addresses(struct addrinfo *list);

/* Its memory is the calling thread's own. */
static inline int call_service_port(const char *name)
{
    const struct servent *found = getservbyname(name, "tcp");
    return found != NULL ? found->s_port : -1;
}

static inline int call_processor_count(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }

#endif
