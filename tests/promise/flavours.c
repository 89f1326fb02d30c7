/* See flavours.h. */
#include "flavours.h"

#include <netinet/in.h>
#include <stdio.h>

bool open_bound(struct hark_io *io, enum flavour flavour, struct address *address)
{
    static const int domains[FLAVOURS] = { AF_INET, AF_INET6, AF_UNIX };
    struct sockaddr *addr = (struct sockaddr *)&address->any;
    memset(io, 0, sizeof *io);
    memset(address, 0, sizeof *address);
    addr->sa_family = (sa_family_t)domains[flavour];
    address->len = flavour == UDP4 ? sizeof(struct sockaddr_in)
                 : flavour == UDP6 ? sizeof(struct sockaddr_in6) : sizeof(sa_family_t);
    if (flavour == UDP4)
        ((struct sockaddr_in *)&address->any)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (flavour == UDP6) ((struct sockaddr_in6 *)&address->any)->sin6_addr = in6addr_loopback;
    int error = hark_socket(io, loop, domains[flavour], SOCK_DGRAM, 0);
    if (error == 0) error = hark_bind(io, addr, address->len);
    if (error != 0 && flavour == UDP6) {
        fprintf(stderr, "skipped: IPv6 loopback: %s\n", hark_strerror(error));
        if (hark_io_is_open(io)) close_io(io);
        return false;
    }
    ck_assert_int_eq(error, 0);
    address->len = sizeof address->any;
    ck_assert_int_eq(hark_local_address(io, addr, &address->len), 0);
    return true;
}

bool open_for_both(struct hark_io *io, struct address *address)
{
    struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
    socklen_t len = sizeof any;
    int is_only = 0, error = hark_socket(io, loop, AF_INET6, SOCK_DGRAM, 0);
    if (error == 0 && setsockopt(io->fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_only, sizeof is_only) != 0)
        error = HARK_EOPNOTSUPP;
    if (error != 0) {
        fprintf(stderr, "skipped: a socket of both families: %s\n", hark_strerror(error));
        if (hark_io_is_open(io)) close_io(io);
        return false;
    }
    ck_assert_int_eq(hark_bind(io, (struct sockaddr *)&any, sizeof any), 0);
    ck_assert_int_eq(hark_local_address(io, (struct sockaddr *)&any, &len), 0);
    ((struct sockaddr_in *)&address->any)->sin_port = any.sin6_port; /* at the same place */
    return true;
}
