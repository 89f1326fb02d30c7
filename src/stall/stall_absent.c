/* The watch inside a program where there is no /proc and no signal of another thread's clock: it
 * cannot be turned on, and HARK_STALL in the environment does nothing. */
#include <hark/stall.h>

#include "loop/loop.h"

static void do_nothing(void) {}

const struct stall_ops stall_seam = { .opened = do_nothing, .wake = do_nothing };

int hark_stall_watch(const struct hark_stall_options *options)
{
    (void)options;
    return HARK_EOPNOTSUPP;
}

void hark_stall_unwatch(void) {}

void hark_stall_print(const struct hark_stall *stall, FILE *to) { (void)stall, (void)to; }

size_t hark_stall_frame(const struct hark_stall *stall, size_t index, char *text, size_t room_bytes)
{
    (void)stall, (void)index;
    if (room_bytes != 0) *text = '\0';
    return 0;
}
