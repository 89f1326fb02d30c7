/* FIFOs: opened here, so O_NONBLOCK can be set on them. */
#include <errno.h>
#include <fcntl.h>
#include <hark/stream.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/sys.h"
#include "loop/loop.h"

int (hark_fifo)(struct hark_io *io, struct hark_loop *loop, const char *path, enum hark_side side)
{
    int way = side == HARK_READABLE ? O_RDONLY : O_WRONLY, error = HARK_EINVAL;
    struct stat st;
    int fd = open(path, way | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return hark_error_from_os(errno);
    if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) error = io_open(io, loop, fd, IO_IS_NONBLOCK);
    if (error != 0) (void)sys_close(fd); /* new and unused */
    return error;
}
