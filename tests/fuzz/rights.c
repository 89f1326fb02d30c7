/* Descriptor passing: two ends of hark's own. What one sends the other receives, in order: the
 * bytes, and descriptors of the same files. Ops that were canceled half-way are gone on with. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum right_verb {
    RIGHTS_SEND = FAMILY_VERBS + 96, RIGHTS_RECEIVE, RIGHTS_CLOSE_SENDER, RIGHTS_CLOSE_RECEIVER,
};

enum { PASSED = 4, FDS_MAX = 12, DATA_MAX = 400, MESSAGES = 64 };

struct message { uint32_t count, first; size_t len; uint64_t salt; };

/* One connection at a time, one op of each end at a time. */
struct passage {
    struct hark_io sender, receiver;
    enum state sender_state, receiver_state;
    int treasures[PASSED];     /* what is passed: four files */
    ino_t inodes[PASSED];
    struct message messages[MESSAGES];
    size_t sent_count, received_count;
    bool is_half_sent, is_half_received;
    struct hark_descriptors to_send, to_receive;
    int send_fds[FDS_MAX], receive_fds[FDS_MAX];
    unsigned char send_data[DATA_MAX], receive_data[DATA_MAX];
};

static struct passage *passage;

static void open_passage(void)
{
    int fds[2], type = one_in(2) ? SOCK_STREAM : SOCK_SEQPACKET, small = 4096;
    char path[64];
    passage = calloc(1, sizeof *passage);
    if (passage == NULL) fail("out of memory");
    checked(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), "socketpair");
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small); /* fills up soon */
    if (one_in(2)) checked(fcntl(fds[1], F_SETFL, O_NONBLOCK), "fcntl");
    int error = hark_io_adopt(&passage->sender, world.loop, fds[0]);
    if (error == 0) error = hark_io_adopt(&passage->receiver, world.loop, fds[1]);
    if (error != 0) fail("hark_io_adopt: %s", hark_strerror(error));
    snprintf(path, sizeof path, "%s-passed", world.directory);
    for (int i = 0; i < PASSED; i++) {
        struct stat st;
        int fd = checked(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), "a file to pass");
        unlink(path);
        if (fstat(fd, &st) != 0) fail("fstat");
        passage->treasures[i] = fd;
        passage->inodes[i] = st.st_ino;
    }
}

static bool is_under_way(int verb)
{
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *slot = world.slots[i];
        if (slot != NULL && slot->is_alive && slot->verb == verb) return true;
    }
    return false;
}

static void write_message(void)
{
    struct message *message = &passage->messages[passage->sent_count++];
    *message = (struct message){ .count = below(FDS_MAX + 1), .first = below(PASSED),
                                 .len = below(DATA_MAX + 1), .salt = world.next_number++ };
    for (uint32_t i = 0; i < message->count; i++)
        passage->send_fds[i] = passage->treasures[(message->first + i) % PASSED];
    for (size_t i = 0; i < message->len; i++)
        passage->send_data[i] = pattern(message->salt, i);
    passage->to_send = (struct hark_descriptors){
        .fds = passage->send_fds, .count = message->count,
        .data = passage->send_data, .len = message->len,
    };
}

static void send_message(void)
{
    if (is_under_way(RIGHTS_SEND)) return;
    if (!passage->is_half_sent && passage->sent_count == MESSAGES) return;
    struct slot *slot = slot_prepare(&rights, RIGHTS_SEND, passage);
    if (slot == NULL) return;
    slot->was_closed = world.is_closing || passage->sender_state != OPEN;
    if (!passage->is_half_sent) write_message();
    passage->is_half_sent = true;
    hark_send_descriptors(&slot->op, &passage->sender, &passage->to_send, model_called);
}

static void receive_message(void)
{
    if (is_under_way(RIGHTS_RECEIVE)) return;
    struct slot *slot = slot_prepare(&rights, RIGHTS_RECEIVE, passage);
    if (slot == NULL) return;
    slot->was_closed = world.is_closing || passage->receiver_state != OPEN;
    if (!passage->is_half_received)
        passage->to_receive = (struct hark_descriptors){
            .fds = passage->receive_fds, .room = one_in(3) ? below(FDS_MAX) : FDS_MAX,
            .data = passage->receive_data, .len = one_in(3) ? below(DATA_MAX) : DATA_MAX,
        };
    passage->is_half_received = true;
    hark_recv_descriptors(&slot->op, &passage->receiver, &passage->to_receive, model_called);
}

static void close_end(bool is_sender)
{
    struct hark_io *io = is_sender ? &passage->sender : &passage->receiver;
    enum state *state = is_sender ? &passage->sender_state : &passage->receiver_state;
    int verb = is_sender ? RIGHTS_CLOSE_SENDER : RIGHTS_CLOSE_RECEIVER;
    struct slot *slot = slot_prepare(&rights, verb, passage);
    if (slot == NULL) return;
    slot->is_close = true;
    slot->deadline = 0;
    slot->was_closed = *state != OPEN || world.is_closing;
    if (*state == OPEN) *state = CLOSING;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *other = world.slots[i];
        bool is_of_it = other != NULL && other->is_alive &&
                        other->verb == (is_sender ? RIGHTS_SEND : RIGHTS_RECEIVE);
        if (is_of_it) other->is_cut = true;
    }
    hark_close(&slot->op, io, model_called);
}

static void close_received(void)
{
    struct hark_descriptors *received = &passage->to_receive;
    for (uint32_t i = 0; i < received->count; i++) close(received->fds[i]);
    received->count = 0;
}

static void free_passage(void)
{
    close_received();
    for (int i = 0; i < PASSED; i++) close(passage->treasures[i]);
    free(passage);
    passage = NULL;
}

static void act_on_rights(void)
{
    uint32_t choice = below(40);
    if (passage == NULL) {
        open_passage();
    } else if (passage->sender_state == CLOSED && passage->receiver_state == CLOSED) {
        if (!family_uses(&rights, passage)) free_passage();
    } else if (choice == 0) {
        close_end(one_in(2));
    } else if (one_in(2)) {
        send_message();
    } else {
        receive_message();
    }
}

/* A receive that waits for what was never sent is not due, nor a send that nobody receives. */
static bool is_due(const struct slot *slot)
{
    (void)slot;
    return slot->verb != RIGHTS_SEND && slot->verb != RIGHTS_RECEIVE;
}

static void check_received(struct slot *slot)
{
    const struct hark_descriptors *got = &passage->to_receive;
    struct stat st;
    passage->is_half_received = false;
    if (got->is_end || slot->op.result < 0) {
        if (passage->sender_state == OPEN) wrong(slot, "an end that nobody made");
        if (slot->op.result < 0 && slot->op.result != HARK_ECONNRESET)
            wrong(slot, "a receive of descriptors cannot say that");
        return;
    }
    if (passage->received_count == passage->sent_count) wrong(slot, "a message that was not sent");
    const struct message *message = &passage->messages[passage->received_count++];
    size_t len = message->len < got->len ? message->len : got->len;
    uint32_t count = message->count < got->room ? message->count : got->room;
    if (slot->op.result != (int64_t)len || got->is_truncated != (len < message->len))
        wrong(slot, "a message of another length");
    if (got->count != count || got->lost != message->count - count)
        wrong(slot, "another number of descriptors");
    for (size_t i = 0; i < len; i++)
        if (passage->receive_data[i] != pattern(message->salt, i)) wrong(slot, "another message");
    for (uint32_t i = 0; i < count; i++) {
        if (fstat(got->fds[i], &st) != 0 ||
            st.st_ino != passage->inodes[(message->first + i) % PASSED])
            wrong(slot, "a descriptor of another file");
        if (!(fcntl(got->fds[i], F_GETFD) & FD_CLOEXEC)) wrong(slot, "not close-on-exec");
    }
}

static void check_sent(struct slot *slot)
{
    bool is_broken = passage->receiver_state != OPEN;
    int64_t result = slot->op.result;
    if (result >= 0) passage->is_half_sent = false;
    if (result == (int64_t)passage->to_send.len) return;
    if (!is_broken || (result != HARK_EPIPE && result != HARK_ECONNRESET))
        wrong(slot, "a send of descriptors cannot say that");
}

/* What was received is closed at once. */
static void check(struct slot *slot, bool is_decision)
{
    bool is_close = slot->verb != RIGHTS_SEND && slot->verb != RIGHTS_RECEIVE;
    if (is_close && !slot->was_closed) {
        if (slot->op.result != 0) wrong(slot, "a close cannot say that");
        if (slot->verb == RIGHTS_CLOSE_SENDER) passage->sender_state = CLOSED;
        else passage->receiver_state = CLOSED;
    }
    if (is_close || is_decision) return;
    if (slot->was_closed) {
        if (slot->op.result != HARK_EBADF) wrong(slot, "a closed io works");
        return;
    }
    if (slot->verb == RIGHTS_SEND) {
        check_sent(slot);
    } else {
        check_received(slot);
        close_received();
    }
}

static void nothing(void) {} /* both ends are the run's own */

static size_t audit(void)
{
    if (passage == NULL) return 0;
    return (size_t)(passage->sender.fd >= 0) + (size_t)(passage->receiver.fd >= 0);
}

static void wind_up(void)
{
    if (passage == NULL) return;
    if (passage->sender_state == OPEN) close_end(true);
    if (passage->receiver_state == OPEN) close_end(false);
}

static void clear(void)
{
    if (passage != NULL) free_passage();
}

const struct family rights = {
    .act = act_on_rights, .is_due = is_due, .check = check, .help = nothing, .audit = audit,
    .wind_up = wind_up, .clear = clear,
};
