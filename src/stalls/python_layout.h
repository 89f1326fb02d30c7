/* Where CPython keeps what a stack is made of: offsets in bytes, for one minor version. 3.8 to
 * 3.12 are tables, 3.13 and 3.14 publish their own at the beginning of _PyRuntime. All of it is
 * for 64-bit. */
#ifndef STALLS_PYTHON_LAYOUT_H
#define STALLS_PYTHON_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PYTHON_MINOR_MIN = 8, PYTHON_MINOR_PUBLISHED = 13, PYTHON_MINOR_MAX = 14 };

/* How a code object tells lines: byte pairs of two kinds, or the location table of 3.11. */
enum python_lines { PYTHON_LNOTAB, PYTHON_LINETABLE, PYTHON_LOCATIONS };

/* An offset of 0 means that this version has no such field, where no field could begin at 0. */
struct python_layout {
    int minor;
    struct { uint32_t interpreters, current_thread, collecting; } runtime;
    struct { uint32_t next, threads, collecting; } interpreter;
    /* frame: what its chain begins with; frame_holder: and if that is another structure, where
     * in it */
    struct { uint32_t next, thread_id, native_id, status, frame, frame_holder; } thread;
    bool has_frame_holder;
    struct { uint32_t previous, code, instruction, owner, is_entry, bytecode_index; } frame;
    bool has_index;           /* frame.instruction is a number, else an address in the bytecode */
    uint32_t index_unit;      /* bytes that such a number counts */
    struct { uint32_t filename, name, qualname, first_line, lines, bytecode, bytecodes; } code;
    enum python_lines lines;
    struct { uint32_t type, type_name; } object;
    struct { uint32_t length, state, ascii, wide, kind_shift; } string;
    struct { uint32_t size, data; } bytes;
};

/* The table of a version; NULL: there is none. */
const struct python_layout *python_layout_table(int minor);

/* How many bytes python_layout_published() wants from the beginning of _PyRuntime, at most. */
enum { PYTHON_PUBLISHED_BYTES = 1024 };

/* Reads the offsets that 3.13 and later publish. Tells whether they are there and make sense. */
bool python_layout_published(const void *runtime, size_t bytes, struct python_layout *out);

#endif
