/* The part that all echo servers share; see serve.h. */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t connections;

_Noreturn void serve_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errno != 0 ? strerror(errno) : "failed");
    exit(1);
}

void *serve_memory(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL) serve_die("malloc");
    return memory;
}

int serve_listen(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof addr;
    (void)signal(SIGPIPE, SIG_IGN); /* libuv and libevent write without MSG_NOSIGNAL */
    alarm(SERVE_SECONDS_MAX);       /* a server whose client died must not stay */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) serve_die("socket");
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0) serve_die("bind");
    if (listen(fd, SOMAXCONN) != 0) serve_die("listen");
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0) serve_die("getsockname");
    printf("port %d\n", ntohs(addr.sin_port));
    if (fflush(stdout) != 0) serve_die("stdout");
    return fd;
}

void serve_connected(int fd)
{
    int on = 1;
    connections++;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) serve_die("TCP_NODELAY");
}

void serve_closed(void)
{
    if (--connections == 0) exit(0);
}

int serve_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) serve_connected(fd);
    else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) serve_die("accept");
    return fd;
}
