/* Streams over sockets and pipes: the calls, and what their plain peers do. */
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct flow *flows[FLOWS];

static struct flow *flow_any(void) { return flows[below(FLOWS)]; }

/* fds: hark's, and the peer's. */
static void open_ends(struct flow *flow, int fds[2])
{
    int kind = (int)below(4), small = 4096, pipe_fds[2];
    flow->is_socket = kind < 2;
    flow->can_read = kind != 3;
    flow->can_write = kind != 2;
    if (kind == 0) {
        tcp_pair(fds);
    } else if (kind == 1) {
        checked(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
        (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small); /* fills up soon */
    } else {
        checked(pipe2(pipe_fds, O_CLOEXEC), "pipe2");
        if (one_in(2)) checked(fcntl(pipe_fds[0], F_SETPIPE_SZ, small), "fcntl");
        fds[0] = pipe_fds[kind - 2];
        fds[1] = pipe_fds[3 - kind];
    }
    if (one_in(2)) checked(fcntl(fds[0], F_SETFL, checked(fcntl(fds[0], F_GETFL), "fcntl") |
                                 O_NONBLOCK), "fcntl");
    checked(fcntl(fds[1], F_SETFL, checked(fcntl(fds[1], F_GETFL), "fcntl") | O_NONBLOCK), "fcntl");
}

static void open_stream(struct flow *flow)
{
    static const size_t rooms[] = { 2, 3, 17, 80, 300, FLOW_ROOM };
    size_t out_bytes = one_in(4) ? 0 : 2 * (1 + below(600));
    struct hark_stream_options options = {
        .in = flow->in, .in_bytes = rooms[below(sizeof rooms / sizeof *rooms)],
        .out = out_bytes != 0 ? flow->out : NULL, .out_bytes = out_bytes,
        .line_max = one_in(3) ? 1 + below(40) : 0,
        .read_timeout_ns = one_in(4) ? 1 + below(3 * HARK_MILLISECOND) : 0,
        .write_timeout_ns = one_in(6) ? 1 + below(3 * HARK_MILLISECOND) : 0,
    };
    flow->room = options.in_bytes - 1;
    flow->line_max = options.line_max;
    flow->is_hurried_to_read = options.read_timeout_ns != 0;
    flow->is_hurried_to_write = options.write_timeout_ns != 0;
    int error = hark_stream_open(&flow->stream, &flow->io, &options);
    if (error != 0) fail("hark_stream_open: %s", hark_strerror(error));
}

static void open_flow(void)
{
    int place = 0, fds[2];
    while (place < FLOWS && flows[place] != NULL) place++;
    if (place == FLOWS) return;
    struct flow *flow = flows[place] = calloc(1, sizeof *flow);
    if (flow == NULL) fail("out of memory");
    flow->in = malloc(FLOW_ROOM);
    flow->out = malloc(FLOW_ROOM);
    if (flow->in == NULL || flow->out == NULL) fail("out of memory");
    open_ends(flow, fds);
    flow->peer = fds[1];
    flow->salt = (uint64_t)below(UINT32_MAX) << 32;
    int error = hark_io_adopt(&flow->io, world.loop, fds[0]);
    if (error != 0) fail("hark_io_adopt: %s", hark_strerror(error));
    open_stream(flow);
}

static void free_flow(struct flow *flow)
{
    flow_check(flow, true);
    if (flow->peer >= 0) close(flow->peer);
    for (size_t i = 0; i < flow->said_count; i++) free(flow->said[i].bytes);
    free(flow->said);
    free(flow->own);
    free(flow->passed);
    free(flow->through);
    free(flow->in);
    free(flow->out);
    for (int i = 0; i < FLOWS; i++)
        if (flows[i] == flow) flows[i] = NULL;
    free(flow);
}

static void say(struct flow *flow)
{
    unsigned char bytes[BYTES_MAX];
    size_t len = 1 + below(one_in(4) ? BYTES_MAX : 60);
    if (flow->peer_has_ended || flow->state != OPEN || flow->written + len > STREAM_MAX) return;
    for (size_t i = 0; i < len; i++) bytes[i] = flow_letter(flow, flow->written + i);
    ssize_t n = flow->is_socket ? send(flow->peer, bytes, len, MSG_NOSIGNAL)
                                : write(flow->peer, bytes, len);
    if (n > 0) flow->written += (size_t)n;
    else if (errno != EAGAIN) flow->is_disturbed = true;
}

/* The peer's side of a pipe that hark reads ends cleanly by a close. */
static void end_peer(struct flow *flow)
{
    bool is_clean = !flow->can_write;
    if (flow->is_socket && below(3)) {
        if (shutdown(flow->peer, SHUT_WR) != 0) flow->is_disturbed = true;
        flow->peer_has_ended = true;
        return;
    }
    flow_read_peer(flow, STREAM_MAX);
    close(flow->peer);
    flow->peer = -1;
    flow->peer_has_ended = true;
    if (!is_clean) flow->is_disturbed = true;
}

static void act_of_peer(struct flow *flow)
{
    uint32_t choice = below(40);
    if (flow->peer < 0) return;
    if (choice == 0) end_peer(flow);
    else if (flow->can_read && choice < 26) say(flow);
    else flow_read_peer(flow, 1 + below(BYTES_MAX));
}

/* Capitals. A write that is alive when the queue takes them is behind or before. */
static struct said *note(struct flow *flow, size_t len, bool is_put)
{
    struct said *all = realloc(flow->said, (flow->said_count + 1) * sizeof *all);
    if (all == NULL) fail("out of memory");
    flow->said = all;
    struct said *said = &all[flow->said_count++];
    *said = (struct said){ .bytes = malloc(len + 1), .len = len, .is_put = is_put };
    if (said->bytes == NULL) fail("out of memory");
    uint64_t salt = world.next_number++;
    for (size_t i = 0; i < len; i++)
        said->bytes[i] = (unsigned char)('A' + pattern(salt, i) % 26);
    return said;
}

static void put(struct flow *flow)
{
    if (!flow->can_write || flow->state != OPEN) return;
    size_t half = flow->stream.half_room;
    struct said *said = note(flow, below(one_in(4) ? 800 : 60), true);
    int error = hark_stream_put(&flow->stream, said->bytes, said->len);
    if (error == 0) return;
    bool is_broken = flow->has_ended || flow->is_disturbed || flow->is_hurried_to_write;
    if (!is_broken && error != HARK_EAGAIN && !(error == HARK_EMSGSIZE && said->len > half))
        fail("hark_stream_put: %s", hark_strerror(error));
    free(said->bytes);
    flow->said_count--;
}

static struct slot *begin(struct flow *flow, int verb)
{
    struct slot *slot = slot_prepare(&streams, verb, flow);
    if (slot == NULL) return NULL;
    slot->was_closed = world.is_closing || flow->state != OPEN;
    return slot;
}

static void submit_write(struct flow *flow)
{
    struct slot *slot = begin(flow, STREAM_WRITE);
    if (slot == NULL) return;
    slot_take_buffer(slot, some_length());
    struct said *said = note(flow, slot->len, false);
    memcpy(slot->buf, said->bytes, slot->len);
    slot->place = flow->said_count - 1;
    slot->is_hurried = flow->is_hurried_to_write;
    hark_stream_write(&slot->op, &flow->stream, slot->buf, slot->len, model_called);
}

static void submit_end(struct flow *flow)
{
    struct slot *slot = begin(flow, STREAM_END);
    if (slot == NULL) return;
    slot->is_hurried = flow->is_hurried_to_write;
    if (flow->is_socket && !slot->was_closed) flow->has_ended = flow->may_drop = true;
    hark_stream_end(&slot->op, &flow->stream, model_called);
}

static void submit_water(struct flow *flow)
{
    struct slot *slot = begin(flow, STREAM_WATER);
    if (slot == NULL) return;
    slot->is_repeating = true;
    slot->is_hurried = flow->is_hurried_to_write;
    if (flow->water == NULL && !slot->was_closed) flow->water = slot;
    hark_stream_water(&slot->op, &flow->stream, model_called);
}

static struct slot *begin_read(struct flow *flow, int verb)
{
    struct slot *slot = begin(flow, verb);
    if (slot == NULL) return NULL;
    slot->is_hurried = flow->is_hurried_to_read;
    if (flow->reader == NULL) flow->reader = slot;
    return slot;
}

static void submit_splice(struct flow *from)
{
    struct flow *to = flow_any();
    if (to == NULL || !to->can_write || to->splicer != NULL || to->state != OPEN) return;
    struct slot *slot = begin_read(from, STREAM_SPLICE);
    if (slot == NULL) return;
    slot->other = to;
    slot->is_hurried = from->is_hurried_to_read || to->is_hurried_to_write;
    if (from->reader == slot) to->splicer = slot;
    hark_stream_splice(&slot->op, &from->stream, &to->stream, model_called);
}

static void submit_read(struct flow *flow)
{
    static const char *const delimiters[] = { "\n", "a", "\r\n", "qz", "e" };
    int verb = STREAM_READ + (int)below(STREAM_SPLICE - STREAM_READ);
    struct slot *slot = begin_read(flow, verb);
    if (slot == NULL) return;
    struct hark_op *op = &slot->op;
    struct hark_stream *stream = &flow->stream;
    slot_take_buffer(slot, some_length());
    switch (verb) {
    case STREAM_READ: hark_stream_read(op, stream, slot->buf, slot->len, model_called); break;
    case STREAM_EXACTLY:
        hark_stream_read_exactly(op, stream, slot->buf, slot->len, model_called);
        break;
    case STREAM_LINE: hark_stream_read_line(op, stream, model_called); break;
    case STREAM_PEEK: hark_stream_peek(op, stream, slot->len, model_called); break;
    default: {
        const char *delimiter = delimiters[below(sizeof delimiters / sizeof *delimiters)];
        size_t len = strlen(delimiter);
        char *copy = memcpy(slot_take_memory(slot, len + 1), delimiter, len);
        hark_stream_read_until(op, stream, copy, len, model_called);
    }
    }
}

static void close_flow(struct flow *flow)
{
    struct slot *slot = begin(flow, STREAM_CLOSE);
    if (slot == NULL) return;
    slot->is_close = true;
    slot->deadline = 0;
    if (flow->stream.queued_bytes != 0) flow->may_drop = true;
    if (flow->state == OPEN) flow->state = CLOSING;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *other = world.slots[i];
        if (other == NULL || !other->is_alive || other->family != &streams) continue;
        if (other->subject == flow) other->is_cut = true;
    }
    hark_stream_close(&slot->op, &flow->stream, model_called);
}

/* Without an op: a line that is there, or some bytes less. */
static void take_at_once(struct flow *flow)
{
    size_t skip, there = hark_stream_there(&flow->stream), len = below(20);
    bool is_cut;
    if (flow->state != OPEN || flow->is_disturbed) return;
    if (flow->taken + there > flow->written) fail("a stream holds more than was said");
    if (one_in(2)) {
        size_t taken = hark_stream_skip(&flow->stream, len);
        bool is_right = flow->reader != NULL ? taken == 0 : taken == (len < there ? len : there);
        if (!is_right) fail("hark_stream_skip() took %zu", taken);
        flow->taken += taken;
        return;
    }
    int64_t expected = flow_piece(flow, NULL, &skip, &is_cut);
    int64_t result = hark_stream_next_line(&flow->stream);
    if ((result == HARK_EBUSY) != (flow->reader != NULL)) fail("hark_stream_next_line(): busy?");
    if (result == HARK_EBUSY || result == HARK_EAGAIN) return;
    if (result != expected) fail("hark_stream_next_line(): %lld, not %lld", (long long)result,
                                 (long long)expected);
    for (int64_t i = 0; i < result; i++)
        if ((unsigned char)flow->stream.data[i] != flow_letter(flow, flow->taken + (size_t)i))
            fail("promise 5: hark_stream_next_line() has lost or doubled a byte");
    if (result >= 0) flow->taken += (size_t)result + skip;
}

static void act_on_flows(void)
{
    struct flow *flow = flow_any();
    uint32_t choice = below(100);
    if (flow == NULL) {
        open_flow();
    } else if (flow->state == CLOSED) {
        if (one_in(4) && !family_uses(&streams, flow)) free_flow(flow);
    } else if (choice < 40) {
        act_of_peer(flow);
    } else if (choice < 60) {
        if (flow->can_read) submit_read(flow);
    } else if (choice < 66) {
        if (flow->can_read) submit_splice(flow);
    } else if (choice < 74) {
        if (flow->can_read) take_at_once(flow);
    } else if (choice < 86) {
        put(flow);
    } else if (choice < 94) {
        if (flow->can_write) submit_write(flow);
    } else if (choice < 97) {
        if (flow->can_write) submit_water(flow);
    } else if (choice < 98) {
        if (flow->can_write) submit_end(flow);
    } else {
        close_flow(flow);
    }
}

static void help_peers(void)
{
    for (int i = 0; i < FLOWS; i++)
        if (flows[i] != NULL) flow_read_peer(flows[i], STREAM_MAX);
}

static size_t audit_flows(void)
{
    size_t open_count = 0;
    for (int i = 0; i < FLOWS; i++) {
        if (flows[i] == NULL) continue;
        open_count += flows[i]->io.fd >= 0;
        flow_check(flows[i], false);
    }
    return open_count;
}

static void close_flows(void)
{
    for (int i = 0; i < FLOWS; i++)
        if (flows[i] != NULL && flows[i]->state == OPEN) close_flow(flows[i]);
}

static void clear_flows(void)
{
    for (int i = 0; i < FLOWS; i++) {
        if (flows[i] == NULL) continue;
        if (flows[i]->state != CLOSED) flows[i]->may_drop = true;
        free_flow(flows[i]);
    }
}

const struct family streams = {
    .act = act_on_flows, .is_due = stream_is_due, .may_break = stream_may_break,
    .check = stream_check, .help = help_peers, .audit = audit_flows,
    .wind_up = close_flows, .clear = clear_flows,
};
