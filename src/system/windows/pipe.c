/* Pipes: of the named ones, since the others cannot be overlapped. Each has a name that nobody can
 * guess, and room for one client, which is its other end. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "calls.h"
#include "path.h"

enum { ROOM_BYTES = 65536, NAME_UNITS = 64, TRIES = 16 };

/* INVALID_HANDLE_VALUE, and the error is to be read. */
static HANDLE make_server(bool is_reader, WCHAR name[NAME_UNITS])
{
    static atomic_uint count;
    DWORD way = is_reader ? PIPE_ACCESS_INBOUND : PIPE_ACCESS_OUTBOUND;
    HANDLE server = INVALID_HANDLE_VALUE;
    for (int tries = 0; tries < TRIES && server == INVALID_HANDLE_VALUE; tries++) {
        unsigned long long random = 0;
        (void)call_random(&random, sizeof random); /* fails: a name that can be guessed */
        swprintf(name, NAME_UNITS, L"\\\\.\\pipe\\hark-%lu-%u-%016I64x", GetCurrentProcessId(),
                 atomic_fetch_add(&count, 1), random);
        server = CreateNamedPipeW(name, way | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
                                  PIPE_TYPE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, 1, ROOM_BYTES,
                                  ROOM_BYTES, 0, NULL);
        if (server == INVALID_HANDLE_VALUE && GetLastError() != ERROR_ACCESS_DENIED) break;
    }
    return server;
}

/* ours: which end is the server, and overlapped; the other one is as flags say. */
static int make_pipe(int ends[2], int ours, DWORD flags)
{
    WCHAR name[NAME_UNITS];
    DWORD access = ours == 0 ? GENERIC_WRITE | FILE_READ_ATTRIBUTES : GENERIC_READ;
    HANDLE server = make_server(ours == 0, name);
    if (server == INVALID_HANDLE_VALUE) return path_fail();
    HANDLE client = CreateFileW(name, access, 0, NULL, OPEN_EXISTING, flags, NULL);
    if (client == INVALID_HANDLE_VALUE) {
        (void)path_fail();
        (void)CloseHandle(server); /* new and unused */
        return -1;
    }
    ends[ours] = (int)(intptr_t)server;
    ends[1 - ours] = (int)(intptr_t)client;
    return 0;
}

int call_pipe(int fds[2]) { return make_pipe(fds, 0, FILE_FLAG_OVERLAPPED); }

/* A program does not expect an overlapped handle as its standard input. */
int call_child_pipe(int ends[2], int theirs) { return make_pipe(ends, 1 - theirs, 0); }
