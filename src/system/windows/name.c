/* Names of files as <unistd.h>, <stdio.h> and <sys/stat.h> tell of them. What is open may be
 * renamed and removed: since Windows 10 at once, as POSIX has it, where the file system can; else a
 * name that was removed goes with the last handle, and one that is open is not replaced. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <winioctl.h>

#include "calls.h"
#include "path.h"

/* Of SetFileInformationByHandle(); headers of Windows 10 name them. */
enum { DISPOSITION_EX = 21, RENAME_EX = 22 };
enum { REMOVES = 1, BY_POSIX = 2, READ_ONLY_TOO = 16, REPLACES = 1 };

static bool set(HANDLE handle, int what, void *info, size_t bytes)
{
    return SetFileInformationByHandle(handle, (FILE_INFO_BY_HANDLE_CLASS)what, info, (DWORD)bytes);
}

/* This system or file system does not know the newer way. */
static bool is_unknown(void)
{
    DWORD error = GetLastError();
    return error == ERROR_INVALID_PARAMETER || error == ERROR_INVALID_FUNCTION ||
           error == ERROR_NOT_SUPPORTED || error == ERROR_CALL_NOT_IMPLEMENTED;
}

/* Closes; -1 and errno, or 0. */
static int close_after(HANDLE handle, bool is_done)
{
    int result = is_done ? 0 : path_fail(), error = errno;
    (void)CloseHandle(handle); /* nothing was written to it */
    errno = error;
    return result;
}

int unlink(const char *path)
{
    ULONG flags = REMOVES | BY_POSIX | READ_ONLY_TOO;
    FILE_DISPOSITION_INFO plain = { TRUE };
    FILE_ATTRIBUTE_TAG_INFO about = { 0 };
    HANDLE handle = path_open(path, DELETE | FILE_READ_ATTRIBUTES, false);
    if (handle == INVALID_HANDLE_VALUE) return -1;
    (void)GetFileInformationByHandleEx(handle, FileAttributeTagInfo, &about, sizeof about);
    if (about.FileAttributes & FILE_ATTRIBUTE_DIRECTORY &&
        !(about.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT)) {
        (void)CloseHandle(handle); /* it was only looked at */
        return path_refuse(EISDIR);
    }
    bool is_done = set(handle, DISPOSITION_EX, &flags, sizeof flags);
    if (!is_done && is_unknown())
        is_done = set(handle, FileDispositionInfo, &plain, sizeof plain);
    return close_after(handle, is_done);
}

int rmdir(const char *path)
{
    WCHAR wide[PATH_WIDE];
    if (!path_widen(path, wide)) return -1;
    if (RemoveDirectoryW(wide)) return 0;
    DWORD attributes = path_attributes(wide);
    bool is_other = attributes != 0 && !(attributes & FILE_ATTRIBUTE_DIRECTORY);
    return is_other ? path_refuse(ENOTDIR) : path_fail();
}

int system_mkdir(const char *path, int mode)
{
    WCHAR wide[PATH_WIDE];
    (void)mode; /* a folder has none here */
    if (!path_widen(path, wide)) return -1;
    return CreateDirectoryW(wide, NULL) ? 0 : path_fail();
}

/* Renaming. */

static bool rename_by_posix(const char *from, const WCHAR *to)
{
    struct { ULONG flags; HANDLE folder; DWORD bytes; WCHAR name[PATH_WIDE]; } info = {
        REPLACES | BY_POSIX, NULL, (DWORD)(wcslen(to) * sizeof *to), { 0 },
    };
    memcpy(info.name, to, info.bytes);
    HANDLE handle = path_open(from, DELETE | SYNCHRONIZE, false);
    if (handle == INVALID_HANDLE_VALUE) return false;
    bool is_done = set(handle, RENAME_EX, &info, sizeof info);
    DWORD error = GetLastError();
    (void)CloseHandle(handle); /* nothing was written to it */
    SetLastError(error);
    return is_done;
}

/* Why Windows, which says "access denied", does not replace the one by the other. */
static int why_not(DWORD from, DWORD to)
{
    DWORD error = GetLastError();
    bool is_vague = error == ERROR_ACCESS_DENIED || error == ERROR_ALREADY_EXISTS;
    if (!is_vague || from == 0 || to == 0) return path_fail();
    if ((from & to) & FILE_ATTRIBUTE_DIRECTORY) return path_refuse(ENOTEMPTY);
    if (to & FILE_ATTRIBUTE_DIRECTORY) return path_refuse(EISDIR);
    if (from & FILE_ATTRIBUTE_DIRECTORY) return path_refuse(ENOTDIR);
    return path_fail();
}

/* An empty folder makes room for another one, but not in the same step. */
int rename(const char *from, const char *to)
{
    WCHAR old[PATH_WIDE], new[PATH_WIDE];
    if (!path_widen(from, old) || !path_widen(to, new)) return -1;
    if (rename_by_posix(from, new)) return 0;
    if (is_unknown() && MoveFileExW(old, new, MOVEFILE_REPLACE_EXISTING)) return 0;
    DWORD old_is = path_attributes(old), new_is = path_attributes(new);
    if ((old_is & new_is) & FILE_ATTRIBUTE_DIRECTORY && RemoveDirectoryW(new) &&
        MoveFileExW(old, new, 0)) return 0;
    return why_not(old_is, new_is);
}

int call_rename(const char *from, const char *to, unsigned flags)
{
    return flags == 0 ? rename(from, to) : path_refuse(EOPNOTSUPP);
}

/* Links. */

int system_link(const char *from, const char *to)
{
    WCHAR old[PATH_WIDE], new[PATH_WIDE];
    if (!path_widen(from, old) || !path_widen(to, new)) return -1;
    return CreateHardLinkW(new, old, NULL) ? 0 : path_fail();
}

/* Wine 8 says that it has made one, and has not. */
int system_symlink(const char *target, const char *path)
{
    WCHAR wide[PATH_WIDE], held[PATH_WIDE];
    DWORD flags = SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE;
    if (!path_widen(path, wide)) return -1;
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, target, -1, held, PATH_WIDE) == 0)
        return path_fail();
    for (WCHAR *at = held; *at != 0; at++)
        if (*at == L'/') *at = L'\\';
    if (path_attributes(wide) != 0) return path_refuse(EEXIST);
    if (!CreateSymbolicLinkW(wide, held, flags)) return path_fail();
    return path_attributes(wide) != 0 ? 0 : path_refuse(EOPNOTSUPP);
}

/* The print name of a link; see REPARSE_DATA_BUFFER. */
struct link_data {
    ULONG tag;
    USHORT len, reserved, target_at, target_bytes, name_at, name_bytes;
    ULONG flags;
    WCHAR names[PATH_WIDE];
};

int64_t system_readlink(const char *path, char *buf, size_t len)
{
    struct link_data data = { 0 };
    char text[3 * PATH_WIDE];
    DWORD n;
    HANDLE handle = path_open(path, FILE_READ_ATTRIBUTES, false);
    if (handle == INVALID_HANDLE_VALUE) return -1;
    bool is_there = DeviceIoControl(handle, FSCTL_GET_REPARSE_POINT, NULL, 0, &data, sizeof data,
                                    &n, NULL);
    if (close_after(handle, is_there) != 0)
        return is_unknown() ? path_refuse(EINVAL) : -1;
    if (data.tag != IO_REPARSE_TAG_SYMLINK) return path_refuse(EINVAL);
    int bytes = WideCharToMultiByte(CP_UTF8, 0, data.names + data.name_at / 2, data.name_bytes / 2,
                                    text, sizeof text, NULL, NULL);
    size_t fitting = (size_t)bytes < len ? (size_t)bytes : len;
    memcpy(buf, text, fitting);
    return (int64_t)fitting;
}

/* Permissions and times. */

/* What Windows runs, it knows by its name. */
static bool is_program(const WCHAR *wide)
{
    static const WCHAR *const endings[] = { L".exe", L".com", L".bat", L".cmd" };
    size_t len = wcslen(wide);
    for (int i = 0; i < 4; i++)
        if (len > 4 && _wcsicmp(wide + len - 4, endings[i]) == 0) return true;
    return false;
}

int access(const char *path, int mode)
{
    WCHAR wide[PATH_WIDE];
    if (mode & ~(R_OK | W_OK | X_OK)) return path_refuse(EINVAL);
    if (!path_widen(path, wide)) return -1;
    DWORD attributes = GetFileAttributesW(wide);
    if (attributes == INVALID_FILE_ATTRIBUTES) return path_fail();
    if (attributes & FILE_ATTRIBUTE_DIRECTORY) return 0;
    bool is_refused = mode & W_OK && attributes & FILE_ATTRIBUTE_READONLY;
    return is_refused || (mode & X_OK && !is_program(wide)) ? path_refuse(EACCES) : 0;
}

int chmod(const char *path, int mode)
{
    WCHAR wide[PATH_WIDE];
    if (!path_widen(path, wide)) return -1;
    DWORD attributes = GetFileAttributesW(wide), wanted = attributes;
    if (attributes == INVALID_FILE_ATTRIBUTES) return path_fail();
    if (attributes & FILE_ATTRIBUTE_DIRECTORY) return 0;
    wanted &= ~(DWORD)FILE_ATTRIBUTE_READONLY;
    if (!(mode & _S_IWRITE)) wanted |= FILE_ATTRIBUTE_READONLY;
    return wanted == attributes || SetFileAttributesW(wide, wanted) ? 0 : path_fail();
}

/* In tenths of a microsecond from 1601 on; false: it is none. */
static bool time_to_file(const struct timespec *time, FILETIME *out)
{
    ULARGE_INTEGER ticks;
    if (time->tv_nsec == UTIME_NOW) {
        GetSystemTimeAsFileTime(out);
        return true;
    }
    if (time->tv_nsec == UTIME_OMIT) return true; /* zeros leave it as it is */
    if (time->tv_nsec < 0 || time->tv_nsec >= 1000000000) return false;
    ticks.QuadPart = (uint64_t)(time->tv_sec * INT64_C(10000000) + time->tv_nsec / 100 +
                                INT64_C(116444736000000000));
    *out = (FILETIME){ ticks.LowPart, ticks.HighPart };
    return true;
}

int system_utimensat(int folder, const char *path, const struct timespec *times, int flags)
{
    FILETIME used = { 0 }, changed = { 0 };
    (void)folder, (void)flags; /* AT_FDCWD, and links are followed */
    if (!time_to_file(&times[0], &used) || !time_to_file(&times[1], &changed))
        return path_refuse(EINVAL);
    HANDLE handle = path_open(path, FILE_WRITE_ATTRIBUTES, true);
    if (handle == INVALID_HANDLE_VALUE) return -1;
    return close_after(handle, SetFileTime(handle, NULL, &used, &changed));
}
