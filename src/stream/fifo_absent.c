/* FIFOs where the system has none: HARK_EOPNOTSUPP. */
#include <hark/stream.h>

int (hark_fifo)(struct hark_io *io, struct hark_loop *loop, const char *path, enum hark_side side)
{
    (void)io, (void)loop, (void)path, (void)side;
    return HARK_EOPNOTSUPP;
}
