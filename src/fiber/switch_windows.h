/* The switch by the conventions of Windows on x86-64: as on other systems, and three words of the
 * thread block, which say where the stack lies, are kept on the stack that is left. */
#ifndef HARK_FIBER_SWITCH_WINDOWS_H
#define HARK_FIBER_SWITCH_WINDOWS_H

#define HARK_SWITCH "x86-64 assembly"

/* Leaves this stack, noted in from, and goes on where `to` was left. */
static inline __attribute__((always_inline)) void switch_to(struct point *from, struct point *to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%gs:0x08\n\t"
                     "pushq %%gs:0x10\n\t"
                     "pushq %%gs:0x1478\n\t"
                     "movq %%rsp, 0(%0)\n\t"
                     "movq %%rbp, 8(%0)\n\t"
                     "movq %%rax, 16(%0)\n\t"
                     "movq 16(%1), %%rax\n\t"
                     "movq 0(%1), %%rsp\n\t"
                     "movq 8(%1), %%rbp\n\t"
                     "jmpq *%%rax\n"
                     "1:\n\t"
                     "popq %%gs:0x1478\n\t"
                     "popq %%gs:0x10\n\t"
                     "popq %%gs:0x08"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc",
                       "memory");
}

#endif
