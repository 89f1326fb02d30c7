/* Another process's memory, read in blocks: a walk up a stack asks for a hundred words that lie
 * together, and one system call brings them. */
#include <string.h>
#include <sys/uio.h>

#include "stalls/native_parts.h"

enum { PAGE = 4096, PAGES = MEMORY_BLOCK / PAGE };

void memory_init(struct memory *memory, pid_t pid)
{
    memory->pid = pid;
    memory->length = 0;
}

void memory_forget(struct memory *memory)
{
    memory->length = 0;
}

static uint64_t page_of(uint64_t address)
{
    return address - address % PAGE;
}

/* A piece for each page: the kernel gives whole pieces, and the stack may end in the middle. */
static bool fill(struct memory *memory, uint64_t address)
{
    struct iovec local = { memory->bytes, MEMORY_BLOCK }, remote[PAGES];
    uint64_t base = address - address % 8;
    uint64_t at = base;
    uint64_t end = page_of(base) + MEMORY_BLOCK;
    int count = 0;
    while (at < end && count < PAGES) {
        uint64_t next = page_of(at) + PAGE;
        remote[count++] = (struct iovec){ (void *)(uintptr_t)at, next - at };
        at = next;
    }
    ssize_t got = process_vm_readv(memory->pid, &local, 1, remote, (unsigned long)count, 0);
    memory->base = base;
    memory->length = got > 0 ? (size_t)got : 0;
    return memory->length >= 8;
}

bool memory_word(struct memory *memory, uint64_t address, uint64_t *out)
{
    bool is_here = memory->length >= 8 && address >= memory->base &&
                   address - memory->base <= memory->length - 8;
    if (!is_here && (!fill(memory, address) || address - memory->base > memory->length - 8))
        return false;
    memcpy(out, memory->bytes + (address - memory->base), 8);
    return true;
}
