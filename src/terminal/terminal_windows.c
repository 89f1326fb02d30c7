/* Terminals of Windows: consoles, whose input and output have each a handle and modes of their own.
 * A mode survives the program, as that of a terminal does elsewhere; so the way back is the same as
 * in terminal/terminal.c: a table that can be read at any moment, and signals that are guarded.
 *
 * A console tells of a new size only who reads its input, which hark does not: it looks. */
#include <errno.h>
#include <hark/terminal.h>
#include <hark/timer.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <winsock2.h>

#include "calls.h"
#include "terminal/resized.h"

enum { CHANGED_MAX = 8 };

#define LOOK_NS (250 * HARK_MILLISECOND)

static struct changed {
    atomic_bool is_set;
    HANDLE handle;
    DWORD found;
} changed[CHANGED_MAX];

static HANDLE handle_of(int fd) { return (HANDLE)(intptr_t)call_descriptor(fd); }

static int why_not(HANDLE handle)
{
    DWORD flags;
    bool is_open = handle != INVALID_HANDLE_VALUE && GetHandleInformation(handle, &flags);
    return is_open ? HARK_ENOTTY : HARK_EBADF;
}

static struct changed *find(HANDLE handle)
{
    for (int i = 0; i < CHANGED_MAX; i++)
        if (atomic_load(&changed[i].is_set) && changed[i].handle == handle) return &changed[i];
    return NULL;
}

static struct changed *keep(HANDLE handle, DWORD found)
{
    static atomic_bool is_registered;
    for (int i = 0; i < CHANGED_MAX; i++) {
        struct changed *entry = &changed[i];
        if (atomic_load(&entry->is_set)) continue;
        entry->handle = handle;
        entry->found = found;
        atomic_store(&entry->is_set, true);
        if (!atomic_exchange(&is_registered, true)) (void)atexit(hark_terminal_restore);
        return entry;
    }
    return NULL;
}

/* Keys come as the bytes that a terminal sends: arrows as escape sequences. */
static DWORD input_mode(DWORD found, enum hark_terminal_mode mode)
{
    DWORD ours = ENABLE_PROCESSED_INPUT | ENABLE_LINE_INPUT | ENABLE_ECHO_INPUT |
                 ENABLE_VIRTUAL_TERMINAL_INPUT;
    found &= ~ours;
    if (mode == HARK_TERMINAL_HIDDEN) return found | ENABLE_PROCESSED_INPUT | ENABLE_LINE_INPUT;
    found |= ENABLE_VIRTUAL_TERMINAL_INPUT;
    return mode == HARK_TERMINAL_KEYS ? found | ENABLE_PROCESSED_INPUT : found;
}

static DWORD output_mode(DWORD found, enum hark_terminal_mode mode)
{
    found |= ENABLE_PROCESSED_OUTPUT | ENABLE_VIRTUAL_TERMINAL_PROCESSING;
    return mode == HARK_TERMINAL_RAW ? found | DISABLE_NEWLINE_AUTO_RETURN : found;
}

int hark_terminal_mode(int fd, enum hark_terminal_mode mode)
{
    DWORD now;
    CONSOLE_SCREEN_BUFFER_INFO info;
    HANDLE handle = handle_of(fd);
    if (mode < HARK_TERMINAL_AS_FOUND || mode > HARK_TERMINAL_RAW) return HARK_EINVAL;
    if (!GetConsoleMode(handle, &now)) return why_not(handle);
    struct changed *entry = find(handle);
    if (mode == HARK_TERMINAL_AS_FOUND) {
        if (entry == NULL) return 0;
        BOOL is_back = SetConsoleMode(handle, entry->found);
        atomic_store(&entry->is_set, false);
        return is_back ? 0 : HARK_EIO;
    }
    if (entry == NULL) entry = keep(handle, now);
    if (entry == NULL) return HARK_EMFILE;
    bool is_output = GetConsoleScreenBufferInfo(handle, &info);
    now = is_output ? output_mode(entry->found, mode) : input_mode(entry->found, mode);
    return SetConsoleMode(handle, now) ? 0 : HARK_EIO;
}

void hark_terminal_restore(void)
{
    for (int i = 0; i < CHANGED_MAX; i++) {
        if (!atomic_load(&changed[i].is_set)) continue;
        (void)SetConsoleMode(changed[i].handle, changed[i].found); /* gone: nothing to put back */
        atomic_store(&changed[i].is_set, false);
    }
}

static struct guard {
    int number;
    bool is_on;
    struct sigaction before;
} guards[] = {
    { .number = SIGINT }, { .number = SIGTERM }, { .number = SIGHUP }, { .number = SIGBREAK },
    { .number = SIGABRT }, /* a crash: guarded whoever handles it */
};
enum { GUARDS = sizeof guards / sizeof guards[0] };

/* Then the signal does what it would have done without us: the next handler is asked. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    hark_terminal_restore();
    for (int i = 0; i < GUARDS; i++) {
        if (guards[i].number != number) continue;
        guards[i].is_on = false;
        (void)sigaction(number, &guards[i].before, NULL);
    }
    (void)raise(number);
}

static LPTOP_LEVEL_EXCEPTION_FILTER filter_before;

static LONG WINAPI on_fault(EXCEPTION_POINTERS *fault)
{
    hark_terminal_restore();
    return filter_before != NULL ? filter_before(fault) : EXCEPTION_CONTINUE_SEARCH;
}

static void guard_on(struct guard *guard)
{
    struct sigaction ours = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
    if (sigaction(guard->number, NULL, &guard->before) != 0) return;
    bool is_default = !(guard->before.sa_flags & SA_SIGINFO) &&
                      guard->before.sa_handler == SIG_DFL;
    if (!is_default && guard->number != SIGABRT) return;
    guard->is_on = sigaction(guard->number, &ours, NULL) == 0;
}

static void guard_off(struct guard *guard)
{
    struct sigaction now;
    if (sigaction(guard->number, NULL, &now) != 0) return;
    bool is_ours = now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_signal;
    if (is_ours) (void)sigaction(guard->number, &guard->before, NULL);
    guard->is_on = false;
}

void hark_terminal_guard(bool is_on)
{
    static bool was_on;
    for (int i = 0; i < GUARDS; i++) {
        if (is_on == guards[i].is_on) continue;
        if (is_on) guard_on(&guards[i]);
        else guard_off(&guards[i]);
    }
    if (is_on && !was_on) filter_before = SetUnhandledExceptionFilter(on_fault);
    if (!is_on && was_on) {
        LPTOP_LEVEL_EXCEPTION_FILTER now = SetUnhandledExceptionFilter(filter_before);
        if (now != on_fault) (void)SetUnhandledExceptionFilter(now);
    }
    was_on = is_on;
}

/* An input has the size of the output that belongs to the same console. */
int hark_terminal_size(int fd, struct hark_terminal_size *size)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    DWORD mode;
    HANDLE handle = handle_of(fd), other = INVALID_HANDLE_VALUE;
    if (!GetConsoleMode(handle, &mode)) return why_not(handle);
    BOOL is_told = GetConsoleScreenBufferInfo(handle, &info);
    if (!is_told) {
        other = CreateFileA("CONOUT$", GENERIC_READ | GENERIC_WRITE,
                            FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
        is_told = GetConsoleScreenBufferInfo(other, &info);
    }
    if (other != INVALID_HANDLE_VALUE) CloseHandle(other);
    if (!is_told) return HARK_ENOTTY;
    size->columns = info.srWindow.Right - info.srWindow.Left + 1;
    size->rows = info.srWindow.Bottom - info.srWindow.Top + 1;
    return 0;
}

/* The watch of a size. */

static void on_time(struct hark_op *own)
{
    struct hark_terminal_watch *watch = own->user;
    if (own->result != 0 || watch->error != 0) { /* by the loop, or by us */
        resized_end(watch);
        return;
    }
    resized_look(watch);
    if (watch->error == 0) resized_hear(watch, hark_op_loop(own));
}

void resized_hear(struct hark_terminal_watch *watch, struct hark_loop *loop)
{
    watch->own.label = "terminal size";
    hark_timer(&watch->own, loop, hark_after(loop, LOOK_NS), on_time);
    hark_background(&watch->own);
}
