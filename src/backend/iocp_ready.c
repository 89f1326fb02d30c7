/* Waiting until a socket is ready, moving no data: by the device that Winsock itself is made of.
 *
 * Windows has no documented way for this but select(): a receive of zero bytes tells of the read
 * side of a stream only. The device takes a list of sockets and what to wait for, and its answer
 * comes through the port as any other. */
#include "backend/iocp.h"

#include <winternl.h>

enum { DEVICE_POLL = 0x00012024 };

enum device_event {
    DEVICE_RECEIVE = 1, DEVICE_RECEIVE_EXPEDITED = 2, DEVICE_SEND = 4, DEVICE_DISCONNECT = 8,
    DEVICE_ABORT = 16, DEVICE_LOCAL_CLOSE = 32, DEVICE_ACCEPT = 128, DEVICE_CONNECT_FAIL = 256,
};

static const ULONG events_of[] = {
    [SIDE_READ] = DEVICE_RECEIVE | DEVICE_DISCONNECT | DEVICE_ABORT | DEVICE_LOCAL_CLOSE |
                  DEVICE_ACCEPT | DEVICE_CONNECT_FAIL,
    [SIDE_WRITE] = DEVICE_SEND | DEVICE_ABORT | DEVICE_LOCAL_CLOSE | DEVICE_CONNECT_FAIL,
};

/* 0 or a Windows error. Whatever follows \Device\Afd\ is a name of ours. */
int iocp_open_device(struct iocp *iocp)
{
    static const WCHAR path[] = L"\\Device\\Afd\\Hark";
    UNICODE_STRING name = { sizeof path - sizeof path[0], sizeof path, (WCHAR *)(uintptr_t)path };
    OBJECT_ATTRIBUTES attributes = { .Length = sizeof attributes, .ObjectName = &name };
    IO_STATUS_BLOCK block;
    NTSTATUS status = NtCreateFile(&iocp->device, SYNCHRONIZE, &attributes, &block, NULL, 0,
                                   FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0, NULL, 0);
    if (status != 0) {
        iocp->device = NULL;
        return (int)RtlNtStatusToDosError(status);
    }
    if (CreateIoCompletionPort(iocp->device, iocp->port, 0, 0) == NULL) return (int)GetLastError();
    return 0;
}

/* A packet comes whether it is ready at once or not. */
void iocp_poll(struct backend *backend, struct hark_op *op)
{
    struct iocp *iocp = backend->state;
    struct iocp_request *request = iocp_request_of(backend, op);
    request->poll = (struct iocp_poll){
        .timeout.QuadPart = INT64_MAX, .count = 1, .handle = (HANDLE)request->socket->base,
        .events = events_of[op_side(op)],
    };
    request->overlapped = (OVERLAPPED){ 0 };
    request->op = op;
    request->is_poll = true;
    NTSTATUS status = NtDeviceIoControlFile(iocp->device, NULL, NULL, &request->overlapped,
                                            (IO_STATUS_BLOCK *)(void *)&request->overlapped,
                                            DEVICE_POLL, &request->poll, sizeof request->poll,
                                            &request->poll, sizeof request->poll);
    if (status == 0 || status == STATUS_PENDING) return;
    request->op = NULL;
    request->socket->kind->complete(backend, op, (int)RtlNtStatusToDosError(status), 0);
}
