/* Pages of memory as <sys/mman.h> tells of them. */
#include <errno.h>
#include <sys/mman.h>
#include <windows.h>

#include <psapi.h>

enum { PAGE_SIZE_HERE = 4096 }; /* of x86-64 */

static DWORD mode_of(int protection)
{
    if (protection == PROT_NONE) return PAGE_NOACCESS;
    return protection & PROT_WRITE ? PAGE_READWRITE : PAGE_READONLY;
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, long long offset)
{
    (void)flags, (void)fd, (void)offset;
    void *pages = VirtualAlloc(at, bytes, MEM_RESERVE | MEM_COMMIT, mode_of(protection));
    if (pages != NULL) return pages;
    errno = ENOMEM;
    return MAP_FAILED;
}

int munmap(void *at, size_t bytes)
{
    (void)bytes;
    return VirtualFree(at, 0, MEM_RELEASE) ? 0 : -1;
}

int mprotect(void *at, size_t bytes, int protection)
{
    DWORD before;
    if (VirtualProtect(at, bytes, mode_of(protection), &before)) return 0;
    errno = ENOMEM;
    return -1;
}

int madvise(void *at, size_t bytes, int advice)
{
    (void)at, (void)bytes, (void)advice;
    errno = EINVAL;
    return -1;
}

int mincore(void *at, size_t bytes, unsigned char *there)
{
    for (size_t i = 0; i < bytes / PAGE_SIZE_HERE; i++) {
        PSAPI_WORKING_SET_EX_INFORMATION page = { 0 };
        page.VirtualAddress = (char *)at + i * PAGE_SIZE_HERE;
        if (!QueryWorkingSetEx(GetCurrentProcess(), &page, sizeof page)) {
            errno = ENOSYS;
            return -1;
        }
        there[i] = page.VirtualAttributes.Valid;
    }
    return 0;
}
