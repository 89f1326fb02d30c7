/* Waiting until an object of the kernel is signaled, as a timer is when its moment has come, and a
 * process when it has ended: a thread of the system's pool waits for many, and puts a packet into
 * the port.
 *
 * Windows can tie an object to a port by itself (NtAssociateWaitCompletionPacket), without that
 * thread; wine 8 has no such call, and a clock or two need none. */
#include "backend/iocp.h"

#include <errno.h>
#include <winternl.h>

bool iocp_is_object(HANDLE handle)
{
    static const WCHAR wanted[] = L"Timer";
    const OBJECT_INFORMATION_CLASS type = (OBJECT_INFORMATION_CLASS)2;
    struct { UNICODE_STRING name; ULONG_PTR rest[128]; } about;
    ULONG len;
    if (GetProcessId(handle) != 0) return true;
    if (NtQueryObject(handle, type, &about, sizeof about, &len) != 0) return false;
    return about.name.Length == sizeof wanted - sizeof wanted[0] &&
           memcmp(about.name.Buffer, wanted, about.name.Length) == 0;
}

/* On a thread of the system's. What fails for want of memory in the kernel is tried again. */
static void CALLBACK on_signaled(void *arg, BOOLEAN is_timeout)
{
    struct iocp_request *request = arg;
    (void)is_timeout; /* it waits without end */
    request->is_signaled = true;
    while (!PostQueuedCompletionStatus(request->port, 0, IOCP_OP, &request->overlapped)) Sleep(1);
}

/* Ends the waiting: on_signaled() has returned, or is never called. */
static void stop_waiting(struct iocp_request *request)
{
    if (request->wait != NULL) (void)UnregisterWaitEx(request->wait, INVALID_HANDLE_VALUE);
    request->wait = NULL;
}

static void start(struct backend *backend, struct hark_op *op)
{
    const struct iocp *iocp = backend->state;
    struct iocp_request *request = iocp_request_of(backend, op);
    HANDLE handle = (HANDLE)(intptr_t)op->on.io->fd;
    if (op->kind != OP_READ_READY) {
        backend_finish(backend, op, -EINVAL); /* it has no bytes */
        return;
    }
    request->overlapped = (OVERLAPPED){ 0 };
    request->port = iocp->port;
    request->is_signaled = false;
    request->op = op; /* it may be told before the call returns */
    if (RegisterWaitForSingleObject(&request->wait, handle, on_signaled, request, INFINITE,
                                    WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD)) return;
    request->wait = NULL;
    request->op = NULL;
    backend_finish(backend, op, iocp_number_of(GetLastError()));
}

static void complete(struct backend *backend, struct hark_op *op, int error, DWORD n)
{
    (void)error, (void)n; /* the packet is on_signaled()'s */
    stop_waiting(iocp_request_of(backend, op));
    backend_finish(backend, op, 0);
}

/* A packet that is on its way wins, as rule 1 of iocp.c says. */
static void cancel(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    if (request->op == op) {
        stop_waiting(request);
        if (request->is_signaled) return;
        request->op = NULL;
    }
    backend_finish(backend, op, -ECANCELED);
}

const struct iocp_kind iocp_objects = { .start = start, .complete = complete, .cancel = cancel };
