/* Open files as <fcntl.h>, <unistd.h> and <sys/stat.h> tell of them. A descriptor is a handle as an
 * int, as a socket is one; nothing of the C library's own descriptors is used, so a text is no
 * other file than bytes.
 *
 * A handle's position moves on with a read at an offset, too. Here it does not: it is put back,
 * under a lock. Windows does one thing at a time on such a handle anyway. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "path.h"

enum {
    PIECE_BYTES = 1024 * 1024, /* of a read or write: the kernel pins the memory meanwhile */
    LOCKS = 64,
    BLOCK_BYTES = 512,         /* as stx_blocks counts */
};

struct transfer { HANDLE handle; int64_t offset; bool is_write, has_offset; };

static SRWLOCK locks[LOCKS];

static HANDLE handle_of(int fd) { return (HANDLE)(intptr_t)fd; }

static bool is_disk(HANDLE handle) { return GetFileType(handle) == FILE_TYPE_DISK; }

static bool is_folder(HANDLE handle)
{
    BY_HANDLE_FILE_INFORMATION about;
    DWORD error = GetLastError();
    bool is_one = GetFileInformationByHandle(handle, &about) &&
                  about.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY;
    SetLastError(error);
    return is_one;
}

/* Opening. */

static DWORD access_of(int flags)
{
    DWORD reads = FILE_GENERIC_READ, writes = FILE_GENERIC_WRITE | FILE_READ_ATTRIBUTES;
    if (flags & O_APPEND) writes &= ~(DWORD)FILE_WRITE_DATA; /* what is left goes to the end */
    switch (flags & (O_RDONLY | O_WRONLY | O_RDWR)) {
    case O_RDONLY: return reads;
    case O_WRONLY: return writes;
    default: return reads | writes;
    }
}

static DWORD disposition_of(int flags)
{
    if (!(flags & O_CREAT)) return OPEN_EXISTING;
    return flags & O_EXCL ? CREATE_NEW : OPEN_ALWAYS;
}

static HANDLE open_wide(const WCHAR *wide, int flags, int mode)
{
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    DWORD attributes = FILE_FLAG_BACKUP_SEMANTICS; /* folders, too */
    if (flags & O_CREAT && !(mode & _S_IWRITE)) attributes |= FILE_ATTRIBUTE_READONLY;
    if (flags & O_NOFOLLOW) attributes |= FILE_FLAG_OPEN_REPARSE_POINT;
    return CreateFileW(wide, access_of(flags), share, NULL, disposition_of(flags), attributes,
                       NULL);
}

/* 0, or why it is not what was asked for. */
static int check_opened(HANDLE handle, int flags)
{
    BY_HANDLE_FILE_INFORMATION about = { 0 };
    if (!is_disk(handle)) return flags & O_DIRECTORY ? ENOTDIR : 0;
    (void)GetFileInformationByHandle(handle, &about); /* fails: then it is no folder */
    bool is_one = about.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY;
    bool writes = flags & (O_WRONLY | O_RDWR | O_CREAT);
    if (flags & O_NOFOLLOW && about.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) return ELOOP;
    if (is_one) return writes ? EISDIR : 0;
    return flags & O_DIRECTORY ? ENOTDIR : 0;
}

int open(const char *path, int flags, ...)
{
    WCHAR wide[PATH_WIDE];
    va_list rest;
    va_start(rest, flags);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    if (!path_widen(path, wide)) return -1;
    HANDLE handle = open_wide(wide, flags, mode);
    if (handle == INVALID_HANDLE_VALUE) {
        bool is_one = path_attributes(wide) & FILE_ATTRIBUTE_DIRECTORY;
        return is_one && flags & (O_WRONLY | O_RDWR) ? path_refuse(EISDIR) : path_fail();
    }
    int error = check_opened(handle, flags), fd = (int)(intptr_t)handle;
    if (error == 0 && flags & O_TRUNC && ftruncate(fd, 0) != 0) error = errno;
    if (error == 0) return fd;
    (void)CloseHandle(handle); /* nothing was written to it */
    return path_refuse(error);
}

/* -1 is a handle of this process. */
int close(int fd)
{
    if (fd < 0) return path_refuse(EBADF);
    return CloseHandle(handle_of(fd)) ? 0 : path_fail();
}

/* Reading and writing. */

static bool move_piece(const struct transfer *transfer, char *base, DWORD len, DWORD *moved)
{
    OVERLAPPED at = { .Offset = (DWORD)transfer->offset,
                      .OffsetHigh = (DWORD)(transfer->offset >> 32) };
    OVERLAPPED *where = transfer->has_offset ? &at : NULL;
    *moved = 0;
    if (transfer->is_write) return WriteFile(transfer->handle, base, len, moved, where);
    if (ReadFile(transfer->handle, base, len, moved, where)) return true;
    DWORD error = GetLastError();
    return error == ERROR_HANDLE_EOF || error == ERROR_BROKEN_PIPE; /* the end of it */
}

/* The bytes that were moved, or -1 where it was none at all. */
static int64_t move_all(struct transfer *transfer, const struct iovec *list, int count)
{
    int64_t total = 0;
    for (int i = 0; i < count; i++) {
        char *base = list[i].iov_base;
        size_t left = list[i].iov_len;
        while (left != 0) { /* each round moves a whole piece, or ends */
            DWORD want = left < PIECE_BYTES ? (DWORD)left : PIECE_BYTES, moved;
            if (!move_piece(transfer, base, want, &moved)) return total != 0 ? total : -1;
            total += moved;
            transfer->offset += moved;
            base += moved;
            left -= moved;
            if (moved < want) return total;
        }
    }
    return total;
}

static int64_t move_at_offset(struct transfer *transfer, const struct iovec *list, int count)
{
    LARGE_INTEGER none = { 0 }, before;
    (void)SetFilePointerEx(transfer->handle, none, &before, FILE_CURRENT); /* a file has one */
    int64_t moved = move_all(transfer, list, count);
    DWORD error = GetLastError();
    (void)SetFilePointerEx(transfer->handle, before, NULL, FILE_BEGIN);
    SetLastError(error);
    return moved;
}

/* What has no position has nothing to lock. */
static int64_t transfer(struct transfer *transfer, const struct iovec *list, int count)
{
    if (!is_disk(transfer->handle))
        return transfer->has_offset ? path_refuse(EINVAL) : move_all(transfer, list, count);
    SRWLOCK *lock = &locks[(uintptr_t)transfer->handle / 4 % LOCKS];
    AcquireSRWLockExclusive(lock);
    int64_t moved = transfer->has_offset ? move_at_offset(transfer, list, count)
                                         : move_all(transfer, list, count);
    ReleaseSRWLockExclusive(lock);
    return moved;
}

static ssize_t move(struct transfer what, const struct iovec *list, int count)
{
    int64_t moved = transfer(&what, list, count);
    if (moved >= 0) return (ssize_t)moved;
    if (is_folder(what.handle)) return path_refuse(EISDIR);
    bool lacks_access = GetLastError() == ERROR_ACCESS_DENIED; /* it was opened without */
    return lacks_access ? path_refuse(EBADF) : path_fail();
}

ssize_t call_readv_at(int fd, const struct iovec *list, int count, int64_t offset)
{
    struct transfer what = { handle_of(fd), offset, false, offset >= 0 };
    return move(what, list, count);
}

ssize_t call_writev_at(int fd, const struct iovec *list, int count, int64_t offset)
{
    struct transfer what = { handle_of(fd), offset, true, offset >= 0 };
    return move(what, list, count);
}

ssize_t system_read(int fd, void *buf, size_t len)
{
    return call_readv_at(fd, &(struct iovec){ buf, len }, 1, -1);
}

ssize_t system_write(int fd, const void *data, size_t len)
{
    return call_writev_at(fd, &(struct iovec){ (void *)(uintptr_t)data, len }, 1, -1);
}

ssize_t system_pread(int fd, void *buf, size_t len, int64_t offset)
{
    return call_readv_at(fd, &(struct iovec){ buf, len }, 1, offset);
}

ssize_t system_pwrite(int fd, const void *data, size_t len, int64_t offset)
{
    return call_writev_at(fd, &(struct iovec){ (void *)(uintptr_t)data, len }, 1, offset);
}

/* What was opened for reading only, and a folder, cannot be asked for it. */
int system_fsync(int fd)
{
    if (FlushFileBuffers(handle_of(fd))) return 0;
    return GetLastError() == ERROR_ACCESS_DENIED ? path_refuse(EINVAL) : path_fail();
}

int system_ftruncate(int fd, int64_t length)
{
    FILE_END_OF_FILE_INFO end = { .EndOfFile.QuadPart = length };
    if (length < 0) return path_refuse(EINVAL);
    if (SetFileInformationByHandle(handle_of(fd), FileEndOfFileInfo, &end, sizeof end)) return 0;
    return GetLastError() == ERROR_INVALID_PARAMETER ? path_refuse(EFBIG) : path_fail();
}

int system_truncate(const char *path, int64_t length)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0) return -1;
    int result = ftruncate(fd, length), error = errno;
    (void)close(fd); /* nothing was written to it */
    errno = error;
    return result;
}

/* What is known of a file. Windows counts in tenths of a microsecond, from 1601 on. */

static struct statx_timestamp time_of(LARGE_INTEGER ticks)
{
    int64_t since_1970 = ticks.QuadPart - INT64_C(116444736000000000);
    int64_t seconds = since_1970 / 10000000, rest = since_1970 % 10000000;
    if (rest < 0) seconds--, rest += 10000000;
    return (struct statx_timestamp){ seconds, (uint32_t)rest * 100 };
}

/* Of permissions Windows has one: whether it may be written. */
static uint16_t mode_of(DWORD attributes)
{
    bool is_one = attributes & FILE_ATTRIBUTE_DIRECTORY;
    unsigned mode = is_one ? S_IFDIR | 0777 : S_IFREG | 0666;
    if (!is_one && attributes & FILE_ATTRIBUTE_READONLY) mode &= ~0222u;
    return (uint16_t)mode;
}

static bool is_link(HANDLE handle, DWORD attributes)
{
    FILE_ATTRIBUTE_TAG_INFO tag = { 0 };
    if (!(attributes & FILE_ATTRIBUTE_REPARSE_POINT)) return false;
    return GetFileInformationByHandleEx(handle, FileAttributeTagInfo, &tag, sizeof tag) &&
           tag.ReparseTag == IO_REPARSE_TAG_SYMLINK;
}

static int fill_statx(HANDLE handle, struct statx *out)
{
    BY_HANDLE_FILE_INFORMATION about;
    FILE_BASIC_INFO times = { 0 };
    FILE_STANDARD_INFO sizes = { 0 };
    /* First: wine reads what a file begins with to tell its type, which is an access. */
    bool has_times = GetFileInformationByHandleEx(handle, FileBasicInfo, &times, sizeof times);
    if (!is_disk(handle)) {
        *out = (struct statx){ .stx_mode = S_IFCHR | 0666 };
        return 0;
    }
    if (!has_times || !GetFileInformationByHandle(handle, &about) ||
        !GetFileInformationByHandleEx(handle, FileStandardInfo, &sizes, sizeof sizes))
        return path_fail();
    *out = (struct statx){
        .stx_mask = STATX_BASIC_STATS | STATX_BTIME, .stx_blksize = 4096,
        .stx_nlink = about.nNumberOfLinks, .stx_mode = mode_of(about.dwFileAttributes),
        .stx_ino = (uint64_t)about.nFileIndexHigh << 32 | about.nFileIndexLow,
        .stx_size = (uint64_t)sizes.EndOfFile.QuadPart,
        .stx_blocks = (uint64_t)sizes.AllocationSize.QuadPart / BLOCK_BYTES,
        .stx_atime = time_of(times.LastAccessTime), .stx_btime = time_of(times.CreationTime),
        .stx_ctime = time_of(times.ChangeTime), .stx_mtime = time_of(times.LastWriteTime),
        .stx_dev_minor = about.dwVolumeSerialNumber,
    };
    if (is_link(handle, about.dwFileAttributes)) out->stx_mode = S_IFLNK | 0777;
    return 0;
}

int call_stat_open(int fd, struct statx *out) { return fill_statx(handle_of(fd), out); }

int call_stat(int folder, const char *path, int flags, struct statx *out)
{
    (void)folder; /* AT_FDCWD */
    HANDLE handle = path_open(path, FILE_READ_ATTRIBUTES, !(flags & AT_SYMLINK_NOFOLLOW));
    if (handle == INVALID_HANDLE_VALUE) return -1;
    int result = fill_statx(handle, out), error = errno;
    (void)CloseHandle(handle); /* it was only looked at */
    errno = error;
    return result;
}

static struct timespec timespec_of(struct statx_timestamp time)
{
    return (struct timespec){ time.tv_sec, (long)time.tv_nsec };
}

static int fill_stat(int result, const struct statx *from, struct system_stat *out)
{
    if (result != 0) return result;
    *out = (struct system_stat){
        .st_dev = from->stx_dev_minor, .st_ino = from->stx_ino, .st_mode = from->stx_mode,
        .st_nlink = from->stx_nlink, .st_size = (int64_t)from->stx_size,
        .st_atim = timespec_of(from->stx_atime), .st_mtim = timespec_of(from->stx_mtime),
        .st_ctim = timespec_of(from->stx_ctime),
    };
    return 0;
}

int system_stat(const char *path, struct system_stat *out)
{
    struct statx found;
    return fill_stat(call_stat(AT_FDCWD, path, 0, &found), &found, out);
}

int system_fstat(int fd, struct system_stat *out)
{
    struct statx found;
    return fill_stat(call_stat_open(fd, &found), &found, out);
}
