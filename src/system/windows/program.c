/* See program.h. CreateProcess itself would look in more places than the PATH: beside this program
 * and, worse, in the current directory. So it is told a full path.
 *
 * A name without a dot is one with ".exe". A batch file is none: cmd.exe would run it, and an
 * argument can be written so that this runs whatever else it says; there is no quoting that is safe
 * (CVE-2024-24576). */
#include "program.h"

#include <errno.h>
#include <string.h>

#include "calls.h"

/* Behind the last folder. */
static const WCHAR *name_of(const WCHAR *path)
{
    const WCHAR *name = path;
    for (; *path != 0; path++)
        if (wcschr(L"/\\:", *path) != NULL) name = path + 1;
    return name;
}

/* Windows takes no notice of spaces and dots at the end. */
static bool is_batch(const WCHAR *path)
{
    const WCHAR *name = name_of(path);
    size_t len = wcslen(name);
    while (len != 0 && (name[len - 1] == L' ' || name[len - 1] == L'.')) len--;
    if (len < 4) return false;
    const WCHAR *end = name + len - 4;
    return _wcsnicmp(end, L".bat", 4) == 0 || _wcsnicmp(end, L".cmd", 4) == 0;
}

/* 0: a file is there, by that name or with ".exe". */
static int look(const WCHAR *given, bool adds_first, WCHAR program[PATH_WIDE])
{
    WCHAR longer[PATH_WIDE];
    size_t len = wcslen(given);
    bool is_folder = false;
    if (len + sizeof ".exe" > PATH_WIDE) return -ENAMETOOLONG;
    memcpy(longer, given, len * sizeof *given);
    memcpy(longer + len, L".exe", sizeof L".exe");
    for (int tries = 0; tries < 2; tries++) {
        bool is_longer = (tries == 0) == adds_first;
        if (!path_complete(is_longer ? longer : given, program)) return -errno;
        DWORD attributes = path_attributes(program);
        if (attributes & FILE_ATTRIBUTE_DIRECTORY) is_folder = true;
        else if (attributes != 0) return is_batch(program) ? -EINVAL : 0;
        if (adds_first) break; /* a script of the same name is no program */
    }
    return is_folder ? -EACCES : -ENOENT;
}

static bool is_relative(const WCHAR *path)
{
    return path[0] != L'/' && path[0] != L'\\' && (path[0] == 0 || path[1] != L':');
}

/* Writes the two as one path, into wide. */
static int join(const WCHAR *folder, size_t folder_len, const WCHAR *name, WCHAR wide[PATH_WIDE])
{
    size_t name_len = wcslen(name);
    if (folder_len + name_len + 2 > PATH_WIDE) return -ENAMETOOLONG;
    memcpy(wide, folder, folder_len * sizeof *wide);
    wide[folder_len] = L'\\';
    memcpy(wide + folder_len + 1, name, (name_len + 1) * sizeof *wide);
    return 0;
}

/* A name with a folder is relative to the directory of the child. */
static int find_there(const WCHAR *name, const char *directory, WCHAR program[PATH_WIDE])
{
    WCHAR folder[PATH_WIDE], whole[PATH_WIDE];
    if (directory == NULL || !is_relative(name)) return look(name, false, program);
    if (!path_widen(directory, folder)) return -errno;
    int error = join(folder, wcslen(folder), name, whole);
    return error != 0 ? error : look(whole, false, program);
}

/* The PATH that the child gets, or the folders of Windows. */
static int read_path(const char *const *env, WCHAR *text, int room)
{
    DWORD len = 0;
    if (env == NULL) len = GetEnvironmentVariableW(L"PATH", text, (DWORD)room);
    for (; env != NULL && *env != NULL && len == 0; env++) {
        if (_strnicmp(*env, "PATH=", 5) != 0) continue;
        len = (DWORD)MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, *env + 5, -1, text, room);
        if (len == 0) return -EINVAL;
    }
    if (len >= (DWORD)room) return -E2BIG;
    if (len == 0 && GetSystemDirectoryW(text, (UINT)room) == 0) return -ENOENT;
    return 0;
}

/* A part of the PATH may stand in quotation marks, and an empty one is none. */
static int search(const WCHAR *name, const WCHAR *path, WCHAR program[PATH_WIDE])
{
    WCHAR whole[PATH_WIDE];
    bool is_refused = false;
    while (*path != 0) {
        size_t len = wcscspn(path, L";"), begin = path[0] == L'"', end = len;
        if (end > begin + 1 && path[end - 1] == L'"') end--;
        if (end > begin && join(path + begin, end - begin, name, whole) == 0) {
            int error = look(whole, wcschr(name, L'.') == NULL, program);
            if (error == 0 || error == -EINVAL) return error;
            is_refused = is_refused || error == -EACCES;
        }
        path += len + (path[len] == L';');
    }
    return is_refused ? -EACCES : -ENOENT;
}

int program_find(const struct hark_process_options *options, WCHAR program[PATH_WIDE], WCHAR *text,
                 int room)
{
    WCHAR name[PATH_WIDE];
    const char *given = options->program != NULL ? options->program : options->argv[0];
    if (*given == 0) return -ENOENT;
    int n = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, given, -1, name, PATH_WIDE);
    if (n == 0) return GetLastError() == ERROR_INSUFFICIENT_BUFFER ? -ENAMETOOLONG : -EINVAL;
    if (name_of(name) != name) return find_there(name, options->directory, program);
    int error = read_path(options->env, text, room);
    return error != 0 ? error : search(name, text, program);
}
