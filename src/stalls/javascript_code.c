/* From an address in compiled code to functions and positions in their source.
 *
 * Baseline code (Sparkplug) has a table with the length of code of each bytecode. Optimized code
 * (TurboFan) has one of source positions, and in each position the number of an inlining: which
 * function it is in, and from where that was inlined. Node asks V8 to keep all of it, for its own
 * profiler (CpuProfiler::UseDetailedSourcePositionsForProfiling for each isolate).
 *
 * Only the places of a few members have constants. The rest is the layout of V8 11.3 (code.h,
 * source-position.h), and nothing is taken from it unless all that it leads to agrees: pointers
 * back, types, ranges, functions that contain the positions. What does not agree gives nothing, and
 * the frame its function alone. */
#include <stdlib.h>
#include <string.h>

#include "stalls/javascript_heap.h"

enum {
    CODE_MAX = 4 << 20,              /* bytes of instructions */
    SCAN_BYTES = 1 << 18,            /* how far before an address its code may begin; and */
    SCAN_BLIND_BYTES = 1 << 16,      /* as long as the map of what is looked for is not known */
    SCAN_STEP = 4096,
    ALIGNMENT = 32,                  /* of a first instruction (kCodeAlignment: 32 or 64) */
    INLININGS_MAX = 1 << 14,
};

/* A Code object and what it says of its instructions. */
struct code {
    uint64_t object, table, begin;
    uint32_t kind;
    int32_t instruction_bytes;
};

static bool read_code(struct javascript *javascript, uint64_t object, struct code *out)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t stream, back;
    uint32_t flags;
    if (v8_type(javascript, object) != layout->type_code ||
        !v8_word(javascript, object, layout->code_table, &out->table) ||
        !v8_word(javascript, object, layout->code_stream, &stream) ||
        !v8_word(javascript, object, layout->code_begin, &out->begin) ||
        !v8_member(javascript, object, layout->code_flags, &flags, sizeof flags) ||
        !v8_member(javascript, object, layout->code_size, &out->instruction_bytes,
                   sizeof out->instruction_bytes))
        return false;
    /* An InstructionStream begins with its map and its Code. */
    if (v8_type(javascript, stream) != layout->type_stream ||
        out->begin != stream - (uint64_t)layout->heap_tag + (uint64_t)layout->stream_start ||
        !v8_word(javascript, stream, 8, &back) || back != object)
        return false;
    if (out->instruction_bytes <= 0 || out->instruction_bytes > CODE_MAX) return false;
    out->object = object;
    out->kind = flags & (uint32_t)layout->kind_mask;
    javascript->code_seen = out->begin;
    return true;
}

static bool is_inside(const struct code *code, uint64_t pc, bool is_exact)
{
    uint64_t at = pc - !is_exact;
    return at >= code->begin && at - code->begin < (uint64_t)code->instruction_bytes;
}

/* A number in groups of seven bits, the lowest first (base::VLQ); -1: it does not end. */
static int64_t read_number(const uint8_t *bytes, int count, int *at)
{
    int64_t value = 0;
    for (int shift = 0; *at < count && shift < 35; shift += 7) {
        uint8_t byte = bytes[(*at)++];
        value |= (int64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return value;
    }
    return -1;
}

int32_t v8_baseline(struct javascript *javascript, uint64_t baseline,
                    const struct javascript_function *function, uint64_t pc, bool is_exact)
{
    const struct v8_layout *layout = &javascript->layout;
    struct code code;
    if (function->bytecode == NULL || !read_code(javascript, baseline, &code) ||
        code.kind != (uint32_t)layout->kind_baseline || !is_inside(&code, pc, is_exact))
        return -1;
    /* A return address ends the code of its bytecode; where a thread stands may begin one. */
    int64_t wanted = (int64_t)(pc - code.begin) + is_exact, end;
    int at = 0, offset = 0;
    uint8_t bytes[1 << 14];
    int count = v8_bytes_length(javascript, code.table);
    if (count > (int)sizeof bytes) count = sizeof bytes;
    if (count <= 0 || !v8_member(javascript, code.table, layout->array_data, bytes, (size_t)count))
        return -1;
    end = read_number(bytes, count, &at); /* the prologue's */
    if (end >= wanted) return 0;
    while (at < count && offset < function->bytecode_count) {
        int64_t part = read_number(bytes, count, &at);
        if (part < 0) return -1;
        end += part;
        if (end >= wanted) return offset;
        int step = v8_bytecode_length(layout, function->bytecode, function->bytecode_count, offset);
        if (step == 0) return -1;
        offset += step;
    }
    return -1;
}

/* Tells whether an InstructionStream with a Code begins at an address where `map` stands. */
static bool is_stream(struct javascript *javascript, uint64_t at, uint64_t map, struct code *out)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t object, stream = at + (uint64_t)layout->heap_tag;
    if (javascript->stream_map != 0 && map != javascript->stream_map) return false;
    if ((map & (uint64_t)layout->heap_tag_mask) != (uint64_t)layout->heap_tag ||
        v8_type(javascript, stream) != layout->type_stream ||
        !v8_word(javascript, stream, 8, &object) || !read_code(javascript, object, out))
        return false;
    javascript->stream_map = map; /* in V8's read-only space: it does not move */
    return true;
}

/* Finds the code that an address is in: the nearest InstructionStream before it, if that is long
 * enough. */
static bool find_code(struct javascript *javascript, uint64_t pc, bool is_exact, struct code *out)
{
    uint64_t words[SCAN_STEP / 8], step = ALIGNMENT / 8;
    uint64_t begin = (uint64_t)javascript->layout.stream_start;
    if (begin == 0 || begin % 8 != 0 || begin > ALIGNMENT) return false;
    int reach = javascript->stream_map != 0 ? SCAN_BYTES : SCAN_BLIND_BYTES;
    uint64_t block = (pc - 1) & ~(uint64_t)(SCAN_STEP - 1);
    for (int scanned = 0; scanned < reach; scanned += SCAN_STEP, block -= SCAN_STEP) {
        if (!v8_read(javascript, block, words, sizeof words)) return false;
        for (uint64_t i = SCAN_STEP / 8 - begin / 8; i < SCAN_STEP / 8; i -= step) {
            uint64_t at = block + 8 * i;
            if (at < pc && is_stream(javascript, at, words[i], out))
                return is_inside(out, pc, is_exact);
        }
    }
    return false;
}

/* Finds the source position of an instruction. */
static bool code_position(struct javascript *javascript, const struct code *code, int64_t offset,
                          struct v8_position *out)
{
    int count;
    if (v8_bytes_length(javascript, code->table) < 0) return false;
    uint8_t *bytes = v8_bytes(javascript, code->table, javascript->layout.array_data, &count);
    if (bytes == NULL) return false;
    bool is_found = v8_position(bytes, count, offset, out);
    free(bytes);
    return is_found;
}

/* What V8 keeps about the inlinings: for each the position that it was inlined at, which has a
 * number itself, and the function's place among the literals (struct InliningPosition: 8 bytes, 4,
 * padding). */
struct inlinings { uint64_t array, literals; int count, literal_count; };

static bool read_inlinings(struct javascript *javascript, const struct code *code,
                           struct inlinings *out)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t data;
    if (!v8_word(javascript, code->object, layout->code_data, &data)) return false;
    /* Not every version tells the types of these arrays: what is taken from them is checked. */
    int32_t length = v8_number(javascript, data, layout->array_length);
    if (layout->deopt_positions < 0 || layout->deopt_positions >= length ||
        layout->deopt_literals < 0 || layout->deopt_literals >= length ||
        !v8_word(javascript, data, layout->array_data + 8 * layout->deopt_positions, &out->array) ||
        !v8_word(javascript, data, layout->array_data + 8 * layout->deopt_literals, &out->literals))
        return false;
    out->count = v8_bytes_length(javascript, out->array) / 16;
    out->literal_count = v8_number(javascript, out->literals, layout->array_length);
    return out->count <= INLININGS_MAX;
}

/* The function that is inlined by a number, and where that was; NULL: it makes no sense. */
static struct javascript_function *inlined_by(struct javascript *javascript,
                                              const struct inlinings *inlinings, int number,
                                              struct v8_position *where)
{
    const struct v8_layout *layout = &javascript->layout;
    struct { uint64_t position; int32_t function, padding; } raw;
    uint64_t shared;
    int32_t at = layout->array_data + 16 * number;
    if (number >= inlinings->count ||
        !v8_member(javascript, inlinings->array, at, &raw, sizeof raw))
        return NULL;
    if (raw.function < 0 || raw.function >= inlinings->literal_count ||
        !v8_word(javascript, inlinings->literals, layout->array_data + 8 * raw.function, &shared))
        return NULL;
    *where = v8_position_of(raw.position);
    return v8_function(javascript, shared);
}

static bool contains(const struct javascript_function *function, int32_t position)
{
    return position >= function->begin && position <= function->end;
}

int v8_optimized(struct javascript *javascript, uint64_t pc, bool is_exact,
                 struct javascript_function *outermost, struct v8_place *out)
{
    struct code code;
    struct inlinings inlinings;
    struct v8_position now;
    if (!find_code(javascript, pc, is_exact, &code)) return 0;
    if (!code_position(javascript, &code, (int64_t)(pc - !is_exact - code.begin), &now)) return -1;
    if (now.inlining >= 0 && !read_inlinings(javascript, &code, &inlinings)) return -1;
    int count = 0;
    for (; now.inlining >= 0; count++) {
        struct v8_position where;
        struct javascript_function *function =
            inlined_by(javascript, &inlinings, now.inlining, &where);
        if (function == NULL || !contains(function, now.at) || where.inlining >= now.inlining ||
            count + 1 >= V8_PLACES_MAX)
            return -1;
        out[count] = (struct v8_place){function, now.at};
        now = where;
    }
    if (!contains(outermost, now.at)) return -1;
    out[count] = (struct v8_place){outermost, now.at};
    return count + 1;
}
