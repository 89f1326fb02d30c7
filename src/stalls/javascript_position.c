/* From a place in code to a position in the source, by V8's tables; and from there to a line, by
 * counting in the source. */
#include <stdlib.h>

#include "stalls/javascript_heap.h"

/* A number of V8's table of source positions: seven bits at a time, the sign in the lowest. */
static bool read_zigzag(const uint8_t *bytes, int count, int *at, int64_t *out)
{
    uint64_t value = 0;
    for (int shift = 0; *at < count && shift < 64; shift += 7) {
        uint8_t byte = bytes[(*at)++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80) continue;
        *out = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
        return true;
    }
    return false;
}

/* A raw position: from bit 1 on, 30 bits with the place in the source plus one; from bit 31 on, 16
 * bits with the number of the inlining plus one (source-position.h). */
struct v8_position v8_position_of(uint64_t raw)
{
    return (struct v8_position){(int32_t)(raw >> 1 & 0x3fffffff) - 1,
                                (int32_t)(raw >> 31 & 0xffff) - 1};
}

/* Entries of {offset, position} as differences, the first one from -1 (the function's entry) and 0;
 * an offset of -n - 1 stands for n in an expression. */
bool v8_position(const uint8_t *table, int count, int64_t offset, struct v8_position *out)
{
    int64_t now = -1, raw = 0;
    bool is_found = false;
    for (int at = 0; at < count;) {
        int64_t step, move;
        if (!read_zigzag(table, count, &at, &step) || !read_zigzag(table, count, &at, &move))
            return false;
        now += step >= 0 ? step : -(step + 1);
        raw += move;
        if (now > offset) break;
        *out = v8_position_of((uint64_t)raw);
        is_found = true;
    }
    return is_found && out->at >= 0;
}

int32_t v8_bytecode_position(const struct javascript_function *function, int32_t offset)
{
    struct v8_position position;
    if (offset < 0 || function->positions == NULL ||
        !v8_position(function->positions, function->position_count, offset, &position) ||
        position.at < function->begin || position.at > function->end)
        return -1;
    return position.at;
}

/* Reads the source of a script while the process runs: only if the script and its source stand
 * where they stood at the capture, before and after. */
static bool read_source(struct javascript *javascript, struct javascript_script *script)
{
    const struct v8_layout *layout = &javascript->layout;
    const struct v8_text *text = &script->text;
    size_t bytes = (size_t)text->length * (text->is_two_byte ? 2 : 1);
    if (script->source != NULL) return true;
    if (text->length == 0 || text->length > V8_SOURCE_MAX) return false;
    void *source = malloc(bytes);
    if (source == NULL) return false;
    for (int look = 0; look < 2; look++) {
        uint64_t word;
        struct v8_text now;
        javascript->generation++;
        if (v8_type(javascript, script->address) != layout->type_script ||
            v8_number(javascript, script->address, layout->script_line_ends + 8) != script->id ||
            !v8_word(javascript, script->address, layout->script_source, &word) ||
            !v8_text(javascript, word, &now) || now.address != text->address ||
            now.length != text->length || now.is_two_byte != text->is_two_byte ||
            (look == 0 && !v8_read_now(javascript, text->address, source, bytes))) {
            free(source);
            return false;
        }
    }
    script->source = source;
    return true;
}

static uint32_t character_at(const struct javascript_script *script, uint32_t at)
{
    if (at >= script->text.length) return 0;
    if (script->text.is_two_byte) return ((const uint16_t *)script->source)[at];
    return ((const uint8_t *)script->source)[at];
}

/* What ends a line: as the language has it, so as V8 counts. */
static bool ends_line(const struct javascript_script *script, uint32_t at)
{
    uint32_t c = character_at(script, at);
    return c == '\n' || (c == '\r' && character_at(script, at + 1) != '\n') || c == 0x2028 ||
           c == 0x2029;
}

static bool count_lines(struct javascript *javascript, struct javascript_script *script)
{
    if (script->line_ends != NULL) return true;
    if (!read_source(javascript, script)) return false;
    size_t count = 0;
    for (uint32_t at = 0; at < script->text.length; at++) count += ends_line(script, at);
    script->line_ends = malloc((count + 1) * sizeof *script->line_ends);
    if (script->line_ends == NULL) return false;
    for (uint32_t at = 0; at < script->text.length; at++)
        if (ends_line(script, at)) script->line_ends[script->line_count++] = (int32_t)at;
    return true;
}

static int line_at(const struct javascript_script *script, int32_t position)
{
    int low = 0, high = script->line_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (script->line_ends[middle] < position) low = middle + 1;
        else high = middle;
    }
    return low + 1;
}

int javascript_line(struct javascript *javascript, struct javascript_script *script,
                    int32_t position)
{
    /* What node itself is made of is named by its file and function. */
    if (script->is_runtime || position < 0 || !count_lines(javascript, script)) return 0;
    return line_at(script, position);
}
