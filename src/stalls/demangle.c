/* Names as their authors wrote them: by libiberty, which knows C++ and both manglings of Rust. Only
 * names that look mangled go there: its automatic mode would take some plain C names for others. */
#include <stdlib.h>
#include <string.h>

#ifdef HARK_WITH_LIBIBERTY
#include <libiberty/demangle.h>
#endif

#include "stalls/demangle.h"
#include "stalls/stalls.h"

enum { NAME_MAX_BYTES = 512 };

/* What compilers append when they split or copy a function. */
static const char *const additions[] = {
    ".cold", ".part.", ".constprop.", ".isra.", ".lto_priv.", ".llvm.", "@", " [clone "
};

static const char *keep_plain(const char *name)
{
    char text[NAME_MAX_BYTES];
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof additions / sizeof additions[0]; i++) {
        const char *at = strstr(name, additions[i]);
        if (at != NULL && at != name && (size_t)(at - name) < length) length = (size_t)(at - name);
    }
    if (length >= sizeof text) length = sizeof text - 1;
    memcpy(text, name, length);
    text[length] = '\0';
    return text_keep(text);
}

#ifdef HARK_WITH_LIBIBERTY
const char *demangle(const char *symbol)
{
    bool is_mangled = strncmp(symbol, "_Z", 2) == 0 || strncmp(symbol, "_R", 2) == 0;
    char *name = is_mangled ? cplus_demangle(symbol, DMGL_AUTO | DMGL_ANSI) : NULL;
    if (name == NULL) return keep_plain(symbol);
    const char *kept = keep_plain(name);
    free(name);
    return kept;
}
#else
const char *demangle(const char *symbol)
{
    return keep_plain(symbol);
}
#endif
