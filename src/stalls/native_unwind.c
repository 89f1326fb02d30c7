/* The walk up a stack.
 *
 *   a place with a row in the tables ---- rules_apply() ----> its caller
 *   a place without one (compiled at run time, assembly) ---- frame pointer ----> its caller
 *
 * and back to tables wherever there are some again: node's stacks change over several times.
 * Every walk is bounded by the caller's room, and ends where the stack pointer no longer grows. */
#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "stalls/native_parts.h"
#include "stalls/task.h"

enum { FRAME_BYTES_MAX = 8 * 1024 * 1024, SCAN_WORDS_MAX = 1024 };

/* [fp] is the caller's frame pointer, [fp + 8] the return address: on both processors. */
static int step_by_pointer(struct native *native, struct walk *walk)
{
    if (!walk_knows(walk, MACHINE_FP)) return -1;
    uint64_t fp = walk->value[MACHINE_FP], sp = walk->value[MACHINE_SP], up, pc;
    if (fp % 8 != 0 || fp < sp || fp - sp > FRAME_BYTES_MAX) return -1;
    if (!memory_word(&native->memory, fp, &up) || !memory_word(&native->memory, fp + 8, &pc))
        return -1;
    *walk = (struct walk){ .pc = pc & MACHINE_PC_MASK };
    walk_set(walk, MACHINE_FP, up);
    walk_set(walk, MACHINE_SP, fp + 16);
    return walk->pc == 0 ? 0 : 1;
}

#if defined(__x86_64__)
/* What stands before a return address. */
enum before { NO_CALL, SOME_CALL, THIS_CALL };

/* A call by distance (e8), which tells where it goes, or one through a register or memory (ff
 * /2). */
static enum before look_before(const struct native *native, uint64_t return_address,
                               uint64_t function)
{
    unsigned char code[6];
    int32_t distance;
    if (!task_memory(native->pid, return_address - sizeof code, code, sizeof code))
        return NO_CALL;
    memcpy(&distance, code + 2, sizeof distance);
    if (code[1] == 0xe8)
        return return_address + (uint64_t)(int64_t)distance == function ? THIS_CALL : SOME_CALL;
    if (code[0] == 0xff && code[1] == 0x15) return SOME_CALL;            /* the linkage table */
    if (code[4] == 0xff && (code[5] & 0xf8) == 0xd0) return SOME_CALL;   /* a register */
    if (code[3] == 0xff && (code[4] & 0xf8) == 0x50) return SOME_CALL;   /* a table of methods */
    return NO_CALL;
}

/* A function that keeps its frame by the frame pointer, whose value the kernel did not tell:
 * looks up the stack for the return address of a call of this very function, or else for the
 * first of any call that has a frame pointer of the caller below it. A guess: such a walk is not
 * whole. */
static bool find_frame_pointer(struct native *native, struct walk *walk)
{
    uint64_t home, guess = 0;
    struct module *module = modules_find(native, walk->pc, &home);
    const struct symbol *symbol = module != NULL ? symbols_find(module, home) : NULL;
    uint64_t function = symbol != NULL ? symbol->start + (walk->pc - home) : 0;
    for (uint64_t at = walk->value[MACHINE_SP], i = 0; i < SCAN_WORDS_MAX; i++, at += 8) {
        uint64_t up, word;
        if (!memory_word(&native->memory, at, &up)) break;
        if (!memory_word(&native->memory, at + 8, &word)) break;
        if (modules_find(native, word, &home) == NULL) continue;
        enum before before = look_before(native, word, function);
        bool is_chained = up > at && up - at < FRAME_BYTES_MAX && up % 8 == 0;
        if (guess == 0 && before == SOME_CALL && is_chained) guess = at;
        if (before != THIS_CALL) continue;
        guess = at;
        break;
    }
    if (guess != 0) walk_set(walk, MACHINE_FP, guess);
    return guess != 0;
}
#else
static bool find_frame_pointer(struct native *native, struct walk *walk)
{
    (void)native;
    (void)walk;
    return false; /* not written for this processor: the thread is stopped instead */
}
#endif

/* 1: walk is the caller now; 0: there is none; -1: it cannot be told. */
static int step(struct native *native, struct walk *walk)
{
    Dwarf_Frame *frame = rules_find(native, walk->is_exact ? walk->pc : walk->pc - 1);
    if (frame == NULL) return step_by_pointer(native, walk);
    int gone = rules_apply(native, frame, walk);
    if (gone < 0 && !walk_knows(walk, MACHINE_FP) && find_frame_pointer(native, walk)) {
        native->is_whole = false;
        gone = rules_apply(native, frame, walk);
    }
    return gone;
}

static int climb(struct native *native, struct walk *walk, struct native_frame *out, int room)
{
    int count = 0;
    native->is_whole = true;
    while (count < room) {
        bool has_fp = walk_knows(walk, MACHINE_FP);
        uint64_t sp = walk->value[MACHINE_SP];
        out[count++] = (struct native_frame){ .pc = walk->pc, .sp = sp, .is_exact = walk->is_exact,
                                              .fp = has_fp ? walk->value[MACHINE_FP] : 0 };
        bool was_exact = walk->is_exact;
        int gone = step(native, walk);
        if (gone < 0) native->is_whole = false;
        if (gone <= 0) break;
        /* Only a function without a frame may leave it as it was (aarch64), and a signal's handler
         * may have run on another stack. */
        if (walk->value[MACHINE_SP] <= sp && !was_exact && !walk->is_exact) {
            native->is_whole = false;
            break;
        }
    }
    return count;
}

int native_unwind(struct native *native, pid_t tid, struct native_frame *out, int room)
{
    uint64_t words[MACHINE_WORDS];
    struct iovec into = { words, sizeof words };
    if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &into) < 0 || into.iov_len < sizeof words)
        return 0;
    struct walk walk = { .pc = words[MACHINE_WORD_PC], .is_exact = true };
    for (unsigned i = 0; i < MACHINE_REGISTERS; i++) walk_set(&walk, i, words[machine_words[i]]);
    memory_forget(&native->memory);
    return climb(native, &walk, out, room);
}

int native_unwind_asleep(struct native *native, const struct task_call *call,
                         struct native_frame *out, int room)
{
    struct walk walk = { .pc = call->pc, .is_exact = true };
    walk_set(&walk, MACHINE_SP, call->sp);
    /* vfork keeps its return address in one of them. */
    for (int i = 0; i < 6 && call->call >= 0; i++)
        walk_set(&walk, machine_argument_numbers[i], call->arguments[i]);
#if defined(__x86_64__)
    walk_set(&walk, MACHINE_RETURN, call->pc); /* rows of linkage tables ask for it */
#endif
    memory_forget(&native->memory);
    return climb(native, &walk, out, room);
}
