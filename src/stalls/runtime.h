/* Which native functions are nobody's fault. */
#ifndef STALLS_RUNTIME_H
#define STALLS_RUNTIME_H

#include <stdbool.h>

/* Tells whether a function belongs to the C library, to a language's runtime or to an event loop:
 * then it is its caller that holds the loop. module: the file's path. */
bool runtime_owns(const char *module, const char *function);

#endif
