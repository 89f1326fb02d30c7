/* <netinet/udp.h>, and the options of datagram sockets. Those that Windows lacks, or that hark does
 * not use there, have numbers that Winsock refuses. */
#ifndef HARK_WINDOWS_NETINET_UDP_H
#define HARK_WINDOWS_NETINET_UDP_H

#include <sys/socket.h>

enum { SO_TIMESTAMPNS = 0x7f01, UDP_GRO = 0x7f02 };

/* As Linux has it; the seam hands on what Winsock takes. */
struct ip_mreqn { struct in_addr imr_multiaddr, imr_address; int imr_ifindex; };

#endif
