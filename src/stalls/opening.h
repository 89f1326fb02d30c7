/* A target that is opened on a thread of its own: its tables and first names take some 100 ms, in
 * which stalls begin and end. */
#ifndef STALLS_OPENING_H
#define STALLS_OPENING_H

#include "stalls/capture.h"

struct opening;

/* NULL: there is no memory, or no thread. */
struct opening *opening_begin(pid_t pid);

/* Tells whether it is over. Then there is the target, and nobody else uses it; or NULL, and why. */
bool opening_is_over(struct opening *opening);
struct target *opening_target(struct opening *opening, const char **why);

/* Closes the target; one that is not open yet is closed later, by its thread. NULL is ignored. */
void opening_end(struct opening *opening);

/* Tells whether a thread was left at it. Then the process must end by _exit(2): exit(3) cleans up
 * after libraries that the thread is in. */
bool opening_has_left_a_thread(void);

#endif
