/* What <unistd.h> and others tell of this process and this machine, by Windows. */
#include <unistd.h>
#include <winsock2.h>

#include <ntsecapi.h>

#include "calls.h"

long sysconf(int name)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return name == _SC_PAGESIZE ? (long)info.dwPageSize : (long)info.dwNumberOfProcessors;
}

bool call_random(void *buf, size_t len) { return RtlGenRandom(buf, (ULONG)len); }
