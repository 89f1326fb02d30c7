/* How the disk is asked: what is watched is opened, directories are listed, and what is new is
 * looked at, on a thread of the pool. See changes.h. */
#include "watch/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <hark/file.h>

#include "calls.h"
#include "path.h"

enum { LIST_BYTES = 16384 };

/* The full path of what lies below, with the separators of Windows. False: it is too long. */
static bool full_path(const struct watching *w, const char *below, char full[PATH_MAX])
{
    size_t len = strlen(w->path);
    bool ends = len != 0 && w->path[len - 1] == '\\';
    int n = snprintf(full, PATH_MAX, "%s%s%s", w->path, ends || *below == 0 ? "" : "\\", below);
    if (n < 0 || n >= PATH_MAX) return false;
    for (char *at = full + len; *at != 0; at++)
        if (*at == '/') *at = '\\';
    return true;
}

static bool open_source(struct watching *w, enum source_kind kind, const char *path)
{
    DWORD flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED;
    DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    WCHAR wide[PATH_WIDE];
    if (!path_widen(path, wide)) return false;
    HANDLE handle = CreateFileW(wide, FILE_LIST_DIRECTORY, share, NULL, OPEN_EXISTING, flags, NULL);
    if (handle == INVALID_HANDLE_VALUE) return path_fail(), false;
    w->sources[kind].handle = handle;
    return true;
}

static bool is_directory(HANDLE handle)
{
    BY_HANDLE_FILE_INFORMATION about = { 0 };
    return GetFileInformationByHandle(handle, &about) &&
           about.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY;
}

/* Of a file it does not matter who may read it. */
static bool is_file(const char *path)
{
    WCHAR wide[PATH_WIDE];
    DWORD attributes = path_widen(path, wide) ? path_attributes(wide) : 0;
    return attributes != 0 && !(attributes & FILE_ATTRIBUTE_DIRECTORY);
}

static int open_directory(struct watching *w)
{
    struct source *names = &w->sources[SOURCE_NAMES];
    if (!open_source(w, SOURCE_NAMES, w->path)) {
        int error = call_last_error();
        return is_file(w->path) ? ENOTDIR : error;
    }
    if (is_directory(names->handle)) return 0;
    (void)CloseHandle(names->handle); /* it was only looked at */
    names->handle = NULL;
    return ENOTDIR;
}

/* The root is no directory, or is not there: then it is the name of a file in one. */
static bool is_turned_to_file(struct watching *w, int error)
{
    char *slash = strrchr(w->path, '\\');
    if (call_errno(error) != ENOENT && error != ENOTDIR) return false;
    if (slash == NULL || slash[1] == 0 || slash == w->path) return false;
    bool is_drive = slash[-1] == ':';
    size_t len = strlen(slash + 1) + 1;
    memmove(slash + 2, slash + 1, len); /* there is room for it */
    slash[is_drive ? 1 : 0] = 0;
    w->course.file = slash + 2;
    return true;
}

/* The directory above, for the end of this one. It is none where there is no such, or it may not be
 * read: then the end is what the kernel tells of it. */
static void open_parent(struct watching *w)
{
    char path[PATH_MAX], *slash = strrchr(w->path, '\\');
    if (slash != NULL && slash[1] == 0 && slash != w->path && slash[-1] != ':') *slash = 0;
    if (!full_path(w, "", path)) return;
    slash = strrchr(path, '\\');
    if (slash == NULL || slash == path || slash[1] == 0) return;
    slash[slash[-1] == ':' ? 1 : 0] = 0;
    (void)open_source(w, SOURCE_PARENT, path);
}

int64_t look_open(struct hark_op *op)
{
    struct watching *w = op->user;
    int error = open_directory(w);
    if (error != 0 && is_turned_to_file(w, error)) error = open_directory(w);
    if (error == 0 && !open_source(w, SOURCE_ATTRIBUTES, w->path)) error = call_last_error();
    if (error == 0) open_parent(w);
    w->open_error = error;
    return 0;
}

static uint64_t id_of(HANDLE handle)
{
    BY_HANDLE_FILE_INFORMATION about = { 0 };
    if (!GetFileInformationByHandle(handle, &about)) return 0;
    return (uint64_t)about.nFileIndexHigh << 32 | about.nFileIndexLow;
}

int64_t look_root(struct hark_op *op)
{
    struct watching *w = op->user;
    HANDLE handle = path_open(w->path, FILE_READ_ATTRIBUTES, true);
    w->open_error = handle == INVALID_HANDLE_VALUE ? ENOENT : 0;
    if (handle == INVALID_HANDLE_VALUE) return 0;
    if (id_of(handle) != id_of(w->sources[SOURCE_NAMES].handle)) w->open_error = ENOENT;
    (void)CloseHandle(handle); /* it was only looked at */
    return 0;
}

/* False: there is no room. */
static bool add_found(struct watching *w, const struct hark_dir_entry *entry)
{
    size_t len = strlen(entry->name) + 1;
    size_t bytes = (sizeof(struct found) + len + 7) & ~(size_t)7;
    struct found *found = (void *)(w->course.found + w->course.found_bytes);
    if (bytes > w->course.found_room - w->course.found_bytes) return false;
    *found = (struct found){ entry->inode, bytes, entry->type == DT_DIR };
    memcpy(found->name, entry->name, len);
    w->course.found_bytes += bytes;
    return true;
}

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

static int list(struct watching *w, int fd)
{
    _Alignas(8) char list[LIST_BYTES];
    struct hark_dir_entry entry;
    ssize_t n;
    while ((n = call_read_dir(fd, list, sizeof list)) > 0)
        for (size_t at = 0; hark_dir_next(list, n, &at, &entry);)
            if (!is_dots(entry.name) && !add_found(w, &entry)) return ENOBUFS;
    return n == 0 ? 0 : call_last_error();
}

int64_t look_list(struct hark_op *op)
{
    struct watching *w = op->user;
    char path[PATH_MAX];
    bool is_root = w->to_list->path[0] == 0;
    w->course.found_bytes = 0;
    w->list_error = ENAMETOOLONG;
    if (!full_path(w, w->to_list->path, path)) return 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | (is_root ? 0 : O_NOFOLLOW));
    w->list_error = fd < 0 ? call_last_error() : list(w, fd);
    if (fd >= 0) (void)close(fd); /* it was only read */
    return 0;
}

static struct looked look_at(const struct watching *w, const FILE_NOTIFY_INFORMATION *event)
{
    char below[PATH_MAX], path[PATH_MAX];
    struct statx found;
    if (!event_path(event, below) || !full_path(w, below, path)) return (struct looked){ 0 };
    if (call_stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &found) != 0) return (struct looked){ 0 };
    return (struct looked){ found.stx_ino, true, S_ISDIR(found.stx_mode) };
}

int64_t look_events(struct hark_op *op)
{
    struct watching *w = op->user;
    for (size_t at = 0, i = 0; i < EVENTS_MAX; i++) {
        const FILE_NOTIFY_INFORMATION *event = event_at(w, at);
        bool is_new = event->Action == FILE_ACTION_ADDED ||
                      event->Action == FILE_ACTION_RENAMED_NEW_NAME;
        if (is_new) w->looked[i] = look_at(w, event);
        if (event->NextEntryOffset == 0) break;
        at += event->NextEntryOffset;
    }
    return 0;
}
