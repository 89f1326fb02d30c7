/* The calls of streams that look as if they blocked; see calls.c. */
#include "fiber/fiber.h"

int64_t (hark_fiber_stream_read_line)(struct hark_stream *stream, char **line)
{
    struct hark_op op = { 0 };
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    int64_t result = hark_stream_next_line(stream);
    if (result == HARK_EAGAIN) {
        (hark_stream_read_line)(hark_await_begin(&op), stream, hark_await_done);
        result = hark_await_end();
    }
    if (result >= 0) *line = stream->data;
    return result;
}

int64_t (hark_fiber_stream_write)(struct hark_stream *stream, const void *data, size_t len)
{
    struct hark_op op = { 0 };
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_stream_write)(hark_await_begin(&op), stream, data, len, hark_await_done);
    return hark_await_end();
}
