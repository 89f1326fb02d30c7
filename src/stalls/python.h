/* Python frames of another process, read with process_vm_readv: the thread need not be stopped.
 * CPython 3.8 to 3.12 by tables of offsets, 3.13 and 3.14 by those that it publishes
 * (_Py_DebugOffsets). Of a thread that runs on meanwhile the frames that do not change are
 * exact, and the innermost may be of different moments; a thread that waits or is stopped is
 * told exactly. */
#ifndef STALLS_PYTHON_H
#define STALLS_PYTHON_H

#include "stalls/stalls.h"

struct python;

/* NULL: there is no Python in that process, or (why is not empty) one that cannot be read. A
 * process that has just been started may get one later. Takes some milliseconds with a large
 * program. */
struct python *python_open(pid_t pid, char *why, size_t room);
void python_close(struct python *python);

/* Copies the frames of a thread, innermost first; what is torn is left out. Gives their number,
 * 0 if Python does not know the thread. The lines are left to python_resolve(). */
int python_capture(struct python *python, pid_t tid, struct python_frame *out, int room);

/* Names a frame: function (qualified since 3.11), file, exact line; runtime is what lies in the
 * standard library, in uvloop or is frozen. The process should be there still: what is gone has
 * the name "?". */
void python_resolve(struct python *python, const struct python_frame *frame, struct frame *out);

/* Tells whether the thread collects garbage; not so while a finalizer in it waits for something. */
bool python_is_collecting(struct python *python, pid_t tid);

/* Tells whether a native function's name is where native code enters Python's evaluation. The
 * native frames for which it is true are as many as the Python frames with is_entry. */
bool python_is_entry(const char *function);

#endif
