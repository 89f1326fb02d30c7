/* The watch as the files of this folder share it.
 *
 *   stall.c    the calls, the environment, the sampler's thread begun and ended
 *   sampler.c  when a turn is a stall, and what is told of it
 *   report.c   the report on stderr
 *
 * and the part of the system. On Linux:
 *
 *   thread.c   what a thread does, from /proc, and its stack, copied
 *   unwind.c   from a copied stack to frames
 *   target.c   from a system call's arguments to a path or a peer
 *
 * thread_windows.c is all of that for Windows; thread_plain.c is for where another thread cannot be
 * looked at: whose callback holds the loop, and for how long, is told there as well.
 *
 * Rules:
 *  1. The loop's thread is never waited for, nor made to wait: what is read of it are atomic
 *     stores, /proc, and memory through memory_read(), which cannot fault. On Windows it stands
 *     still while its registers and its stack are copied: nothing that it may hold is taken then.
 *     Unwinding reads the tables of the code besides: one that is unloaded just then is not minded.
 *  2. Nothing is looked up while the slots are locked: capture first, names later. */
#ifndef HARK_STALL_STALL_H
#define HARK_STALL_STALL_H

#include <hark/stall.h>

#include "base/clock.h"
#include "loop/beat.h"

enum { STALL_TEXT = 160, STALL_STACK_BYTES = 65536 };

/* What is known of a thread. */
struct thread_state {
    enum hark_stall_state state;
    int syscall;                /* or -1 */
    uint64_t arguments[6];
    uintptr_t stack, at;        /* stack pointer and place, of one that waits */
};

/* Registers by their DWARF numbers; bit i of known says that value[i] is. */
enum { UNWIND_REGISTERS = 32 };
struct registers {
    uintptr_t at;
    uint64_t known;
    uintptr_t value[UNWIND_REGISTERS];
};

/* A copy of the upper part of a stack: bytes from address `low` on. */
struct stack_copy {
    uintptr_t low;
    size_t bytes;
    struct registers registers;
    _Alignas(16) char memory[STALL_STACK_BYTES];
};

struct frames {
    size_t count, certain;
    uintptr_t at[HARK_STALL_FRAMES];
};

/* A stall with all that it points to. */
struct stall_record {
    struct hark_stall stall;
    struct frames frames;
    char label[STALL_TEXT], fiber[STALL_TEXT], target[STALL_TEXT];
};

/* The options of the watch, as the sampler has them. */
struct watch {
    int64_t budget_ns, again_ns;
    hark_stall_fn *fn;
    void *user;
    enum hark_stall_action action;
};

/* stall.c */
bool watch_is_ending(struct watch *as); /* and what the options are now */

/* sampler.c */
void sampler_run(void);

void memory_text(uintptr_t address, char *text, size_t room);

/* The part of the system. */

/* What a thread does, and its stack. beat and turn_count: of its loop, so that one that runs can be
 * asked and the answer be of that turn; NULL: it is not asked, though on Windows it is stopped. */
void thread_frames(int tid, const struct heartbeat *beat, uint64_t turn_count,
                   struct thread_state *state, struct frames *frames);
int64_t thread_ready_ns(int tid); /* that it has waited for a processor, ever; 0: not known */
void thread_each(void (*fn)(int tid, void *arg), void *arg); /* of this process, as far as known */
void thread_name(const char *name);
void thread_open(void);     /* before the first look: takes the signal of Linux, for one */
void thread_close(void);    /* also in a child that was forked meanwhile */
size_t memory_read(uintptr_t address, void *to, size_t bytes); /* what was read, from the start */

/* The door at which the sampler sleeps until somebody knocks, who does not wait for it. */
bool door_open(void); /* false: there is none to be had */
void door_knock(void);
void door_wait(int64_t timeout_ns); /* < 0: without an end */

/* What a system call works on: its name, its descriptor, and where that leads. */
void target_find(const struct thread_state *thread, struct hark_stall *stall, char *text,
                 size_t room);

/* unwind.c */
void unwind(const struct stack_copy *copy, struct frames *frames);
void unwind_look(void); /* which memory holds code: for the guesses; anew at each stall */
int unwind_stack_register(void);

/* report.c */
void report_stall(const struct hark_stall *stall, enum hark_stall_action action);

#endif
