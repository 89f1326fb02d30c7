/* The ops of pipes on a completion port. Rules:
 *
 *  1. A write that waits is in the pipe already: the reader may have taken a part of it, and if it
 *     is canceled, nothing tells how much. So it goes by pieces, which are copied. A piece that is
 *     with the kernel when its op is asked to end counts as gone and stays there; what is written
 *     next waits until it is through.
 *  2. Every result is a packet, also of success at once.
 *  3. A read of zero bytes waits for some, and takes none. A read of more may end with none: the
 *     other side has written nothing. That is no end.
 *  4. A pipe is no socket, and says so to the ops of sockets. */
#include "backend/iocp.h"

#include <errno.h>
#include <string.h>

#include "backend/sys.h"

static HANDLE handle_of(const struct hark_op *op) { return (HANDLE)(intptr_t)op->on.io->fd; }

static struct iocp_piece *piece_of(struct backend *backend, const struct hark_op *op)
{
    return iocp_request_of(backend, op)->socket->piece;
}

/* An end that nobody asked for: someone else has closed the handle. */
static void fail(struct backend *backend, struct hark_op *op, int error)
{
    int64_t number = iocp_number_of((DWORD)error);
    if (error == ERROR_ACCESS_DENIED) number = -EBADF; /* not for this way */
    if (error == ERROR_PIPE_LISTENING) number = -ENOTCONN;
    if (error == ERROR_OPERATION_ABORTED) number = op_is_asked_to_end(op) ? -ECANCELED : -EBADF;
    backend_finish(backend, op, number);
}

static void complete(struct backend *backend, struct hark_op *op, int error, DWORD n);

/* Reads. */

static void start_read(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    bool is_read = op->kind == OP_READ;
    char nothing, *base = is_read ? op->u.buf.base : &nothing;
    DWORD len = is_read ? (DWORD)sys_short_len(op->u.buf.len) : 0;
    if (is_read && len == 0) {
        backend_finish(backend, op, 0);
        return;
    }
    request->overlapped = (OVERLAPPED){ 0 };
    bool is_done = ReadFile(handle_of(op), base, len, NULL, &request->overlapped);
    int error = is_done ? 0 : (int)GetLastError();
    if (!iocp_is_pending(request, op, error)) complete(backend, op, error, 0);
}

static bool is_end(int error)
{
    return error == ERROR_BROKEN_PIPE || error == ERROR_PIPE_NOT_CONNECTED ||
           error == ERROR_HANDLE_EOF;
}

static void was_read(struct backend *backend, struct hark_op *op, int error, DWORD n)
{
    bool is_cut = error == ERROR_MORE_DATA; /* the rest of a message is for the next read */
    if (is_end(error)) backend_finish(backend, op, 0);
    else if (error != 0 && !is_cut) fail(backend, op, error);
    else if (n != 0 || op->kind != OP_READ) backend_finish(backend, op, n);
    else if (op_is_asked_to_end(op)) backend_finish(backend, op, -ECANCELED);
    else start_read(backend, op); /* rule 3 */
}

/* Writes. */

/* Rule 1. */
static void write_on(struct backend *backend, struct hark_op *op)
{
    struct iocp_request *request = iocp_request_of(backend, op);
    struct iocp_piece *piece = request->socket->piece;
    size_t rest = op->u.buf.len - op->u.buf.moved;
    if (rest == 0) {
        backend_finish(backend, op, (int64_t)op->u.buf.len);
        return;
    }
    if (piece->is_left) {
        piece->behind = op;
        return;
    }
    piece->len = rest < sizeof piece->bytes ? (DWORD)rest : sizeof piece->bytes;
    memcpy(piece->bytes, op->u.buf.base + op->u.buf.moved, piece->len);
    request->overlapped = (OVERLAPPED){ 0 };
    bool is_done = WriteFile(handle_of(op), piece->bytes, piece->len, NULL, &request->overlapped);
    int error = is_done ? 0 : (int)GetLastError();
    if (!iocp_is_pending(request, op, error)) complete(backend, op, error, 0);
}

static void was_written(struct backend *backend, struct hark_op *op, int error, DWORD n)
{
    op->u.buf.moved += n;
    if (error != 0) fail(backend, op, error);
    else write_on(backend, op);
}

static void leave_piece(struct backend *backend, struct hark_op *op)
{
    struct iocp_piece *piece = piece_of(backend, op);
    iocp_request_of(backend, op)->op = NULL;
    piece->is_left = true;
    op->u.buf.moved += piece->len;
    bool is_all = op->u.buf.moved == op->u.buf.len;
    backend_finish(backend, op, is_all ? (int64_t)op->u.buf.len : -ECANCELED);
}

void iocp_piece_is_through(struct backend *backend, struct iocp_request *request)
{
    struct iocp_piece *piece = request->socket->piece;
    struct hark_op *behind = piece->behind;
    piece->is_left = false; /* what kept it out is told to the next write */
    piece->behind = NULL;
    if (behind != NULL) write_on(backend, behind);
}

/* All. */

static void start(struct backend *backend, struct hark_op *op)
{
    switch (op->kind) {
    case OP_READ: case OP_READ_READY: start_read(backend, op); break;
    case OP_WRITE: write_on(backend, op); break;
    case OP_RECV_NOTHING: backend_finish(backend, op, 0); break;
    case OP_WRITE_READY: backend_finish(backend, op, -EOPNOTSUPP); break; /* nothing tells */
    default: backend_finish(backend, op, -ENOTSOCK); break; /* rule 4 */
    }
}

static void complete(struct backend *backend, struct hark_op *op, int error, DWORD n)
{
    if (op->kind == OP_WRITE) was_written(backend, op, error, n);
    else was_read(backend, op, error, n);
}

static void cancel(struct backend *backend, struct hark_op *op)
{
    if (op->kind != OP_WRITE) {
        iocp_cancel(backend, op);
    } else if (iocp_request_of(backend, op)->op == op) {
        leave_piece(backend, op);
    } else {
        piece_of(backend, op)->behind = NULL;
        backend_finish(backend, op, -ECANCELED);
    }
}

const struct iocp_kind iocp_pipes = { .start = start, .complete = complete, .cancel = cancel };
