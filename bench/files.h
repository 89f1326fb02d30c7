/* The files benchmark: cached 4 KiB reads, 32 in flight. files.c measures, each files_LIBRARY.c
 * reads. */
#ifndef BENCH_FILES_H
#define BENCH_FILES_H

#include <stdint.h>

enum { FILES_IN_FLIGHT = 32, FILES_BYTES = 4096 };

/* Opens the loop and the file. */
void files_open(const char *path);

/* Reads count times at positions of its choice among `blocks`, FILES_IN_FLIGHT at a time. */
void files_read(uint64_t count, uint64_t blocks);

/* The position of the next read: each block in turn, far from the one before. */
static inline int64_t files_next(uint64_t *at, uint64_t blocks)
{
    *at = (*at + 1031) % blocks;
    return (int64_t)*at * FILES_BYTES;
}

_Noreturn void files_die(const char *what);

#endif
