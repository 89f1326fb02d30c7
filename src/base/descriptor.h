/* What a descriptor or an address of this process leads to, as text for people. Never waits. */
#ifndef HARK_BASE_DESCRIPTOR_H
#define HARK_BASE_DESCRIPTOR_H

#include <stddef.h>
#include <sys/socket.h>

/* Writes "127.0.0.1:80", "[::1]:80", the path of a Unix socket, "@name" of an abstract one. */
void address_print(const struct sockaddr *address, socklen_t len, char *text, size_t room);

/* Writes the path of a file; "tcp 127.0.0.1:80", "unix /run/x" for a socket: its peer, or its own
 * address where it has none; "pipe:[77]"; "" if it is closed. */
void descriptor_print(int fd, char *text, size_t room);

#endif
