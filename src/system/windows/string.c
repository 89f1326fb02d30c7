/* What <string.h> lacks on Windows. */
#include <string.h>

char *strsep(char **rest, const char *marks)
{
    char *word = *rest;
    if (word == NULL) return NULL;
    char *end = word + strcspn(word, marks);
    *rest = *end != '\0' ? end + 1 : NULL;
    *end = '\0';
    return word;
}

void *memmem(const void *hay, size_t hay_len, const void *needle, size_t len)
{
    const char *at = hay, *first = needle;
    if (len == 0) return (void *)(size_t)at;
    while (hay_len >= len) {
        const char *found = memchr(at, *first, hay_len - len + 1);
        if (found == NULL) return NULL;
        if (memcmp(found, needle, len) == 0) return (void *)(size_t)found;
        hay_len -= (size_t)(found + 1 - at);
        at = found + 1;
    }
    return NULL;
}
