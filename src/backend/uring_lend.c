/* A ring that another event loop waits for: the kernel writes an eventfd for each completion. */
#include <errno.h>
#include <sys/epoll.h>

#include "backend/sys.h"
#include "backend/uring.h"

/* An eventfd, since a ring with deferred completions is not readable by itself on every kernel. */
int uring_lend(struct backend *backend, struct ready_set *set, struct hark_io *ios)
{
    struct uring *uring = backend->state;
    (void)ios;
    int fd = uring_eventfd();
    if (fd < 0) return fd;
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    int error = io_uring_register_eventfd(&uring->ring, fd);
    if (error == 0 && epoll_ctl(set->fd, EPOLL_CTL_ADD, fd, &event) != 0) error = -errno;
    if (error != 0) {
        (void)io_uring_unregister_eventfd(&uring->ring); /* or it was not */
        (void)sys_close(fd);
        return error;
    }
    uring->lent_fd = fd;
    sys_wake_signal(fd); /* there may be completions already */
    return 0;
}

/* A completion that is caused by a write to an eventfd, such as a wake-up, is told by the kernel a
 * little later; Linux 6.18 does so once for a registration, and then never again. */
static int renew(struct uring *uring)
{
    (void)io_uring_unregister_eventfd(&uring->ring); /* or the last renewal failed */
    return io_uring_register_eventfd(&uring->ring, uring->lent_fd);
}

/* What finds no room, or comes to its end while it is handed over, makes the set readable. */
void uring_hand_over(struct backend *backend)
{
    struct uring *uring = backend->state;
    int error = renew(uring);
    if (error == 0) error = uring_prepare(uring);
    if (error == 0 && io_uring_sq_ready(&uring->ring) != 0) error = io_uring_submit(&uring->ring);
    bool is_left = error < 0 || uring->backlog.head != NULL || uring->has_files_to_cancel;
    if (is_left || io_uring_cq_ready(&uring->ring) != 0 || uring_has_kernel_work(uring))
        sys_wake_signal(uring->lent_fd);
}
