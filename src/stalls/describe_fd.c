/* What a descriptor of another process is: the file's path, the socket's peer. A socket is asked
 * itself through a copy of it that lives for some microseconds (pidfd_getfd); on kernels without
 * that its number is looked up in the tables of /proc/PID/net. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "stalls/describe_parts.h"
#include "stalls/task.h"

enum { TABLE_LINES_MAX = 100000 };

static int unix_text(const struct sockaddr_un *address, socklen_t length, char *out, size_t room)
{
    int path_length = (int)(length - offsetof(struct sockaddr_un, sun_path));
    if (path_length <= 0) return 0;
    if (address->sun_path[0] == '\0')
        snprintf(out, room, "@%.*s", path_length - 1, address->sun_path + 1);
    else
        snprintf(out, room, "%.*s", path_length, address->sun_path);
    return 1;
}

int address_text(const struct sockaddr_storage *address, socklen_t length, char *out, size_t room)
{
    char host[INET6_ADDRSTRLEN];
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    if (length < sizeof(sa_family_t)) return 0;
    switch (address->ss_family) {
    case AF_INET:
        if (v4->sin_port == 0) return 0; /* bound to nothing */
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, room, "%s:%u", host, ntohs(v4->sin_port));
        return 1;
    case AF_INET6:
        if (v6->sin6_port == 0) return 0;
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
            inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, host, sizeof host);
            snprintf(out, room, "%s:%u", host, ntohs(v6->sin6_port));
            return 1;
        }
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, room, "[%s]:%u", host, ntohs(v6->sin6_port));
        return 1;
    case AF_UNIX:
        return unix_text((const void *)address, length, out, room);
    default:
        return 0;
    }
}

/* 0: the kernel has no pidfd_getfd, or does not let us. */
static int ask_socket(pid_t pid, int fd, char *out, size_t room)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char text[160];
    int copy = task_descriptor(pid, fd);
    if (copy < 0) return 0;
    snprintf(out, room, "socket");
    if (getpeername(copy, (void *)&address, &length) == 0) {
        if (address_text(&address, length, text, sizeof text)) snprintf(out, room, "%s", text);
        else if (address.ss_family == AF_UNIX) snprintf(out, room, "unix socket");
    }
    length = sizeof address;
    if (strcmp(out, "socket") == 0 || strcmp(out, "unix socket") == 0) {
        if (getsockname(copy, (void *)&address, &length) == 0 &&
            address_text(&address, length, text, sizeof text))
            snprintf(out, room, "socket at %s", text);
    }
    close(copy);
    return 1;
}

/* An address of /proc/net/tcp: words in the machine's order, then the port. */
static int parse_address(const char *text, char *out, size_t room)
{
    struct sockaddr_storage storage = { 0 };
    struct sockaddr_in *v4 = (void *)&storage;
    struct sockaddr_in6 *v6 = (void *)&storage;
    const char *colon = strchr(text, ':');
    char word[9] = "";
    if (colon == NULL || (colon - text != 8 && colon - text != 32)) return 0;
    in_port_t port = htons((uint16_t)strtoul(colon + 1, NULL, 16));
    for (int i = 0; i < (colon - text) / 8; i++) {
        memcpy(word, text + i * 8, 8);
        uint32_t value = (uint32_t)strtoul(word, NULL, 16);
        memcpy(colon - text == 8 ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr.s6_addr[i * 4],
               &value, sizeof value);
    }
    if (colon - text == 8) v4->sin_port = port;
    else v6->sin6_port = port;
    storage.ss_family = colon - text == 8 ? AF_INET : AF_INET6;
    return address_text(&storage, sizeof storage, out, room);
}

/* Looks for a socket's number in one table; the peer is the third word of a line, the number the
 * tenth. */
static int search_table(pid_t pid, const char *table, const char *inode, char *out, size_t room)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/net/%s", (int)pid, table);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    int is_found = 0;
    for (int i = 0; i < TABLE_LINES_MAX && !is_found; i++) {
        char peer[64], number[32];
        if (fgets(line, sizeof line, file) == NULL) break;
        if (sscanf(line, "%*s %*s %63s %*s %*s %*s %*s %*s %*s %31s", peer, number) != 2) continue;
        is_found = strcmp(number, inode) == 0 && parse_address(peer, out, room);
    }
    fclose(file);
    return is_found;
}

int fd_find_peer(pid_t pid, const char *inode, char *out, size_t room)
{
    static const char *const tables[] = { "tcp", "tcp6", "udp", "udp6" };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (search_table(pid, tables[i], inode, out, room)) return 1;
    return 0;
}

static void describe_socket(pid_t pid, int fd, const char *link, char *out, size_t room)
{
    char inode[32] = "";
    snprintf(out, room, "socket");
    if (ask_socket(pid, fd, out, room)) return;
    if (sscanf(link, "socket:[%31[0-9]", inode) == 1)
        (void)fd_find_peer(pid, inode, out, room); /* it stays "socket" */
}

void fd_describe(pid_t pid, int fd, char *out, size_t room)
{
    char path[64], link[512];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    ssize_t length = readlink(path, link, sizeof link - 1);
    out[0] = '\0';
    if (length <= 0) return;
    link[length] = '\0';
    if (strncmp(link, "socket:", 7) == 0) {
        describe_socket(pid, fd, link, out, room);
    } else if (strncmp(link, "pipe:", 5) == 0) {
        snprintf(out, room, "pipe");
    } else if (strncmp(link, "anon_inode:", 11) == 0) {
        const char *name = link + 11 + (link[11] == '[');
        snprintf(out, room, "%.*s", (int)strcspn(name, "]"), name);
    } else {
        snprintf(out, room, "%s", link);
    }
}
