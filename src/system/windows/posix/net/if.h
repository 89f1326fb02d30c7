/* <net/if.h>: the names of interfaces. */
#ifndef HARK_WINDOWS_NET_IF_H
#define HARK_WINDOWS_NET_IF_H

#include <sys/socket.h>

#include <netioapi.h>
#undef interface

#endif
