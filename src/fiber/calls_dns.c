/* Names and connections by name, as calls that look as if they blocked. */
#include <hark/dns.h>

#include "fiber/fiber.h"

int64_t (hark_fiber_resolve)(const char *name, enum hark_dns_type type,
                             struct hark_dns_answer *answer)
{
    struct hark_op op = { 0 };
    struct hark_loop *loop = hark_fiber_loop();
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_resolve)(hark_await_begin(&op), loop, name, type, answer, hark_await_done);
    return hark_await_end();
}

int64_t (hark_fiber_dial)(struct hark_io *io, const char *target,
                          const struct hark_dial_options *options)
{
    struct hark_op op = { 0 };
    struct hark_loop *loop = hark_fiber_loop();
    const char *place = fiber_told_place();
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_dial)(hark_await_begin(&op), hark_io_at(io, place), loop, target, options,
                hark_await_done);
    return hark_await_end();
}
