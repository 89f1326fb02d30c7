/* Which threads run a loop, and when they are in a callback.
 *
 * Rules:
 *  1. A thread is a loop's once it has waited in epoll with a time-out other than 0. The descriptor
 *     of that wait is its main one. Waits on others, made in a callback, are calls that block.
 *  2. It is none any more when that descriptor is closed. That is looked for when something is to
 *     be told, since libuv closes by the bare system call.
 *  3. hark tells of its own threads, on every backend, and when it makes callbacks.
 *  4. After fork or vfork the child is no loop until it waits by itself: what it does before its
 *     exec holds nobody. */
#include <hark/blocking.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blocking/blocking.h"

_Thread_local struct thread thread __attribute__((tls_model("initial-exec")));

static bool is_epoll(int fd)
{
    char text[DESCRIPTOR_TEXT];
    return strstr(descriptor_text(fd, text), "[eventpoll]") != NULL;
}

bool thread_is_still_loop(void)
{
    if (thread.pid != getpid()) thread.is_loop = false; /* rule 4 */
    if (thread.is_calling == NULL && !is_epoll(thread.main_fd)) thread.is_loop = false; /* rule 2 */
    return thread.is_loop;
}

bool thread_waits_itself(int epoll_fd, bool has_timeout)
{
    if (thread.inside != 0 || !has_timeout) return true;
    if (thread.is_calling != NULL && !*thread.is_calling) return true;
    if (thread.is_loop && thread.main_fd != epoll_fd && thread_is_still_loop()) return false;
    if (!thread.is_loop) { /* rule 1 */
        thread.is_loop = true;
        thread.pid = getpid();
        thread.main_fd = epoll_fd;
    }
    return true;
}

/* By hark: this thread runs a loop that says in *is_calling whether it makes callbacks now;
 * NULL: it does no longer. */
EXPORT void hark_blocking_detector_loop(const bool *is_calling);
EXPORT void hark_blocking_detector_loop(const bool *is_calling)
{
    thread.is_loop = is_calling != NULL;
    thread.is_calling = is_calling;
    thread.pid = getpid();
    thread.main_fd = -1;
}

/* By hark, and by the calls below: one more scope that may block, or one less. */
EXPORT void hark_blocking_detector_allow(int change);
EXPORT void hark_blocking_detector_allow(int change)
{
    if (change < 0 && thread.allowed == 0) return; /* its begin was before the detector's time */
    thread.allowed += (unsigned)change;
}

/* The same as in libhark, for programs without it. */
void hark_blocking_allow_begin(void) { hark_blocking_detector_allow(1); }
void hark_blocking_allow_end(void) { hark_blocking_detector_allow(-1); }
bool hark_blocking_is_watched(void) { return true; }
