/* Files: opening and asking about what lies on a network file system, opening a FIFO that has no
 * other end, writing through to the disk, and waiting for a lock on a file.
 *
 * A program reaches some of these under two names, open and open64; both are here. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blocking/blocking.h"

static void check_path(const char *call, int directory, const char *path)
{
    if (thread_is_watched() && mounts_is_remote(directory, path))
        report_call("%s(\"%.100s\"), on a network file system", call, path);
}

void path_check_open(const char *call, int directory, const char *path, int flags)
{
    struct stat file;
    if (!thread_is_watched() || path == NULL) return;
    if (mounts_is_remote(directory, path)) {
        report_call("%s(\"%.100s\"), on a network file system", call, path);
        return;
    }
    if ((flags & (O_NONBLOCK | O_PATH)) != 0 || (flags & O_ACCMODE) == O_RDWR) return;
    if (REAL(fstatat)(directory, path, &file, 0) == 0 && S_ISFIFO(file.st_mode))
        report_call("%s(\"%.100s\"), a FIFO", call, path);
}

/* O_TMPFILE has the bit of O_DIRECTORY in it. */
static bool takes_mode(int flags)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = takes_mode(flags) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    path_check_open("open", AT_FDCWD, path, flags);
    return REAL(open)(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = takes_mode(flags) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    path_check_open("open", AT_FDCWD, path, flags);
    return REAL(open64)(path, flags, mode);
}

EXPORT int openat(int directory, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = takes_mode(flags) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    path_check_open("openat", directory, path, flags);
    return REAL(openat)(directory, path, flags, mode);
}

EXPORT int openat64(int directory, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = takes_mode(flags) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    path_check_open("openat", directory, path, flags);
    return REAL(openat64)(directory, path, flags, mode);
}

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

EXPORT int __open_2(const char *path, int flags)
{
    path_check_open("open", AT_FDCWD, path, flags);
    return REAL(__open_2)(path, flags);
}

EXPORT int __open64_2(const char *path, int flags)
{
    path_check_open("open", AT_FDCWD, path, flags);
    return REAL(__open64_2)(path, flags);
}

EXPORT int stat(const char *restrict path, struct stat *restrict file)
{
    check_path("stat", AT_FDCWD, path);
    return REAL(stat)(path, file);
}

EXPORT int stat64(const char *restrict path, struct stat64 *restrict file)
{
    check_path("stat", AT_FDCWD, path);
    return REAL(stat64)(path, file);
}

EXPORT int lstat(const char *restrict path, struct stat *restrict file)
{
    check_path("lstat", AT_FDCWD, path);
    return REAL(lstat)(path, file);
}

EXPORT int lstat64(const char *restrict path, struct stat64 *restrict file)
{
    check_path("lstat", AT_FDCWD, path);
    return REAL(lstat64)(path, file);
}

EXPORT int fstatat(int directory, const char *restrict path, struct stat *restrict file, int flags)
{
    check_path("fstatat", directory, path);
    return REAL(fstatat)(directory, path, file, flags);
}

EXPORT int fstatat64(int directory, const char *restrict path, struct stat64 *restrict file,
                     int flags)
{
    check_path("fstatat", directory, path);
    return REAL(fstatat64)(directory, path, file, flags);
}

EXPORT int statx(int directory, const char *restrict path, int flags, unsigned mask,
                 struct statx *restrict file)
{
    check_path("statx", directory, path);
    return REAL(statx)(directory, path, flags, mask, file);
}

/* What stat() and its like were before glibc 2.33, for programs compiled with that. */
int __xstat(int version, const char *path, struct stat *file);
int __xstat64(int version, const char *path, struct stat64 *file);
int __lxstat(int version, const char *path, struct stat *file);
int __lxstat64(int version, const char *path, struct stat64 *file);

EXPORT int __xstat(int version, const char *path, struct stat *file)
{
    check_path("stat", AT_FDCWD, path);
    return REAL(__xstat)(version, path, file);
}

EXPORT int __xstat64(int version, const char *path, struct stat64 *file)
{
    check_path("stat", AT_FDCWD, path);
    return REAL(__xstat64)(version, path, file);
}

EXPORT int __lxstat(int version, const char *path, struct stat *file)
{
    check_path("lstat", AT_FDCWD, path);
    return REAL(__lxstat)(version, path, file);
}

EXPORT int __lxstat64(int version, const char *path, struct stat64 *file)
{
    check_path("lstat", AT_FDCWD, path);
    return REAL(__lxstat64)(version, path, file);
}

EXPORT int access(const char *path, int mode)
{
    check_path("access", AT_FDCWD, path);
    return REAL(access)(path, mode);
}

static void check_descriptor(const char *call, int fd)
{
    char text[DESCRIPTOR_TEXT];
    if (thread_is_watched()) report_call("%s(%s)", call, descriptor_text(fd, text));
}

EXPORT int fsync(int fd)
{
    check_descriptor("fsync", fd);
    return REAL(fsync)(fd);
}

EXPORT int fdatasync(int fd)
{
    check_descriptor("fdatasync", fd);
    return REAL(fdatasync)(fd);
}

EXPORT int flock(int fd, int operation)
{
    if ((operation & LOCK_NB) == 0 && operation != LOCK_UN) check_descriptor("flock", fd);
    return REAL(flock)(fd, operation);
}

EXPORT int lockf(int fd, int command, off_t length)
{
    if (command == F_LOCK) check_descriptor("lockf", fd);
    return REAL(lockf)(fd, command, length);
}

EXPORT int lockf64(int fd, int command, off64_t length)
{
    if (command == F_LOCK) check_descriptor("lockf", fd);
    return REAL(lockf64)(fd, command, length);
}

EXPORT int fcntl(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *); /* a pointer, a number, or nothing: passed on as it is */
    va_end(rest);
    if (command == F_SETLKW || command == F_OFD_SETLKW) check_descriptor("fcntl F_SETLKW", fd);
    return REAL(fcntl)(fd, command, argument);
}

EXPORT int fcntl64(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (command == F_SETLKW || command == F_OFD_SETLKW) check_descriptor("fcntl F_SETLKW", fd);
    return REAL(fcntl64)(fd, command, argument);
}
