/* <sys/stat.h>, with what Windows knows of a file: its C library tells no inodes and no parts of a
 * second. */
#ifndef HARK_WINDOWS_SYS_STAT_H
#define HARK_WINDOWS_SYS_STAT_H

#include_next <sys/stat.h>
#include <hark/system.h>
#include <io.h>
#include <stdint.h>
#include <time.h>

struct system_stat {
    uint64_t st_dev, st_ino;
    mode_t st_mode;
    uint32_t st_nlink;
    int64_t st_size;
    struct timespec st_atim, st_mtim, st_ctim;
};

int system_stat(const char *path, struct system_stat *out);
int system_fstat(int fd, struct system_stat *out);
int system_mkdir(const char *path, int mode);
int system_utimensat(int folder, const char *path, const struct timespec *times, int flags);
int chmod(const char *path, int mode) __asm__("system_chmod");

#undef stat
#undef fstat
#undef st_atime
#undef st_mtime
#undef st_ctime
#define stat system_stat
#define fstat(fd, out) system_fstat(fd, out)
#define mkdir(path, mode) system_mkdir(path, mode)
#define utimensat(folder, path, times, flags) system_utimensat(folder, path, times, flags)

#endif
