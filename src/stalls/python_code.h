/* Code objects of another process: names, file and line table, each read once and kept. */
#ifndef STALLS_PYTHON_CODE_H
#define STALLS_PYTHON_CODE_H

#include "stalls/python_layout.h"
#include "stalls/python_line.h"
#include "stalls/python_memory.h"

/* What tells one code object from the next that is given the same address. */
struct python_code_mark {
    uint64_t filename, name, lines;
    int32_t first_line;
};

struct python_code {
    uint64_t address;         /* 0: the slot is free */
    struct python_code_mark mark;
    const char *function, *file;
    struct python_line_table table;
};

struct python_codes;

/* memory and layout must outlive it. NULL: no memory. */
struct python_codes *python_codes_open(const struct python_memory *memory,
                                       const struct python_layout *layout);
void python_codes_close(struct python_codes *codes);

/* How many bytes of an object python_codes_check() looks at. */
size_t python_codes_head_bytes(const struct python_codes *codes);

/* Tells whether an object that begins with these bytes is a code object. */
bool python_codes_check(struct python_codes *codes, const unsigned char *head);

/* The code object at an address as it is now, good until the next call; NULL: there is none. */
const struct python_code *python_codes_get(struct python_codes *codes, uint64_t address);

#endif
