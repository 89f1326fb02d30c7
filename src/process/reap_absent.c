/* The reaper where no end is kept for a parent: there is nothing to reap. */
#include <hark/process.h>

#include "loop/loop.h"

void (hark_reap)(struct hark_op *op, struct hark_reaper *reaper, struct hark_loop *loop,
                 hark_done_fn *done)
{
    (void)reaper;
    if (op_begin(op, loop, OP_REFUSED, done)) op_end(loop, op, HARK_EOPNOTSUPP, 0);
}
