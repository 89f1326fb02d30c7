/* See posix/sys/wait.h. A process that is not there any more has ended: Windows keeps none for its
 * parent. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <winsock2.h>
#include <windows.h>

#include <tlhelp32.h>

#include <sys/wait.h>

enum { RIGHTS = SYNCHRONIZE | PROCESS_TERMINATE };

static bool has_ended(pid_t pid, DWORD timeout_ms)
{
    HANDLE process = OpenProcess(SYNCHRONIZE, FALSE, (DWORD)pid);
    if (process == NULL) return true;
    bool result = WaitForSingleObject(process, timeout_ms) == WAIT_OBJECT_0;
    CloseHandle(process);
    return result;
}

pid_t plain_waitpid(pid_t pid, int *status, int options)
{
    (void)status;
    return has_ended(pid, options & WNOHANG ? 0 : INFINITE) ? pid : 0;
}

/* A living child of this process, or 0. What wine starts for its consoles is none. */
static pid_t living_child(void)
{
    HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    PROCESSENTRY32 entry = { .dwSize = sizeof entry };
    pid_t found = 0;
    bool is_one = Process32First(all, &entry);
    for (; is_one && found == 0; is_one = Process32Next(all, &entry)) {
        bool is_ours = entry.th32ParentProcessID == GetCurrentProcessId();
        if (is_ours && strcmp(entry.szExeFile, "conhost.exe") != 0 &&
            !has_ended(entry.th32ProcessID, 0)) found = entry.th32ProcessID;
    }
    CloseHandle(all);
    return found;
}

int plain_waitid(int kind, id_t id, siginfo_t *info, int options)
{
    if (kind == P_PID) {
        info->si_pid = plain_waitpid(id, NULL, options);
        return 0;
    }
    info->si_pid = 0;
    if (living_child() != 0) return 0;
    errno = ECHILD;
    return -1;
}

int plain_kill(pid_t pid, int number)
{
    if (pid == getpid()) return raise(number);
    HANDLE process = OpenProcess(RIGHTS, FALSE, (DWORD)pid);
    if (process == NULL) {
        errno = ESRCH;
        return -1;
    }
    if (number != 0) TerminateProcess(process, 1);
    CloseHandle(process);
    return 0;
}
