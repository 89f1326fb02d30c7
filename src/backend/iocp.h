/* Completion ports: what their files share. iocp.c works the port, iocp_socket.c starts and
 * completes the ops of sockets, iocp_datagram.c those of datagrams, iocp_ready.c waits until a
 * socket is ready, iocp_pipe.c has the ops of pipes, iocp_object.c waits until a timer or a process
 * is signaled, iocp_blocking.c has threads for what knows only calls that wait.
 *
 * What the kernel writes to while an op is with it (an OVERLAPPED and its like) lies in a request,
 * one for each side of an io, allocated when the io is adopted: so no op allocates. The op's own
 * buffer is the caller's promise. */
#ifndef HARK_BACKEND_IOCP_H
#define HARK_BACKEND_IOCP_H

#include <stdatomic.h>
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <windows.h>

#include "backend/backend.h"
#include "backend/sys.h"

/* What the device of Winsock takes: see iocp_ready.c. */
struct iocp_poll {
    LARGE_INTEGER timeout;
    ULONG count, is_exclusive;
    HANDLE handle;
    ULONG events;
    LONG status;
};

enum {
    IOCP_ADDRESS_BYTES = sizeof(struct sockaddr_storage) + 16, IOCP_PIECE_BYTES = 4096,
    IOCP_CONTROL_BYTES = 256, /* destinations, and what else the program has asked for by itself */
};

/* A datagram that is to bring more than its bytes and its sender. */
struct iocp_message {
    WSAMSG head;
    _Alignas(WSACMSGHDR) char control[IOCP_CONTROL_BYTES];
};

/* What an io leads to: how its ops are done. */
struct iocp_kind {
    void (*start)(struct backend *backend, struct hark_op *op);
    /* The kernel is through with it; error: 0, or Winsock's or Windows's. */
    void (*complete)(struct backend *backend, struct hark_op *op, int error, DWORD n);
    void (*cancel)(struct backend *backend, struct hark_op *op);
};

/* What is with the kernel for one side of an io. */
struct iocp_request {
    OVERLAPPED overlapped;      /* first: its address comes back with the packet */
    struct iocp_socket *socket;
    struct hark_op *op;         /* NULL: nothing is with the kernel, or a piece without an op */
    bool is_poll;               /* it is with the device, not with the socket */
    bool has_buffer;            /* of a pool: bytes go to op->u.pool.data */
    bool has_message;           /* of a datagram: it is received by socket->message */
    atomic_bool is_signaled;    /* of an object: a packet comes, or has come */
    HANDLE wait, port;          /* of an object; no wait: none is under way */
    DWORD flags;                /* of a receive: written by the kernel */
    INT peer_len;
    struct iocp_poll poll;
};

/* What says which kind of packet came. */
enum iocp_key { IOCP_OP, IOCP_WAKE, IOCP_PACKET };

/* For a layer that has the kernel write to memory of its own, by a handle that is no io. done() is
 * called while the port is worked, and as little as any other report calls back a program. */
struct iocp_packet {
    OVERLAPPED overlapped;      /* first: its address comes back with the packet */
    void (*done)(struct iocp_packet *packet, DWORD error, DWORD bytes);
};

/* The piece of a write that is on its way into a pipe: see iocp_pipe.c. */
struct iocp_piece {
    DWORD len;
    bool is_left;               /* its op has ended, and a packet comes all the same */
    struct hark_op *behind;     /* to start then */
    char bytes[IOCP_PIECE_BYTES];
};

/* What is known of an adopted io. */
struct iocp_socket {
    struct iocp_request requests[2];
    const struct iocp_kind *kind;
    struct iocp_piece *piece;   /* of a pipe */
    struct iocp_worker *workers[2]; /* of what is blocking; NULL: not for this side */
    bool is_gone;               /* its io is, and a packet is still to come */
    int family, type, protocol;
    bool is_shut;               /* for reading, by hark_shutdown(): what waits there has ended */
    bool is_reset;              /* an op was told so: from then on nobody reads */
    bool listens;               /* it was seen to */
    bool skips;                 /* success at once sends no packet */
    SOCKET base;                /* below all that providers put in front */
    SOCKET accepted;            /* the connection that an accept is to become */
    LPFN_WSARECVMSG recv_message; /* of its provider; NULL: not asked for yet */
    union {
        char addresses[2 * IOCP_ADDRESS_BYTES]; /* of that connection */
        struct iocp_message message;
    };
};

/* A place for one; the free ones are a chain. */
union iocp_place { struct iocp_socket *socket; size_t next_free; };

struct iocp {
    HANDLE port;
    HANDLE device;              /* of Winsock, for waiting until a socket is ready */
    LPFN_ACCEPTEX accept_ex;
    LPFN_CONNECTEX connect_ex;
    union iocp_place *places;   /* by hark_io.index */
    size_t room, first_free;    /* equal: none is */
    uint64_t *ours;             /* a bit for each descriptor that this port was given */
    size_t ours_room;           /* in words */
    size_t gone_count;          /* is_gone, of sockets and of workers */
};

static inline struct iocp_request *iocp_request_of(struct backend *backend,
                                                   const struct hark_op *op)
{
    const struct iocp *iocp = backend->state;
    return &iocp->places[op->on.io->index].socket->requests[op_side(op)];
}

/* The kernel may have the op from here on, or has answered already.
 * error: 0, WSA_IO_PENDING, or why it refused. True: it has it, and a packet comes. */
bool iocp_is_pending(struct iocp_request *request, struct hark_op *op, int error);

/* Asks the kernel to let go of it: it finishes by its packet. */
void iocp_cancel(struct backend *backend, struct hark_op *op);

/* The last error of Windows, as the number that an op ends with. */
int64_t iocp_number_of(DWORD error);

static inline SOCKET iocp_socket_of(const struct hark_op *op) { return (SOCKET)op->on.io->fd; }

static inline ULONG iocp_short_len(size_t len) { return (ULONG)sys_short_len(len); }

static inline OVERLAPPED *iocp_fresh(struct iocp_request *request)
{
    request->overlapped = (OVERLAPPED){ 0 };
    request->flags = 0;
    return &request->overlapped;
}

/* 0, or Winsock's error of the call that gave result. */
static inline int iocp_last_error(int result) { return result == 0 ? 0 : WSAGetLastError(); }

/* iocp_socket.c; ends an op of a socket by Winsock's error. */
extern const struct iocp_kind iocp_sockets;
void iocp_fail(struct backend *backend, struct hark_op *op, int error);

/* iocp_datagram.c */
void iocp_start_recv_datagram(struct backend *backend, struct hark_op *op);
void iocp_received_datagram(struct backend *backend, struct hark_op *op, int error, DWORD n);
void iocp_start_sendto(struct backend *backend, struct hark_op *op);
void iocp_sent_datagram(struct backend *backend, struct hark_op *op, int error);
void iocp_send_batch_on(struct backend *backend, struct hark_op *op);
void iocp_sent_of_batch(struct backend *backend, struct hark_op *op, int error);

/* iocp_pipe.c; the packet of a piece that was left. */
extern const struct iocp_kind iocp_pipes;
void iocp_piece_is_through(struct backend *backend, struct iocp_request *request);

/* sys_windows.c: Winsock says "not a socket" of a closed one, too. */
bool sys_is_open(int fd);

/* iocp_ready.c: the device, 0 or a Windows error; waits for a side; one cancel. */
int iocp_open_device(struct iocp *iocp);
void iocp_poll(struct backend *backend, struct hark_op *op);

/* What this handle's overlapped calls lead to are packets of a layer; false: it cannot be. */
bool iocp_attach(struct backend *backend, HANDLE handle);

/* iocp_object.c: whether it is one that can be waited for. */
bool iocp_is_object(HANDLE handle);
extern const struct iocp_kind iocp_objects;

/* iocp_blocking.c; a thread for each side that the handle can be used for, and their end. 0, or a
 * negative errno. */
extern const struct iocp_kind iocp_blocking;
int iocp_open_workers(struct backend *backend, struct iocp_socket *socket, HANDLE handle);
void iocp_close_workers(struct iocp_socket *socket);

#endif
