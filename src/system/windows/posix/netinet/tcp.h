/* <netinet/tcp.h>: all of it that hark needs comes with Winsock. */
#ifndef HARK_WINDOWS_NETINET_TCP_H
#define HARK_WINDOWS_NETINET_TCP_H

#include <sys/socket.h>

#endif
