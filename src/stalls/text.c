/* Interned text: a table that only grows, and that any thread may use. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/stalls.h"

struct kept { struct kept *next; char text[]; };

enum { BUCKETS = 4096 };

static struct kept *buckets[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *find_or_add(struct kept **bucket, const char *text)
{
    for (const struct kept *at = *bucket; at != NULL; at = at->next)
        if (strcmp(at->text, text) == 0) return at->text;
    size_t bytes = strlen(text) + 1;
    struct kept *kept = malloc(sizeof *kept + bytes);
    if (kept == NULL) return "?"; /* the report goes on, with less in it */
    memcpy(kept->text, text, bytes);
    kept->next = *bucket;
    *bucket = kept;
    return kept->text;
}

const char *text_keep(const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *at = text; *at != '\0'; at++) hash = (hash ^ (unsigned char)*at) * 16777619u;
    pthread_mutex_lock(&lock);
    const char *kept = find_or_add(&buckets[hash % BUCKETS], text);
    pthread_mutex_unlock(&lock);
    return kept;
}

const char *text_format(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text_keep(text);
}

size_t text_put(char *out, uint32_t character)
{
    if (character > 0x10ffff || (character >= 0xd800 && character < 0xe000) || character == 0)
        character = 0xfffd;
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, character >>= 6)
        out[i] = (char)(0x80 | (character & 0x3f));
    out[0] = (char)((0xf00 >> length & 0xff) | character);
    return length;
}
