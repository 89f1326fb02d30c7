/* Which frames of a stack are JavaScript, and what they are called.
 *
 * A frame of JavaScript has its function and its context at fixed places below the frame pointer,
 * whoever compiled it. What the interpreter runs has its bytecode and the offset in it there too; a
 * frame of baseline code has the bytecode; of optimized code only the address tells where it is. */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "stalls/javascript_heap.h"

/* How far the types of functions go (constructors of classes, of arrays and the like have their
 * own), how many words of the stack are looked at for a return address, and how far apart compiled
 * code is (V8's code range is 128 MiB). */
enum { FUNCTION_TYPES = 32, SPILL_WORDS = 32, CODE_RANGE = 128 << 20 };

struct javascript *javascript_open(pid_t pid, char *why, size_t room)
{
    struct javascript *javascript = calloc(1, sizeof *javascript);
    void *bytes = malloc((size_t)V8_PAGES * V8_PAGE_BYTES);
    if (javascript == NULL || bytes == NULL) {
        snprintf(why, room, "%s", strerror(ENOMEM));
        free(javascript);
        free(bytes);
        return NULL;
    }
    memset(bytes, 0, (size_t)V8_PAGES * V8_PAGE_BYTES); /* touched now, not while a thread stands */
    javascript->bytes = bytes;
    javascript->pid = pid;
    javascript->generation = 1;
    if (v8_layout_read(pid, &javascript->layout, why, room) == 1) return javascript;
    javascript_close(javascript);
    return NULL;
}

void javascript_close(struct javascript *javascript)
{
    if (javascript == NULL) return;
    v8_functions_free(javascript);
    free(javascript->bytes);
    free(javascript);
}

/* A register by V8's number for it. */
static bool read_register(pid_t tid, int number, uint64_t *out)
{
    struct user_regs_struct registers;
    struct iovec place = {&registers, sizeof registers};
    if (tid <= 0 || ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)NT_PRSTATUS, &place) != 0)
        return false;
#if defined(__x86_64__)
    const unsigned long long in_order[16] = {
        registers.rax, registers.rcx, registers.rdx, registers.rbx, registers.rsp, registers.rbp,
        registers.rsi, registers.rdi, registers.r8,  registers.r9,  registers.r10, registers.r11,
        registers.r12, registers.r13, registers.r14, registers.r15};
    if (number < 0 || number >= 16) return false;
    *out = in_order[number];
#elif defined(__aarch64__)
    if (number < 0 || number >= 31) return false;
    *out = registers.regs[number];
#else
    return false;
#endif
    return true;
}

/* A native frame that may be one of JavaScript, and what it has in its places. */
struct candidate {
    int index;
    struct native_frame native;
    bool is_top;                     /* the thread's registers are this frame's */
    uint64_t function, bytecode, offset;
};

static bool frame_word(struct javascript *javascript, uint64_t fp, int32_t offset, uint64_t *out)
{
    return v8_read(javascript, fp + (uint64_t)(int64_t)offset, out, sizeof *out);
}

/* Tells whether it is a frame of JavaScript, and fills it in. Frames that are not, stubs and the
 * way in and out of C++, have a small number where the context would be. */
static bool read_candidate(struct javascript *javascript, struct candidate *candidate)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t fp = candidate->native.fp, context;
    if (fp < 4096 || fp % 8 != 0) return false;
    uint64_t pc = candidate->native.pc - !candidate->native.is_exact;
    if (layout->builtins_count > 0 && pc >= layout->text.begin && pc < layout->text.end &&
        !v8_is_builtin(layout, pc))
        return false;
    if (!frame_word(javascript, fp, layout->frame_context, &context) ||
        !frame_word(javascript, fp, layout->frame_function, &candidate->function))
        return false;
    if (v8_is_smi(javascript, context) || v8_is_smi(javascript, candidate->function)) return false;
    int type = v8_type(javascript, context);
    if (type < layout->type_context_first || type > layout->type_context_last) return false;
    type = v8_type(javascript, candidate->function);
    if (type < layout->type_function || type >= layout->type_function + FUNCTION_TYPES)
        return false;
    candidate->bytecode = candidate->offset = 0;
    if (layout->frame_bytecode == V8_NOT_TOLD || layout->frame_offset == V8_NOT_TOLD) return true;
    return frame_word(javascript, fp, layout->frame_bytecode, &candidate->bytecode) &&
           frame_word(javascript, fp, layout->frame_offset, &candidate->offset);
}

/* The source position of an offset as the interpreter has it, which counts from the array's tagged
 * address; -1: no bytecode begins there. */
static int32_t interpreted_position(const struct javascript *javascript,
                                    const struct javascript_function *function, int64_t raw)
{
    const struct v8_layout *layout = &javascript->layout;
    int64_t wanted = raw - (layout->bytecode_data - layout->heap_tag);
    if (wanted < 0 || wanted >= function->bytecode_count) return -1;
    for (int at = 0; layout->bytecode_count != 0 && at != wanted;) {
        int length = v8_bytecode_length(layout, function->bytecode, function->bytecode_count, at);
        if (length == 0 || at > wanted) return -1;
        at += length;
    }
    return v8_bytecode_position(function, (int32_t)wanted);
}

/* Where a frame is that the interpreter runs. It writes its offset into the frame when it makes a
 * call; between calls only a register has it, which is believed if the other one holds this
 * bytecode. */
static int32_t read_interpreted(struct javascript *javascript, pid_t tid,
                                const struct candidate *candidate,
                                const struct javascript_function *function)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t bytecode, raw;
    if (candidate->is_top && candidate->native.is_exact &&
        read_register(tid, layout->register_bytecode, &bytecode) &&
        bytecode == candidate->bytecode && read_register(tid, layout->register_offset, &raw) &&
        raw <= INT32_MAX) {
        int32_t position = interpreted_position(javascript, function, (int64_t)raw);
        if (position >= 0) return position;
    }
    return interpreted_position(javascript, function, v8_smi(javascript, candidate->offset));
}

/* Tells whether a thread is in the function's baseline code, and where. */
static bool is_in_baseline(struct javascript *javascript, struct javascript_function *function,
                           uint64_t baseline, const struct native_frame *native,
                           struct v8_place *out)
{
    if (baseline == 0) return false;
    int32_t offset = v8_baseline(javascript, baseline, function, native->pc, native->is_exact);
    *out = (struct v8_place){function, v8_bytecode_position(function, offset)};
    return offset >= 0;
}

/* Finds where a thread is that is in a builtin without a frame of its own: by the first word on the
 * stack that returns to code of the function. 0: not known, or the interpreter is there. */
static int find_return(struct javascript *javascript, struct javascript_function *function,
                       uint64_t baseline, const struct native_frame *native, struct v8_place *out)
{
    for (uint64_t at = native->sp; at < native->fp && at < native->sp + 8 * SPILL_WORDS; at += 8) {
        struct native_frame caller = {.fp = native->fp};
        if (!v8_read(javascript, at, &caller.pc, sizeof caller.pc)) return 0;
        if (is_in_baseline(javascript, function, baseline, &caller, out)) return 1;
        if (javascript->code_seen == 0 || caller.pc + CODE_RANGE < javascript->code_seen ||
            caller.pc > javascript->code_seen + CODE_RANGE)
            continue;
        int count = v8_optimized(javascript, caller.pc, false, function, out);
        if (count > 0) return count;
    }
    return 0;
}

/* Adds the frames of a candidate; gives how many. Compiled code comes first: a function that became
 * hot in a loop goes on in the frame of the interpreter, and what that had written stays there. */
static int add_frames(struct javascript *javascript, pid_t tid, const struct candidate *candidate,
                      struct javascript_frame *out, int room)
{
    const struct native_frame *native = &candidate->native;
    struct v8_place places[V8_PLACES_MAX];
    uint64_t shared, baseline;
    int count = 0;
    if (!v8_word(javascript, candidate->function, javascript->layout.function_shared, &shared))
        return 0;
    struct javascript_function *function = v8_function(javascript, shared);
    if (function == NULL) return 0;
    v8_bytecode(javascript, shared, &baseline);
    if (v8_is_builtin(&javascript->layout, native->pc - !native->is_exact)) {
        if (candidate->is_top)
            count = find_return(javascript, function, baseline, native, places);
    } else if (is_in_baseline(javascript, function, baseline, native, places)) {
        count = 1;
    } else {
        count = v8_optimized(javascript, native->pc, native->is_exact, function, places);
        if (count == 0) javascript->is_lost = true;
        if (javascript->layout.type_stream == V8_NOT_TOLD) count = -1; /* no code can be read */
    }
    int32_t position = function->begin;
    if (count == 0 && v8_is_smi(javascript, candidate->offset) &&
        v8_type(javascript, candidate->bytecode) == javascript->layout.type_bytecode) {
        int32_t exact = read_interpreted(javascript, tid, candidate, function);
        if (exact >= 0) position = exact;
    }
    if (count <= 0) places[0] = (struct v8_place){function, position};
    if (count <= 0) count = 1;
    if (count > room) count = room;
    for (int i = 0; i < count; i++)
        out[i] = (struct javascript_frame){candidate->index, places[i].function,
                                           places[i].position};
    return count;
}

int javascript_capture(struct javascript *javascript, pid_t tid, struct capture *capture)
{
    int count = 0;
    javascript->generation++; /* what was read before may have moved */
    javascript->early_bytes = 0;
    for (int i = 0; i < capture->native_count && count < SCRIPT_FRAMES_MAX; i++) {
        const struct native_frame *native = &capture->native[i];
        /* C code that keeps no frame pointer of its own has that of its caller. */
        if (i + 1 < capture->native_count && capture->native[i + 1].fp == native->fp) continue;
        struct candidate candidate = {.index = i, .native = *native};
        candidate.is_top = native->fp == capture->native[0].fp;
        if (!read_candidate(javascript, &candidate)) continue;
        count += add_frames(javascript, tid, &candidate, capture->javascript + count,
                            SCRIPT_FRAMES_MAX - count);
    }
    capture->javascript_count = count;
    return count;
}

void javascript_resolve(struct javascript *javascript, const struct javascript_frame *frame,
                        struct frame *out)
{
    const struct javascript_function *function = frame->function;
    *out = (struct frame){.kind = FRAME_JAVASCRIPT, .function = "?"};
    if (function == NULL) return;
    if (javascript->is_lost) v8_layout_refresh(javascript->pid, &javascript->layout);
    javascript->is_lost = false;
    out->function = function->name;
    out->file = function->script->file;
    out->is_runtime = function->script->is_runtime;
    out->line = javascript_line(javascript, function->script, frame->position);
}

bool javascript_is_collecting(const char *function)
{
    static const char *const starts[] = {
        "v8::internal::Heap::CollectGarbage", "v8::internal::Heap::PerformGarbageCollection",
        "v8::internal::Heap::CollectAllGarbage", "v8::internal::Heap::CollectAllAvailableGarbage",
        "v8::internal::Heap::Scavenge", "v8::internal::Heap::MarkCompact",
        "v8::internal::Heap::FinalizeIncrementalMarking", "v8::internal::Heap::StartIncremental",
        "v8::internal::ScavengerCollector", "v8::internal::Scavenger",
        "v8::internal::MinorMarkCompactCollector", "v8::internal::MarkCompactCollector",
        "v8::internal::IncrementalMarking", "v8::internal::IncrementalMarkingJob",
        "v8::internal::MarkingVisitor", "v8::internal::Sweeper", "v8::internal::GCTracer",
        "cppgc::internal::Marker", "cppgc::internal::Sweeper", "cppgc::internal::Heap::Collect",
    };
    if (function == NULL) return false;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(function, starts[i], strlen(starts[i])) == 0) return true;
    return false;
}
