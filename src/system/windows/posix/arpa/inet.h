/* <arpa/inet.h>: all of it that hark needs comes with Winsock. */
#ifndef HARK_WINDOWS_ARPA_INET_H
#define HARK_WINDOWS_ARPA_INET_H

#include <sys/socket.h>

#endif
