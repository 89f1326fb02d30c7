/* V8's objects in another process: words, types, strings, functions and scripts. Nothing that is
 * read is believed before its map says what it is, and no length before it is bounded.
 *
 * What a capture reads goes through a cache of pages that lives only while the thread stands. */
#ifndef STALLS_JAVASCRIPT_HEAP_H
#define STALLS_JAVASCRIPT_HEAP_H

#include "stalls/javascript.h"
#include "stalls/javascript_layout.h"

enum {
    V8_PAGE_BYTES = 4096,
    V8_PAGES = 512,
    V8_SHARED_BYTES = 56,            /* how much of a SharedFunctionInfo tells it from another */
    V8_BYTECODE_MAX = 1 << 18,       /* of a function that is looked into; longer: only its name */
    V8_SOURCE_MAX = 16 << 20,        /* characters of a script whose lines are counted */
    V8_SOURCE_EARLY = 1 << 17,       /* characters of a source that is copied at the capture: a
                                      * longer one has a page of its own and does not move */
    V8_FUNCTIONS_MAX = 1 << 16,
    V8_BUCKETS = 4096,
    V8_PLACES_MAX = 32,              /* functions inlined into each other */
};

struct v8_page { uint64_t address; uint32_t generation; bool is_readable; };

/* A piece of source text, flat, in the other process. */
struct v8_text { uint64_t address; uint32_t length; bool is_two_byte; };

/* A script, told from others by its number, name and length: its address changes. */
struct javascript_script {
    struct javascript_script *next;
    int32_t id;
    const char *name;                /* as V8 has it; NULL: none, as of a text for eval() */
    const char *file;                /* the path, if the name is a file: URL */
    bool is_runtime;                 /* of node itself */
    uint64_t address;                /* where it was last seen */
    struct v8_text text;             /* its source, where it was last seen */
    /* Made by the first javascript_resolve(), javascript_position.c. */
    void *source;                    /* length characters of one or two bytes; NULL: not read.
                                      * A short one is there from the capture on */
    int32_t *line_ends;              /* positions of the newlines */
    int line_count;
};

/* A function, told from others by its script and place there. */
struct javascript_function {
    struct javascript_function *next, *next_same_place;
    uint64_t shared;                 /* its SharedFunctionInfo, where it was last seen, */
    uint8_t words[V8_SHARED_BYTES];  /* and what stood there */
    const char *name;
    struct javascript_script *script;
    int32_t begin, end;              /* positions in the script; -1: not known */
    uint8_t *bytecode;               /* NULL: not compiled, or too long */
    int bytecode_count;
    uint8_t *positions;              /* V8's table of source positions; NULL: it has not made one */
    int position_count;
};

struct javascript {
    pid_t pid;
    struct v8_layout layout;
    uint32_t generation;             /* pages of an older one are forgotten */
    struct v8_page pages[V8_PAGES];
    uint8_t (*bytes)[V8_PAGE_BYTES]; /* of each page */
    struct javascript_function *by_shared[V8_BUCKETS], *by_place[V8_BUCKETS];
    struct javascript_script *scripts;
    int function_count;
    size_t early_bytes;              /* of sources copied in this capture */
    uint64_t stream_map;             /* the map of InstructionStream, once it was met; 0 */
    bool is_lost;                    /* a frame was in code that was not found: are builtins mapped
                                      * in a place that is not known? */
    uint64_t code_seen;              /* an address among compiled code; 0 */
};

/* Words that are numbers. */
bool v8_is_smi(const struct javascript *javascript, uint64_t word);
int32_t v8_smi(const struct javascript *javascript, uint64_t word);

/* Reads through the cache. */
bool v8_read(struct javascript *javascript, uint64_t address, void *out, size_t bytes);
/* Reads past the cache: for what is large, or while the process runs. */
bool v8_read_now(const struct javascript *javascript, uint64_t address, void *out, size_t bytes);
/* Reads at an offset of a tagged object; false too if the word is none. */
bool v8_member(struct javascript *javascript, uint64_t object, int32_t offset, void *out,
               size_t bytes);
bool v8_word(struct javascript *javascript, uint64_t object, int32_t offset, uint64_t *out);
/* A word that must be a number; the length of a ByteArray. -1: it is not. */
int32_t v8_number(struct javascript *javascript, uint64_t object, int32_t offset);
int32_t v8_bytes_length(struct javascript *javascript, uint64_t array);
/* The instance type of a tagged word; -1: it is no object. */
int v8_type(struct javascript *javascript, uint64_t object);

/* Where a string's characters stand. */
bool v8_text(struct javascript *javascript, uint64_t string, struct v8_text *out);
/* A short string as UTF-8, interned; NULL: it is none. */
const char *v8_name(struct javascript *javascript, uint64_t string);
/* Copies the bytes of a ByteArray or BytecodeArray, whose bytes begin at an offset; NULL: none. */
uint8_t *v8_bytes(struct javascript *javascript, uint64_t array, int32_t offset, int *count);

/* javascript_function.c: the function that a SharedFunctionInfo describes; NULL: it is a builtin,
 * has no script, or is not one. */
struct javascript_function *v8_function(struct javascript *javascript, uint64_t shared);
/* The BytecodeArray of a SharedFunctionInfo, and the baseline Code if it has one; 0: none. */
uint64_t v8_bytecode(struct javascript *javascript, uint64_t shared, uint64_t *baseline);
void v8_functions_free(struct javascript *javascript);

/* javascript_position.c: what V8's tables of source positions say. */
struct v8_position { int32_t at; int32_t inlining; /* its number; -1: none */ };
struct v8_position v8_position_of(uint64_t raw);
/* The position of the last entry up to an offset; false: there is none, or the table ends amiss. */
bool v8_position(const uint8_t *table, int count, int64_t offset, struct v8_position *out);
/* The position in a function of an offset in its bytecode; -1: not known. */
int32_t v8_bytecode_position(const struct javascript_function *function, int32_t offset);
/* The line of a position in a script; 0: not known. */
int javascript_line(struct javascript *javascript, struct javascript_script *script,
                    int32_t position);

/* javascript_code.c: what code that was compiled for a function is at. */
struct v8_place { const struct javascript_function *function; int32_t position; };
/* Gives the functions at an address of optimized code, innermost first, and where each of them is.
 * The last one must be `outermost`, whose frame it is. `is_exact`: as in struct native_frame. -1:
 * not known where in it; 0: it is in no code. */
int v8_optimized(struct javascript *javascript, uint64_t pc, bool is_exact,
                 struct javascript_function *outermost, struct v8_place *out);
/* The offset in the bytecode at an address of baseline code; -1: it is not in there. */
int32_t v8_baseline(struct javascript *javascript, uint64_t baseline,
                    const struct javascript_function *function, uint64_t pc, bool is_exact);

#endif
