/* Texts that come from elsewhere, such as names in someone's program, made harmless for a terminal,
 * for JSON and for XML. */
#include <stdbool.h>
#include <string.h>

#include "show/format.h"

/* Gives the length of the UTF-8 character at text, 0 if there is none, and its code. */
static size_t utf8_read(const unsigned char *text, uint32_t *code)
{
    static const struct { unsigned char mask, lead; size_t len; uint32_t least; } forms[] = {
        { 0x80, 0x00, 1, 0 }, { 0xe0, 0xc0, 2, 0x80 }, { 0xf0, 0xe0, 3, 0x800 },
        { 0xf8, 0xf0, 4, 0x10000 },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if ((text[0] & forms[i].mask) != forms[i].lead) continue;
        *code = text[0] & (unsigned char)~forms[i].mask;
        for (size_t at = 1; at < forms[i].len; at++) {
            if ((text[at] & 0xc0) != 0x80) return 0;
            *code = *code << 6 | (text[at] & 0x3f);
        }
        bool is_surrogate = *code >= 0xd800 && *code < 0xe000;
        return *code >= forms[i].least && *code < 0x110000 && !is_surrogate ? forms[i].len : 0;
    }
    return 0;
}

/* Both sets of control characters: a terminal may obey the second one too. */
static bool is_control(uint32_t code)
{
    return code < ' ' || (code >= 0x7f && code < 0xa0);
}

static bool is_harmless(uint32_t code)
{
    bool turns_direction = code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
                           (code >= 0x2066 && code <= 0x2069);
    return !is_control(code) && !turns_direction && (code & 0xfffe) != 0xfffe;
}

char *format_safe(const char *from, char *text, size_t room)
{
    size_t used = 0;
    for (const unsigned char *at = (const unsigned char *)from; *at;) {
        uint32_t code;
        size_t len = utf8_read(at, &code), kept = len > 0 && is_harmless(code) ? len : 1;
        if (used + kept >= room) break;
        if (len > 0 && is_harmless(code)) memcpy(text + used, at, len);
        else text[used] = '?';
        used += kept;
        at += len > 0 ? len : 1;
    }
    text[used] = '\0';
    return text;
}

static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

size_t format_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++) width += begins_character(*text);
    return width;
}

char *format_elided(const char *from, size_t width, char *text, size_t room)
{
    static const char mark[] = "...";
    size_t whole = format_width(from), head = 0, at = 0, used = 0;
    if (width < sizeof mark) width = sizeof mark;
    if (whole > width) head = (width - (sizeof mark - 1)) / 2;
    size_t tail = whole > width ? whole - (width - (sizeof mark - 1) - head) : 0;
    for (; *from && used + sizeof mark < room; from++) {
        at += begins_character(*from); /* counted from 1 */
        if (at > head && at <= tail) {
            if (at == head + 1 && begins_character(*from)) {
                memcpy(text + used, mark, sizeof mark - 1);
                used += sizeof mark - 1;
            }
            continue;
        }
        text[used++] = *from;
    }
    text[used] = '\0';
    return text;
}

void format_json(FILE *to, const char *text)
{
    fputc('"', to);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        uint32_t code;
        size_t len = utf8_read(at, &code);
        if (*at == '"' || *at == '\\') fprintf(to, "\\%c", *at);
        else if (len == 0) fputs("\\ufffd", to); /* a file's name may be any bytes */
        else if (!is_harmless(code) && code <= 0xffff) fprintf(to, "\\u%04x", (unsigned)code);
        else fwrite(at, 1, len, to);
        at += len ? len : 1;
    }
    fputc('"', to);
}

void format_xml(FILE *to, const char *text)
{
    static const struct { char from; const char *name; } entities[] = {
        { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" },
    };
    char safe[2048]; /* a longer name is cut */
    for (const char *at = format_safe(text, safe, sizeof safe); *at; at++) {
        size_t i = 0;
        while (i < sizeof entities / sizeof *entities && entities[i].from != *at) i++;
        if (i < sizeof entities / sizeof *entities) fputs(entities[i].name, to);
        else fputc(*at, to);
    }
}
