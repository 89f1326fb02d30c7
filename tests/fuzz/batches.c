/* Datagrams by the batch, some packets with several of one size in each. On the links of calls.c:
 * the peer hears single datagrams, as from hark_sendto(). */
#include "fuzz.h"

#include <netinet/in.h>

enum { PACKETS = 6, SEGMENTS = 3, SEGMENT_BYTES = 64, ROOM_BYTES = 1200 };

struct load {
    struct hark_datagram_batch batch;
    struct hark_packet packets[PACKETS];
};

static void write_datagram(unsigned char *at, struct head head)
{
    for (size_t i = sizeof head; i < head.len; i++) at[i] = pattern(head.number, i);
    memcpy(at, &head, sizeof head);
}

static void fill_packet(struct link *link, struct hark_packet *packet, unsigned char *at)
{
    uint32_t segments = one_in(3) ? 2 + below(SEGMENTS - 1) : 1;
    packet->data = at;
    packet->segment_bytes = segments > 1 || one_in(8) ? SEGMENT_BYTES : 0;
    for (uint32_t i = 0; i < segments; i++) {
        uint32_t bytes = (uint32_t)sizeof(struct head) + below(SEGMENT_BYTES - sizeof(struct head));
        struct head head = { link->datagrams_sent++, i + 1 < segments ? SEGMENT_BYTES : bytes };
        write_datagram(at + packet->len, head);
        packet->len += head.len;
    }
    socklen_t len = sizeof packet->peer;
    if (one_in(2) && getsockname(link->peer, (struct sockaddr *)&packet->peer, &len) == 0)
        packet->peer_len = len;
}

void submit_send_batch(struct slot *slot)
{
    struct load *load = slot_take_memory(slot, sizeof *load);
    uint32_t count = one_in(16) ? 0 : 1 + below(PACKETS);
    slot_take_buffer(slot, PACKETS * SEGMENTS * SEGMENT_BYTES);
    for (uint32_t i = 0; i < count; i++)
        fill_packet(slot->link, &load->packets[i], slot->buf + i * SEGMENTS * SEGMENT_BYTES);
    load->batch = (struct hark_datagram_batch){ .packets = load->packets, .count = count };
    hark_send_batch(&slot->op, &slot->link->io, &load->batch, model_called);
}

void submit_recv_batch(struct slot *slot)
{
    struct load *load = slot_take_memory(slot, sizeof *load);
    uint32_t count = one_in(16) ? 0 : 1 + below(PACKETS);
    slot_take_buffer(slot, PACKETS * ROOM_BYTES);
    slot->len = count;
    load->batch = (struct hark_datagram_batch){
        .packets = load->packets, .count = count, .arena = slot->buf,
        .room_bytes = one_in(2) ? ROOM_BYTES : 64,
    };
    hark_recv_batch(&slot->op, &slot->link->io, &load->batch, model_called);
}

static size_t datagrams_in(const struct hark_packet *packet)
{
    struct hark_segment segment = { 0 };
    size_t count = 0;
    while (hark_next_segment(packet, &segment)) count++;
    return count;
}

/* In every last callback: what has gone is what the peer must get. */
void check_sent_batch(struct slot *slot)
{
    struct link *link = slot->link;
    const struct load *load = slot->memory;
    uint32_t sent = hark_sent_packets(&slot->op), count = load->batch.count;
    int64_t result = slot->op.result;
    if (sent > count || (result >= 0 && (sent != count || result != count)))
        wrong(slot, "a batch is not sent whole");
    if (slot->was_closed && sent != 0) wrong(slot, "a closed io sends");
    for (uint32_t i = 0; i < sent; i++) link->sent_len += datagrams_in(&load->packets[i]);
    if (sent < count && result < 0 && !slot->was_closed)
        link->datagrams_unsure += datagrams_in(&load->packets[sent]) - 1;
    bool is_decision = result == HARK_ECANCELED || result == HARK_ETIMEDOUT;
    if (result < 0 && !is_decision && !slot->was_closed) wrong(slot, "a batch cannot say that");
}

static void check_packet(struct slot *slot, const struct hark_packet *packet)
{
    const struct load *load = slot->memory;
    struct link *link = slot->link;
    struct head head;
    if (packet->len < sizeof head) wrong(slot, "a packet is too short");
    memcpy(&head, packet->data, sizeof head);
    size_t room = load->batch.room_bytes, len = head.len < room ? head.len : room;
    if (head.number != link->received) wrong(slot, "promise 5: a datagram of a batch was lost");
    link->received++;
    if (packet->len != len) wrong(slot, "the length of a packet is wrong");
    if (packet->is_truncated != (head.len > room)) wrong(slot, "is_truncated is wrong");
    for (size_t i = sizeof head; i < len; i++)
        if (((unsigned char *)packet->data)[i] != pattern(head.number, i))
            wrong(slot, "a packet has a wrong byte");
    if (packet->peer_len != sizeof(struct sockaddr_in)) wrong(slot, "the sender is missing");
}

void check_received_batch(struct slot *slot)
{
    const struct load *load = slot->memory;
    int64_t result = slot->op.result;
    if (result < 0 || result > load->batch.count || (result == 0 && load->batch.count != 0))
        wrong(slot, "a batch cannot say that");
    for (int64_t i = 0; i < result; i++) check_packet(slot, &load->packets[i]);
}
