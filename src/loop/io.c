/* An io: its two sides, its opening, and the close protocol.
 *
 *   closed --- io_open ---> open --- hark_close ---> closing --- io_end_close ---> closed
 *
 * While an io is closing, the op of hark_close() stands in waiting[] of both sides, so that the
 * last of the canceled ops finds it there and lets it go (io_pump). By then every other op of the
 * io has its place in front of it in the loop's queue: its callback comes first. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backend/sys.h"
#include "loop/loop.h"

/* waiting[side] is the last of a ring: its next is the first. */
static void ring_push(struct hark_op **last, struct hark_op *op)
{
    if (*last == NULL) {
        op->next = op;
    } else {
        op->next = (*last)->next;
        (*last)->next = op;
    }
    *last = op;
}

static struct hark_op *ring_pop(struct hark_op **last)
{
    struct hark_op *first = (*last)->next;
    if (first == *last) *last = NULL;
    else (*last)->next = first->next;
    return first;
}

/* Takes op out of the ring of its side. The one that times out first is mostly the first. */
bool io_unqueue(struct hark_io *io, struct hark_op *op)
{
    struct hark_op **last = &io->waiting[op_side(op)];
    struct hark_op *before = *last;
    while (before->next != op) {
        before = before->next;
        if (before == *last) return false;
    }
    if (before == op) {
        *last = NULL;
        return true;
    }
    before->next = op->next;
    if (*last == op) *last = before;
    return true;
}

/* Ends an op that came too late. The io may be gone before its callback: nothing of the op refers
 * to it any more. */
static void refuse(struct hark_op *op, struct hark_io *io)
{
    struct hark_loop *loop = io->loop;
    if (op->kind == OP_RECV_POOL) op->u.pool.pool->op_count--;
    if (op->kind == OP_RECV_RIGHTS) sys_drop_rights(op->u.rights.descriptors);
    op->kind = OP_REFUSED;
    op->on.loop = loop;
    op->flags = 0;
    op->deadline_ns = 0;
    op_end(loop, op, io->state == IO_DOOMED ? HARK_ECANCELED : HARK_EBADF, 0);
}

/* The slow way of a submission: there is a deadline, the side is busy, or the io takes no more. */
__attribute__((cold)) void io_submit_slowly(struct hark_op *op, struct hark_io *io)
{
    struct hark_loop *loop = io->loop;
    int side = op_side(op);
    REQUIRE(loop != NULL, "promise 3: an op was submitted on an io that was never opened");
    op->started = loop->age_now;
    loop->alive++;
    if (io->state != IO_OPEN) {
        refuse(op, io);
        return;
    }
    if (op->deadline_ns != 0) {
        op->flags |= FLAG_STEP;
        op_arm(loop, op, op->deadline_ns);
    }
    if (io->active[side] != NULL) {
        op->state = STATE_QUEUED;
        if (io->active[side] != &io_taken) io->active[side]->flags |= FLAG_STEP;
        ring_push(&io->waiting[side], op);
    } else {
        io->active[side] = op;
        if (!op_parks_itself(op, io, side)) loop->backend.ops->start(&loop->backend, op);
    }
}

static void finish_close(struct hark_io *io)
{
    struct hark_op *op = io->waiting[0];
    if (io->active[0] != NULL || io->active[1] != NULL) return;
    io->waiting[0] = io->waiting[1] = NULL;
    op_end(io->loop, op, 0, 0);
}

/* The op that had a side is about to be called back, and something waits on that side. */
void io_pump(struct hark_io *io, int side)
{
    io->active[side] = NULL;
    if (io->state == IO_CLOSING) {
        finish_close(io);
        return;
    }
    if (io->waiting[side] == NULL) return; /* canceled meanwhile */
    struct hark_loop *loop = io->loop;
    struct hark_op *op = ring_pop(&io->waiting[side]);
    op->state = STATE_RUNNING;
    if (io->waiting[side] != NULL) op->flags |= FLAG_STEP;
    io->active[side] = op;
    if (!op_parks_itself(op, io, side)) loop->backend.ops->start(&loop->backend, op);
}

struct hark_op io_taken;

static bool has_descriptor(const struct hark_loop *loop, int fd)
{
    size_t word = (size_t)fd / 64;
    return word < loop->descriptors_room && loop->descriptors[word] >> (fd % 64) & 1;
}

static int mark_descriptor(struct hark_loop *loop, int fd)
{
    size_t word = (size_t)fd / 64, room = loop->descriptors_room;
    if (word >= room) {
        size_t wider = word + 1 > 2 * room ? word + 1 : 2 * room;
        uint64_t *bits = loop_resize(loop, loop->descriptors, room * 8, wider * 8);
        if (bits == NULL) return HARK_ENOMEM;
        memset(bits + room, 0, (wider - room) * 8);
        loop->descriptors = bits;
        loop->descriptors_room = wider;
    }
    loop->descriptors[word] |= UINT64_C(1) << (fd % 64);
    return 0;
}

static void unmark_descriptor(struct hark_loop *loop, int fd)
{
    loop->descriptors[(size_t)fd / 64] &= ~(UINT64_C(1) << (fd % 64));
}

/* Opens io on fd. On failure the descriptor remains the caller's. */
int io_open(struct hark_io *io, struct hark_loop *loop, int fd, unsigned flags)
{
    REQUIRE(io->state == IO_CLOSED, "promise 3: an io was opened again before it was closed");
    if (loop->is_closing) return HARK_ECANCELED;
    if (has_descriptor(loop, fd)) return HARK_EEXIST;
    if (mark_descriptor(loop, fd) != 0) return HARK_ENOMEM;
    call_hush(fd); /* trap 19 */
    const char *place = io->place;
    *io = (struct hark_io){ .loop = loop, .fd = fd, .place = place, .index = -1,
                            .flags = (uint8_t)flags, .opened_ns = loop->now };
    int error = loop->backend.ops->adopt(&loop->backend, io);
    if (error != 0) {
        unmark_descriptor(loop, fd);
        io->fd = -1;
        return hark_error_from_os(-error);
    }
    io->state = IO_OPEN;
    io->all_next = loop->ios;
    if (loop->ios != NULL) loop->ios->all_prev = io;
    loop->ios = io;
    return 0;
}

int (hark_io_adopt)(struct hark_io *io, struct hark_loop *loop, int fd)
{
    int own = call_descriptor(fd), error = sys_descriptor_flags(own);
    if (error < 0) return hark_error_from_os(-error);
    return io_open(io, loop, own, (unsigned)error);
}

bool hark_io_is_open(const struct hark_io *io) { return io->state == IO_OPEN; }

/* Makes kernel and loop forget an idle io; its descriptor stays open. */
static int detach(struct hark_io *io)
{
    struct hark_loop *loop = io->loop;
    int fd = io->fd;
    loop->backend.ops->forget(&loop->backend, io); /* before the close: trap 2 */
    unmark_descriptor(loop, fd);
    if (io->flags & IO_WAS_BLOCKING) sys_set_blocking(fd);
    if (io->all_prev != NULL) io->all_prev->all_next = io->all_next;
    else loop->ios = io->all_next;
    if (io->all_next != NULL) io->all_next->all_prev = io->all_prev;
    io->state = IO_CLOSED;
    io->parks = 0;
    io->fd = -1;
    return fd;
}

struct search { const struct hark_io *io; bool is_found; };

static void look_for_io(struct hark_op *op, void *arg)
{
    struct search *search = arg;
    if (hark_op_io(op) == search->io) search->is_found = true;
}

int hark_io_release(struct hark_io *io)
{
    struct search search = { .io = io };
    if (io->state != IO_OPEN) return HARK_EBADF;
    for (int side = 0; side < 2; side++)
        if (io->active[side] != NULL || io->waiting[side] != NULL) return HARK_EBUSY;
    loop_each_due(io->loop, look_for_io, &search); /* has its result, but not its callback */
    return search.is_found ? HARK_EBUSY : detach(io);
}

/* Cancels what waits on an io, and asks for the end of what runs. */
void io_cancel_all(struct hark_io *io)
{
    for (int side = 0; side < 2; side++) {
        while (io->waiting[side] != NULL) {
            struct hark_op *op = io->waiting[side]->next;
            if (op->kind == OP_CLOSE) break;
            hark_cancel(op);
        }
        if (io->active[side] != NULL) hark_cancel(io->active[side]);
    }
}

void (hark_close)(struct hark_op *op, struct hark_io *io, hark_done_fn *done)
{
    struct hark_loop *loop = io->loop;
    REQUIRE(loop != NULL, "promise 3: hark_close() of an io that was never opened");
    op_begin_on_io(op, io, OP_CLOSE, done);
    op->started = loop->age_now;
    loop->alive++;
    if (io->state != IO_OPEN && io->state != IO_DOOMED) {
        refuse(op, io);
        return;
    }
    io_cancel_all(io);
    io->state = IO_CLOSING;
    io->parks = 0;
    op->next = op; /* a ring of one */
    io->waiting[0] = io->waiting[1] = op;
    finish_close(io);
}

/* All other ops of the io have had their callbacks: closes, just before the close's own. */
void io_end_close(struct hark_op *op)
{
    int error = sys_close(detach(op->on.io));
    if (error == 0) return;
    op->os_error = -error;
    op->result = hark_error_from_os(-error);
}

/* A receive of descriptors has failed. One that was asked to end can go on, unless its io ends. */
void io_end_rights(struct hark_op *op)
{
    bool was_asked = op->result == HARK_ECANCELED || op->result == HARK_ETIMEDOUT;
    if (!was_asked || op->on.io->state != IO_OPEN) sys_drop_rights(op->u.rights.descriptors);
}

/* Ends an io together with its loop. No op is alive. */
void io_shut(struct hark_io *io)
{
    (void)sys_close(detach(io)); /* nobody is left to hear of an error */
}
