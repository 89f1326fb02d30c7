/* What a system call works on: the name of the call, its descriptor, and where that leads. */
#include <poll.h>

#include "base/call.h"
#include "base/descriptor.h"
#include "stall/stall.h"

/* The descriptor of a poll for one: a resolver's, mostly. */
static int polled(const uint64_t *arguments)
{
    struct pollfd one;
    if (arguments[1] != 1 || memory_read(arguments[0], &one, sizeof one) != sizeof one) return -1;
    return one.fd;
}

void target_find(const struct thread_state *thread, struct hark_stall *stall, char *text,
                 size_t room)
{
    const struct call *call = thread->syscall >= 0 ? call_find(thread->syscall) : NULL;
    stall->fd = -1;
    stall->target = stall->syscall_name = NULL;
    if (call == NULL) return;
    stall->syscall_name = call->name;
    text[0] = '\0';
    switch (call->form) {
    case CALL_FD: case CALL_TO: stall->fd = (int)thread->arguments[0]; break;
    case CALL_POLL: stall->fd = polled(thread->arguments); break;
    case CALL_PATH: memory_text(thread->arguments[0], text, room); break;
    case CALL_AT: memory_text(thread->arguments[1], text, room); break;
    default: break; /* the rest tells of no descriptor and no path */
    }
    if (stall->fd >= 0) descriptor_print(stall->fd, text, room);
    if (text[0] != '\0') stall->target = text;
}
