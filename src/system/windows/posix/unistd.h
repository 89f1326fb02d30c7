/* <unistd.h> of the C library, with what hark asks for and it lacks. Where the C library has the
 * name, too, for its own descriptors and for paths in the local code page, ours is called: by
 * another name to the linker, so that a member of that name stays one. */
#ifndef HARK_WINDOWS_UNISTD_H
#define HARK_WINDOWS_UNISTD_H

#include_next <unistd.h>
#include <io.h>
#include <stdint.h>

enum { _SC_NPROCESSORS_ONLN, _SC_PAGESIZE };

#define sysconf(name) system_sysconf(name)
long sysconf(int name);

int close(int fd) __asm__("system_close");
int access(const char *path, int mode) __asm__("system_access");
int unlink(const char *path) __asm__("system_unlink");
int rmdir(const char *path) __asm__("system_rmdir");

ssize_t system_read(int fd, void *buf, size_t len);
ssize_t system_write(int fd, const void *data, size_t len);
ssize_t system_pread(int fd, void *buf, size_t len, int64_t offset);
ssize_t system_pwrite(int fd, const void *data, size_t len, int64_t offset);
int system_fsync(int fd);
int system_ftruncate(int fd, int64_t length);
int system_truncate(const char *path, int64_t length);
int system_link(const char *from, const char *to);
int system_symlink(const char *target, const char *path);
int64_t system_readlink(const char *path, char *buf, size_t len);

#undef ftruncate
#undef truncate
#define read(fd, buf, len) system_read(fd, buf, len)
#define write(fd, data, len) system_write(fd, data, len)
#define pread(fd, buf, len, offset) system_pread(fd, buf, len, offset)
#define pwrite(fd, data, len, offset) system_pwrite(fd, data, len, offset)
#define fsync(fd) system_fsync(fd)
#define ftruncate(fd, length) system_ftruncate(fd, length)
#define truncate(path, length) system_truncate(path, length)
#define link(from, to) system_link(from, to)
#define symlink(target, path) system_symlink(target, path)
#define readlink(path, buf, len) system_readlink(path, buf, len)

#endif
