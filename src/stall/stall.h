/* The watch as the files of this folder share it.
 *
 *   stall.c    the calls, the environment, the sampler's thread begun and ended
 *   sampler.c  when a turn is a stall, and what is told of it
 *   thread.c   what a thread does, from /proc, and its stack, copied
 *   unwind.c   from a copied stack to frames
 *   target.c   from a system call's arguments to a path or a peer
 *   report.c   the report on stderr
 *
 * Rules:
 *  1. The loop's thread is never waited for, nor made to wait: what is read of it are atomic
 *     stores, /proc, and memory through memory_read(), which cannot fault.
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
bool watch_sleep(int64_t timeout_ns);   /* < 0: until woken */

/* sampler.c */
void sampler_run(void);

/* thread.c */
/* What a thread does, and its stack. beat and turn_count: of its loop, so that one that runs can be
 * asked and the answer be of that turn; NULL: it is not asked. */
struct thread_state thread_look(int tid);
void thread_frames(int tid, const struct heartbeat *beat, uint64_t turn_count,
                   struct thread_state *state, struct frames *frames);
int64_t thread_ready_ns(int tid); /* that it has waited for a processor, ever; 0: not known */
void thread_signal_install(void);
void thread_signal_restore(void);
size_t memory_read(uintptr_t address, void *to, size_t bytes); /* what was read, from the start */
void memory_text(uintptr_t address, char *text, size_t room);

/* unwind.c */
void unwind(const struct stack_copy *copy, struct frames *frames);
void unwind_look(void); /* which memory holds code: for the guesses; anew at each stall */
int unwind_stack_register(void);

/* target.c */
void target_find(const struct thread_state *thread, struct hark_stall *stall, char *text,
                 size_t room);

/* report.c */
void report_stall(const struct hark_stall *stall, enum hark_stall_action action);

#endif
