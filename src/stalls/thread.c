/* What /proc tells of a thread: the call that it is blocked in, its times, its switches. */
#include "stalls/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int thread_open(pid_t pid, pid_t tid, const char *file)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)pid, (int)tid, file);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int read_text(int fd, char *text, size_t room)
{
    ssize_t length = pread(fd, text, room - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    return length > 0 ? 0 : -1;
}

int thread_times(pid_t pid, pid_t tid, struct thread_times *out)
{
    char text[128];
    *out = (struct thread_times){ 0 };
    int fd = thread_open(pid, tid, "schedstat");
    if (fd < 0) return -1;
    int result = read_text(fd, text, sizeof text);
    close(fd);
    if (result != 0) return -1;
    return sscanf(text, "%ld %ld", &out->processor_ns, &out->queued_ns) == 2 ? 0 : -1;
}

/* "7 0x3 0x7ffd... 0x10 0x0 0x0 0x0 sp pc", or "running", or "-1 sp pc" outside any call. */
long thread_call(int fd, uint64_t arguments[6])
{
    char text[256];
    memset(arguments, 0, 6 * sizeof *arguments);
    if (read_text(fd, text, sizeof text) != 0) return -2;
    char *at;
    long call = strtol(text, &at, 10);
    if (at == text || call < 0) return -1;
    for (int i = 0; i < 6; i++) arguments[i] = strtoull(at, &at, 16);
    return call;
}

bool thread_has_loop(pid_t pid, int main_fd)
{
    char path[64], target[64] = "";
    if (main_fd < 0 || (main_fd & HEARTBEAT_RING) != 0) return true; /* nothing to look at */
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, main_fd);
    if (readlink(path, target, sizeof target - 1) < 0) return errno == EACCES;
    return strncmp(target, "anon_inode:", 11) == 0; /* [eventpoll] or [io_uring] */
}

int64_t thread_switches(int status_fd)
{
    static const char name[] = "\nvoluntary_ctxt_switches:";
    char text[4096];
    if (read_text(status_fd, text, sizeof text) != 0) return -1;
    const char *at = strstr(text, name);
    return at != NULL ? strtoll(at + strlen(name), NULL, 10) : -1;
}

int call_is_wait(long call)
{
    switch (call) {
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
#endif
    case SYS_epoll_pwait: case SYS_io_uring_enter: return 1;
#ifdef SYS_poll
    case SYS_poll: case SYS_select:
#endif
    case SYS_ppoll: case SYS_pselect6: return 2;
    default: return 0;
    }
}
