/* What it takes to send a cached file by hark_send_file(). Prints a line of JSON.
 *
 * usage: send_file BACKEND tcp|unix BYTES COUNT
 *
 * COUNT times a file of BYTES bytes goes out on eight connections at once, to a child that only
 * reads. own_ns is what this process, with all its threads, used of the processors a file, both_ns
 * what the two did: on loopback, who pays for the way from one to the other is a matter of luck. */
#include <dirent.h>
#include <fcntl.h>
#include <hark/hark.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 8 };

struct sender {
    struct hark_op op; /* first: the callback gets its address */
    struct hark_io io;
};

static struct hark_loop *loop;
static struct hark_file file;
static struct hark_range range;
static struct sender senders[CONNECTIONS];
static clockid_t child_clock;
static long left;

static double clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now); /* cannot fail */
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void require(bool is_so, const char *what)
{
    if (is_so) return;
    fprintf(stderr, "send_file: %s failed\n", what);
    exit(1);
}

/* The kernel's own workers for a ring count as threads, too. */
static int thread_count(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    require(dir != NULL, "/proc/self/task");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void open_file(size_t bytes)
{
    char path[] = "/tmp/bench-send-XXXXXX";
    char *content = calloc(1, bytes);
    int fd = mkstemp(path);
    require(fd >= 0 && content != NULL, "mkstemp");
    unlink(path);
    require(write(fd, content, bytes) == (ssize_t)bytes, "write");
    free(content);
    require(hark_file_adopt(&file, loop, fd) == 0, "hark_file_adopt");
    range = (struct hark_range){ .file = &file, .len = bytes };
}

static void open_pair(bool is_tcp, int pair[2])
{
    struct sockaddr_in here = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof here;
    if (!is_tcp) {
        require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
        return;
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    require(bind(listener, (struct sockaddr *)&here, len) == 0 && listen(listener, 1) == 0 &&
            getsockname(listener, (struct sockaddr *)&here, &len) == 0 &&
            connect(pair[0], (struct sockaddr *)&here, len) == 0, "connect");
    pair[1] = accept(listener, NULL, NULL);
    require(pair[1] >= 0, "accept");
    close(listener);
}

/* In the child: reads until all connections have ended. */
_Noreturn static void read_all(const int *peers)
{
    static char buf[1 << 18];
    int set = epoll_create1(0), open_count = CONNECTIONS;
    struct epoll_event events[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = peers[i] };
        require(epoll_ctl(set, EPOLL_CTL_ADD, peers[i], &event) == 0, "epoll_ctl");
    }
    while (open_count > 0) {
        int count = epoll_wait(set, events, CONNECTIONS, -1);
        for (int i = 0; i < count; i++) {
            if (recv(events[i].data.fd, buf, sizeof buf, 0) > 0) continue;
            close(events[i].data.fd);
            open_count--;
        }
    }
    _exit(0);
}

static void connect_all(bool is_tcp)
{
    int pairs[CONNECTIONS][2], peers[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) open_pair(is_tcp, pairs[i]);
    for (int i = 0; i < CONNECTIONS; i++) peers[i] = pairs[i][1];
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child != 0) require(clock_getcpuclockid(child, &child_clock) == 0, "clock_getcpuclockid");
    for (int i = 0; i < CONNECTIONS; i++) close(pairs[i][child == 0 ? 0 : 1]);
    if (child == 0) read_all(peers);
    for (int i = 0; i < CONNECTIONS; i++)
        require(hark_io_adopt(&senders[i].io, loop, pairs[i][0]) == 0, "hark_io_adopt");
}

static void on_sent(struct hark_op *op)
{
    struct sender *sender = (struct sender *)(void *)op;
    require(op->result == (int64_t)range.len, "hark_send_file");
    if (left == 0) return;
    left--;
    hark_send_file(op, &sender->io, &range, on_sent);
}

static void send_all(long count)
{
    left = count;
    for (int i = 0; i < CONNECTIONS; i++) {
        senders[i].op.result = (int64_t)range.len;
        on_sent(&senders[i].op);
    }
    hark_run(loop);
}

int main(int argc, char **argv)
{
    if (argc != 5) return 2;
    struct hark_loop_options options = { .backend = argv[1] };
    long count = atol(argv[4]);
    require(hark_loop_open(&loop, &options) == 0, "hark_loop_open");
    connect_all(strcmp(argv[2], "tcp") == 0);
    open_file((size_t)atol(argv[3]));
    send_all(count / 10 + CONNECTIONS); /* warm */
    double wall = clock_ns(CLOCK_MONOTONIC), own = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    double peer = clock_ns(child_clock);
    send_all(count);
    wall = clock_ns(CLOCK_MONOTONIC) - wall;
    own = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own;
    peer = clock_ns(child_clock) - peer;
    printf("{ \"own_ns\": %.1f, \"both_ns\": %.1f, \"wall_ns\": %.1f, \"threads\": %d }\n",
           own / (double)count, (own + peer) / (double)count, wall / (double)count,
           thread_count());
    hark_loop_close(loop);
    return 0;
}
