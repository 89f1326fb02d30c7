/* See path.h. A path is made a full one first, since only a full one may have the prefix by which
 * Windows takes more than 260 units. */
#include "path.h"

#include <errno.h>
#include <string.h>

#include "calls.h"

enum { NAME_UNITS_MAX = 255, PREFIX_ROOM = 8, LONG_FROM = MAX_PATH - 12 /* of a folder */ };

int path_fail(void)
{
    errno = call_errno(CALL_WINDOWS_ERRORS + (int)GetLastError());
    return -1;
}

int path_refuse(int error)
{
    SetLastError(0);
    errno = error;
    return -1;
}

/* Windows says of a name that is too long that it is none. */
static bool has_long_name(const WCHAR *path)
{
    int units = 0;
    for (; *path != 0; path++) {
        units = *path == L'/' || *path == L'\\' ? 0 : units + 1;
        if (units > NAME_UNITS_MAX) return true;
    }
    return false;
}

static void add_prefix(WCHAR wide[PATH_WIDE], const WCHAR *full, DWORD len)
{
    static const WCHAR local[] = L"\\\\?\\", remote[] = L"\\\\?\\UNC";
    bool is_remote = full[0] == L'\\' && full[1] == L'\\';
    bool is_plain = len < LONG_FROM || (is_remote && (full[2] == L'?' || full[2] == L'.'));
    const WCHAR *prefix = is_plain ? L"" : is_remote ? remote : local;
    size_t room = wcslen(prefix);
    memcpy(wide, prefix, room * sizeof *wide);
    if (is_remote && !is_plain) full++; /* \\server becomes \\?\UNC\server */
    memmove(wide + room, full, (wcslen(full) + 1) * sizeof *wide);
}

bool path_widen(const char *path, WCHAR wide[PATH_WIDE])
{
    WCHAR given[PATH_WIDE];
    if (*path == 0) return path_refuse(ENOENT), false;
    int n = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, given, PATH_WIDE);
    return n != 0 ? path_complete(given, wide) : (path_fail(), false);
}

bool path_complete(const WCHAR *given, WCHAR wide[PATH_WIDE])
{
    WCHAR full[PATH_WIDE];
    if (has_long_name(given)) return path_refuse(ENAMETOOLONG), false;
    DWORD len = GetFullPathNameW(given, PATH_WIDE - PREFIX_ROOM, full, NULL);
    if (len == 0) return path_fail(), false;
    if (len >= PATH_WIDE - PREFIX_ROOM) return path_refuse(ENAMETOOLONG), false;
    add_prefix(wide, full, len);
    return true;
}

DWORD path_attributes(const WCHAR *wide)
{
    DWORD error = GetLastError(), attributes = GetFileAttributesW(wide);
    SetLastError(error);
    return attributes != INVALID_FILE_ATTRIBUTES ? attributes : 0;
}

HANDLE path_open(const char *path, DWORD access, bool follows)
{
    WCHAR wide[PATH_WIDE];
    DWORD flags = FILE_FLAG_BACKUP_SEMANTICS | (follows ? 0 : FILE_FLAG_OPEN_REPARSE_POINT);
    if (!path_widen(path, wide)) return INVALID_HANDLE_VALUE;
    HANDLE handle = CreateFileW(wide, access, FILE_SHARE_READ | FILE_SHARE_WRITE |
                                FILE_SHARE_DELETE, NULL, OPEN_EXISTING, flags, NULL);
    if (handle == INVALID_HANDLE_VALUE) (void)path_fail();
    return handle;
}
