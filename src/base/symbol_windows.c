/* From an address to a name, by dbghelp.dll; see symbol.h. It knows what libraries export and, of
 * debug information, what it can read. It is given a handle of its own for this process, so that
 * what a program has told it for itself stays apart. */
#include <stdio.h>
#include <string.h>
#include <winsock2.h>
#include <windows.h>

#include <dbghelp.h>

#include "base/symbol.h"

enum { NAME_ROOM = 256 };

static struct {
    bool is_tried;
    HANDLE process;             /* NULL: there is nobody to ask */
    DWORD options_before;       /* they are for all who use it */
    BOOL (WINAPI *begin)(HANDLE process, const char *paths, BOOL with_modules);
    BOOL (WINAPI *end)(HANDLE process);
    DWORD (WINAPI *options)(void);
    DWORD (WINAPI *set_options)(DWORD options);
    DWORD64 (WINAPI *load)(HANDLE process, HANDLE file, const WCHAR *path, const WCHAR *name,
                           DWORD64 base, DWORD bytes, void *data, DWORD flags);
    BOOL (WINAPI *from_address)(HANDLE process, DWORD64 at, DWORD64 *offset, SYMBOL_INFO *symbol);
    BOOL (WINAPI *line)(HANDLE process, DWORD64 at, DWORD *offset, IMAGEHLP_LINE64 *line);
} dbg;

static bool find(HMODULE library, const char *name, void *function)
{
    FARPROC found = GetProcAddress(library, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

static void open_dbghelp(void)
{
    if (dbg.is_tried) return;
    dbg.is_tried = true;
    HMODULE library = LoadLibraryExW(L"dbghelp.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    HANDLE self = GetCurrentProcess(), own;
    bool has_all = library != NULL && find(library, "SymInitialize", &dbg.begin) &&
        find(library, "SymCleanup", &dbg.end) &&
        find(library, "SymGetOptions", &dbg.options) &&
        find(library, "SymSetOptions", &dbg.set_options) &&
        find(library, "SymLoadModuleExW", &dbg.load) &&
        find(library, "SymFromAddr", &dbg.from_address) &&
        find(library, "SymGetLineFromAddr64", &dbg.line);
    if (!has_all || !DuplicateHandle(self, self, self, &own, 0, FALSE, DUPLICATE_SAME_ACCESS))
        return;
    dbg.options_before = dbg.options();
    (void)dbg.set_options(dbg.options_before | SYMOPT_LOAD_LINES);
    if (dbg.begin(own, NULL, FALSE)) dbg.process = own;
    else CloseHandle(own);
}

void symbol_close(void)
{
    if (dbg.process != NULL) {
        (void)dbg.end(dbg.process);
        (void)dbg.set_options(dbg.options_before);
        CloseHandle(dbg.process);
    }
    dbg.process = NULL;
    dbg.is_tried = false;
}

/* The file of the module that an address lies in, by its name alone. */
static const char *find_module(uintptr_t at, uintptr_t *base, WCHAR path[MAX_PATH])
{
    static char name[3 * MAX_PATH];
    HMODULE module;
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                                GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                            (const WCHAR *)at, &module))
        return NULL;
    *base = (uintptr_t)module;
    DWORD len = GetModuleFileNameW(module, path, MAX_PATH);
    if (len == 0 || len == MAX_PATH) return "?";
    int bytes = WideCharToMultiByte(CP_UTF8, 0, path, -1, name, sizeof name, NULL, NULL);
    return bytes > 0 ? symbol_base_name(name) : "?";
}

static void find_line(uintptr_t at, struct symbol *symbol)
{
    static char file[512];
    IMAGEHLP_LINE64 line = { .SizeOfStruct = sizeof line };
    DWORD offset;
    if (!dbg.line(dbg.process, at, &offset, &line) || line.FileName == NULL) return;
    snprintf(file, sizeof file, "%s", line.FileName);
    symbol->file = file;
    symbol->line = (int)line.LineNumber;
}

void symbol_find(uintptr_t at, struct symbol *symbol)
{
    union { SYMBOL_INFO info; char room[sizeof(SYMBOL_INFO) + NAME_ROOM]; } found = { 0 };
    uintptr_t base = 0;
    WCHAR path[MAX_PATH] = { 0 };
    DWORD64 offset = 0;
    *symbol = (struct symbol){ .module = find_module(at, &base, path) };
    if (symbol->module == NULL) return;
    symbol->offset = at - base;
    open_dbghelp();
    if (dbg.process == NULL) return;
    (void)dbg.load(dbg.process, NULL, path, NULL, base, 0, NULL, 0); /* or it has been before */
    found.info.SizeOfStruct = sizeof found.info;
    found.info.MaxNameLen = NAME_ROOM;
    if (!dbg.from_address(dbg.process, at, &offset, &found.info)) return;
    snprintf(symbol->function, sizeof symbol->function, "%s", found.info.Name);
    symbol->offset = (uintptr_t)offset;
    symbol->is_offset_in_function = true;
    find_line(at, symbol);
}
