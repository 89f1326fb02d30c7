/* Whole files in several calls: one is replaced so that nobody ever sees a half of it, or copied.
 * For the threads of the pool. */
#include <errno.h>
#include <hark/file.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/sys.h"

enum { TRIES = 100, COPY_BYTES = 16 * 1024 };

static int64_t write_whole(int fd, const char *data, size_t len)
{
    for (size_t written = 0; written < len;) {
        ssize_t n = write(fd, data + written, sys_short_len(len - written));
        if (n >= 0) written += (size_t)n;
        else if (errno != EINTR) return -1;
    }
    return (int64_t)len;
}

/* A new file beside path, whose name is put in temporary. */
static int open_beside(const char *path, mode_t mode, char temporary[PATH_MAX])
{
    const char *end = call_folder_end(path);
    int folder = end == NULL ? 0 : (int)(end - path);
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t number = 0;
        if (!call_random(&number, sizeof number)) number = (uint64_t)getpid();
        int len = snprintf(temporary, PATH_MAX, "%.*s.hark-%016llx", folder, path,
                           (unsigned long long)(number + (uint64_t)tries));
        if (len >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

static int64_t sync_folder(const char *path)
{
    char folder[PATH_MAX] = ".";
    const char *end = call_folder_end(path);
    if (end != NULL) snprintf(folder, sizeof folder, "%.*s", (int)(end - path), path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    int64_t result = fsync(fd);
    int error = errno;
    (void)close(fd); /* nothing was written to it */
    errno = error;
    return result == 0 || error == EINVAL ? 0 : -1; /* EINVAL: not on this file system */
}

int64_t sys_replace(const struct hark_content *content)
{
    char temporary[PATH_MAX];
    int fd = open_beside(content->path, content->mode, temporary);
    if (fd < 0) return -1;
    bool is_whole = write_whole(fd, content->data, content->len) >= 0 && fsync(fd) == 0;
    int error = errno;
    if (close(fd) != 0 && is_whole && errno != EINTR) {
        is_whole = false;
        error = errno;
    }
    if (is_whole && rename(temporary, content->path) == 0) return sync_folder(content->path);
    if (is_whole) error = errno;
    (void)unlink(temporary); /* the first error is the one to tell */
    errno = error;
    return -1;
}

/* Where the kernel cannot copy by itself. */
static int64_t copy_by_hand(int from, int to)
{
    char buf[COPY_BYTES];
    int64_t total = 0;
    ssize_t n;
    while ((n = read(from, buf, sizeof buf)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 || write_whole(to, buf, (size_t)n) < 0) break;
        total += n;
    }
    return n == 0 ? total : -1;
}

static int64_t copy_open(int from, int to)
{
    int64_t total = 0;
    ssize_t n;
    while ((n = call_copy_range(from, NULL, to, NULL, SYS_BYTES_MAX)) > 0) total += n;
    /* A file of /proc and its like seems empty to the kernel's own way. */
    bool is_refused = n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP ||
                                errno == ENOSYS || errno == EPERM);
    if (n < 0 && !is_refused) return -1;
    int64_t rest = copy_by_hand(from, to);
    return rest < 0 ? -1 : total + rest;
}

/* to is emptied only when it is known to be another file. */
static int64_t copy_onto(int from, const char *path)
{
    struct stat source, target;
    if (fstat(from, &source) != 0) return -1;
    if (!S_ISREG(source.st_mode)) {
        errno = S_ISDIR(source.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    int to = open(path, O_WRONLY | O_CREAT | SYS_OPEN_FLAGS, source.st_mode & 07777);
    if (to < 0) return -1;
    bool is_same = fstat(to, &target) == 0 && source.st_dev == target.st_dev &&
                   source.st_ino == target.st_ino;
    int64_t result = -1;
    if (is_same) errno = EINVAL;
    else if (ftruncate(to, 0) == 0) result = copy_open(from, to);
    int error = errno;
    if (close(to) != 0 && result >= 0 && errno != EINTR) return -1;
    errno = error;
    return result;
}

int64_t sys_copy_path(const char *from, const char *to)
{
    int fd = open(from, O_RDONLY | SYS_OPEN_FLAGS);
    if (fd < 0) return -1;
    int64_t result = copy_onto(fd, to);
    int error = errno;
    (void)close(fd); /* nothing was written to it */
    errno = error;
    return result;
}
