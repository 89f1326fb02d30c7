/* The first steps on a new stack; and, where there is no assembly, the switch by ucontext(3). See
 * switch.h. */
#include "fiber/switch.h"

#include <stdint.h>

#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(HARK_SWITCH_UCONTEXT)

/* A new stack begins with the argument and the entry on it. There is no caller: unwinding ends. */
void switch_begin(void) __attribute__((visibility("hidden")));

/* How a function begins and ends in an object file of ELF, and in one of Mach-O. */
#ifdef __ELF__
#define BEGIN(type)                          \
    ".text\n"                                \
    ".globl switch_begin\n"                  \
    ".hidden switch_begin\n"                 \
    ".type switch_begin, " type "function\n" \
    "switch_begin:\n"
#define END ".size switch_begin, . - switch_begin\n"
#else
#define BEGIN(type)                    \
    ".text\n"                          \
    ".globl _switch_begin\n"           \
    ".private_extern _switch_begin\n"  \
    ".p2align 2\n"                     \
    "_switch_begin:\n"
#define END ""
#endif

#if defined(__x86_64__)
__asm__(BEGIN("@")
        "    .cfi_startproc\n"
        "    .cfi_undefined %rip\n"
        "    movq 0(%rsp), %rdi\n"
        "    callq *8(%rsp)\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        END);
#else
__asm__(BEGIN("%")
        "    .cfi_startproc\n"
        "    .cfi_undefined x30\n"
        "    hint #36\n" /* bti j */
        "    ldp x0, x1, [sp]\n"
        "    blr x1\n"
        "    brk #0\n"
        "    .cfi_endproc\n"
        END);
#endif

void switch_prepare(struct point *point, char *low, char *high, void (*entry)(void *), void *arg)
{
    struct { void *arg; void (*entry)(void *); } *first = (void *)(high - sizeof *first);
    (void)low;
    first->arg = arg;
    first->entry = entry;
    point->stack = first;
    point->frame = NULL;
    point->at = (void *)(uintptr_t)switch_begin;
}

#else

#include <ucontext.h>

struct start { ucontext_t context; void (*entry)(void *); void *arg; };

/* makecontext(3) passes ints only. */
static void begin(unsigned upper, unsigned lower)
{
    struct start *start = (void *)(((uintptr_t)upper << 16 << 16) | lower);
    start->entry(start->arg);
}

void switch_prepare(struct point *point, char *low, char *high, void (*entry)(void *), void *arg)
{
    struct start *start = (void *)(high - (sizeof *start + 15) / 16 * 16);
    uintptr_t bits = (uintptr_t)start;
    (void)getcontext(&start->context); /* a pointer that is good cannot fail */
    start->entry = entry;
    start->arg = arg;
    start->context.uc_stack.ss_sp = low;
    start->context.uc_stack.ss_size = (size_t)((char *)start - low);
    start->context.uc_link = NULL;
    makecontext(&start->context, (void (*)(void))begin, 2, (unsigned)(bits >> 16 >> 16),
                (unsigned)bits);
    point->at = &start->context;
}

void switch_to(struct point *from, struct point *to)
{
    ucontext_t here;
    from->at = &here;
    (void)swapcontext(&here, to->at); /* fails only for want of a stack, and this one is there */
}

#endif
