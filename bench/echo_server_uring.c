/* The hand-written io_uring loop that hark is measured against: multishot accept, multishot receive
 * into a buffer ring, one io_uring_enter a batch. Sends are taken to be whole, as they are while
 * each connection has one message under way. */
#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "serve.h"

enum { ENTRIES = 512, COMPLETIONS = 4096, GROUP = 0 };
enum work { ACCEPT, RECV, SEND };

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory;

static struct io_uring_sqe *take_entry(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (sqe != NULL) return sqe;
    if (io_uring_submit(&ring) < 0) serve_die("io_uring_submit");
    sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL) serve_die("submission queue");
    return sqe;
}

static void prepare(enum work work, int fd, unsigned buffer, size_t bytes)
{
    struct io_uring_sqe *sqe = take_entry();
    if (work == ACCEPT) {
        io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
    } else if (work == SEND) {
        char *data = memory + (size_t)buffer * SERVE_READ_BYTES;
        io_uring_prep_send(sqe, fd, data, bytes, MSG_NOSIGNAL);
    } else {
        io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = GROUP;
    }
    sqe->user_data = (uint64_t)work << 56 | (uint64_t)buffer << 32 | (uint32_t)fd;
}

static void give(unsigned buffer)
{
    io_uring_buf_ring_add(buffers, memory + (size_t)buffer * SERVE_READ_BYTES, SERVE_READ_BYTES,
                          (uint16_t)buffer, io_uring_buf_ring_mask(SERVE_BUFFERS), 0);
    io_uring_buf_ring_advance(buffers, 1);
}

static void open_ring(void)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETIONS,
    };
    int error = io_uring_queue_init_params(ENTRIES, &ring, &params);
    errno = -error;
    if (error != 0) serve_die("io_uring_queue_init_params");
    size_t bytes = SERVE_BUFFERS * sizeof(struct io_uring_buf);
    buffers = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffers == MAP_FAILED) serve_die("mmap");
    memory = serve_memory((size_t)SERVE_BUFFERS * SERVE_READ_BYTES);
    struct io_uring_buf_reg reg = { .ring_addr = (uint64_t)(uintptr_t)buffers,
                                    .ring_entries = SERVE_BUFFERS, .bgid = GROUP };
    error = io_uring_register_buf_ring(&ring, &reg, 0);
    errno = -error;
    if (error != 0) serve_die("io_uring_register_buf_ring");
    io_uring_buf_ring_init(buffers);
    for (unsigned i = 0; i < SERVE_BUFFERS; i++) give(i);
}

static void received(int fd, int result, unsigned flags)
{
    if (result > 0) {
        prepare(SEND, fd, flags >> IORING_CQE_BUFFER_SHIFT, (size_t)result);
        if (!(flags & IORING_CQE_F_MORE)) prepare(RECV, fd, 0, 0);
    } else if (result == -ENOBUFS) {
        prepare(RECV, fd, 0, 0); /* sends under way give theirs back */
    } else {
        if (flags & IORING_CQE_F_BUFFER) give(flags >> IORING_CQE_BUFFER_SHIFT);
        close(fd);
        serve_closed();
    }
}

static void completed(const struct io_uring_cqe *cqe, int listener)
{
    enum work work = (enum work)(cqe->user_data >> 56);
    unsigned buffer = cqe->user_data >> 32 & 0xffffff;
    int fd = (int)(uint32_t)cqe->user_data;
    errno = cqe->res < 0 ? -cqe->res : 0;
    switch (work) {
    case ACCEPT:
        if (cqe->res < 0) serve_die("accept");
        serve_connected(cqe->res);
        prepare(RECV, cqe->res, 0, 0);
        if (!(cqe->flags & IORING_CQE_F_MORE)) prepare(ACCEPT, listener, 0, 0);
        break;
    case RECV: received(fd, cqe->res, cqe->flags); break;
    case SEND: give(buffer); break; /* an error is told by the receive as well */
    }
}

int main(void)
{
    int listener = serve_listen();
    open_ring();
    prepare(ACCEPT, listener, 0, 0);
    for (;;) { /* serve_closed() ends it */
        int error = io_uring_submit_and_wait(&ring, 1);
        errno = -error;
        if (error < 0 && error != -EINTR && error != -EBUSY) serve_die("io_uring_enter");
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            completed(cqe, listener);
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
}
