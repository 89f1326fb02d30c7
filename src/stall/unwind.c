/* From the copy of a stack to frames, by the call frame information that compilers leave for
 * exceptions (.eh_frame). Only what ordinary code contains is understood: registers saved at an
 * offset from the frame, no expressions.
 *
 * Of a thread that waits in the kernel only stack pointer and place are known. Where another
 * register is needed, or there is no information, the next return address is looked for on the
 * stack: a word that points into code, behind a call, and from which a further step works. Frames
 * from there on are guesses.
 *
 * All memory but the code's own is read from the copy or through memory_read(), so that nonsense
 * on the stack leads to a short answer and not to a fault. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stall/stall.h"

#if defined(__x86_64__)
enum { REGISTER_STACK = 7 };
#elif defined(__aarch64__)
enum { REGISTER_STACK = 31 };
#else
enum { REGISTER_STACK = 0 };
#endif

int unwind_stack_register(void) { return REGISTER_STACK; }

/* libgcc's and libunwind's, which throwing uses. */
struct code_bases { void *text, *data, *function; };
const void *_Unwind_Find_FDE(void *at, struct code_bases *bases);

enum rule_kind { RULE_SAME, RULE_AT_OFFSET, RULE_UNDEFINED, RULE_BEYOND };
struct rule { enum rule_kind kind; int64_t offset; };

struct row {
    uint64_t frame_register;
    int64_t frame_offset;
    bool is_beyond;             /* the frame is told by an expression */
    struct rule rules[UNWIND_REGISTERS];
};

enum { ROWS_KEPT = 4 };
struct program {
    uintptr_t location, target;
    uint64_t code_factor, return_register;
    int64_t data_factor;
    int pointer_bytes;
    bool has_sizes, is_broken;
    struct row row, first, kept[ROWS_KEPT];
    int kept_count;
};

/* Reading what compilers wrote. */

static uint64_t take(const uint8_t **at, int bytes)
{
    uint64_t value = 0;
    memcpy(&value, *at, (size_t)bytes); /* both machines are little-endian */
    *at += bytes;
    return value;
}

static uint64_t take_unsigned(const uint8_t **at)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        byte = *(*at)++;
        if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return value;
}

static int64_t take_signed(const uint8_t **at)
{
    const uint8_t *start = *at;
    uint64_t value = take_unsigned(at);
    unsigned bits = 7 * (unsigned)(*at - start);
    if (bits < 64 && (*at)[-1] & 0x40) value |= ~UINT64_C(0) << bits;
    return (int64_t)value;
}

/* How many bytes a pointer of this encoding has; 0: not a plain one. */
static int pointer_bytes(uint8_t encoding)
{
    switch (encoding & 0x07) {
    case 0x00: return (int)sizeof(void *);
    case 0x02: return 2;
    case 0x03: return 4;
    case 0x04: return 8;
    default: return 0;
    }
}

/* What is common to many functions; gives where its instructions begin. */
static const uint8_t *read_common(const uint8_t *at, struct program *program)
{
    uint8_t version = *at++;
    const char *letters = (const char *)at;
    at += strlen(letters) + 1;
    program->code_factor = take_unsigned(&at);
    program->data_factor = take_signed(&at);
    program->return_register = version == 1 ? *at++ : take_unsigned(&at);
    program->pointer_bytes = (int)sizeof(void *);
    program->has_sizes = *letters == 'z';
    program->is_broken = *letters != 'z' && *letters != '\0';
    if (!program->has_sizes) return at;
    uint64_t bytes = take_unsigned(&at);
    const uint8_t *end = at + bytes;
    for (letters++; *letters != '\0'; letters++) {
        if (*letters == 'R') {
            program->pointer_bytes = pointer_bytes(*at++);
        } else if (*letters == 'L') {
            at++;
        } else if (*letters == 'P') {
            uint8_t encoding = *at++;
            at += pointer_bytes(encoding);
        }
    }
    return end;
}

static void set_rule(struct program *program, uint64_t number, enum rule_kind kind, int64_t offset)
{
    if (number < UNWIND_REGISTERS) program->row.rules[number] = (struct rule){ kind, offset };
}

static void restore_rule(struct program *program, uint64_t number)
{
    if (number < UNWIND_REGISTERS) program->row.rules[number] = program->first.rules[number];
}

static void keep_row(struct program *program)
{
    if (program->kept_count == ROWS_KEPT) program->is_broken = true;
    else program->kept[program->kept_count++] = program->row;
}

static void bring_back_row(struct program *program)
{
    if (program->kept_count == 0) program->is_broken = true;
    else program->row = program->kept[--program->kept_count];
}

static void set_frame(struct program *program, uint64_t number, int64_t offset)
{
    program->row.frame_register = number;
    program->row.frame_offset = offset;
    program->row.is_beyond = false;
}

static void skip_block(const uint8_t **at)
{
    uint64_t bytes = take_unsigned(at);
    *at += bytes;
}

/* The instructions that name a register. */
static void run_register(struct program *program, uint8_t code, const uint8_t **at)
{
    uint64_t number = take_unsigned(at);
    int64_t factor = program->data_factor;
    switch (code) {
    case 0x05:
        set_rule(program, number, RULE_AT_OFFSET, (int64_t)take_unsigned(at) * factor);
        break;
    case 0x06: restore_rule(program, number); break;
    case 0x07: set_rule(program, number, RULE_UNDEFINED, 0); break;
    case 0x08: set_rule(program, number, RULE_SAME, 0); break;
    case 0x0c: set_frame(program, number, (int64_t)take_unsigned(at)); break;
    case 0x0d: set_frame(program, number, program->row.frame_offset); break;
    case 0x11: set_rule(program, number, RULE_AT_OFFSET, take_signed(at) * factor); break;
    case 0x12: set_frame(program, number, take_signed(at) * factor); break;
    case 0x10: case 0x16:
        skip_block(at);
        set_rule(program, number, RULE_BEYOND, 0);
        break;
    default: /* 0x09, 0x14, 0x15: in another register, or a value */
        (void)take_unsigned(at);
        set_rule(program, number, RULE_BEYOND, 0);
    }
}

/* The others. */
static void run_plain(struct program *program, uint8_t code, const uint8_t **at)
{
    switch (code) {
    case 0x00: break;
    case 0x02: program->location += take(at, 1) * program->code_factor; break;
    case 0x03: program->location += take(at, 2) * program->code_factor; break;
    case 0x04: program->location += take(at, 4) * program->code_factor; break;
    case 0x0a: keep_row(program); break;
    case 0x0b: bring_back_row(program); break;
    case 0x0e: program->row.frame_offset = (int64_t)take_unsigned(at); break;
    case 0x13: program->row.frame_offset = take_signed(at) * program->data_factor; break;
    case 0x0f:
        skip_block(at);
        program->row.is_beyond = true;
        break;
    case 0x2d: break; /* aarch64: the return address is signed */
    case 0x2e: (void)take_unsigned(at); break;
    default: program->is_broken = true;
    }
}

static void run_program(struct program *program, const uint8_t *at, const uint8_t *end)
{
    while (at < end && !program->is_broken) {
        uint8_t code = *at++, low = code & 0x3f;
        struct row before = program->row;
        if (code >> 6 == 1) program->location += low * program->code_factor;
        else if (code >> 6 == 2)
            set_rule(program, low, RULE_AT_OFFSET,
                     (int64_t)take_unsigned(&at) * program->data_factor);
        else if (code >> 6 == 3) restore_rule(program, low);
        else if ((code >= 0x05 && code <= 0x09) || code == 0x0c || code == 0x0d ||
                 (code >= 0x10 && code <= 0x12) || (code >= 0x14 && code <= 0x16))
            run_register(program, code, &at);
        else run_plain(program, code, &at);
        if (program->location > program->target) {
            program->row = before;
            return;
        }
    }
}

/* The row of a place; false: nothing is known of it. */
static bool find_row(uintptr_t at, struct program *program)
{
    struct code_bases bases;
    const uint8_t *entry = _Unwind_Find_FDE((void *)at, &bases);
    *program = (struct program){ .target = at };
    if (entry == NULL) return false;
    uint32_t length;
    int32_t back;
    memcpy(&length, entry, 4);
    memcpy(&back, entry + 4, 4);
    if (length == UINT32_MAX) return false;
    const uint8_t *common = entry + 4 - back, *end = entry + 4 + length, *body = entry + 8;
    uint32_t common_length;
    memcpy(&common_length, common, 4);
    const uint8_t *start = read_common(common + 8, program);
    if (program->is_broken || program->pointer_bytes == 0) return false;
    run_program(program, start, common + 4 + common_length);
    program->first = program->row;
    program->location = (uintptr_t)bases.function;
    body += 2 * program->pointer_bytes;
    if (program->has_sizes) skip_block(&body);
    run_program(program, body, end);
    return !program->is_broken && !program->row.is_beyond &&
           program->row.frame_register < UNWIND_REGISTERS &&
           program->return_register < UNWIND_REGISTERS;
}

/* Walking. */

static bool copied_word(const struct stack_copy *copy, uintptr_t address, uintptr_t *word)
{
    if (address < copy->low || address % sizeof *word != 0 ||
        address - copy->low + sizeof *word > copy->bytes)
        return false;
    memcpy(word, copy->memory + (address - copy->low), sizeof *word);
    return true;
}

enum step { STEP_MADE, STEP_LAST, STEP_UNKNOWN };

static enum step step(const struct stack_copy *copy, struct registers *r, bool is_innermost)
{
    struct program program;
    if (!find_row(is_innermost ? r->at : r->at - 1, &program)) return STEP_UNKNOWN;
    const struct row *row = &program.row;
    if (!(r->known >> row->frame_register & 1)) return STEP_UNKNOWN;
    uintptr_t frame = r->value[row->frame_register] + (uintptr_t)row->frame_offset;
    uintptr_t stack = r->value[REGISTER_STACK];
    if (frame < stack || (frame == stack && !is_innermost)) return STEP_UNKNOWN;
    struct registers next = *r;
    for (unsigned i = 0; i < UNWIND_REGISTERS; i++) {
        const struct rule *rule = &row->rules[i];
        if (rule->kind == RULE_SAME) continue;
        next.known &= ~(UINT64_C(1) << i);
        if (rule->kind == RULE_AT_OFFSET &&
            copied_word(copy, frame + (uintptr_t)rule->offset, &next.value[i]))
            next.known |= UINT64_C(1) << i;
    }
    uint64_t back = program.return_register;
    if (row->rules[back].kind == RULE_UNDEFINED) return STEP_LAST;
    if (!(next.known >> back & 1)) return STEP_UNKNOWN;
    next.at = next.value[back];
#if defined(__aarch64__)
    next.at &= (UINT64_C(1) << 48) - 1; /* without a signature */
#endif
    next.value[REGISTER_STACK] = frame;
    next.known |= UINT64_C(1) << REGISTER_STACK;
#if defined(__x86_64__)
    next.known &= ~(UINT64_C(1) << back); /* no register there */
#endif
    *r = next;
    return r->at == 0 ? STEP_LAST : STEP_MADE;
}

/* Guessing. */

enum { RANGES = 256 };
static struct { uintptr_t low, high; } code_ranges[RANGES];
static size_t range_count;

void unwind_look(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    range_count = 0;
    if (maps == NULL) return;
    while (fgets(line, sizeof line, maps) != NULL && range_count < RANGES) {
        char *at = line;
        uintptr_t low = strtoul(at, &at, 16);
        if (*at != '-') continue; /* the rest of a long line */
        uintptr_t high = strtoul(at + 1, &at, 16);
        if (strncmp(at, " r-x", 4) != 0) continue;
        code_ranges[range_count].low = low;
        code_ranges[range_count++].high = high;
    }
    fclose(maps);
}

static bool is_code(uintptr_t at)
{
    for (size_t i = 0; i < range_count; i++)
        if (at >= code_ranges[i].low + 8 && at < code_ranges[i].high) return true;
    return false;
}

/* Whether the instruction before this place is a call. */
static bool is_after_call(uintptr_t at)
{
    uint8_t before[8];
    if (!is_code(at) || memory_read(at - 8, before, 8) != 8) return false;
#if defined(__x86_64__)
    if (before[3] == 0xe8) return true;
    for (int bytes = 2; bytes <= 7; bytes++) { /* ff /2: through a register or memory */
        const uint8_t *call = &before[8 - bytes];
        if (call[0] != 0xff || (call[1] >> 3 & 7) != 2) continue;
        int mode = call[1] >> 6, base = call[1] & 7;
        int wanted = mode == 3 ? 2 : 2 + (base == 4) + (mode == 1 ? 1 : mode == 2 ? 4 : 0);
        if (mode == 0 && base == 5) wanted = 6;
        if (wanted == bytes) return true;
    }
    return false;
#elif defined(__aarch64__)
    uint32_t call;
    memcpy(&call, &before[4], 4);
    return call >> 26 == 0x25 || (call & 0xfffff000u) == 0xd63f0000u;
#else
    return false;
#endif
}

enum worth { WORTH_NOTHING, WORTH_LITTLE, WORTH_MUCH };

/* What a guess is worth: much if the walk from there reaches the end of the stack, each frame
 * behind a call; nothing if it leads to where no call is. */
static enum worth worth_of(const struct stack_copy *copy, const struct registers *guess)
{
    struct registers r = *guess;
    for (int i = 0; i < HARK_STALL_FRAMES; i++) {
        enum step made = step(copy, &r, false);
        if (made == STEP_UNKNOWN) return WORTH_LITTLE;
        if (made == STEP_LAST) return WORTH_MUCH;
        if (!is_after_call(r.at)) return WORTH_NOTHING;
    }
    return WORTH_MUCH;
}

/* What could be a return address at this place of the stack; false: it is none. */
static bool guess_at(const struct stack_copy *copy, uintptr_t at, struct registers *r)
{
    uintptr_t word, saved;
    if (!copied_word(copy, at, &word) || !is_after_call(word)) return false;
    *r = (struct registers){ .at = word, .known = UINT64_C(1) << REGISTER_STACK };
    r->value[REGISTER_STACK] = at + sizeof word;
#if defined(__x86_64__)
    if (!copied_word(copy, at - sizeof word, &saved)) return true;
    if (saved <= at || saved - copy->low >= copy->bytes || saved % sizeof word != 0) return true;
    r->value[6] = saved; /* pushed right after the call: a frame pointer */
    r->known |= 1 << 6;
#else
    (void)saved;
#endif
    return true;
}

/* The next return address on the stack; false: there is none. One that is worth little gives way
 * to one that is worth much and not far from it. */
static bool guess(const struct stack_copy *copy, struct registers *r)
{
    const uintptr_t bytes = sizeof(uintptr_t);
    uintptr_t at = (r->value[REGISTER_STACK] + bytes - 1) / bytes * bytes;
    uintptr_t end = copy->low + copy->bytes;
    bool has_little = false;
    for (struct registers next; at < end; at += bytes) {
        if (!guess_at(copy, at, &next)) continue;
        enum worth worth = worth_of(copy, &next);
        if (worth == WORTH_NOTHING || (worth == WORTH_LITTLE && has_little)) continue;
        *r = next;
        if (worth == WORTH_MUCH) return true;
        has_little = true;
        if (end - at > 128 * bytes) end = at + 128 * bytes;
    }
    return has_little;
}

void unwind(const struct stack_copy *copy, struct frames *frames)
{
    struct registers r = copy->registers;
    bool has_guessed = false;
    frames->count = frames->certain = 0;
    while (frames->count < HARK_STALL_FRAMES) {
        bool is_innermost = frames->count == 0;
        frames->at[frames->count++] = r.at;
        if (!has_guessed) frames->certain = frames->count;
        enum step made = step(copy, &r, is_innermost);
        if (made == STEP_LAST) return;
        if (made == STEP_MADE) continue;
        if (!guess(copy, &r)) return;
        has_guessed = true;
    }
}
