/* The watch of a terminal's size, which resized.c looks at, and how a system tells that there may
 * be another one: terminal.c and terminal_windows.c. */
#ifndef HARK_TERMINAL_RESIZED_H
#define HARK_TERMINAL_RESIZED_H

#include <hark/terminal.h>

#include "loop/layer.h"

/* The system's: begins to hear, by watch->own, a background op. Its callbacks are to look, and the
 * last one to end, unless the watch has ended in it. */
void resized_hear(struct hark_terminal_watch *watch, struct hark_loop *loop);

/* Compares the size with the one that was told. */
void resized_look(struct hark_terminal_watch *watch);

/* Nothing is heard any more: the watch ends by its error, or as canceled. */
void resized_end(struct hark_terminal_watch *watch);

#endif
