/* From an address to a name; see symbol.h. */
#include "base/symbol.h"

#include <dlfcn.h>
#include <hark/api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "calls.h"

/* As elfutils/libdwfl.h has them; their types are only passed on. */
struct dwfl_callbacks {
    void (*find_elf)(void);
    int (*find_debuginfo)(void);
    void (*section_address)(void);
    char **debuginfo_path;
};

static struct {
    bool is_tried, has_all;
    void *dwfl;                 /* what it has read; holds files open */
    struct dwfl_callbacks callbacks;
    void *(*begin)(const struct dwfl_callbacks *);
    void (*end)(void *);
    void (*report_begin)(void *);
    int (*proc_report)(void *, pid_t);
    int (*report_end)(void *, void *, void *);
    void *(*addrmodule)(void *, uint64_t);
    const char *(*addrname)(void *, uint64_t);
    void *(*getsrc)(void *, uint64_t);
    const char *(*lineinfo)(void *, uint64_t *, int *, int *, uint64_t *, uint64_t *);
} dw;

/* It gets eight arguments, and looks at none. */
static int no_other_file(void) { return -1; }

static bool find(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found); /* ISO C knows no such conversion */
    return found != NULL;
}

static void report_modules(void)
{
    (void)dw.proc_report(dw.dwfl, getpid());
    (void)dw.report_end(dw.dwfl, NULL, NULL);
}

static void load_libdw(void)
{
    dw.is_tried = true;
    if (call_is_linked_statically()) return; /* linked statically: a second libc would come along */
    void *lib = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (lib == NULL) return;
    dw.has_all = find(lib, "dwfl_begin", &dw.begin) &&
        find(lib, "dwfl_end", &dw.end) &&
        find(lib, "dwfl_report_begin", &dw.report_begin) &&
        find(lib, "dwfl_linux_proc_report", &dw.proc_report) &&
        find(lib, "dwfl_report_end", &dw.report_end) &&
        find(lib, "dwfl_addrmodule", &dw.addrmodule) &&
        find(lib, "dwfl_module_addrname", &dw.addrname) &&
        find(lib, "dwfl_module_getsrc", &dw.getsrc) &&
        find(lib, "dwfl_lineinfo", &dw.lineinfo) &&
        find(lib, "dwfl_linux_proc_find_elf", &dw.callbacks.find_elf);
    dw.callbacks.find_debuginfo = no_other_file;
}

static void open_libdw(void)
{
    if (!dw.is_tried) load_libdw();
    if (!dw.has_all || dw.dwfl != NULL) return;
    dw.dwfl = dw.begin(&dw.callbacks);
    if (dw.dwfl != NULL) report_modules();
}

void symbol_close(void)
{
    if (dw.dwfl != NULL) dw.end(dw.dwfl);
    dw.dwfl = NULL;
}

/* The module of an address; those that were loaded since are looked for once a second at most. */
static void *find_module(uintptr_t at)
{
    static int64_t looked_ns;
    if (dw.dwfl == NULL) return NULL;
    void *module = dw.addrmodule(dw.dwfl, at);
    if (module != NULL || clock_read() - looked_ns < HARK_SECOND) return module;
    looked_ns = clock_read();
    dw.report_begin(dw.dwfl);
    report_modules();
    return dw.addrmodule(dw.dwfl, at);
}

/* C++ names as they are written, if the program brings the function for it. */
static void copy_name(const char *name, char *text, size_t room)
{
    static char *(*demangle)(const char *, char *, size_t *, int *);
    int status = -1;
    char *plain = NULL;
    if (strncmp(name, "_Z", 2) == 0 && find(RTLD_DEFAULT, "__cxa_demangle", &demangle))
        plain = demangle(name, NULL, NULL, &status);
    snprintf(text, room, "%s", plain != NULL && status == 0 ? plain : name);
    free(plain);
}

/* Function, file and line by debug information. */
static bool find_by_libdw(uintptr_t at, struct symbol *symbol)
{
    void *module = find_module(at);
    const char *name = module != NULL ? dw.addrname(module, at) : NULL;
    if (name == NULL) return false;
    void *source = dw.getsrc(module, at);
    copy_name(name, symbol->function, sizeof symbol->function);
    if (source != NULL)
        symbol->file = dw.lineinfo(source, NULL, &symbol->line, NULL, NULL, NULL);
    return true;
}

void symbol_find(uintptr_t at, struct symbol *symbol)
{
    Dl_info info;
    bool is_mapped = dladdr((void *)at, &info) != 0 && info.dli_fname != NULL;
    *symbol = (struct symbol){ .module = is_mapped ? symbol_base_name(info.dli_fname) : NULL };
    if (is_mapped) symbol->offset = at - (uintptr_t)info.dli_fbase;
    open_libdw();
    if (find_by_libdw(at, symbol) || !is_mapped || info.dli_sname == NULL) return;
    copy_name(info.dli_sname, symbol->function, sizeof symbol->function);
    symbol->offset = at - (uintptr_t)info.dli_saddr;
    symbol->is_offset_in_function = true;
}
