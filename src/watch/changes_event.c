/* What the kernel's events mean. They are taken in their order, one after the other.
 *
 * A rename within a directory is two events, one behind the other; one from a directory to another
 * is a removal, and right behind it something new that is the same file. What a rename replaces is
 * removed right before. */
#include "watch/changes.h"

#include <errno.h>
#include <string.h>

const FILE_NOTIFY_INFORMATION *event_at(const struct watching *w, size_t at)
{
    return (const void *)(w->events + at);
}

/* False: nobody can be told of it. */
bool event_path(const FILE_NOTIFY_INFORMATION *event, char path[PATH_MAX])
{
    int units = (int)(event->FileNameLength / sizeof(WCHAR));
    int n = WideCharToMultiByte(CP_UTF8, 0, event->FileName, units, path, PATH_MAX - 1, NULL, NULL);
    if (n <= 0) return false;
    path[n] = 0;
    for (char *at = path; *at != 0; at++)
        if (*at == '\\') *at = '/';
    return true;
}

/* As Windows compares names. */
static bool is_same_name(const WCHAR *name, int units, const char *other)
{
    WCHAR wide[PATH_MAX];
    int n = MultiByteToWideChar(CP_UTF8, 0, other, -1, wide, PATH_MAX);
    return n > 0 && CompareStringOrdinal(name, units, wide, n - 1, TRUE) == CSTR_EQUAL;
}

bool event_is_of(const FILE_NOTIFY_INFORMATION *event, const char *name)
{
    return is_same_name(event->FileName, (int)(event->FileNameLength / sizeof(WCHAR)), name);
}

static bool is_wanted(const struct watching *w, const char *path)
{
    WCHAR wide[PATH_MAX];
    if (w->course.file == NULL) return true;
    int n = MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, PATH_MAX);
    return n > 0 && is_same_name(wide, n - 1, w->course.file);
}

static bool is_directory(const struct watching *w, const char *path)
{
    const struct known *known = known_find(w, path);
    return known != NULL && known->is_directory;
}

/* Something has this path now. */
static bool know(struct watching *w, const char *path, uint64_t id, bool is_one)
{
    struct known *known = known_add(w, path, id, is_one);
    if (known == NULL) return false;
    known->is_listed = false;
    if (is_one && w->course.options.is_recursive) known_list_soon(w, known);
    return true;
}

static bool appeared(struct watching *w, const char *path, struct looked looked)
{
    struct known *known = known_find(w, path);
    if (!is_wanted(w, path)) return true;
    if (known != NULL && known->is_listed) {
        known->is_listed = false; /* the listing has told of it */
        return true;
    }
    return know(w, path, looked.id, looked.is_directory) &&
           course_tell(&w->course, HARK_WATCH_CREATED, path, NULL, looked.is_directory);
}

static bool vanished(struct watching *w, const char *path)
{
    bool was_one = is_directory(w, path);
    known_drop(w, path);
    return !is_wanted(w, path) || course_tell(&w->course, HARK_WATCH_DELETED, path, NULL, was_one);
}

static bool renamed(struct watching *w, const char *path, struct looked looked)
{
    char old_path[PATH_MAX];
    memcpy(old_path, w->old_path, strlen(w->old_path) + 1);
    w->old_path[0] = 0;
    if (!is_wanted(w, old_path) && !is_wanted(w, path)) return true;
    bool is_one = looked.is_there ? looked.is_directory : is_directory(w, old_path);
    return known_move(w, old_path, path) && know(w, path, looked.id, is_one) &&
           course_tell(&w->course, HARK_WATCH_RENAMED, path, old_path, is_one);
}

static bool changed(struct watching *w, const char *path, int64_t what)
{
    bool is_one = is_directory(w, path);
    if (!is_wanted(w, path) || (is_one && what == HARK_WATCH_CHANGED)) return true;
    return course_tell(&w->course, what, path, NULL, is_one);
}

static const FILE_NOTIFY_INFORMATION *next_of(const FILE_NOTIFY_INFORMATION *event)
{
    if (event == NULL || event->NextEntryOffset == 0) return NULL;
    return (const void *)((const char *)event + event->NextEntryOffset);
}

/* What is removed is that which comes next. */
static bool is_moved(const struct watching *w, const FILE_NOTIFY_INFORMATION *event,
                     const char *path)
{
    const FILE_NOTIFY_INFORMATION *next = next_of(event);
    const struct known *known = known_find(w, path);
    if (next == NULL || next->Action != FILE_ACTION_ADDED || known == NULL) return false;
    return known->id != 0 && known->id == w->looked[w->index].id;
}

/* The rename behind it is told. */
static bool is_replaced(const FILE_NOTIFY_INFORMATION *event, const char *path)
{
    const FILE_NOTIFY_INFORMATION *from = next_of(event), *to = next_of(from);
    char name[PATH_MAX];
    if (to == NULL || from->Action != FILE_ACTION_RENAMED_OLD_NAME ||
        to->Action != FILE_ACTION_RENAMED_NEW_NAME) return false;
    return event_path(to, name) && strcmp(name, path) == 0;
}

static bool removed(struct watching *w, const FILE_NOTIFY_INFORMATION *event, const char *path)
{
    if (is_replaced(event, path)) return true;
    if (!is_moved(w, event, path)) return vanished(w, path);
    memcpy(w->old_path, path, strlen(path) + 1);
    return true;
}

static bool about_name(struct watching *w, const FILE_NOTIFY_INFORMATION *event, const char *path,
                       struct looked looked)
{
    bool is_second = event->Action == FILE_ACTION_RENAMED_NEW_NAME ||
                     event->Action == FILE_ACTION_ADDED;
    if (w->old_path[0] != 0 && is_second) return renamed(w, path, looked);
    if (w->old_path[0] != 0) {
        bool has_memory = vanished(w, w->old_path); /* its other half is not told */
        w->old_path[0] = 0;
        if (!has_memory) return false;
    }
    switch (event->Action) {
    case FILE_ACTION_ADDED: case FILE_ACTION_RENAMED_NEW_NAME: return appeared(w, path, looked);
    case FILE_ACTION_REMOVED: return removed(w, event, path);
    case FILE_ACTION_MODIFIED: return changed(w, path, HARK_WATCH_CHANGED);
    case FILE_ACTION_RENAMED_OLD_NAME:
        memcpy(w->old_path, path, strlen(path) + 1);
        return true;
    default: return true; /* streams of a file */
    }
}

/* Beside what is watched: is it its end? */
static bool about_root(struct watching *w, const FILE_NOTIFY_INFORMATION *event)
{
    const char *slash = strrchr(w->path, '\\');
    bool is_end = event->Action == FILE_ACTION_REMOVED ||
                  event->Action == FILE_ACTION_RENAMED_OLD_NAME;
    if (is_end && slash != NULL && event_is_of(event, slash + 1)) course_fail(&w->course, -ENOENT);
    return true;
}

bool event_take(struct watching *w)
{
    char path[PATH_MAX];
    const FILE_NOTIFY_INFORMATION *event = event_at(w, w->at);
    const struct source *source = w->current;
    struct looked looked = w->looked[w->index++];
    w->at += event->NextEntryOffset;
    if (event->NextEntryOffset == 0 || w->index == EVENTS_MAX) w->current = NULL;
    if (source == &w->sources[SOURCE_PARENT]) return about_root(w, event);
    if (!event_path(event, path)) return true;
    if (source == &w->sources[SOURCE_NAMES]) return about_name(w, event, path, looked);
    return changed(w, path, HARK_WATCH_ATTRIBUTES);
}
