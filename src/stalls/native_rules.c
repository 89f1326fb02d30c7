/* One step up a stack by the tables that compilers write for exceptions (.eh_frame,
 * .debug_frame): libdw finds and decodes the row for a place, this file applies it to the
 * registers that are known.
 *
 * libdw could walk by itself; it does not give the frame pointer of each frame, which the
 * JavaScript reader needs, reads memory word by word, and wants the thread stopped. Rows are kept
 * by place, since the same places come again in every look. Expressions are bounded in length,
 * stack and jumps (none). */
#include <dwarf.h>
#include <stdlib.h>

#include "stalls/native_parts.h"

enum { OPERATIONS_MAX = 64, VALUES_MAX = 16 };

static Dwarf_Frame *look_up(struct native *native, uint64_t at)
{
    uint64_t home;
    const struct module *module = modules_find(native, at, &home);
    if (module == NULL) return NULL;
    Dwarf_Frame *frame = NULL;
    Dwarf_Addr bias;
    Dwarf_CFI *table = dwfl_module_eh_cfi(module->dwfl, &bias);
    if (table != NULL && dwarf_cfi_addrframe(table, home - bias, &frame) == 0) return frame;
    if (table != NULL) return NULL; /* never look for debug files while a thread stands */
    table = dwfl_module_dwarf_cfi(module->dwfl, &bias);
    if (table != NULL && dwarf_cfi_addrframe(table, home - bias, &frame) == 0) return frame;
    return NULL;
}

Dwarf_Frame *rules_find(struct native *native, uint64_t at)
{
    uint64_t hash = at * UINT64_C(0x9e3779b97f4a7c15) >> 52;
    struct cached_frame *cached = &native->frames[hash % FRAME_CACHE];
    if (cached->is_filled && cached->at == at) return cached->frame;
    free(cached->frame);
    *cached = (struct cached_frame){ .at = at, .frame = look_up(native, at), .is_filled = true };
    return cached->frame;
}

void rules_forget(struct native *native)
{
    for (int i = 0; i < FRAME_CACHE; i++) {
        free(native->frames[i].frame);
        native->frames[i] = (struct cached_frame){ .at = 0 };
    }
}

/* An expression under way. */
struct machine_stack {
    struct native *native;
    const struct walk *walk;
    uint64_t cfa, values[VALUES_MAX];
    int count;
    bool is_failed;
};

static void push(struct machine_stack *stack, uint64_t value)
{
    if (stack->count < VALUES_MAX) stack->values[stack->count++] = value;
    else stack->is_failed = true;
}

static uint64_t pop(struct machine_stack *stack)
{
    if (stack->count > 0) return stack->values[--stack->count];
    stack->is_failed = true;
    return 0;
}

static void push_register(struct machine_stack *stack, uint64_t number, uint64_t offset)
{
    if (number < MACHINE_REGISTERS && walk_knows(stack->walk, (unsigned)number))
        push(stack, stack->walk->value[number] + offset);
    else
        stack->is_failed = true;
}

static void binary(struct machine_stack *stack, unsigned atom)
{
    uint64_t right = pop(stack), left = pop(stack);
    switch (atom) {
    case DW_OP_plus: push(stack, left + right); break;
    case DW_OP_minus: push(stack, left - right); break;
    case DW_OP_and: push(stack, left & right); break;
    case DW_OP_or: push(stack, left | right); break;
    case DW_OP_xor: push(stack, left ^ right); break;
    case DW_OP_mul: push(stack, left * right); break;
    case DW_OP_shl: push(stack, right < 64 ? left << right : 0); break;
    case DW_OP_shr: push(stack, right < 64 ? left >> right : 0); break;
    case DW_OP_ge: push(stack, (int64_t)left >= (int64_t)right); break;
    case DW_OP_gt: push(stack, (int64_t)left > (int64_t)right); break;
    case DW_OP_le: push(stack, (int64_t)left <= (int64_t)right); break;
    case DW_OP_lt: push(stack, (int64_t)left < (int64_t)right); break;
    case DW_OP_eq: push(stack, left == right); break;
    case DW_OP_ne: push(stack, left != right); break;
    default: stack->is_failed = true;
    }
}

static void dereference(struct machine_stack *stack)
{
    uint64_t word = 0;
    if (!memory_word(&stack->native->memory, pop(stack), &word)) stack->is_failed = true;
    push(stack, word);
}

static void operate(struct machine_stack *stack, const Dwarf_Op *op)
{
    unsigned atom = op->atom;
    if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31) {
        push_register(stack, atom - DW_OP_breg0, op->number);
        return;
    }
    if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31) {
        push(stack, atom - DW_OP_lit0);
        return;
    }
    switch (atom) {
    case DW_OP_const1u: case DW_OP_const1s: case DW_OP_const2u: case DW_OP_const2s:
    case DW_OP_const4u: case DW_OP_const4s: case DW_OP_const8u: case DW_OP_const8s:
    case DW_OP_constu: case DW_OP_consts:
        push(stack, op->number);
        break;
    case DW_OP_bregx: push_register(stack, op->number, op->number2); break;
    case DW_OP_call_frame_cfa: push(stack, stack->cfa); break;
    case DW_OP_plus_uconst: push(stack, pop(stack) + op->number); break;
    case DW_OP_deref: dereference(stack); break;
    case DW_OP_dup: {
        uint64_t top = pop(stack);
        push(stack, top);
        push(stack, top);
        break;
    }
    case DW_OP_drop: (void)pop(stack); break;
    case DW_OP_nop: case DW_OP_stack_value: break; /* the caller looks at the last one */
    default: binary(stack, atom);
    }
}

static bool evaluate(struct machine_stack *stack, const Dwarf_Op *ops, size_t count, uint64_t *out)
{
    if (count > OPERATIONS_MAX) return false;
    for (size_t i = 0; i < count && !stack->is_failed; i++) operate(stack, &ops[i]);
    *out = pop(stack);
    return !stack->is_failed;
}

/* The caller's value of one register; false: not known. */
static bool caller_value(struct machine_stack *stack, Dwarf_Frame *frame, unsigned number,
                         uint64_t *out)
{
    Dwarf_Op room[3], *ops;
    size_t count;
    if (dwarf_frame_register(frame, (int)number, room, &ops, &count) != 0) return false;
    if (count == 0 && ops != NULL) return false;
    if (count == 0) {
        *out = stack->walk->value[number];
        return walk_knows(stack->walk, number);
    }
    if (ops[0].atom == DW_OP_regx || (ops[0].atom >= DW_OP_reg0 && ops[0].atom <= DW_OP_reg31)) {
        uint64_t from = ops[0].number;
        if (ops[0].atom != DW_OP_regx) from = ops[0].atom - (unsigned)DW_OP_reg0;
        if (from >= MACHINE_REGISTERS || !walk_knows(stack->walk, (unsigned)from)) return false;
        *out = stack->walk->value[from];
        return true;
    }
    stack->count = 0;
    stack->is_failed = false;
    uint64_t place;
    if (!evaluate(stack, ops, count, &place)) return false;
    if (ops[count - 1].atom == DW_OP_stack_value) {
        *out = place;
        return true;
    }
    return memory_word(&stack->native->memory, place, out);
}

/* The outermost function says so: its return address is "undefined". */
static bool is_outermost(Dwarf_Frame *frame, int return_column)
{
    Dwarf_Op room[3], *ops;
    size_t count;
    return dwarf_frame_register(frame, return_column, room, &ops, &count) == 0 && count == 0 &&
           ops != NULL;
}

int rules_apply(struct native *native, Dwarf_Frame *frame, struct walk *walk)
{
    Dwarf_Op *ops;
    size_t count;
    bool is_signal = false;
    int column = dwarf_frame_info(frame, NULL, NULL, &is_signal);
    if (column < 0 || column >= MACHINE_REGISTERS) return -1;
    if (is_outermost(frame, column)) return 0;
    struct machine_stack stack = { .native = native, .walk = walk };
    if (dwarf_frame_cfa(frame, &ops, &count) != 0 || count == 0) return -1;
    if (!evaluate(&stack, ops, count, &stack.cfa)) return -1;

    struct walk caller = { .is_exact = is_signal };
    for (unsigned i = 0; i < MACHINE_REGISTERS; i++) {
        uint64_t value;
        if (caller_value(&stack, frame, i, &value)) walk_set(&caller, i, value);
    }
    if (!walk_knows(&caller, (unsigned)column)) return -1;
    if (!walk_knows(&caller, MACHINE_SP)) walk_set(&caller, MACHINE_SP, stack.cfa);
    caller.pc = caller.value[column] & MACHINE_PC_MASK;
    if (caller.pc == 0) return 0;
    *walk = caller;
    return 1;
}
