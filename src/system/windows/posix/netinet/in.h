/* <netinet/in.h>: all of it that hark needs comes with Winsock. */
#ifndef HARK_WINDOWS_NETINET_IN_H
#define HARK_WINDOWS_NETINET_IN_H

#include <sys/socket.h>

#endif
