/* The seam for tests of clocks that jump: no test may set the machine's. */
#ifndef HARK_CLOCK_CLOCK_H
#define HARK_CLOCK_CLOCK_H

#include "loop/loop.h"

enum { CLOCK_WALL, CLOCK_BOOT, CLOCK_COUNT };

/* Reads a clock: an enum above. */
extern int64_t (*clock_source)(int which);

/* A clock of the loop was set, or the moment of its first timer has come. */
void clock_look(struct hark_loop *loop, int which);

#endif
