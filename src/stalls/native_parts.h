/* What the files of native share: the modules of a process, its memory, and a walk up a stack. */
#ifndef STALLS_NATIVE_PARTS_H
#define STALLS_NATIVE_PARTS_H

#include <elfutils/libdwfl.h>

#include "stalls/machine.h"
#include "stalls/native.h"

enum { FRAME_CACHE = 4096, MEMORY_BLOCK = 32 * 1024, ALIASES_MAX = 64, SEGMENTS_MAX = 4 };

/* A function of a module. */
struct symbol { uint64_t start, size, end; const char *name; };

/* What of a module was compiled at one go, with its debug information. */
struct unit { uint64_t start, end, bias; Dwarf_Die *die; };

struct module {
    struct module *next;
    Dwfl_Module *dwfl;
    const char *path, *name;  /* of the file, and the last part of that */
    uint64_t bias;            /* what an address has more than in the file */
    struct segment { uint64_t start, end; } code[SEGMENTS_MAX]; /* where its code belongs */
    int code_count;
    bool is_seen;             /* by the refresh that is under way */
    bool is_indexed;          /* symbols have been read */
    struct symbol *symbols;   /* sorted by start */
    size_t symbol_count;
    bool has_units;           /* they have been read */
    struct unit *units;       /* sorted by start */
    size_t unit_count, unit_room;
};

/* Code of a module that is mapped a second time: V8 does that with its builtins, to have them
 * near. */
struct alias { uint64_t start, end, home; struct module *module; };

/* What the tables say at a place; frame is NULL where there are none. */
struct cached_frame { uint64_t at; Dwarf_Frame *frame; bool is_filled; };

/* A block of the process's memory, read at one go: a stack is mostly within one. */
struct memory {
    pid_t pid;
    uint64_t base;
    size_t length;
    unsigned char bytes[MEMORY_BLOCK];
};

struct native {
    pid_t pid;
    Dwfl *dwfl;
    struct module *modules;
    uint64_t maps_hash;
    struct alias aliases[ALIASES_MAX];
    int alias_count;
    bool is_whole;
    struct memory memory;
    struct cached_frame frames[FRAME_CACHE];
};

/* The registers of one frame, by their DWARF numbers. */
struct walk {
    uint64_t pc;
    uint64_t value[MACHINE_REGISTERS];
    uint64_t known;           /* a bit for each register */
    bool is_exact;
};

/* native_memory.c */
void memory_init(struct memory *memory, pid_t pid);
void memory_forget(struct memory *memory);   /* the process ran meanwhile */
bool memory_word(struct memory *memory, uint64_t address, uint64_t *out);

/* native_files.c */
void files_begin(pid_t pid);                 /* whose files are looked for from here on */
int files_find(Dwfl_Module *module, void **slot, const char *name, Dwarf_Addr base,
               char **file_name, Elf **elf); /* a Dwfl_Callbacks.find_elf */

/* native_modules.c */
bool modules_read(struct native *native);    /* false: cannot be read, and errno */
void modules_free(struct native *native);
/* The module with the code at pc, NULL: none; home is the place where that code belongs. */
struct module *modules_find(struct native *native, uint64_t pc, uint64_t *home);

/* native_rules.c: the tables' rows, applied. */
Dwarf_Frame *rules_find(struct native *native, uint64_t at);
void rules_forget(struct native *native);
/* The caller's registers: 1, they are in walk; 0: there is no caller; -1: a register is not
 * known. */
int rules_apply(struct native *native, Dwarf_Frame *frame, struct walk *walk);

/* native_symbols.c */
const struct symbol *symbols_find(struct module *module, uint64_t pc);
void symbols_free(struct module *module);

/* native_lines.c; NULL: there is no debug information about that place. */
const char *lines_find(struct module *module, uint64_t at, int *line);
void lines_free(struct module *module);

static inline bool walk_knows(const struct walk *walk, unsigned number)
{
    return number < MACHINE_REGISTERS && (walk->known >> number & 1) != 0;
}

static inline void walk_set(struct walk *walk, unsigned number, uint64_t value)
{
    walk->value[number] = value;
    walk->known |= UINT64_C(1) << number;
}

#endif
