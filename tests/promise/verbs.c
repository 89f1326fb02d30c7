/* The scenes of all verbs that can wait; see verbs.h. */
#include "verbs.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

enum { POOL_BUFFERS = 4, POOL_BYTES = 64, FAR_S = 1000, DATAGRAM_BYTES = 16384 };

static const char text[SCENE_TEXT] = "hello";

static bool open_wire(struct scene *scene) { return wire_open(&scene->wire, scene->kind); }

static bool open_pool(struct scene *scene)
{
    if (!open_wire(scene)) return false;
    ck_assert_int_eq(hark_pool_open(&scene->pool, loop, POOL_BUFFERS, POOL_BYTES), 0);
    return true;
}

/* With a buffer that shrinks once it is full, so that it stays full: what the peer's kernel takes
 * or acknowledges late would make room again. */
void wire_fill_up(struct wire *wire)
{
    int wide = 212992, narrow = 1; /* the kernel makes the least it allows of it */
    setsockopt(wire->io.fd, SOL_SOCKET, SO_SNDBUF, &wide, sizeof wide);
    ck_assert_uint_gt(wire_fill(wire), 0);
    setsockopt(wire->io.fd, SOL_SOCKET, SO_SNDBUF, &narrow, sizeof narrow);
}

void wire_empty(struct wire *wire)
{
    while (is_ready(wire->peer, POLLIN, 10)) (void)drain(wire->peer);
}

static bool open_full_wire(struct scene *scene)
{
    if (!open_wire(scene)) return false;
    wire_fill_up(&scene->wire);
    return true;
}

static bool open_unix(struct scene *scene)
{
    return has_unix_sockets && wire_open(&scene->wire, WIRE_UNIX);
}

static bool open_full_unix(struct scene *scene)
{
    if (!open_unix(scene)) return false;
    wire_fill_up(&scene->wire);
    return true;
}

static bool open_listener(struct scene *scene)
{
    struct listener listener;
    if (!listener_open(&listener, scene->kind)) return false;
    scene->addr = listener.addr;
    scene->len = listener.len;
    int fd = hark_io_release(&listener.io);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(hark_io_adopt(&scene->wire.io, loop, fd), 0);
    return true;
}

/* A listener whose queue is full: a further connect has to wait. */
static bool open_full_listener(struct scene *scene)
{
    if (!open_listener(scene)) return false;
    scene->listener = hark_io_release(&scene->wire.io);
    ck_assert_int_eq(listen(scene->listener, 0), 0);
    scene->wire.peer = socket(scene->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr *addr = (struct sockaddr *)&scene->addr;
    ck_assert_int_eq(connect(scene->wire.peer, addr, scene->len), 0);
    memset(&scene->wire.io, 0, sizeof scene->wire.io);
    int error = hark_socket(&scene->wire.io, loop, addr->sa_family, SOCK_STREAM, 0);
    ck_assert_int_eq(error, 0);
    return true;
}

static bool open_datagrams(struct scene *scene)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    ck_assert_int_eq(hark_io_adopt(&scene->wire.io, loop, fds[0]), 0);
    scene->wire.peer = fds[1];
    return true;
}

static bool open_full_datagrams(struct scene *scene)
{
    static char block[DATAGRAM_BYTES];
    ssize_t n;
    if (!has_unix_sockets) return false;
    open_datagrams(scene);
    do n = send(scene->wire.io.fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n > 0);
    ck_assert_int_eq(errno, EAGAIN);
    return true;
}

static bool open_timer(struct scene *scene)
{
    scene->when_ns = hark_after(loop, FAR_S * HARK_SECOND);
    return true;
}

/* What a callback brings goes back. */
static void on_scene(struct hark_op *op)
{
    struct scene *scene = op->user;
    if (op->result <= 0) scene->ended++;
    if (op->result > 0 && scene->pool != NULL) hark_pool_give(scene->pool, hark_data(op));
    bool is_accept = scene->verb->open == open_listener;
    if (op->result >= 0 && is_accept) (void)close((int)op->result); /* no claims: they allocate */
    on_probe(op);
}

static void submit_recv(struct scene *scene, struct hark_op *op, int slot)
{
    hark_recv(op, &scene->wire.io, scene->buf[slot], SCENE_TEXT, on_scene);
}

static void submit_recv_pool(struct scene *scene, struct hark_op *op, int slot)
{
    (void)slot;
    hark_recv_pool(op, &scene->wire.io, scene->pool, on_scene);
}

static void submit_read_ready(struct scene *scene, struct hark_op *op, int slot)
{
    (void)slot;
    hark_ready(op, &scene->wire.io, HARK_READABLE, on_scene);
}

static void submit_write_ready(struct scene *scene, struct hark_op *op, int slot)
{
    (void)slot;
    hark_ready(op, &scene->wire.io, HARK_WRITABLE, on_scene);
}

static void submit_accept(struct scene *scene, struct hark_op *op, int slot)
{
    (void)slot;
    hark_accept(op, &scene->wire.io, on_scene);
}

static void submit_send(struct scene *scene, struct hark_op *op, int slot)
{
    memcpy(scene->buf[slot], text, sizeof text);
    hark_send(op, &scene->wire.io, scene->buf[slot], SCENE_TEXT, on_scene);
}

static void submit_sendv(struct scene *scene, struct hark_op *op, int slot)
{
    char *buf = memcpy(scene->buf[slot], text, sizeof text);
    scene->slices[slot][0] = (struct iovec){ buf, 2 };
    scene->slices[slot][1] = (struct iovec){ buf + 2, SCENE_TEXT - 2 };
    hark_sendv(op, &scene->wire.io, scene->slices[slot], 2, on_scene);
}

static void submit_connect(struct scene *scene, struct hark_op *op, int slot)
{
    (void)slot;
    struct sockaddr *addr = (struct sockaddr *)&scene->addr;
    hark_connect(op, &scene->wire.io, addr, scene->len, on_scene);
}

static void submit_recvfrom(struct scene *scene, struct hark_op *op, int slot)
{
    scene->datagram[slot] = (struct hark_datagram){ .data = scene->buf[slot], .len = SCENE_TEXT };
    hark_recvfrom(op, &scene->wire.io, &scene->datagram[slot], on_scene);
}

static void submit_sendto(struct scene *scene, struct hark_op *op, int slot)
{
    memcpy(scene->buf[slot], text, sizeof text);
    scene->datagram[slot] = (struct hark_datagram){ .data = scene->buf[slot], .len = SCENE_TEXT };
    hark_sendto(op, &scene->wire.io, &scene->datagram[slot], on_scene);
}

static void submit_recv_batch(struct scene *scene, struct hark_op *op, int slot)
{
    scene->batch[slot] = (struct hark_datagram_batch){ &scene->packet[slot], 1, scene->buf[slot],
                                                       SCENE_TEXT };
    hark_recv_batch(op, &scene->wire.io, &scene->batch[slot], on_scene);
}

static void submit_send_batch(struct scene *scene, struct hark_op *op, int slot)
{
    char *buf = memcpy(scene->buf[slot], text, sizeof text);
    scene->packet[slot] = (struct hark_packet){ .data = buf, .len = SCENE_TEXT };
    scene->batch[slot] = (struct hark_datagram_batch){ .packets = &scene->packet[slot],
                                                       .count = 1 };
    hark_send_batch(op, &scene->wire.io, &scene->batch[slot], on_scene);
}

static void submit_recv_descriptors(struct scene *scene, struct hark_op *op, int slot)
{
    scene->descriptors[slot] = (struct hark_descriptors){ .data = scene->buf[slot],
                                                          .len = SCENE_TEXT };
    hark_recv_descriptors(op, &scene->wire.io, &scene->descriptors[slot], on_scene);
}

static void submit_send_descriptors(struct scene *scene, struct hark_op *op, int slot)
{
    char *buf = memcpy(scene->buf[slot], text, sizeof text);
    scene->descriptors[slot] = (struct hark_descriptors){ .data = buf, .len = SCENE_TEXT };
    hark_send_descriptors(op, &scene->wire.io, &scene->descriptors[slot], on_scene);
}

static void submit_timer(struct scene *scene, struct hark_op *op, int slot)
{
    hark_timer(op, loop, scene->when_ns + slot, on_scene);
}

static void submit_every(struct scene *scene, struct hark_op *op, int slot)
{
    hark_timer_every(op, loop, scene->when_ns + slot, FAR_S * HARK_SECOND, on_scene);
}

static void fulfil_read(struct scene *scene)
{
    ck_assert_int_eq(send(scene->wire.peer, text, sizeof text, MSG_NOSIGNAL), (int)sizeof text);
}

static void fulfil_descriptors(struct scene *scene)
{
    struct { char magic[4]; uint32_t count; uint64_t len; } header = { "", 0, SCENE_TEXT };
    memcpy(header.magic, "hark", 4);
    write_all(scene->wire.peer, &header, sizeof header);
    fulfil_read(scene);
}

static void fulfil_write(struct scene *scene) { wire_empty(&scene->wire); }

static void fulfil_accept(struct scene *scene)
{
    if (scene->wire.peer >= 0) close(scene->wire.peer);
    scene->wire.peer = socket(scene->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr *addr = (struct sockaddr *)&scene->addr;
    ck_assert_int_eq(connect(scene->wire.peer, addr, scene->len), 0);
}

static void fulfil_connect(struct scene *scene)
{
    int fd = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static const struct verb verbs[] = {
    { "recv", true, false, false, SCENE_TEXT, open_wire, submit_recv, fulfil_read },
    { "recv_pool", true, false, true, SCENE_TEXT, open_pool, submit_recv_pool, fulfil_read },
    { "recvfrom", false, false, false, SCENE_TEXT, open_datagrams, submit_recvfrom, fulfil_read },
    { "accept", true, false, true, -1, open_listener, submit_accept, fulfil_accept },
    { "ready to read", true, false, false, 0, open_wire, submit_read_ready, fulfil_read },
    { "send", true, false, false, SCENE_TEXT, open_full_wire, submit_send, fulfil_write },
    { "sendv", true, false, false, SCENE_TEXT, open_full_wire, submit_sendv, fulfil_write },
    { "sendto", false, false, false, SCENE_TEXT, open_full_datagrams, submit_sendto, fulfil_write },
    { "connect", true, false, false, 0, open_full_listener, submit_connect, fulfil_connect },
    { "ready to write", true, false, false, 0, open_full_wire, submit_write_ready, fulfil_write },
    { "recv_batch", false, false, false, 1, open_datagrams, submit_recv_batch, fulfil_read },
    { "send_batch", false, false, false, 1, open_full_datagrams, submit_send_batch, fulfil_write },
    { "recv_descriptors", false, false, false, SCENE_TEXT, open_unix, submit_recv_descriptors,
      fulfil_descriptors },
    { "send_descriptors", false, false, false, SCENE_TEXT, open_full_unix,
      submit_send_descriptors, fulfil_write },
    { "timer", false, true, false, 0, open_timer, submit_timer, NULL },
    { "timer_every", false, true, true, 1, open_timer, submit_every, NULL },
};

size_t scene_count(void) { return sizeof verbs / sizeof verbs[0] * WIRE_KINDS; }

bool scene_open(struct scene *scene, size_t index)
{
    memset(scene, 0, sizeof *scene);
    scene->verb = &verbs[index / WIRE_KINDS];
    scene->kind = (enum wire_kind)(index % WIRE_KINDS);
    scene->listener = scene->wire.peer = -1;
    if (!scene->verb->has_kinds && scene->kind != WIRE_TCP4) return false;
    if (scene->kind == WIRE_UNIX && !has_unix_sockets) return false;
    snprintf(doing, sizeof doing, "%s%s%s", scene->verb->name, scene->verb->has_kinds ? " on " : "",
             scene->verb->has_kinds ? wire_names[scene->kind] : "");
    return scene->verb->open(scene);
}

void scene_submit(struct scene *scene, struct probe *probe, int slot)
{
    probe->op.user = scene;
    scene->verb->submit(scene, &probe->op, slot);
}

bool scene_can_fulfil(const struct scene *scene)
{
    bool is_tcp = scene->kind != WIRE_UNIX;
    return scene->verb->fulfil != NULL && !(scene->verb->fulfil == fulfil_connect && is_tcp);
}

void scene_fulfil(struct scene *scene) { scene->verb->fulfil(scene); }

bool scene_is_true_result(const struct scene *scene, int64_t result)
{
    return scene->verb->result >= 0 ? result == scene->verb->result : result >= 0;
}

void scene_close(struct scene *scene)
{
    wire_close(&scene->wire);
    if (scene->listener >= 0) close(scene->listener);
    if (scene->pool != NULL) ck_assert_int_eq(hark_pool_close(scene->pool), 0);
    doing[0] = '\0';
}
