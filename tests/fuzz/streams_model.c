/* What the callbacks of streams may say. A read must bring what its peer has said, from where the
 * last one ended; a peer must hear what was put and written, in the order of the calls. */
#include "streams.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

unsigned char flow_letter(const struct flow *flow, size_t position)
{
    unsigned char value = pattern(flow->salt, position);
    if (value < 12) return '\n';
    if (value < 18) return '\r';
    return (unsigned char)('a' + value % 26);
}

static bool starts_with(const struct flow *flow, size_t at, const char *delimiter)
{
    for (size_t i = 0; delimiter[i] != '\0'; i++)
        if (at + i >= flow->written || flow_letter(flow, at + i) != delimiter[i]) return false;
    return true;
}

/* delimiter NULL: a line. */
int64_t flow_piece(const struct flow *flow, const char *delimiter, size_t *skip, bool *is_cut)
{
    size_t skip_max = delimiter != NULL ? strlen(delimiter) : 2;
    size_t most = flow->room > skip_max ? flow->room - skip_max : 0;
    size_t ahead = flow->written - flow->taken, at = flow->taken;
    if (flow->line_max != 0 && flow->line_max < most) most = flow->line_max;
    const char *end = delimiter != NULL ? delimiter : "\n";
    while (at < flow->written && !starts_with(flow, at, end)) at++;
    size_t len = at - flow->taken;
    *skip = strlen(end);
    *is_cut = false;
    if (at < flow->written) {
        if (delimiter == NULL && len != 0 && flow_letter(flow, at - 1) == '\r') {
            len--;
            *skip = 2;
        }
        return len <= most ? (int64_t)len : HARK_EMSGSIZE;
    }
    if (ahead >= most + skip_max || ahead >= flow->room) return HARK_EMSGSIZE;
    if (!flow->peer_has_ended) return HARK_EAGAIN;
    if (ahead == 0) return HARK_ECLOSED;
    *skip = 0;
    *is_cut = true;
    return ahead <= most ? (int64_t)ahead : HARK_EMSGSIZE;
}

bool stream_is_due(const struct slot *slot)
{
    const struct flow *flow = slot->subject;
    size_t ahead = flow->written - flow->taken, skip;
    bool is_cut;
    if (stream_verb_reads(slot->verb) && (flow->reader != slot || flow->is_disturbed)) return true;
    switch (slot->verb) {
    case STREAM_READ: return ahead != 0 || flow->peer_has_ended || slot->len == 0;
    case STREAM_EXACTLY: return ahead >= slot->len || flow->peer_has_ended;
    case STREAM_PEEK: return ahead >= slot->len || flow->peer_has_ended || slot->len > flow->room;
    case STREAM_LINE: case STREAM_UNTIL:
        return flow_piece(flow, slot->memory, &skip, &is_cut) != HARK_EAGAIN;
    case STREAM_SPLICE: return flow->peer_has_ended;
    case STREAM_WATER: return flow->water != slot;
    default: return true;
    }
}

static void take(struct slot *slot, const void *bytes, size_t len)
{
    struct flow *flow = slot->subject;
    if (flow->taken + len > flow->written) wrong(slot, "more than the peer has said");
    for (size_t i = 0; i < len; i++)
        if (((const unsigned char *)bytes)[i] != flow_letter(flow, flow->taken + i))
            wrong(slot, "promise 5: a stream has lost or doubled a byte");
}

static void check_piece(struct slot *slot)
{
    struct flow *flow = slot->subject;
    size_t skip;
    bool is_cut;
    int64_t result = slot->op.result, expected = flow_piece(flow, slot->memory, &skip, &is_cut);
    if (result != expected) wrong(slot, "not the piece that was said");
    if (result < 0) return;
    if (flow->stream.is_cut != is_cut) wrong(slot, "is_cut is wrong");
    if (flow->stream.data[result] != '\0') wrong(slot, "no zero byte behind a piece");
    take(slot, flow->stream.data, (size_t)result);
    flow->taken += (size_t)result + skip;
}

static void check_copied(struct slot *slot, bool is_decision)
{
    struct flow *flow = slot->subject;
    int64_t result = slot->op.result;
    size_t moved = result > 0 ? (size_t)result : 0, left = flow->written - flow->taken;
    if (result < 0 && slot->verb == STREAM_EXACTLY && !slot->was_closed)
        moved = hark_stream_moved(&flow->stream);
    if (moved > slot->len) wrong(slot, "more than there is room for");
    take(slot, slot->buf, moved);
    flow->taken += moved;
    if (is_decision) return;
    if (result == 0 && slot->len != 0 && (!flow->peer_has_ended || left != 0))
        wrong(slot, "an end that the peer did not make");
    if (slot->verb == STREAM_READ) {
        if (result < 0) wrong(slot, "a stream read cannot say that");
        return;
    }
    bool is_short = flow->peer_has_ended && left < slot->len;
    if (result != (is_short ? HARK_ECLOSED : (int64_t)slot->len))
        wrong(slot, "not exactly what was asked for");
    if (result < 0 && slot->len <= flow->room && moved != 0)
        wrong(slot, "a read that failed has taken bytes");
}

static void check_peek(struct slot *slot)
{
    struct flow *flow = slot->subject;
    int64_t result = slot->op.result;
    bool is_short = flow->peer_has_ended && flow->written - flow->taken < slot->len;
    if (result >= 0) {
        if (result < (int64_t)slot->len) wrong(slot, "a peek that sees too little");
        take(slot, flow->stream.data, (size_t)result);
    } else if (!(result == HARK_EMSGSIZE && slot->len > flow->room) &&
               !(result == HARK_ECLOSED && is_short)) {
        wrong(slot, "a peek cannot say that");
    }
}

static bool is_of_broken_pipe(int64_t result)
{
    return result == HARK_EPIPE || result == HARK_ECONNRESET || result == HARK_ENOTCONN;
}

static bool may_fail_to_write(const struct flow *flow, int64_t result)
{
    bool is_broken = flow->is_disturbed || flow->has_ended || flow->state != OPEN;
    if (flow->is_hurried_to_write && result == HARK_ETIMEDOUT) return true;
    return is_broken && (is_of_broken_pipe(result) || result == HARK_EBADF);
}

/* What stands behind a write that failed is canceled, and what is spliced into a closed stream. */
bool stream_may_break(const struct slot *slot)
{
    const struct flow *flow = slot->verb == STREAM_SPLICE ? slot->other : slot->subject;
    if (slot->verb != STREAM_SPLICE && slot->verb != STREAM_WRITE && slot->verb != STREAM_END)
        return false;
    return flow->state != OPEN || flow->is_disturbed || flow->has_ended ||
           flow->is_hurried_to_write;
}

/* In every case: what has gone is gone. */
static void check_splice(struct slot *slot, bool is_decision)
{
    struct flow *from = slot->subject, *to = slot->other;
    int64_t moved = hark_stream_spliced(&from->stream), result = slot->op.result;
    if (moved < 0 || from->taken + (size_t)moved > from->written)
        wrong(slot, "more is spliced than was said");
    for (int64_t i = 0; i < moved; i++) {
        unsigned char letter = flow_letter(from, from->taken++);
        bytes_append(&to->through, &to->through_len, &letter, 1);
    }
    to->splicer = NULL;
    if (result < 0 && (is_decision || may_fail_to_write(to, result))) return;
    if (from->is_disturbed && is_of_broken_pipe(result)) return;
    if (from->state != OPEN && result == HARK_EBADF) return;
    if (result != moved) wrong(slot, "a splice cannot say that");
    if (from->is_disturbed) return;
    if (!from->peer_has_ended || from->taken != from->written)
        wrong(slot, "a splice that ends before the end");
}

/* Only the first reader is one: the others hear of it. */
static void check_read(struct slot *slot, bool is_decision)
{
    struct flow *flow = slot->subject;
    int64_t result = slot->op.result;
    bool is_piece = slot->verb == STREAM_LINE || slot->verb == STREAM_UNTIL;
    if (flow->reader != slot) {
        if (result != HARK_EBUSY && !slot->was_closed) wrong(slot, "two readers at once");
        return;
    }
    flow->reader = NULL;
    if (slot->verb == STREAM_SPLICE) {
        check_splice(slot, is_decision);
    } else if (flow->is_disturbed && (is_of_broken_pipe(result) || result == HARK_ECLOSED)) {
        /* What had come may be lost, but for what a read has taken. */
        if (slot->verb == STREAM_EXACTLY) flow->taken += hark_stream_moved(&flow->stream);
    } else if (flow->is_disturbed && result == 0 && !is_piece) {
        return; /* an end that came early; of a piece, 0 is its length */
    } else if (slot->verb == STREAM_READ || slot->verb == STREAM_EXACTLY) {
        check_copied(slot, is_decision);
    } else if (!is_decision) {
        if (slot->verb == STREAM_PEEK) check_peek(slot);
        else check_piece(slot);
    }
}

static void check_write(struct slot *slot, bool is_decision)
{
    struct flow *flow = slot->subject;
    int64_t result = slot->op.result;
    size_t moved = hark_sent_bytes(&slot->op);
    if (moved > slot->len) wrong(slot, "more was written than there is");
    flow->said[slot->place].moved = moved;
    if (result >= 0 && (result != (int64_t)slot->len || moved != slot->len))
        wrong(slot, "not all was written");
    if (result < 0 && !is_decision && !may_fail_to_write(flow, result))
        wrong(slot, "a stream write cannot say that");
}

static void check_water(struct slot *slot, bool is_decision)
{
    struct flow *flow = slot->subject;
    const struct hark_stream *stream = &flow->stream;
    int64_t result = slot->op.result;
    if (flow->water != slot) {
        if (result != HARK_EBUSY && !slot->was_closed) wrong(slot, "two watch the water");
        return;
    }
    if (!slot->op.more) flow->water = NULL;
    else if (result != (int64_t)stream->queued_bytes && result < 0) wrong(slot, "no such water");
    if (!slot->op.more && !is_decision && !may_fail_to_write(flow, result))
        wrong(slot, "a watch of the water cannot say that");
}

static void check_close(struct slot *slot)
{
    struct flow *flow = slot->subject;
    if (slot->was_closed) return;
    if (slot->op.result != 0) wrong(slot, "a stream close cannot say that");
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *other = world.slots[i];
        if (other == NULL || other == slot || !other->is_alive || other->was_closed) continue;
        if (other->family == &streams && other->subject == flow && other->number < slot->number)
            wrong(slot, "promise 7: an op is alive after the close of its stream");
    }
    flow->state = CLOSED;
}

void stream_check(struct slot *slot, bool is_decision)
{
    struct flow *flow = slot->subject;
    int64_t result = slot->op.result;
    if (slot->verb == STREAM_CLOSE) {
        check_close(slot);
        return;
    }
    if (slot->was_closed && result == HARK_EBADF) is_decision = true;
    bool is_write = slot->verb == STREAM_WRITE || slot->verb == STREAM_END;
    if (slot->was_closed && is_write && result >= 0 && slot->len != 0)
        wrong(slot, "a closed stream writes");
    if (stream_verb_reads(slot->verb)) check_read(slot, is_decision);
    else if (slot->verb == STREAM_WRITE) check_write(slot, is_decision);
    else if (slot->verb == STREAM_WATER) check_water(slot, is_decision);
    else if (result != 0 && !is_decision && !may_fail_to_write(flow, result))
        wrong(slot, "an end cannot say that");
}

void flow_read_peer(struct flow *flow, size_t most)
{
    unsigned char bytes[1024];
    while (flow->can_write && flow->peer >= 0 && most > 0) {
        ssize_t n = read(flow->peer, bytes, most < sizeof bytes ? most : sizeof bytes);
        if (n < 0 && errno != EAGAIN) flow->is_disturbed = true;
        if (n <= 0) return;
        most -= (size_t)n;
        for (ssize_t i = 0; i < n; i++) {
            bool is_own = bytes[i] >= 'A' && bytes[i] <= 'Z';
            if (is_own) bytes_append(&flow->own, &flow->own_len, bytes + i, 1);
            else bytes_append(&flow->passed, &flow->passed_len, bytes + i, 1);
        }
    }
}

/* Nothing is on its way but what is queued. A queue that is dropped takes all behind it along. */
static void check_own(const struct flow *flow, bool is_over)
{
    size_t at = 0;
    bool is_whole = true;
    for (size_t i = 0; i < flow->said_count; i++) {
        const struct said *said = &flow->said[i];
        size_t len = said->is_put ? said->len : said->moved, left = flow->own_len - at;
        size_t both = len < left ? len : left;
        if (both != 0 && memcmp(flow->own + at, said->bytes, both) != 0)
            fail("promise 4: the peer of a stream heard what was not said, or too early");
        at += both;
        is_whole = is_whole && both == len;
        if (!is_whole && !said->is_put && said->moved != 0 && is_over && !flow->is_disturbed)
            fail("promise 5: %zu bytes that a stream wrote are lost", said->moved);
    }
    if (at != flow->own_len) fail("the peer of a stream heard more than was said");
    bool may_drop = flow->may_drop || flow->is_hurried_to_write || flow->is_disturbed;
    if (is_over && !is_whole && !may_drop)
        fail("promise 5: what was put into a stream is lost");
}

/* Has the peer heard what was said, in order? is_over: hark's end is closed. */
void flow_check(struct flow *flow, bool is_over)
{
    struct pollfd readable = { .fd = flow->peer, .events = POLLIN };
    bool writes = false;
    if (!flow->can_write) return;
    for (int i = 0; i < SLOTS && !is_over; i++) {
        const struct slot *slot = world.slots[i];
        writes = writes || (slot != NULL && slot->is_alive && slot->verb == STREAM_WRITE &&
                            slot->family == &streams && slot->subject == flow);
    }
    if (is_over && flow->peer >= 0 && poll(&readable, 1, 2000) != 1 && !flow->is_disturbed)
        fail("the peer of a stream hears no end");
    flow_read_peer(flow, STREAM_MAX);
    if (!writes) check_own(flow, is_over);
    if (flow->splicer != NULL) return;
    if (flow->passed_len > flow->through_len)
        fail("%zu bytes were spliced, %zu came", flow->through_len, flow->passed_len);
    if (flow->passed_len != 0 && memcmp(flow->passed, flow->through, flow->passed_len) != 0)
        fail("promise 5: a splice has lost or doubled a byte");
    if (is_over && flow->passed_len != flow->through_len && !flow->is_disturbed)
        fail("%zu bytes were spliced, only %zu came", flow->through_len, flow->passed_len);
}
