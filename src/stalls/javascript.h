/* JavaScript frames of an unmodified node, read through the constants that it exports (v8dbg_*). */
#ifndef STALLS_JAVASCRIPT_H
#define STALLS_JAVASCRIPT_H

#include "stalls/stalls.h"

struct javascript;

/* NULL: there is no V8 in that process, or (why is not empty) one that cannot be read. */
struct javascript *javascript_open(pid_t pid, char *why, size_t room);
void javascript_close(struct javascript *javascript);

/* Finds which of the native frames of a stopped thread are JavaScript functions and fills in the
 * capture's JavaScript frames, innermost first; several for one native frame when a function was
 * inlined into another. Copies what would be gone after the thread goes on. `tid`: the thread, if
 * the caller traces it, for a look at its registers; 0: a frame in the interpreter is seen where it
 * last made a call. Gives the number of frames. */
int javascript_capture(struct javascript *javascript, pid_t tid, struct capture *capture);

/* Names a frame: function, file and line. Where it is not known how far the function has come, the
 * line is that of its beginning; none for what node itself is made of. */
void javascript_resolve(struct javascript *javascript, const struct javascript_frame *frame,
                        struct frame *out);

/* Tells whether a native frame's function means that V8 collects garbage. */
bool javascript_is_collecting(const char *function);

#endif
