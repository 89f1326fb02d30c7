/* <sys/mman.h>: pages of memory, and nothing of files. */
#ifndef HARK_WINDOWS_SYS_MMAN_H
#define HARK_WINDOWS_SYS_MMAN_H

#include <stddef.h>

enum { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2 };
enum { MAP_PRIVATE = 0, MAP_ANONYMOUS = 0, MAP_NORESERVE = 0, MAP_STACK = 0 };
enum { MADV_NOHUGEPAGE = 1 };

/* Names of their own for the linker: a program that links hark may have such functions, too. */
#define mmap(at, bytes, mode, flags, fd, offset) system_mmap(at, bytes, mode, flags, fd, offset)
#define munmap(at, bytes) system_munmap(at, bytes)
#define mprotect(at, bytes, mode) system_mprotect(at, bytes, mode)
#define madvise(at, bytes, advice) system_madvise(at, bytes, advice)
#define mincore(at, bytes, there) system_mincore(at, bytes, there)

#define MAP_FAILED ((void *)-1)

/* New pages; they take memory as they are touched, but are charged for at once. */
void *mmap(void *at, size_t bytes, int protection, int flags, int fd, long long offset);
int munmap(void *at, size_t bytes);
int mprotect(void *at, size_t bytes, int protection);

/* None of what it is asked for can be had: -1. */
int madvise(void *at, size_t bytes, int advice);

/* Which pages were touched. */
int mincore(void *at, size_t bytes, unsigned char *there);

#endif
