/* Eight bytes of content come from one step of splitmix64 over their place in the stream. */
#include "content.h"

#include <string.h>

static uint64_t word_at(uint64_t seed, uint64_t index)
{
    uint64_t mixed = (seed << 32 ^ index) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* Takes the bytes of the word at offset that are asked for. Gives how many. */
static size_t take(uint64_t seed, uint64_t offset, unsigned char bytes[8], size_t len)
{
    uint64_t word = word_at(seed, offset / 8);
    size_t skip = offset % 8, count = 8 - skip < len ? 8 - skip : len;
    memcpy(bytes, (unsigned char *)&word + skip, count);
    return count;
}

void content_fill(uint64_t seed, uint64_t offset, void *to, size_t len)
{
    unsigned char *at = to, bytes[8];
    while (len > 0) {
        size_t count = take(seed, offset, bytes, len);
        memcpy(at, bytes, count);
        at += count;
        offset += count;
        len -= count;
    }
}

size_t content_check(uint64_t seed, uint64_t offset, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    unsigned char wanted[8];
    for (size_t done = 0; done < len;) {
        size_t count = take(seed, offset + done, wanted, len - done);
        if (memcmp(at + done, wanted, count) == 0) {
            done += count;
            continue;
        }
        size_t same = 0;
        while (at[done + same] == wanted[same]) same++;
        return done + same;
    }
    return len;
}
