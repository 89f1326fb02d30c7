/* Questions to name servers, by c-ares: one channel a loop, opened at the first look-up.
 *
 *  1. c-ares sees its sockets through functions of ours. Each is an io of the loop, so what c-ares
 *     closes is closed as every io is: the kernel forgets it first (trap 2). c-ares opens sockets
 *     for questions and closes them when it has none left: an idle loop has none.
 *  2. c-ares calls back from inside its calls. What hears of it only queues results, so c-ares is
 *     never called again from there but to ask a further question, which it allows.
 *  3. When the next question times out it finds by a look at all of them. So a timer looks now and
 *     then, and no question has one of its own. */
#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <hark/timer.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/limits.h"
#include "dns/dns.h"

static const char label[] = "names";

struct channel {
    struct names *names;
    ares_channel ares;
    struct ares_options options;  /* as resolv.conf and c-ares have them */
    int options_mask;
    struct connection *connections;
    struct hark_op timer;
    int reads_left;               /* of this visit */
    bool is_closed;               /* freed by the timer's callback */
};

/* A socket of c-ares. */
struct connection {
    struct channel *channel;
    struct connection *next;
    struct hark_io io;
    struct hark_op ready[2], closing;
    bool wants[2];
    bool is_stream, is_closed;
    bool is_broken;               /* cannot be waited for */
};

const bool cares_is_there = true;

static struct connection *find(struct channel *channel, int fd)
{
    struct connection *at = channel->connections;
    while (at != NULL && at->io.fd != fd) at = at->next;
    return at;
}

static void on_ready(struct hark_op *op);

static void wait_for(struct connection *connection)
{
    for (int side = 0; side < 2; side++) {
        struct hark_op *op = &connection->ready[side];
        if (!connection->wants[side] || connection->is_closed || hark_is_alive(op)) continue;
        op->user = connection;
        op->label = label;
        hark_ready(op, &connection->io, (enum hark_side)side, on_ready);
        hark_background(op);
    }
}

static void set_timer(struct channel *channel);

static void process(struct channel *channel, int reads, int writes)
{
    channel->reads_left = LIMIT_REPLIES;
    ares_process_fd(channel->ares, reads, writes);
    names_go_on(channel->names);
    set_timer(channel);
}

static void on_ready(struct hark_op *op)
{
    struct connection *connection = op->user;
    if (connection->is_closed || connection->io.loop->is_closing) return;
    if (op->result < 0) connection->is_broken = true; /* select's limit; no memory in the kernel */
    int fd = connection->io.fd;
    bool is_read = op == &connection->ready[HARK_READABLE] || connection->is_broken;
    process(connection->channel, is_read ? fd : ARES_SOCKET_BAD, is_read ? ARES_SOCKET_BAD : fd);
    wait_for(connection); /* still there: it is freed by the callback of its close */
}

/* When the next look is due; c-ares looks at all questions for it. */
static int64_t next_look_ns(struct channel *channel)
{
    struct timeval room, *left = ares_timeout(channel->ares, NULL, &room);
    int64_t least = LIMIT_TIMEOUT_GRAIN_MS * HARK_MILLISECOND;
    if (left == NULL) return least;
    int64_t delay = left->tv_sec * HARK_SECOND + left->tv_usec * HARK_MICROSECOND;
    return delay > least ? delay : least;
}

static void free_channel(struct channel *channel)
{
    loop_resize(channel->names->loop, channel, sizeof *channel, 0);
}

/* Canceled when no question was left, but there may be new ones since. */
static void on_timer(struct hark_op *op)
{
    struct channel *channel = op->user;
    if (channel->is_closed) free_channel(channel);
    else if (op->result < 0) set_timer(channel);
    else process(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* A new question times out no sooner than this. */
static int64_t timeout_ns(const struct channel *channel)
{
    return (channel->options.timeout > 0 ? channel->options.timeout : 1) * HARK_MILLISECOND;
}

static void set_timer(struct channel *channel)
{
    struct hark_loop *loop = channel->names->loop;
    bool is_set = hark_is_alive(&channel->timer);
    if (channel->names->asked == 0 || loop->is_closing) {
        if (is_set) hark_cancel(&channel->timer);
        return;
    }
    int64_t latest = hark_after(loop, timeout_ns(channel));
    if (is_set && channel->timer.timer.when <= latest) return;
    if (is_set && hark_rearm(&channel->timer, latest)) return;
    if (is_set) return; /* due or canceled, and set again by its callback */
    channel->timer.user = channel;
    channel->timer.label = label;
    hark_timer(&channel->timer, loop, hark_after(loop, next_look_ns(channel)), on_timer);
    hark_background(&channel->timer);
}

/* The functions through which c-ares sees its sockets. Rule 1. */

static ares_socket_t open_socket(int domain, int type, int protocol, void *arg)
{
    struct channel *channel = arg;
    struct hark_loop *loop = channel->names->loop;
    int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0) return ARES_SOCKET_BAD;
    const int room = 1 << 20; /* for the answers to many questions; less where the kernel says so */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    struct connection *connection = loop_resize(loop, NULL, 0, sizeof *connection);
    if (connection != NULL) {
        *connection = (struct connection){ .channel = channel, .is_stream = type == SOCK_STREAM };
        if (hark_io_adopt(&connection->io, loop, fd) == 0) {
            connection->io.label = label;
            connection->next = channel->connections;
            channel->connections = connection;
            return fd;
        }
        loop_resize(loop, connection, sizeof *connection, 0);
    }
    (void)close(fd);
    errno = ENOMEM;
    return ARES_SOCKET_BAD;
}

static void on_closed(struct hark_op *op)
{
    struct connection *connection = op->user;
    loop_resize(hark_op_loop(op), connection, sizeof *connection, 0);
}

static int close_socket(ares_socket_t fd, void *arg)
{
    struct channel *channel = arg;
    struct connection **at = &channel->connections;
    while (*at != NULL && (*at)->io.fd != fd) at = &(*at)->next;
    struct connection *connection = *at;
    if (connection == NULL) return 0; /* it was shut with its loop */
    *at = connection->next;
    connection->is_closed = true;
    connection->closing.user = connection;
    connection->closing.label = label;
    hark_close(&connection->closing, &connection->io, on_closed);
    hark_background(&connection->closing);
    return 0;
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *addr, ares_socklen_t len,
                          void *arg)
{
    (void)arg;
    return connect(fd, addr, len);
}

/* One visit reads a bounded number: the rest is there still in the next turn (trap 8). */
static ares_ssize_t receive(ares_socket_t fd, void *buf, size_t len, int flags,
                            struct sockaddr *from, ares_socklen_t *from_len, void *arg)
{
    struct channel *channel = arg;
    const struct connection *connection = find(channel, fd);
    errno = ECONNREFUSED; /* c-ares tries another socket, and not for ever */
    if (connection == NULL || connection->is_broken) return -1;
    if (channel->reads_left-- > 0)
        return recvfrom(fd, buf, len, flags | MSG_DONTWAIT, (struct sockaddr *)from, from_len);
    errno = EAGAIN;
    return -1;
}

/* A datagram that finds no room is one that was lost on the way, and is sent again. (c-ares would
 * take it for a server that is not there.) */
static ares_ssize_t send_slices(ares_socket_t fd, const struct iovec *slices, int count, void *arg)
{
    struct connection *connection = find(arg, fd);
    struct msghdr header = { .msg_iov = (struct iovec *)(uintptr_t)slices,
                             .msg_iovlen = (size_t)count };
    ares_ssize_t sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool is_full = sent < 0 && (errno == EAGAIN || errno == ENOBUFS);
    if (!is_full || connection == NULL || connection->is_stream) return sent;
    sent = 0;
    for (int i = 0; i < count; i++) sent += (ares_ssize_t)slices[i].iov_len;
    return sent;
}

static void note_wants(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct connection *connection = find(arg, fd);
    if (connection == NULL) return;
    connection->wants[HARK_READABLE] = readable;
    connection->wants[HARK_WRITABLE] = writable;
    wait_for(connection);
}

static int error_of(int status)
{
    switch (status) {
    case ARES_SUCCESS: return 0;
    case ARES_ENODATA:
    case ARES_ENOTFOUND: return HARK_ENONAME;
    case ARES_ETIMEOUT: return HARK_ETIMEDOUT;
    case ARES_EBADNAME:
    case ARES_EBADSTR: return HARK_EINVAL;
    case ARES_ENOMEM: return HARK_ENOMEM;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION: return HARK_ECANCELED;
    default: return HARK_ESERVER;
    }
}

unsigned cares_type(enum hark_dns_type type)
{
    static const unsigned types[HARK_DNS_TYPES] = {
        [HARK_DNS_A] = ns_t_a, [HARK_DNS_AAAA] = ns_t_aaaa, [HARK_DNS_SRV] = ns_t_srv,
        [HARK_DNS_TXT] = ns_t_txt, [HARK_DNS_PTR] = ns_t_ptr,
    };
    return types[type];
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *message, int len)
{
    struct question *question = arg;
    (void)timeouts;
    int error = error_of(status);
    if (error == 0) error = answer_read(question, message, len);
    lookup_answer(question, error);
}

void cares_ask(struct question *question, const char *name)
{
    struct channel *channel = question->lookup->names->channel;
    unsigned type = cares_type(question->type);
    ares_query(channel->ares, name, ns_c_in, (int)type, on_answer, question);
    set_timer(channel);
}

void cares_cancel(struct names *names)
{
    ares_cancel(names->channel->ares);
    set_timer(names->channel);
}

void cares_read_hosts(struct lookup *lookup, enum hark_dns_type type)
{
    int family = type == HARK_DNS_A ? AF_INET : AF_INET6;
    struct hostent *host = NULL;
    ares_channel ares = lookup->names->channel->ares;
    if (ares_gethostbyname_file(ares, lookup->name, family, &host) != ARES_SUCCESS) return;
    for (char **at = host->h_addr_list; host->h_addrtype == family && *at != NULL; at++) {
        struct hark_dns_record record = { .type = type };
        record.addr.any.sa_family = (sa_family_t)family;
        if (type == HARK_DNS_A) memcpy(&record.addr.v4.sin_addr, *at, 4);
        else memcpy(&record.addr.v6.sin6_addr, *at, 16);
        lookup_record(lookup, &record);
    }
    ares_free_hostent(host);
}

unsigned cares_domain_count(const struct names *names)
{
    int count = names->channel->options.ndomains;
    return count > 0 ? (unsigned)count : 0;
}

const char *cares_domain(const struct names *names, unsigned index)
{
    return names->channel->options.domains[index];
}

int cares_dots(const struct names *names) { return names->channel->options.ndots; }

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_status;
static void init_library(void) { once_status = ares_library_init(ARES_LIB_INIT_ALL); }

static const struct ares_socket_functions functions = {
    .asocket = open_socket, .aclose = close_socket, .aconnect = connect_socket,
    .arecvfrom = receive, .asendv = send_slices,
};

static int open_channel(struct channel *channel)
{
    const struct hark_dns_options *wanted = &channel->names->options;
    struct ares_options options = {
        .timeout = (int)wanted->timeout_ms, .tries = (int)wanted->tries,
        .resolvconf_path = (char *)(uintptr_t)wanted->resolv_conf,
        .sock_state_cb = note_wants, .sock_state_cb_data = channel,
    };
    int mask = ARES_OPT_SOCK_STATE_CB;
    if (wanted->timeout_ms != 0) mask |= ARES_OPT_TIMEOUTMS;
    if (wanted->tries != 0) mask |= ARES_OPT_TRIES;
    if (wanted->resolv_conf != NULL) mask |= ARES_OPT_RESOLVCONF;
    int status = ares_init_options(&channel->ares, &options, mask);
    if (status != ARES_SUCCESS) return status;
    ares_set_socket_functions(channel->ares, &functions, channel);
    status = ares_save_options(channel->ares, &channel->options, &channel->options_mask);
    if (status == ARES_SUCCESS && wanted->servers != NULL) {
        status = ares_set_servers_ports_csv(channel->ares, wanted->servers);
        if (status == ARES_ENODATA) status = ARES_EBADSTR;
    }
    return status;
}

int cares_open(struct names *names)
{
    struct hark_loop *loop = names->loop;
    pthread_once(&once, init_library);
    if (once_status != ARES_SUCCESS) return error_of(once_status);
    struct channel *channel = loop_resize(loop, NULL, 0, sizeof *channel);
    if (channel == NULL) return HARK_ENOMEM;
    *channel = (struct channel){ .names = names };
    names->channel = channel;
    int status = open_channel(channel);
    if (status != ARES_SUCCESS) cares_close(names);
    return error_of(status);
}

/* Nobody wants anything any more, so no question and no socket is left. The timer's callback may be
 * still to come. */
void cares_close(struct names *names)
{
    struct channel *channel = names->channel;
    if (channel == NULL) return;
    names->channel = NULL;
    if (channel->ares != NULL) ares_destroy(channel->ares);
    ares_destroy_options(&channel->options);
    channel->is_closed = hark_cancel(&channel->timer);
    if (!channel->is_closed) free_channel(channel);
}
