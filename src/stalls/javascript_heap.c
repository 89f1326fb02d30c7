/* Words, types and strings of V8's heap, as they stand in another process. */
#include <stdlib.h>
#include <string.h>

#include "stalls/javascript_heap.h"
#include "stalls/task.h"

/* No address of a program lies above; what does is not an object. */
#define ADDRESS_END (UINT64_C(1) << 47)

/* How often a string may lead on to another one, and how long a name is worth showing. */
enum { HOPS_MAX = 8, PIECES_MAX = 32, NAME_MAX_BYTES = 1024 };

bool v8_is_smi(const struct javascript *javascript, uint64_t word)
{
    const struct v8_layout *layout = &javascript->layout;
    return (word & (uint64_t)layout->smi_tag_mask) == (uint64_t)layout->smi_tag;
}

int32_t v8_smi(const struct javascript *javascript, uint64_t word)
{
    const struct v8_layout *layout = &javascript->layout;
    return (int32_t)((int64_t)word >> ((layout->smi_shift_size + layout->smi_value_shift) & 63));
}

bool v8_read_now(const struct javascript *javascript, uint64_t address, void *out, size_t bytes)
{
    if (address == 0 || address >= ADDRESS_END || bytes > ADDRESS_END - address) return false;
    return task_memory(javascript->pid, address, out, bytes);
}

/* The bytes of the page that an address is in; NULL: it cannot be read. */
static const uint8_t *page_at(struct javascript *javascript, uint64_t address)
{
    uint64_t number = address / V8_PAGE_BYTES;
    size_t index = (size_t)((number ^ number >> 9) % V8_PAGES);
    struct v8_page *page = &javascript->pages[index];
    address = number * V8_PAGE_BYTES;
    if (page->generation != javascript->generation || page->address != address) {
        page->generation = javascript->generation;
        page->address = address;
        page->is_readable =
            v8_read_now(javascript, address, javascript->bytes[index], V8_PAGE_BYTES);
    }
    return page->is_readable ? javascript->bytes[index] : NULL;
}

bool v8_read(struct javascript *javascript, uint64_t address, void *out, size_t bytes)
{
    char *to = out;
    if (address < V8_PAGE_BYTES || address >= ADDRESS_END || bytes > ADDRESS_END - address)
        return false;
    while (bytes > 0) {
        const uint8_t *page = page_at(javascript, address);
        size_t at = address % V8_PAGE_BYTES, part = V8_PAGE_BYTES - at;
        if (page == NULL) return false;
        if (part > bytes) part = bytes;
        memcpy(to, page + at, part);
        to += part;
        address += part;
        bytes -= part;
    }
    return true;
}

bool v8_member(struct javascript *javascript, uint64_t object, int32_t offset, void *out,
               size_t bytes)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t tag = (uint64_t)layout->heap_tag;
    if ((object & (uint64_t)layout->heap_tag_mask) != tag) return false;
    return v8_read(javascript, object - tag + (uint64_t)(int64_t)offset, out, bytes);
}

bool v8_word(struct javascript *javascript, uint64_t object, int32_t offset, uint64_t *out)
{
    return v8_member(javascript, object, offset, out, sizeof *out);
}

int32_t v8_number(struct javascript *javascript, uint64_t object, int32_t offset)
{
    uint64_t word;
    if (!v8_word(javascript, object, offset, &word) || !v8_is_smi(javascript, word)) return -1;
    return v8_smi(javascript, word) < 0 ? -1 : v8_smi(javascript, word);
}

int32_t v8_bytes_length(struct javascript *javascript, uint64_t array)
{
    const struct v8_layout *layout = &javascript->layout;
    int type = v8_type(javascript, array);
    if (type != layout->type_bytes && type != layout->type_trusted_bytes) return -1;
    return v8_number(javascript, array, layout->array_length);
}

int v8_type(struct javascript *javascript, uint64_t object)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t map;
    uint16_t type;
    if (!v8_word(javascript, object, layout->map, &map)) return -1;
    /* In the middle of a collection the address that an object was moved to stands where its map
     * was; all else of it is still there. */
    if (v8_is_smi(javascript, map) &&
        !v8_word(javascript, map + (uint64_t)layout->heap_tag, layout->map, &map))
        return -1;
    if (!v8_member(javascript, map, layout->map_type, &type, sizeof type)) return -1;
    return type;
}

/* A step from a string that stands for another one; false: it stands for itself. */
static bool text_step(struct javascript *javascript, uint64_t *string, int shape, uint64_t *skip)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t second;
    uint32_t rest;
    if (shape == layout->thin_tag)
        return v8_word(javascript, *string, layout->thin_actual, string);
    if (shape == layout->cons_tag) { /* flattened: all of it is in the first, the second is empty */
        if (!v8_word(javascript, *string, layout->cons_second, &second) ||
            !v8_member(javascript, second, layout->string_length, &rest, sizeof rest) || rest != 0)
            return false;
        return v8_word(javascript, *string, layout->cons_first, string);
    }
    if (shape == layout->sliced_tag) {
        int32_t offset = v8_number(javascript, *string, layout->sliced_offset);
        if (offset < 0) return false;
        *skip += (uint64_t)offset;
        return v8_word(javascript, *string, layout->sliced_parent, string);
    }
    return false;
}

bool v8_text(struct javascript *javascript, uint64_t string, struct v8_text *out)
{
    const struct v8_layout *layout = &javascript->layout;
    uint64_t skip = 0;
    for (int hop = 0; hop < HOPS_MAX; hop++) {
        int type = v8_type(javascript, string);
        if (type < 0 || type >= layout->string_last) return false;
        uint32_t length;
        if (!v8_member(javascript, string, layout->string_length, &length, sizeof length))
            return false;
        if (hop == 0) out->length = length;
        out->is_two_byte = (type & layout->encoding_mask) != layout->one_byte_tag;
        int shape = type & layout->representation_mask;
        if (shape == layout->seq_tag || shape == layout->external_tag) {
            if (skip + out->length > length) return false;
            int32_t begin = out->is_two_byte ? layout->two_byte_chars : layout->one_byte_chars;
            out->address = string - (uint64_t)layout->heap_tag + (uint64_t)begin;
            /* An external string keeps the address of its characters behind that of its resource;
             * only the resource has a constant (ExternalString::kResourceDataOffset). */
            if (shape == layout->external_tag &&
                !v8_word(javascript, string, layout->external_resource + 8, &out->address))
                return false;
            out->address += skip * (out->is_two_byte ? 2 : 1);
            return true;
        }
        if (!text_step(javascript, &string, shape, &skip)) return false;
    }
    return false;
}

/* Appends a flat string, cut where the room ends. */
static bool put_text(struct javascript *javascript, const struct v8_text *text, char *out,
                     size_t *at)
{
    uint8_t one[NAME_MAX_BYTES];
    uint16_t two[NAME_MAX_BYTES];
    uint32_t count = text->length < NAME_MAX_BYTES ? text->length : NAME_MAX_BYTES;
    if (text->is_two_byte ? !v8_read(javascript, text->address, two, 2 * (size_t)count)
                          : !v8_read(javascript, text->address, one, count))
        return false;
    for (uint32_t i = 0; i < count && *at + 4 < NAME_MAX_BYTES; i++) {
        uint32_t c = text->is_two_byte ? two[i] : one[i];
        if (c >= 0xd800 && c < 0xdc00 && i + 1 < count && (two[i + 1] & 0xfc00) == 0xdc00)
            c = 0x10000 + ((c & 0x3ff) << 10) + (two[++i] & 0x3ffu);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0)) c = '?'; /* it goes to a terminal */
        *at += text_put(out + *at, c);
    }
    return true;
}

const char *v8_name(struct javascript *javascript, uint64_t string)
{
    const struct v8_layout *layout = &javascript->layout;
    char out[NAME_MAX_BYTES + 1];
    uint64_t pieces[PIECES_MAX] = {string};
    size_t at = 0;
    int count = 1;
    for (int steps = 0; count > 0 && steps < PIECES_MAX; steps++) {
        uint64_t piece = pieces[--count];
        struct v8_text text;
        if (v8_text(javascript, piece, &text)) {
            if (!put_text(javascript, &text, out, &at)) return NULL;
            continue;
        }
        int type = v8_type(javascript, piece);
        if (type < 0 || type >= layout->string_last || count + 2 > PIECES_MAX ||
            (type & layout->representation_mask) != layout->cons_tag)
            return NULL;
        if (!v8_word(javascript, piece, layout->cons_second, &pieces[count]) ||
            !v8_word(javascript, piece, layout->cons_first, &pieces[count + 1]))
            return NULL;
        count += 2;
    }
    out[at] = '\0';
    return text_keep(out);
}

uint8_t *v8_bytes(struct javascript *javascript, uint64_t array, int32_t data_offset, int *count)
{
    int32_t bytes = v8_number(javascript, array, javascript->layout.array_length);
    if (bytes <= 0 || bytes > V8_BYTECODE_MAX) return NULL;
    uint8_t *out = malloc((size_t)bytes);
    if (out == NULL) return NULL;
    if (!v8_member(javascript, array, data_offset, out, (size_t)bytes)) {
        free(out);
        return NULL;
    }
    *count = bytes;
    return out;
}
