/* The three ways in which CPython has written line tables. Each is walked from the beginning, never
 * beyond its size, whatever is in it. */
#include "stalls/python_line.h"

/* To 3.9: (bytes to go on, lines to go on), the lines signed; what comes before a step holds
 * until it. */
static int find_in_lnotab(const struct python_line_table *table, int offset)
{
    int at = 0, line = table->first_line;
    for (size_t i = 0; i + 1 < table->size; i += 2) {
        at += table->bytes[i];
        if (at > offset) break;
        line += (signed char)table->bytes[i + 1];
    }
    return line;
}

/* 3.10: (bytes that it covers, lines to go on before them), -128 meaning no line. */
static int find_in_linetable(const struct python_line_table *table, int offset)
{
    int end = 0, line = table->first_line;
    for (size_t i = 0; i + 1 < table->size; i += 2) {
        int step = (signed char)table->bytes[i + 1];
        end += table->bytes[i];
        if (step != -128) line += step;
        if (offset < end) return line;
    }
    return 0;
}

/* A number in groups of six bits, the lowest first; bit 6 says that more follow. */
static unsigned read_number(const unsigned char *bytes, size_t size, size_t *at)
{
    unsigned value = 0;
    for (unsigned shift = 0; *at < size && shift < 32; shift += 6) {
        unsigned char byte = bytes[(*at)++];
        value |= (byte & 63u) << shift;
        if ((byte & 64) == 0) break;
    }
    return value;
}

/* How many lines the entry goes on: kinds 0 to 9 and 15 none, 10 to 12 as many as their number less
 * ten, 13 and 14 a number with the sign in its lowest bit. */
static int read_step(const struct python_line_table *table, unsigned kind, size_t at)
{
    if (kind >= 10 && kind <= 12) return (int)kind - 10;
    if (kind != 13 && kind != 14) return 0;
    unsigned value = read_number(table->bytes, table->size, &at);
    int lines = (int)(value >> 1 & 0xffffff);
    return (value & 1) != 0 ? -lines : lines;
}

/* 3.11: entries that begin with a byte whose bit 7 is set: kind in bits 3 to 6, instructions
 * covered less one below. No other byte of an entry has bit 7. */
static int find_in_locations(const struct python_line_table *table, int offset)
{
    int end = 0, line = table->first_line;
    for (size_t at = 0; at < table->size;) {
        unsigned head = table->bytes[at++];
        end += (int)(2 * ((head & 7) + 1));
        line += read_step(table, head >> 3 & 15, at);
        if (offset < end) return line;
        while (at < table->size && (table->bytes[at] & 128) == 0) at++;
    }
    return 0;
}

int python_line(const struct python_line_table *table, int offset)
{
    if (offset < 0) return table->first_line;
    if (table->kind == PYTHON_LNOTAB) return find_in_lnotab(table, offset);
    if (table->kind == PYTHON_LINETABLE) return find_in_linetable(table, offset);
    return find_in_locations(table, offset);
}
