/* What hark idle asks of Windows. A child is this program once more, `hark idle --child HANDLE`,
 * that inherits the end of a pipe and nothing else, and finds there its task and one end of a
 * connection over loopback. A job ends the children with the coordinator, however that ends.
 *
 * Processor time of a process advances by ticks of the system's clock, and system calls cannot be
 * counted from outside. */
#include "idle_system.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <windows.h>

#include <psapi.h>

#include "idle.h"
#include "tool.h"

enum { STRANGERS_MAX = 16, LOOK_MS = 50, PATH_ROOM = 4096 };

/* What a child finds in the pipe; it is smaller than a pipe's buffer. */
struct letter {
    WSAPROTOCOL_INFOW control;
    struct idle_task task;
};

static const char child_word[] = "--child";

static HANDLE job; /* open until this process ends */

const char *idle_system_error(void)
{
    static char text[128];
    DWORD number = GetLastError();
    DWORD len = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
                               number, 0, text, sizeof text, NULL);
    if (len == 0) snprintf(text, sizeof text, "error %lu", number);
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

void idle_child_begin(void)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = { 0 };
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    job = CreateJobObjectW(NULL, NULL);
    if (job == NULL) return; /* the first start of a child tells */
    if (SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits))
        return;
    CloseHandle(job);
    job = NULL;
}

static void close_keeping_error(int fd)
{
    DWORD why = GetLastError();
    tool_close(fd);
    SetLastError(why);
}

static struct sockaddr_in address_of(uint32_t host, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(host), .sin_port = port,
    };
}

static int new_socket(void)
{
    SOCKET made = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0,
                             WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    return made == INVALID_SOCKET ? -1 : (int)made;
}

static int new_listener(struct sockaddr_in *address)
{
    int fd = new_socket();
    socklen_t len = sizeof *address;
    *address = address_of(INADDR_LOOPBACK, 0);
    if (fd < 0) return -1;
    if (bind(fd, (struct sockaddr *)address, len) == 0 && listen(fd, 1) == 0 &&
        getsockname(fd, (struct sockaddr *)address, &len) == 0) return fd;
    close_keeping_error(fd);
    return -1;
}

/* Accepts the connection of `peer` and no other: anyone here may connect to a port of loopback. */
static int accept_from(int listener, int peer)
{
    struct sockaddr_in expected, found;
    socklen_t len = sizeof expected;
    if (getsockname(peer, (struct sockaddr *)&expected, &len) < 0) return -1;
    for (int i = 0; i < STRANGERS_MAX; i++) {
        len = sizeof found;
        SOCKET accepted = accept((SOCKET)listener, (struct sockaddr *)&found, &len);
        if (accepted == INVALID_SOCKET) return -1;
        bool is_ours = found.sin_port == expected.sin_port &&
                       found.sin_addr.s_addr == expected.sin_addr.s_addr;
        if (is_ours) return (int)accepted;
        closesocket(accepted);
    }
    SetLastError(WSAECONNREFUSED);
    return -1;
}

/* What a socket pair is elsewhere. */
static int open_pair(int ends[2])
{
    struct sockaddr_in address;
    int listener = new_listener(&address), on = 1;
    if (listener < 0) return -1;
    ends[0] = new_socket();
    ends[1] = -1;
    if (ends[0] >= 0 && connect(ends[0], (struct sockaddr *)&address, sizeof address) == 0)
        ends[1] = accept_from(listener, ends[0]);
    close_keeping_error(listener);
    if (ends[1] >= 0) {
        for (int i = 0; i < 2; i++) /* slower without, and no worse */
            (void)setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return 0;
    }
    if (ends[0] >= 0) close_keeping_error(ends[0]);
    return -1;
}

/* Starts this program with one handle inherited. */
static bool create(HANDLE inherited, PROCESS_INFORMATION *made)
{
    static wchar_t path[PATH_ROOM];
    wchar_t line[64];
    STARTUPINFOEXW start = { .StartupInfo = { .cb = sizeof start } };
    SIZE_T room = 0;
    swprintf(line, sizeof line / sizeof *line, L"hark idle %hs %llu", child_word,
             (unsigned long long)(uintptr_t)inherited);
    if (GetModuleFileNameW(NULL, path, PATH_ROOM) == 0) return false;
    (void)InitializeProcThreadAttributeList(NULL, 1, 0, &room); /* tells the room only */
    LPPROC_THREAD_ATTRIBUTE_LIST list = malloc(room);
    if (list == NULL || !InitializeProcThreadAttributeList(list, 1, 0, &room)) {
        free(list);
        return false;
    }
    start.lpAttributeList = list;
    /* A group of its own hears no Ctrl-C: the coordinator decides what that ends. */
    bool is_made =
        SetHandleInformation(inherited, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) &&
        UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, &inherited,
                                  sizeof inherited, NULL, NULL) &&
        CreateProcessW(path, line, NULL, NULL, TRUE,
                       CREATE_NEW_PROCESS_GROUP | EXTENDED_STARTUPINFO_PRESENT, NULL, NULL,
                       &start.StartupInfo, made);
    DeleteProcThreadAttributeList(list);
    free(list);
    return is_made;
}

/* Takes a process into the job and then tells it what to do. Before that it waits for the pipe,
 * which ends with the coordinator as well. */
static bool employ(const PROCESS_INFORMATION *made, HANDLE pipe, int control,
                   const struct idle_task *task)
{
    struct letter letter = { .task = *task };
    DWORD sent;
    return AssignProcessToJobObject(job, made->hProcess) &&
           WSADuplicateSocketW((SOCKET)control, made->dwProcessId, &letter.control) == 0 &&
           WriteFile(pipe, &letter, sizeof letter, &sent, NULL);
}

/* Gives the process, or NULL. */
static HANDLE start(int control, const struct idle_task *task, int64_t *id)
{
    HANDLE from, to;
    PROCESS_INFORMATION made = { 0 };
    if (!CreatePipe(&from, &to, NULL, sizeof(struct letter))) return NULL;
    bool runs = create(from, &made) && employ(&made, to, control, task);
    DWORD why = GetLastError();
    CloseHandle(from);
    CloseHandle(to);
    if (made.hThread != NULL) CloseHandle(made.hThread);
    if (!runs && made.hProcess != NULL) {
        (void)TerminateProcess(made.hProcess, 1); /* else the end of the pipe ends it */
        CloseHandle(made.hProcess);
        made.hProcess = NULL;
    }
    SetLastError(why);
    *id = made.dwProcessId;
    return made.hProcess;
}

int idle_child_start(struct idle_child *child, const struct idle_task *task)
{
    int ends[2];
    *child = (struct idle_child){ .control = -1 };
    if (open_pair(ends) < 0) return -1;
    child->handle = start(ends[1], task, &child->id);
    close_keeping_error(ends[1]);
    child->control = ends[0];
    if (child->handle != NULL) return 0;
    close_keeping_error(ends[0]);
    return -1;
}

int idle_child_main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], child_word) != 0) return -1;
    HANDLE pipe = (HANDLE)(intptr_t)atoi(argv[2]);
    struct letter letter;
    DWORD got = 0;
    bool is_read = ReadFile(pipe, &letter, sizeof letter, &got, NULL) && got == sizeof letter;
    CloseHandle(pipe);
    if (!is_read) return TOOL_FAILED;
    SOCKET control = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO,
                                &letter.control, 0, WSA_FLAG_OVERLAPPED);
    return control == INVALID_SOCKET ? TOOL_FAILED : idle_run((int)control, &letter.task);
}

/* Ctrl-C comes on another thread: it is looked for now and then. */
int idle_child_wait(const struct idle_child *child, int64_t patience_ns)
{
    WSAPOLLFD heard = { .fd = (SOCKET)child->control, .events = POLLRDNORM };
    int64_t end = tool_clock_ns() + patience_ns;
    int ready;
    do ready = tool_is_interrupted() ? -1 : WSAPoll(&heard, 1, LOOK_MS);
    while (ready == 0 && tool_clock_ns() < end);
    return ready;
}

int idle_child_end(struct idle_child *child, int patience_seconds)
{
    if (child->handle == NULL) return 0;
    DWORD code = 1;
    (void)shutdown((SOCKET)child->control, SD_SEND); /* gone already: it has ended */
    bool is_late = WaitForSingleObject(child->handle, (DWORD)patience_seconds * 1000) != 0;
    if (is_late && TerminateProcess(child->handle, 1))
        (void)WaitForSingleObject(child->handle, INFINITE); /* which it does not refuse */
    bool is_well = GetExitCodeProcess(child->handle, &code) && code == 0;
    CloseHandle(child->handle);
    tool_close(child->control);
    return is_well && !is_late ? 0 : -1;
}

int64_t idle_child_bytes(const struct idle_child *child)
{
    PROCESS_MEMORY_COUNTERS memory;
    bool is_told = GetProcessMemoryInfo(child->handle, &memory, sizeof memory);
    return is_told ? (int64_t)memory.WorkingSetSize : -1;
}

int idle_processor(void) { return (int)GetCurrentProcessorNumber(); }

void idle_pin(int processor)
{
    /* Refused: noisier, and still right. */
    (void)SetProcessAffinityMask(GetCurrentProcess(), (DWORD_PTR)1 << processor % 64);
}

int idle_clock_open(int64_t process, intptr_t *clock)
{
    HANDLE opened = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, (DWORD)process);
    *clock = (intptr_t)opened;
    return opened != NULL ? 0 : -1;
}

static int64_t nanoseconds(FILETIME time)
{
    return (int64_t)((uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime) * 100;
}

int64_t idle_clock_ns(intptr_t clock)
{
    FILETIME begun, ended, kernel, user;
    if (!GetProcessTimes((HANDLE)clock, &begun, &ended, &kernel, &user)) return 0;
    return nanoseconds(kernel) + nanoseconds(user);
}

int64_t idle_clock_step_ns(void)
{
    DWORD adjustment, step = 0;
    BOOL is_off;
    (void)GetSystemTimeAdjustment(&adjustment, &step, &is_off); /* refused: the usual one */
    return step > 0 ? (int64_t)step * 100 : 15625000;
}

int64_t idle_room(const char *backend)
{
    (void)backend;
    return INT32_MAX; /* memory is the only limit */
}

int idle_connect(uint32_t source, uint16_t port, int patience_seconds)
{
    int fd = new_socket();
    if (fd < 0) return -1;
    struct sockaddr_in from = address_of(source, 0), server = address_of(INADDR_LOOPBACK, port);
    /* A reset at the end instead of minutes of TIME_WAIT for each of 10,000. */
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    DWORD patience = (DWORD)patience_seconds * 1000;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
        bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
        connect(fd, (struct sockaddr *)&server, sizeof server) == 0) return fd;
    close_keeping_error(fd);
    return -1;
}

int idle_send(int fd, const void *bytes, size_t len)
{
    return send((SOCKET)fd, bytes, (int)len, 0) == (int)len ? 0 : -1;
}

int idle_receive(int fd, void *bytes, size_t len)
{
    for (size_t got = 0; got < len;) {
        int n = recv((SOCKET)fd, (char *)bytes + got, (int)(len - got), 0);
        if (n == 0) SetLastError(WSAECONNRESET);
        if (n <= 0) return -1;
        got += (size_t)n;
    }
    return 0;
}

int idle_trace_start(struct idle_trace *trace, int64_t process, char why[IDLE_NOTE])
{
    (void)trace, (void)process;
    snprintf(why, IDLE_NOTE, "system calls are not counted: Windows does not let a program see"
             " those of another");
    return -1;
}

/* None is ever started for the rest. */
int idle_trace_until(struct idle_trace *trace, int done) { return (void)trace, (void)done, -1; }
void idle_trace_stop(struct idle_trace *trace) { (void)trace; }
