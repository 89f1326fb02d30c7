/* The text of consoles; see console.h.
 *
 * A line is edited inside ReadConsoleW() and nowhere else, so that call is made as soon as the
 * first key is there, and not before: until then a reader can turn back, and has taken nothing.
 * Once it is made, its cancel (CancelSynchronousIo) would not do: the console goes on reading, and
 * throws away the next line. So it is given the key that ends a line. */
#include "console.h"

#include <string.h>

enum { CONTROL_Z = 0x1a, PIECE_BYTES = 1024 };

bool console_is(HANDLE handle)
{
    DWORD mode;
    return GetConsoleMode(handle, &mode);
}

bool console_is_input(HANDLE handle)
{
    DWORD count;
    return GetNumberOfConsoleInputEvents(handle, &count);
}

static bool is_by_lines(HANDLE input)
{
    DWORD mode = 0;
    return GetConsoleMode(input, &mode) && mode & ENABLE_LINE_INPUT;
}

static bool is_modifier(WORD key)
{
    return key == VK_SHIFT || key == VK_CONTROL || key == VK_MENU || key == VK_CAPITAL ||
           key == VK_NUMLOCK || key == VK_SCROLL || key == VK_LWIN || key == VK_RWIN;
}

/* Lines are also edited by keys without a character. One that was typed by its number comes when
 * Alt goes up. */
static bool is_text(const INPUT_RECORD *record, bool by_lines)
{
    const KEY_EVENT_RECORD *key = &record->Event.KeyEvent;
    if (record->EventType != KEY_EVENT) return false;
    if (!key->bKeyDown) return key->wVirtualKeyCode == VK_MENU && key->uChar.UnicodeChar != 0;
    return key->uChar.UnicodeChar != 0 || (by_lines && !is_modifier(key->wVirtualKeyCode));
}

bool console_has_text(HANDLE input)
{
    INPUT_RECORD record;
    DWORD count;
    bool by_lines = is_by_lines(input);
    while (PeekConsoleInputW(input, &record, 1, &count) && count != 0) { /* each round takes one */
        if (is_text(&record, by_lines)) return true;
        if (!ReadConsoleInputW(input, &record, 1, &count)) return true; /* the read will tell */
    }
    return false;
}

static bool is_high(WCHAR unit) { return unit >= 0xd800 && unit < 0xdc00; }

DWORD console_read(HANDLE input, struct console_text *text, char *to, DWORD *n)
{
    WCHAR units[CONSOLE_UNITS + 1];
    DWORD kept = text->high != 0, got = 0;
    bool by_lines = is_by_lines(input), is_first = !text->is_in_line;
    *n = 0;
    units[0] = text->high;
    if (!ReadConsoleW(input, units + kept, CONSOLE_UNITS, &got, NULL)) return GetLastError();
    text->is_in_line = false;
    if (got == 0) return 0; /* Ctrl-C */
    DWORD count = kept + got;
    text->is_in_line = by_lines && units[count - 1] != L'\n';
    text->high = 0;
    if (by_lines && is_first && units[0] == CONTROL_Z) return ERROR_HANDLE_EOF;
    if (is_high(units[count - 1])) text->high = units[--count];
    if (count == 0) return 0;
    int len = WideCharToMultiByte(CP_UTF8, 0, units, (int)count, to, CONSOLE_READ_BYTES, NULL,
                                  NULL);
    *n = (DWORD)len;
    return len != 0 ? 0 : GetLastError();
}

/* Bytes at the end that begin a character and do not finish it. */
static size_t part_len(const char *bytes, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char byte = (unsigned char)bytes[len - back];
        size_t whole = byte >= 0xf8 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
        if ((byte & 0xc0) != 0x80) return byte >= 0xc0 && whole > back ? back : 0;
    }
    return 0;
}

static DWORD write_units(HANDLE output, const WCHAR *units, DWORD count)
{
    for (DWORD n; count != 0; units += n, count -= n) {
        n = 0;
        if (!WriteConsoleW(output, units, count, &n, NULL)) return GetLastError();
        if (n == 0) return ERROR_WRITE_FAULT;
    }
    return 0;
}

static DWORD write_piece(HANDLE output, struct console_text *text, const char *from, size_t len)
{
    char bytes[PIECE_BYTES + sizeof text->part];
    WCHAR units[sizeof bytes];
    size_t count = text->part_len;
    memcpy(bytes, text->part, count);
    memcpy(bytes + count, from, len);
    count += len;
    text->part_len = part_len(bytes, count);
    count -= text->part_len;
    memcpy(text->part, bytes + count, text->part_len);
    if (count == 0) return 0;
    int made = MultiByteToWideChar(CP_UTF8, 0, bytes, (int)count, units, (int)sizeof bytes);
    return made != 0 ? write_units(output, units, (DWORD)made) : GetLastError();
}

DWORD console_write(HANDLE output, struct console_text *text, const char *from, size_t len)
{
    DWORD error = 0;
    for (size_t n; len != 0 && error == 0; from += n, len -= n) {
        n = len < PIECE_BYTES ? len : PIECE_BYTES;
        error = write_piece(output, text, from, n);
    }
    return error;
}

void console_interrupt(HANDLE input)
{
    INPUT_RECORD record = { .EventType = KEY_EVENT };
    DWORD count;
    record.Event.KeyEvent = (KEY_EVENT_RECORD){
        .bKeyDown = TRUE, .wRepeatCount = 1, .wVirtualKeyCode = VK_RETURN,
        .uChar.UnicodeChar = L'\r',
    };
    (void)WriteConsoleInputW(input, &record, 1, &count); /* refused: the call goes on */
}
