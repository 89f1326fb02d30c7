/* select(2). Descriptors at or above FD_SETSIZE (1,024) are refused with -EMFILE, never written
 * past the end of the sets (trap 14). Larger sets would work on Linux, but nowhere else, and who
 * has so many descriptors wants another backend. */
#include "backend/poller.h"

#include <errno.h>
#include <string.h>
#include <sys/select.h>

#include "base/clock.h"

struct select_sets {
    fd_set read, write;
    int top;                        /* the highest descriptor in a set, or -1 */
    int from;                       /* where the next walk begins */
    struct hark_io *ios[FD_SETSIZE];
};

static int sets_open(struct poller *poller)
{
    struct select_sets *sets = backend_resize(poller->backend, NULL, 0, sizeof *sets);
    if (sets == NULL) return -ENOMEM;
    memset(sets, 0, sizeof *sets);
    FD_ZERO(&sets->read);
    FD_ZERO(&sets->write);
    sets->top = -1;
    poller->state = sets;
    return 0;
}

static void sets_close(struct poller *poller)
{
    backend_resize(poller->backend, poller->state, sizeof(struct select_sets), 0);
}

static int sets_set(struct poller *poller, struct hark_io *io, unsigned want)
{
    struct select_sets *sets = poller->state;
    int fd = io->fd;
    if (fd >= FD_SETSIZE) return -EMFILE;
    sets->ios[fd] = want != 0 ? io : NULL;
    if (want & WATCH_READ) FD_SET(fd, &sets->read);
    else FD_CLR(fd, &sets->read);
    if (want & WATCH_WRITE) FD_SET(fd, &sets->write);
    else FD_CLR(fd, &sets->write);
    if (want != 0 && fd > sets->top) sets->top = fd;
    while (sets->top >= 0 && sets->ios[sets->top] == NULL) sets->top--;
    return 0;
}

/* select(2) says EBADF for all when one descriptor was closed behind our back: finds out which. */
static int report_broken(struct poller *poller)
{
    struct select_sets *sets = poller->state;
    for (int fd = sets->top; fd >= 0; fd--)
        if (sets->ios[fd] != NULL && sys_descriptor_flags(fd) < 0)
            poller_ready(poller, sets->ios[fd], WATCH_BROKEN);
    return 0;
}

static int sets_poll(struct poller *poller, int64_t timeout_ns, unsigned most)
{
    struct select_sets *sets = poller->state;
    fd_set read = sets->read, write = sets->write;
    int top = sets->top;
    struct timespec ts = clock_timespec(timeout_ns);
    int ready = pselect(top + 1, &read, &write, NULL, timeout_ns < 0 ? NULL : &ts, NULL);
    if (ready < 0 && errno == EBADF) return report_broken(poller);
    if (ready < 0) return errno == EINTR ? 0 : -errno;
    unsigned left = (unsigned)ready < most ? (unsigned)ready : most;
    int fd = sets->from <= top ? sets->from : 0;
    for (int seen = 0; seen <= top && left > 0; seen++, fd = fd == top ? 0 : fd + 1) {
        unsigned mask = 0;
        if (FD_ISSET(fd, &read)) mask |= WATCH_READ;
        if (FD_ISSET(fd, &write)) mask |= WATCH_WRITE;
        if (mask == 0 || sets->ios[fd] == NULL) continue;
        left--;
        poller_ready(poller, sets->ios[fd], mask);
    }
    sets->from = fd;
    return 0;
}

const struct poller_ops select_poller = {
    .open = sets_open, .close = sets_close, .set = sets_set, .poll = sets_poll,
};
