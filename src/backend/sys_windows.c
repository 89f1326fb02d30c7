/* The system calls of descriptors on Windows; see sys.h. Ops on sockets are the port's: only what
 * needs no waiting is here. */
#include "backend/sys.h"
#include "backend/iocp.h"

#include <errno.h>
#include <stdatomic.h>
#include <winsock2.h>

static int last_error(void) { return -WSAGetLastError(); }

int sys_socket(int domain, int type, int protocol, bool is_nonblock)
{
    static atomic_bool has_started;
    WSADATA data;
    (void)is_nonblock; /* an overlapped call waits for nobody */
    if (!atomic_exchange(&has_started, true)) (void)WSAStartup(MAKEWORD(2, 2), &data);
    DWORD flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
    SOCKET socket = WSASocketW(domain, type, protocol, NULL, 0, flags);
    return socket != INVALID_SOCKET ? (int)socket : last_error();
}

/* An io is a socket here, and a file is not. */
int sys_close(int fd)
{
    if (closesocket((SOCKET)fd) == 0) return 0;
    if (WSAGetLastError() != WSAENOTSOCK) return last_error();
    return sys_is_open(fd) && CloseHandle((HANDLE)(intptr_t)fd) ? 0 : -EBADF;
}

int sys_descriptor_flags(int fd) { return sys_is_open(fd) ? 0 : -EBADF; }

bool sys_is_open(int fd)
{
    DWORD flags;
    return fd >= 0 && GetHandleInformation((HANDLE)(intptr_t)fd, &flags);
}

bool sys_cuts_packets(struct hark_io *io) { return (void)io, false; }

/* None ever came. */
void sys_drop_rights(struct hark_descriptors *descriptors) { (void)descriptors; }

/* SIGPIPE is not there, either. */
void sys_hush_begin(struct sys_hush *hush) { (void)hush; }
void sys_hush_end(struct sys_hush *hush, bool is_raised) { (void)hush, (void)is_raised; }

/* Only a send of a file needs it, since a thread makes it by a plain call. What is overlapped waits
 * all the same. */
static int set_nonblock(int fd, u_long is_on)
{
    return ioctlsocket((SOCKET)fd, (long)FIONBIO, &is_on) == 0 ? 0 : last_error();
}

int sys_set_nonblock(struct hark_io *io)
{
    if (io->flags & IO_IS_NONBLOCK) return 0;
    int error = set_nonblock(io->fd, 1);
    if (error == 0) io->flags |= IO_IS_NONBLOCK | IO_WAS_BLOCKING;
    return error;
}

void sys_set_blocking(int fd) { (void)set_nonblock(fd, 0); /* fails: it is gone */ }
