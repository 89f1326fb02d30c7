/* Another process's memory, read while it runs: nothing that comes from here may be trusted. */
#ifndef STALLS_PYTHON_MEMORY_H
#define STALLS_PYTHON_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MEMORY_PAGE = 4096, MEMORY_PAGES = 64 };

/* Whole pages are kept for one look, since what a look reads lies close together: one call
 * fetches what would be ten. A look begins with python_memory_forget(). */
struct python_memory {
    pid_t pid;
    uint64_t addresses[MEMORY_PAGES]; /* 0: nothing is kept here */
    unsigned char pages[MEMORY_PAGES][MEMORY_PAGE];
};

void python_memory_forget(struct python_memory *memory);

/* Reads through the kept pages. False: it is not mapped. */
bool python_memory_peek(struct python_memory *memory, uint64_t address, void *out, size_t bytes);
/* The same for an address that is kept there; 0: there is none. */
uint64_t python_memory_pointer(struct python_memory *memory, uint64_t address);

/* Reads as it is now, past the kept pages. */
bool python_memory_copy(const struct python_memory *memory, uint64_t address, void *out,
                        size_t bytes);

/* Reads `bytes` from each of the addresses, with as few calls as can be, into out[i * bytes];
 * what is not mapped is given as zeros. */
void python_memory_gather(const struct python_memory *memory, const uint64_t *addresses, int count,
                          size_t bytes, unsigned char *out);

#endif
