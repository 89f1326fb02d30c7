/* What the files of describe share. */
#ifndef STALLS_DESCRIBE_PARTS_H
#define STALLS_DESCRIBE_PARTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* describe_fd.c: writes what a descriptor is: a path, "pipe", "10.0.0.7:5432"; "" if it is not
 * open. */
void fd_describe(pid_t pid, int fd, char *out, size_t room);
/* By a socket's number in the tables of /proc/PID/net; 0: it is not there, or has no peer. */
int fd_find_peer(pid_t pid, const char *inode, char *out, size_t room);
/* 0: an address of a kind that has no text. */
int address_text(const struct sockaddr_storage *address, socklen_t length, char *out, size_t room);

#endif
