/* A cache of code objects with one slot for each hash: a newcomer puts out what is there, so
 * that it is bounded. Who asks for an address is given what is kept for it only if the object
 * there still has the mark that it had. */
#include "stalls/python_code.h"

#include <stdlib.h>
#include <string.h>

#include "stalls/stalls.h"

enum { SLOTS = 4096, HEAD_MAX = 1024, TEXT_MAX = 4096, TABLE_MAX = 1 << 22 };

struct python_codes {
    const struct python_memory *memory;
    const struct python_layout *layout;
    size_t head_bytes;
    uint64_t type;            /* the type `code`, 0: not seen yet */
    struct python_code slots[SLOTS];
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct python_codes *python_codes_open(const struct python_memory *memory,
                                       const struct python_layout *layout)
{
    struct python_codes *codes = calloc(1, sizeof *codes);
    if (codes == NULL) return NULL;
    codes->memory = memory;
    codes->layout = layout;
    size_t last = larger(larger(layout->code.filename, layout->code.name), layout->object.type);
    last = larger(larger(last, layout->code.qualname), layout->code.first_line);
    last = larger(larger(last, layout->code.lines), layout->code.bytecodes);
    codes->head_bytes = last + 8 < HEAD_MAX ? last + 8 : HEAD_MAX;
    return codes;
}

static void free_table(struct python_line_table *table)
{
    free((void *)(uintptr_t)table->bytes);
    *table = (struct python_line_table){ 0 };
}

void python_codes_close(struct python_codes *codes)
{
    if (codes == NULL) return;
    for (int i = 0; i < SLOTS; i++) free_table(&codes->slots[i].table);
    free(codes);
}

size_t python_codes_head_bytes(const struct python_codes *codes)
{
    return codes->head_bytes;
}

static uint64_t word_at(const unsigned char *bytes, size_t offset)
{
    uint64_t word = 0;
    if (offset + sizeof word <= HEAD_MAX) memcpy(&word, bytes + offset, sizeof word);
    return word;
}

bool python_codes_check(struct python_codes *codes, const unsigned char *head)
{
    uint64_t type = word_at(head, codes->layout->object.type), name_at = 0;
    if (type == 0 || codes->type != 0) return type != 0 && type == codes->type;
    char name[5] = "";
    type += codes->layout->object.type_name;
    bool is_named = python_memory_copy(codes->memory, type, &name_at, sizeof name_at) &&
                    python_memory_copy(codes->memory, name_at, name, sizeof name);
    if (!is_named || memcmp(name, "code", sizeof name) != 0) return false;
    codes->type = type - codes->layout->object.type_name;
    return true;
}

static const char *keep_text(const unsigned char *bytes, size_t count, size_t width)
{
    char text[4 * TEXT_MAX + 1];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t character = 0;
        memcpy(&character, bytes + i * width, width); /* little-endian, as all that this runs on */
        used += text_put(text + used, character);
    }
    text[used] = '\0';
    return text_keep(text);
}

/* The text of a string object; NULL: it is none. */
static const char *read_text(const struct python_codes *codes, uint64_t address)
{
    const struct python_layout *layout = codes->layout;
    uint64_t length = 0;
    uint32_t state = 0;
    uint64_t length_at = address + layout->string.length;
    uint64_t state_at = address + layout->string.state;
    if (address == 0 || !python_memory_copy(codes->memory, length_at, &length, sizeof length) ||
        !python_memory_copy(codes->memory, state_at, &state, sizeof state))
        return NULL;
    state >>= layout->string.kind_shift;
    size_t width = state & 7;
    bool is_compact = (state & 8) != 0, is_ascii = (state & 16) != 0;
    if (!is_compact || (width != 1 && width != 2 && width != 4)) return NULL;
    size_t count = length < TEXT_MAX ? (size_t)length : TEXT_MAX;
    unsigned char bytes[4 * TEXT_MAX];
    uint64_t data = address + (is_ascii ? layout->string.ascii : layout->string.wide);
    if (count > 0 && !python_memory_copy(codes->memory, data, bytes, count * width)) return NULL;
    return keep_text(bytes, count, width);
}

/* Copies the line table; it is empty if there is no memory, or the object is none. */
static struct python_line_table read_table(const struct python_codes *codes,
                                           const struct python_code_mark *mark)
{
    const struct python_layout *layout = codes->layout;
    struct python_line_table table = { .kind = layout->lines, .first_line = mark->first_line };
    uint64_t size = 0;
    if (!python_memory_copy(codes->memory, mark->lines + layout->bytes.size, &size, sizeof size))
        return table;
    unsigned char *bytes = size > 0 && size <= TABLE_MAX ? malloc((size_t)size) : NULL;
    if (bytes == NULL) return table;
    if (!python_memory_copy(codes->memory, mark->lines + layout->bytes.data, bytes, size)) {
        free(bytes);
        return table;
    }
    table.bytes = bytes;
    table.size = (size_t)size;
    return table;
}

static struct python_code_mark mark_of(const struct python_layout *layout,
                                       const unsigned char *head)
{
    bool is_qualified = layout->code.qualname != 0;
    return (struct python_code_mark){
        .filename = word_at(head, layout->code.filename),
        .name = word_at(head, is_qualified ? layout->code.qualname : layout->code.name),
        .lines = word_at(head, layout->code.lines),
        .first_line = (int32_t)word_at(head, layout->code.first_line),
    };
}

static bool is_same_mark(const struct python_code_mark *a, const struct python_code_mark *b)
{
    return a->filename == b->filename && a->name == b->name && a->lines == b->lines &&
           a->first_line == b->first_line;
}

static bool read_mark(struct python_codes *codes, uint64_t address, struct python_code_mark *mark)
{
    unsigned char head[HEAD_MAX] = { 0 };
    if (!python_memory_copy(codes->memory, address, head, codes->head_bytes)) return false;
    if (!python_codes_check(codes, head)) return false;
    *mark = mark_of(codes->layout, head);
    return true;
}

static struct python_code read_code(struct python_codes *codes, uint64_t address,
                                    const struct python_code_mark *mark)
{
    return (struct python_code){ .address = address, .mark = *mark,
                                 .function = read_text(codes, mark->name),
                                 .file = read_text(codes, mark->filename),
                                 .table = read_table(codes, mark) };
}

/* The program runs on and may have freed the object in the middle: what is read twice alike is
 * whole. Texts are interned, so that equal ones have one address. */
static bool is_read_twice_alike(struct python_codes *codes, const struct python_code *code)
{
    struct python_code_mark mark;
    struct python_code again = read_code(codes, code->address, &code->mark);
    bool is_alike = again.function == code->function && again.file == code->file &&
                    again.table.size == code->table.size &&
                    (again.table.size == 0 ||
                     memcmp(again.table.bytes, code->table.bytes, again.table.size) == 0) &&
                    read_mark(codes, code->address, &mark) && is_same_mark(&mark, &code->mark);
    free_table(&again.table);
    return is_alike;
}

const struct python_code *python_codes_get(struct python_codes *codes, uint64_t address)
{
    struct python_code_mark mark;
    if (!read_mark(codes, address, &mark)) return NULL;
    struct python_code *slot = &codes->slots[(address >> 4 ^ address >> 16) % SLOTS];
    if (slot->address == address && is_same_mark(&slot->mark, &mark)) return slot;
    free_table(&slot->table);
    *slot = read_code(codes, address, &mark);
    if (is_read_twice_alike(codes, slot)) return slot;
    free_table(&slot->table);
    *slot = (struct python_code){ 0 };
    return NULL;
}
