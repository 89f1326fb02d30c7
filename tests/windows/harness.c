/* The parts of the promise suite's harness that ask the system, on Windows. */
#include <promise/children.h>

#include <windows.h>

#include <tlhelp32.h>

#include "calls.h"

const bool has_unix_sockets = false, has_every_signal = false;
const bool has_usage = false; /* wine 8 forgets the memory, and mostly the time */

enum { HANDLES_LOOKED_AT = 0x1000 };

/* Its server is told that a socket has an error, takes it off the socket to see which, and gives it
 * to who waits; then it watches the socket no more. */
bool keeps_datagram_errors(void)
{
    fprintf(stderr, "skipped: an error that comes while no receive waits, which wine 8 drops\n");
    return false;
}

/* Winsock's numbers begin at 10,000, and those of Windows at 0x70000. */
bool is_system_error(int os_error, int number)
{
    return os_error > 10000 && call_errno(os_error) == number;
}

/* Whether it may be written, and nothing for a folder. */
mode_t kept_mode(mode_t mode)
{
    if (S_ISDIR(mode)) return S_IFDIR | 0777;
    return (mode & S_IFMT) | (mode & 0200 ? 0666 : 0444);
}

int change_attributes(const char *path)
{
    return SetFileAttributesA(path, FILE_ATTRIBUTE_HIDDEN) ? 0 : -1;
}

int remove_tree(const char *path)
{
    char name[PATH_MAX];
    WIN32_FIND_DATAA found;
    snprintf(name, sizeof name, "%s/*", path);
    HANDLE all = FindFirstFileA(name, &found);
    for (BOOL is_one = all != INVALID_HANDLE_VALUE; is_one; is_one = FindNextFileA(all, &found)) {
        snprintf(name, sizeof name, "%s/%s", path, found.cFileName);
        if (strcmp(found.cFileName, ".") == 0 || strcmp(found.cFileName, "..") == 0) continue;
        if (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) (void)remove_tree(name);
        else (void)unlink(name);
    }
    FindClose(all);
    return rmdir(path);
}

/* Sockets, files, pipes and processes, that is: handles in all come and go by the system's own
 * doing. */
int open_descriptor_count(void)
{
    int count = 0;
    for (int fd = 4; fd < HANDLES_LOOKED_AT; fd += 4) {
        int type;
        socklen_t len = sizeof type;
        bool is_one = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
        DWORD kind = GetFileType((HANDLE)(intptr_t)fd);
        is_one = is_one || kind == FILE_TYPE_DISK || kind == FILE_TYPE_PIPE;
        if (is_one || GetProcessId((HANDLE)(intptr_t)fd) != 0) count++;
    }
    return count;
}

void end_with_runner(void) {} /* scripts/check-windows ends the whole wineserver */

int thread_count(void)
{
    HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    THREADENTRY32 entry = { .dwSize = sizeof entry };
    int count = 0;
    for (BOOL is_one = Thread32First(all, &entry); is_one; is_one = Thread32Next(all, &entry))
        count += entry.th32OwnerProcessID == GetCurrentProcessId();
    CloseHandle(all);
    return count;
}

/* Loopback TCP stands for Unix sockets. */
socklen_t local_address(struct sockaddr_storage *addr)
{
    struct sockaddr_in *in = (struct sockaddr_in *)addr;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof *in;
}

int move_up(int fd, int least)
{
    (void)least; /* no limit of any interface here depends on the number */
    return fd;
}

bool allow_descriptors(size_t count)
{
    (void)count; /* there is no limit but memory */
    return true;
}

/* This program once more for this case; there, the first that is asked for here is what the
 * environment names: the place of act() in the program. */
enum { ABORT_CODE = 3 };

static void act_if_named(void)
{
    const char *named = getenv("HARK_TEST_ACT");
    if (named == NULL) return;
    char *at = (char *)GetModuleHandleA(NULL) + strtoll(named, NULL, 10);
    void (*act)(void);
    memcpy(&act, &at, sizeof act);
    if (hark_loop_open(&loop, NULL) == 0) act();
    _exit(0);
}

static DWORD run_again(HANDLE errors)
{
    STARTUPINFOA start = { .cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES,
                           .hStdOutput = errors, .hStdError = errors };
    PROCESS_INFORMATION child;
    char path[MAX_PATH];
    DWORD code = 0;
    GetModuleFileNameA(NULL, path, sizeof path);
    ck_assert(CreateProcessA(path, GetCommandLineA(), NULL, NULL, TRUE, 0, NULL, NULL, &start,
                             &child));
    WaitForSingleObject(child.hProcess, INFINITE);
    GetExitCodeProcess(child.hProcess, &code);
    CloseHandle(child.hThread);
    CloseHandle(child.hProcess);
    return code;
}

bool ends_by_abort(void (*act)(void), char *said, size_t room)
{
    char name[] = "/tmp/hark-said-XXXXXX", at[32], *place;
    act_if_named();
    memcpy(&place, &act, sizeof place);
    snprintf(at, sizeof at, "%lld", (long long)(place - (char *)GetModuleHandleA(NULL)));
    SetEnvironmentVariableA("HARK_TEST_ACT", at);
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    SetHandleInformation((HANDLE)(intptr_t)fd, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    DWORD code = run_again((HANDLE)(intptr_t)fd);
    ssize_t n = pread(fd, said, room - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(fd);
    unlink(name);
    return code == ABORT_CODE;
}
