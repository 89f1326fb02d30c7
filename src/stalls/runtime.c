/* Which native functions are nobody's fault: two tables, by module and by the beginning of a
 * name. A name counts in every module, since loops and runtimes are linked in statically as often
 * as not. */
#include <stddef.h>
#include <string.h>

#include "stalls/runtime.h"

/* Beginnings of file names; a version may follow. */
static const char *const modules[] = {
    "libc.so", "libc-", "libc.musl", "libpthread", "ld-linux", "ld-musl", "ld-2", "libm.so",
    "librt.so", "libdl.so", "libresolv", "libnss_", "libanl", "libgcc_s", "libstdc++", "libc++",
    "libuv.so", "libevent", "libev.so", "liburing", "libhark", "[vdso",
    "libnode", "libv8", "python3", "libpython3",
};

/* Parts of paths: modules that come with a runtime. */
static const char *const paths[] = { "/lib-dynload/", "/uvloop/" };

/* Beginnings of function names. */
static const char *const functions[] = {
    "uv_", "uv__", "event_base_", "event_process_", "epoll_dispatch", "ev_run", "ev_invoke_pending",
    "hark_", "v8::", "node::", "Builtins_", "std::", "__gnu_cxx::", "core::", "alloc::", "tokio::",
    "mio::", "_PyEval_", "PyEval_", "_PyObject_", "PyObject_", "_PyFunction_", "cfunction_",
    "method_vectorcall", "gen_send_ex", "pymain_", "Py_RunMain", "Py_BytesMain", "_start",
    "__libc_", "__libc_start_", "start_thread", "clone3", "__restore_rt",
};

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

bool runtime_owns(const char *module, const char *function)
{
    const char *slash = strrchr(module, '/');
    const char *name = slash != NULL ? slash + 1 : module;
    if (strcmp(name, "node") == 0 || strcmp(name, "nodejs") == 0) return true;
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++)
        if (begins_with(name, modules[i])) return true;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (strstr(module, paths[i]) != NULL) return true;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (begins_with(function, functions[i])) return true;
    return false;
}
