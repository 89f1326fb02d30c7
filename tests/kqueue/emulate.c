/* kqueue(2) and kevent(2) on Linux, for tests only, and stricter than any kernel has to be. A queue
 * is an epoll set, so it can be polled and put into another. The rules of the BSDs that it keeps:
 *
 *  1. Closing a descriptor, by whatever call, ends its notes; a copy elsewhere keeps none alive.
 *  2. EBADF for a closed descriptor, ENOENT for changing or deleting what is not there, EINVAL for
 *     a filter that does not exist.
 *  3. A failing change takes a place in the event list; without room the call stops there, fails,
 *     and what follows is not done. With EV_RECEIPT each change takes one. If any did, the call
 *     returns at once. The other flags of the change stay in the report, as on macOS.
 *  4. Each change overwrites udata. EV_CLEAR cannot be changed after EV_ADD.
 *  5. EV_ONESHOT deletes, EV_DISPATCH disables, EV_CLEAR reports a change once.
 *  6. NOTE_TRIGGER with EV_CLEAR in the same change leaves nothing triggered.
 *  7. A queue is not inherited by fork(2): the child does not even have the descriptor.
 *  8. EVFILT_VNODE tells of a directory when it gets or loses an entry, and not of what is written
 *     into those; of a file when it is written, changed, renamed, or has no name left, also while
 *     it is open. What happens several times before it is fetched is told once.
 *  9. EVFILT_PROC knows no process that has ended already (ESRCH, macOS).
 *
 * What is not modelled ends the process with the reason. Not modelled without notice: fflags of
 * EV_EOF, since Linux cannot look at a socket's error without taking it; files that grow while
 * kevent() sleeps. */
#include "emulate.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int dup3(int fd, int to, int flags);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct queue *queues; /* mapped, so that no allocator of a test sees it */
static int queue_count;      /* places ever used */

void emulate_refuse(const char *why)
{
    fprintf(stderr, "kqueue emulator: not modelled: %s\n", why);
    abort();
}

/* A kernel is not interrupted by its own process's signal handlers. */
static void lock(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, before);
    pthread_mutex_lock(&mutex);
}

static void unlock(const sigset_t *before)
{
    int error = errno;
    pthread_mutex_unlock(&mutex);
    pthread_sigmask(SIG_SETMASK, before, NULL);
    errno = error;
}

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) emulate_refuse("a machine without memory");
    return memory;
}

/* What is closed so has to be opened so: the thread sanitizer, which sees neither, would take the
 * next one of that number for the old one. */
static void close_plainly(int fd) { (void)syscall(SYS_close, fd); }

static struct queue *find(int fd)
{
    for (int i = 0; i < queue_count; i++)
        if (queues[i].fd == fd && fd != 0) return &queues[i];
    return NULL;
}

static void end_queue(struct queue *queue)
{
    for (int i = 0; i < queue->other_count; i++)
        if (queue->others[i].is_used && queue->others[i].source >= 0)
            close_plainly(queue->others[i].source);
    if (queue->watcher != 0) close_plainly(queue->watcher);
    for (int i = 0; i < 2; i++) munmap(queue->sides[i], FDS_MAX * sizeof(struct note));
    close_plainly(queue->bell);
    queue->fd = 0;
}

/* Rule 7. */
static sigset_t before_fork;
static void fork_begins(void)
{
    sigset_t before;
    lock(&before);
    before_fork = before;
}

static void fork_ends(void)
{
    sigset_t before = before_fork; /* the next fork's, once it is unlocked */
    unlock(&before);
}

static void fork_child(void)
{
    for (int i = 0; i < queue_count; i++) {
        if (queues[i].fd == 0) continue;
        close_plainly(queues[i].fd);
        end_queue(&queues[i]);
    }
    fork_ends();
}

static void begin(void)
{
    queues = map(QUEUES_MAX * sizeof *queues);
    pthread_atfork(fork_begins, fork_ends, fork_child);
}

static int open_queue(struct queue *queue)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = tag_of(TAG_BELL, 0) };
    int fd = (int)syscall(SYS_epoll_create1, 0), bell = -1;
    if (fd >= 0) bell = (int)syscall(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bell < 0) {
        int error = errno;
        if (fd >= 0) close_plainly(fd);
        errno = error;
        return -1;
    }
    memset(queue, 0, sizeof *queue);
    queue->bell = bell;
    queue->fd = fd;
    for (int i = 0; i < 2; i++) queue->sides[i] = map(FDS_MAX * sizeof(struct note));
    if (epoll_ctl(fd, EPOLL_CTL_ADD, bell, &event) != 0) emulate_refuse("a queue without a bell");
    return fd;
}

int kqueue(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, begin);
    sigset_t before;
    lock(&before);
    int place = 0, fd = -1;
    while (place < queue_count && queues[place].fd != 0) place++;
    errno = EMFILE;
    if (place < QUEUES_MAX) fd = open_queue(&queues[place]);
    if (fd >= 0 && place == queue_count)
        __atomic_store_n(&queue_count, place + 1, __ATOMIC_RELAXED);
    unlock(&before);
    return fd;
}

bool note_apply(struct note *note, const struct kevent *change)
{
    if (change->flags & EV_ADD && !note->is_used)
        note->flags = change->flags & (EV_ONESHOT | EV_CLEAR | EV_DISPATCH);
    if (change->flags & EV_ADD) note->is_used = note->is_enabled = true;
    if (change->flags & EV_ENABLE) note->is_enabled = true;
    if (change->flags & EV_DISABLE) note->is_enabled = false;
    note->udata = change->udata; /* rule 4 */
    note->ident = change->ident;
    note->filter = change->filter;
    return note->is_enabled;
}

void note_event(struct note *note, struct kevent *event)
{
    memset(event, 0, sizeof *event);
    event->ident = note->ident;
    event->filter = (short)note->filter;
    event->flags = (unsigned short)note->flags;
    event->udata = note->udata;
}

/* Rule 5. */
void note_reported(struct note *note)
{
    if (note->flags & EV_ONESHOT) note->is_used = note->is_enabled = false;
    else if (note->flags & EV_DISPATCH) note->is_enabled = false;
}

static int other_change(struct queue *queue, const struct kevent *change)
{
    struct note *at = NULL, *empty = NULL, *end = queue->others + queue->other_count;
    for (struct note *note = queue->others; note < end; note++) {
        bool is_it = note->is_used && note->filter == change->filter;
        if (is_it && note->ident == change->ident) at = note;
        else if (!note->is_used && empty == NULL) empty = note;
    }
    if (at == NULL && !(change->flags & EV_ADD)) return ENOENT;
    if (change->flags & EV_DELETE) {
        at->is_used = false;
        source_close(queue, at);
        return 0;
    }
    if (at == NULL) {
        if (empty == NULL && queue->other_count == OTHERS_MAX) return ENOMEM;
        if (empty == NULL) empty = &queue->others[queue->other_count++];
        *empty = (struct note){ .source = -1 };
        int error = source_open(queue, empty, change);
        if (error != 0) return error;
        (void)note_apply(empty, change);
        return source_change(empty, change);
    }
    (void)note_apply(at, change);
    return source_change(at, change);
}

static int change_one(struct queue *queue, const struct kevent *change)
{
    switch (change->filter) {
    case EVFILT_READ: case EVFILT_WRITE: return side_change(queue, change);
    case EVFILT_USER: case EVFILT_TIMER: case EVFILT_PROC: case EVFILT_VNODE:
        return other_change(queue, change);
    default: return EINVAL;
    }
}

/* Rule 3. The number of places taken, or -1 and errno. */
static int make_changes(struct queue *queue, const struct kevent *changes, int count,
                        struct kevent *events, int room)
{
    int taken = 0;
    for (int i = 0; i < count; i++) {
        struct kevent change = changes[i]; /* the lists may be one */
        int error = change_one(queue, &change);
        if (error == 0 && !(change.flags & EV_RECEIPT)) continue;
        if (taken == room) {
            errno = error;
            return error == 0 ? taken : -1;
        }
        change.flags |= EV_ERROR;
        change.data = error;
        events[taken++] = change;
    }
    return taken;
}

static bool is_ready(const struct note *note)
{
    return note->is_used && note->is_enabled && note->is_active;
}

static int harvest_bell(struct queue *queue, struct kevent *events, int room)
{
    int count = 0;
    bool is_left = false;
    for (struct note *note = queue->others; note < queue->others + queue->other_count; note++) {
        if (!is_ready(note)) continue;
        if (count == room) {
            is_left = true;
            break;
        }
        if (source_take(queue, note, &events[count])) count++;
    }
    count += side_files_harvest(queue, events + count, room - count);
    uint64_t rung;
    if (!is_left && read(queue->bell, &rung, sizeof rung) < 0) {} /* not rung: as well */
    return count;
}

static void ring(struct queue *queue)
{
    uint64_t one = 1;
    if (write(queue->bell, &one, sizeof one) < 0) {} /* rung often enough */
}

static void ring_if_ready(struct queue *queue)
{
    bool rings = queue->file_count != 0 && side_files_are_active(queue);
    const struct note *end = queue->others + queue->other_count;
    for (const struct note *note = queue->others; note < end && !rings; note++)
        rings = is_ready(note);
    if (rings) ring(queue);
}

static int harvest(struct queue *queue, const struct epoll_event *reports, int report_count,
                   struct kevent *events, int room)
{
    int count = 0;
    for (int i = 0; i < report_count; i++) {
        uint64_t kind = reports[i].data.u64 >> 32, number = reports[i].data.u64 & 0xffffffff;
        if (kind == TAG_WATCHER) {
            vnode_read(queue); /* told by the bell */
        } else if (kind == TAG_BELL) {
            count += harvest_bell(queue, events + count, room - count);
        } else if (kind == TAG_FD) {
            count += side_harvest(queue, &reports[i], events + count, room - count);
        } else if (count < room) {
            struct note *note = &queue->others[number];
            bool is_on = note->is_used && note->is_enabled;
            if (is_on && source_take(queue, note, &events[count])) count++;
        }
    }
    ring_if_ready(queue); /* what is still so is told again */
    return count;
}

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int wait_for_reports(int fd, struct epoll_event *reports, int room, int64_t until)
{
    if (until < 0) return epoll_wait(fd, reports, room, -1);
    int64_t left = until - now_ns();
    if (left < 0) left = 0;
    struct timespec ts = { left / 1000000000, left % 1000000000 };
    return epoll_pwait2(fd, reports, room, &ts, NULL);
}

static int64_t moment_after(const struct timespec *timeout)
{
    if (timeout == NULL) return -1;
    if (timeout->tv_sec == 0 && timeout->tv_nsec == 0) return 0;
    return now_ns() + timeout->tv_sec * INT64_C(1000000000) + timeout->tv_nsec;
}

int kevent(int fd, const struct kevent *changes, int change_count, struct kevent *events,
           int room, const struct timespec *timeout)
{
    struct epoll_event reports[64];
    int64_t until = moment_after(timeout);
    sigset_t before;
    if (timeout != NULL && (timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000)) {
        errno = EINVAL;
        return -1;
    }
    lock(&before);
    struct queue *queue = find(fd);
    int count = queue != NULL ? make_changes(queue, changes, change_count, events, room) : -1;
    if (queue == NULL) errno = EBADF;
    else ring_if_ready(queue);
    unlock(&before);
    if (count != 0 || room == 0) return count;
    do {
        int found = wait_for_reports(fd, reports, room < 64 ? room : 64, until);
        if (found <= 0) return found;
        lock(&before);
        count = harvest(queue, reports, found, events, room);
        unlock(&before);
    } while (count == 0);
    return count;
}

/* Rule 1. */
static void descriptor_ends(int fd)
{
    socket_forget(fd);
    if (__atomic_load_n(&queue_count, __ATOMIC_RELAXED) == 0) return;
    sigset_t before;
    lock(&before);
    for (int i = 0; i < queue_count; i++) {
        if (queues[i].fd == 0) continue;
        if (queues[i].fd == fd) end_queue(&queues[i]);
        else if (fd >= 0 && fd < FDS_MAX) side_forget(&queues[i], fd);
        if (queues[i].fd != 0 && queues[i].watcher != 0) vnode_forget(&queues[i], fd);
    }
    unlock(&before);
}

int close(int fd)
{
    descriptor_ends(fd);
    return (int)syscall(SYS_close, fd);
}

int dup2(int fd, int to)
{
    if (fd != to) descriptor_ends(to);
    return fd == to ? (int)syscall(SYS_fcntl, fd, 1 /* F_GETFD */) < 0 ? -1 : to
                    : (int)syscall(SYS_dup3, fd, to, 0);
}

int dup3(int fd, int to, int flags)
{
    if (fd != to) descriptor_ends(to);
    return (int)syscall(SYS_dup3, fd, to, flags);
}
