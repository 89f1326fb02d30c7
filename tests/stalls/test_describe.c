/* System calls as text: each call's arguments are made here, in this process, and described. */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "held.h"
#include "stalls/describe_parts.h"

enum { PAGE = 4096 };

static const char *describe(long call, uint64_t first, uint64_t second, uint64_t third)
{
    const uint64_t arguments[6] = { first, second, third };
    return describe_call(getpid(), getpid(), call, arguments);
}

static uint64_t address_of(const void *place)
{
    return (uint64_t)(uintptr_t)place;
}

__attribute__((format(printf, 2, 3)))
static void expect(const char *got, const char *format, ...)
{
    char expected[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(expected, sizeof expected, format, arguments);
    va_end(arguments);
    ck_assert_str_eq(got, expected);
}

/* A listener on a free port of loopback, and a connection to it. */
struct pair { int listener, client, server; unsigned port; };

static struct pair connect_pair(void)
{
    struct pair pair;
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pair.listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(pair.listener, (void *)&address, length), 0);
    ck_assert_int_eq(listen(pair.listener, 1), 0);
    ck_assert_int_eq(getsockname(pair.listener, (void *)&address, &length), 0);
    pair.port = ntohs(address.sin_port);
    pair.client = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(pair.client, (void *)&address, length), 0);
    pair.server = accept(pair.listener, NULL, NULL);
    return pair;
}

START_TEST(a_descriptor_is_shown_with_what_it_is)
{
    int pipes[2];
    char path[] = "/tmp/hark-stalls-XXXXXX";
    ck_assert_int_eq(pipe(pipes), 0);
    int file = mkostemp(path, O_CLOEXEC), epoll = epoll_create1(0);
    expect(describe(SYS_read, (uint64_t)pipes[0], 0, 0), "read(%d -> pipe)", pipes[0]);
    expect(describe(SYS_flock, (uint64_t)file, 0, 0), "flock(%d -> %s)", file, path);
    expect(describe(SYS_fsync, (uint64_t)file, 0, 0), "fsync(%d -> %s)", file, path);
    expect(describe(SYS_epoll_pwait, (uint64_t)epoll, 0, 0), "epoll_pwait(%d -> eventpoll)", epoll);
    expect(describe(SYS_read, 9999, 0, 0), "read(9999)");
    unlink(path);
}
END_TEST

START_TEST(a_socket_is_shown_with_its_peer)
{
    struct pair pair = connect_pair();
    expect(describe(SYS_recvfrom, (uint64_t)pair.client, 0, 0), "recvfrom(%d -> 127.0.0.1:%u)",
           pair.client, pair.port);
    expect(describe(SYS_accept4, (uint64_t)pair.listener, 0, 0),
           "accept4(%d -> socket at 127.0.0.1:%u)", pair.listener, pair.port);
    int fresh = socket(AF_UNIX, SOCK_STREAM, 0);
    expect(describe(SYS_read, (uint64_t)fresh, 0, 0), "read(%d -> socket)", fresh);
}
END_TEST

START_TEST(a_local_socket_is_shown_with_its_path)
{
    char folder[] = "/tmp/hark-stalls-XXXXXX";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (void *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(connect(client, (void *)&address, sizeof address), 0);
    int server = accept(listener, NULL, NULL);
    expect(describe(SYS_read, (uint64_t)client, 0, 0), "read(%d -> %s)", client, address.sun_path);
    expect(describe(SYS_read, (uint64_t)server, 0, 0), "read(%d -> socket at %s)", server,
           address.sun_path);
    unlink(address.sun_path);
    rmdir(folder);
}
END_TEST

START_TEST(a_peer_is_found_in_the_kernel_s_tables_too)
{
    struct pair pair = connect_pair();
    struct stat what;
    char inode[32], peer[64] = "", expected[64];
    ck_assert_int_eq(fstat(pair.client, &what), 0);
    snprintf(inode, sizeof inode, "%lu", (unsigned long)what.st_ino);
    ck_assert_int_eq(fd_find_peer(getpid(), inode, peer, sizeof peer), 1);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", pair.port);
    ck_assert_str_eq(peer, expected);
    ck_assert_int_eq(fd_find_peer(getpid(), "1", peer, sizeof peer), 0);
}
END_TEST

START_TEST(a_connect_is_shown_with_where_it_goes)
{
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(5432) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(80) };
    inet_pton(AF_INET, "10.0.0.7", &v4.sin_addr);
    expect(describe(SYS_connect, (uint64_t)client, address_of(&v4), sizeof v4),
           "connect(%d -> 10.0.0.7:5432)", client);
    inet_pton(AF_INET6, "fd00::7", &v6.sin6_addr);
    expect(describe(SYS_connect, (uint64_t)client, address_of(&v6), sizeof v6),
           "connect(%d -> [fd00::7]:80)", client);
    inet_pton(AF_INET6, "::ffff:10.0.0.9", &v6.sin6_addr);
    expect(describe(SYS_connect, (uint64_t)client, address_of(&v6), sizeof v6),
           "connect(%d -> 10.0.0.9:80)", client);
    expect(describe(SYS_connect, (uint64_t)client, 16, sizeof v6), "connect(%d -> socket)", client);
    const uint64_t arguments[6] = { (uint64_t)client, 0, 0, 0, address_of(&v4), sizeof v4 };
    expect(describe_call(getpid(), getpid(), SYS_sendto, arguments),
           "sendto(%d -> 10.0.0.7:5432)", client);
}
END_TEST

START_TEST(sets_of_descriptors_are_shown_by_their_first)
{
    int pipes[2], more[2], most[2];
    ck_assert_int_eq(pipe(pipes) | pipe(more) | pipe(most), 0);
    struct pollfd fds[4] = { { .fd = pipes[0] }, { .fd = more[0] }, { .fd = most[0] } };
    expect(describe(SYS_ppoll, address_of(fds), 1, 0), "ppoll(%d -> pipe)", pipes[0]);
    expect(describe(SYS_ppoll, address_of(fds), 4, 0), "ppoll(%d -> pipe, %d -> pipe, %d -> pipe, "
           "...)", pipes[0], more[0], most[0]);
    expect(describe(SYS_ppoll, 0, 0, 0), "ppoll");
    expect(describe(SYS_ppoll, 16, 1, 0), "ppoll");
    fd_set to_read, to_write;
    FD_ZERO(&to_read);
    FD_ZERO(&to_write);
    FD_SET(pipes[0], &to_read);
    FD_SET(more[1], &to_write);
    expect(describe(SYS_pselect6, (uint64_t)more[1] + 1, address_of(&to_read),
                    address_of(&to_write)), "pselect6(%d -> pipe, %d -> pipe)", pipes[0], more[1]);
}
END_TEST

START_TEST(a_sleep_is_shown_with_its_time_and_a_child_with_its_number)
{
    struct timespec time = { .tv_sec = 1, .tv_nsec = 500000000 };
    expect(describe(SYS_nanosleep, address_of(&time), 0, 0), "nanosleep(1.5 s)");
    time = (struct timespec){ .tv_nsec = 50000000 };
    expect(describe(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, address_of(&time)),
           "clock_nanosleep(50 ms)");
    time = (struct timespec){ .tv_nsec = 20000 };
    expect(describe(SYS_nanosleep, address_of(&time), 0, 0), "nanosleep(20 us)");
    expect(describe(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, address_of(&time)),
           "clock_nanosleep");
    expect(describe(SYS_wait4, 4711, 0, 0), "wait4(4711)");
    expect(describe(SYS_wait4, (uint64_t)-1, 0, 0), "wait4(any child)");
    expect(describe(SYS_futex, address_of(&time), 0, 0), "futex");
}
END_TEST

START_TEST(a_path_is_read_from_the_process_and_is_safe_to_print)
{
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(pages != MAP_FAILED);
    ck_assert_int_eq(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
    expect(describe(SYS_openat, 0, address_of("/tmp/fifo"), 0), "openat(\"/tmp/fifo\")");
    expect(describe(SYS_newfstatat, 0, address_of("a b"), 0), "newfstatat(\"a b\")");
    char *last = pages + PAGE - sizeof "/end";
    memcpy(last, "/end", sizeof "/end"); /* the page behind it cannot be read */
    expect(describe(SYS_openat, 0, address_of(last), 0), "openat(\"/end\")");
    expect(describe(SYS_openat, 0, address_of("/a\033[2J\n"), 0), "openat(\"/a?[2J?\")");
    expect(describe(SYS_openat, 0, address_of(pages + PAGE), 0), "openat");
    memset(pages, 'x', PAGE); /* without an end */
    ck_assert_int_lt((int)strlen(describe(SYS_openat, 0, address_of(pages), 0)), 512);
}
END_TEST

START_TEST(a_call_without_a_name_is_shown_by_number)
{
    expect(describe(99999, 1, 2, 3), "system call 99999");
    ck_assert_ptr_null(describe(-1, 0, 0, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("describe");
    ADD_CASE(suite, a_descriptor_is_shown_with_what_it_is);
    ADD_CASE(suite, a_socket_is_shown_with_its_peer);
    ADD_CASE(suite, a_local_socket_is_shown_with_its_path);
    ADD_CASE(suite, a_peer_is_found_in_the_kernel_s_tables_too);
    ADD_CASE(suite, a_connect_is_shown_with_where_it_goes);
    ADD_CASE(suite, sets_of_descriptors_are_shown_by_their_first);
    ADD_CASE(suite, a_sleep_is_shown_with_its_time_and_a_child_with_its_number);
    ADD_CASE(suite, a_path_is_read_from_the_process_and_is_safe_to_print);
    ADD_CASE(suite, a_call_without_a_name_is_shown_by_number);
    return unit_run(suite);
}
