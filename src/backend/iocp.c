/* Completion ports: every op is an overlapped call, every result a packet. Rules:
 *
 *  1. An op is the kernel's from the call that answered "pending" to its packet; only then it is
 *     finished, whatever was asked meanwhile. So a packet that raced with a cancel wins, and no
 *     bytes are lost.
 *  2. Where a socket allows it, success at once sends no packet, and the op is finished at once.
 *     Providers in front of Winsock's own may break that: then a packet is waited for each time.
 *  3. A socket belongs to one port for life. One that was released and comes back is known by its
 *     number; what another port has is taken away from it, where the system can do that.
 *  4. What is started here is not ended by the end of the thread that started it, since the socket
 *     belongs to a port. */
#include "backend/iocp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <winternl.h>

#include "backend/sys.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "system/windows/console.h"

static struct iocp *self(struct backend *backend) { return backend->state; }
static int iocp_wait(struct backend *backend, int64_t timeout_ns, unsigned most);

bool iocp_is_pending(struct iocp_request *request, struct hark_op *op, int error)
{
    bool is_warning = error == WSAEMSGSIZE || error == ERROR_MORE_DATA; /* a packet comes, too */
    bool is_through = error == 0 && request->socket->skips;
    if (is_through || (error != 0 && error != WSA_IO_PENDING && !is_warning)) return false;
    request->op = op;
    request->is_poll = false;
    return true;
}

int64_t iocp_number_of(DWORD error) { return -(CALL_WINDOWS_ERRORS + (int64_t)error); }

/* The functions that Winsock does not export. 0 or its error. */
static int load(struct iocp *iocp, int any)
{
    int error = call_extension(any, (GUID)WSAID_ACCEPTEX, &iocp->accept_ex);
    return error != 0 ? error : call_extension(any, (GUID)WSAID_CONNECTEX, &iocp->connect_ex);
}

static int open_all(struct iocp *iocp)
{
    iocp->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    if (iocp->port == NULL) return (int)GetLastError();
    int fd = sys_socket(AF_INET, SOCK_STREAM, 0, false);
    if (fd < 0) return -fd;
    int error = load(iocp, fd);
    (void)sys_close(fd); /* new and unused: nothing can be lost */
    return error != 0 ? error : iocp_open_device(iocp);
}

static void iocp_close(struct backend *backend)
{
    struct iocp *iocp = self(backend);
    while (iocp->gone_count != 0 && iocp_wait(backend, -1, 1) == 0) {} /* they were canceled */
    if (iocp->device != NULL) (void)CloseHandle(iocp->device); /* valid handles cannot fail */
    if (iocp->port != NULL) (void)CloseHandle(iocp->port);
    backend_resize(backend, iocp->places, iocp->room * sizeof *iocp->places, 0);
    backend_resize(backend, iocp->ours, iocp->ours_room * 8, 0);
    backend_resize(backend, iocp, sizeof *iocp, 0);
}

static int iocp_open(struct backend *backend, char *why, size_t room_bytes)
{
    struct iocp *iocp = backend_resize(backend, NULL, 0, sizeof *iocp);
    if (iocp == NULL) return -ENOMEM;
    memset(iocp, 0, sizeof *iocp);
    backend->state = iocp;
    int error = open_all(iocp);
    if (error == 0) {
        snprintf(why, room_bytes, "completion port; readiness by the device of Winsock");
        return 0;
    }
    snprintf(why, room_bytes, "no completion port for sockets: Windows error %d", error);
    iocp_close(backend);
    return error == WSAEMFILE ? -EMFILE : -ENOSYS;
}

/* 0: a place is free; or -ENOMEM. */
static int make_room(struct backend *backend)
{
    struct iocp *iocp = self(backend);
    size_t wider = iocp->room != 0 ? 2 * iocp->room : 16, bytes = sizeof *iocp->places;
    if (iocp->first_free != iocp->room) return 0;
    union iocp_place *places = backend_resize(backend, iocp->places, iocp->room * bytes,
                                              wider * bytes);
    if (places == NULL) return -ENOMEM;
    for (size_t i = iocp->room; i < wider; i++) places[i].next_free = i + 1;
    iocp->places = places;
    iocp->room = wider;
    return 0;
}

static bool is_ours(const struct iocp *iocp, int fd)
{
    size_t word = (size_t)fd / 64;
    return word < iocp->ours_room && iocp->ours[word] >> (fd % 64) & 1;
}

static int make_ours(struct backend *backend, int fd)
{
    struct iocp *iocp = self(backend);
    size_t word = (size_t)fd / 64, room = iocp->ours_room;
    if (word >= room) {
        size_t wider = word + 1 > 2 * room ? word + 1 : 2 * room;
        uint64_t *bits = backend_resize(backend, iocp->ours, room * 8, wider * 8);
        if (bits == NULL) return -ENOMEM;
        memset(bits + room, 0, (wider - room) * 8);
        iocp->ours = bits;
        iocp->ours_room = wider;
    }
    iocp->ours[word] |= UINT64_C(1) << (fd % 64);
    return 0;
}

/* Windows 8.1 and later can take a handle away from its port. */
static void leave_port(HANDLE handle)
{
    const FILE_INFORMATION_CLASS replace_completion = (FILE_INFORMATION_CLASS)61;
    struct { HANDLE port; void *key; } none = { NULL, NULL };
    IO_STATUS_BLOCK block;
    (void)NtSetInformationFile(handle, &block, &none, sizeof none, replace_completion);
}

/* Rule 3. */
static int join_port(struct iocp *iocp, int fd)
{
    HANDLE handle = (HANDLE)(intptr_t)fd;
    if (CreateIoCompletionPort(handle, iocp->port, IOCP_OP, 0) != NULL) return 0;
    if (GetLastError() != ERROR_INVALID_PARAMETER) return -ENOTSOCK;
    leave_port(handle);
    if (CreateIoCompletionPort(handle, iocp->port, IOCP_OP, 0) != NULL) return 0;
    return is_ours(iocp, fd) ? 0 : -EBUSY;
}

static SOCKET base_of(SOCKET socket)
{
    SOCKET base = socket;
    DWORD n;
    int result = WSAIoctl(socket, SIO_BASE_HANDLE, NULL, 0, &base, sizeof base, &n, NULL, NULL);
    return result == 0 ? base : socket;
}

/* A datagram that found nobody would else fail the next receive of any other peer's. */
static void calm_datagrams(SOCKET socket)
{
    BOOL is_on = FALSE;
    DWORD n;
    (void)WSAIoctl(socket, _WSAIOW(IOC_VENDOR, 12), &is_on, sizeof is_on, NULL, 0, &n, NULL, NULL);
}

static void describe(struct iocp_socket *socket, int fd, const WSAPROTOCOL_INFOW *info)
{
    if (socket->kind != &iocp_sockets) return;
    socket->family = info->iAddressFamily;
    socket->type = info->iSocketType;
    socket->protocol = info->iProtocol;
    socket->base = base_of((SOCKET)fd);
    socket->accepted = INVALID_SOCKET;
    bool may_skip = info->dwServiceFlags1 & XP1_IFS_HANDLES && socket->type == SOCK_STREAM;
    UCHAR modes = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE;
    socket->skips = may_skip && SetFileCompletionNotificationModes((HANDLE)(intptr_t)fd, modes);
    if (socket->type == SOCK_DGRAM) calm_datagrams((SOCKET)fd);
}

static void take_place(struct iocp *iocp, struct hark_io *io, struct iocp_socket *socket)
{
    io->index = (int)iocp->first_free;
    iocp->first_free = iocp->places[io->index].next_free;
    iocp->places[io->index].socket = socket;
}

/* A handle that waits for each call has no packets. */
static bool is_overlapped(HANDLE handle)
{
    const FILE_INFORMATION_CLASS mode_class = (FILE_INFORMATION_CLASS)16;
    ULONG mode = 0;
    IO_STATUS_BLOCK block;
    NTSTATUS status = NtQueryInformationFile(handle, &block, &mode, sizeof mode, mode_class);
    return status == 0 && !(mode & (FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT));
}

/* 0 and its kind; or a negative error. */
static int find_kind(int fd, WSAPROTOCOL_INFOW *info, const struct iocp_kind **kind)
{
    HANDLE handle = (HANDLE)(intptr_t)fd;
    socklen_t len = sizeof *info;
    *kind = &iocp_sockets;
    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL_INFOW, info, &len) == 0) return 0;
    int error = WSAGetLastError();
    *kind = &iocp_objects;
    if (iocp_is_object(handle)) return 0;
    DWORD type = GetFileType(handle);
    if (type == FILE_TYPE_UNKNOWN) return -error;
    *kind = !console_is(handle) && is_overlapped(handle) ? &iocp_pipes : &iocp_blocking;
    return *kind == &iocp_blocking || type == FILE_TYPE_PIPE ? 0 : -EOPNOTSUPP;
}

static void free_socket(struct backend *backend, struct iocp_socket *socket)
{
    if (socket->piece != NULL) backend_resize(backend, socket->piece, sizeof *socket->piece, 0);
    backend_resize(backend, socket, sizeof *socket, 0);
}

/* NULL: no memory for it. */
static struct iocp_socket *make_socket(struct backend *backend, const struct iocp_kind *kind)
{
    struct iocp_socket *socket = backend_resize(backend, NULL, 0, sizeof *socket);
    if (socket == NULL) return NULL;
    memset(socket, 0, sizeof *socket);
    socket->kind = kind;
    socket->requests[0].socket = socket->requests[1].socket = socket;
    if (kind != &iocp_pipes) return socket;
    socket->piece = backend_resize(backend, NULL, 0, sizeof *socket->piece);
    if (socket->piece != NULL) {
        memset(socket->piece, 0, sizeof *socket->piece);
        return socket;
    }
    backend_resize(backend, socket, sizeof *socket, 0);
    return NULL;
}

static int iocp_adopt(struct backend *backend, struct hark_io *io)
{
    struct iocp *iocp = self(backend);
    WSAPROTOCOL_INFOW info = { 0 };
    HANDLE handle = (HANDLE)(intptr_t)io->fd;
    const struct iocp_kind *kind;
    int error = find_kind(io->fd, &info, &kind);
    if (error == 0) error = make_room(backend);
    if (error == 0) error = make_ours(backend, io->fd);
    if (error != 0) return error;
    struct iocp_socket *socket = make_socket(backend, kind);
    if (socket == NULL) return -ENOMEM;
    if (kind == &iocp_blocking) error = iocp_open_workers(backend, socket, handle);
    else if (kind != &iocp_objects) error = join_port(iocp, io->fd);
    if (error != 0) {
        free_socket(backend, socket);
        return error;
    }
    describe(socket, io->fd, &info);
    take_place(iocp, io, socket);
    return 0;
}

static void iocp_forget(struct backend *backend, struct hark_io *io)
{
    struct iocp *iocp = self(backend);
    union iocp_place *place = &iocp->places[io->index];
    struct iocp_socket *socket = place->socket;
    iocp_close_workers(socket);
    if (socket->piece != NULL && socket->piece->is_left) {
        socket->is_gone = true;
        iocp->gone_count++;
        (void)CancelIoEx((HANDLE)(intptr_t)io->fd, &socket->requests[SIDE_WRITE].overlapped);
    } else {
        free_socket(backend, socket);
    }
    place->next_free = iocp->first_free;
    iocp->first_free = (size_t)io->index;
    io->index = -1;
}

/* Rule 1: it finishes by its packet. */
void iocp_cancel(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    HANDLE handle = request->is_poll ? self(backend)->device : (HANDLE)(intptr_t)op->on.io->fd;
    if (request->op == op) (void)CancelIoEx(handle, &request->overlapped); /* or it is through */
    else backend_finish(backend, op, -ECANCELED);
}

static void iocp_start(struct backend *backend, struct hark_op *op)
{
    iocp_request_of(backend, op)->socket->kind->start(backend, op);
}

static void cancel(struct backend *backend, struct hark_op *op)
{
    iocp_request_of(backend, op)->socket->kind->cancel(backend, op);
}

/* 0, or the number of Winsock or Windows. */
static int error_of(struct iocp_request *request, const struct hark_op *op)
{
    NTSTATUS status = (NTSTATUS)request->overlapped.Internal;
    DWORD n, flags;
    if (status == 0) return 0;
    bool is_plain = request->is_poll || request->socket->kind != &iocp_sockets;
    if (is_plain) return (int)RtlNtStatusToDosError(status);
    SOCKET socket = (SOCKET)op->on.io->fd;
    if (WSAGetOverlappedResult(socket, &request->overlapped, &n, FALSE, &flags)) return 0;
    return WSAGetLastError();
}

bool iocp_attach(struct backend *backend, HANDLE handle)
{
    return CreateIoCompletionPort(handle, self(backend)->port, IOCP_PACKET, 0) != NULL;
}

static void hand_over_packet(const OVERLAPPED_ENTRY *entry)
{
    struct iocp_packet *packet = (void *)entry->lpOverlapped;
    NTSTATUS status = (NTSTATUS)packet->overlapped.Internal;
    DWORD error = status == 0 ? 0 : RtlNtStatusToDosError(status);
    packet->done(packet, error, entry->dwNumberOfBytesTransferred);
}

static void harvest(struct backend *backend, const OVERLAPPED_ENTRY *entry)
{
    struct iocp_request *request = (void *)entry->lpOverlapped;
    if (entry->lpCompletionKey != IOCP_OP || request == NULL) {
        if (entry->lpCompletionKey == IOCP_PACKET) hand_over_packet(entry);
        return; /* else the sleep has ended, and that is all */
    }
    struct hark_op *op = request->op;
    if (op == NULL) {
        if (!request->socket->is_gone) {
            iocp_piece_is_through(backend, request);
            return;
        }
        self(backend)->gone_count--;
        free_socket(backend, request->socket);
        return;
    }
    int error = error_of(request, op);
    request->op = NULL;
    request->socket->kind->complete(backend, op, error, entry->dwNumberOfBytesTransferred);
}

static int iocp_wait(struct backend *backend, int64_t timeout_ns, unsigned most)
{
    OVERLAPPED_ENTRY entries[LIMIT_EVENTS];
    ULONG count = 0, room = most < LIMIT_EVENTS ? most : LIMIT_EVENTS;
    DWORD timeout = (DWORD)clock_ms_round_up(timeout_ns); /* -1 is INFINITE */
    if (!GetQueuedCompletionStatusEx(self(backend)->port, entries, room, &count, timeout, FALSE))
        return GetLastError() == WAIT_TIMEOUT ? 0 : -EBADF;
    for (ULONG i = 0; i < count; i++) harvest(backend, &entries[i]);
    return 0;
}

/* The inbox asks for one a sleep. It fails only for want of memory in the kernel, and then the
 * sleep goes on: so it is tried again. */
static void iocp_wake(struct backend *backend)
{
    while (!PostQueuedCompletionStatus(self(backend)->port, 0, IOCP_WAKE, NULL)) Sleep(1);
}

const struct backend_ops iocp_backend = {
    .name = "iocp", .open = iocp_open, .close = iocp_close, .adopt = iocp_adopt,
    .forget = iocp_forget, .start = iocp_start, .cancel = cancel, .wait = iocp_wait,
    .wake = iocp_wake,
};
