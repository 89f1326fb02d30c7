/* Python frames: from _PyRuntime to the interpreters, to the thread, to its frames. The target
 * runs on while it is read, so that what is found may be torn: every chain has a bound, every
 * address may be wrong, and a frame counts only if its code is a code object.
 *
 * Which thread is which is told by native_thread_id since 3.11. Before that there is only the
 * thread's pthread_t, which is the address of the C library's own structure of it; where in
 * that the number of the thread stands is found out once, with the main thread, whose number is
 * known. */
#include "stalls/python.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/python_code.h"
#include "stalls/python_find.h"
#include "stalls/python_layout.h"
#include "stalls/python_memory.h"

enum {
    TRIES_MAX = 4, INTERPRETERS_MAX = 256, THREADS_MAX = 16384, STEPS_MAX = 4 * SCRIPT_FRAMES_MAX,
    OFFSET_LIMIT = 1 << 26,   /* of an instruction in its function */
    OWNED_BY_C = 3,           /* from this owner on a frame only marks where C code is */
    STATUS_ACTIVE = 16,       /* _status.active */
    PTHREAD_GLIBC = 720,      /* where in struct pthread the number is, with glibc on x86-64 */
    PTHREAD_FIRST = 32, PTHREAD_LAST = 2048, PTHREAD_STEP = 8, /* and where else it can be */
    PTHREAD_TRIES = 32,
};

struct python {
    uint64_t runtime;
    struct python_layout layout;
    struct python_codes *codes;
    uint32_t pthread_tid;     /* offset in struct pthread, 0: not known yet */
    int pthread_tries;        /* that did not find it out */
    bool is_in_namespace;     /* its numbers of threads are not ours */
    struct python_memory memory;
};

/* Going through the threads of all interpreters. */
struct walk {
    uint64_t interpreter, thread;
    int interpreter_count, thread_count;
};

/* The number that a process or thread has in its own namespace; is_other: it is not ours. */
static pid_t own_number(pid_t pid, pid_t tid, bool *is_other)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)pid, (int)tid);
    FILE *file = fopen(path, "re");
    pid_t number = tid;
    *is_other = false;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "NSpid:", 6) != 0) continue;
        const char *last = strrchr(line, '\t');
        number = (pid_t)strtol(last, NULL, 10);
        *is_other = last != strchr(line, '\t');
        break;
    }
    if (file != NULL) fclose(file);
    return number;
}

/* Reads or looks up the offsets. */
static bool choose_layout(struct python *python, const struct python_place *place, char *why,
                          size_t room)
{
    unsigned char head[PYTHON_PUBLISHED_BYTES];
    if (!python_memory_copy(&python->memory, place->runtime, head, sizeof place->runtime)) {
        snprintf(why, room, "the memory of process %d: %s", (int)python->memory.pid,
                 strerror(errno));
        return false;
    }
    const struct python_layout *table = python_layout_table(place->minor);
    if (place->major == 3 && table != NULL) {
        python->layout = *table;
        return true;
    }
    if (place->minor >= PYTHON_MINOR_PUBLISHED &&
        python_memory_copy(&python->memory, place->runtime, head, sizeof head) &&
        python_layout_published(head, sizeof head, &python->layout))
        return true;
    if (place->major == 0) snprintf(why, room, "a Python whose version cannot be told");
    else snprintf(why, room, "Python %d.%d: only 3.%d to 3.%d can be read", place->major,
                  place->minor, PYTHON_MINOR_MIN, PYTHON_MINOR_MAX);
    return false;
}

struct python *python_open(pid_t pid, char *why, size_t room)
{
    struct python_place place;
    if (!python_find(pid, &place, why, room)) return NULL;
    struct python *python = calloc(1, sizeof *python);
    if (python == NULL) {
        snprintf(why, room, "no memory");
        return NULL;
    }
    python->memory.pid = pid;
    python->runtime = place.runtime;
    (void)own_number(pid, pid, &python->is_in_namespace); /* only whether it is ours */
    if (choose_layout(python, &place, why, room)) {
        python->codes = python_codes_open(&python->memory, &python->layout);
        if (python->codes != NULL) return python;
        snprintf(why, room, "no memory");
    }
    python_close(python);
    return NULL;
}

void python_close(struct python *python)
{
    if (python == NULL) return;
    python_codes_close(python->codes);
    free(python);
}

/* The next thread's PyThreadState, 0: that was the last. Begins with an empty walk. */
static uint64_t next_thread(struct python *python, struct walk *walk)
{
    const struct python_layout *layout = &python->layout;
    struct python_memory *memory = &python->memory;
    if (++walk->thread_count > THREADS_MAX) return 0;
    if (walk->thread != 0)
        walk->thread = python_memory_pointer(memory, walk->thread + layout->thread.next);
    while (walk->thread == 0) {
        if (++walk->interpreter_count > INTERPRETERS_MAX) return 0;
        uint64_t link = walk->interpreter == 0 ? python->runtime + layout->runtime.interpreters
                                               : walk->interpreter + layout->interpreter.next;
        walk->interpreter = python_memory_pointer(memory, link);
        if (walk->interpreter == 0) return 0;
        uint64_t head = walk->interpreter + layout->interpreter.threads;
        walk->thread = python_memory_pointer(memory, head);
    }
    return walk->thread;
}

static uint64_t pthread_of(struct python *python, uint64_t thread)
{
    return python_memory_pointer(&python->memory, thread + python->layout.thread.thread_id);
}

/* Looks in every struct pthread whether the number stands there. */
static bool is_number_at(struct python *python, uint32_t offset, pid_t number)
{
    struct walk walk = { 0 };
    int32_t value = 0;
    while (next_thread(python, &walk) != 0) {
        uint64_t value_at = pthread_of(python, walk.thread) + offset;
        bool is_read = python_memory_peek(&python->memory, value_at, &value, sizeof value);
        if (is_read && value == number) return true;
    }
    return false;
}

/* Finds out where in struct pthread the number is, by one that some thread is known to have.
 * Only where a field of 8 bytes can begin: the upper half of a pointer looks like a number. */
static void learn_pthread(struct python *python, pid_t number)
{
    if (python->pthread_tid == 0 && is_number_at(python, PTHREAD_GLIBC, number))
        python->pthread_tid = PTHREAD_GLIBC;
    for (uint32_t at = PTHREAD_FIRST; python->pthread_tid == 0 && at < PTHREAD_LAST;
         at += PTHREAD_STEP)
        if (is_number_at(python, at, number)) python->pthread_tid = at;
}

static bool is_thread(struct python *python, uint64_t thread, pid_t number)
{
    struct python_memory *memory = &python->memory;
    uint32_t native_id = python->layout.thread.native_id;
    if (native_id != 0)
        return python_memory_pointer(memory, thread + native_id) == (uint64_t)number;
    int32_t value = 0;
    uint64_t value_at = pthread_of(python, thread) + python->pthread_tid;
    return python->pthread_tid != 0 &&
           python_memory_peek(memory, value_at, &value, sizeof value) && value == number;
}

/* Begins a look at a thread. Gives the number by which Python knows it. */
static pid_t begin_look(struct python *python, pid_t tid)
{
    bool is_other;
    pid_t pid = python->memory.pid;
    python_memory_forget(&python->memory);
    if (python->is_in_namespace) {
        tid = own_number(pid, tid, &is_other);
        pid = own_number(pid, pid, &is_other);
    }
    bool wants_offset = python->layout.thread.native_id == 0 && python->pthread_tid == 0;
    if (wants_offset && python->pthread_tries++ < PTHREAD_TRIES) {
        learn_pthread(python, pid);
        learn_pthread(python, tid); /* the main thread may not be one of Python's */
    }
    return tid;
}

/* Goes on to the next PyThreadState of a thread: it has one in each interpreter that it has
 * called, the newest of them first. 0: there are no more, or Python does not know it. */
static uint64_t find_thread(struct python *python, struct walk *walk, pid_t number)
{
    while (next_thread(python, walk) != 0)
        if (is_thread(python, walk->thread, number)) return walk->thread;
    return 0;
}

/* Where the bytecode begins that a frame runs: without a global lock each thread may have a copy of
 * its own, found by an index in {size, addresses}; the first is the code object's. */
static uint64_t bytecode_of(struct python *python, uint64_t frame, uint64_t code)
{
    const struct python_layout *layout = &python->layout;
    struct python_memory *memory = &python->memory;
    int32_t index = 0;
    bool is_copy = layout->frame.bytecode_index != 0 && layout->code.bytecodes != 0 &&
                   python_memory_peek(memory, frame + layout->frame.bytecode_index, &index,
                                      sizeof index) &&
                   index > 0 && index < THREADS_MAX;
    if (!is_copy) return code + layout->code.bytecode;
    uint64_t copies = python_memory_pointer(memory, code + layout->code.bytecodes);
    return python_memory_pointer(memory, copies + 8 + 8 * (uint64_t)index);
}

/* How far a frame is in its function, in bytes. False: what is there cannot be right. */
static bool read_offset(struct python *python, uint64_t frame, uint64_t code, int32_t *out)
{
    const struct python_layout *layout = &python->layout;
    struct python_memory *memory = &python->memory;
    uint64_t instruction_at = frame + layout->frame.instruction;
    int64_t offset;
    if (layout->has_index) {
        int32_t index = 0;
        if (!python_memory_peek(memory, instruction_at, &index, sizeof index)) return false;
        offset = (int64_t)index * layout->index_unit;
    } else {
        uint64_t instruction = python_memory_pointer(memory, instruction_at);
        offset = (int64_t)(instruction - bytecode_of(python, frame, code));
    }
    *out = (int32_t)offset;
    return offset >= -16 && offset < OFFSET_LIMIT;
}

/* Where it says which frame is the innermost. */
static uint64_t first_frame_at(struct python *python, uint64_t thread)
{
    const struct python_layout *layout = &python->layout;
    uint64_t at = thread + layout->thread.frame;
    if (!layout->has_frame_holder) return at;
    return python_memory_pointer(&python->memory, at) + layout->thread.frame_holder;
}

/* Whether native code begins below this frame, as far as the frame itself knows. */
static bool begins_evaluation(struct python *python, uint64_t frame)
{
    const struct python_layout *layout = &python->layout;
    if (layout->has_index) return true; /* to 3.10 each call of a function is one of C */
    unsigned char flag = 0;
    uint64_t flag_at = frame + layout->frame.is_entry;
    return layout->frame.is_entry != 0 &&
           python_memory_peek(&python->memory, flag_at, &flag, 1) && flag != 0;
}

/* Follows the chain of frames. Clears is_whole if it broke off: since 3.11 it always ends with an
 * entry. */
static int read_frames(struct python *python, uint64_t frame, struct python_frame *out, int room,
                       bool *is_whole)
{
    const struct python_layout *layout = &python->layout;
    struct python_memory *memory = &python->memory;
    int count = 0;
    for (int step = 0; frame != 0 && count < room && step < STEPS_MAX; step++) {
        unsigned char owner = 0;
        bool is_there = layout->frame.owner == 0 ||
                        python_memory_peek(memory, frame + layout->frame.owner, &owner, 1);
        if (!is_there) {
            *is_whole = false;
            break;
        }
        if (owner >= OWNED_BY_C) { /* C code called what is above it */
            if (count > 0) out[count - 1].is_entry = true;
        } else {
            /* Since 3.14 the lowest bits are a tag. */
            uint64_t code = python_memory_pointer(memory, frame + layout->frame.code);
            code &= ~UINT64_C(7);
            struct python_frame *to = &out[count];
            *to = (struct python_frame){ .code = code };
            to->is_entry = begins_evaluation(python, frame);
            if (code != 0 && read_offset(python, frame, code, &to->offset)) count++;
            else *is_whole = false;
        }
        frame = python_memory_pointer(memory, frame + layout->frame.previous);
    }
    if (count > 0 && frame == 0 && !out[count - 1].is_entry) {
        *is_whole = false;
        out[count - 1].is_entry = true;
    }
    return count;
}

/* Leaves out the frames whose code is no code object. */
static int drop_torn(struct python *python, struct python_frame *frames, int count)
{
    enum { PART = 16, HEAD_ROOM = 1024 };
    uint64_t addresses[PART];
    unsigned char heads[PART * HEAD_ROOM + HEAD_ROOM];
    size_t bytes = python_codes_head_bytes(python->codes);
    int kept = 0;
    for (int first = 0; first < count; first += PART) {
        int part = count - first < PART ? count - first : PART;
        for (int i = 0; i < part; i++) addresses[i] = frames[first + i].code;
        python_memory_gather(&python->memory, addresses, part, bytes, heads);
        for (int i = 0; i < part; i++)
            if (python_codes_check(python->codes, heads + (size_t)i * bytes))
                frames[kept++] = frames[first + i];
    }
    return kept;
}

/* Looks once. is_whole: nothing was torn, as far as one can see, and the thread has not gone into
 * another function meanwhile. */
static int look(struct python *python, pid_t tid, struct python_frame *out, int room,
                bool *is_whole)
{
    pid_t number = begin_look(python, tid);
    struct walk walk = { 0 };
    int count = 0;
    *is_whole = true;
    for (uint64_t thread; (thread = find_thread(python, &walk, number)) != 0 && count < room;) {
        uint64_t first_at = first_frame_at(python, thread), later = 0;
        uint64_t first = python_memory_pointer(&python->memory, first_at);
        count += read_frames(python, first, out + count, room - count, is_whole);
        if (!python_memory_copy(&python->memory, first_at, &later, sizeof later) || later != first)
            *is_whole = false;
    }
    int kept = drop_torn(python, out, count);
    if (kept < count) *is_whole = false;
    return kept;
}

int python_capture(struct python *python, pid_t tid, struct python_frame *out, int room)
{
    int count = 0;
    bool is_whole = false;
    for (int tries = 0; !is_whole && tries < TRIES_MAX; tries++)
        count = look(python, tid, out, room, &is_whole);
    return count;
}

/* The standard library, uvloop and what is frozen into the program only pass on what others ask
 * for. */
static bool is_runtime_file(const char *file)
{
    if (strncmp(file, "<frozen ", 8) == 0 || strstr(file, "/uvloop/") != NULL) return true;
    return strstr(file, "/lib/python3.") != NULL && strstr(file, "/site-packages/") == NULL &&
           strstr(file, "/dist-packages/") == NULL;
}

void python_resolve(struct python *python, const struct python_frame *frame, struct frame *out)
{
    *out = (struct frame){ .kind = FRAME_PYTHON, .function = "?", .line = frame->line };
    const struct python_code *code = python_codes_get(python->codes, frame->code);
    if (code == NULL) return; /* it is gone, or the process is */
    if (code->function != NULL) out->function = code->function;
    out->file = code->file;
    out->is_runtime = code->file != NULL && is_runtime_file(code->file);
    if (out->line == 0) out->line = python_line(&code->table, frame->offset);
}

/* Tells whether the thread that the walk is at is the one that runs Python code. */
static bool is_current(struct python *python, uint64_t thread)
{
    const struct python_layout *layout = &python->layout;
    struct python_memory *memory = &python->memory;
    uint64_t current_at = python->runtime + layout->runtime.current_thread;
    if (layout->runtime.current_thread != 0)
        return python_memory_pointer(memory, current_at) == thread;
    uint32_t status = 0;
    return python_memory_peek(memory, thread + layout->thread.status, &status, sizeof status) &&
           (status & STATUS_ACTIVE) != 0;
}

bool python_is_collecting(struct python *python, pid_t tid)
{
    const struct python_layout *layout = &python->layout;
    pid_t number = begin_look(python, tid);
    struct walk walk = { 0 };
    for (uint64_t thread; (thread = find_thread(python, &walk, number)) != 0;) {
        uint64_t flag_at = layout->interpreter.collecting != 0
                               ? walk.interpreter + layout->interpreter.collecting
                               : python->runtime + layout->runtime.collecting;
        int32_t flag = 0;
        bool is_read = python_memory_peek(&python->memory, flag_at, &flag, sizeof flag);
        if (is_read && flag == 1 && is_current(python, thread)) return true;
    }
    return false;
}

bool python_is_entry(const char *function)
{
    static const char name[] = "_PyEval_EvalFrameDefault";
    size_t length = sizeof name - 1;
    if (strncmp(function, name, length) != 0) return false;
    return function[length] == '\0' || function[length] == '.'; /* .cold and the like */
}
