/* Native stacks of another process, by libdw's tables: walking a thread's stack, and names
 * afterwards. */
#ifndef STALLS_NATIVE_H
#define STALLS_NATIVE_H

#include "stalls/stalls.h"

struct native;
struct task_call;

/* Reads the process's modules and warms their tables, which may take some 100 ms, while it runs.
 * NULL, and why: it cannot be read. */
struct native *native_open(pid_t pid, char *why, size_t room);
void native_close(struct native *native);

/* Reads the names that nearly every stack asks for, which take some 100 ms, ahead of that. */
void native_warm(struct native *native);

/* Looks again what is mapped, and tells whether that has changed. Not while a thread is stopped. */
bool native_refresh(struct native *native);

/* Walks the stack of a thread that is stopped by ptrace. Through code that has no tables
 * (compiled at run time) it goes on by frame pointers. Gives the number of frames. */
int native_unwind(struct native *native, pid_t tid, struct native_frame *out, int room);

/* The same for a thread that sleeps in a system call and was not stopped: of its registers only
 * those are known that the kernel tells (task.h), and others as far as the stack gives them. */
int native_unwind_asleep(struct native *native, const struct task_call *call,
                         struct native_frame *out, int room);

/* Tells whether the last walk reached the end of the stack without a guess on its way. */
bool native_is_whole(const struct native *native);

/* Names a frame: function (C++ and Rust demangled), file and line where there is debug information
 * (.gnu_debugdata and separate debug files too), module and offset always. */
void native_resolve(struct native *native, const struct native_frame *frame, struct frame *out);

/* The address of a symbol in any module of the process, 0: there is none. */
uint64_t native_symbol(struct native *native, const char *name);

#endif
