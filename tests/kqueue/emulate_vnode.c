/* EVFILT_VNODE of the emulated kqueue(2): one inotify descriptor for each queue, whose events are
 * taken apart for the notes. It knows a file by its inode, so notes of one file share a number.
 * What it tells of a file that is unlinked and still open, and of a directory that is removed and
 * still open, is not what kqueue(2) tells: its links are looked at. See emulate.c. */
#include "emulate.h"

#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { INSIDE = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO };

static bool open_watcher(struct queue *queue)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = tag_of(TAG_WATCHER, 0) };
    if (queue->watcher != 0) return true;
    int fd = (int)syscall(SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0) return false;
    if (epoll_ctl(queue->fd, EPOLL_CTL_ADD, fd, &event) != 0) emulate_refuse("a deaf watcher");
    queue->watcher = fd;
    return true;
}

int vnode_open(struct queue *queue, struct note *note, const struct kevent *change)
{
    char path[64];
    struct stat st;
    int fd = (int)change->ident;
    if (fstat(fd, &st) != 0) return EBADF;
    if (!(change->flags & EV_CLEAR)) emulate_refuse("EVFILT_VNODE without EV_CLEAR");
    if (!open_watcher(queue)) return errno;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    uint32_t mask = IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | INSIDE | IN_MASK_ADD;
    note->links = st.st_nlink;
    note->above = -1;
    note->watch = inotify_add_watch(queue->watcher, path, mask);
    if (note->watch < 0) return errno == ENOENT ? EBADF : errno;
    if (!S_ISDIR(st.st_mode)) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d/..", fd);
    note->above = inotify_add_watch(queue->watcher, path, IN_DELETE | IN_MASK_ADD);
    return 0;
}

static bool is_watched(const struct queue *queue, int watch)
{
    const struct note *end = queue->others + queue->other_count;
    for (const struct note *note = queue->others; note < end; note++)
        if (note->is_used && note->filter == EVFILT_VNODE &&
            (note->watch == watch || note->above == watch)) return true;
    return false;
}

/* note is no longer used. */
void vnode_close(struct queue *queue, const struct note *note)
{
    if (!is_watched(queue, note->watch)) (void)inotify_rm_watch(queue->watcher, note->watch);
    if (note->above >= 0 && !is_watched(queue, note->above))
        (void)inotify_rm_watch(queue->watcher, note->above);
}

static unsigned meaning(struct note *note, const struct inotify_event *event)
{
    struct stat st;
    if (event->wd == note->watch && event->len != 0)
        return event->mask & INSIDE ? NOTE_WRITE : 0;
    bool may_be_gone = event->wd != note->watch || event->mask & (IN_ATTRIB | IN_DELETE_SELF);
    if (may_be_gone && fstat((int)note->ident, &st) == 0 && st.st_nlink != note->links) {
        note->links = st.st_nlink;
        return st.st_nlink == 0 ? NOTE_DELETE : NOTE_LINK;
    }
    if (event->wd != note->watch) return 0;
    if (event->mask & IN_MODIFY) return NOTE_WRITE;
    if (event->mask & IN_ATTRIB) return NOTE_ATTRIB;
    return event->mask & IN_MOVE_SELF ? NOTE_RENAME : 0;
}

static void tell(struct queue *queue, const struct inotify_event *event)
{
    struct note *end = queue->others + queue->other_count;
    if (event->mask & IN_Q_OVERFLOW) emulate_refuse("more changes of files than inotify holds");
    for (struct note *note = queue->others; note < end; note++) {
        bool is_it = note->is_used && note->filter == EVFILT_VNODE;
        if (!is_it || (note->watch != event->wd && note->above != event->wd)) continue;
        note->data |= meaning(note, event) & note->fflags;
        note->is_active = note->data != 0;
    }
}

void vnode_read(struct queue *queue)
{
    _Alignas(struct inotify_event) char buf[4096];
    ssize_t n;
    if (queue->watcher == 0) return;
    while ((n = read(queue->watcher, buf, sizeof buf)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const void *)(buf + at);
            tell(queue, event);
            at += (ssize_t)(sizeof *event + event->len);
        }
}

bool vnode_take(struct note *note, struct kevent *event)
{
    event->fflags = (unsigned)note->data;
    note->data = 0;
    note->is_active = false;
    return event->fflags != 0;
}

/* Rule 1. */
void vnode_forget(struct queue *queue, int fd)
{
    struct note *end = queue->others + queue->other_count;
    for (struct note *note = queue->others; note < end; note++) {
        bool is_it = note->is_used && note->filter == EVFILT_VNODE && note->ident == (uintptr_t)fd;
        if (!is_it) continue;
        note->is_used = note->is_active = false;
        vnode_close(queue, note);
    }
}
