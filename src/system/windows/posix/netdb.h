/* <netdb.h>: Winsock's, with the errors that it lacks. */
#ifndef HARK_WINDOWS_NETDB_H
#define HARK_WINDOWS_NETDB_H

#include <sys/socket.h>

enum { EAI_ADDRFAMILY = -9001, EAI_SYSTEM = -9002 }; /* never said */

#endif
