/* Consoles as ios: what is typed, by lines and by keys, and what is shown. */
#include <promise/groups.h>
#include <promise/harness.h>

#include <windows.h>

#include "console.h"

static struct hark_io io;
static struct probe probe;
static char buf[64];

static HANDLE handle_of(int fd) { return (HANDLE)(intptr_t)fd; }

static void put(INPUT_RECORD record)
{
    DWORD n;
    ck_assert(WriteConsoleInputW(handle_of(input), &record, 1, &n));
}

static void type(const wchar_t *keys)
{
    for (; *keys != 0; keys++)
        for (int is_down = 1; is_down >= 0; is_down--)
            put((INPUT_RECORD){ .EventType = KEY_EVENT, .Event.KeyEvent = {
                .bKeyDown = is_down, .wRepeatCount = 1, .uChar.UnicodeChar = *keys,
                .wVirtualKeyCode = *keys == L'\r' ? VK_RETURN : 0 } });
}

/* What is no text: a window's focus, the mouse, a key that does nothing by itself. */
static void move_about(void)
{
    put((INPUT_RECORD){ .EventType = FOCUS_EVENT });
    put((INPUT_RECORD){ .EventType = MOUSE_EVENT });
    put((INPUT_RECORD){ .EventType = KEY_EVENT, .Event.KeyEvent = {
        .bKeyDown = TRUE, .wRepeatCount = 1, .wVirtualKeyCode = VK_SHIFT } });
}

static DWORD typed_ahead(void)
{
    DWORD count = 0;
    ck_assert(GetNumberOfConsoleInputEvents(handle_of(input), &count));
    return count;
}

/* Until the console has taken all that was typed: a line is being edited. */
static void await_begun(void)
{
    int64_t until = clock_now() + 10 * HARK_SECOND;
    while (typed_ahead() != 0 && clock_now() < until) Sleep(1);
    ck_assert_uint_eq(typed_ahead(), 0);
}

static void adopt(int fd) { ck_assert_int_eq(hark_io_adopt(&io, loop, fd), 0); }

static void read_some(size_t len)
{
    probe = (struct probe){ 0 };
    hark_read(&probe.op, &io, buf, len, on_probe);
}

static void expect_read(const char *text)
{
    await(&probe);
    ck_assert_result(&probe, (int64_t)strlen(text));
    ck_assert_mem_eq(buf, text, strlen(text));
}

static void expect_nothing(void)
{
    int64_t until = clock_now() + 100 * HARK_MILLISECOND;
    while (clock_now() < until) ck_assert_int_ge(hark_step(loop, 10 * HARK_MILLISECOND), 0);
    ck_assert_int_eq(probe.calls, 0);
}

START_TEST(a_line_is_read_as_utf8_once_it_is_whole)
{
    if (!in_console("")) return;
    adopt(input);
    read_some(sizeof buf);
    move_about();
    type(L"h\u00e4 \u20ac \U0001f426");
    expect_nothing();
    type(L"!\rnext\r");
    expect_read("h\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\xa6!\r\n");
    read_some(3);
    expect_read("nex");
    read_some(sizeof buf);
    expect_read("t\r\n");
    close_io(&io);
}
END_TEST

START_TEST(what_a_canceled_read_has_begun_is_for_the_next)
{
    if (!in_console("")) return;
    adopt(input);
    for (int round = 0; round < 3; round++) {
        read_some(sizeof buf);
        if (round != 0) type(L"lin");
        if (round != 0) await_begun();
        hark_cancel(&probe.op);
        await(&probe);
        ck_assert_result(&probe, HARK_ECANCELED);
        type(round != 0 ? L"e\r" : L"line\r");
        if (round == 2) Sleep(50);
        spin(2); /* it may have come before somebody asks */
        read_some(sizeof buf);
        expect_read("line\r\n");
    }
    close_io(&io);
}
END_TEST

START_TEST(what_nobody_has_asked_for_stays_in_the_console)
{
    if (!in_console("")) return;
    adopt(input);
    for (int i = 0; i < 20; i++) { /* until one is seen by the thread that waits for keys */
        read_some(sizeof buf);
        Sleep(20);
        hark_cancel(&probe.op);
        await(&probe);
    }
    type(L"mine\r");
    for (int i = 0; i < 50; i++) { /* long enough for whoever would take it */
        Sleep(10);
        ck_assert_uint_ne(typed_ahead(), 0);
    }
    ck_assert_int_eq(hark_io_release(&io), input);
    ck_assert_uint_ne(typed_ahead(), 0);
    adopt(input);
    read_some(sizeof buf);
    expect_read("mine\r\n");
    close_io(&io);
}
END_TEST

START_TEST(keys_are_read_each_at_once_and_whole)
{
    if (!in_console("")) return;
    adopt(input);
    read_some(sizeof buf);
    ck_assert_int_eq(hark_terminal_mode(input, HARK_TERMINAL_KEYS), 0); /* holds for that read */
    type(L"x");
    expect_read("x");
    read_some(1);
    type(L"\u00e4");
    expect_read("\xc3");
    read_some(1);
    expect_read("\xa4");
    read_some(sizeof buf);
    move_about();
    type(L"\xd83d");
    expect_nothing();
    type(L"\xdc26");
    expect_read("\xf0\x9f\x90\xa6");
    ck_assert_int_eq(hark_terminal_mode(input, HARK_TERMINAL_AS_FOUND), 0);
    read_some(sizeof buf);
    type(L"ab");
    expect_nothing(); /* by lines again */
    type(L"\r");
    expect_read("ab\r\n");
    close_io(&io);
}
END_TEST

START_TEST(a_line_of_control_z_is_an_end_after_which_it_goes_on)
{
    if (!in_console("")) return;
    adopt(input);
    read_some(sizeof buf);
    type(L"\x1a\rmore\x1a\r");
    await(&probe);
    ck_assert_result(&probe, 0);
    read_some(sizeof buf);
    expect_read("more\x1a\r\n");
    close_io(&io);
}
END_TEST

START_TEST(a_line_longer_than_any_piece_comes_in_order)
{
    enum { LEN = 3000 };
    static wchar_t line[LEN + 2];
    if (!in_console("")) return;
    adopt(input);
    for (int i = 0; i < LEN; i++) line[i] = (wchar_t)(L'a' + i % 26);
    line[LEN] = L'\r';
    read_some(sizeof buf);
    type(line);
    for (int at = 0; at < LEN;) {
        await(&probe);
        ck_assert_int_gt(probe.result, 0);
        for (int i = 0; i < probe.result && at < LEN; i++, at++)
            ck_assert_int_eq(buf[i], 'a' + at % 26);
        if (at < LEN) read_some(sizeof buf);
    }
    close_io(&io);
}
END_TEST

START_TEST(a_console_is_closed_while_a_line_is_half_typed)
{
    if (!in_console("")) return;
    adopt(input);
    read_some(sizeof buf);
    type(L"half");
    await_begun();
    close_io(&io);
    ck_assert_result(&probe, HARK_ECANCELED);
    HANDLE again = CreateFileA("CONIN$", GENERIC_READ | GENERIC_WRITE,
                               FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    input = (int)(intptr_t)again;
    adopt(input);
    read_some(sizeof buf);
    type(L"whole\r");
    expect_read("whole\r\n");
    close_io(&io);
}
END_TEST

START_TEST(a_console_tells_when_it_can_be_read_and_keeps_what_is_there)
{
    if (!in_console("")) return;
    adopt(input);
    probe = (struct probe){ 0 };
    hark_ready(&probe.op, &io, HARK_READABLE, on_probe);
    move_about();
    expect_nothing();
    type(L"k\r");
    await(&probe);
    ck_assert_result(&probe, 0);
    ck_assert_uint_ne(typed_ahead(), 0);
    read_some(sizeof buf);
    expect_read("k\r\n");
    probe = (struct probe){ 0 };
    hark_write(&probe.op, &io, "x", 1, on_probe);
    await(&probe);
    ck_assert_result(&probe, HARK_EBADF);
    close_io(&io);
}
END_TEST

static void show(const char *bytes)
{
    probe = (struct probe){ 0 };
    hark_write(&probe.op, &io, bytes, strlen(bytes), on_probe);
    await(&probe);
    ck_assert_result(&probe, (int64_t)strlen(bytes));
}

START_TEST(what_is_written_is_shown_also_where_a_character_is_cut)
{
    wchar_t shown[5] = { 0 };
    DWORD n;
    CONSOLE_SCREEN_BUFFER_INFO before;
    if (!in_console("")) return;
    ck_assert(GetConsoleScreenBufferInfo(handle_of(output), &before));
    adopt(output);
    show("a\xc3");
    show("\xa4\xe2");
    show("\x82");
    show("\xac.");
    show("\xff!"); /* no character, and shown as that */
    ck_assert(ReadConsoleOutputCharacterW(handle_of(output), shown, 5, before.dwCursorPosition,
                                          &n));
    ck_assert_mem_eq(shown, L"a\u00e4\u20ac.\ufffd", sizeof shown);
    probe = (struct probe){ 0 };
    hark_ready(&probe.op, &io, HARK_WRITABLE, on_probe);
    await(&probe);
    ck_assert_result(&probe, 0);
    read_some(1);
    await(&probe);
    ck_assert_result(&probe, HARK_EBADF);
    close_io(&io);
}
END_TEST

START_TEST(standard_input_has_the_number_0)
{
    struct hark_io other = { 0 };
    struct hark_terminal_size size = { 0 };
    if (!in_console("")) return;
    ck_assert(SetStdHandle(STD_INPUT_HANDLE, handle_of(input))); /* else those of the suite */
    ck_assert(SetStdHandle(STD_OUTPUT_HANDLE, handle_of(output)));
    ck_assert_int_eq(hark_terminal_size(1, &size), 0);
    ck_assert_int_eq(size.columns, CONSOLE_COLUMNS);
    ck_assert_int_eq(hark_terminal_mode(0, HARK_TERMINAL_KEYS), 0);
    adopt(0);
    ck_assert_int_eq(hark_io_adopt(&other, loop, 0), HARK_EEXIST);
    read_some(sizeof buf);
    type(L"y");
    expect_read("y");
    ck_assert_int_eq(hark_terminal_mode(0, HARK_TERMINAL_AS_FOUND), 0);
    ck_assert_int_eq(hark_io_release(&io), input);
    ck_assert(SetStdHandle(STD_INPUT_HANDLE, NULL));
    ck_assert_int_eq(hark_io_adopt(&io, loop, 0), HARK_EBADF);
}
END_TEST

void add_console_io_cases(Suite *suite)
{
    CASE(suite, a_line_is_read_as_utf8_once_it_is_whole);
    CASE(suite, what_a_canceled_read_has_begun_is_for_the_next);
    CASE(suite, what_nobody_has_asked_for_stays_in_the_console);
    CASE(suite, keys_are_read_each_at_once_and_whole);
    CASE(suite, a_line_of_control_z_is_an_end_after_which_it_goes_on);
    CASE(suite, a_line_longer_than_any_piece_comes_in_order);
    CASE(suite, a_console_is_closed_while_a_line_is_half_typed);
    CASE(suite, a_console_tells_when_it_can_be_read_and_keeps_what_is_there);
    CASE(suite, what_is_written_is_shown_also_where_a_character_is_cut);
    CASE(suite, standard_input_has_the_number_0);
}
