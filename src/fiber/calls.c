/* The calls that look as if they blocked: each an op on the fiber's own stack, awaited. */
#include <string.h>

#include "fiber/fiber.h"

int64_t (hark_fiber_recv)(struct hark_io *io, void *buf, size_t len)
{
    struct hark_op op = { 0 };
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_recv)(hark_await_begin(&op), io, buf, len, hark_await_done);
    return hark_await_end();
}

int64_t (hark_fiber_recv_exactly)(struct hark_io *io, void *buf, size_t len)
{
    const char *place = fiber_told_place();
    for (size_t got = 0; got < len;) { /* each round brings bytes, or ends */
        hark_fiber_at(place); /* others run meanwhile, and tell theirs */
        int64_t n = (hark_fiber_recv)(io, (char *)buf + got, len - got);
        if (n <= 0) return n < 0 ? n : HARK_ECLOSED;
        got += (size_t)n;
    }
    return (int64_t)len;
}

int64_t (hark_fiber_send_all)(struct hark_io *io, const void *buf, size_t len)
{
    struct hark_op op = { 0 };
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_send)(hark_await_begin(&op), io, buf, len, hark_await_done);
    return hark_await_end();
}

int64_t (hark_fiber_accept)(struct hark_io *listener, struct hark_io *io)
{
    struct hark_op op = { 0 };
    const char *place = fiber_told_place();
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_accept_one)(hark_await_begin(&op), listener, hark_await_done);
    int64_t result = hark_await_end();
    return result < 0 ? result : (hark_accepted)(hark_io_at(io, place), &op);
}

int64_t (hark_fiber_connect)(struct hark_io *io, const struct sockaddr *addr, socklen_t len)
{
    struct hark_op op = { 0 };
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_connect)(hark_await_begin(&op), io, addr, len, hark_await_done);
    return hark_await_end();
}

int64_t (hark_fiber_close)(struct hark_io *io)
{
    struct hark_op op = { 0 };
    (hark_close)(hark_await_begin(&op), io, hark_await_done);
    return hark_await_end();
}

struct call { struct hark_op op; hark_fiber_fn *fn; void *arg; };

static int64_t make_call(struct hark_op *op)
{
    struct call *call = (struct call *)(void *)op;
    return call->fn(call->arg);
}

int64_t (hark_fiber_offload)(enum hark_offload_class offload_class, hark_fiber_fn *fn, void *arg)
{
    struct call call = { .fn = fn, .arg = arg };
    struct hark_loop *loop = hark_fiber_loop();
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_offload)(hark_await_begin(&call.op), loop, offload_class, make_call, hark_await_done);
    return hark_await_end();
}

/* Receives more behind what is there; moves that to the front first if it must. */
static int64_t read_more(struct hark_reader *reader)
{
    if (reader->begin != 0) {
        memmove(reader->buf, reader->buf + reader->begin, reader->end - reader->begin);
        reader->end -= reader->begin;
        reader->begin = 0;
    }
    if (reader->end == reader->room_bytes) return HARK_EMSGSIZE;
    int64_t n = (hark_fiber_recv)(reader->io, reader->buf + reader->end,
                                  reader->room_bytes - reader->end);
    if (n <= 0) return n < 0 ? n : HARK_ECLOSED;
    reader->end += (size_t)n;
    return n;
}

int64_t (hark_fiber_read_line)(struct hark_reader *reader, char **line)
{
    size_t seen = 0;
    const char *place = fiber_told_place();
    for (;;) { /* each round brings bytes, or ends */
        hark_fiber_at(place);
        char *first = reader->buf + reader->begin;
        char *end = memchr(first + seen, '\n', reader->end - reader->begin - seen);
        if (end != NULL) {
            reader->begin = (size_t)(end + 1 - reader->buf);
            if (end > first && end[-1] == '\r') end--;
            *end = '\0';
            *line = first;
            return end - first;
        }
        seen = reader->end - reader->begin;
        int64_t n = read_more(reader);
        if (n < 0) return n;
    }
}

int64_t (hark_fiber_read_exactly)(struct hark_reader *reader, void *buf, size_t len)
{
    size_t ahead = reader->end - reader->begin, taken = ahead < len ? ahead : len;
    memcpy(buf, reader->buf + reader->begin, taken);
    reader->begin += taken;
    int64_t n = (hark_fiber_recv_exactly)(reader->io, (char *)buf + taken, len - taken);
    return n < 0 ? n : (int64_t)len;
}
