/* The first steps on a new stack by the conventions of Windows, whose thread block says where the
 * stack lies; see switch.h. */
#include "fiber/switch.h"

#include <stdint.h>

/* A new stack begins with the argument, the entry, and its two ends. */
void switch_begin(void);

__asm__(".text\n"
        ".globl switch_begin\n"
        "switch_begin:\n"
        "    movq 16(%rsp), %rax\n"
        "    movq %rax, %gs:0x10\n"
        "    movq %rax, %gs:0x1478\n"
        "    movq 24(%rsp), %rax\n"
        "    movq %rax, %gs:0x08\n"
        "    movq 0(%rsp), %rcx\n"
        "    movq 8(%rsp), %rax\n"
        "    subq $32, %rsp\n" /* the callee's to use */
        "    callq *%rax\n"
        "    ud2\n");

void switch_prepare(struct point *point, char *low, char *high, void (*entry)(void *), void *arg)
{
    struct { void *arg; void (*entry)(void *); char *low, *high; } *first =
        (void *)(high - sizeof *first);
    first->arg = arg;
    first->entry = entry;
    first->low = low;
    first->high = high;
    point->stack = first;
    point->frame = NULL;
    point->at = (void *)(uintptr_t)switch_begin;
}
