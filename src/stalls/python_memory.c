/* Reading another process's memory by process_vm_readv. */
#include "stalls/python_memory.h"

#include <string.h>
#include <sys/uio.h>

#include "stalls/task.h"

enum { GATHER_MAX = 128 };

void python_memory_forget(struct python_memory *memory)
{
    memset(memory->addresses, 0, sizeof memory->addresses);
}

bool python_memory_copy(const struct python_memory *memory, uint64_t address, void *out,
                        size_t bytes)
{
    return task_memory(memory->pid, address, out, bytes);
}

/* The page that begins at the address; NULL: not mapped. */
static const unsigned char *fetch(struct python_memory *memory, uint64_t address)
{
    size_t slot = address / MEMORY_PAGE % MEMORY_PAGES;
    if (address == 0) return NULL;
    if (memory->addresses[slot] == address) return memory->pages[slot];
    memory->addresses[slot] = 0;
    if (!python_memory_copy(memory, address, memory->pages[slot], MEMORY_PAGE)) return NULL;
    memory->addresses[slot] = address;
    return memory->pages[slot];
}

bool python_memory_peek(struct python_memory *memory, uint64_t address, void *out, size_t bytes)
{
    unsigned char *to = out;
    while (bytes > 0) {
        size_t offset = address % MEMORY_PAGE;
        size_t part = MEMORY_PAGE - offset;
        if (part > bytes) part = bytes;
        const unsigned char *page = fetch(memory, address - offset);
        if (page == NULL) return false;
        memcpy(to, page + offset, part);
        to += part;
        address += part;
        bytes -= part;
    }
    return true;
}

uint64_t python_memory_pointer(struct python_memory *memory, uint64_t address)
{
    uint64_t value = 0;
    return python_memory_peek(memory, address, &value, sizeof value) ? value : 0;
}

void python_memory_gather(const struct python_memory *memory, const uint64_t *addresses, int count,
                          size_t bytes, unsigned char *out)
{
    memset(out, 0, (size_t)count * bytes);
    struct iovec remote[GATHER_MAX];
    for (int done = 0; done < count;) {
        int part = count - done < GATHER_MAX ? count - done : GATHER_MAX;
        for (int i = 0; i < part; i++)
            remote[i] = (struct iovec){ (void *)(uintptr_t)addresses[done + i], bytes };
        struct iovec local = { out + (size_t)done * bytes, (size_t)part * bytes };
        ssize_t got = process_vm_readv(memory->pid, &local, 1, remote, (unsigned long)part, 0);
        if (got < 0) got = 0;
        int whole = (int)((size_t)got / bytes);
        /* It stops at the first that is not mapped, perhaps in the middle of one. */
        if (whole < part) {
            memset(out + (size_t)(done + whole) * bytes, 0, bytes);
            whole++;
        }
        done += whole;
    }
}
