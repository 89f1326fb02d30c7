/* The model: what the promises allow a callback to say. Every callback of a run comes through
 * model_called(), which checks it, then lets it make calls of its own. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

bool link_is_busy(const struct link *link)
{
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *slot = world.slots[i];
        if (slot != NULL && slot->is_alive && slot->link == link) return true;
    }
    return false;
}

/* Is an op alive on this, or on the way to it? */
bool family_uses(const struct family *family, const void *subject)
{
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *slot = world.slots[i];
        if (slot == NULL || !slot->is_alive || slot->family != family) continue;
        if (slot->subject == subject || slot->other == subject) return true;
    }
    return false;
}

/* Is another op alive on the same side that was submitted before? */
static bool is_behind(const struct slot *slot)
{
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *other = world.slots[i];
        if (other == NULL || !other->is_alive || other->link != slot->link) continue;
        if (!verb_has_side(other->verb) || other->was_closed) continue;
        if (other->number >= slot->number) continue;
        if (side_of(other->verb) == side_of(slot->verb)) return true;
    }
    return false;
}

static bool has_arrivals(const struct link *link)
{
    return link->written > link->received || link->peer_has_ended;
}

/* Ought this op to finish without anything that the run has yet to do? Peers read all meanwhile. */
bool model_is_due(const struct slot *slot)
{
    const struct link *link = slot->link;
    if (!slot->is_alive) return false;
    if (slot->is_asked || slot->was_closed) return true;
    if (slot->verb == EVERY) return false;
    if (slot->is_cut) return true;
    int64_t left = slot->deadline - hark_now(world.loop);
    if (slot->deadline != 0 && left < HARK_SECOND) return true;
    if (link != NULL && link->state != OPEN) return true;
    if (slot->family != NULL) return slot->family->is_due(slot);
    switch (slot->verb) {
    case NOP: case POST: case OFFLOAD: case CLOSE: case CONNECT: case SHUTDOWN:
    case SEND: case WRITE: case SENDV: case SENDTO: case SEND_BATCH:
        return true;
    case READY_WRITE: return link->kind == STREAM || link->kind == DATAGRAM;
    case RECV: case READ: case RECV_POOL: case RECVFROM: case RECV_BATCH: case READY_READ:
        return !is_behind(slot) && (has_arrivals(link) || slot->len == 0);
    default: return false;
    }
}

_Noreturn void wrong(const struct slot *slot, const char *why)
{
    const struct link *link = slot->link;
    if (link != NULL)
        fprintf(stderr, "\nthe io: kind %d, state %d, fd %d, peer %d%s%s%s%s%s%s; written %zu, "
                "received %zu, sent %zu", link->kind, link->state, link->io.fd, link->peer,
                link->is_tcp ? ", TCP" : "", link->peer_has_ended ? ", the peer has ended" : "",
                link->is_disturbed ? ", disturbed" : "",
                link->has_shut_read ? ", shut to read" : "",
                link->has_shut_write ? ", shut to write" : "", link->is_spent ? ", connected" : "",
                link->written, link->received, link->sent_len);
    fail("%s: verb %d, submission %" PRIu64 ", result %" PRId64 " (%s), errno %d", why, slot->verb,
         slot->number, slot->op.result, hark_strerror(slot->op.result), slot->op.os_error);
}

static bool is_hark_decision(const struct slot *slot)
{
    int64_t result = slot->op.result;
    return slot->op.os_error == 0 && (result == HARK_ECANCELED || result == HARK_ETIMEDOUT);
}

/* An end that hark itself decided on. */
static void check_decision(const struct slot *slot)
{
    const struct hark_op *op = &slot->op;
    bool is_closed = world.is_closing || slot->is_cut ||
                     (slot->link != NULL && slot->link->state != OPEN) ||
                     (slot->family != NULL && slot->family->may_break != NULL &&
                      slot->family->may_break(slot));
    if (op->result == HARK_ECANCELED && !slot->is_asked && !is_closed)
        wrong(slot, "promise 5: canceled, though nobody asked");
    if (slot->is_hurried) return;
    if (op->result == HARK_ETIMEDOUT && slot->deadline == 0)
        wrong(slot, "promise 6: timed out without a deadline");
    if (op->result == HARK_ETIMEDOUT && hark_now(world.loop) < slot->deadline)
        wrong(slot, "promise 9: timed out too early");
    if (slot->verb == OFFLOAD && slot->work_runs != 0)
        wrong(slot, "work ran, and its result was dropped");
}

static void check_stream_bytes(struct slot *slot, const unsigned char *bytes, size_t len)
{
    struct link *link = slot->link;
    if (link->received + len > link->written) wrong(slot, "more bytes than the peer wrote");
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != pattern(link->salt, link->received + i))
            wrong(slot, "promise 5: bytes were lost, or are wrong");
    link->received += len;
}

static void check_received(struct slot *slot, const void *bytes, size_t room)
{
    struct link *link = slot->link;
    int64_t result = slot->op.result;
    if (result > (int64_t)room) wrong(slot, "more than there is room for");
    if (result > 0) {
        check_stream_bytes(slot, bytes, (size_t)result);
    } else if (result == 0 && room != 0) {
        if (!link->peer_has_ended && !link->has_shut_read && !link->is_disturbed)
            wrong(slot, "an end that the peer did not make");
        if (!link->is_disturbed && !link->has_shut_read && link->received != link->written)
            wrong(slot, "an end before all bytes");
    } else if (result != 0 && !(result == HARK_ECONNRESET && link->is_disturbed)) {
        wrong(slot, "a receive cannot say that");
    }
}

static void check_pool(struct slot *slot)
{
    void *data = hark_data(&slot->op);
    int64_t result = slot->op.result;
    if ((result > 0) != slot->op.more) wrong(slot, "promise 2: more is set wrongly");
    check_received(slot, data, 1024);
    if (result <= 0) return;
    for (int i = 0; i < HELD && !world.is_quiet && one_in(2); i++) {
        if (world.held[i] != NULL) continue;
        world.held[i] = data;
        world.held_first[i] = *(unsigned char *)data;
        return;
    }
    hark_pool_give(world.pool, data);
}

void pool_give_one(void)
{
    int i = (int)below(HELD);
    if (world.held[i] == NULL) return;
    if (*(unsigned char *)world.held[i] != world.held_first[i])
        fail("promise 3: a buffer was written to while the caller had it");
    hark_pool_give(world.pool, world.held[i]);
    world.held[i] = NULL;
}

void pool_give_all(void)
{
    for (int i = 0; i < HELD; i++) {
        if (world.held[i] == NULL) continue;
        hark_pool_give(world.pool, world.held[i]);
        world.held[i] = NULL;
    }
}

void pool_close_if_unused(void)
{
    bool is_used = false;
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *slot = world.slots[i];
        is_used = is_used || (slot != NULL && slot->is_alive && slot->verb == RECV_POOL);
    }
    if (world.pool == NULL) return;
    int error = hark_pool_close(world.pool);
    if (error != (is_used ? HARK_EBUSY : 0)) fail("hark_pool_close: %s", hark_strerror(error));
    if (!is_used) world.pool = NULL;
}

/* A send: what has gone is what the peer must get. */
static void check_sent(struct slot *slot)
{
    struct link *link = slot->link;
    size_t moved = hark_sent_bytes(&slot->op);
    int64_t result = slot->op.result;
    if (moved > slot->len) wrong(slot, "more was sent than there is");
    if (result >= 0 && (moved != slot->len || result != (int64_t)slot->len))
        wrong(slot, "not all was sent");
    bytes_append(&link->sent, &link->sent_len, slot->buf, moved);
    if (result >= 0 || is_hark_decision(slot) || slot->was_closed) return;
    bool is_broken = link->is_disturbed || link->has_shut_write || link->kind == DIALER;
    bool is_allowed = result == HARK_EPIPE || result == HARK_ECONNRESET ||
                      (link->kind == DIALER &&
                       (result == HARK_ECONNREFUSED || result == HARK_ENOTCONN));
    if (!is_broken || !is_allowed) wrong(slot, "a send cannot say that");
}

static void check_datagram(struct slot *slot)
{
    struct link *link = slot->link;
    const struct hark_datagram *got = &slot->datagram;
    struct head head;
    if (slot->op.result < (int64_t)sizeof head) wrong(slot, "a receive cannot say that");
    memcpy(&head, got->data, sizeof head);
    if (head.number != link->received) wrong(slot, "promise 5: a datagram was lost");
    link->received++;
    if (got->is_truncated != (head.len > slot->len)) wrong(slot, "is_truncated is wrong");
    if (slot->op.result != (int64_t)(got->is_truncated ? slot->len : head.len))
        wrong(slot, "the length is wrong");
    for (size_t i = sizeof head; i < (size_t)slot->op.result; i++)
        if (slot->buf[i] != pattern(head.number, i)) wrong(slot, "a datagram has a wrong byte");
    if (got->peer_len != sizeof(struct sockaddr_in)) wrong(slot, "the sender's address is missing");
}

static void check_connected(struct slot *slot)
{
    if (slot->op.result == 0 && !slot->is_refused) {
        if (slot->link->state == OPEN) link_connected(slot->link);
        return;
    }
    if (!slot->is_refused || slot->op.result != HARK_ECONNREFUSED)
        wrong(slot, "a connect cannot say that");
}

static void check_ready(const struct slot *slot)
{
    const struct link *link = slot->link;
    if (slot->op.result != 0) wrong(slot, "a wait for readiness cannot say that");
    if (slot->verb == READY_WRITE || link->kind == LISTENER || link->kind == DIALER) return;
    if (link->written == 0 && !link->peer_has_ended && !link->is_disturbed && !link->has_shut_read)
        wrong(slot, "ready, though nothing was ever there");
}

/* Promise 9: none is early, and none that was due before, in order of setting, comes after. */
static void check_timer(const struct slot *slot)
{
    if (slot->op.result != 0) wrong(slot, "a timer cannot say that");
    if (hark_now(world.loop) < slot->deadline) wrong(slot, "promise 9: a timer is early");
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *other = world.slots[i];
        if (other == NULL || !other->is_alive || other == slot || other->verb != TIMER) continue;
        bool was_ahead = other->deadline > other->armed_at;
        bool is_first = other->deadline < slot->deadline ||
                        (other->deadline == slot->deadline && other->arm_number < slot->arm_number);
        if (was_ahead && is_first && !other->is_asked && !other->was_closed)
            wrong(slot, "promise 9: a timer comes before one that is due earlier");
    }
}

static void check_every(struct slot *slot)
{
    int64_t now = hark_now(world.loop), passed = slot->op.result;
    if (slot->interval < 1) {
        if (passed != HARK_EINVAL) wrong(slot, "an interval of 0");
        return;
    }
    if (passed < 1) wrong(slot, "a repeating timer cannot say that");
    slot->deadline += (passed - 1) * slot->interval;
    if (now < slot->deadline) wrong(slot, "promise 9: a repeating timer is early");
    slot->deadline += slot->interval;
    if (now >= slot->deadline) wrong(slot, "a repeating timer has lost an interval");
}

static void check_close(struct slot *slot)
{
    struct link *link = slot->link;
    if (slot->op.result != 0) wrong(slot, "a close cannot say that");
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *other = world.slots[i];
        if (other == NULL || other == slot || !other->is_alive || other->link != link) continue;
        if (other->number < slot->number && !other->was_closed)
            wrong(slot, "promise 7: an op is alive after the close");
    }
    /* A thread of the pool may have opened another one by the same number; the thread sanitizer
     * does not know statx(2), and would call that a race. */
    struct statx st;
    if (statx(slot->fd, "", AT_EMPTY_PATH, STATX_INO, &st) == 0 && st.stx_ino == slot->inode)
        wrong(slot, "promise 7: the descriptor is still open");
    link->state = CLOSED;
    peer_check(link, !link_is_busy(link));
}

static void check_result(struct slot *slot)
{
    switch (slot->verb) {
    case RECV: case READ: check_received(slot, slot->buf, slot->len); break;
    case RECVFROM: check_datagram(slot); break;
    case RECV_BATCH: check_received_batch(slot); break;
    case CONNECT: check_connected(slot); break;
    case READY_READ: case READY_WRITE: check_ready(slot); break;
    case SENDTO:
        if (slot->op.result != (int64_t)slot->len) wrong(slot, "a datagram goes whole");
        slot->link->sent_len++;
        break;
    case SEND_BATCH: break; /* checked already */
    case SHUTDOWN:
        if (slot->op.result != 0 && slot->op.result != HARK_ENOTCONN)
            wrong(slot, "a shutdown cannot say that");
        break;
    case TIMER: check_timer(slot); break;
    case OFFLOAD:
        if (slot->work_runs != 1 || slot->op.result != (int64_t)slot->number)
            wrong(slot, "work did not run once");
        break;
    case CLOSE: check_close(slot); break;
    case NOP: case POST:
        if (slot->op.result != 0) wrong(slot, "this cannot fail");
        break;
    default: break;
    }
}

static void check_repeating(struct slot *slot)
{
    if (slot->verb == RECV_POOL) {
        check_pool(slot);
    } else if (slot->verb == EVERY) {
        check_every(slot);
    } else if (slot->op.result < 0 || !slot->op.more) {
        wrong(slot, "an accept cannot say that");
    } else {
        link_take_accepted((int)slot->op.result, slot);
    }
}

static bool is_repeating(const struct slot *slot)
{
    return slot->is_repeating || slot->verb == ACCEPT || slot->verb == RECV_POOL ||
           slot->verb == EVERY;
}

static void check(struct slot *slot)
{
    bool is_decision = is_hark_decision(slot);
    if (slot->op.more && !is_repeating(slot)) wrong(slot, "promise 2: more, of an op that is one");
    if (slot->verb == SEND || slot->verb == WRITE || slot->verb == SENDV) check_sent(slot);
    if (slot->verb == SEND_BATCH) check_sent_batch(slot);
    if (slot->family != NULL) {
        if (is_decision && !slot->was_closed) check_decision(slot);
        slot->family->check(slot, is_decision);
        return;
    }
    if (slot->was_closed) {
        if (!is_decision && slot->op.result != HARK_EBADF) wrong(slot, "a closed io works");
        return;
    }
    if (is_decision) {
        check_decision(slot);
        return;
    }
    if (verb_has_side(slot->verb) && is_behind(slot)) wrong(slot, "promise 4: out of order");
    if (is_repeating(slot)) check_repeating(slot);
    else check_result(slot);
}

void slot_free(struct slot *slot)
{
    for (int i = 0; i < SLOTS; i++)
        if (world.slots[i] == slot) world.slots[i] = NULL;
    free(slot->buf);
    free(slot->memory);
    free(slot);
}

/* The last callback: from here on all is the run's again, and is reused or freed at random. */
static void take_back(struct slot *slot)
{
    if (slot->op.deadline_ns != 0 || slot->op.label != NULL)
        wrong(slot, "a deadline or a label outlives its submission");
    if (hark_is_alive(&slot->op)) wrong(slot, "promise 3: alive in its last callback");
    slot->is_alive = false;
    free(slot->buf);
    free(slot->memory);
    slot->buf = slot->memory = NULL;
    slot->subject = slot->other = NULL;
    if (one_in(2)) slot_free(slot);
}

/* What this callback chooses must not depend on the order in which the kernel answers. */
static uint64_t own_random(const struct slot *slot)
{
    return world.seed ^ slot->number << 32 ^ (uint64_t)slot->calls << 56;
}

void model_called(struct hark_op *op)
{
    struct slot *slot = (struct slot *)(void *)op; /* op is its first member */
    if (!world.is_stepping) fail("promise 1: a callback outside of hark_step()");
    if (world.depth++ != 0) fail("promise 1: a callback inside a callback");
    if (!slot->is_alive) fail("promise 2: a second last callback of verb %d", slot->verb);
    slot->calls++;
    uint64_t own = own_random(slot), *before = world.random;
    world.random = &own;
    check(slot);
    if (!op->more) take_back(slot);
    if (world.is_closing) pool_close_if_unused();
    if (world.is_closing) act_while_closing();
    else if (!world.is_quiet && one_in(3)) act();
    world.random = before;
    world.depth--;
}

/* What the layers above the loop have under way for the caller's ops. */
static bool is_of_a_layer(const struct hark_inspect_entry *entry)
{
    static const char *const names[] = { "stream", "stream queue", "stream splice", "process",
                                         "signal", "watch", "timer_wall", "timer_boot" };
    const char *name = entry->label != NULL ? entry->label : entry->kind;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static void see(const struct hark_inspect_entry *entry, void *arg)
{
    size_t *io_count = arg;
    if (entry->op == NULL) {
        if (entry->label != NULL && is_of_a_layer(entry)) return;
        ++*io_count;
        return;
    }
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = world.slots[i];
        if (slot == NULL || &slot->op != entry->op) continue;
        if (slot->is_seen) wrong(slot, "inspection tells an op twice");
        slot->is_seen = true;
        return;
    }
    if (is_of_a_layer(entry)) return;
    fail("inspection tells of an op (%s, %s) that is not there", entry->kind, entry->state);
}

/* Nothing that has arrived was dropped: what no op has received is still in the socket. */
static void check_rest(struct link *link)
{
    unsigned char bytes[BYTES_MAX];
    struct pollfd readable = { .fd = link->io.fd, .events = POLLIN };
    if (link->kind != STREAM || link->state != OPEN || link_is_busy(link)) return;
    if (link->is_disturbed || link->has_shut_read) return;
    while (link->received < link->written) {
        if (poll(&readable, 1, 2000) != 1) fail("promise 5: bytes that arrived are lost");
        ssize_t n = recv(link->io.fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n <= 0) fail("promise 5: bytes that arrived are lost: %s", strerror(errno));
        for (ssize_t i = 0; i < n; i++)
            if (bytes[i] != pattern(link->salt, link->received++))
                fail("promise 5: bytes that arrived were dropped");
    }
}

/* Looks at the whole: what hark knows of is what is alive. */
void model_audit(void)
{
    size_t io_count = 0, open_count = 0;
    for (int i = 0; i < SLOTS; i++)
        if (world.slots[i] != NULL) world.slots[i]->is_seen = false;
    hark_loop_inspect(world.loop, see, &io_count);
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *slot = world.slots[i];
        if (slot == NULL) continue;
        if (hark_is_alive(&slot->op) != slot->is_alive) wrong(slot, "hark_is_alive() is wrong");
        if (slot->is_alive == slot->is_seen) continue;
        wrong(slot, "inspection tells of the dead, or not of all");
    }
    for (int i = 0; i < LINKS; i++) {
        struct link *link = world.links[i];
        if (link == NULL) continue;
        open_count += link->state == OPEN || link->state == CLOSING;
        peer_check(link, false);
        check_rest(link);
    }
    for (int i = 0; i < FAMILIES; i++) open_count += families[i]->audit();
    if (io_count == open_count) return;
    hark_loop_print(world.loop, stderr);
    fail("inspection tells %zu ios, not %zu", io_count, open_count);
}
