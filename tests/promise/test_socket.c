/* Opening, naming and listening: what needs no waiting answers at once, by return. */
#include "groups.h"
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/un.h>

START_TEST(socket_is_open_close_on_exec_and_gone_after_its_close)
{
    static const struct { int domain, type; } kinds[] = {
        { AF_INET, SOCK_STREAM }, { AF_INET, SOCK_DGRAM }, { AF_UNIX, SOCK_STREAM },
        { AF_UNIX, SOCK_DGRAM },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct hark_io io = { 0 };
        int type = 0;
        socklen_t len = sizeof type;
        ck_assert_int_eq(hark_socket(&io, loop, kinds[i].domain, kinds[i].type, 0), 0);
        ck_assert(hark_io_is_open(&io));
        ck_assert_ptr_eq(io.loop, loop);
        ck_assert_int_ne(fcntl(io.fd, F_GETFD) & FD_CLOEXEC, 0);
        ck_assert_int_eq(getsockopt(io.fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
        ck_assert_int_eq(type, kinds[i].type);
        int fd = io.fd;
        close_io(&io);
        ck_assert(!hark_io_is_open(&io));
        ck_assert_int_eq(io.fd, -1);
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    }
}
END_TEST

START_TEST(socket_of_an_unknown_kind_is_refused_and_opens_nothing)
{
    struct hark_io io = { 0 };
    int before = open_descriptor_count();
    ck_assert_int_eq(hark_socket(&io, loop, 250, SOCK_STREAM, 0), HARK_EAFNOSUPPORT);
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_STREAM, IPPROTO_UDP),
                     HARK_EPROTONOSUPPORT);
    ck_assert(!hark_io_is_open(&io));
    ck_assert_int_eq(open_descriptor_count(), before);
}
END_TEST

START_TEST(socket_with_a_full_descriptor_table_is_emfile)
{
    struct hark_io io = { 0 };
    struct rlimit full = { 0 }, was;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
    full = was;
    full.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &full), 0);
    int error = hark_socket(&io, loop, AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
    ck_assert_int_eq(error, HARK_EMFILE);
    ck_assert(!hark_io_is_open(&io));
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_STREAM, 0), 0);
    close_io(&io);
}
END_TEST

START_TEST(bind_gives_the_address_that_local_address_tells)
{
    struct listener listener;
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    ck_assert_int_eq(hark_local_address(&listener.io, (struct sockaddr *)&addr, &len), 0);
    ck_assert_uint_eq(len, listener.len);
    ck_assert_int_eq(memcmp(&addr, &listener.addr, len), 0);
    len = sizeof addr;
    ck_assert_int_eq(hark_peer_address(&listener.io, (struct sockaddr *)&addr, &len),
                     HARK_ENOTCONN);
    int fd = listener_dial(&listener);
    ck_assert_int_ge(fd, 0);
    close(fd);
    close_io(&listener.io);
}
END_TEST

START_TEST(bind_where_another_listens_is_eaddrinuse)
{
    struct listener listener;
    struct hark_io second = { 0 };
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    ck_assert_int_eq(hark_socket(&second, loop, listener.addr.ss_family, SOCK_STREAM, 0), 0);
    ck_assert_int_eq(hark_bind(&second, (struct sockaddr *)&listener.addr, listener.len),
                     HARK_EADDRINUSE);
    close_io(&second);
    close_io(&listener.io);
}
END_TEST

START_TEST(bind_to_an_address_of_another_machine_is_eaddrnotavail)
{
    struct hark_io io = { 0 };
    struct sockaddr_in far = { .sin_family = AF_INET };
    inet_pton(AF_INET, "192.0.2.1", &far.sin_addr); /* for documentation only, RFC 5737 */
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_STREAM, 0), 0);
    ck_assert_int_eq(hark_bind(&io, (struct sockaddr *)&far, sizeof far), HARK_EADDRNOTAVAIL);
    close_io(&io);
}
END_TEST

/* The connection that the server side closed first stays in TIME_WAIT on the server's port. */
START_TEST(server_port_can_be_bound_again_at_once)
{
    struct listener listener;
    struct hark_io accepted = { 0 }, again = { 0 };
    struct probe accepting = { 0 };
    ck_assert(listener_open(&listener, WIRE_TCP4));
    int client = listener_dial(&listener);
    ck_assert_int_ge(client, 0);
    hark_accept(&accepting.op, &listener.io, on_probe);
    await_calls(&accepting, 1);
    ck_assert_int_ge(accepting.result, 0);
    ck_assert_int_eq(hark_io_adopt(&accepted, loop, (int)accepting.result), 0);
    close_io(&accepted);
    close_io(&listener.io);
    char byte;
    ck_assert_int_eq(read(client, &byte, 1), 0);
    close(client);
    ck_assert_int_eq(hark_socket(&again, loop, AF_INET, SOCK_STREAM, 0), 0);
    ck_assert_int_eq(hark_bind(&again, (struct sockaddr *)&listener.addr, listener.len), 0);
    ck_assert_int_eq(hark_listen(&again, 0), 0);
    close_io(&again);
}
END_TEST

START_TEST(listen_refuses_a_datagram_socket)
{
    struct hark_io io = { 0 };
    ck_assert_int_eq(hark_socket(&io, loop, AF_INET, SOCK_DGRAM, 0), 0);
    ck_assert_int_eq(hark_listen(&io, 0), HARK_EOPNOTSUPP);
    close_io(&io);
}
END_TEST

START_TEST(addresses_of_both_ends_agree)
{
    struct wire wire;
    struct sockaddr_storage ours, theirs;
    socklen_t our_len = sizeof ours, their_len = sizeof theirs;
    if (_i == WIRE_UNIX) return; /* both ends are unnamed there */
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    ck_assert_int_eq(hark_local_address(&wire.io, (struct sockaddr *)&ours, &our_len), 0);
    ck_assert_int_eq(getpeername(wire.peer, (struct sockaddr *)&theirs, &their_len), 0);
    ck_assert_uint_eq(our_len, their_len);
    ck_assert_int_eq(memcmp(&ours, &theirs, our_len), 0);
    our_len = sizeof ours;
    their_len = sizeof theirs;
    ck_assert_int_eq(hark_peer_address(&wire.io, (struct sockaddr *)&ours, &our_len), 0);
    ck_assert_int_eq(getsockname(wire.peer, (struct sockaddr *)&theirs, &their_len), 0);
    ck_assert_uint_eq(our_len, their_len);
    ck_assert_int_eq(memcmp(&ours, &theirs, our_len), 0);
    wire_close(&wire);
}
END_TEST

START_TEST(closed_io_has_no_address_and_takes_no_option)
{
    struct hark_io closed = { 0 }, tube = { 0 };
    struct sockaddr_storage addr = { .ss_family = AF_INET };
    struct sockaddr *any = (struct sockaddr *)&addr;
    socklen_t len = sizeof addr;
    int fds[2];
    ck_assert_int_eq(hark_socket(&closed, loop, AF_INET, SOCK_STREAM, 0), 0);
    close_io(&closed);
    ck_assert_int_eq(hark_bind(&closed, any, sizeof(struct sockaddr_in)), HARK_EBADF);
    ck_assert_int_eq(hark_listen(&closed, 0), HARK_EBADF);
    ck_assert_int_eq(hark_local_address(&closed, any, &len), HARK_EBADF);
    ck_assert_int_eq(hark_peer_address(&closed, any, &len), HARK_EBADF);
    ck_assert_int_eq(hark_nodelay(&closed, true), HARK_EBADF);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(hark_io_adopt(&tube, loop, fds[0]), 0);
    ck_assert_int_eq(hark_local_address(&tube, any, &len), HARK_ENOTSOCK);
    close_io(&tube);
    close(fds[1]);
}
END_TEST

/* A zeroed io has the number of standard input in its fd: it must not be taken for that. */
START_TEST(io_that_was_never_opened_is_not_standard_input)
{
    struct hark_io never = { 0 };
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(dup2(fds[0], 0), 0);
    ck_assert_int_eq(hark_local_address(&never, (struct sockaddr *)&addr, &len), HARK_EBADF);
    len = sizeof addr;
    ck_assert_int_eq(hark_peer_address(&never, (struct sockaddr *)&addr, &len), HARK_EBADF);
    ck_assert_int_eq(hark_nodelay(&never, true), HARK_EBADF);
    ck_assert_int_eq(hark_io_release(&never), HARK_EBADF);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(nodelay_is_turned_on_and_off)
{
    struct wire wire;
    int value = -1;
    socklen_t len = sizeof value;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    if (_i == WIRE_UNIX) {
        ck_assert_int_eq(hark_nodelay(&wire.io, true), HARK_EOPNOTSUPP);
    } else {
        ck_assert_int_eq(hark_nodelay(&wire.io, true), 0);
        ck_assert_int_eq(getsockopt(wire.io.fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
        ck_assert_int_ne(value, 0);
        ck_assert_int_eq(hark_nodelay(&wire.io, false), 0);
        ck_assert_int_eq(getsockopt(wire.io.fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
        ck_assert_int_eq(value, 0);
    }
    wire_close(&wire);
}
END_TEST

/* A socket file in the file system, as most Unix servers have. */
START_TEST(unix_listener_on_a_path_is_reached_by_its_path)
{
    struct hark_io io = { 0 }, client = { 0 };
    struct probe connecting = { 0 };
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    char dir[64];
    const char *base = getenv("TMPDIR");
    if (base == NULL || strlen(base) > 40) base = "/tmp";
    snprintf(dir, sizeof dir, "%s/hark-XXXXXX", base);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s/s", dir);
    ck_assert_int_eq(hark_socket(&io, loop, AF_UNIX, SOCK_STREAM, 0), 0);
    ck_assert_int_eq(hark_bind(&io, (struct sockaddr *)&addr, sizeof addr), 0);
    ck_assert_int_eq(hark_listen(&io, 5), 0);
    ck_assert_int_eq(hark_socket(&client, loop, AF_UNIX, SOCK_STREAM, 0), 0);
    hark_connect(&connecting.op, &client, (struct sockaddr *)&addr, sizeof addr, on_probe);
    await(&connecting);
    ck_assert_result(&connecting, 0);
    close_io(&client);
    close_io(&io);
    ck_assert_int_eq(unlink(addr.sun_path), 0);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

Suite *group_socket(void)
{
    Suite *suite = suite_create("socket");
    CASE(suite, socket_is_open_close_on_exec_and_gone_after_its_close);
    CASE(suite, socket_of_an_unknown_kind_is_refused_and_opens_nothing);
    CASE(suite, socket_with_a_full_descriptor_table_is_emfile);
    EACH_WIRE(suite, bind_gives_the_address_that_local_address_tells);
    EACH_WIRE(suite, bind_where_another_listens_is_eaddrinuse);
    CASE(suite, bind_to_an_address_of_another_machine_is_eaddrnotavail);
    CASE(suite, server_port_can_be_bound_again_at_once);
    CASE(suite, listen_refuses_a_datagram_socket);
    EACH_WIRE(suite, addresses_of_both_ends_agree);
    CASE(suite, closed_io_has_no_address_and_takes_no_option);
    CASE(suite, io_that_was_never_opened_is_not_standard_input);
    EACH_WIRE(suite, nodelay_is_turned_on_and_off);
    CASE(suite, unix_listener_on_a_path_is_reached_by_its_path);
    return suite;
}
