/* What hark idle asks of Linux: children by fork(2), a control socket that keeps messages whole,
 * and what /proc and the clocks tell of a process. */
#include "idle_system.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "idle.h"
#include "tool.h"

enum { CONTROL = 3 /* the control socket in a child */ };

const char *idle_system_error(void) { return strerror(errno); }

void idle_child_begin(void)
{
    signal(SIGCHLD, SIG_DFL); /* an inherited SIG_IGN would take the children's ends away */
    (void)tool_interrupt_descriptor(); /* opened before the first signal */
}

/* Leaves a child with its standard descriptors and the control socket, and nothing else: a copy of
 * the coordinator's end would keep the other child from seeing it close. */
static void settle(pid_t parent, int control)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* not refused for a valid signal */
    if (getppid() != parent) _exit(1);
    /* Ctrl-C reaches the whole group; the coordinator decides what it ends. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    if (control != CONTROL && dup2(control, CONTROL) < 0) _exit(1);
    if (close_range(CONTROL + 1, ~0U, 0) < 0)
        for (int fd = CONTROL + 1; fd < 1024; fd++) close(fd); /* before Linux 5.9 */
}

int idle_child_start(struct idle_child *child, const struct idle_task *task)
{
    int ends[2];
    *child = (struct idle_child){ .control = -1 };
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return -1;
    pid_t parent = getpid();
    fflush(NULL); /* or both would write what is buffered */
    pid_t pid = fork();
    if (pid == 0) {
        settle(parent, ends[1]);
        exit(idle_run(CONTROL, task));
    }
    int why = errno;
    close(ends[1]);
    if (pid > 0) {
        child->id = pid;
        child->control = ends[0];
        return 0;
    }
    close(ends[0]);
    errno = why;
    return -1;
}

int idle_child_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    return -1; /* a child is a fork of this program, not this program once more */
}

int idle_child_wait(const struct idle_child *child, int64_t patience_ns)
{
    struct pollfd fds[2] = {
        { .fd = child->control, .events = POLLIN },
        { .fd = tool_interrupt_descriptor(), .events = POLLIN },
    };
    int ready = poll(fds, 2, (int)(patience_ns / HARK_MILLISECOND));
    if (tool_is_interrupted()) return -1;
    return ready > 0 ? 1 : ready;
}

int idle_child_end(struct idle_child *child, int patience_seconds)
{
    pid_t pid = (pid_t)child->id, found;
    if (pid <= 0) return 0;
    int process = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
    shutdown(child->control, SHUT_WR);
    struct pollfd ended = { .fd = process, .events = POLLIN };
    bool is_late = process < 0 || poll(&ended, 1, patience_seconds * 1000) <= 0;
    if (is_late) kill(pid, SIGKILL);
    do found = waitpid(pid, &status, 0);
    while (found < 0 && errno == EINTR);
    if (process >= 0) close(process);
    close(child->control);
    bool is_well = found == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return is_well && !is_late ? 0 : -1;
}

/* statm would be cheaper, but counts only in steps of some dozen pages for each processor. */
int64_t idle_child_bytes(const struct idle_child *child)
{
    char path[64], line[256];
    long long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)child->id);
    FILE *rollup = fopen(path, "re");
    if (!rollup) return -1;
    while (kib < 0 && fgets(line, sizeof line, rollup))
        if (sscanf(line, "Rss: %lld kB", &kib) != 1) kib = -1;
    fclose(rollup);
    return kib < 0 ? -1 : (int64_t)kib * 1024;
}

int idle_processor(void) { return sched_getcpu(); }

void idle_pin(int processor)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    if (processor >= 0 && processor < CPU_SETSIZE) CPU_SET((size_t)processor, &one);
    (void)sched_setaffinity(0, sizeof one, &one); /* refused: noisier, and still right */
}

int idle_clock_open(int64_t process, intptr_t *clock)
{
    clockid_t id;
    if (clock_getcpuclockid((pid_t)process, &id) != 0) return -1;
    *clock = id;
    return 0;
}

int64_t idle_clock_ns(intptr_t clock)
{
    struct timespec now = {0};
    clock_gettime((clockid_t)clock, &now);
    return now.tv_sec * HARK_SECOND + now.tv_nsec;
}

int64_t idle_clock_step_ns(void) { return 0; }

/* The coordinator has closed all descriptors that are not ours, so those in use have no gaps. */
int64_t idle_room(const char *backend)
{
    struct rlimit limit;
    int64_t end = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (int64_t)limit.rlim_cur : FD_SETSIZE;
    if (strcmp(backend, "select") == 0 && end > FD_SETSIZE) end = FD_SETSIZE;
    int next = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (next < 0) return 0;
    close(next);
    return end > next ? end - next : 0;
}

int idle_connect(uint32_t source, uint16_t port, int patience_seconds)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(source) };
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = port,
    };
    int on = 1;
    /* A reset at the end instead of a minute of TIME_WAIT for each of 10,000. */
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    struct timeval patience = { .tv_sec = patience_seconds };
    bool is_set = setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
                  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
    if (is_set && bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
        connect(fd, (struct sockaddr *)&server, sizeof server) == 0) return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

int idle_send(int fd, const void *bytes, size_t len)
{
    return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

int idle_receive(int fd, void *bytes, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(fd, (char *)bytes + got, len - got, 0);
        if (n < 0 && errno == EAGAIN) errno = ETIMEDOUT;
        if (n == 0) errno = ECONNRESET;
        if (n <= 0) return -1;
        got += (size_t)n;
    }
    return 0;
}
