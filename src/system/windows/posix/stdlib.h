/* <stdlib.h> of the C library, with the environment as POSIX changes it. */
#ifndef HARK_WINDOWS_STDLIB_H
#define HARK_WINDOWS_STDLIB_H

#include_next <stdlib.h>

static inline int setenv(const char *name, const char *value, int overwrites)
{
    return !overwrites && getenv(name) != NULL ? 0 : (int)_putenv_s(name, value);
}

static inline int unsetenv(const char *name) { return (int)_putenv_s(name, ""); }

#endif
