/* Sockets from a service manager, and what the service tells it: the manager is the test. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

static void set_number(const char *name, long long number)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", number);
    ck_assert_int_eq(setenv(name, text, 1), 0);
}

/* Puts the ends of pairs where a manager puts sockets. What was there is this process's own to
 * lose: each case is a process, but hark's loop is opened later. */
static void pass_sockets(int count, int peers[])
{
    for (int i = 0; i < count; i++) {
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        peers[i] = move_up(fds[1], 100);
        fds[0] = move_up(fds[0], 100);
        ck_assert_int_eq(dup2(fds[0], 3 + i), 3 + i);
        close(fds[0]);
    }
    set_number("LISTEN_PID", getpid());
    set_number("LISTEN_FDS", count);
}

static bool is_cloexec(int fd) { return fcntl(fd, F_GETFD) & FD_CLOEXEC; }

START_TEST(sockets_of_the_service_manager_are_adopted_with_their_names)
{
    struct hark_systemd_socket sockets[4] = { 0 };
    int peers[3];
    pass_sockets(3, peers);
    setenv("LISTEN_FDNAMES", "http::metrics", 1);
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    ck_assert_int_eq(hark_systemd_sockets(sockets, 4, loop, true), 3);
    static const char *const names[] = { "http", "unknown", "metrics" };
    for (int i = 0; i < 3; i++) {
        struct probe sending = { 0 };
        char byte = 0;
        ck_assert_int_eq(sockets[i].io.fd, 3 + i);
        ck_assert_str_eq(sockets[i].name, names[i]);
        ck_assert_ptr_eq(sockets[i].io.label, sockets[i].name);
        ck_assert(is_cloexec(3 + i));
        hark_send(&sending.op, &sockets[i].io, "x", 1, on_probe);
        await(&sending);
        ck_assert_int_eq(read(peers[i], &byte, 1), 1);
        close_io(&sockets[i].io);
    }
    ck_assert(!hark_io_is_open(&sockets[3].io));
    ck_assert_ptr_null(getenv("LISTEN_FDS"));
    ck_assert_ptr_null(getenv("LISTEN_PID"));
    ck_assert_ptr_null(getenv("LISTEN_FDNAMES"));
    ck_assert_int_eq(hark_systemd_sockets(sockets, 4, loop, true), 0);
    hark_loop_close(loop);
}
END_TEST

START_TEST(sockets_that_are_not_for_this_process_are_left_alone)
{
    struct hark_systemd_socket sockets[2] = { 0 };
    int peers[2];
    ck_assert_int_eq(unsetenv("LISTEN_FDS"), 0);
    pass_sockets(2, peers);
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    set_number("LISTEN_PID", getpid() + 1);
    ck_assert_int_eq(hark_systemd_sockets(sockets, 2, loop, false), 0);
    ck_assert(!is_cloexec(3));
    ck_assert_ptr_nonnull(getenv("LISTEN_FDS"));
    set_number("LISTEN_PID", getpid());
    ck_assert_int_eq(hark_systemd_sockets(sockets, 1, loop, false), HARK_ENOBUFS);
    static const char *const wrong[] = { "", "x", "-1", "2x", " 2", "99999999999999999999", "1.5" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("LISTEN_FDS", wrong[i], 1);
        ck_assert_int_eq(hark_systemd_sockets(sockets, 2, loop, false), HARK_EINVAL);
    }
    close(4);
    setenv("LISTEN_FDS", "2", 1);
    ck_assert_int_eq(hark_systemd_sockets(sockets, 2, loop, false), HARK_EBADF);
    ck_assert(!hark_io_is_open(&sockets[0].io) && !is_cloexec(3));
    setenv("LISTEN_FDS", "1", 1);
    ck_assert_int_eq(hark_systemd_sockets(sockets, 2, loop, true), 1);
    ck_assert_str_eq(sockets[0].name, "unknown");
    hark_loop_close(loop);
}
END_TEST

/* A manager's socket; address is what NOTIFY_SOCKET says. */
static int listen_at(const char *address)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    size_t len = strlen(address);
    memcpy(at.sun_path, address, len);
    if (address[0] == '@') at.sun_path[0] = '\0';
    socklen_t all = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, all), 0);
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", address, 1), 0);
    return fd;
}

static void expect_notice(int fd, const char *wanted)
{
    char got[256] = { 0 };
    ck_assert_int_eq(recv(fd, got, sizeof got - 1, 0), (ssize_t)strlen(wanted));
    ck_assert_str_eq(got, wanted);
}

START_TEST(notices_reach_a_path_and_an_abstract_name)
{
    char directory[] = "/tmp/hark-notify-XXXXXX", address[2][80];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(address[0], sizeof address[0], "%s/socket", directory);
    snprintf(address[1], sizeof address[1], "@%s", directory + 1);
    for (int i = 0; i < 2; i++) {
        int fd = listen_at(address[i]), before = open_descriptor_count();
        ck_assert_int_eq(hark_systemd_notify("READY=1\nSTATUS=serving"), 1);
        ck_assert_int_eq(hark_systemd_notify("STOPPING=1"), 1);
        expect_notice(fd, "READY=1\nSTATUS=serving");
        expect_notice(fd, "STOPPING=1");
        ck_assert_int_eq(open_descriptor_count(), before);
        close(fd);
    }
    ck_assert_int_eq(hark_systemd_notify("READY=1"), HARK_ECONNREFUSED); /* its manager is gone */
    ck_assert_int_eq(unlink(address[0]) | rmdir(directory), 0);
    setenv("NOTIFY_SOCKET", address[0], 1);
    ck_assert_int_eq(hark_systemd_notify("READY=1"), HARK_ENOENT);
}
END_TEST

START_TEST(a_notice_never_waits_and_wrong_addresses_are_einval)
{
    char name[80], far[200];
    unsetenv("NOTIFY_SOCKET");
    ck_assert_int_eq(hark_systemd_notify("READY=1"), 0);
    memset(far, 'x', sizeof far);
    far[0] = '/';
    far[sizeof far - 1] = '\0';
    const char *const wrong[] = { "relative", "@", "/", far, "vsock:2:1" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("NOTIFY_SOCKET", wrong[i], 1);
        ck_assert_int_eq(hark_systemd_notify("READY=1"), HARK_EINVAL);
    }
    snprintf(name, sizeof name, "@hark-notify-%d", (int)getpid());
    int fd = listen_at(name), sent = 0;
    ck_assert_int_eq(hark_systemd_notify(""), HARK_EINVAL);
    int result;
    while ((result = hark_systemd_notify("WATCHDOG=1")) == 1) ck_assert_int_lt(sent++, 100000);
    ck_assert_int_eq(result, HARK_EAGAIN);
    close(fd);
}
END_TEST

START_TEST(the_watchdog_is_for_the_process_that_is_named)
{
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
    ck_assert_int_eq(hark_systemd_watchdog_ns(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    ck_assert_int_eq(hark_systemd_watchdog_ns(), 30 * HARK_SECOND);
    set_number("WATCHDOG_PID", getpid());
    ck_assert_int_eq(hark_systemd_watchdog_ns(), 30 * HARK_SECOND);
    set_number("WATCHDOG_PID", getpid() + 1);
    ck_assert_int_eq(hark_systemd_watchdog_ns(), 0);
    unsetenv("WATCHDOG_PID");
    setenv("WATCHDOG_USEC", "soon", 1);
    ck_assert_int_eq(hark_systemd_watchdog_ns(), 0);
}
END_TEST

Suite *group_systemd(void)
{
    Suite *suite = suite_create("systemd");
    BARE_CASE(suite, sockets_of_the_service_manager_are_adopted_with_their_names);
    BARE_CASE(suite, sockets_that_are_not_for_this_process_are_left_alone);
    BARE_CASE(suite, notices_reach_a_path_and_an_abstract_name);
    BARE_CASE(suite, a_notice_never_waits_and_wrong_addresses_are_einval);
    BARE_CASE(suite, the_watchdog_is_for_the_process_that_is_named);
    return suite;
}
