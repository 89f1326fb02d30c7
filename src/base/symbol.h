/* Names of this process's code addresses: function, file and line, module.
 *
 * libdw knows function and line of what has debug information; it is loaded when the first name is
 * wanted, so that nothing depends on it. The loader itself (dladdr(3)) knows exported functions and
 * the module. Debug information is read from the program's own files only, and from no server. One
 * thread at a time; not for signal handlers; wants more stack than a fiber has. */
#ifndef HARK_BASE_SYMBOL_H
#define HARK_BASE_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol {
    char function[256];         /* demangled; "": not known */
    const char *file;           /* NULL: not known. Until symbol_close() */
    int line;
    const char *module;         /* the file's name; NULL: in no file */
    uintptr_t offset;           /* in the module, or in the function */
    bool is_offset_in_function;
};

/* at: for a return address, one less: the call stands before it. */
void symbol_find(uintptr_t at, struct symbol *symbol);

/* The same as text: "function (file.c:12)", "function+0x1c (libx.so)", "libx.so+0x5f00". Gives its
 * length. */
size_t symbol_print(uintptr_t at, char *text, size_t room);

/* What comes behind the last folder of a path. */
const char *symbol_base_name(const char *path);

/* Gives back what was read. */
void symbol_close(void);

#endif
