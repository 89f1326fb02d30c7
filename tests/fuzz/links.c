/* The ios of a run and their peers: plain descriptors that write, read, shut down, reset at random
 * moments, never through hark. The bytes that a peer writes follow a pattern, so that each can be
 * told by its position; those that hark sends are kept, to compare with what the peer has read. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

unsigned char pattern(uint64_t salt, size_t position)
{
    uint64_t z = (salt + position) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned char)(z >> 56);
}

int checked(int result, const char *what)
{
    if (result < 0) fail("%s: %s", what, strerror(errno));
    return result;
}

int plain_socket(int type)
{
    return checked(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
}

static struct sockaddr_in loopback(void)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int bound_socket(int type)
{
    struct sockaddr_in addr = loopback();
    int fd = plain_socket(type);
    checked(bind(fd, (struct sockaddr *)&addr, sizeof addr), "bind");
    return fd;
}

static struct sockaddr_in name_of(int fd)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    checked(getsockname(fd, (struct sockaddr *)&addr, &len), "getsockname");
    return addr;
}

static void connect_to(int fd, int there)
{
    struct sockaddr_in addr = name_of(there);
    checked(connect(fd, (struct sockaddr *)&addr, sizeof addr), "connect");
}

static void must(int error, const char *what)
{
    if (error != 0) fail("%s: %s", what, hark_strerror(error));
}

void tcp_pair(int fds[2])
{
    int listener = bound_socket(SOCK_STREAM);
    checked(listen(listener, 1), "listen");
    fds[0] = plain_socket(SOCK_STREAM);
    connect_to(fds[0], listener);
    fds[1] = checked(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept4");
    close(listener);
}

static void open_stream(struct link *link)
{
    int fds[2];
    link->is_tcp = one_in(2);
    if (link->is_tcp) {
        tcp_pair(fds);
    } else {
        checked(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
    }
    if (one_in(2)) checked(fcntl(fds[0], F_SETFL, O_NONBLOCK), "fcntl");
    must(hark_io_adopt(&link->io, world.loop, fds[0]), "hark_io_adopt");
    link->peer = fds[1];
}

static void open_datagram(struct link *link)
{
    struct sockaddr_in addr = loopback();
    must(hark_socket(&link->io, world.loop, AF_INET, SOCK_DGRAM, 0), "hark_socket");
    must(hark_bind(&link->io, (struct sockaddr *)&addr, sizeof addr), "hark_bind");
    link->peer = bound_socket(SOCK_DGRAM);
    connect_to(link->peer, link->io.fd);
    connect_to(link->io.fd, link->peer);
}

static void open_listener(struct link *link)
{
    struct sockaddr_in addr = loopback();
    must(hark_socket(&link->io, world.loop, AF_INET, SOCK_STREAM, 0), "hark_socket");
    must(hark_bind(&link->io, (struct sockaddr *)&addr, sizeof addr), "hark_bind");
    must(hark_listen(&link->io, 0), "hark_listen");
}

static void open_dialer(struct link *link)
{
    if (world.plain_listener < 0) {
        world.plain_refuser = bound_socket(SOCK_STREAM);
        world.plain_listener = bound_socket(SOCK_STREAM);
        checked(listen(world.plain_listener, SOMAXCONN), "listen");
        checked(fcntl(world.plain_listener, F_SETFL, O_NONBLOCK), "fcntl");
    }
    link->is_tcp = true;
    must(hark_socket(&link->io, world.loop, AF_INET, SOCK_STREAM, 0), "hark_socket");
}

/* Something that can be waited for and nothing else. Once written to, it stays readable. */
static void open_foreign(struct link *link)
{
    int fds[2] = { -1, -1 };
    switch (below(3)) {
    case 0: checked(pipe2(fds, O_CLOEXEC), "pipe2"); break;
    case 1:
        fds[0] = checked(eventfd(0, EFD_CLOEXEC), "eventfd");
        fds[1] = checked(fcntl(fds[0], F_DUPFD_CLOEXEC, 0), "dup");
        break;
    default:
        fds[0] = checked(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
        link->written = 1;
    }
    must(hark_io_adopt(&link->io, world.loop, fds[0]), "hark_io_adopt");
    link->peer = fds[1];
}

static struct link **link_place(void)
{
    for (int i = 0; i < LINKS; i++)
        if (world.links[i] == NULL) return &world.links[i];
    return NULL;
}

/* NULL: there are enough. */
static struct link *link_new(enum kind kind)
{
    struct link **place = link_place();
    if (place == NULL) return NULL;
    struct link *link = *place = calloc(1, sizeof *link);
    if (link == NULL) fail("out of memory");
    link->kind = kind;
    link->peer = link->fd = -1;
    link->salt = (uint64_t)below(UINT32_MAX) << 32;
    return link;
}

struct link *link_open(enum kind kind)
{
    struct link *link = link_new(kind);
    if (link == NULL) return NULL;
    switch (kind) {
    case STREAM: open_stream(link); break;
    case DATAGRAM: open_datagram(link); break;
    case LISTENER: open_listener(link); break;
    case DIALER: open_dialer(link); break;
    default: open_foreign(link);
    }
    return link;
}

struct link *link_any(void) { return world.links[below(LINKS)]; }

/* The io is closed, or its loop is. */
void link_free(struct link *link)
{
    peer_check(link, true);
    if (link->state == RELEASED) close(link->fd);
    if (link->peer >= 0) close(link->peer);
    free(link->sent);
    free(link->got);
    for (int i = 0; i < LINKS; i++)
        if (world.links[i] == link) world.links[i] = NULL;
    free(link);
}

/* What hark_accept() brought: becomes a stream if its dialer is still known. */
void link_take_accepted(int fd, struct slot *slot)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    if (!(checked(fcntl(fd, F_GETFD), "an accepted descriptor") & FD_CLOEXEC))
        fail("an accepted descriptor is not close-on-exec");
    bool has_peer = getpeername(fd, (struct sockaddr *)&addr, &len) == 0;
    for (int i = 0; has_peer && i < DIALED; i++) {
        int dialed = world.dialed[i];
        if (dialed < 0 || name_of(dialed).sin_port != addr.sin_port) continue;
        world.dialed[i] = -1;
        struct link *link = world.is_closing || world.is_quiet ? NULL : link_new(STREAM);
        if (link == NULL) {
            close(dialed);
            break;
        }
        link->is_tcp = true;
        link->peer = dialed;
        must(hark_accepted(&link->io, &slot->op), "hark_accepted");
        return;
    }
    close(fd);
}

/* Keeps the other end of a connect whose callback is still to come. */
static bool keep_for_another(int fd, in_port_t port)
{
    for (int i = 0; i < LINKS; i++) {
        struct link *link = world.links[i];
        if (link == NULL || link->kind != DIALER || link->state != OPEN) continue;
        if (link->peer >= 0 || name_of(link->io.fd).sin_port != port) continue;
        link->peer = fd;
        return true;
    }
    return false;
}

/* What hark_connect() made: finds the other end. */
void link_connected(struct link *link)
{
    in_port_t port = name_of(link->io.fd).sin_port;
    if (link->peer >= 0) link->kind = STREAM;
    for (int tries = 0; tries < 100 && link->kind == DIALER; tries++) {
        struct pollfd listener = { .fd = world.plain_listener, .events = POLLIN };
        struct sockaddr_in addr;
        socklen_t len = sizeof addr;
        if (poll(&listener, 1, 1000) != 1) break;
        int fd = accept4(world.plain_listener, (struct sockaddr *)&addr, &len, SOCK_CLOEXEC);
        if (fd >= 0 && addr.sin_port == port) {
            link->peer = fd;
            link->kind = STREAM;
            return;
        }
        if (fd < 0 || keep_for_another(fd, addr.sin_port)) continue;
        close(fd); /* of a connect that was canceled */
    }
    if (link->kind == DIALER) fail("hark_connect() said 0, but nobody has connected");
}

static void peer_write(struct link *link)
{
    unsigned char bytes[BYTES_MAX];
    size_t len = 1 + below(one_in(4) ? BYTES_MAX : 100);
    if (link->peer_has_ended || link->written + len > STREAM_MAX) return;
    for (size_t i = 0; i < len; i++) bytes[i] = pattern(link->salt, link->written + i);
    ssize_t n = send(link->peer, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) link->written += (size_t)n;
    else if (errno != EAGAIN) link->is_disturbed = true; /* hark's end is closed */
}

void bytes_append(unsigned char **all, size_t *all_len, const void *bytes, size_t len)
{
    if (len == 0) return; /* and realloc(3) of nothing would free */
    unsigned char *longer = realloc(*all, *all_len + len);
    if (longer == NULL) fail("out of memory");
    memcpy(longer + *all_len, bytes, len);
    *all = longer;
    *all_len += len;
}

static void read_datagrams(struct link *link)
{
    unsigned char bytes[BYTES_MAX];
    ssize_t n;
    while ((n = recv(link->peer, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        struct head head;
        memcpy(&head, bytes, sizeof head);
        if (n != (ssize_t)head.len) fail("a datagram of %zd bytes, not %u", n, head.len);
        if (head.number < link->datagrams_got)
            fail("promise 4: datagram %u came late", head.number);
        for (size_t i = sizeof head; i < head.len; i++)
            if (bytes[i] != pattern(head.number, i)) fail("a datagram has a wrong byte");
        link->datagrams_got = head.number + 1;
        link->got_len++;
    }
}

void peer_read(struct link *link, size_t most)
{
    unsigned char bytes[BYTES_MAX];
    if (link->peer < 0 || link->kind == FOREIGN) return;
    if (link->kind == DATAGRAM) {
        read_datagrams(link);
        return;
    }
    while (most > 0) {
        size_t room = most < sizeof bytes ? most : sizeof bytes;
        ssize_t n = recv(link->peer, bytes, room, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) link->is_disturbed = true;
        if (n <= 0) return;
        bytes_append(&link->got, &link->got_len, bytes, (size_t)n);
        most -= (size_t)n;
    }
}

static void peer_end(struct link *link, bool is_reset)
{
    struct linger at_once = { .l_onoff = 1 };
    peer_read(link, STREAM_MAX);
    if (is_reset) (void)setsockopt(link->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(link->peer);
    link->peer = -1;
    link->peer_has_ended = link->is_disturbed = true;
}

static void peer_shut(struct link *link, bool is_read)
{
    /* A write that failed says by itself that the stream is disturbed. */
    if (shutdown(link->peer, is_read ? SHUT_RD : SHUT_WR) != 0) link->is_disturbed = true;
    if (is_read) link->peer_reads_not = link->is_disturbed = true;
    else link->peer_has_ended = true;
}

static void write_datagram(struct link *link)
{
    unsigned char bytes[1200];
    uint32_t len = (uint32_t)(sizeof(struct head) + below(sizeof bytes - sizeof(struct head)));
    struct head head = { (uint32_t)link->written, len };
    if (link->written - link->received > 24) return; /* none may be dropped for want of room */
    memcpy(bytes, &head, sizeof head);
    for (size_t i = sizeof head; i < len; i++) bytes[i] = pattern(head.number, i);
    if (send(link->peer, bytes, len, MSG_DONTWAIT) == (ssize_t)len) link->written++;
}

static void write_foreign(struct link *link)
{
    uint64_t one = 1;
    if (link->state != OPEN) return; /* a pipe without a reader would raise SIGPIPE */
    if (link->written == 0 && write(link->peer, &one, sizeof one) == sizeof one) link->written = 1;
}

void peer_act(struct link *link)
{
    if (link->peer < 0) return;
    if (link->kind == FOREIGN) {
        write_foreign(link);
    } else if (link->kind == DATAGRAM) {
        if (one_in(3)) read_datagrams(link);
        else write_datagram(link);
    } else if (link->kind == STREAM) {
        uint32_t choice = below(60);
        if (choice < 36) peer_write(link);
        else if (choice < 54) peer_read(link, 1 + below(3 * BYTES_MAX));
        else if (choice < 56) peer_shut(link, false);
        else if (choice < 57) peer_shut(link, true);
        else peer_end(link, choice < 58);
    }
}

/* Connects a plain socket to one of hark's listeners. */
void peer_dial(void)
{
    for (int i = 0; i < LINKS; i++) {
        struct link *link = world.links[i];
        if (link == NULL || link->kind != LISTENER || link->state != OPEN) continue;
        int *place = &world.dialed[below(DIALED)];
        if (*place >= 0) close(*place);
        *place = plain_socket(SOCK_STREAM);
        connect_to(*place, link->io.fd);
        return;
    }
}

/* Reads to the end, or what comes within a second. True: the end was seen. */
static bool read_to_end(struct link *link)
{
    unsigned char byte;
    struct pollfd readable = { .fd = link->peer, .events = POLLIN };
    for (int tries = 0; tries < 10000; tries++) {
        if (poll(&readable, 1, 2000) != 1) return false;
        peer_read(link, STREAM_MAX);
        if (link->is_disturbed) return true;
        if (recv(link->peer, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0) return true;
    }
    return false;
}

/* Has the peer got what hark says it has sent? is_over: hark's end is closed and silent. */
void peer_check(struct link *link, bool is_over)
{
    if (link->kind == DATAGRAM) {
        if (link->peer >= 0) read_datagrams(link);
        if (is_over && link->got_len - link->sent_len > link->datagrams_unsure)
            fail("%zu datagrams were sent, %zu came", link->sent_len, link->got_len);
        return;
    }
    if (link->kind != STREAM) return;
    if (is_over && link->state == RELEASED) (void)shutdown(link->fd, SHUT_WR); /* or it is so */
    if (is_over && link->peer >= 0 && !read_to_end(link)) fail("the peer sees no end of stream");
    size_t both = link->got_len < link->sent_len ? link->got_len : link->sent_len;
    if (both != 0 && memcmp(link->got, link->sent, both) != 0)
        fail("the peer got other bytes than were sent");
    if (is_over && link->got_len > link->sent_len)
        fail("the peer got %zu bytes, the sends say %zu", link->got_len, link->sent_len);
    if (is_over && !link->is_disturbed && link->got_len != link->sent_len)
        fail("the sends say %zu bytes, the peer got %zu", link->sent_len, link->got_len);
}
