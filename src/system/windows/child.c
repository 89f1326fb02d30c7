/* A child by CreateProcess, and its end by its handle. See child.h.
 *
 *  1. A child gets the handles that it is told of and no others: copies that can be inherited are
 *     named in a list. (What another thread starts meanwhile by calls of its own, without such a
 *     list, gets these copies, too: nothing is to be done about that.)
 *     Windows has numbers for three of them; the C library tells a child of its own kind all by a
 *     table in the start-up information, as msvcrt and ucrt read it.
 *  2. A process is its handle: as long as one is open, its number is no other's.
 *  3. What ended it is told in its exit code: the faults that Windows tells there, and the signals
 *     that were sent here, by a code of our own. */
#include "system/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <winsock2.h>

#include <psapi.h>

#include "calls.h"
#include "path.h"
#include "program.h"

enum {
    LINE_UNITS = 32767,        /* Windows takes no more, with the zero at its end */
    STREAMS = CHILD_FIRST_FREE,
    NUMBERS = 256,             /* of descriptors; a table of the C library may be no longer */
    ENTRY_BYTES = 1 + sizeof(HANDLE),
    RIGHTS = PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE,
    CODE_MAX = 255,
};

/* A code of nobody else's: an error, by its highest bits, of a program and not of Windows. */
#define SIGNALED 0xe0484b00u

static const struct { DWORD code; int number; } faults[] = {
    { STATUS_ACCESS_VIOLATION, SIGSEGV }, { STATUS_STACK_OVERFLOW, SIGSEGV },
    { STATUS_ILLEGAL_INSTRUCTION, SIGILL }, { STATUS_PRIVILEGED_INSTRUCTION, SIGILL },
    { STATUS_INTEGER_DIVIDE_BY_ZERO, SIGFPE }, { STATUS_FLOAT_DIVIDE_BY_ZERO, SIGFPE },
    { 0xc0000409 /* of abort(3), and of a stack that was overrun */, SIGABRT },
    { STATUS_CONTROL_C_EXIT, SIGINT },
};

/* What CreateProcess is told; in child_plan.stack. */
struct launch {
    STARTUPINFOEXW start;
    HANDLE copies[NUMBERS];
    HANDLE list[NUMBERS];
    BYTE table[sizeof(int) + NUMBERS * ENTRY_BYTES];
    _Alignas(16) char attributes[256];
    WCHAR *env;
    WCHAR program[PATH_WIDE], directory[PATH_WIDE];
    WCHAR line[LINE_UNITS], text[LINE_UNITS];
};

_Static_assert(sizeof(struct launch) <= CALL_CHILD_STACK_BYTES, "room for all");

static int last_error(void) { return -(CALL_WINDOWS_ERRORS + (int)GetLastError()); }

/* UTF-8 into UTF-16: how many units, with the zero; or a negative error. */
static int widen(const char *text, WCHAR *wide, int room)
{
    int n = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, room);
    if (n > 0) return n;
    return GetLastError() == ERROR_INSUFFICIENT_BUFFER ? -E2BIG : -EINVAL;
}

/* The command line: arguments as CommandLineToArgvW() and the C library part them. */

struct line { WCHAR *at, *end; bool is_full; };

static void put(struct line *line, WCHAR unit, size_t times)
{
    for (; times != 0 && line->at < line->end; times--) *line->at++ = unit;
    if (times != 0) line->is_full = true;
}

/* Backslashes count only in front of a quotation mark: there, and before the one at the end, they
 * are doubled. */
static void put_quoted(struct line *line, const WCHAR *text)
{
    size_t backslashes = 0;
    put(line, L'"', 1);
    for (; *text != 0; text++) {
        if (*text == L'"') put(line, L'\\', backslashes + 1);
        backslashes = *text == L'\\' ? backslashes + 1 : 0;
        put(line, *text, 1);
    }
    put(line, L'\\', backslashes);
    put(line, L'"', 1);
}

static void put_argument(struct line *line, const WCHAR *text)
{
    if (*text == 0 || wcspbrk(text, L" \t\n\v\"") != NULL) put_quoted(line, text);
    else for (; *text != 0; text++) put(line, *text, 1);
}

static int write_line(struct launch *launch, const char *const *argv)
{
    struct line line = { launch->line, launch->line + LINE_UNITS - 1, false };
    for (size_t i = 0; argv[i] != NULL; i++) {
        int n = widen(argv[i], launch->text, LINE_UNITS);
        if (n < 0) return n;
        if (i == 0 && wcschr(launch->text, L'"') != NULL) return -EINVAL; /* not in a name */
        if (i != 0) put(&line, L' ', 1);
        if (i == 0 && wcspbrk(launch->text, L" \t") != NULL) {
            put(&line, L'"', 1);
            for (const WCHAR *at = launch->text; *at != 0; at++) put(&line, *at, 1);
            put(&line, L'"', 1);
        } else {
            put_argument(&line, launch->text);
        }
    }
    *line.at = 0;
    return line.is_full ? -E2BIG : 0;
}

/* The environment: sorted by name, whatever its case. */

static int compare_entries(const void *a, const void *b)
{
    const WCHAR *one = *(WCHAR *const *)a, *other = *(WCHAR *const *)b;
    int one_len = (int)wcscspn(one, L"="), other_len = (int)wcscspn(other, L"=");
    return CompareStringOrdinal(one, one_len, other, other_len, TRUE) - CSTR_EQUAL;
}

/* UTF-16 has no more units than UTF-8 has bytes. */
static size_t env_units(const char *const *env, size_t *count)
{
    size_t units = 2;
    for (*count = 0; env[*count] != NULL; ++*count) units += strlen(env[*count]) + 1;
    return (units + 1) & ~(size_t)1; /* what comes behind two such blocks is aligned */
}

static void copy_sorted(WCHAR *to, WCHAR *const *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = wcslen(entries[i]) + 1;
        memcpy(to, entries[i], len * sizeof *to);
        to += len;
    }
    to[0] = to[1] = 0; /* two, if there is no other */
}

/* One block: what the child gets, the same unsorted, and where each entry of that begins. */
static int write_env(struct launch *launch, const char *const *env)
{
    size_t count, units = env_units(env, &count), bytes = units * sizeof(WCHAR);
    launch->env = HeapAlloc(GetProcessHeap(), 0, 2 * bytes + count * sizeof(WCHAR *));
    if (launch->env == NULL) return -ENOMEM;
    WCHAR *text = launch->env + units, **entries = (void *)(launch->env + 2 * units);
    for (size_t i = 0; i < count; i++) {
        int n = widen(env[i], text, (int)(strlen(env[i]) + 1));
        if (n < 0) return n;
        entries[i] = text;
        text += n;
    }
    qsort(entries, count, sizeof *entries, compare_entries);
    copy_sorted(launch->env, entries, count);
    return 0;
}

/* Rule 1. */

static int copy_handle(struct launch *launch, int number, int fd)
{
    HANDLE *copy = &launch->copies[number], self = GetCurrentProcess();
    HANDLE source = (HANDLE)(intptr_t)call_descriptor(fd);
    if (*copy != NULL) (void)CloseHandle(*copy); /* the last one counts */
    *copy = NULL;
    if (source == NULL || source == INVALID_HANDLE_VALUE) return -EBADF;
    if (DuplicateHandle(self, source, self, copy, 0, TRUE, DUPLICATE_SAME_ACCESS)) return 0;
    *copy = NULL;
    return -EBADF;
}

static int copy_handles(struct launch *launch, const struct child_plan *plan)
{
    const struct hark_process_options *options = plan->options;
    bool is_told[NUMBERS] = { false };
    for (size_t i = 0; i < options->fd_count; i++) {
        const struct hark_process_fd *fd = &options->fds[i];
        bool is_inherited = fd->source == HARK_PROCESS_INHERIT;
        if (is_inherited && fd->number >= STREAMS) return -EBADF; /* this program has none */
        if (fd->number >= NUMBERS) return -EMFILE;
        int source = is_inherited ? fd->number : plan->sources[i];
        int error = copy_handle(launch, fd->number, source);
        if (error != 0) return error;
        is_told[fd->number] = true;
    }
    for (int i = 0; i < STREAMS; i++)
        if (!is_told[i]) (void)copy_handle(launch, i, i); /* fails: we have none */
    return 0;
}

/* A flag of the C library: that the descriptor is open, and on what. */
static BYTE flags_of(HANDLE handle)
{
    enum { OPEN = 1, PIPE = 8, DEVICE = 64 };
    DWORD type = GetFileType(handle);
    return type == FILE_TYPE_PIPE ? OPEN | PIPE : type == FILE_TYPE_CHAR ? OPEN | DEVICE : OPEN;
}

/* The table: how many there are, the flags of each, the handle of each. The first three it finds
 * where all programs do; to ask what they are could wait for somebody who reads standard input. */
static void tell_numbers(struct launch *launch, int highest)
{
    int count = highest + 1;
    BYTE *flags = launch->table + sizeof count, *handles = flags + count;
    if (count <= STREAMS) return;
    memcpy(launch->table, &count, sizeof count);
    for (int i = 0; i < count; i++) {
        bool is_told = i >= STREAMS && launch->copies[i] != NULL;
        HANDLE handle = is_told ? launch->copies[i] : INVALID_HANDLE_VALUE;
        flags[i] = is_told ? flags_of(handle) : 0;
        memcpy(handles + (size_t)i * sizeof handle, &handle, sizeof handle);
    }
    launch->start.StartupInfo.cbReserved2 = (WORD)(sizeof count + (size_t)count * ENTRY_BYTES);
    launch->start.StartupInfo.lpReserved2 = launch->table;
}

/* Whether there is any to be inherited; or a negative error. */
static int list_handles(struct launch *launch)
{
    DWORD count = 0;
    SIZE_T bytes = sizeof launch->attributes;
    STARTUPINFOW *start = &launch->start.StartupInfo;
    LPPROC_THREAD_ATTRIBUTE_LIST attributes = (void *)launch->attributes;
    int highest = -1;
    for (int i = 0; i < NUMBERS; i++) {
        if (launch->copies[i] == NULL) continue;
        launch->list[count++] = launch->copies[i];
        highest = i;
    }
    tell_numbers(launch, highest);
    start->cb = sizeof launch->start;
    start->dwFlags = STARTF_USESTDHANDLES;
    start->hStdInput = launch->copies[0];
    start->hStdOutput = launch->copies[1];
    start->hStdError = launch->copies[2];
    if (!InitializeProcThreadAttributeList(attributes, 1, 0, &bytes)) return last_error();
    launch->start.lpAttributeList = attributes;
    if (count == 0) return 0;
    if (!UpdateProcThreadAttribute(attributes, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, launch->list,
                                   count * sizeof(HANDLE), NULL, NULL)) return last_error();
    return 1;
}

/* Starting. */

/* Of what POSIX alone has, nothing is asked for. */
static bool is_possible(const struct hark_process_options *options)
{
    return options->user == NULL && options->blocked == 0 && options->ignored == 0 &&
           options->group == 0 && !options->leads_group && !options->leads_session &&
           !options->takes_terminal;
}

static int find_directory(struct launch *launch, const char *directory)
{
    if (directory == NULL) return 0;
    if (!path_widen(directory, launch->directory)) return -errno;
    DWORD attributes = path_attributes(launch->directory);
    if (attributes == 0) return -ENOENT;
    return attributes & FILE_ATTRIBUTE_DIRECTORY ? 0 : -ENOTDIR;
}

static int prepare(struct launch *launch, const struct child_plan *plan)
{
    const struct hark_process_options *options = plan->options;
    if (!is_possible(options)) return -EOPNOTSUPP;
    int error = find_directory(launch, options->directory);
    if (error == 0) error = program_find(options, launch->program, launch->text, LINE_UNITS);
    if (error == 0) error = write_line(launch, options->argv);
    if (error == 0 && options->env != NULL) error = write_env(launch, options->env);
    if (error == 0) error = copy_handles(launch, plan);
    return error == 0 ? list_handles(launch) : error;
}

static void drop(struct launch *launch)
{
    if (launch->start.lpAttributeList != NULL)
        DeleteProcThreadAttributeList(launch->start.lpAttributeList);
    for (int i = 0; i < NUMBERS; i++)
        if (launch->copies[i] != NULL) (void)CloseHandle(launch->copies[i]); /* ours, and a copy */
    if (launch->env != NULL) (void)HeapFree(GetProcessHeap(), 0, launch->env);
}

int child_start(struct hark_process *process, struct child_plan *plan)
{
    struct launch *launch = (void *)plan->stack;
    PROCESS_INFORMATION child;
    memset(launch, 0, offsetof(struct launch, program));
    int result = prepare(launch, plan);
    if (result >= 0) {
        const WCHAR *directory = plan->options->directory != NULL ? launch->directory : NULL;
        DWORD flags = EXTENDED_STARTUPINFO_PRESENT | CREATE_UNICODE_ENVIRONMENT;
        bool is_started = CreateProcessW(launch->program, launch->line, NULL, NULL, result == 1,
                                         flags, launch->env, directory,
                                         &launch->start.StartupInfo, &child);
        result = is_started ? 0 : last_error();
    }
    drop(launch);
    if (result != 0) return result;
    (void)CloseHandle(child.hThread); /* it is in no need of it */
    process->pid = (pid_t)child.dwProcessId;
    process->is_child = true;
    return (int)(intptr_t)child.hProcess;
}

static HANDLE handle_of(const struct hark_process *process)
{
    return (HANDLE)(intptr_t)process->exit.fd;
}

static bool has_ended(HANDLE handle) { return WaitForSingleObject(handle, 0) == WAIT_OBJECT_0; }

void child_abandon(struct hark_process *process, int fd)
{
    HANDLE handle = (HANDLE)(intptr_t)fd;
    (void)process;
    (void)TerminateProcess(handle, SIGNALED + SIGKILL); /* fails: it has ended */
    (void)WaitForSingleObject(handle, INFINITE);
    (void)CloseHandle(handle);
}

/* Numbers are taken as if their last two bits were none. */
int child_open(struct hark_process *process)
{
    DWORD pid = (DWORD)process->pid;
    if (process->pid <= 0 || process->pid > INT32_MAX) return -EINVAL;
    HANDLE handle = OpenProcess(RIGHTS | PROCESS_TERMINATE, FALSE, pid);
    if (handle == NULL && GetLastError() == ERROR_ACCESS_DENIED)
        handle = OpenProcess(RIGHTS, FALSE, pid); /* may be waited for all the same */
    if (handle == NULL) return GetLastError() == ERROR_INVALID_PARAMETER ? -ESRCH : last_error();
    if (GetProcessId(handle) == pid) return (int)(intptr_t)handle;
    (void)CloseHandle(handle); /* another one's */
    return -ESRCH;
}

int child_signal(const struct hark_process *process, int number)
{
    HANDLE handle = handle_of(process);
    bool is_known = number >= 0 && number <= 64;
    if (number == 0 || (is_known && has_ended(handle))) return 0;
    if (number != SIGKILL && number != SIGTERM) {
        errno = is_known ? EOPNOTSUPP : EINVAL;
        return -1;
    }
    if (TerminateProcess(handle, SIGNALED + (UINT)number) || has_ended(handle)) return 0;
    errno = EPERM;
    return -1;
}

/* Rule 3. */
static void tell_code(DWORD code, struct hark_process_end *end)
{
    int number = code > SIGNALED && code <= SIGNALED + 64 ? (int)(code - SIGNALED) : 0;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        if (faults[i].code == code) number = faults[i].number;
    end->signal = number;
    end->code = number != 0 ? 0 : code < CODE_MAX ? (int)code : CODE_MAX;
    end->has_dumped_core = false;
}

static struct timeval time_of(FILETIME span)
{
    uint64_t units = (uint64_t)span.dwHighDateTime << 32 | span.dwLowDateTime; /* 100 ns each */
    return (struct timeval){ .tv_sec = (long)(units / 10000000),
                             .tv_usec = (long)(units / 10 % 1000000) };
}

static void tell_usage(HANDLE handle, struct rusage *usage)
{
    FILETIME begin, end, system = { 0 }, user = { 0 };
    PROCESS_MEMORY_COUNTERS memory = { .cb = sizeof memory };
    (void)GetProcessTimes(handle, &begin, &end, &system, &user); /* fails: nothing is known */
    (void)GetProcessMemoryInfo(handle, &memory, sizeof memory);
    *usage = (struct rusage){
        .ru_utime = time_of(user), .ru_stime = time_of(system),
        .ru_maxrss = (long)(memory.PeakWorkingSetSize / 1024),
        .ru_majflt = (long)memory.PageFaultCount,
    };
}

pid_t child_take(struct hark_process *process)
{
    HANDLE handle = handle_of(process);
    DWORD code = 0;
    if (!has_ended(handle)) return 0;
    if (!GetExitCodeProcess(handle, &code)) return last_error();
    tell_code(code, &process->end);
    tell_usage(handle, &process->end.usage);
    return process->pid;
}

/* Nothing is kept of a child that nobody has a handle of. */
pid_t child_take_number(pid_t pid, struct hark_process_end *end)
{
    (void)pid, (void)end;
    return -ECHILD;
}

pid_t child_look(void) { return 0; }
