/* kqueue(2), level-triggered: macOS and the BSDs. Its habits, and what is done about them:
 *
 *  a. A change that fails stops the call when the event list has no room for its error. So changes
 *     go with a wait only when there is room for an error of each, and one by one otherwise: then
 *     the call's own error is the change's. That needs no EV_RECEIPT, which NetBSD lacked for long.
 *  b. A change overwrites udata: it is told again in every change.
 *  c. EV_EOF can come while bytes are left, and the error of a socket is in fflags: neither is
 *     believed. The side is reported ready, and the system call that follows learns the truth.
 *  d. A descriptor that is closed takes its filters with it, and its number may come back at once:
 *     what an io still has to be told is dropped, and the filters are deleted, before the close.
 *  e. A regular file is ready while there is something behind its offset, so a read at the end
 *     would wait for ever: such a file is refused here, as epoll(7) refuses it. Character devices
 *     that cannot wait are refused by the kernel.
 *  f. A queue is not inherited by fork(2): in the child its number may be another's.
 *  g. EVFILT_USER came late to NetBSD and OpenBSD: without it a pipe is watched instead. */
#include "backend/poller.h"

#include <errno.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"

/* An io that is watched in another way than the kernel has been told; io->index is its place. */
struct changed { struct hark_io *io; unsigned had; };

enum { CHANGED_MAX = LIMIT_EVENTS / 2 }; /* two filters each */

struct kqueue {
    int fd;
    unsigned changed_count;
    struct changed changed[CHANGED_MAX];
    struct kevent changes[LIMIT_EVENTS], events[LIMIT_EVENTS];
};

static const struct timespec at_once;

/* One change, and whatever it says: 0 or a negative errno. */
static int change_now(const struct kqueue *k, const struct kevent *change)
{
    while (kevent(k->fd, change, 1, NULL, 0, &at_once) < 0)
        if (errno != EINTR) return -errno;
    return 0;
}

static void change_side(struct kevent *change, struct hark_io *io, int side, bool is_wanted)
{
    EV_SET(change, (uintptr_t)io->fd, side == SIDE_READ ? EVFILT_READ : EVFILT_WRITE,
           is_wanted ? EV_ADD : EV_DELETE, 0, 0, io);
}

#ifdef EVFILT_USER
static void kqueue_wake(struct poller *poller)
{
    const struct kqueue *k = poller->state;
    struct kevent change; /* EV_CLEAR again would clear what is triggered here */
    int error = errno;
    EV_SET(&change, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0, &poller->wake);
    (void)change_now(k, &change); /* fails only when it is not there: the queue is being closed */
    errno = error;
}

static bool open_wake(struct poller *poller, const struct kqueue *k)
{
    struct kevent change;
    EV_SET(&change, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, &poller->wake);
    return change_now(k, &change) == 0;
}
#else
static void kqueue_wake(struct poller *poller) { (void)poller; /* never asked for: habit g */ }
static bool open_wake(struct poller *poller, const struct kqueue *k)
{
    (void)poller, (void)k;
    return false;
}
#endif

static int kqueue_open(struct poller *poller)
{
    struct kqueue *k = backend_resize(poller->backend, NULL, 0, sizeof *k);
    if (k == NULL) return -ENOMEM;
    k->changed_count = 0;
    k->fd = kqueue();
    if (k->fd < 0 || fcntl(k->fd, F_SETFD, FD_CLOEXEC) < 0) {
        int error = -errno;
        if (k->fd >= 0) (void)close(k->fd); /* holds nothing that could be lost */
        backend_resize(poller->backend, k, sizeof *k, 0);
        return error;
    }
    poller->state = k;
    poller->wakes_itself = open_wake(poller, k);
    return 0;
}

static void kqueue_close(struct poller *poller)
{
    struct kqueue *k = poller->state;
    if (!poller->backend->is_inherited) (void)close(k->fd); /* habit f; it holds nothing to lose */
    backend_resize(poller->backend, k, sizeof *k, 0);
}

/* Forgets that io still has something to be told; the sides that the kernel does know. */
static unsigned settle(struct kqueue *k, struct hark_io *io)
{
    if (io->index < 0) return io->watched;
    struct changed *hole = &k->changed[io->index];
    unsigned had = hole->had;
    *hole = k->changed[--k->changed_count];
    hole->io->index = io->index;
    io->index = -1;
    return had;
}

/* Makes the kernel watch want instead of had, now. */
static int change_sides(const struct kqueue *k, struct hark_io *io, unsigned had, unsigned want)
{
    int result = 0;
    for (int side = SIDE_READ; side <= SIDE_WRITE; side++) {
        struct kevent change;
        if (!((had ^ want) & 1u << side)) continue;
        change_side(&change, io, side, want & 1u << side);
        int error = change_now(k, &change);
        if (error != 0 && !(change.flags & EV_DELETE && error == -ENOENT)) result = error;
    }
    return result;
}

static mode_t type_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_mode & S_IFMT : 0; /* the change will tell */
}

/* A device is asked at once: it may be one that never blocks. Habit e. */
static int set_device(const struct kqueue *k, struct hark_io *io, unsigned want)
{
    int error = change_sides(k, io, 0, want);
    return error == -ENODEV || error == -EINVAL || error == -EOPNOTSUPP ? -EPERM : error;
}

static int kqueue_set(struct poller *poller, struct hark_io *io, unsigned want)
{
    struct kqueue *k = poller->state;
    if (want == 0) return change_sides(k, io, settle(k, io), 0);
    if (io->index >= 0) return 0; /* what is wanted is looked up when the changes go */
    mode_t type = io->watched == 0 ? type_of(io->fd) : 0;
    if (S_ISREG(type) || S_ISDIR(type) || S_ISBLK(type)) return -EPERM;
    if (S_ISCHR(type)) return set_device(k, io, want);
    if (k->changed_count == CHANGED_MAX) return change_sides(k, io, io->watched, want);
    io->index = (int32_t)k->changed_count;
    k->changed[k->changed_count++] = (struct changed){ io, io->watched };
    return 0;
}

static int change_count(struct kqueue *k)
{
    int count = 0;
    for (unsigned i = 0; i < k->changed_count; i++) {
        struct hark_io *io = k->changed[i].io;
        unsigned differ = k->changed[i].had ^ io->watched;
        for (int side = SIDE_READ; side <= SIDE_WRITE; side++)
            if (differ & 1u << side)
                change_side(&k->changes[count++], io, side, io->watched & 1u << side);
    }
    return count;
}

static void changes_are_made(struct kqueue *k)
{
    for (unsigned i = 0; i < k->changed_count; i++) k->changed[i].io->index = -1;
    k->changed_count = 0;
}

/* A change has failed: ENOENT says that what was to be forgotten is forgotten already. */
static void change_failed(struct poller *poller, const struct kevent *change, int error)
{
    struct hark_io *io = (void *)(uintptr_t)change->udata;
    unsigned mask = change->filter == EVFILT_READ ? WATCH_READ : WATCH_WRITE;
    if (error != 0 && error != ENOENT) poller_refused(poller, io, mask, error);
}

/* One by one, where they cannot go with a wait: habit a. */
static void kqueue_hand_over(struct poller *poller)
{
    struct kqueue *k = poller->state;
    int count = change_count(k);
    changes_are_made(k);
    for (int i = 0; i < count; i++)
        change_failed(poller, &k->changes[i], -change_now(k, &k->changes[i]));
}

static void take(struct poller *poller, const struct kevent *event)
{
    if (event->flags & EV_ERROR) {
        change_failed(poller, event, (int)event->data);
        return;
    }
    if (event->filter == EVFILT_READ)
        poller_ready(poller, (void *)(uintptr_t)event->udata, WATCH_READ);
    else if (event->filter == EVFILT_WRITE)
        poller_ready(poller, (void *)(uintptr_t)event->udata, WATCH_WRITE);
    /* or EVFILT_USER, whose work is done by its coming */
}

static int kqueue_poll(struct poller *poller, int64_t timeout_ns, unsigned most)
{
    struct kqueue *k = poller->state;
    int room = most < LIMIT_EVENTS ? (int)most : LIMIT_EVENTS, change_room = change_count(k);
    if (change_room > room) {
        kqueue_hand_over(poller);
        change_room = 0;
        if (!chain_is_empty(&poller->backend->due)) timeout_ns = 0;
    }
    struct timespec ts = clock_timespec(timeout_ns);
    int count = kevent(k->fd, k->changes, change_room, k->events, room,
                       timeout_ns < 0 ? NULL : &ts);
    if (count < 0 && errno != EINTR) return -errno; /* the changes are made again, which is safe */
    changes_are_made(k);
    for (int i = 0; i < count; i++) take(poller, &k->events[i]);
    return 0;
}

static int kqueue_kernel_fd(const struct poller *poller)
{
    const struct kqueue *k = poller->state;
    return k->fd;
}

const struct poller_ops kqueue_poller = {
    .open = kqueue_open, .close = kqueue_close, .set = kqueue_set, .poll = kqueue_poll,
    .hand_over = kqueue_hand_over, .kernel_fd = kqueue_kernel_fd, .wake = kqueue_wake,
};
