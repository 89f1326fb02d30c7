/* poll(2). Every call hands the kernel the whole list, idle ones included: the cost of a turn grows
 * with the number of ios, which is this kernel interface's nature.
 *
 * The list is dense: the last entry fills the hole of one that goes, and io->index points back. */
#include "backend/poller.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"

struct poll_list {
    struct pollfd *entries;
    struct hark_io **ios;
    size_t count, room;
    size_t from; /* where the next walk begins, so that a budget cuts none off for ever */
};

static int list_open(struct poller *poller)
{
    struct poll_list *list = backend_resize(poller->backend, NULL, 0, sizeof *list);
    if (list == NULL) return -ENOMEM;
    *list = (struct poll_list){ 0 };
    poller->state = list;
    return 0;
}

static void list_close(struct poller *poller)
{
    struct poll_list *list = poller->state;
    backend_resize(poller->backend, list->entries, list->room * sizeof *list->entries, 0);
    backend_resize(poller->backend, list->ios, list->room * sizeof *list->ios, 0);
    backend_resize(poller->backend, list, sizeof *list, 0);
}

static int list_reserve(struct poller *poller, size_t io_count)
{
    struct poll_list *list = poller->state;
    if (io_count <= list->room) return 0;
    size_t room = list->room == 0 ? 16 : 2 * list->room, was = list->room;
    struct pollfd *entries = backend_resize(poller->backend, list->entries, was * sizeof *entries,
                                            room * sizeof *entries);
    if (entries == NULL) return -ENOMEM;
    list->entries = entries;
    struct hark_io **ios = backend_resize(poller->backend, list->ios, was * sizeof *ios,
                                          room * sizeof *ios);
    if (ios == NULL) { /* both arrays must be as long as room says */
        entries = backend_resize(poller->backend, entries, room * sizeof *entries,
                                 was * sizeof *entries);
        list->entries = was == 0 ? NULL : entries != NULL ? entries : list->entries;
        return -ENOMEM;
    }
    list->ios = ios;
    list->room = room;
    return 0;
}

static void fill_hole(struct poll_list *list, struct hark_io *io)
{
    size_t hole = (size_t)io->index, last = --list->count;
    list->entries[hole] = list->entries[last];
    list->ios[hole] = list->ios[last];
    list->ios[hole]->index = (int32_t)hole;
    io->index = -1;
}

static int list_set(struct poller *poller, struct hark_io *io, unsigned want)
{
    struct poll_list *list = poller->state;
    if (want == 0) {
        fill_hole(list, io);
        return 0;
    }
    if (io->watched == 0) {
        io->index = (int32_t)list->count++;
        list->ios[io->index] = io;
        list->entries[io->index] = (struct pollfd){ .fd = io->fd };
    }
    list->entries[io->index].events = (short)((want & WATCH_READ ? POLLIN : 0) |
                                              (want & WATCH_WRITE ? POLLOUT : 0));
    return 0;
}

static unsigned mask_of(short got)
{
    const short both = POLLERR | POLLHUP;
    unsigned mask = got & POLLNVAL ? WATCH_BROKEN : 0;
    if (got & (POLLIN | both)) mask |= WATCH_READ;
    if (got & (POLLOUT | both)) mask |= WATCH_WRITE;
    return mask;
}

static int list_poll(struct poller *poller, int64_t timeout_ns, unsigned most)
{
    struct poll_list *list = poller->state;
    struct timespec ts = clock_timespec(timeout_ns);
    int ready = call_poll(list->entries, (nfds_t)list->count, timeout_ns < 0 ? NULL : &ts);
    if (ready < 0) return errno == EINTR ? 0 : -errno;
    size_t left = (size_t)ready < most ? (size_t)ready : most;
    size_t at = list->from < list->count ? list->from : 0;
    for (size_t seen = list->count; seen > 0 && left > 0; seen--) {
        at = (at == 0 ? list->count : at) - 1; /* backwards: a hole is filled by one seen before */
        if (at >= list->count || list->entries[at].revents == 0) continue;
        short got = list->entries[at].revents;
        list->entries[at].revents = 0;
        left--;
        poller_ready(poller, list->ios[at], mask_of(got));
    }
    list->from = at;
    return 0;
}

const struct poller_ops poll_poller = {
    .open = list_open, .close = list_close, .reserve = list_reserve,
    .set = list_set, .poll = list_poll,
};
