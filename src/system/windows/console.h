/* The text of consoles, which is UTF-16 there and UTF-8 here. Every call but console_is_input() may
 * wait: for a thread that may. */
#ifndef HARK_SYSTEM_WINDOWS_CONSOLE_H
#define HARK_SYSTEM_WINDOWS_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <windows.h>

/* What is kept from one call to the next, zero at first. */
struct console_text {
    bool is_in_line;    /* the rest of a line is there already, and the handle does not tell */
    WCHAR high;         /* the first half of a character outside the first 65,536 */
    char part[4];       /* the first bytes of a character */
    size_t part_len;
};

/* Whether a handle is a console's, and of its input. */
bool console_is(HANDLE handle);
bool console_is_input(HANDLE handle);

/* Whether the first of the events that are there begins some text. Those before are thrown away:
 * keys that go up, the mouse, a change of the size. */
bool console_has_text(HANDLE input);

enum { CONSOLE_UNITS = 1024, CONSOLE_READ_BYTES = 3 * (CONSOLE_UNITS + 1) };

/* Reads what was typed: a line, or what there is, as the console's mode says. 0 and *n, which may
 * be 0, and that is no end; ERROR_HANDLE_EOF: Ctrl-Z began a line; or an error.
 * to has room for CONSOLE_READ_BYTES. */
DWORD console_read(HANDLE input, struct console_text *text, char *to, DWORD *n);

/* Writes all but the beginning of a character at the end, which goes with the next write. */
DWORD console_write(HANDLE output, struct console_text *text, const char *from, size_t len);

/* Ends a console_read() on another thread: what was typed of a line is lost. */
void console_interrupt(HANDLE input);

#endif
