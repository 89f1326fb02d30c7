/* The ops of what has no overlapped calls: a console, a pipe or a file whose handle is not
 * overlapped, as standard input and output mostly are. Rules:
 *
 *  1. Each side has a thread of its own, which makes one call at a time and posts a packet. No op's
 *     memory is given to it: it reads into a piece, and writes from a copy.
 *  2. Nothing that was begun is taken back by a cancel, which ends the op and leaves the call. What
 *     that reads is for the next read; a piece that it writes counts as gone, and the next write
 *     waits behind it.
 *  3. A console's input is read when a first key is there, and somebody wants it: see console.c.
 *  4. With its io ends the call, too. One that nothing can end keeps its thread and a handle of
 *     its own, and nobody waits for it; therefore what it works with is memory of the system's.
 *
 *   the loop's view, is_busy:   false --- want() ---> true --- on_call() ---> false
 *   the thread:                 waits for `wanted` -> calls -> is_posted, and waits */
#include "backend/iocp.h"

#include <errno.h>
#include <string.h>
#include <winternl.h>

#include "backend/sys.h"
#include "system/windows/console.h"

enum { ENDING_TRIES = 20, STACK_BYTES = 64 * 1024 };

enum job { JOB_MOVE, JOB_LOOK /* until a console has some text */ };

struct iocp_worker {
    struct iocp_packet packet;      /* first: its address comes back with it */
    struct backend *backend;
    int side;
    bool is_console, is_pipe;

    /* The loop's. */
    struct hark_op *op;             /* waits for the call, or behind a piece that was left */
    bool is_busy;
    bool is_gone;                   /* its io is, and a packet is still to come */
    size_t begin, end;              /* of a read's piece: bytes that no op has had yet */
    DWORD error;                    /* of a read, behind them */
    size_t piece_len;               /* of a write's piece, while that is the op's */

    /* What the thread is to do; the loop's while it is not busy. */
    enum job job;
    DWORD len;
    struct console_text text;
    char bytes[IOCP_PIECE_BYTES];

    /* Of both. */
    SRWLOCK lock;
    bool is_posted, is_stopped, is_inside;
    LONG refs;
    HANDLE handle, thread, stop, wanted, port;
};

_Static_assert((int)CONSOLE_READ_BYTES <= (int)IOCP_PIECE_BYTES, "what a console gives has room");

/* The thread. */

static void drop(struct iocp_worker *worker)
{
    HANDLE handles[] = { worker->handle, worker->thread, worker->stop, worker->wanted };
    if (InterlockedDecrement(&worker->refs) != 0) return;
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        if (handles[i] != NULL) (void)CloseHandle(handles[i]); /* ours alone */
    (void)HeapFree(GetProcessHeap(), 0, worker);
}

static bool waits_for_text(const struct iocp_worker *worker)
{
    return worker->is_console && worker->side == SIDE_READ && !worker->text.is_in_line;
}

/* Rule 3. False: the io is gone. */
static bool wait_for_work(struct iocp_worker *worker)
{
    HANDLE called[] = { worker->stop, worker->wanted }, typed[] = { worker->stop, worker->handle };
    for (;;) { /* each round sleeps */
        if (WaitForMultipleObjects(2, called, FALSE, INFINITE) == WAIT_OBJECT_0) return false;
        if (!waits_for_text(worker)) return true;
        if (WaitForMultipleObjects(2, typed, FALSE, INFINITE) == WAIT_OBJECT_0) return false;
        bool is_wanted = WaitForSingleObject(worker->wanted, 0) == WAIT_OBJECT_0;
        if (is_wanted && console_has_text(worker->handle)) return true;
    }
}

static bool enter_call(struct iocp_worker *worker)
{
    AcquireSRWLockExclusive(&worker->lock);
    worker->is_inside = !worker->is_stopped;
    ReleaseSRWLockExclusive(&worker->lock);
    return worker->is_inside;
}

static DWORD read_piece(struct iocp_worker *worker, DWORD *n)
{
    if (worker->is_console)
        return console_read(worker->handle, &worker->text, worker->bytes, n);
    if (!ReadFile(worker->handle, worker->bytes, worker->len, n, NULL)) return GetLastError();
    if (*n != 0) return 0;
    if (!worker->is_pipe) return ERROR_HANDLE_EOF;
    bool is_open = PeekNamedPipe(worker->handle, NULL, 0, NULL, NULL, NULL);
    return is_open ? 0 : GetLastError(); /* the other side has written nothing, or has gone */
}

static DWORD write_piece(struct iocp_worker *worker, DWORD *n)
{
    if (!worker->is_console) {
        bool is_done = WriteFile(worker->handle, worker->bytes, worker->len, n, NULL);
        return is_done ? 0 : GetLastError();
    }
    DWORD error = console_write(worker->handle, &worker->text, worker->bytes, worker->len);
    *n = error == 0 ? worker->len : 0;
    return error;
}

static DWORD make_call(struct iocp_worker *worker, DWORD *n)
{
    if (worker->job == JOB_LOOK) return 0;
    return worker->side == SIDE_READ ? read_piece(worker, n) : write_piece(worker, n);
}

/* The packet has a reference of its own. What fails for want of memory in the kernel is tried
 * again. */
static bool report(struct iocp_worker *worker, DWORD error, DWORD n)
{
    AcquireSRWLockExclusive(&worker->lock);
    bool is_heard = !worker->is_stopped;
    worker->is_inside = false;
    if (is_heard) {
        (void)ResetEvent(worker->wanted); /* a valid one: it cannot fail */
        worker->is_posted = true;
        worker->error = error;
        InterlockedIncrement(&worker->refs);
        while (!PostQueuedCompletionStatus(worker->port, n, IOCP_PACKET,
                                           &worker->packet.overlapped)) Sleep(1);
    }
    ReleaseSRWLockExclusive(&worker->lock);
    return is_heard;
}

static DWORD WINAPI work(void *arg)
{
    struct iocp_worker *worker = arg;
    while (wait_for_work(worker) && enter_call(worker)) {
        DWORD n = 0, error = make_call(worker, &n);
        if (!report(worker, error, n)) break;
    }
    drop(worker);
    return 0;
}

/* The loop. */

static struct iocp_worker *worker_of(struct backend *backend, const struct hark_op *op)
{
    return iocp_request_of(backend, op)->socket->workers[op_side(op)];
}

/* A call that a cancel has left is the one that is wanted now. */
static void want(struct iocp_worker *worker, enum job job, size_t len)
{
    if (!worker->is_busy) {
        worker->job = job;
        worker->len = len < sizeof worker->bytes ? (DWORD)len : sizeof worker->bytes;
    }
    worker->is_busy = true;
    AcquireSRWLockExclusive(&worker->lock);
    if (!worker->is_posted) (void)SetEvent(worker->wanted); /* a valid one: it cannot fail */
    ReleaseSRWLockExclusive(&worker->lock);
}

static void finish(struct iocp_worker *worker, int64_t result)
{
    struct hark_op *op = worker->op;
    worker->op = NULL;
    backend_finish(worker->backend, op, result);
}

static int64_t number_of(DWORD error)
{
    if (error == ERROR_BROKEN_PIPE || error == ERROR_HANDLE_EOF) return 0; /* of a read: the end */
    return error == ERROR_OPERATION_ABORTED ? -EBADF : iocp_number_of(error);
}

/* What is there for the op that waits, or a call for more. */
static void read_on(struct iocp_worker *worker)
{
    struct hark_op *op = worker->op;
    size_t there = worker->end - worker->begin;
    bool looks = op->kind == OP_READ_READY;
    if (looks && (there != 0 || worker->error != 0)) {
        finish(worker, 0);
    } else if (there != 0) {
        size_t n = op->u.buf.len < there ? op->u.buf.len : there;
        memcpy(op->u.buf.base, worker->bytes + worker->begin, n);
        worker->begin += n;
        finish(worker, (int64_t)n);
    } else if (worker->error != 0) {
        DWORD error = worker->error;
        worker->error = 0; /* told once: a console goes on after an end */
        finish(worker, number_of(error));
    } else {
        want(worker, looks ? JOB_LOOK : JOB_MOVE, looks ? 0 : op->u.buf.len);
    }
}

static void write_on(struct iocp_worker *worker)
{
    struct hark_op *op = worker->op;
    size_t rest = op->u.buf.len - op->u.buf.moved;
    if (rest == 0) {
        finish(worker, (int64_t)op->u.buf.len);
        return;
    }
    worker->piece_len = rest < sizeof worker->bytes ? rest : sizeof worker->bytes;
    memcpy(worker->bytes, op->u.buf.base + op->u.buf.moved, worker->piece_len);
    want(worker, JOB_MOVE, worker->piece_len);
}

static void was_read(struct iocp_worker *worker, DWORD n)
{
    bool has_looked = worker->job == JOB_LOOK;
    worker->begin = 0;
    worker->end = n;
    if (worker->op == NULL) return; /* rule 2 */
    if (has_looked && worker->op->kind == OP_READ_READY) finish(worker, 0);
    else read_on(worker);
}

static void was_written(struct iocp_worker *worker, DWORD n)
{
    bool is_of_op = worker->piece_len != 0;
    worker->piece_len = 0;
    if (worker->op == NULL) return;
    if (is_of_op) worker->op->u.buf.moved += n;
    if (!is_of_op || worker->error == 0) write_on(worker);
    else finish(worker, worker->error == ERROR_BROKEN_PIPE ? -EPIPE : number_of(worker->error));
}

static void on_call(struct iocp_packet *packet, DWORD error, DWORD n)
{
    struct iocp_worker *worker = (void *)packet;
    struct iocp *iocp = worker->backend->state;
    (void)error; /* of the packet: there is none */
    AcquireSRWLockExclusive(&worker->lock);
    worker->is_posted = false;
    ReleaseSRWLockExclusive(&worker->lock);
    worker->is_busy = false;
    if (worker->is_gone) iocp->gone_count--;
    else if (worker->side == SIDE_READ) was_read(worker, n);
    else was_written(worker, n);
    drop(worker);
}

static void start_move(struct backend *backend, struct hark_op *op)
{
    struct iocp_worker *worker = worker_of(backend, op);
    bool is_read = op->kind != OP_WRITE;
    if (worker == NULL) {
        backend_finish(backend, op, -EBADF); /* not for this way */
        return;
    }
    worker->op = op;
    if (is_read && worker->is_busy) want(worker, JOB_MOVE, 0);
    else if (is_read) read_on(worker);
    else if (!worker->is_busy) write_on(worker); /* else behind the piece that was left */
}

/* A file always is, and a console can be written; nothing tells of a pipe. */
static void start_ready(struct backend *backend, struct hark_op *op)
{
    const struct iocp_socket *socket = iocp_request_of(backend, op)->socket;
    const struct iocp_worker *any = socket->workers[SIDE_READ];
    if (any == NULL) any = socket->workers[SIDE_WRITE];
    if (any->is_pipe) backend_finish(backend, op, -EOPNOTSUPP);
    else if (any->is_console && op->kind == OP_READ_READY) start_move(backend, op);
    else backend_finish(backend, op, 0);
}

static void start(struct backend *backend, struct hark_op *op)
{
    bool is_empty = op->kind == OP_READ && op->u.buf.len == 0;
    switch (op->kind) {
    case OP_READ_READY: case OP_WRITE_READY: start_ready(backend, op); break;
    case OP_READ: case OP_WRITE:
        if (is_empty) backend_finish(backend, op, 0);
        else start_move(backend, op);
        break;
    case OP_RECV_NOTHING: backend_finish(backend, op, 0); break;
    default: backend_finish(backend, op, -ENOTSOCK); break;
    }
}

/* Rule 2. A read that has not been begun is not: nobody wants it any more. */
static void cancel(struct backend *backend, struct hark_op *op)
{
    struct iocp_worker *worker = worker_of(backend, op);
    bool is_write = op->kind == OP_WRITE;
    if (is_write) op->u.buf.moved += worker->piece_len;
    else (void)ResetEvent(worker->wanted); /* a valid one: it cannot fail */
    worker->piece_len = 0;
    bool is_all = is_write && op->u.buf.moved == op->u.buf.len;
    finish(worker, is_all ? (int64_t)op->u.buf.len : -ECANCELED);
}

const struct iocp_kind iocp_blocking = { .start = start, .cancel = cancel };

/* From adoption to the end. */

/* The sides that a handle can be used for, as bits. */
static unsigned sides_of(HANDLE handle)
{
    struct { ULONG attributes, access, rest[12]; } about = { 0 };
    const OBJECT_INFORMATION_CLASS basic = (OBJECT_INFORMATION_CLASS)0;
    if (console_is(handle)) return console_is_input(handle) ? 1 << SIDE_READ : 1 << SIDE_WRITE;
    if (NtQueryObject(handle, basic, &about, sizeof about, NULL) != 0) return 0;
    bool reads = about.access & FILE_READ_DATA;
    bool writes = about.access & (FILE_WRITE_DATA | FILE_APPEND_DATA);
    return (unsigned)reads << SIDE_READ | (unsigned)writes << SIDE_WRITE;
}

static bool start_thread(struct iocp_worker *worker, HANDLE handle)
{
    HANDLE self = GetCurrentProcess();
    worker->refs = 2;
    worker->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    worker->wanted = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (worker->stop == NULL || worker->wanted == NULL) return false;
    if (!DuplicateHandle(self, handle, self, &worker->handle, 0, FALSE, DUPLICATE_SAME_ACCESS))
        return false;
    worker->thread = CreateThread(NULL, STACK_BYTES, work, worker,
                                  STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    return worker->thread != NULL;
}

static bool open_side(struct backend *backend, struct iocp_socket *socket, HANDLE handle, int side)
{
    const struct iocp *iocp = backend->state;
    struct iocp_worker *worker = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof *worker);
    if (worker == NULL) return false;
    worker->packet.done = on_call;
    worker->backend = backend;
    worker->side = side;
    worker->port = iocp->port;
    worker->is_console = console_is(handle);
    worker->is_pipe = GetFileType(handle) == FILE_TYPE_PIPE;
    InitializeSRWLock(&worker->lock);
    if (start_thread(worker, handle)) {
        socket->workers[side] = worker;
        return true;
    }
    worker->refs = 1;
    drop(worker);
    return false;
}

int iocp_open_workers(struct backend *backend, struct iocp_socket *socket, HANDLE handle)
{
    unsigned sides = sides_of(handle);
    for (int side = 0; side < 2; side++) {
        if (!(sides & 1U << side) || open_side(backend, socket, handle, side)) continue;
        iocp_close_workers(socket);
        return -ENOMEM;
    }
    return sides != 0 ? 0 : -EBADF;
}

/* Rule 4. A call may be about to begin, so it is asked more than once; but for a console's read,
 * which it would leave a line that nobody has typed. */
static void end_call(struct iocp_worker *worker, bool is_inside)
{
    bool is_typed = worker->is_console && worker->side == SIDE_READ;
    if (is_typed && is_inside) console_interrupt(worker->handle);
    for (int tries = 0; tries < ENDING_TRIES; tries++) {
        if (WaitForSingleObject(worker->thread, 1) == WAIT_OBJECT_0) return;
        if (!is_typed) (void)CancelSynchronousIo(worker->thread); /* none yet: asked again */
    }
}

void iocp_close_workers(struct iocp_socket *socket)
{
    for (int side = 0; side < 2; side++) {
        struct iocp_worker *worker = socket->workers[side];
        if (worker == NULL) continue;
        struct iocp *iocp = worker->backend->state;
        AcquireSRWLockExclusive(&worker->lock);
        bool is_inside = worker->is_inside;
        worker->is_stopped = true;
        worker->is_gone = worker->is_posted;
        ReleaseSRWLockExclusive(&worker->lock);
        iocp->gone_count += worker->is_gone;
        (void)SetEvent(worker->stop); /* a valid one: it cannot fail */
        end_call(worker, is_inside);
        socket->workers[side] = NULL;
        drop(worker);
    }
}
