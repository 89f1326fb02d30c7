/* What a processor is to the unwinder: the DWARF numbers of its registers and where the kernel puts
 * them. The only file that a port of `hark stalls` to another processor has to extend. */
#ifndef STALLS_MACHINE_H
#define STALLS_MACHINE_H

#include <stdint.h>

#if defined(__x86_64__)

enum { MACHINE_REGISTERS = 17, MACHINE_FP = 6, MACHINE_SP = 7, MACHINE_RETURN = 16 };
enum { MACHINE_WORDS = 27 };                     /* of struct user_regs_struct */
enum { MACHINE_WORD_PC = 16, MACHINE_WORD_RESULT = 10, MACHINE_WORD_CALL = 15 };
#define MACHINE_PC_MASK UINT64_MAX
/* rax rdx rcx rbx rsi rdi rbp rsp r8-r15 rip, as words of struct user_regs_struct */
static const unsigned char machine_words[MACHINE_REGISTERS] = {
    10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16
};
/* rdi rsi rdx r10 r8 r9, with which a system call is made: as words, and by their DWARF numbers */
static const unsigned char machine_arguments[6] = { 14, 13, 12, 7, 9, 8 };
static const unsigned char machine_argument_numbers[6] = { 5, 4, 1, 10, 8, 9 };

#elif defined(__aarch64__)

enum { MACHINE_REGISTERS = 32, MACHINE_FP = 29, MACHINE_SP = 31, MACHINE_RETURN = 30 };
enum { MACHINE_WORDS = 34 };                     /* x0-x30 sp pc pstate */
enum { MACHINE_WORD_PC = 32, MACHINE_WORD_RESULT = 0, MACHINE_WORD_CALL = 8 };
#define MACHINE_PC_MASK UINT64_C(0x0000ffffffffffff) /* above: the signature of the address */
static const unsigned char machine_words[MACHINE_REGISTERS] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
};
static const unsigned char machine_arguments[6] = { 0, 1, 2, 3, 4, 5 };
static const unsigned char machine_argument_numbers[6] = { 0, 1, 2, 3, 4, 5 };

#else
#error "hark stalls knows x86-64 and aarch64"
#endif

#endif
