/* How the disk is asked: entries are listed, opened and noted, on a thread of the pool. See
 * vnode.h. */
#include <sys/types.h> /* before event.h, which does not bring it */

#include <errno.h>
#include <fcntl.h>
#include <hark/file.h>
#include <stdio.h>
#include <string.h>
#include <sys/event.h>
#include <unistd.h>

#include "calls.h"
#include "watch/vnode.h"

enum { LIST_BYTES = 4096 };

struct state look_state(const struct stat *st)
{
    return (struct state){
        .device = (uint64_t)st->st_dev, .inode = (uint64_t)st->st_ino,
        .size = (int64_t)st->st_size, .mode = st->st_mode,
        .changed_ns = (int64_t)st->st_mtime * 1000000000 + CALL_NS(st, m),
        .touched_ns = (int64_t)st->st_ctime * 1000000000 + CALL_NS(st, c),
    };
}

/* False: there is no room. */
static bool add_found(struct watching *w, const struct stat *st, const char *name)
{
    size_t len = strlen(name) + 1, bytes = (sizeof(struct found) + len + 7) & ~(size_t)7;
    struct found *found = (void *)(w->course.found + w->course.found_bytes);
    if (bytes > w->course.found_room - w->course.found_bytes) return false;
    *found = (struct found){ .state = look_state(st), .bytes = bytes };
    memcpy(found->name, name, len);
    w->course.found_bytes += bytes;
    return true;
}

/* What is gone before it was looked at is another change of the directory. */
static bool add_some(struct watching *w, const char *list, int64_t len)
{
    struct hark_dir_entry entry;
    struct stat st;
    for (size_t at = 0; hark_dir_next(list, len, &at, &entry);) {
        bool is_there = fstatat(w->listed->fd, entry.name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (is_there && !add_found(w, &st, entry.name)) return false;
    }
    return true;
}

static int list(struct watching *w)
{
    _Alignas(8) char list[LIST_BYTES];
    ssize_t n;
    w->course.found_bytes = 0;
    if (lseek(w->listed->fd, 0, SEEK_SET) < 0) return errno;
    while ((n = call_read_dir(w->listed->fd, list, sizeof list)) > 0)
        if (!add_some(w, list, n)) return ENOBUFS;
    return n == 0 || errno == ENOENT ? 0 : errno; /* ENOENT: it has been removed */
}

int64_t look_list(struct hark_op *op)
{
    struct watching *w = op->user;
    w->listed->error = list(w);
    return 0;
}

static int open_entry(const struct watching *w, const struct entry *entry)
{
    int flags = O_NONBLOCK | O_CLOEXEC;
    if (entry->parent == NULL) {
        const char *path = w->path[0] != '\0' ? w->path : "/";
        return open(path, flags | O_RDONLY | O_DIRECTORY);
    }
    if (S_ISDIR(entry->state.mode)) flags |= O_RDONLY | O_DIRECTORY;
    else flags |= CALL_OPEN_EVENTS;
    return openat(entry->parent->fd, entry->name, flags | O_NOFOLLOW);
}

static int note(const struct watching *w, struct entry *entry)
{
    static const struct timespec at_once;
    struct kevent one;
    unsigned what = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK |
                    NOTE_RENAME | NOTE_REVOKE;
    EV_SET(&one, (uintptr_t)entry->fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, what, 0, entry);
    while (kevent(w->io.fd, &one, 1, NULL, 0, &at_once) < 0)
        if (errno != EINTR) return errno;
    return 0;
}

/* Its note first, then its state: what changes in between is told by one of the two. */
static int look_at(const struct watching *w, struct entry *entry)
{
    struct stat st;
    entry->fd = open_entry(w, entry);
    if (entry->fd < 0) return errno;
    int error = note(w, entry);
    if (error == 0 && fstat(entry->fd, &st) != 0) error = errno;
    struct state was = entry->state, is = error == 0 ? look_state(&st) : was;
    bool is_other = is.inode != was.inode || is.device != was.device;
    if (error == 0 && entry->parent != NULL && is_other) error = ENOENT;
    entry->state = is;
    if (is.size != was.size || is.changed_ns != was.changed_ns) entry->noted |= NOTE_WRITE;
    if (error == 0) return 0;
    (void)close(entry->fd); /* only read from */
    entry->fd = -1;
    entry->state = was;
    return error;
}

int64_t look_open(struct hark_op *op)
{
    struct watching *w = op->user;
    for (struct entry *entry = w->root; entry != NULL; entry = entry_next(entry))
        if (entry->is_to_open) entry->error = look_at(w, entry);
    return 0;
}
