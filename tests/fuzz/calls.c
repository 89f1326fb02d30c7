/* What a run does: one random call at a time, on a random op, io or peer. They come from between
 * the turns and from callbacks alike. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

/* An op that is not alive: a new one, or one that has been used before. NULL: all are alive. */
struct slot *slot_idle(void)
{
    for (uint32_t tries = 0, i = below(SLOTS); tries < SLOTS; tries++, i = (i + 1) % SLOTS) {
        struct slot *slot = world.slots[i];
        if (slot != NULL && slot->is_alive) continue;
        if (slot == NULL) slot = world.slots[i] = calloc(1, sizeof *slot);
        if (slot == NULL) fail("out of memory");
        return slot;
    }
    return NULL;
}

static struct slot *slot_any(void) { return world.slots[below(SLOTS)]; }

/* On a clock: a moment near now, in the past, or far away. */
int64_t some_moment(int64_t now)
{
    switch (below(8)) {
    case 0: return now - below(HARK_MILLISECOND);
    case 1: return now + 3600 * HARK_SECOND;
    case 2: return now + below(4); /* likely to be one of several */
    default: return now + below(3 * HARK_MILLISECOND);
    }
}

void slot_arm(struct slot *slot, int64_t moment)
{
    slot->deadline = moment;
    slot->armed_at = hark_now(world.loop);
    slot->arm_number = world.next_number++;
}

static void prepare(struct slot *slot, int verb, struct link *link)
{
    slot->verb = verb;
    slot->link = link;
    slot->number = world.next_number++;
    slot->is_alive = true;
    slot->is_asked = slot->is_refused = false;
    slot->was_closed = world.is_closing || (link != NULL && link->state != OPEN);
    slot->deadline = 0;
    slot->work_runs = 0;
    slot->calls = 0;
    slot->len = 1;
    slot->family = NULL;
    slot->subject = slot->other = slot->memory = NULL;
    slot->place = 0;
    slot->is_repeating = slot->is_close = slot->is_hurried = slot->is_cut = false;
    slot->op.deadline_ns = one_in(4) ? some_moment(hark_now(world.loop)) : 0;
    bool is_timed = verb_has_side(verb) || verb == OFFLOAD;
    if (is_timed && slot->op.deadline_ns != 0) slot_arm(slot, slot->op.deadline_ns);
    slot->op.label = one_in(4) ? "a label" : NULL;
}

/* NULL: there is no slot. was_closed and the rest that is special is the family's to set. */
struct slot *slot_prepare(const struct family *family, int verb, void *subject)
{
    struct slot *slot = slot_idle();
    if (slot == NULL) return NULL;
    prepare(slot, verb, NULL);
    slot->family = family;
    slot->subject = subject;
    if (slot->op.deadline_ns != 0) slot_arm(slot, slot->op.deadline_ns);
    return slot;
}

void *slot_take_memory(struct slot *slot, size_t len)
{
    slot->memory = calloc(1, len);
    if (slot->memory == NULL) fail("out of memory");
    return slot->memory;
}

void slot_take_buffer(struct slot *slot, size_t len)
{
    slot->len = len;
    slot->buf = malloc(len != 0 ? len : 1);
    if (slot->buf == NULL) fail("out of memory");
    for (size_t i = 0; i < len; i++) slot->buf[i] = pattern(slot->number, i);
}

size_t some_length(void)
{
    if (one_in(20)) return 0;
    return 1 + below(one_in(3) ? BYTES_MAX : 60);
}

static void submit_sendv(struct slot *slot)
{
    slot_take_buffer(slot, some_length());
    size_t at = 0;
    for (int i = 0; i < SLICES; i++) {
        size_t left = slot->len - at;
        size_t len = i == SLICES - 1 ? left : below((uint32_t)left + 1);
        slot->slices[i] = (struct iovec){ slot->buf + at, len };
        at += len;
    }
    hark_sendv(&slot->op, &slot->link->io, slot->slices, SLICES, model_called);
}

static void submit_sendto(struct slot *slot)
{
    struct link *link = slot->link;
    struct head head = { link->datagrams_sent++, (uint32_t)sizeof head + below(1000) };
    slot_take_buffer(slot, head.len);
    for (size_t i = sizeof head; i < head.len; i++) slot->buf[i] = pattern(head.number, i);
    memcpy(slot->buf, &head, sizeof head);
    slot->datagram = (struct hark_datagram){ .data = slot->buf, .len = head.len };
    socklen_t len = sizeof slot->datagram.peer;
    if (one_in(2) && getsockname(link->peer, (struct sockaddr *)&slot->datagram.peer, &len) == 0)
        slot->datagram.peer_len = len;
    hark_sendto(&slot->op, &link->io, &slot->datagram, model_called);
}

static void submit_recvfrom(struct slot *slot)
{
    slot_take_buffer(slot, one_in(2) ? 1200 : 64);
    slot->datagram = (struct hark_datagram){ .data = slot->buf, .len = slot->len };
    hark_recvfrom(&slot->op, &slot->link->io, &slot->datagram, model_called);
}

static void submit_connect(struct slot *slot)
{
    socklen_t len = sizeof slot->addr;
    slot->is_refused = one_in(4);
    int there = slot->is_refused ? world.plain_refuser : world.plain_listener;
    if (getsockname(there, (struct sockaddr *)&slot->addr, &len) != 0) fail("getsockname");
    slot->link->is_spent = true;
    hark_connect(&slot->op, &slot->link->io, (struct sockaddr *)&slot->addr, len, model_called);
}

/* TCP answers what comes for a socket that is shut on both sides with a reset. */
static void submit_shutdown(struct slot *slot)
{
    struct link *link = slot->link;
    int how = one_in(3) ? SHUT_RD : one_in(3) ? SHUT_RDWR : SHUT_WR;
    if (how != SHUT_RD) link->has_shut_write = true;
    if (how != SHUT_WR) link->has_shut_read = true;
    if (link->has_shut_write && link->has_shut_read) link->is_disturbed = true;
    hark_shutdown(&slot->op, &link->io, how, model_called);
}

static void submit_on_link(struct slot *slot)
{
    struct hark_op *op = &slot->op;
    struct hark_io *io = &slot->link->io;
    switch (slot->verb) {
    case RECV:
        slot_take_buffer(slot, some_length());
        hark_recv(op, io, slot->buf, slot->len, model_called);
        break;
    case READ:
        slot_take_buffer(slot, some_length());
        hark_read(op, io, slot->buf, slot->len, model_called);
        break;
    case WRITE:
        slot_take_buffer(slot, some_length());
        hark_write(op, io, slot->buf, slot->len, model_called);
        break;
    case SEND:
        slot_take_buffer(slot, some_length());
        hark_send(op, io, slot->buf, slot->len, model_called);
        break;
    case SENDV: submit_sendv(slot); break;
    case SENDTO: submit_sendto(slot); break;
    case SEND_BATCH: submit_send_batch(slot); break;
    case RECV_BATCH: submit_recv_batch(slot); break;
    case RECVFROM: submit_recvfrom(slot); break;
    case RECV_POOL: hark_recv_pool(op, io, world.pool, model_called); break;
    case ACCEPT: hark_accept(op, io, model_called); break;
    case CONNECT: submit_connect(slot); break;
    case SHUTDOWN: submit_shutdown(slot); break;
    default:
        hark_ready(op, io, slot->verb == READY_READ ? HARK_READABLE : HARK_WRITABLE, model_called);
    }
}

/* Runs on a thread of the pool. */
static int64_t work(struct hark_op *op)
{
    struct slot *slot = (struct slot *)(void *)op; /* op is its first member */
    slot->work_runs++;
    for (int i = 0; i < 100 && !hark_offload_asked(op); i++) sched_yield(); /* 3 ms each if busy */
    return (int64_t)slot->number;
}

static void submit_loose(struct slot *slot)
{
    struct hark_op *op = &slot->op;
    struct hark_loop *loop = world.loop;
    switch (slot->verb) {
    case NOP: hark_nop(op, loop, model_called); break;
    case POST: hark_post(op, loop, model_called); break;
    case TIMER:
        slot_arm(slot, some_moment(hark_now(world.loop)));
        hark_timer(op, loop, slot->deadline, model_called);
        break;
    case EVERY:
        slot_arm(slot, some_moment(hark_now(world.loop)));
        slot->interval = one_in(16) ? 0 : 1 + below(2 * HARK_MILLISECOND);
        hark_timer_every(op, loop, slot->deadline, slot->interval, model_called);
        break;
    default: hark_offload(op, loop, below(HARK_OFFLOAD_CLASSES), work, model_called);
    }
}

static int verb_for(const struct link *link)
{
    static const int stream[] = { RECV, RECV, READ, RECV_POOL, READY_READ, SEND, WRITE, SENDV,
                                  SENDV, READY_WRITE, SHUTDOWN };
    static const int datagram[] = { RECVFROM, RECV_BATCH, RECV_BATCH, SENDTO, SEND_BATCH,
                                    SEND_BATCH, READY_READ, READY_WRITE };
    switch (link->kind) {
    case STREAM: return stream[below(sizeof stream / sizeof *stream - !one_in(6))];
    case DATAGRAM: return datagram[below(sizeof datagram / sizeof *datagram)];
    case LISTENER: return one_in(6) ? READY_READ : ACCEPT;
    case DIALER: return link->is_spent ? SEND : CONNECT;
    default: return one_in(4) ? READY_WRITE : READY_READ;
    }
}

static void submit_any(void)
{
    struct link *link = link_any();
    struct slot *slot = slot_idle();
    if (slot == NULL || link == NULL) return;
    int verb = verb_for(link);
    bool is_full = link->datagrams_sent - link->datagrams_got > 24;
    if (is_full && side_of(verb) && link->kind == DATAGRAM) return;
    if (verb == RECV_POOL && world.pool == NULL) return;
    prepare(slot, verb, link);
    submit_on_link(slot);
}

static void submit_any_loose(void)
{
    static const int verbs[] = { NOP, POST, TIMER, TIMER, TIMER, EVERY, OFFLOAD };
    struct slot *slot = slot_idle();
    if (slot == NULL) return;
    prepare(slot, verbs[below(sizeof verbs / sizeof *verbs)], NULL);
    submit_loose(slot);
}

void cancel(struct slot *slot)
{
    if (hark_cancel(&slot->op) != slot->is_alive) fail("hark_cancel() is wrong about being alive");
    if (slot->is_alive && slot->verb != CLOSE && !slot->is_close) slot->is_asked = true;
}

static void rearm(struct slot *slot)
{
    int64_t moment = one_in(8) ? 0 : some_moment(hark_now(world.loop));
    bool is_timer = slot->is_alive && (slot->verb == TIMER || slot->verb == EVERY);
    bool is_far = slot->deadline - hark_now(world.loop) > HARK_SECOND;
    bool is_moved = hark_rearm(&slot->op, moment);
    if (is_moved && !slot->is_alive) fail("hark_rearm() moved an idle op");
    if (is_timer && moment == 0 && is_moved) fail("hark_rearm() took the moment from a timer");
    if (is_timer && moment != 0 && is_far && !slot->is_asked && !slot->was_closed && !is_moved &&
        slot->interval >= 1 && slot->verb == TIMER)
        fail("hark_rearm() refused a timer that is far away");
    if (is_moved) slot_arm(slot, moment);
}

void close_link(struct link *link, struct slot *slot)
{
    prepare(slot, CLOSE, link);
    struct stat st;
    slot->fd = link->io.fd;
    slot->inode = fstat(slot->fd, &st) == 0 ? st.st_ino : 0;
    if (link->state == OPEN) link->state = CLOSING;
    hark_close(&slot->op, &link->io, model_called);
}

static void close_any(void)
{
    struct link *link = link_any();
    struct slot *slot = slot_idle();
    if (slot != NULL && link != NULL) close_link(link, slot);
}

static void free_any(void)
{
    struct link *link = link_any();
    if (link != NULL && link->state == CLOSED && !link_is_busy(link)) link_free(link);
}

/* Takes a descriptor out, or puts it in again. */
static void release_or_adopt(void)
{
    struct link *link = link_any();
    struct hark_io other = { 0 };
    if (link == NULL) return;
    if (link->state == OPEN) {
        int error = hark_io_adopt(&other, world.loop, link->io.fd);
        if (error != HARK_EEXIST) fail("a descriptor was adopted twice: %s", hark_strerror(error));
        bool is_busy = link_is_busy(link);
        int fd = hark_io_release(&link->io);
        if (is_busy && fd != HARK_EBUSY) fail("hark_io_release() of a busy io gave %d", fd);
        if (!is_busy && fd < 0) fail("hark_io_release(): %s", hark_strerror(fd));
        if (fd < 0) return;
        link->fd = fd;
        link->state = RELEASED;
    } else if (link->state == RELEASED && !link_is_busy(link)) {
        int error = hark_io_adopt(&link->io, world.loop, link->fd);
        if (error != 0) fail("hark_io_adopt(): %s", hark_strerror(error));
        link->state = OPEN;
    }
}

static void act_on_slot(void)
{
    struct slot *slot = slot_any();
    if (slot == NULL) return;
    uint32_t choice = below(10);
    if (choice < 5) cancel(slot);
    else if (choice < 9) rearm(slot);
    else hark_background(&slot->op);
}

static void act_of_core(void)
{
    struct link *link = link_any();
    uint32_t choice = below(100);
    if (choice < 8) (void)link_open(below(3) ? STREAM : below(KINDS)); /* or enough are open */
    else if (choice < 38) submit_any();
    else if (choice < 50) submit_any_loose();
    else if (choice < 62) act_on_slot();
    else if (choice < 86 && link != NULL) peer_act(link);
    else if (choice < 89) peer_dial();
    else if (choice < 92) close_any();
    else if (choice < 94) release_or_adopt();
    else if (choice < 95) free_any();
    else if (choice < 97) pool_give_one();
    else if (choice < 98) hark_wake(world.loop);
    else if (choice < 99) model_audit();
    else (void)hark_refresh(world.loop); /* only the time of the turn changes */
}

void act(void)
{
    uint32_t which = below(FAMILIES), tries = 0;
    while (tries < FAMILIES && !world.has_family[which]) {
        which = (which + 1) % FAMILIES;
        tries++;
    }
    if (tries < FAMILIES && below(5) < 3) families[which]->act();
    else act_of_core();
}

/* What is submitted while the loop is being closed ends with HARK_ECANCELED. */
void act_while_closing(void)
{
    struct slot *slot = one_in(8) ? slot_idle() : NULL;
    struct link *link = link_any();
    if (slot == NULL) return;
    if (link == NULL || one_in(2)) {
        prepare(slot, one_in(2) ? NOP : TIMER, NULL);
        submit_loose(slot);
    } else if (link->kind == STREAM) {
        prepare(slot, one_in(2) ? RECV : SEND, link);
        submit_on_link(slot);
    }
}
