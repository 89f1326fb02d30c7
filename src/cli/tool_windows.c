/* Ctrl-C, handles and their limit on Windows: the system has a thread of its own call for Ctrl-C,
 * and the loop is woken as by any other thread. */
#include "tool.h"

#include <fcntl.h>
#include <io.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <windows.h>

static atomic_bool interrupted;
static _Atomic(struct hark_loop *) loop_to_wake;

/* FALSE: the process ends, as by the second signal of a kind elsewhere. */
static BOOL WINAPI on_control(DWORD event)
{
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) return FALSE;
    if (atomic_exchange(&interrupted, true)) return FALSE;
    struct hark_loop *loop = atomic_load(&loop_to_wake);
    if (loop != NULL) hark_wake(loop);
    return TRUE;
}

void tool_catch_interrupts(struct hark_loop *loop)
{
    atomic_store(&loop_to_wake, loop);
    if (atomic_load(&interrupted)) return;
    (void)SetConsoleCtrlHandler(on_control, TRUE); /* refused: Ctrl-C ends the process as it is */
}

bool tool_is_interrupted(void) { return atomic_load(&interrupted); }

int tool_interrupt_descriptor(void) { return -1; /* there is none of that kind */ }

/* Names are looked up before there is a loop, which would start Winsock. */
void tool_begin(void)
{
    WSADATA data;
    (void)WSAStartup(MAKEWORD(2, 2), &data); /* refused: so is the first socket, which tells */
    (void)_setmode(1, _O_BINARY);            /* closed: what is printed fails, and that is told */
    (void)_setmode(2, _O_BINARY);
}

int64_t tool_raise_descriptor_limit(void) { return INT32_MAX; /* memory is the only one */ }

void tool_close(int socket) { (void)closesocket((SOCKET)socket); }
