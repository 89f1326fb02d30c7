/* The group `terminal` on Windows: modes of consoles, the way back from them, their size, and
 * consoles as ios. Each case runs once more in a console of its own; see console.h. */
#include <promise/groups.h>
#include <promise/harness.h>

#include <stdio.h>
#include <windows.h>

#include "console.h"

enum { NEW_COLUMNS = 50 };

static DWORD mode_of(int end)
{
    DWORD mode = 0;
    ck_assert(GetConsoleMode((HANDLE)(intptr_t)end, &mode));
    return mode;
}

enum { TYPED = ENABLE_PROCESSED_INPUT | ENABLE_LINE_INPUT | ENABLE_ECHO_INPUT |
               ENABLE_VIRTUAL_TERMINAL_INPUT };

START_TEST(modes_do_what_they_say_and_do_not_add_up)
{
    if (!in_console("")) return;
    DWORD found = mode_of(input), shown = mode_of(output);
    ck_assert_int_eq(hark_terminal_mode(input, HARK_TERMINAL_HIDDEN), 0);
    ck_assert_uint_eq(mode_of(input) & TYPED, ENABLE_PROCESSED_INPUT | ENABLE_LINE_INPUT);
    ck_assert_int_eq(hark_terminal_mode(input, HARK_TERMINAL_KEYS), 0);
    ck_assert_uint_eq(mode_of(input) & TYPED,
                      ENABLE_PROCESSED_INPUT | ENABLE_VIRTUAL_TERMINAL_INPUT);
    ck_assert_int_eq(hark_terminal_mode(input, HARK_TERMINAL_RAW), 0);
    ck_assert_uint_eq(mode_of(input) & TYPED, ENABLE_VIRTUAL_TERMINAL_INPUT);
    ck_assert_uint_eq(mode_of(input) & ~TYPED, found & ~TYPED);
    ck_assert_uint_eq(mode_of(output), shown);
    ck_assert_int_eq(hark_terminal_mode(output, HARK_TERMINAL_RAW), 0);
    ck_assert(mode_of(output) & ENABLE_VIRTUAL_TERMINAL_PROCESSING);
    ck_assert(mode_of(output) & DISABLE_NEWLINE_AUTO_RETURN);
    ck_assert_int_eq(hark_terminal_mode(output, HARK_TERMINAL_KEYS), 0);
    ck_assert(!(mode_of(output) & DISABLE_NEWLINE_AUTO_RETURN) ||
              shown & DISABLE_NEWLINE_AUTO_RETURN);
    ck_assert_int_eq(hark_terminal_mode(input, HARK_TERMINAL_AS_FOUND), 0);
    ck_assert_uint_eq(mode_of(input), found);
    hark_terminal_restore();
    ck_assert_uint_eq(mode_of(output), shown);
    ck_assert_int_eq(hark_terminal_mode(input, (enum hark_terminal_mode)9), HARK_EINVAL);
}
END_TEST

START_TEST(the_size_is_that_of_the_console_by_either_end)
{
    struct hark_terminal_size size = { 0 }, other = { 0 };
    if (!in_console("")) return;
    ck_assert_int_eq(hark_terminal_size(output, &size), 0);
    ck_assert_int_eq(size.columns, CONSOLE_COLUMNS);
    ck_assert_int_eq(size.rows, CONSOLE_ROWS);
    ck_assert_int_eq(hark_terminal_size(input, &other), 0);
    ck_assert_int_eq(other.columns, CONSOLE_COLUMNS);
    ck_assert_int_eq(other.rows, CONSOLE_ROWS);
}
END_TEST

START_TEST(what_is_no_console_says_so)
{
    char name[] = "/tmp/hark-terminal-XXXXXX";
    struct hark_terminal_size size;
    struct hark_terminal_watch watch;
    struct probe probe = { 0 };
    int fd = mkstemp(name);
    ck_assert_int_eq(hark_terminal_mode(fd, HARK_TERMINAL_RAW), HARK_ENOTTY);
    ck_assert_int_eq(hark_terminal_size(fd, &size), HARK_ENOTTY);
    close(fd);
    unlink(name);
    ck_assert_int_eq(hark_terminal_mode(fd, HARK_TERMINAL_RAW), HARK_EBADF);
    ck_assert_int_eq(hark_terminal_size(-1, &size), HARK_EBADF);
    hark_terminal_resized(&probe.op, &watch, loop, fd, on_probe);
    await(&probe);
    ck_assert_result(&probe, HARK_EBADF);
}
END_TEST

static DWORD as_found;

/* The last thing that happens in the console: 0 if its mode is as it was found. */
static void end(void) { _exit(mode_of(input) == as_found ? 0 : 1); }

static void on_end(int number)
{
    (void)number;
    end();
}

static BOOL WINAPI on_event(DWORD event)
{
    (void)event;
    end();
    return TRUE;
}

static LONG WINAPI on_fault(EXCEPTION_POINTERS *fault)
{
    (void)fault;
    end();
    return EXCEPTION_EXECUTE_HANDLER;
}

static void make_raw(void)
{
    ck_assert_int_eq(hark_terminal_mode(input, HARK_TERMINAL_RAW), 0);
    ck_assert_uint_ne(mode_of(input), as_found);
}

START_TEST(an_exit_puts_the_modes_back)
{
    if (!in_console("")) return;
    as_found = mode_of(input);
    ck_assert_int_eq(atexit(end), 0); /* after those that are registered later */
    make_raw();
    exit(1);
}
END_TEST

static void end_by(const char *how)
{
    if (!in_console("")) return;
    as_found = mode_of(input);
    signal(SIGABRT, on_end);
    SetUnhandledExceptionFilter(on_fault);
    SetConsoleCtrlHandler(on_event, TRUE);
    hark_terminal_guard(true);
    make_raw();
    if (strcmp(how, "abort") == 0) raise(SIGABRT);
    if (strcmp(how, "fault") == 0) RaiseException(0xe0000001, 0, 0, NULL);
    if (strcmp(how, "event") == 0) GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0);
    Sleep(10000);
    _exit(1);
}

START_TEST(an_abort_puts_the_modes_back_first) { end_by("abort"); }
END_TEST

START_TEST(a_fault_puts_the_modes_back_first) { end_by("fault"); }
END_TEST

START_TEST(an_event_of_the_console_puts_the_modes_back_first) { end_by("event"); }
END_TEST

START_TEST(a_guard_that_is_off_leaves_what_was_there)
{
    if (!in_console("")) return;
    as_found = mode_of(input);
    signal(SIGTERM, on_end);
    SetUnhandledExceptionFilter(on_fault);
    hark_terminal_guard(true);
    hark_terminal_guard(false);
    ck_assert(signal(SIGTERM, SIG_DFL) == on_end);
    ck_assert(signal(SIGINT, SIG_DFL) == SIG_DFL);
    ck_assert(SetUnhandledExceptionFilter(NULL) == on_fault);
}
END_TEST

START_TEST(a_new_size_is_told_until_canceled)
{
    struct probe probe = { 0 };
    struct hark_terminal_watch watch;
    SMALL_RECT part = { .Right = NEW_COLUMNS - 1, .Bottom = CONSOLE_ROWS - 1 };
    if (!in_console("")) return;
    hark_terminal_resized(&probe.op, &watch, loop, output, on_probe);
    int64_t looked = clock_now() + 600 * HARK_MILLISECOND;
    while (clock_now() < looked) ck_assert_int_ge(hark_step(loop, 50 * HARK_MILLISECOND), 0);
    ck_assert_int_eq(probe.calls, 0); /* it is what it was */
    ck_assert(SetConsoleWindowInfo((HANDLE)(intptr_t)output, TRUE, &part));
    await_calls(&probe, 1);
    ck_assert_result(&probe, 0);
    ck_assert(probe.op.more);
    ck_assert_int_eq(watch.size.columns, NEW_COLUMNS);
    ck_assert_int_eq(watch.size.rows, CONSOLE_ROWS);
    hark_cancel(&probe.op);
    await(&probe);
    ck_assert_result(&probe, HARK_ECANCELED);
    probe = (struct probe){ 0 };
    hark_terminal_resized(&probe.op, &watch, loop, output, on_probe);
    hark_loop_close(loop);
    ck_assert_result(&probe, HARK_ECANCELED);
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0); /* for the fixture */
}
END_TEST

/* What is typed, and not a call. */
START_TEST(a_key_of_the_console_is_a_signal)
{
    struct probe probe = { 0 };
    struct hark_signal signal = { 0 };
    INPUT_RECORD event;
    DWORD len;
    if (!in_console("\x03")) return;
    hark_signal(&probe.op, &signal, loop, SIGINT, on_probe);
    ck_assert(PeekConsoleInputA((HANDLE)(intptr_t)input, &event, 1, &len)); /* wine reads so late */
    console_wants_keys();
    await_calls(&probe, 1);
    ck_assert_result(&probe, 1);
    hark_cancel(&probe.op);
    await(&probe);
}
END_TEST

Suite *group_terminal(void)
{
    Suite *suite = suite_create("terminal");
    CASE(suite, modes_do_what_they_say_and_do_not_add_up);
    CASE(suite, the_size_is_that_of_the_console_by_either_end);
    CASE(suite, what_is_no_console_says_so);
    CASE(suite, an_exit_puts_the_modes_back);
    CASE(suite, an_abort_puts_the_modes_back_first);
    CASE(suite, a_fault_puts_the_modes_back_first);
    CASE(suite, an_event_of_the_console_puts_the_modes_back_first);
    CASE(suite, a_guard_that_is_off_leaves_what_was_there);
    CASE(suite, a_new_size_is_told_until_canceled);
    CASE(suite, a_key_of_the_console_is_a_signal);
    add_console_io_cases(suite);
    return suite;
}
