/* EVFILT_READ and EVFILT_WRITE of the emulated kqueue(2): both of one descriptor are one entry of
 * the epoll set, whose reports are taken apart again. See emulate.c. */
#include "emulate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ, WRITE };

static bool is_on(const struct note *note) { return note->is_used && note->is_enabled; }

/* Makes the entry of the descriptor what its two notes ask for. 0 or an errno. */
static int renew(struct queue *queue, int fd)
{
    const struct note *read = &queue->sides[READ][fd], *write = &queue->sides[WRITE][fd];
    struct epoll_event event = { .data.u64 = tag_of(TAG_FD, (unsigned)fd) };
    if (read->is_file || write->is_file) return 0;
    if (is_on(read)) event.events |= EPOLLIN | EPOLLRDHUP;
    if (is_on(write)) event.events |= EPOLLOUT;
    if (is_on(read) && is_on(write) && (read->flags ^ write->flags) & EV_CLEAR)
        emulate_refuse("EV_CLEAR on one side of a descriptor only");
    if ((is_on(read) ? read->flags : write->flags) & EV_CLEAR) event.events |= EPOLLET;
    if (event.events == 0 || event.events == EPOLLET) {
        (void)epoll_ctl(queue->fd, EPOLL_CTL_DEL, fd, &event); /* or it was not there */
        return 0;
    }
    if (epoll_ctl(queue->fd, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
    if (errno != ENOENT) return errno;
    return epoll_ctl(queue->fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

/* epoll(7) refuses what kqueue(2) takes as a vnode; devices that cannot wait both refuse. */
static int add_file(struct queue *queue, struct note *note, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return errno;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return ENODEV;
    if (queue->file_count == FILES_MAX) emulate_refuse("so many files");
    note->is_file = true;
    queue->files[queue->file_count++] = fd;
    return 0;
}

static void drop_file(struct queue *queue, int fd)
{
    for (int i = 0; i < queue->file_count; i++)
        if (queue->files[i] == fd) queue->files[i--] = queue->files[--queue->file_count];
}

static void drop(struct queue *queue, struct note *note, int fd)
{
    if (note->is_file) drop_file(queue, fd);
    *note = (struct note){ .is_used = false };
}

int side_change(struct queue *queue, const struct kevent *change)
{
    struct stat st;
    if (change->ident >= FDS_MAX || fstat((int)change->ident, &st) != 0) return EBADF;
    int fd = (int)change->ident;
    struct note *note = &queue->sides[change->filter == EVFILT_READ ? READ : WRITE][fd];
    bool was_used = note->is_used;
    if (!was_used && !(change->flags & EV_ADD)) return ENOENT;
    if (change->flags & EV_DELETE) {
        drop(queue, note, fd);
        return renew(queue, fd);
    }
    (void)note_apply(note, change);
    int error = renew(queue, fd);
    if (error == EPERM) error = add_file(queue, note, fd);
    if (error != 0 && !was_used) *note = (struct note){ .is_used = false };
    return error;
}

void side_forget(struct queue *queue, int fd)
{
    if (!queue->sides[READ][fd].is_used && !queue->sides[WRITE][fd].is_used) return;
    drop(queue, &queue->sides[READ][fd], fd);
    drop(queue, &queue->sides[WRITE][fd], fd);
    (void)renew(queue, fd);
}

/* How many bytes, connections, or room. */
static int64_t amount(int fd, int side)
{
    int is_listener = 0, bytes = 0;
    struct tcp_info info;
    socklen_t len = sizeof is_listener, info_len = sizeof info;
    if (side == WRITE) return 1; /* kernels differ widely in what they count as room */
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &len) == 0 && is_listener) {
        bool is_tcp = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_len) == 0;
        return is_tcp ? info.tcpi_unacked : 1;
    }
    return ioctl(fd, FIONREAD, &bytes) == 0 ? bytes : 0;
}

static void report(struct queue *queue, struct note *note, bool is_end, struct kevent *event)
{
    int fd = (int)note->ident;
    note_event(note, event);
    event->data = amount(fd, note->filter == EVFILT_READ ? READ : WRITE);
    if (is_end) event->flags |= EV_EOF;
    note_reported(note);
    if (!note->is_used) drop(queue, note, fd);
    if (note->flags & (EV_ONESHOT | EV_DISPATCH) || !note->is_used) (void)renew(queue, fd);
}

int side_harvest(struct queue *queue, const struct epoll_event *found, struct kevent *events,
                 int room)
{
    static const uint32_t any[2] = { EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR,
                                     EPOLLOUT | EPOLLHUP | EPOLLERR };
    static const uint32_t ends[2] = { EPOLLRDHUP | EPOLLHUP | EPOLLERR, EPOLLHUP | EPOLLERR };
    int fd = (int)(found->data.u64 & 0xffffffff), count = 0;
    int first = queue->sides[READ][fd].goes_second ? WRITE : READ;
    for (int i = 0; i < 2; i++) {
        int side = i == 0 ? first : 1 - first;
        struct note *note = &queue->sides[side][fd];
        if (!is_on(note) || !(found->events & any[side])) continue;
        if (count == room) { /* it goes first the next time */
            if (note->flags & EV_CLEAR) emulate_refuse("EV_CLEAR without room for both sides");
            queue->sides[READ][fd].goes_second = side == WRITE;
            break;
        }
        report(queue, note, found->events & ends[side], &events[count++]);
    }
    return count;
}

/* A regular file can be read while there is something behind its offset. */
static bool is_file_active(const struct note *note)
{
    struct stat st;
    if (!is_on(note)) return false;
    if (note->filter == EVFILT_WRITE || fstat((int)note->ident, &st) != 0) return true;
    return S_ISDIR(st.st_mode) || lseek((int)note->ident, 0, SEEK_CUR) != st.st_size;
}

bool side_files_are_active(struct queue *queue)
{
    for (int i = 0; i < queue->file_count; i++)
        for (int side = 0; side < 2; side++)
            if (is_file_active(&queue->sides[side][queue->files[i]])) return true;
    return false;
}

int side_files_harvest(struct queue *queue, struct kevent *events, int room)
{
    int count = 0;
    for (int i = 0; i < queue->file_count; i++)
        for (int side = 0; side < 2; side++) {
            struct note *note = &queue->sides[side][queue->files[i]];
            if (count < room && is_file_active(note))
                report(queue, note, false, &events[count++]);
        }
    return count;
}
