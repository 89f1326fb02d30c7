/* The one place where the library ends the process: the caller broke a promise of its own. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void check_failed(const char *promise, const char *file, int line)
{
    const char *slash = strrchr(file, '/');
    fprintf(stderr, "hark: misuse: %s (%s:%d)\n", promise, slash != NULL ? slash + 1 : file, line);
    abort();
}
