/* A name as text; see symbol.h. */
#include <stdio.h>

#include "base/symbol.h"
#include "calls.h"

const char *symbol_base_name(const char *path)
{
    const char *name = call_folder_end(path);
    return name != NULL ? name : path;
}

size_t symbol_print(uintptr_t at, char *text, size_t room)
{
    struct symbol symbol;
    symbol_find(at, &symbol);
    int len;
    if (symbol.module == NULL && symbol.function[0] == '\0')
        len = snprintf(text, room, "0x%zx", (size_t)at);
    else if (symbol.function[0] == '\0')
        len = snprintf(text, room, "%s+0x%zx", symbol.module, (size_t)symbol.offset);
    else if (symbol.file != NULL)
        len = snprintf(text, room, "%s (%s:%d)", symbol.function, symbol_base_name(symbol.file),
                       symbol.line);
    else if (symbol.is_offset_in_function)
        len = snprintf(text, room, "%s+0x%zx (%s)", symbol.function, (size_t)symbol.offset,
                       symbol.module);
    else
        len = snprintf(text, room, "%s (%s)", symbol.function,
                       symbol.module != NULL ? symbol.module : "?");
    return len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1;
}
