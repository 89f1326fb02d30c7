/* Where V8 keeps what: the numbers that it exports for debuggers (v8dbg_*), read from the
 * executable.
 *
 * A number that has no such symbol stands in javascript_layout.c beside the reason why it is
 * believed, and whoever uses it checks what it leads to. */
#ifndef STALLS_JAVASCRIPT_LAYOUT_H
#define STALLS_JAVASCRIPT_LAYOUT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { V8_BYTECODES_MAX = 256, V8_BUILTINS_MAX = 16 };

/* What a number is that the file does not tell: no place, type or register. */
#define V8_NOT_TOLD INT32_MIN

struct v8_range { uint64_t begin, end; };

struct v8_layout {
    /* Tagged words. */
    int32_t heap_tag, heap_tag_mask, smi_tag, smi_tag_mask, smi_shift_size, smi_value_shift;
    int32_t word_bytes, tagged_bytes;
    /* Frames, from the frame pointer. */
    int32_t frame_context, frame_function, frame_bytecode, frame_offset;
    /* Members, from an object's beginning. */
    int32_t map, map_type;
    int32_t function_shared;
    int32_t shared_data, shared_name, shared_script, shared_flags;
    int32_t script_source, script_name, script_line_ends, script_eval_from;
    int32_t string_length, one_byte_chars, two_byte_chars, cons_first, cons_second;
    int32_t sliced_parent, sliced_offset, thin_actual, external_resource;
    int32_t array_length, array_data, bytecode_data;
    int32_t scope_parameters, scope_locals, scope_first;   /* in words after the map */
    int32_t code_data, code_bytecode, code_table, code_wrapper, code_stream, code_begin;
    int32_t code_flags, code_size, stream_start, bytecode_wrapper, bytecode_table;
    int32_t deopt_literals, deopt_positions;
    /* Instance types. */
    int32_t string_last, representation_mask, encoding_mask, one_byte_tag;
    int32_t seq_tag, cons_tag, external_tag, sliced_tag, thin_tag;
    int32_t type_function, type_shared, type_script, type_scope, type_bytecode, type_bytes;
    int32_t type_trusted_bytes, type_code, type_stream, type_interpreter_data;
    int32_t type_debug_info, type_context_first, type_context_last;
    /* Kinds of code, and the registers of the interpreter. */
    int32_t kind_mask, kind_baseline;
    int32_t register_bytecode, register_offset;

    /* Where the file's code stands in the process; and the builtins, with the interpreter among
     * them: first in that code (all of it, if the file has lost its symbols), then in each place
     * where V8 has mapped them once more, to be near to the code that it compiles. */
    struct v8_range text, builtins[V8_BUILTINS_MAX];
    int builtins_count;
    char file[PATH_MAX];             /* as /proc/PID/maps names it */
    /* How long each bytecode is, alone and behind the prefixes Wide and ExtraWide; 0: not known. */
    int bytecode_count;
    uint8_t bytecode_sizes[3][V8_BYTECODES_MAX];
};

/* 1: read. 0: no V8 in that process. -1, and why: there is one that cannot be read. */
int v8_layout_read(pid_t pid, struct v8_layout *layout, char *why, size_t room);

/* Looks where the builtins are mapped now: another isolate may have mapped them again. */
void v8_layout_refresh(pid_t pid, struct v8_layout *layout);
bool v8_is_builtin(const struct v8_layout *layout, uint64_t pc);

/* The length of the bytecode at `at` with its prefix; 0: it ends outside, or nothing is known. */
int v8_bytecode_length(const struct v8_layout *layout, const uint8_t *code, int count, int at);

#endif
