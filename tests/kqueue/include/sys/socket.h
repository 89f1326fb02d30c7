/* Linux's, without MSG_NOSIGNAL, and with SO_NOSIGPIPE in its place: as macOS and the oldest of the
 * BSDs are. See tests/kqueue/emulate_socket.c. */
#ifndef TESTS_KQUEUE_SYS_SOCKET_H
#define TESTS_KQUEUE_SYS_SOCKET_H

#pragma GCC system_header /* include_next is no warning of ours */
#include_next <sys/socket.h>

#undef MSG_NOSIGNAL
#define SO_NOSIGPIPE 0x1022

#endif
