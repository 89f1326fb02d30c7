/* The picture of what is there, and what has become of it. A listing marks the entries that it
 * shows and takes the others out; when all have been made, those that are gone are compared with
 * those that are fresh: the same file under another name was renamed. A file that is open keeps its
 * number, so that no other can have it; for one that is not its size and time speak, too. See
 * vnode.h. */
#include <sys/types.h> /* before event.h, which does not bring it */

#include <errno.h>
#include <string.h>
#include <sys/event.h>
#include <unistd.h>

#include "watch/vnode.h"

struct entry *entry_make(struct watching *w, struct entry *parent, const char *name)
{
    size_t bytes = strlen(name) + 1;
    struct entry *entry = loop_resize(w->course.loop, NULL, 0, sizeof *entry);
    if (entry == NULL) return NULL;
    *entry = (struct entry){ .parent = parent, .fd = -1 };
    entry->name = loop_resize(w->course.loop, NULL, 0, bytes);
    if (entry->name == NULL) {
        loop_resize(w->course.loop, entry, sizeof *entry, 0);
        return NULL;
    }
    memcpy(entry->name, name, bytes);
    return entry;
}

static void free_entry(struct watching *w, struct entry *entry)
{
    if (entry->fd >= 0) (void)close(entry->fd); /* only read from; its note goes with it */
    loop_resize(w->course.loop, entry->name, strlen(entry->name) + 1, 0);
    loop_resize(w->course.loop, entry, sizeof *entry, 0);
}

struct entry *entry_next(const struct entry *entry)
{
    if (entry->children != NULL) return entry->children;
    while (entry != NULL && entry->next == NULL) entry = entry->parent;
    return entry != NULL ? entry->next : NULL;
}

static bool is_directory(const struct entry *entry) { return S_ISDIR(entry->state.mode); }

bool entry_is_wanted(const struct watching *w, const struct entry *entry)
{
    return w->course.file == NULL || strcmp(w->course.file, entry->name) == 0;
}

/* Others have no events worth a descriptor, or must not be opened without a reason. */
static bool wants_note(const struct watching *w, const struct entry *entry)
{
    return entry_is_wanted(w, entry) && (is_directory(entry) || S_ISREG(entry->state.mode));
}

static void open_soon(struct watching *w, struct entry *entry)
{
    entry->is_to_open = wants_note(w, entry);
    w->is_opening = w->is_opening || entry->is_to_open;
}

/* Written from its end. NULL: it is longer than PATH_MAX. */
static const char *path_of(const struct entry *entry, char path[PATH_MAX])
{
    size_t begin = PATH_MAX - 1;
    path[begin] = '\0';
    for (; entry->parent != NULL; entry = entry->parent) {
        size_t len = strlen(entry->name);
        if (len + 1 > begin) return NULL;
        if (path[begin] != '\0') path[--begin] = '/';
        begin -= len;
        memcpy(path + begin, entry->name, len);
    }
    return path + begin;
}

static bool add_told(struct watching *w, const struct entry *entry, int64_t what,
                     const char *old_path)
{
    char buf[PATH_MAX];
    const char *path = path_of(entry, buf);
    if (path == NULL) return true;
    return course_tell(&w->course, what, path, old_path, is_directory(entry));
}

bool tree_tell(struct watching *w, int64_t what, const struct entry *entry)
{
    return add_told(w, entry, what, NULL);
}

static bool is_same_file(const struct state *a, const struct state *b)
{
    return a->inode == b->inode && a->device == b->device &&
           (a->mode & S_IFMT) == (b->mode & S_IFMT);
}

/* Kernels list in an order of their own that mostly stays: behind the last one is looked first. */
static struct entry *find_child(struct entry *parent, const char *name, struct entry *last)
{
    struct entry *begin = last != NULL && last->next != NULL ? last->next : parent->children;
    for (struct entry *at = begin; at != NULL; at = at->next)
        if (strcmp(at->name, name) == 0) return at;
    for (struct entry *at = parent->children; at != begin; at = at->next)
        if (strcmp(at->name, name) == 0) return at;
    return NULL;
}

/* Of one without a note of its own. */
static bool note_difference(struct watching *w, struct entry *entry, const struct state *is)
{
    const struct state was = entry->state;
    entry->state = *is;
    if (entry->fd >= 0 || entry->is_fresh || !w->has_started) return true;
    if (was.size != is->size || was.changed_ns != is->changed_ns) entry->noted |= NOTE_WRITE;
    else if (was.touched_ns != is->touched_ns) entry->noted |= NOTE_ATTRIB;
    return true;
}

static bool take_found(struct watching *w, const struct found *found, struct entry **last)
{
    struct entry *parent = w->listed, *entry = find_child(parent, found->name, *last);
    if (entry != NULL && is_same_file(&entry->state, &found->state)) {
        entry->is_seen = true;
        *last = entry;
        return note_difference(w, entry, &found->state);
    }
    entry = entry_make(w, parent, found->name);
    if (entry == NULL) return false;
    entry->state = found->state;
    entry->is_seen = entry->is_fresh = true;
    entry->next = parent->children;
    parent->children = entry;
    return true;
}

static void move_to_gone(struct watching *w, struct entry *entry)
{
    entry->next = NULL;
    *w->gone_end = entry;
    w->gone_end = &entry->next;
}

/* Takes the listing of w->listed into the picture. */
bool tree_take_listing(struct watching *w)
{
    struct entry *last = NULL;
    for (size_t at = 0; at < w->course.found_bytes;) {
        const struct found *found = (const void *)(w->course.found + at);
        if (!take_found(w, found, &last)) return false;
        at += found->bytes;
    }
    for (struct entry **link = &w->listed->children; *link != NULL;) {
        struct entry *entry = *link;
        if (entry->is_seen) {
            entry->is_seen = false;
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        move_to_gone(w, entry);
    }
    return true;
}

/* The entry that a file which is gone has become, or NULL. */
static struct entry *renamed_to(const struct watching *w, const struct entry *gone)
{
    for (struct entry *entry = w->root; entry != NULL; entry = entry_next(entry)) {
        bool is_it = entry->is_fresh && is_same_file(&entry->state, &gone->state);
        bool is_alike = entry->state.size == gone->state.size &&
                        entry->state.changed_ns == gone->state.changed_ns;
        if (is_it && (gone->fd >= 0 || is_alike)) return entry;
    }
    return NULL;
}

/* Puts the one that was gone where the fresh one is. */
static bool rename_entry(struct watching *w, struct entry *gone, struct entry *fresh)
{
    char buf[PATH_MAX], *name = gone->name;
    const char *old_path = path_of(gone, buf);
    bool was_wanted = entry_is_wanted(w, gone);
    struct entry **link = &fresh->parent->children;
    while (*link != fresh) link = &(*link)->next;
    *link = gone;
    gone->next = fresh->next;
    gone->parent = fresh->parent;
    gone->name = fresh->name;
    gone->state = fresh->state;
    fresh->name = name;
    free_entry(w, fresh);
    if (gone->fd < 0) open_soon(w, gone);
    bool is_told = w->has_started && (was_wanted || entry_is_wanted(w, gone));
    if (old_path == NULL || !is_told) return true;
    return add_told(w, gone, HARK_WATCH_RENAMED, old_path);
}

/* First the renames: what was in a directory that is gone may have been moved before. */
static bool compare_gone(struct watching *w)
{
    for (struct entry **link = &w->gone; *link != NULL;) {
        struct entry *gone = *link, *fresh = gone->is_fresh ? NULL : renamed_to(w, gone);
        if (fresh != NULL) {
            *link = gone->next;
            if (*link == NULL) w->gone_end = link;
            if (!rename_entry(w, gone, fresh)) return false;
            continue;
        }
        if (gone->children != NULL) { /* before the one above them */
            struct entry *last = gone->children;
            while (last->next != NULL) last = last->next;
            last->next = gone;
            *link = gone->children;
            gone->children = NULL;
            continue;
        }
        link = &gone->next;
    }
    return true;
}

/* One that another was renamed to is replaced, and not told. */
static bool drop_gone(struct watching *w)
{
    bool has_memory = true;
    while (w->gone != NULL) {
        struct entry *gone = w->gone, *now = find_child(gone->parent, gone->name, NULL);
        bool is_replaced = now != NULL && !now->is_fresh;
        bool is_told = w->has_started && !gone->is_fresh && entry_is_wanted(w, gone);
        if (is_told && !is_replaced)
            has_memory = has_memory && tree_tell(w, HARK_WATCH_DELETED, gone);
        w->gone = gone->next;
        free_entry(w, gone);
    }
    w->gone_end = &w->gone;
    return has_memory;
}

static bool tell_noted(struct watching *w, struct entry *entry, unsigned noted)
{
    bool is_told = w->has_started && entry_is_wanted(w, entry) && entry->parent != NULL;
    bool is_written = noted & (NOTE_WRITE | NOTE_EXTEND) && !is_directory(entry);
    unsigned touches = is_directory(entry) ? NOTE_ATTRIB : NOTE_ATTRIB | NOTE_LINK;
    if (entry->parent == NULL) {
        if (noted & (NOTE_DELETE | NOTE_RENAME | NOTE_REVOKE)) course_fail(&w->course, -ENOENT);
        is_told = w->has_started && w->course.file == NULL;
    }
    if (is_told && is_written && !tree_tell(w, HARK_WATCH_CHANGED, entry)) return false;
    return !is_told || !(noted & touches) || tree_tell(w, HARK_WATCH_ATTRIBUTES, entry);
}

static bool take_fresh(struct watching *w, struct entry *entry)
{
    bool is_told = w->has_started || w->course.options.tells_existing;
    entry->is_fresh = false;
    open_soon(w, entry);
    if (!is_told || !entry_is_wanted(w, entry)) return true;
    return tree_tell(w, HARK_WATCH_CREATED, entry);
}

/* Before the start nothing is told but what is there; what has been told so waits for it. */
bool tree_can_compare_gone(const struct watching *w)
{
    return w->has_started || !w->course.options.tells_existing;
}

/* All directories have been listed. */
bool tree_compare(struct watching *w)
{
    if (tree_can_compare_gone(w) && (!compare_gone(w) || !drop_gone(w))) return false;
    for (struct entry *entry = w->root; entry != NULL; entry = entry_next(entry)) {
        unsigned noted = entry->noted;
        entry->noted = 0;
        if (entry->is_fresh && !take_fresh(w, entry)) return false;
        if (noted != 0 && !tell_noted(w, entry, noted)) return false;
    }
    return true;
}

static void free_below(struct watching *w, struct entry *top)
{
    for (struct entry *entry = top; entry != NULL;) {
        if (entry->children != NULL) { /* flattened, so that each is met once */
            struct entry *last = entry->children;
            while (last->next != NULL) last = last->next;
            last->next = entry->next;
            entry->next = entry->children;
            entry->children = NULL;
        }
        struct entry *next = entry->next;
        free_entry(w, entry);
        entry = next;
    }
}

void tree_free(struct watching *w)
{
    free_below(w, w->gone);
    free_below(w, w->root);
    w->gone = w->root = NULL;
    course_clear(&w->course);
}
