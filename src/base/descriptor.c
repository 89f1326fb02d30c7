/* What a descriptor or an address leads to; see descriptor.h. */
#include "base/descriptor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static void print_local(const char *path, size_t bytes, char *text, size_t room)
{
    bool is_abstract = bytes != 0 && path[0] == '\0';
    if (bytes == 0) snprintf(text, room, "socket without a name");
    else if (is_abstract) snprintf(text, room, "@%.*s", (int)bytes - 1, path + 1);
    else snprintf(text, room, "%.*s", (int)strnlen(path, bytes), path);
}

void address_print(const struct sockaddr *address, socklen_t len, char *text, size_t room)
{
    union address copy = { 0 };
    char host[INET6_ADDRSTRLEN] = "?";
    if (len > sizeof copy.local) len = sizeof copy.local; /* no address is longer */
    memcpy(&copy, address, len);
    switch (copy.any.sa_family) {
    case AF_INET:
        (void)inet_ntop(AF_INET, &copy.v4.sin_addr, host, sizeof host); /* there is room */
        snprintf(text, room, "%s:%u", host, ntohs(copy.v4.sin_port));
        break;
    case AF_INET6:
        (void)inet_ntop(AF_INET6, &copy.v6.sin6_addr, host, sizeof host);
        snprintf(text, room, "[%s]:%u", host, ntohs(copy.v6.sin6_port));
        break;
    case AF_UNIX:
        print_local(copy.local.sun_path,
                    len > sizeof(sa_family_t) ? len - sizeof(sa_family_t) : 0, text, room);
        break;
    default: snprintf(text, room, "an address of family %d", copy.any.sa_family);
    }
}

static const char *kind_of(int fd, sa_family_t family)
{
    int type = 0;
    socklen_t len = sizeof type;
    if (family == AF_UNIX) return "unix";
    (void)getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len); /* 0 then: some socket */
    return type == SOCK_STREAM ? "tcp" : type == SOCK_DGRAM ? "udp" : "socket";
}

/* False: it is no socket. */
static bool print_socket(int fd, char *text, size_t room)
{
    union address address = { 0 };
    socklen_t len = sizeof address;
    bool has_peer = getpeername(fd, &address.any, &len) == 0;
    if (!has_peer || (address.any.sa_family == AF_UNIX && len <= sizeof(sa_family_t))) {
        len = sizeof address;
        if (getsockname(fd, &address.any, &len) != 0) return false;
    }
    int head = snprintf(text, room, "%s ", kind_of(fd, address.any.sa_family));
    if (head > 0 && (size_t)head < room)
        address_print(&address.any, len, text + head, room - (size_t)head);
    return true;
}

void descriptor_print(int fd, char *text, size_t room)
{
    char path[64];
    if (print_socket(fd, text, room)) return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(path, text, room - 1);
    text[len < 0 ? 0 : len] = '\0';
}
