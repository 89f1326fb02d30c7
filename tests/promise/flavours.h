/* What the tests of datagrams share: a bound socket of each flavour. */
#ifndef TESTS_PROMISE_FLAVOURS_H
#define TESTS_PROMISE_FLAVOURS_H

#include "harness.h"

enum flavour { UDP4, UDP6, UNIX_DGRAM, FLAVOURS };

struct address { struct sockaddr_storage any; socklen_t len; };

/* A datagram socket of hark's on a free address, and where it is; false, with a reason, if this
 * machine lacks IPv6. */
bool open_bound(struct hark_io *io, enum flavour flavour, struct address *address);

/* An IPv6 socket that hears of IPv4, too, at any address and a free port, which takes the place of
 * that in address; false, with a reason, if this machine has none. */
bool open_for_both(struct hark_io *io, struct address *address);

#endif
