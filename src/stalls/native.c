/* The native side of a process that is looked into: opened, kept up to date, closed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/native_parts.h"

static const Dwfl_Callbacks callbacks = {
    .find_elf = files_find,
    .find_debuginfo = dwfl_standard_find_debuginfo,
};

struct native *native_open(pid_t pid, char *why, size_t room)
{
    if (room > 0) why[0] = '\0';
    struct native *native = calloc(1, sizeof *native);
    if (native == NULL) {
        snprintf(why, room, "out of memory");
        return NULL;
    }
    native->pid = pid;
    memory_init(&native->memory, pid);
    native->dwfl = dwfl_begin(&callbacks);
    errno = 0;
    if (native->dwfl != NULL && modules_read(native)) return native;
    snprintf(why, room, "cannot read what process %d has mapped: %s", (int)pid,
             errno != 0 ? strerror(errno) : "it has no code (a kernel thread, or ended)");
    native_close(native);
    return NULL;
}

void native_close(struct native *native)
{
    if (native == NULL) return;
    rules_forget(native);
    modules_free(native);
    if (native->dwfl != NULL) dwfl_end(native->dwfl);
    free(native);
}

bool native_refresh(struct native *native)
{
    uint64_t before = native->maps_hash;
    (void)modules_read(native); /* a process that ends in the middle keeps what was known of it */
    return native->maps_hash != before;
}

bool native_is_whole(const struct native *native)
{
    return native->is_whole;
}
