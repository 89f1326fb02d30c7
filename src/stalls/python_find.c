/* Finds _PyRuntime: by its symbol in the executable or in a libpython, or by the section that
 * it has of its own since 3.10. The version is what Py_Version says (since 3.11); before that,
 * what the file is called, or what it calls its modules. */
#include "stalls/python_find.h"

#include <errno.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stalls/maps.h"
#include "stalls/task.h"

enum { SYMBOLS_MAX = 1 << 22 };

/* What one ELF file tells; addresses as they are linked. */
struct image {
    Elf *elf;
    uint64_t runtime, version; /* 0: not in it */
    bool is_wide;              /* of 64 bits */
    uint64_t bias;
};

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void note_symbol(struct image *image, const char *name, uint64_t value)
{
    if (name == NULL) return;
    if (strcmp(name, "_PyRuntime") == 0) image->runtime = value;
    if (strcmp(name, "Py_Version") == 0) image->version = value;
}

static void read_symbols(struct image *image, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    if (data == NULL || header->sh_entsize == 0) return;
    size_t count = header->sh_size / header->sh_entsize;
    for (size_t i = 0; i < count && i < SYMBOLS_MAX; i++) {
        GElf_Sym symbol;
        if (gelf_getsym(data, (int)i, &symbol) == NULL) return;
        if (symbol.st_shndx == SHN_UNDEF || GELF_ST_TYPE(symbol.st_info) != STT_OBJECT) continue;
        const char *name = elf_strptr(image->elf, header->sh_link, symbol.st_name);
        note_symbol(image, name, symbol.st_value);
    }
}

static void read_sections(struct image *image)
{
    size_t names;
    if (elf_getshdrstrndx(image->elf, &names) != 0) return;
    for (Elf_Scn *section = NULL; (section = elf_nextscn(image->elf, section)) != NULL;) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) continue;
        const char *name = elf_strptr(image->elf, names, header.sh_name);
        bool has_symbols = header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB;
        if (has_symbols) read_symbols(image, section, &header);
        else if (name != NULL && strcmp(name, ".PyRuntime") == 0 && image->runtime == 0)
            image->runtime = header.sh_addr;
    }
}

/* How far from where it was linked the file is mapped: told by the segment that the mapping
 * begins. */
static void read_bias(struct image *image, const struct mapping *mapping)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    size_t count;
    if (elf_getphdrnum(image->elf, &count) != 0) return;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(image->elf, (int)i, &header) == NULL || header.p_type != PT_LOAD) continue;
        if (header.p_offset / page * page != mapping->offset) continue;
        image->bias = mapping->start - header.p_vaddr / page * page;
        return;
    }
}

/* The N of a text with "python3.N" in it, 0: it has none. */
static int minor_in(const char *text)
{
    const char *at = strstr(text, "python3.");
    return at == NULL ? 0 : (int)strtol(at + 8, NULL, 10);
}

/* The same from what names the files of compiled modules, "cpython-39", which is inside each
 * CPython. */
static int minor_inside(Elf *elf)
{
    size_t bytes = 0;
    const char *raw = elf_rawfile(elf, &bytes);
    const char *end = raw + bytes;
    for (const char *at = raw; raw != NULL && end - at > 16; at++) {
        at = memmem(at, (size_t)(end - at) - 16, "cpython-3", 9);
        if (at == NULL) return 0;
        char digits[8] = "", *rest;
        memcpy(digits, at + 9, sizeof digits - 1);
        int minor = (int)strtol(digits, &rest, 10);
        if (minor > 0 && (*rest == '\0' || *rest == '-')) return minor;
    }
    return 0;
}

static void tell_version(pid_t pid, const struct image *image, const char *path,
                         struct python_place *out)
{
    unsigned long version = 0;
    uint64_t version_at = image->bias + image->version;
    if (image->version != 0 && task_memory(pid, version_at, &version, sizeof version)) {
        out->major = (int)(version >> 24 & 0xff);
        out->minor = (int)(version >> 16 & 0xff);
        return;
    }
    int minor = minor_in(base_of(path));
    if (minor == 0) minor = minor_inside(image->elf);
    if (minor == 0) return;
    out->major = 3;
    out->minor = minor;
}

/* Looks into one file. */
static bool look_into(const struct maps *maps, const struct mapping *mapping,
                      struct python_place *out)
{
    int fd = maps_open_file(maps, mapping);
    if (fd < 0) return false;
    bool is_found = false;
    struct image image = { .elf = elf_begin(fd, ELF_C_READ_MMAP, NULL) };
    if (image.elf != NULL && elf_kind(image.elf) == ELF_K_ELF) {
        image.is_wide = gelf_getclass(image.elf) == ELFCLASS64;
        if (image.is_wide) read_sections(&image);
        if (image.runtime != 0) {
            read_bias(&image, mapping);
            out->runtime = image.bias + image.runtime;
            tell_version(maps->pid, &image, mapping->path, out);
            is_found = true;
        }
    }
    elf_end(image.elf);
    close(fd);
    return is_found;
}

/* Goes through the mapped files, each once. */
static bool search(struct maps *maps, struct python_place *out, char *old, size_t room)
{
    char last[PATH_MAX] = "";
    struct mapping mapping;
    while (maps_next(maps, &mapping)) {
        bool is_library = strncmp(base_of(mapping.path), "libpython", 9) == 0;
        bool is_new = strcmp(mapping.path, last) != 0;
        snprintf(last, sizeof last, "%s", mapping.path);
        if (!is_new || (!mapping.is_program && !is_library)) continue;
        if (look_into(maps, &mapping, out)) return true;
        if (is_library) snprintf(old, room, "%s", base_of(mapping.path));
    }
    return false;
}

bool python_find(pid_t pid, struct python_place *out, char *why, size_t room)
{
    char old[PATH_MAX] = "";
    struct maps maps;
    *out = (struct python_place){ 0 };
    why[0] = '\0';
    elf_version(EV_CURRENT);
    if (!maps_open(&maps, pid)) {
        snprintf(why, room, "process %d: %s", (int)pid, strerror(errno));
        return false;
    }
    bool is_found = search(&maps, out, old, sizeof old);
    maps_close(&maps);
    /* libpython3.so only forwards to another one: it says nothing by itself. */
    if (!is_found && old[0] != '\0' && strncmp(old, "libpython3.so", 13) != 0)
        snprintf(why, room, "%.200s: a Python that is older than 3.7", old);
    return is_found;
}
