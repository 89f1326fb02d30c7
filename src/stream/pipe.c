/* Pipes of hark's own: so O_NONBLOCK can be set on them. */
#include <errno.h>
#include <hark/stream.h>

#include "backend/sys.h"
#include "loop/loop.h"

int (hark_pipe)(struct hark_io *reads, struct hark_io *writes, struct hark_loop *loop)
{
    int fds[2];
    if (call_pipe(fds) != 0) return hark_error_from_os(errno);
    int error = io_open(reads, loop, fds[0], IO_IS_NONBLOCK);
    if (error == 0) {
        error = io_open(writes, loop, fds[1], IO_IS_NONBLOCK);
        if (error == 0) return 0;
        (void)hark_io_release(reads); /* new, so nothing is alive on it */
    }
    (void)sys_close(fds[0]); /* new and unused: nothing can be lost */
    (void)sys_close(fds[1]);
    return error;
}
