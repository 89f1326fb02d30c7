/* The calls on files that look as if they blocked; see calls.c. */
#include <fcntl.h>
#include <hark/fiber_file.h>

#include "fiber/fiber.h"

int64_t (hark_fiber_file_open)(struct hark_file *file, const char *path, int flags, mode_t mode)
{
    struct hark_op op = { 0 };
    struct hark_loop *loop = hark_fiber_loop();
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_file_open)(hark_await_begin(&op), file, loop, path, flags, mode, hark_await_done);
    return hark_await_end();
}

int64_t (hark_fiber_file_read)(struct hark_file *file, void *buf, size_t len, int64_t offset)
{
    struct hark_op op = { 0 };
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_file_read)(hark_await_begin(&op), file, buf, len, offset, hark_await_done);
    return hark_await_end();
}

int64_t (hark_fiber_file_write)(struct hark_file *file, const void *buf, size_t len, int64_t offset)
{
    struct hark_op op = { 0 };
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_file_write)(hark_await_begin(&op), file, buf, len, offset, hark_await_done);
    return hark_await_end();
}

int64_t (hark_fiber_file_close)(struct hark_file *file)
{
    struct hark_op op = { 0 };
    (hark_file_close)(hark_await_begin(&op), file, hark_await_done);
    return hark_await_end();
}

/* A last read beyond the room tells whether that was all: what stat says of a size may be no more
 * true, and is 0 for the files of /proc. */
static int64_t read_to_end(struct hark_file *file, char *buf, size_t len)
{
    size_t got = 0;
    char beyond;
    for (;;) { /* each round brings bytes, or ends */
        bool is_full = got == len;
        int64_t n = (hark_fiber_file_read)(file, is_full ? &beyond : buf + got,
                                           is_full ? 1 : len - got, (int64_t)got);
        if (n < 0) return n;
        if (n == 0) return (int64_t)got;
        if (is_full) return HARK_EFBIG;
        got += (size_t)n;
    }
}

int64_t (hark_fiber_file_read_all)(const char *path, void *buf, size_t len)
{
    struct hark_file file = { 0 };
    int64_t error = (hark_fiber_file_open)(&file, path, O_RDONLY, 0);
    if (error < 0) return error;
    int64_t result = read_to_end(&file, buf, len);
    (void)(hark_fiber_file_close)(&file); /* nothing was written */
    return result;
}
