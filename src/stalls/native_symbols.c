/* Names of places: an index of each module's functions, sorted, built when a name in it is first
 * wanted (libdw's own search goes through all symbols each time: 5 ms on node). Never while a
 * thread is stopped. */
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stalls/demangle.h"
#include "stalls/native_parts.h"
#include "stalls/runtime.h"

enum { NESTED_MAX = 8 };

static size_t underscores(const char *name)
{
    return strspn(name, "_");
}

/* Of several names for one place the plainest: read before __read before __GI___read. */
static int compare(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    if ((x->size == 0) != (y->size == 0)) return x->size == 0 ? 1 : -1;
    if (underscores(x->name) != underscores(y->name))
        return underscores(x->name) < underscores(y->name) ? -1 : 1;
    size_t left = strlen(x->name), right = strlen(y->name);
    return left != right ? (left < right ? -1 : 1) : strcmp(x->name, y->name);
}

/* Where the code ends that a symbol stands in; 0: it stands in none. Code written in assembly may
 * have neither a type nor a size: it goes to the next symbol, and to this end at most. */
static uint64_t end_of_code(const GElf_Sym *symbol, Elf *elf, GElf_Word section_index)
{
    GElf_Shdr header;
    int type = GELF_ST_TYPE(symbol->st_info);
    if (symbol->st_shndx == SHN_UNDEF) return 0;
    if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) return 0;
    Elf_Scn *section = elf_getscn(elf, section_index);
    if (section == NULL || gelf_getshdr(section, &header) == NULL) return 0;
    return (header.sh_flags & SHF_EXECINSTR) != 0 ? header.sh_addr + header.sh_size : 0;
}

static void build(struct module *module)
{
    module->is_indexed = true;
    int count = dwfl_module_getsymtab(module->dwfl);
    if (count <= 0) return;
    module->symbols = calloc((size_t)count, sizeof *module->symbols);
    if (module->symbols == NULL) return; /* the report goes on, with addresses */
    for (int i = 0; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr address;
        GElf_Word section_index;
        Dwarf_Addr bias;
        Elf *elf;
        const char *name = dwfl_module_getsym_info(module->dwfl, i, &symbol, &address,
                                                   &section_index, &elf, &bias);
        if (name == NULL || name[0] == '\0') continue;
        uint64_t end = end_of_code(&symbol, elf, section_index);
        if (end == 0) continue;
        module->symbols[module->symbol_count++] =
            (struct symbol){ .start = address, .size = symbol.st_size, .end = end + bias,
                             .name = name };
    }
    if (module->symbol_count > 0)
        qsort(module->symbols, module->symbol_count, sizeof *module->symbols, compare);
}

void symbols_free(struct module *module)
{
    free(module->symbols);
    module->symbols = NULL;
}

const struct symbol *symbols_find(struct module *module, uint64_t pc)
{
    if (!module->is_indexed) build(module);
    size_t low = 0, high = module->symbol_count; /* the first that starts behind pc */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (module->symbols[middle].start <= pc) low = middle + 1;
        else high = middle;
    }
    const struct symbol *found = NULL;
    for (size_t i = low; i > 0 && low - i < NESTED_MAX; i--) {
        const struct symbol *at = &module->symbols[i - 1];
        bool holds = at->size == 0 ? i == low && pc < at->end : pc - at->start < at->size;
        if (holds && (found == NULL || at->start == found->start)) found = at;
        if (found != NULL && at->start != found->start) break;
    }
    return found;
}

void native_resolve(struct native *native, const struct native_frame *frame, struct frame *out)
{
    uint64_t at, back = frame->is_exact ? 0 : 1; /* a call may be the last thing in a function */
    struct module *module = modules_find(native, frame->pc - back, &at);
    *out = (struct frame){ .kind = FRAME_NATIVE, .function = "?", .module = "[no file]",
                           .offset = frame->pc, .is_runtime = true }; /* made by a runtime */
    if (module == NULL) return;
    out->module = module->name;
    out->offset = at + back - module->bias;
    const struct symbol *symbol = symbols_find(module, at);
    if (symbol != NULL) out->function = demangle(symbol->name);
    int line = 0;
    const char *file = lines_find(module, at, &line);
    if (file != NULL && line > 0) {
        out->file = text_keep(file);
        out->line = line;
    }
    out->is_runtime = runtime_owns(module->path, out->function);
}

/* Of the program itself, of the C library, and of a runtime that is a library; others are small. */
static bool is_asked_often(const struct module *module, const char *program)
{
    static const char *const names[] = { "libc.so", "libc-", "libpython", "libnode" };
    bool is_often = strcmp(module->path, program) == 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && !is_often; i++)
        is_often = strncmp(module->name, names[i], strlen(names[i])) == 0;
    return is_often;
}

void native_warm(struct native *native)
{
    char link[64], program[4096];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)native->pid);
    ssize_t length = readlink(link, program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    for (struct module *module = native->modules; module != NULL; module = module->next) {
        int line;
        if (!is_asked_often(module, program) || module->code_count == 0) continue;
        (void)symbols_find(module, module->code[0].start);
        (void)lines_find(module, module->code[0].start, &line);
    }
}

uint64_t native_symbol(struct native *native, const char *name)
{
    for (const struct module *module = native->modules; module != NULL; module = module->next) {
        int count = dwfl_module_getsymtab(module->dwfl);
        for (int i = 0; i < count; i++) {
            GElf_Sym symbol;
            GElf_Addr address;
            const char *at = dwfl_module_getsym_info(module->dwfl, i, &symbol, &address, NULL, NULL,
                                                     NULL);
            if (at != NULL && symbol.st_shndx != SHN_UNDEF && strcmp(at, name) == 0) return address;
        }
    }
    return 0;
}
