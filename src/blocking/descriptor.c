/* What a descriptor is, and whether a transfer on it could wait.
 *
 * It could on a socket, pipe, FIFO or terminal without O_NONBLOCK, and on a file of a network file
 * system. Exceptions, where a blocking descriptor is the custom and harmless: standard output and
 * error, and the kernel's own event descriptors (eventfd, timerfd, ...), as long as they are ready
 * at that moment. The link in /proc tells the kind without touching the file itself. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "blocking/blocking.h"

static bool read_link(int fd, char *text)
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, text, DESCRIPTOR_TEXT - 1);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

const char *descriptor_text(int fd, char *text)
{
    char what[DESCRIPTOR_TEXT - 16];
    descriptor_print(fd, what, sizeof what);
    if (what[0] == '\0') snprintf(text, DESCRIPTOR_TEXT, "%d", fd);
    else snprintf(text, DESCRIPTOR_TEXT, "%d -> %s", fd, what);
    return text;
}

bool descriptor_is_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

static bool is_ready(int fd, enum descriptor_way way)
{
    struct pollfd wanted = { .fd = fd, .events = way == WAY_IN ? POLLIN : POLLOUT };
    return REAL(poll)(&wanted, 1, 0) != 0;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* A file of a local file system. */
static bool local_can_block(int fd, enum descriptor_way way)
{
    struct stat file;
    if (fstat(fd, &file) != 0) return false;
    if (S_ISFIFO(file.st_mode)) return true;
    bool is_terminal = S_ISCHR(file.st_mode) && isatty(fd) != 0;
    return is_terminal && (way == WAY_IN || !is_ready(fd, way));
}

bool descriptor_can_block(int fd, int flags, enum descriptor_way way)
{
    char link[DESCRIPTOR_TEXT];
    if ((flags & MSG_DONTWAIT) != 0 || !descriptor_is_blocking(fd)) return false;
    if (!read_link(fd, link)) return false;
    bool is_output = way == WAY_OUT && (fd == STDOUT_FILENO || fd == STDERR_FILENO);
    if (starts_with(link, "socket:") || starts_with(link, "pipe:"))
        return !is_output || !is_ready(fd, way);
    if (starts_with(link, "anon_inode:")) return !is_ready(fd, way);
    if (mounts_is_remote(AT_FDCWD, link)) return true;
    return local_can_block(fd, way);
}
