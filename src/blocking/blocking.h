/* The parts of libhark-blocking.so.
 *
 * The library stands in front of libc. Each call that can block asks two questions and goes on
 * to libc's own: is this thread one of a loop that is in a callback now (thread_is_watched()),
 * and could this very call block (descriptor.c, mounts.c)? If both are so, report.c tells it,
 * once for each stack. Results and errno are libc's, whatever happens here. */
#ifndef BLOCKING_BLOCKING_H
#define BLOCKING_BLOCKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What is known of a thread. */
struct thread {
    bool is_loop;                /* it waits in epoll, or runs hark */
    pid_t pid;                   /* in which it was so: a child of fork is no loop's */
    int main_fd;                 /* the epoll descriptor that it waits on; -1: hark's own */
    const bool *is_calling;      /* hark's loop: callbacks are being made now */
    unsigned allowed;            /* scopes that allow it to block */
    unsigned inside;             /* calls of this library or of libc's own that must not be told */
};

extern _Thread_local struct thread thread __attribute__((tls_model("initial-exec")));

static inline bool thread_is_watched(void)
{
    return __builtin_expect(thread.is_loop, 0) && thread.inside == 0 && thread.allowed == 0 &&
           (thread.is_calling == NULL || *thread.is_calling);
}

/* thread.c: a wait in epoll. True: it is the loop's own, or this is no loop's thread. */
bool thread_waits_itself(int epoll_fd, bool has_timeout);
/* Looks whether this thread, which was a loop's, still is one. */
bool thread_is_still_loop(void);

/* report.c: tells a call that can block, as printf would; keeps errno. */
void report_call(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The descriptor as text: "7 -> /tmp/fifo". */
enum { DESCRIPTOR_TEXT = 160 };
const char *descriptor_text(int fd, char *text);
/* Could a transfer on fd wait, flags being those of recv(2) or 0? A descriptor with O_NONBLOCK, a
 * file of a local file system and one of this library's exceptions cannot. */
enum descriptor_way { WAY_IN, WAY_OUT };
bool descriptor_can_block(int fd, int flags, enum descriptor_way way);
bool descriptor_is_blocking(int fd);

/* mounts.c: does path, or the file behind fd, lie on a network file system? Never touches it. */
bool mounts_is_remote(int directory, const char *path);
bool mounts_is_remote_file(int fd);

/* wrap_file.c: tells the opening of path if it lies on a network file system or is a FIFO. */
void path_check_open(const char *call, int directory, const char *path, int flags);

/* real.c: the definition of a function of libc that comes after ours; ends the program if there is
 * none. */
void *real_find(const char *name);

/* Calls that function, as in REAL(read)(fd, buf, len). Looked for once at each place. */
#define REAL(name)                                                                   \
    __extension__({                                                                  \
        static void *at_next;                                                        \
        if (__atomic_load_n(&at_next, __ATOMIC_RELAXED) == NULL)                     \
            __atomic_store_n(&at_next, real_find(#name), __ATOMIC_RELAXED);          \
        (__typeof__(&(name)))__atomic_load_n(&at_next, __ATOMIC_RELAXED);            \
    })

#define EXPORT __attribute__((visibility("default")))

#endif
