/* UDP datagrams of 64 bytes on loopback by hark: packets a second of processor time, one call a
 * packet, by batches, and by segments; the ratio to one call a packet, in each round.
 *
 *     datagrams [--backend NAME] [--rounds N] [--packets N] [--json]
 *
 * One process sends a burst to itself, then receives it: so no datagram is lost, and the processor
 * time is that of both ends. */
#include <hark/hark.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BYTES = 64, BURST = 64, ROOM = 65536, ROUNDS_MAX = 99,
};
enum way { ONE_BY_ONE, BATCHED, CUT, CUT_AND_JOINED, WAYS };

static const char *const way_names[WAYS] = { "one call a packet", "batches of 64",
                                             "sent as 64 segments",
                                             "received so too" };

static struct hark_loop *loop;
static struct hark_io from, to;
static char data[BURST * BYTES], arena[BURST * BYTES], wide_arena[ROOM];
static uint64_t received;
static unsigned busy;

static _Noreturn void die(const char *what, int64_t error)
{
    fprintf(stderr, "datagrams: %s: %s\n", what, hark_strerror(error));
    exit(1);
}

static int64_t processor_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * HARK_SECOND + now.tv_nsec;
}

static void need(const char *what, int64_t result)
{
    if (result < 0) die(what, result);
}

static void turn_until_idle(void)
{
    while (busy != 0) need("hark_step", hark_step(loop, 10 * HARK_SECOND));
}

static void on_sent(struct hark_op *op)
{
    need("send", op->result);
    busy--;
}

/* One by one: BURST ops each way. */
static struct hark_op out_ops[BURST], in_ops[BURST];
static struct hark_datagram out[BURST], in[BURST];

static void on_datagram(struct hark_op *op)
{
    need("recvfrom", op->result);
    received++;
    busy--;
}

static void burst_one_by_one(void)
{
    for (int i = 0; i < BURST; i++) {
        out[i] = (struct hark_datagram){ .data = data, .len = BYTES };
        hark_sendto(&out_ops[i], &from, &out[i], on_sent);
    }
    for (int i = 0; i < BURST; i++) {
        in[i] = (struct hark_datagram){ .data = arena + i * BYTES, .len = BYTES };
        hark_recvfrom(&in_ops[i], &to, &in[i], on_datagram);
    }
    busy = 2 * BURST;
    turn_until_idle();
}

static struct hark_packet out_packets[BURST], in_packets[BURST];
static struct hark_datagram_batch out_batch, in_batch;
static uint64_t wanted;

static void on_batch(struct hark_op *op)
{
    need("recv_batch", op->result);
    for (int64_t i = 0; i < op->result; i++) {
        struct hark_segment segment = { 0 };
        while (hark_next_segment(&in_packets[i], &segment)) received++;
    }
    if (received < wanted) hark_recv_batch(op, &to, &in_batch, on_batch);
    else busy--;
}

static void burst_batched(bool is_cut, bool is_joined)
{
    uint32_t count = is_cut ? 1 : BURST;
    for (uint32_t i = 0; i < count; i++)
        out_packets[i] = (struct hark_packet){ .data = data, .len = BURST / count * BYTES,
                                               .segment_bytes = is_cut ? BYTES : 0 };
    out_batch = (struct hark_datagram_batch){ .packets = out_packets, .count = count };
    in_batch = is_joined ? (struct hark_datagram_batch){ in_packets, 1, wide_arena, ROOM }
                         : (struct hark_datagram_batch){ in_packets, BURST, arena, BYTES };
    wanted = received + BURST;
    hark_send_batch(&out_ops[0], &from, &out_batch, on_sent);
    hark_recv_batch(&in_ops[0], &to, &in_batch, on_batch);
    busy = 2;
    turn_until_idle();
}

/* Nanoseconds of processor time a packet. */
static double measure(enum way way, uint64_t packets)
{
    bool is_joined = way == CUT_AND_JOINED;
    need("segments", hark_datagram_set(&to, HARK_SEGMENTS, is_joined));
    received = 0;
    int64_t begin = processor_now();
    while (received < packets) {
        if (way == ONE_BY_ONE) burst_one_by_one();
        else burst_batched(way >= CUT, is_joined);
    }
    int64_t spent = processor_now() - begin;
    return (double)spent / (double)received;
}

static void on_connected(struct hark_op *op)
{
    need("connect", op->result);
    busy--;
}

static void open_sockets(const char *backend)
{
    struct hark_loop_options options = { .backend = backend };
    struct sockaddr_in addr = { .sin_family = AF_INET };
    socklen_t len = sizeof addr;
    need("hark_loop_open", hark_loop_open(&loop, &options));
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    need("socket", hark_socket(&to, loop, AF_INET, SOCK_DGRAM, 0));
    need("bind", hark_bind(&to, (struct sockaddr *)&addr, sizeof addr));
    need("address", hark_local_address(&to, (struct sockaddr *)&addr, &len));
    need("socket", hark_socket(&from, loop, AF_INET, SOCK_DGRAM, 0));
    busy = 1;
    hark_connect(&out_ops[0], &from, (struct sockaddr *)&addr, sizeof addr, on_connected);
    turn_until_idle();
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(const double *values, int count)
{
    double sorted[ROUNDS_MAX];
    memcpy(sorted, values, (size_t)count * sizeof *values);
    qsort(sorted, (size_t)count, sizeof *sorted, by_size);
    return sorted[count / 2];
}

/* Ratio: packets a second beside one call a packet in the same round. */
static void print_all(double cost[WAYS][ROUNDS_MAX], int rounds, bool is_json)
{
    if (!is_json) printf("hark %s, UDP datagrams of %d bytes\n", hark_loop_backend(loop), BYTES);
    for (int way = 0; way < WAYS; way++) {
        double ratios[ROUNDS_MAX];
        for (int i = 0; i < rounds; i++) ratios[i] = cost[ONE_BY_ONE][i] / cost[way][i];
        double ns = median(cost[way], rounds), ratio = median(ratios, rounds);
        if (is_json)
            printf("%s\"%s\": {\"ns\": %.1f, \"ratio\": %.3f}%s", way == 0 ? "{" : ", ",
                   way_names[way], ns, ratio, way == WAYS - 1 ? "}\n" : "");
        else
            printf("%-22s %8.1f ns a packet %12.0f packets a second %8.2f times\n",
                   way_names[way], ns, 1e9 / ns, ratio);
    }
}

int main(int argc, char **argv)
{
    const char *backend = NULL;
    long rounds = 7, packets = 200000;
    bool is_json = false;
    static double cost[WAYS][ROUNDS_MAX];
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--json") == 0) is_json = true;
        else if (strcmp(argv[i], "--backend") == 0 && has_value) backend = argv[++i];
        else if (strcmp(argv[i], "--rounds") == 0 && has_value) rounds = atol(argv[++i]);
        else if (strcmp(argv[i], "--packets") == 0 && has_value) packets = atol(argv[++i]);
        else die(argv[i], HARK_EINVAL);
    }
    if (rounds < 1 || rounds > ROUNDS_MAX || packets < 1) die("--rounds, --packets", HARK_EINVAL);
    open_sockets(backend);
    for (int way = 0; way < WAYS; way++) (void)measure((enum way)way, BURST * 10);
    for (long i = 0; i < rounds; i++)
        for (int way = 0; way < WAYS; way++)
            cost[way][i] = measure((enum way)way, (uint64_t)packets);
    print_all(cost, (int)rounds, is_json);
    hark_loop_close(loop); /* and the sockets with it */
    return 0;
}
