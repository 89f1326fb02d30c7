/* Socket activation and readiness notification, as sd_listen_fds(3) and sd_notify(3) describe them.
 * */
#include <errno.h>
#include <fcntl.h>
#include <hark/systemd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "calls.h"
#include "loop/loop.h"

enum { FIRST_FD = 3, FDS_MAX = 1 << 20 };

/* A number of the environment, from 0 to most; -1: it is not there; -2: it is none. */
static int64_t number_of(const char *name, int64_t most)
{
    const char *text = getenv(name);
    char *end;
    if (text == NULL) return -1;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool is_number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    return is_number && number <= most ? number : -2;
}

/* Takes a name off the list, which colons divide. */
static void take_name(const char **list, char *name, size_t room)
{
    size_t len = *list != NULL ? strcspn(*list, ":") : 0;
    if (len == 0 || len >= room) {
        strncpy(name, "unknown", room);
    } else {
        memcpy(name, *list, len);
        name[len] = '\0';
    }
    if (*list == NULL) return;
    len = strcspn(*list, ":");
    *list = (*list)[len] == ':' ? *list + len + 1 : NULL;
}

/* Those before index are given back. */
static void release(struct hark_systemd_socket *sockets, int64_t count)
{
    while (count-- > 0) (void)hark_io_release(&sockets[count].io);
}

static int adopt_all(struct hark_systemd_socket *sockets, int64_t count, struct hark_loop *loop)
{
    const char *names = getenv("LISTEN_FDNAMES");
    for (int64_t i = 0; i < count; i++) {
        struct hark_systemd_socket *socket = &sockets[i];
        int error = hark_io_adopt(&socket->io, loop, FIRST_FD + (int)i);
        if (error != 0) {
            release(sockets, i);
            return error;
        }
        take_name(&names, socket->name, sizeof socket->name);
        socket->io.label = socket->name;
    }
    for (int fd = FIRST_FD; fd < FIRST_FD + count; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* it is open: adopted just now */
    return 0;
}

int hark_systemd_sockets(struct hark_systemd_socket *sockets, size_t room, struct hark_loop *loop,
                         bool unsets)
{
    int64_t pid = number_of("LISTEN_PID", INT32_MAX), count = number_of("LISTEN_FDS", FDS_MAX);
    int error = 0;
    if (pid == -1 || count == -1) count = 0;
    else if (pid == -2 || count == -2) error = HARK_EINVAL;
    else if (pid != getpid()) count = 0; /* meant for our parent */
    else if ((uint64_t)count > room) error = HARK_ENOBUFS;
    if (error == 0) error = adopt_all(sockets, count, loop);
    if (unsets) {
        unsetenv("LISTEN_PID");
        unsetenv("LISTEN_FDS");
        unsetenv("LISTEN_FDNAMES");
    }
    return error != 0 ? error : (int)count;
}

/* False: it is no path, and no abstract name. */
static bool set_address(struct sockaddr_un *address, socklen_t *len, const char *text)
{
    size_t text_len = strlen(text);
    bool is_known = text[0] == '/' || text[0] == '@';
    if (!is_known || text_len < 2 || text_len >= sizeof address->sun_path) return false;
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(address->sun_path, text, text_len);
    if (text[0] == '@') address->sun_path[0] = '\0';
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + text_len + (text[0] == '/'));
    return true;
}

int hark_systemd_notify(const char *state)
{
    const char *where = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t len;
    if (where == NULL || *where == '\0') return 0;
    if (*state == '\0' || !set_address(&address, &len, where)) return HARK_EINVAL;
    int fd = call_socket(AF_UNIX, SOCK_DGRAM, 0, false);
    if (fd < 0) return hark_error_from_os(errno);
    ssize_t n;
    do n = sendto(fd, state, strlen(state), MSG_DONTWAIT | CALL_SEND_FLAGS, (void *)&address, len);
    while (n < 0 && errno == EINTR);
    int error = n < 0 ? errno : 0;
    (void)close(fd); /* it was sent, or not: the close changes nothing */
    return error != 0 ? hark_error_from_os(error) : 1;
}

int64_t hark_systemd_watchdog_ns(void)
{
    int64_t pid = number_of("WATCHDOG_PID", INT32_MAX);
    int64_t us = number_of("WATCHDOG_USEC", INT64_MAX / 1000);
    bool is_meant = pid == -1 || pid == getpid();
    return us > 0 && is_meant ? us * 1000 : 0;
}
