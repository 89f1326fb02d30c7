/* The tables. Each figure is offsetof() of the field that its comment names, in the headers of
 * the version (Include/cpython and Include/internal) on a 64-bit system;
 * tests/stalls/layout_check.c asks the compiler for the same with whatever headers are
 * installed. Within a minor version they hold from the first release to the last, but for
 * runtime.current_thread and runtime.collecting of 3.8, which are the last one's. What 3.13 and
 * 3.14 publish is found by the order of its fields. */
#include "stalls/python_layout.h"

#include <string.h>

/* PyASCIIObject.length and .state, sizeof(PyASCIIObject), sizeof(PyCompactUnicodeObject):
 * shorter by wstr and wstr_length since 3.12. The state's bits: interned 2, kind 3, compact 1,
 * ascii 1. */
#define STRINGS_OLD { .length = 16, .state = 32, .ascii = 48, .wide = 72, .kind_shift = 2 }
#define STRINGS_NEW { .length = 16, .state = 32, .ascii = 40, .wide = 56, .kind_shift = 2 }
/* PyVarObject.ob_size, PyBytesObject.ob_sval; PyObject.ob_type, PyTypeObject.tp_name. */
#define BYTES { .size = 16, .data = 32 }
#define OBJECTS { .type = 8, .type_name = 24 }

static const struct python_layout tables[] = {
    {
        .minor = 8,
        /* _PyRuntimeState: interpreters.head, gilstate.tstate_current, gc.collecting */
        .runtime = { .interpreters = 32, .current_thread = 1368, .collecting = 544 },
        /* struct _is: next, tstate_head */
        .interpreter = { .next = 0, .threads = 8 },
        /* struct _ts: next, thread_id, frame */
        .thread = { .next = 8, .thread_id = 176, .frame = 24 },
        /* PyFrameObject: f_back, f_code, f_lasti in bytes */
        .frame = { .previous = 24, .code = 32, .instruction = 104 },
        .has_index = true, .index_unit = 1,
        /* PyCodeObject: co_filename, co_name, co_firstlineno, co_lnotab */
        .code = { .filename = 104, .name = 112, .first_line = 40, .lines = 120 },
        .lines = PYTHON_LNOTAB, .object = OBJECTS, .string = STRINGS_OLD, .bytes = BYTES,
    },
    {
        .minor = 9,
        .runtime = { .interpreters = 32, .current_thread = 568 },
        /* the collector has moved to struct _is: gc.collecting */
        .interpreter = { .next = 0, .threads = 8, .collecting = 816 },
        .thread = { .next = 8, .thread_id = 176, .frame = 24 },
        .frame = { .previous = 24, .code = 32, .instruction = 104 },
        .has_index = true, .index_unit = 1,
        .code = { .filename = 104, .name = 112, .first_line = 40, .lines = 120 },
        .lines = PYTHON_LNOTAB, .object = OBJECTS, .string = STRINGS_OLD, .bytes = BYTES,
    },
    {
        .minor = 10,
        .runtime = { .interpreters = 32, .current_thread = 568 },
        .interpreter = { .next = 0, .threads = 8, .collecting = 816 },
        .thread = { .next = 8, .thread_id = 176, .frame = 24 },
        /* f_lasti counts instructions of two bytes; co_lnotab has become co_linetable */
        .frame = { .previous = 24, .code = 32, .instruction = 96 },
        .has_index = true, .index_unit = 2,
        .code = { .filename = 104, .name = 112, .first_line = 40, .lines = 120 },
        .lines = PYTHON_LINETABLE, .object = OBJECTS, .string = STRINGS_OLD, .bytes = BYTES,
    },
    {
        .minor = 11,
        .runtime = { .interpreters = 40, .current_thread = 576 },
        /* struct _is: next, threads.head, gc.collecting */
        .interpreter = { .next = 0, .threads = 16, .collecting = 848 },
        /* struct _ts: next, thread_id, native_thread_id, cframe; _PyCFrame.current_frame */
        .thread = { .next = 8, .thread_id = 152, .native_id = 160, .frame = 56, .frame_holder = 8 },
        .has_frame_holder = true,
        /* _PyInterpreterFrame: previous, f_code, prev_instr, owner, is_entry */
        .frame = { .previous = 48, .code = 32, .instruction = 56, .owner = 69, .is_entry = 68 },
        /* and co_qualname, co_linetable, co_code_adaptive */
        .code = { .filename = 112, .name = 120, .qualname = 128, .first_line = 72, .lines = 136,
                  .bytecode = 184 },
        .lines = PYTHON_LOCATIONS, .object = OBJECTS, .string = STRINGS_OLD, .bytes = BYTES,
    },
    {
        .minor = 12,
        .runtime = { .interpreters = 40 },
        .interpreter = { .next = 0, .threads = 72, .collecting = 312 },
        /* and struct _ts: _status */
        .thread = { .next = 8, .thread_id = 136, .native_id = 144, .status = 24, .frame = 56,
                    .frame_holder = 0 },
        .has_frame_holder = true,
        .frame = { .previous = 8, .code = 0, .instruction = 56, .owner = 70 },
        .code = { .filename = 112, .name = 120, .qualname = 128, .first_line = 68, .lines = 136,
                  .bytecode = 192 },
        .lines = PYTHON_LOCATIONS, .object = OBJECTS, .string = STRINGS_NEW, .bytes = BYTES,
    },
};

const struct python_layout *python_layout_table(int minor)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (tables[i].minor == minor) return &tables[i];
    return NULL;
}

/* The fields of _Py_DebugOffsets that are read here. */
enum published {
    FREE_THREADED, INTERPRETERS_HEAD,
    INTERPRETER_NEXT, THREADS_HEAD, INTERPRETER_GC,
    THREAD_NEXT, CURRENT_FRAME, THREAD_ID, NATIVE_THREAD_ID, STATUS,
    FRAME_PREVIOUS, EXECUTABLE, INSTR_PTR, OWNER, TLBC_INDEX,
    CO_FILENAME, CO_NAME, CO_QUALNAME, CO_LINETABLE, CO_FIRSTLINENO, CO_CODE_ADAPTIVE, CO_TLBC,
    OB_TYPE, TP_NAME, BYTES_SIZE, BYTES_DATA, STRING_STATE, STRING_LENGTH, ASCII_SIZE,
    GC_COLLECTING,
    PUBLISHED_COUNT
};

/* Which 64-bit word each one is, counted from the cookie, which is word 0, and the version,
 * word 1. Each group of them begins with the structure's size. 0: not published by this
 * version. */
static const uint8_t words_13[PUBLISHED_COUNT] = {
    [FREE_THREADED] = 2, [INTERPRETERS_HEAD] = 5,
    [INTERPRETER_NEXT] = 8, [THREADS_HEAD] = 9, [INTERPRETER_GC] = 10,
    [THREAD_NEXT] = 21, [CURRENT_FRAME] = 23, [THREAD_ID] = 24, [NATIVE_THREAD_ID] = 25,
    [STATUS] = 27,
    [FRAME_PREVIOUS] = 29, [EXECUTABLE] = 30, [INSTR_PTR] = 31, [OWNER] = 33,
    [CO_FILENAME] = 35, [CO_NAME] = 36, [CO_QUALNAME] = 37, [CO_LINETABLE] = 38,
    [CO_FIRSTLINENO] = 39, [CO_CODE_ADAPTIVE] = 43,
    [OB_TYPE] = 45, [TP_NAME] = 47, [BYTES_SIZE] = 65, [BYTES_DATA] = 66,
    [STRING_STATE] = 68, [STRING_LENGTH] = 69, [ASCII_SIZE] = 70, [GC_COLLECTING] = 72,
};

/* 3.14 adds threads_main, code_object_generation and tlbc_generation to the interpreter,
 * stackpointer and tlbc_index to the frame, co_tlbc to the code, and sets before dictionaries. */
static const uint8_t words_14[PUBLISHED_COUNT] = {
    [FREE_THREADED] = 2, [INTERPRETERS_HEAD] = 5,
    [INTERPRETER_NEXT] = 8, [THREADS_HEAD] = 9, [INTERPRETER_GC] = 11,
    [THREAD_NEXT] = 24, [CURRENT_FRAME] = 26, [THREAD_ID] = 27, [NATIVE_THREAD_ID] = 28,
    [STATUS] = 30,
    [FRAME_PREVIOUS] = 32, [EXECUTABLE] = 33, [INSTR_PTR] = 34, [OWNER] = 36, [TLBC_INDEX] = 38,
    [CO_FILENAME] = 40, [CO_NAME] = 41, [CO_QUALNAME] = 42, [CO_LINETABLE] = 43,
    [CO_FIRSTLINENO] = 44, [CO_CODE_ADAPTIVE] = 48, [CO_TLBC] = 49,
    [OB_TYPE] = 51, [TP_NAME] = 53, [BYTES_SIZE] = 75, [BYTES_DATA] = 76,
    [STRING_STATE] = 78, [STRING_LENGTH] = 79, [ASCII_SIZE] = 80, [GC_COLLECTING] = 82,
};

enum { VERSION_WORD = 1, OFFSET_MAX = 1 << 24, OBJECT_MAX = 4096 };

/* Copies the published words, each checked to be an offset. */
static bool pick(const uint64_t *from, const uint8_t *words, uint32_t out[PUBLISHED_COUNT])
{
    for (int i = 0; i < PUBLISHED_COUNT; i++) {
        uint64_t value = words[i] == 0 ? 0 : from[words[i]];
        /* In _PyRuntime and in an interpreter; the other structures are small. */
        bool is_large = i <= INTERPRETER_GC;
        if (value >= (is_large ? OFFSET_MAX : OBJECT_MAX)) return false;
        out[i] = (uint32_t)value;
    }
    return true;
}

bool python_layout_published(const void *runtime, size_t bytes, struct python_layout *out)
{
    uint64_t from[PYTHON_PUBLISHED_BYTES / 8];
    if (bytes < sizeof from || memcmp(runtime, "xdebugpy", 8) != 0) return false;
    memcpy(from, runtime, sizeof from);
    int minor = (int)(from[VERSION_WORD] >> 16 & 0xff);
    if (from[VERSION_WORD] >> 24 != 3 || minor < PYTHON_MINOR_PUBLISHED || minor > PYTHON_MINOR_MAX)
        return false;
    uint32_t at[PUBLISHED_COUNT];
    if (!pick(from, minor == 13 ? words_13 : words_14, at)) return false;
    bool is_free_threaded = at[FREE_THREADED] != 0;
    bool has_wide_interned = is_free_threaded && minor > 13; /* a byte of a string's state */
    *out = (struct python_layout){
        .minor = minor,
        .runtime = { .interpreters = at[INTERPRETERS_HEAD] },
        .interpreter = { .next = at[INTERPRETER_NEXT], .threads = at[THREADS_HEAD],
                         .collecting = at[INTERPRETER_GC] + at[GC_COLLECTING] },
        .thread = { .next = at[THREAD_NEXT], .thread_id = at[THREAD_ID],
                    .native_id = at[NATIVE_THREAD_ID], .status = at[STATUS],
                    .frame = at[CURRENT_FRAME] },
        .frame = { .previous = at[FRAME_PREVIOUS], .code = at[EXECUTABLE],
                   .instruction = at[INSTR_PTR], .owner = at[OWNER],
                   .bytecode_index = is_free_threaded ? at[TLBC_INDEX] : 0 },
        .code = { .filename = at[CO_FILENAME], .name = at[CO_NAME], .qualname = at[CO_QUALNAME],
                  .first_line = at[CO_FIRSTLINENO], .lines = at[CO_LINETABLE],
                  .bytecode = at[CO_CODE_ADAPTIVE],
                  .bytecodes = is_free_threaded ? at[CO_TLBC] : 0 },
        .lines = PYTHON_LOCATIONS,
        .object = { .type = at[OB_TYPE], .type_name = at[TP_NAME] },
        /* PyCompactUnicodeObject adds utf8_length and utf8. */
        .string = { .length = at[STRING_LENGTH], .state = at[STRING_STATE], .ascii = at[ASCII_SIZE],
                    .wide = at[ASCII_SIZE] + 16, .kind_shift = has_wide_interned ? 8 : 2 },
        .bytes = { .size = at[BYTES_SIZE], .data = at[BYTES_DATA] },
    };
    return out->thread.native_id != 0 && out->code.bytecode != 0 && out->runtime.interpreters != 0;
}
