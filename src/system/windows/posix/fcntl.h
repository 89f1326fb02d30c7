/* <fcntl.h> of the C library, with what hark asks of open(2) and it lacks. A descriptor is a handle
 * as an int, not one of the C library's; see ../file.c. */
#ifndef HARK_WINDOWS_FCNTL_H
#define HARK_WINDOWS_FCNTL_H

#include_next <fcntl.h>
#include <hark/system.h>
#include <io.h>

enum { O_CLOEXEC = _O_NOINHERIT, O_NONBLOCK = 0, O_NOCTTY = 0 };
enum { AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100 };

enum { F_GETFD, F_SETFD, F_GETFL, F_SETFL, FD_CLOEXEC = 1 };

int open(const char *path, int flags, ...) __asm__("system_open");

/* A socket does not tell its modes. */
static inline int system_fcntl(int fd, int command)
{
    (void)fd, (void)command;
    return -1;
}

#define fcntl(fd, command) system_fcntl(fd, command)

#endif
