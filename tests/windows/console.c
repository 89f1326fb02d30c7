/* A console of a test's own; see console.h. */
#include <promise/harness.h>

#include <stdio.h>
#include <windows.h>

#include "console.h"

enum { PIPE_BYTES = 1 << 16 };

/* PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE, for which the headers want a later Windows 10. */
#define IN_CONSOLE ProcThreadAttributeValue(22, FALSE, TRUE, FALSE)

typedef HRESULT WINAPI create_fn(COORD size, HANDLE input, HANDLE output, DWORD flags, void **made);

static HANDLE keys;  /* typed into the console */
static HANDLE ready; /* the case wants them now */
int input, output;

static void *open_console(HANDLE *printed)
{
    FARPROC found = GetProcAddress(GetModuleHandleA("kernel32"), "CreatePseudoConsole");
    create_fn *create;
    HANDLE typed, shown;
    void *console = NULL;
    if (found == NULL) return NULL;
    memcpy(&create, &found, sizeof create);
    ck_assert(CreatePipe(&typed, &keys, NULL, PIPE_BYTES));
    ck_assert(CreatePipe(printed, &shown, NULL, PIPE_BYTES));
    HRESULT result = create((COORD){ CONSOLE_COLUMNS, CONSOLE_ROWS }, typed, shown, 0, &console);
    CloseHandle(typed);
    CloseHandle(shown);
    return result == S_OK ? console : NULL;
}

static void close_console(void *console, HANDLE printed)
{
    FARPROC found = GetProcAddress(GetModuleHandleA("kernel32"), "ClosePseudoConsole");
    void (WINAPI *end)(void *console);
    memcpy(&end, &found, sizeof end);
    end(console);
    CloseHandle(keys);
    CloseHandle(printed);
}

static void name_ready(void)
{
    char name[64];
    snprintf(name, sizeof name, "hark-typing-%lu", GetCurrentProcessId());
    ready = CreateEventA(NULL, TRUE, FALSE, name);
    ck_assert_ptr_nonnull(ready);
    SetEnvironmentVariableA("HARK_TEST_CONSOLE", name);
}

static DWORD run_in(void *console, const char *typed)
{
    SIZE_T size = 0;
    char path[MAX_PATH];
    PROCESS_INFORMATION child;
    DWORD code = 1, len;
    InitializeProcThreadAttributeList(NULL, 1, 0, &size);
    STARTUPINFOEXA start = { .StartupInfo.cb = sizeof start, .lpAttributeList = calloc(1, size) };
    ck_assert(InitializeProcThreadAttributeList(start.lpAttributeList, 1, 0, &size));
    ck_assert(UpdateProcThreadAttribute(start.lpAttributeList, 0, IN_CONSOLE, console,
                                        sizeof console, NULL, NULL));
    GetModuleFileNameA(NULL, path, sizeof path);
    name_ready();
    ck_assert(CreateProcessA(path, GetCommandLineA(), NULL, NULL, FALSE,
                             EXTENDED_STARTUPINFO_PRESENT, NULL, NULL, &start.StartupInfo, &child));
    HANDLE either[] = { child.hProcess, ready };
    if (WaitForMultipleObjects(2, either, FALSE, 15000) == WAIT_OBJECT_0 + 1)
        WriteFile(keys, typed, (DWORD)strlen(typed), &len, NULL);
    WaitForSingleObject(child.hProcess, 15000);
    GetExitCodeProcess(child.hProcess, &code);
    TerminateProcess(child.hProcess, 1);
    CloseHandle(child.hProcess);
    CloseHandle(child.hThread);
    return code;
}

static int open_end(const char *name)
{
    HANDLE end = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                             NULL, OPEN_EXISTING, 0, NULL);
    ck_assert(end != INVALID_HANDLE_VALUE);
    return (int)(intptr_t)end;
}

bool in_console(const char *typed)
{
    char said[4096];
    DWORD len = 0;
    HANDLE printed;
    const char *name = getenv("HARK_TEST_CONSOLE");
    if (name != NULL) {
        ready = OpenEventA(EVENT_MODIFY_STATE, FALSE, name);
        input = open_end("CONIN$");
        output = open_end("CONOUT$");
        return true;
    }
    void *console = open_console(&printed);
    if (console == NULL) {
        fprintf(stderr, "skipped: no pseudo console\n");
        return false;
    }
    DWORD code = run_in(console, typed);
    if (code != 0 && PeekNamedPipe(printed, NULL, 0, NULL, &len, NULL) && len != 0)
        ReadFile(printed, said, sizeof said, &len, NULL);
    ck_assert_msg(code == 0, "in the console: code %lx: %.*s", code, (int)len, said);
    close_console(console, printed);
    return false;
}

void console_wants_keys(void) { ck_assert(SetEvent(ready)); }
