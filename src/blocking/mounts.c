/* Which paths lie on a network file system, by the longest mount point in /proc/self/mountinfo
 * that begins them; HARK_BLOCKING_SLOW adds paths of one's own, with colons between. Symbolic
 * links are not followed: that would touch the very file system that may not answer. */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blocking/blocking.h"

enum { MOUNTS_MAX = 256, POINT_BYTES = 256, KEPT_S = 1 };

static struct mount { char point[POINT_BYTES]; bool is_remote; } mounts[MOUNTS_MAX];
static int mount_count;
static time_t read_at;
static int lock; /* a spin lock: this is called within pthread_mutex_lock() */

static const char *const remote_types[] = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "ocfs2", "gfs2",
    "beegfs", "davfs", "ncpfs", "orangefs", "coda", "virtiofs",
};

static bool type_is_remote(const char *type)
{
    for (size_t i = 0; i < sizeof remote_types / sizeof *remote_types; i++)
        if (strcmp(type, remote_types[i]) == 0) return true;
    return strncmp(type, "fuse.", 5) == 0 || strcmp(type, "fuse") == 0;
}

/* Mount points have \040 for a space and so on. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        unsigned byte;
        bool is_whole = at[0] == '\\' && strspn(at + 1, "01234567") >= 3; /* a long one is cut */
        if (is_whole && sscanf(at + 1, "%3o", &byte) == 1) {
            *to++ = (char)byte;
            at += 3;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
}

/* A line: ID PARENT DEVICE ROOT POINT OPTIONS [FIELDS...] - TYPE SOURCE OPTIONS */
static void add_line(const char *line)
{
    struct mount *mount = &mounts[mount_count];
    char type[64];
    const char *rest = strstr(line, " - ");
    if (mount_count == MOUNTS_MAX || rest == NULL) return;
    if (sscanf(line, "%*s %*s %*s %*s %255s", mount->point) != 1) return;
    if (sscanf(rest, " - %63s", type) != 1) return;
    unescape(mount->point);
    mount->is_remote = type_is_remote(type);
    mount_count++;
}

static void read_mounts(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (mount_count != 0 && now.tv_sec - read_at < KEPT_S) return;
    read_at = now.tv_sec;
    mount_count = 0;
    FILE *file = REAL(fopen)("/proc/self/mountinfo", "re");
    if (file == NULL) return;
    char line[2048];
    while (REAL(fgets)(line, sizeof line, file) != NULL) add_line(line);
    (void)REAL(fclose)(file); /* only read */
}

static bool begins(const char *path, const char *point, size_t length)
{
    if (length == 1 && point[0] == '/') return true;
    return length != 0 && strncmp(path, point, length) == 0 &&
           (path[length] == '/' || path[length] == '\0');
}

static bool is_listed(const char *path)
{
    const char *list = getenv("HARK_BLOCKING_SLOW");
    while (list != NULL && *list != '\0') {
        size_t length = strcspn(list, ":");
        if (begins(path, list, length)) return true;
        list += length + (list[length] == ':');
    }
    return false;
}

/* Another thread may hold the lock at a fork, and is not there in the child. */
static void in_child(void)
{
    lock = 0;
    mount_count = 0; /* it may have been reading */
}

__attribute__((constructor)) static void prepare(void)
{
    (void)pthread_atfork(NULL, NULL, in_child); /* no memory: then a fork is as it was without */
}

static bool is_remote(const char *path)
{
    size_t longest = 0;
    bool result = false;
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) != 0) {}
    read_mounts();
    for (int i = 0; i < mount_count; i++) {
        size_t length = strlen(mounts[i].point);
        if (length < longest || !begins(path, mounts[i].point, length)) continue;
        longest = length;
        result = mounts[i].is_remote; /* of two at one point the later one lies above */
    }
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    return result || is_listed(path);
}

/* Where a relative path begins. */
static bool base_of(int directory, char *base)
{
    char link[40];
    if (directory == AT_FDCWD) return getcwd(base, PATH_MAX) != NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t got = readlink(link, base, PATH_MAX - 1);
    if (got <= 0) return false;
    base[got] = '\0';
    return true;
}

bool mounts_is_remote(int directory, const char *path)
{
    char base[PATH_MAX], whole[2 * PATH_MAX];
    if (path == NULL) return false;
    thread.inside++;
    bool result = false;
    if (path[0] == '/') {
        result = is_remote(path);
    } else if (base_of(directory, base)) {
        snprintf(whole, sizeof whole, "%s/%s", base, path);
        result = is_remote(whole);
    }
    thread.inside--;
    return result;
}

bool mounts_is_remote_file(int fd)
{
    char path[PATH_MAX];
    return base_of(fd, path) && path[0] == '/' && mounts_is_remote(AT_FDCWD, path);
}
