/* Line tables of code objects: which line an instruction belongs to. */
#ifndef STALLS_PYTHON_LINE_H
#define STALLS_PYTHON_LINE_H

#include "stalls/python_layout.h"

struct python_line_table {
    enum python_lines kind;
    const unsigned char *bytes;
    size_t size;
    int first_line;           /* of the function */
};

/* The line of the instruction at a byte offset, the function's first for one before the
 * beginning. 0: the table does not reach it. An instruction that has no line of its own gets
 * the one before. */
int python_line(const struct python_line_table *table, int offset);

#endif
