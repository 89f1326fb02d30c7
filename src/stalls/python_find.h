/* Finds the Python in a process: where its _PyRuntime is, and which version it is. */
#ifndef STALLS_PYTHON_FIND_H
#define STALLS_PYTHON_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct python_place {
    uint64_t runtime;         /* address of _PyRuntime */
    int major, minor;         /* 0: not known */
};

/* Looks into the executable and every libpython that is mapped. False: there is none, or (why
 * is not empty) none that can be used. */
bool python_find(pid_t pid, struct python_place *out, char *why, size_t room);

#endif
