/* From one stack to another: the machine's part of fibers.
 *
 * x86-64 and aarch64 have assembly; elsewhere, or with HARK_SWITCH_UCONTEXT, ucontext(3) does it,
 * with a system call each time. The assembly stands in the function that switches, not in one of
 * its own, and ends in a jump: so calls and returns stay paired, as processors predict them (a
 * switch by `ret`, or by a call that is never returned from, costs 6 to 10 ns more). It saves
 * stack pointer, frame pointer and where to go on; the compiler saves what else it needs.
 * Unwinders walk through a stack that was left as through any function that has called another.
 *
 * Floating-point modes (MXCSR, the x87 control word, FPCR) belong to the thread. Shadow stacks
 * (CET; GCS on aarch64) could not follow: the library is built without the mark that says it can,
 * so that a program that links it runs without them; building it with the mark is an error. */
#ifndef HARK_FIBER_SWITCH_H
#define HARK_FIBER_SWITCH_H

#include <stddef.h>

/* A stack that was left. */
struct point { void *stack, *frame, *at; };

/* Prepares a stack, low to high (aligned to 16): the first switch to it calls entry(arg), which
 * never returns. */
void switch_prepare(struct point *point, char *low, char *high, void (*entry)(void *), void *arg);

#if defined(HARK_SWITCH_WINDOWS)

#include "fiber/switch_windows.h"

#elif defined(__x86_64__) && !defined(HARK_SWITCH_UCONTEXT)

#if defined(__CET__) && (__CET__ & 2) != 0
#error "switching stacks by assembly wants -fcf-protection=none, or HARK_SWITCH_UCONTEXT"
#endif

#define HARK_SWITCH "x86-64 assembly"

/* Leaves this stack, noted in from, and goes on where `to` was left. */
static inline __attribute__((always_inline)) void switch_to(struct point *from, struct point *to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rsp, 0(%0)\n\t"
                     "movq %%rbp, 8(%0)\n\t"
                     "movq %%rax, 16(%0)\n\t"
                     "movq 16(%1), %%rax\n\t"
                     "movq 0(%1), %%rsp\n\t"
                     "movq 8(%1), %%rbp\n\t"
                     "jmpq *%%rax\n"
                     "1:"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc",
                       "memory");
}

#elif defined(__aarch64__) && !defined(HARK_SWITCH_UCONTEXT)

#if defined(__ARM_FEATURE_GCS_DEFAULT)
#error "switching stacks by assembly wants code without guarded control stacks"
#endif

#define HARK_SWITCH "aarch64 assembly"

static inline __attribute__((always_inline)) void switch_to(struct point *from, struct point *to)
{
    register struct point *a __asm__("x0") = from;
    register struct point *b __asm__("x1") = to;
    __asm__ volatile("adr x9, 1f\n\t"
                     "mov x10, sp\n\t"
                     "stp x10, x29, [%0]\n\t"
                     "str x9, [%0, #16]\n\t"
                     "ldp x10, x29, [%1]\n\t"
                     "ldr x16, [%1, #16]\n\t"
                     "mov sp, x10\n\t"
                     "br x16\n"
                     "1: hint #36" /* bti j: may be jumped to */
                     : "+r"(a), "+r"(b)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                       "x14", "x15", "x16", "x17", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
                       "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7",
                       "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
                       "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                       "v30", "v31", "cc", "memory");
}

#else

#define HARK_SWITCH "ucontext"

void switch_to(struct point *from, struct point *to);

#endif
#endif
