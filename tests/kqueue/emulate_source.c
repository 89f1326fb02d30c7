/* The filters of the emulated kqueue(2) that are not about reading and writing: EVFILT_USER, and
 * those that a descriptor of Linux can tell: a timerfd, a pidfd. See emulate.c. */
#include "emulate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

bool emulate_lacks(const char *what)
{
    const char *list = getenv("KQUEUE_LACKS");
    return list != NULL && strstr(list, what) != NULL;
}

static int watch_source(struct queue *queue, struct note *note, int fd)
{
    uint64_t index = (uint64_t)(note - queue->others);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = tag_of(TAG_OTHER, index) };
    if (fd < 0) return errno;
    note->source = fd;
    return epoll_ctl(queue->fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

static bool has_ended(int pid)
{
    siginfo_t info = { 0 };
    int result = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return result == 0 && info.si_pid == pid;
}

/* Rule 9. */
static int open_process(struct queue *queue, struct note *note, const struct kevent *change)
{
    if (change->fflags != NOTE_EXIT) emulate_refuse("EVFILT_PROC for anything but NOTE_EXIT");
    if (has_ended((int)change->ident)) return ESRCH;
    return watch_source(queue, note, (int)syscall(SYS_pidfd_open, (int)change->ident, 0));
}

int source_open(struct queue *queue, struct note *note, const struct kevent *change)
{
    switch (change->filter) {
    case EVFILT_TIMER:
        return watch_source(queue, note, timerfd_create(CLOCK_MONOTONIC,
                                                        TFD_NONBLOCK | TFD_CLOEXEC));
    case EVFILT_PROC: return open_process(queue, note, change);
    case EVFILT_VNODE: return vnode_open(queue, note, change);
    default: return emulate_lacks("user") ? EINVAL : 0;
    }
}

static int64_t timer_ns(const struct kevent *change)
{
    switch (change->fflags) {
    case NOTE_SECONDS: return change->data * 1000000000;
    case NOTE_USECONDS: return change->data * 1000;
    case NOTE_NSECONDS: return change->data;
    case 0: case NOTE_MSECONDS: return change->data * 1000000;
    default: emulate_refuse("the unit of a timer");
    }
}

static int change_timer(struct note *note, const struct kevent *change)
{
    if (!(change->flags & EV_ADD)) return 0;
    int64_t ns = timer_ns(change);
    if (ns <= 0) return EINVAL; /* where it is not, it is at once */
    struct timespec span = { ns / 1000000000, ns % 1000000000 };
    struct itimerspec spec = { .it_value = span };
    if (!(change->flags & EV_ONESHOT)) spec.it_interval = span;
    return timerfd_settime(note->source, 0, &spec, NULL) == 0 ? 0 : errno;
}

/* Rule 6. */
static int change_user(struct note *note, const struct kevent *change)
{
    if (change->flags & EV_ADD) return 0;
    if (change->fflags & NOTE_TRIGGER) note->is_active = true;
    if (change->flags & EV_CLEAR) note->is_active = false;
    return 0;
}

int source_change(struct note *note, const struct kevent *change)
{
    note->fflags = change->fflags;
    if (change->filter == EVFILT_USER) return change_user(note, change);
    return change->filter == EVFILT_TIMER ? change_timer(note, change) : 0;
}

void source_close(struct queue *queue, struct note *note)
{
    if (note->filter == EVFILT_VNODE) vnode_close(queue, note);
    if (note->source >= 0) (void)syscall(SYS_close, note->source);
    note->source = -1;
    note->is_active = false;
}

static bool take_timer(struct note *note, struct kevent *event)
{
    uint64_t times;
    if (read(note->source, &times, sizeof times) != sizeof times) return false;
    event->data = (int64_t)times;
    return true;
}

static bool take_process(struct note *note, struct kevent *event)
{
    siginfo_t info = { 0 };
    event->fflags = NOTE_EXIT;
    event->flags |= EV_EOF | EV_ONESHOT;
    if (waitid(P_PID, (id_t)note->ident, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        event->data = info.si_status;
    note->flags |= EV_ONESHOT;
    return true;
}

bool source_take(struct queue *queue, struct note *note, struct kevent *event)
{
    bool has_happened = true;
    note_event(note, event);
    if (note->filter == EVFILT_TIMER) has_happened = take_timer(note, event);
    else if (note->filter == EVFILT_PROC) has_happened = take_process(note, event);
    else if (note->filter == EVFILT_VNODE) has_happened = vnode_take(note, event);
    else if (note->flags & EV_CLEAR) note->is_active = false;
    if (!has_happened) return false;
    note_reported(note);
    if (!note->is_used) source_close(queue, note);
    return true;
}
