/* The first steps on a new stack by the conventions of Windows, whose thread block says where the
 * stack lies; see switch.h. */
#include "fiber/switch.h"

#include <stdint.h>

/* A new stack begins with the argument, the entry, and its two ends. To a walk of it they are what
 * the function has allocated, and above them it finds a return address of 0: nobody called. */
void switch_begin(void);

__asm__(".text\n"
        ".globl switch_begin\n"
        ".def switch_begin; .scl 2; .type 32; .endef\n"
        ".seh_proc switch_begin\n"
        "switch_begin:\n"
        ".seh_stackalloc 64\n"
        ".seh_endprologue\n"
        "    movq 48(%rsp), %rax\n"
        "    movq %rax, %gs:0x10\n"
        "    movq %rax, %gs:0x1478\n"
        "    movq 56(%rsp), %rax\n"
        "    movq %rax, %gs:0x08\n"
        "    movq 32(%rsp), %rcx\n"
        "    movq 40(%rsp), %rax\n"
        "    callq *%rax\n"
        "    ud2\n"
        ".seh_endproc\n");

void switch_prepare(struct point *point, char *low, char *high, void (*entry)(void *), void *arg)
{
    struct {
        char home[32]; /* the callee's to use */
        void *arg;
        void (*entry)(void *);
        char *low, *high;
        void *caller, *unused; /* a stack is aligned to 16 bytes */
    } *first = (void *)(high - sizeof *first);
    first->arg = arg;
    first->entry = entry;
    first->low = low;
    first->high = high;
    first->caller = NULL;
    point->stack = first;
    point->frame = NULL;
    point->at = (void *)(uintptr_t)switch_begin;
}
