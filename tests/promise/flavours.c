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
