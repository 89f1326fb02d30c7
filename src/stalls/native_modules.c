/* The modules of a process: which files are mapped where, kept up to date and warm.
 *
 * The first use of a module's tables reads files and builds indexes, up to 20 ms on node: that is
 * done here, while the process runs, so that nothing of it is left for the moment in which a thread
 * stands still. Debug files are looked for only when names are wanted. */
#include <errno.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/native_parts.h"

enum { PAGE = 4096 };

static void find_code(struct module *module, Elf *elf)
{
    size_t count;
    if (elf_getphdrnum(elf, &count) != 0) return;
    for (size_t i = 0; i < count && module->code_count < SEGMENTS_MAX; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, (int)i, &header) == NULL) continue;
        if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0) continue;
        uint64_t start = module->bias + header.p_vaddr;
        module->code[module->code_count++] = (struct segment){ start, start + header.p_memsz };
    }
}

static struct module *add_module(struct native *native, Dwfl_Module *dwfl, const char *path)
{
    struct module *module = calloc(1, sizeof *module);
    if (module == NULL) return NULL;
    const char *slash = strrchr(path, '/');
    module->dwfl = dwfl;
    module->path = text_keep(path);
    module->name = text_keep(strncmp(path, "[vdso", 5) == 0 ? "[vdso]" : slash ? slash + 1 : path);
    GElf_Addr bias = 0;
    Elf *elf = dwfl_module_getelf(dwfl, &bias);
    module->bias = bias;
    if (elf != NULL) find_code(module, elf);
    module->next = native->modules;
    native->modules = module;
    return module;
}

static int see_module(Dwfl_Module *dwfl, void **slot, const char *name, Dwarf_Addr start, void *arg)
{
    (void)start;
    if (*slot == NULL) *slot = add_module(arg, dwfl, name);
    if (*slot != NULL) ((struct module *)*slot)->is_seen = true;
    return DWARF_CB_OK;
}

/* Touches every page of a section, so that none has to come from a disk later. */
static void touch(Elf_Scn *section)
{
    const Elf_Data *data = elf_rawdata(section, NULL);
    if (data == NULL || data->d_buf == NULL) return;
    const volatile unsigned char *bytes = data->d_buf;
    for (size_t at = 0; at < data->d_size; at += PAGE) (void)bytes[at];
}

static void warm(const struct module *module)
{
    GElf_Addr bias;
    Elf *elf = dwfl_module_getelf(module->dwfl, &bias);
    Dwarf_Addr table_bias;
    Dwarf_CFI *table = dwfl_module_eh_cfi(module->dwfl, &table_bias);
    if (table == NULL) (void)dwfl_module_dwarf_cfi(module->dwfl, &table_bias);
    size_t names;
    if (elf == NULL || elf_getshdrstrndx(elf, &names) != 0) return;
    for (Elf_Scn *section = elf_nextscn(elf, NULL); section != NULL;
         section = elf_nextscn(elf, section)) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) continue;
        const char *name = elf_strptr(elf, names, header.sh_name);
        if (name != NULL && strncmp(name, ".eh_frame", 9) == 0) touch(section);
    }
    Dwarf_Frame *frame = NULL;
    if (table != NULL && dwarf_cfi_addrframe(table, 0, &frame) == 0) free(frame);
}

static void drop_unseen(struct native *native)
{
    struct module **link = &native->modules;
    while (*link != NULL) {
        struct module *module = *link;
        if (module->is_seen) {
            module->is_seen = false;
            link = &module->next;
            continue;
        }
        *link = module->next;
        symbols_free(module);
        lines_free(module);
        free(module);
    }
}

static struct module *owner(struct native *native, uint64_t pc)
{
    Dwfl_Module *dwfl = dwfl_addrmodule(native->dwfl, pc);
    void **slot = NULL;
    if (dwfl == NULL) return NULL;
    if (dwfl_module_info(dwfl, &slot, NULL, NULL, NULL, NULL, NULL, NULL) == NULL) return NULL;
    return *slot;
}

/* Where the code at this offset of a file belongs; 0: nowhere. */
static uint64_t home_of(const struct module *module, uint64_t offset)
{
    GElf_Addr bias;
    size_t count = 0;
    Elf *elf = dwfl_module_getelf(module->dwfl, &bias);
    if (elf == NULL || elf_getphdrnum(elf, &count) != 0) return 0;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, (int)i, &header) == NULL || header.p_type != PT_LOAD) continue;
        uint64_t first = header.p_offset - header.p_offset % PAGE;
        if ((header.p_flags & PF_X) != 0 && offset >= first &&
            offset < header.p_offset + header.p_filesz)
            return bias + header.p_vaddr + offset - header.p_offset;
    }
    return 0;
}

static void read_alias(struct native *native, const char *line)
{
    uint64_t start, end, offset;
    if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) != 3) return;
    struct module *module = owner(native, start);
    if (module == NULL || native->alias_count == ALIASES_MAX) return;
    uint64_t home = home_of(module, offset);
    if (home == 0 || home == start) return;
    native->aliases[native->alias_count++] =
        (struct alias){ .start = start, .end = end, .home = home, .module = module };
}

static uint64_t hash_line(uint64_t hash, const char *line)
{
    for (; *line != '\0'; line++) hash = (hash ^ (unsigned char)*line) * UINT64_C(1099511628211);
    return hash;
}

/* Goes through the mapped files with code: compiled code, which comes and goes, has none. Gives a
 * number that changes with them; 0: they cannot be read. */
static uint64_t each_mapping(struct native *native, void (*visit)(struct native *, const char *))
{
    char path[64], line[4096];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)native->pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL) return 0;
    uint64_t hash = UINT64_C(14695981039346656037);
    bool is_empty = true;
    while (fgets(line, sizeof line, maps) != NULL) {
        const char *rights = strchr(line, ' ');
        if (rights == NULL || strlen(rights) < 5 || rights[3] != 'x') continue;
        if (strchr(line, '/') == NULL && strstr(line, "[vdso]") == NULL) continue;
        hash = hash_line(hash, line);
        if (visit != NULL) visit(native, line);
        is_empty = false;
    }
    fclose(maps);
    return is_empty ? 0 : hash;
}

bool modules_read(struct native *native)
{
    uint64_t hash = each_mapping(native, NULL);
    files_begin(native->pid); /* also for what libdw opens later, on this thread */
    if (hash == 0) return false;
    if (hash == native->maps_hash) return true;
    native->maps_hash = hash;
    rules_forget(native); /* before the tables that they point into go */
    native->alias_count = 0;
    dwfl_report_begin(native->dwfl); /* those that are reported again keep what was read of them */
    int failed = dwfl_linux_proc_report(native->dwfl, native->pid);
    if (dwfl_report_end(native->dwfl, NULL, NULL) != 0 || failed != 0) {
        errno = failed > 0 ? failed : errno;
        return false;
    }
    const struct module *known = native->modules;
    dwfl_getmodules(native->dwfl, see_module, native, 0);
    for (const struct module *at = native->modules; at != known; at = at->next) warm(at);
    drop_unseen(native);
    (void)each_mapping(native, read_alias);
    return true;
}

void modules_free(struct native *native)
{
    drop_unseen(native); /* none is seen outside modules_read() */
}

struct module *modules_find(struct native *native, uint64_t pc, uint64_t *home)
{
    struct module *module = owner(native, pc);
    *home = pc;
    for (int i = 0; module != NULL && i < module->code_count; i++)
        if (pc >= module->code[i].start && pc < module->code[i].end) return module;
    for (int i = 0; i < native->alias_count; i++) {
        const struct alias *alias = &native->aliases[i];
        if (pc < alias->start || pc >= alias->end) continue;
        *home = alias->home + (pc - alias->start);
        return alias->module;
    }
    return NULL; /* libdw gives every gap to the module before it */
}
