/* libhark-heartbeat.so, preloaded into a program by `hark stalls`: says when its loops wait.
 *
 * It stands between the program and the calls in which a loop waits, and notes the time before and
 * after on a page that `hark stalls` reads. The program sees the same results and the same errno.
 * It allocates nothing, takes no lock, and is safe in signal handlers and after fork.
 *
 *   1. A thread's main descriptor is the epoll (or io_uring) one on which it first waits with a
 *      time-out other than 0. A wait on another one inside a callback is no turn: node's execSync
 *      runs a loop in a loop, and that is a stall. Only when the main one is closed comes a new
 *      one.
 *   2. A wait with time-out 0 makes no loop of a thread, but is a turn of one that is.
 *   3. poll and select are turns only for a thread that has no main descriptor. Calls for a single
 *      descriptor are mostly those of a blocking client: they make a loop only of the main thread.
 *   4. A child after fork is silent: the page is not mapped there, and a flag of its own, which the
 *      kernel wipes at the fork, says so. What it costs is one load.
 *
 * It does not see system calls that do not go through libc: liburing's, those of Go, those of a
 * static program. */
#include "stalls/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    POLLS_MANY = 16,       /* polls of several descriptors that make the main thread a loop: fewer
                            * are as likely a script that reads what a child prints */
    POLLS_SINGLE = 64,     /* of one descriptor */
    POLLS_OTHER = 64,      /* of several, for any other thread */
    NESTED_CHECK = 64,     /* nested waits between two looks whether the main descriptor lives */
};

struct calls {
    int (*epoll_wait)(int, struct epoll_event *, int, int);
    int (*epoll_pwait)(int, struct epoll_event *, int, int, const sigset_t *);
    int (*epoll_pwait2)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);
    int (*poll)(struct pollfd *, nfds_t, int);
    int (*poll_chk)(struct pollfd *, nfds_t, int, size_t);
    int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    int (*ppoll_chk)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
    int (*select)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
    int (*pselect)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *);
    long (*syscall)(long, long, long, long, long, long, long);
};

/* What a thread knows of itself; in static TLS, since a dynamic block would be allocated. */
struct self {
    struct heartbeat *slot;
    int main_fd, nested_fd;
    pid_t tid;
    unsigned poll_count, nested_count;
    uint64_t nested_turn;
    bool is_many, is_refused;
};

struct heartbeat_page *shim_page;
pid_t shim_pid;
static struct calls real;
static const volatile int *is_watched; /* its page is wiped by fork */
static pthread_key_t key;
static bool has_key;
static __thread struct self self __attribute__((tls_model("initial-exec")));

void shim_find(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof found);
}

/* Not only by the constructor: those of other libraries may run before it. */
static const struct calls *find_calls(void)
{
    shim_find(&real.epoll_wait, "epoll_wait");
    shim_find(&real.epoll_pwait, "epoll_pwait");
    shim_find(&real.epoll_pwait2, "epoll_pwait2");
    shim_find(&real.poll, "poll");
    shim_find(&real.poll_chk, "__poll_chk");
    shim_find(&real.ppoll, "ppoll");
    shim_find(&real.ppoll_chk, "__ppoll_chk");
    shim_find(&real.select, "select");
    shim_find(&real.pselect, "pselect");
    shim_find(&real.syscall, "syscall");
    return &real;
}

static inline const struct calls *calls(void)
{
    return real.syscall != NULL ? &real : find_calls();
}

/* Slots. */

static void free_slot(void *slot)
{
    if (*is_watched) __atomic_store_n(&((struct heartbeat *)slot)->tid, 0, __ATOMIC_RELEASE);
    self.slot = NULL; /* a later destructor may wait again: then it takes a new one */
}

/* A slot for this thread; NULL: all are taken, and it stays unseen. */
static struct heartbeat *take_slot(int main_fd)
{
    for (int i = 0; i < HEARTBEAT_SLOTS; i++) {
        struct heartbeat *slot = &shim_page->slots[i];
        int32_t expected = 0;
        if (!__atomic_compare_exchange_n(&slot->tid, &expected, -1, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_RELAXED))
            continue;
        *slot = (struct heartbeat){ .tid = -1, .main_fd = main_fd, .since_ns = clock_read() };
        __atomic_store_n(&slot->tid, self.tid, __ATOMIC_RELEASE);
        if (has_key) pthread_setspecific(key, slot);
        return slot;
    }
    self.is_refused = true;
    return NULL;
}

/* Tells whether a descriptor can still be a loop's. */
static bool is_loop_descriptor(int fd)
{
    if (fd & HEARTBEAT_RING) return true; /* it may be an index only: nothing to look at */
    char path[32] = "/proc/self/fd/", target[32] = "";
    size_t length = strlen(path);
    for (int unit = 1000000000; unit > 0; unit /= 10)
        if (fd >= unit || unit == 1) path[length++] = (char)('0' + fd / unit % 10);
    return readlink(path, target, sizeof target - 1) > 0 &&
           strcmp(target, "anon_inode:[eventpoll]") == 0;
}

/* A wait on a descriptor that is not this thread's main one: does it become that? */
static bool adopt(int fd)
{
    if (self.is_refused) return false;
    bool is_loop = self.slot != NULL && self.main_fd >= 0;
    if (is_loop) {
        bool is_known = fd == self.nested_fd && self.nested_turn == self.slot->turn_count;
        if (is_known && ++self.nested_count % NESTED_CHECK != 0) return false;
        self.nested_fd = fd;
        self.nested_turn = self.slot->turn_count;
    }
    int error = errno;
    bool is_nested = is_loop && is_loop_descriptor(self.main_fd);
    errno = error;
    if (is_nested) return false;
    if (self.tid == 0) self.tid = gettid();
    if (self.slot == NULL) self.slot = take_slot(fd);
    if (self.slot == NULL) return false;
    self.main_fd = self.slot->main_fd = fd;
    return true;
}

/* Rules 1 and 2. */
static inline bool descriptor_is_turn(int fd, bool blocks)
{
    if (is_watched == NULL || !*is_watched) return false;
    if (self.slot != NULL && fd == self.main_fd) return true;
    return blocks && adopt(fd);
}

/* Rule 3, for a thread that is no loop yet. */
static bool adopt_poll(bool is_many)
{
    if (self.tid == 0) self.tid = gettid();
    bool is_main = self.tid == shim_pid;
    if (self.is_refused || (!is_many && !is_main)) return false;
    unsigned needed = !is_main ? POLLS_OTHER : is_many ? POLLS_MANY : POLLS_SINGLE;
    if (++self.poll_count < needed) return false;
    self.slot = take_slot(-1);
    self.main_fd = -1;
    self.is_many = is_many;
    return self.slot != NULL;
}

static bool poll_is_turn(nfds_t count, bool blocks)
{
    if (is_watched == NULL || !*is_watched || count == 0) return false;
    if (self.slot == NULL) return blocks && adopt_poll(count > 1);
    return self.main_fd < 0 && (count > 1 || !self.is_many);
}

/* Turns: the time goes first, so that a reader never takes an old one for that of a new state. */

static void turn_end(bool blocks)
{
    struct heartbeat *slot = self.slot;
    int64_t now = clock_read(), turn = now - slot->since_ns;
    if (turn > shim_page->threshold_ns && shim_page->threshold_ns > 0) {
        slot->long_began_ns = slot->since_ns;
        slot->long_ns = turn;
        __atomic_store_n(&slot->long_count, slot->long_count + 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&slot->since_ns, now, __ATOMIC_RELEASE);
    if (blocks)
        __atomic_store_n(&slot->is_waiting, 1, __ATOMIC_RELEASE);
    else
        __atomic_store_n(&slot->turn_count, slot->turn_count + 1, __ATOMIC_RELEASE);
}

/* After the wait; one that does not block ends its turn and begins the next at once. */
static int turn_begin(bool blocks, int result)
{
    struct heartbeat *slot = self.slot;
    if (!blocks) return result;
    __atomic_store_n(&slot->since_ns, clock_read(), __ATOMIC_RELEASE);
    __atomic_store_n(&slot->turn_count, slot->turn_count + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->is_waiting, 0, __ATOMIC_RELEASE);
    return result;
}

static bool lasts(const struct timespec *timeout)
{
    return timeout == NULL || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
}

/* The calls. */

SHIM_EXPORT int epoll_wait(int epfd, struct epoll_event *events, int room, int timeout)
{
    bool blocks = timeout != 0;
    if (!descriptor_is_turn(epfd, blocks)) return calls()->epoll_wait(epfd, events, room, timeout);
    turn_end(blocks);
    return turn_begin(blocks, real.epoll_wait(epfd, events, room, timeout));
}

SHIM_EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int room, int timeout,
                            const sigset_t *mask)
{
    bool blocks = timeout != 0;
    if (!descriptor_is_turn(epfd, blocks))
        return calls()->epoll_pwait(epfd, events, room, timeout, mask);
    turn_end(blocks);
    return turn_begin(blocks, real.epoll_pwait(epfd, events, room, timeout, mask));
}

/* Older than this call is a libc that lacks it; then nobody can have linked against it. */
SHIM_EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int room,
                             const struct timespec *timeout, const sigset_t *mask)
{
    bool blocks = lasts(timeout);
    if (calls()->epoll_pwait2 == NULL) {
        errno = ENOSYS;
        return -1;
    }
    if (!descriptor_is_turn(epfd, blocks))
        return real.epoll_pwait2(epfd, events, room, timeout, mask);
    turn_end(blocks);
    return turn_begin(blocks, real.epoll_pwait2(epfd, events, room, timeout, mask));
}

SHIM_EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    bool blocks = timeout != 0;
    if (!poll_is_turn(count, blocks)) return calls()->poll(fds, count, timeout);
    turn_end(blocks);
    return turn_begin(blocks, calls()->poll(fds, count, timeout));
}

SHIM_EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                      const sigset_t *mask)
{
    bool blocks = lasts(timeout);
    if (!poll_is_turn(count, blocks)) return calls()->ppoll(fds, count, timeout, mask);
    turn_end(blocks);
    return turn_begin(blocks, calls()->ppoll(fds, count, timeout, mask));
}

/* What -D_FORTIFY_SOURCE makes of the two. */
SHIM_EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t bytes);
SHIM_EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t bytes)
{
    bool blocks = timeout != 0;
    if (!poll_is_turn(count, blocks)) return calls()->poll_chk(fds, count, timeout, bytes);
    turn_end(blocks);
    return turn_begin(blocks, calls()->poll_chk(fds, count, timeout, bytes));
}

SHIM_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                            const sigset_t *mask, size_t bytes);
SHIM_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                            const sigset_t *mask, size_t bytes)
{
    bool blocks = lasts(timeout);
    if (!poll_is_turn(count, blocks)) return calls()->ppoll_chk(fds, count, timeout, mask, bytes);
    turn_end(blocks);
    return turn_begin(blocks, calls()->ppoll_chk(fds, count, timeout, mask, bytes));
}

/* How many descriptors a select waits for, as far as it matters: 0, 1 or 2. A set is a bitmap of
 * longs, of as many as `limit` needs, which may be more than an fd_set has. */
static nfds_t count_selected(int limit, const fd_set *set, nfds_t count)
{
    enum { BITS = 8 * sizeof(long) };
    const unsigned long *words = (const unsigned long *)(const void *)set;
    for (int i = 0; set != NULL && i < (limit + BITS - 1) / BITS && count < 2; i++)
        if (words[i] != 0) count += (words[i] & (words[i] - 1)) != 0 ? 2 : 1;
    return count;
}

static bool select_is_turn(int limit, fd_set *const sets[3], bool blocks)
{
    nfds_t count = 0;
    if (is_watched == NULL) return false;
    for (int i = 0; i < 3; i++) count = count_selected(limit, sets[i], count);
    return poll_is_turn(count, blocks);
}

SHIM_EXPORT int select(int limit, fd_set *reads, fd_set *writes, fd_set *others,
                       struct timeval *timeout)
{
    bool blocks = timeout == NULL || timeout->tv_sec != 0 || timeout->tv_usec != 0;
    if (!select_is_turn(limit, (fd_set *const[3]){ reads, writes, others }, blocks))
        return calls()->select(limit, reads, writes, others, timeout);
    turn_end(blocks);
    return turn_begin(blocks, calls()->select(limit, reads, writes, others, timeout));
}

SHIM_EXPORT int pselect(int limit, fd_set *reads, fd_set *writes, fd_set *others,
                        const struct timespec *timeout, const sigset_t *mask)
{
    bool blocks = lasts(timeout);
    if (!select_is_turn(limit, (fd_set *const[3]){ reads, writes, others }, blocks))
        return calls()->pselect(limit, reads, writes, others, timeout, mask);
    turn_end(blocks);
    return turn_begin(blocks, calls()->pselect(limit, reads, writes, others, timeout, mask));
}

/* syscall(3) takes what the number needs; six arguments are passed on whatever they are, as the
 * assembly behind the real one does. Declared under another name, since that one is variadic. */
SHIM_EXPORT long shim_syscall(long number, long a, long b, long c, long d, long e,
                              long f) __asm__("syscall");
SHIM_EXPORT long shim_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    bool waits = number == SYS_io_uring_enter && c > 0 && (d & IORING_ENTER_GETEVENTS) != 0;
    if (!waits || !descriptor_is_turn((int)a | HEARTBEAT_RING, true))
        return calls()->syscall(number, a, b, c, d, e, f);
    turn_end(true);
    long result = calls()->syscall(number, a, b, c, d, e, f);
    turn_begin(true, 0);
    return result;
}

/* The beginning. */

static struct heartbeat_page *map_page(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return NULL;
    struct heartbeat_page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                                       0);
    close(fd);
    if (page == MAP_FAILED) return NULL;
    bool is_ours = page->magic == HEARTBEAT_MAGIC && page->version == HEARTBEAT_VERSION &&
                   page->pid == getpid();
    if (is_ours && madvise(page, sizeof *page, MADV_DONTFORK) == 0) return page;
    munmap(page, sizeof *page);
    return NULL;
}

static int *map_flag(void)
{
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    int *flag = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (flag == MAP_FAILED) return NULL;
    if (madvise(flag, bytes, MADV_WIPEONFORK) == 0) return flag;
    munmap(flag, bytes);
    return NULL;
}

__attribute__((constructor)) static void start(void)
{
    int error = errno;
    calls();
    const char *path = shim_exec_init();
    struct heartbeat_page *page = path != NULL ? map_page(path) : NULL;
    int *flag = page != NULL ? map_flag() : NULL;
    if (flag != NULL) {
        has_key = pthread_key_create(&key, free_slot) == 0;
        for (int i = 0; i < HEARTBEAT_SLOTS; i++) page->slots[i].tid = 0; /* an older image's */
        page->image_count++;
        __atomic_store_n(&page->is_leaving, 0, __ATOMIC_RELEASE);
        shim_page = page;
        shim_pid = page->pid;
        *flag = 1;
        is_watched = flag;
    }
    errno = error;
}
