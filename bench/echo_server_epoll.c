/* The hand-written epoll loop that hark is measured against: level-triggered, one buffer for all
 * connections, no state of a connection but the bytes that a full socket refused. It knows nothing
 * of timers, cancel or other threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve.h"

enum { EVENTS = 256, DESCRIPTORS = 20000 };

/* What a full socket refused; until it has gone the connection is not read. */
struct rest { char *bytes; size_t start, end; };

static char buffer[SERVE_READ_BYTES];
static struct rest *rests[DESCRIPTORS];
static int epoll;

static void watch(int fd, int verb, unsigned events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    if (epoll_ctl(epoll, verb, fd, &event) != 0) serve_die("epoll_ctl");
}

static void end(int fd)
{
    if (rests[fd] != NULL) free(rests[fd]->bytes);
    free(rests[fd]);
    rests[fd] = NULL;
    close(fd);
    serve_closed();
}

static void keep(int fd, const char *bytes, size_t count)
{
    struct rest *rest = serve_memory(sizeof *rest);
    *rest = (struct rest){ .bytes = serve_memory(count), .end = count };
    memcpy(rest->bytes, bytes, count);
    rests[fd] = rest;
    watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
}

static void echo(int fd)
{
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) return;
        end(fd);
        return;
    }
    ssize_t sent = send(fd, buffer, (size_t)got, MSG_NOSIGNAL);
    if (sent == got) return;
    if (sent < 0 && errno != EAGAIN) end(fd);
    else keep(fd, buffer + (sent > 0 ? sent : 0), (size_t)(got - (sent > 0 ? sent : 0)));
}

static void go_on(int fd)
{
    struct rest *rest = rests[fd];
    ssize_t sent = send(fd, rest->bytes + rest->start, rest->end - rest->start, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        end(fd);
        return;
    }
    if (sent > 0) rest->start += (size_t)sent;
    if (rest->start < rest->end) return;
    free(rest->bytes);
    free(rest);
    rests[fd] = NULL;
    watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

int main(void)
{
    struct epoll_event events[EVENTS];
    int listener = serve_listen();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) serve_die("epoll_create1");
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) { /* serve_closed() ends it */
        int count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) serve_die("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                for (int next; (next = serve_accept(listener)) >= 0;)
                    watch(next, EPOLL_CTL_ADD, EPOLLIN);
            } else if (rests[fd] != NULL) {
                go_on(fd);
            } else {
                echo(fd);
            }
        }
    }
}
