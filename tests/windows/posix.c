/* See posix.h. */
#undef socket
#undef connect
#undef accept
#undef send
#undef recv
#undef sendto
#undef read
#undef write
#undef close
#undef shutdown
#undef dup
#undef dup2
#undef fcntl
#undef fclose
#undef lseek
#undef if_nametoindex

#include <io.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <iphlpapi.h>

#include "calls.h"

static SOCKET of(int fd) { return (SOCKET)(intptr_t)fd; }

/* errno, or what it is. */
static int64_t answer(int64_t result)
{
    if (result < 0) errno = call_errno(WSAGetLastError());
    return result;
}

static void begin(void)
{
    WSADATA data;
    (void)WSAStartup(MAKEWORD(2, 2), &data); /* again and again: it counts */
}

static bool is_socket(int fd)
{
    int type, len = sizeof type;
    begin();
    return (getsockopt)(of(fd), SOL_SOCKET, SO_TYPE, (char *)&type, &len) == 0;
}

int plain_socket(int domain, int type, int protocol)
{
    begin();
    if (domain == AF_UNIX) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    u_long waits_not = 1;
    bool is_nonblock = type & SOCK_NONBLOCK;
    type &= ~SOCK_NONBLOCK;
    int fd = (int)answer((int)socket(domain, type, protocol)), bytes = 65536;
    if (is_nonblock) (void)ioctlsocket(of(fd), (long)FIONBIO, &waits_not);
    if (type != SOCK_STREAM || fd < 0) return fd;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes); /* soon full */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return fd;
}

int plain_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    int result = (int)answer(connect(of(fd), addr, len));
    if (result != 0 && errno == EAGAIN) errno = EINPROGRESS;
    return result;
}

int plain_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    return (int)answer((int)accept(of(fd), addr, len));
}

/* MSG_DONTWAIT: a mode of the socket here, for as long as the call takes. */
static void wait_not(int fd, int flags, u_long is_on)
{
    if (flags & MSG_DONTWAIT) (void)ioctlsocket(of(fd), (long)FIONBIO, &is_on);
}

/* A send that may not wait takes more than there is room for; whether there is any, poll tells. */
ssize_t plain_send(int fd, const void *data, size_t len, int flags)
{
    struct pollfd one = { .fd = of(fd), .events = POLLOUT };
    if (flags & MSG_DONTWAIT && WSAPoll(&one, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    wait_not(fd, flags, 1);
    ssize_t n = (ssize_t)answer(send(of(fd), data, (int)len, flags & ~MSG_DONTWAIT));
    int error = errno;
    wait_not(fd, flags, 0);
    errno = error;
    return n;
}

ssize_t plain_recv(int fd, void *buf, size_t len, int flags)
{
    wait_not(fd, flags, 1);
    ssize_t n = (ssize_t)answer(recv(of(fd), buf, (int)len, flags & ~MSG_DONTWAIT));
    int error = errno;
    wait_not(fd, flags, 0);
    errno = error;
    return n;
}

ssize_t plain_sendto(int fd, const void *data, size_t len, const struct sockaddr *to, socklen_t n)
{
    return (ssize_t)answer(sendto(of(fd), data, (int)len, 0, to, n));
}

static bool is_pipe(int fd)
{
    return !is_socket(fd) && GetFileType((HANDLE)(intptr_t)fd) == FILE_TYPE_PIPE;
}

/* Both ends of a pipe are overlapped: it is waited for. The bit in the event keeps the packet out
 * of a port that the pipe belongs to. */
static ssize_t move(int fd, void *base, size_t len, bool is_write)
{
    HANDLE handle = (HANDLE)(intptr_t)fd, event = CreateEventW(NULL, TRUE, FALSE, NULL);
    OVERLAPPED one = { .hEvent = (HANDLE)((uintptr_t)event | 1) };
    DWORD n = 0;
    bool is_done = is_write ? WriteFile(handle, base, (DWORD)len, NULL, &one)
                            : ReadFile(handle, base, (DWORD)len, NULL, &one);
    if (is_done || GetLastError() == ERROR_IO_PENDING)
        is_done = GetOverlappedResult(handle, &one, &n, TRUE);
    DWORD error = is_done ? 0 : GetLastError();
    CloseHandle(event);
    if (error == 0 || (error == ERROR_BROKEN_PIPE && !is_write)) return (ssize_t)n;
    errno = call_errno(CALL_WINDOWS_ERRORS + (int)error);
    return -1;
}

/* An end of a pipe with O_NONBLOCK. What waits in the pipe cannot be taken back whole, so it is a
 * copy, and counts when all of it is in: who is told EAGAIN comes back with the same bytes. */
struct waiting {
    struct waiting *next;
    int fd;
    bool is_under_way;
    OVERLAPPED one;
    char bytes[4096];
};

static struct waiting *first_waiting;

static struct waiting *waiting_of(int fd)
{
    struct waiting *waiting = first_waiting;
    while (waiting != NULL && waiting->fd != fd) waiting = waiting->next;
    return waiting;
}

static ssize_t write_without_waiting(struct waiting *waiting, const void *data, size_t len)
{
    HANDLE handle = (HANDLE)(intptr_t)waiting->fd;
    DWORD n = 0;
    if (!waiting->is_under_way) {
        HANDLE event = waiting->one.hEvent;
        size_t room = sizeof waiting->bytes;
        waiting->one = (OVERLAPPED){ .hEvent = event };
        len = len < room ? len : room;
        memcpy(waiting->bytes, data, len);
        bool is_written = WriteFile(handle, waiting->bytes, (DWORD)len, NULL, &waiting->one);
        waiting->is_under_way = is_written || GetLastError() == ERROR_IO_PENDING;
    }
    bool is_done = waiting->is_under_way && GetOverlappedResult(handle, &waiting->one, &n, FALSE);
    DWORD error = GetLastError();
    if (!is_done && waiting->is_under_way && error == ERROR_IO_INCOMPLETE) {
        errno = EAGAIN;
        return -1;
    }
    waiting->is_under_way = false;
    if (is_done) return (ssize_t)n;
    errno = call_errno(CALL_WINDOWS_ERRORS + (int)error);
    return -1;
}

/* Before fd is closed, or waits again; what is not in the pipe yet is lost. */
static void end_waiting(int fd)
{
    struct waiting **at = &first_waiting, *waiting = waiting_of(fd);
    DWORD n;
    if (waiting == NULL) return;
    while (*at != waiting) at = &(*at)->next;
    *at = waiting->next;
    (void)CancelIoEx((HANDLE)(intptr_t)fd, &waiting->one);
    if (waiting->is_under_way)
        (void)GetOverlappedResult((HANDLE)(intptr_t)fd, &waiting->one, &n, TRUE);
    CloseHandle(waiting->one.hEvent);
    free(waiting);
}

static int set_nonblock(int fd, bool is_on)
{
    u_long waits_not = is_on;
    if (is_socket(fd)) return (int)answer(ioctlsocket(of(fd), (long)FIONBIO, &waits_not));
    end_waiting(fd);
    if (!is_on) return 0;
    struct waiting *waiting = calloc(1, sizeof *waiting);
    if (waiting == NULL) return -1;
    *waiting = (struct waiting){ .next = first_waiting, .fd = fd };
    waiting->one.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
    first_waiting = waiting;
    return 0;
}

static bool would_wait(int fd)
{
    DWORD n = 0;
    return PeekNamedPipe((HANDLE)(intptr_t)fd, NULL, 0, NULL, &n, NULL) && n == 0;
}

ssize_t plain_read(int fd, void *buf, size_t len)
{
    if (waiting_of(fd) != NULL && would_wait(fd)) {
        errno = EAGAIN;
        return -1;
    }
    if (is_pipe(fd)) return move(fd, buf, len, false);
    return is_socket(fd) ? plain_recv(fd, buf, len, 0) : system_read(fd, buf, len);
}

ssize_t plain_write(int fd, const void *data, size_t len)
{
    struct waiting *waiting = waiting_of(fd);
    if (waiting != NULL) return write_without_waiting(waiting, data, len);
    if (is_pipe(fd)) return move(fd, (void *)(uintptr_t)data, len, true);
    return is_socket(fd) ? plain_send(fd, data, len, 0) : system_write(fd, data, len);
}

/* A pipe is looked at, and not waited for: no case asks for that. */
int plain_poll(struct pollfd *list, unsigned long count, int timeout_ms)
{
    DWORD n = 0;
    if (count != 1 || !is_pipe((int)list->fd)) return WSAPoll(list, count, timeout_ms);
    bool is_open = PeekNamedPipe((HANDLE)list->fd, NULL, 0, NULL, &n, NULL);
    list->revents = n != 0 ? POLLIN : is_open ? 0 : POLLHUP;
    return list->revents != 0;
}

int plain_close(int fd)
{
    end_waiting(fd);
    return is_socket(fd) ? (int)answer(closesocket(of(fd))) : close(fd);
}

int plain_shutdown(int fd, int how) { return (int)answer(shutdown(of(fd), how)); }

static int here(struct sockaddr_in *addr, int type)
{
    socklen_t len = sizeof *addr;
    memset(addr, 0, sizeof *addr);
    addr->sin_family = AF_INET;
    addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = plain_socket(AF_INET, type, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)addr, len) != 0) return -1;
    return getsockname(fd, (struct sockaddr *)addr, &len) == 0 ? fd : -1;
}

int plain_pair_of(int type, int fds[2])
{
    struct sockaddr_in a, b;
    fds[0] = here(&a, type);
    if (type == SOCK_DGRAM) {
        fds[1] = here(&b, type);
        if (fds[0] < 0 || fds[1] < 0) return -1;
        if (plain_connect(fds[0], (struct sockaddr *)&b, sizeof b) != 0) return -1;
        return plain_connect(fds[1], (struct sockaddr *)&a, sizeof a);
    }
    int listener = fds[0];
    if (listener < 0 || listen(listener, 1) != 0) return -1;
    fds[1] = plain_socket(AF_INET, type, 0);
    if (plain_connect(fds[1], (struct sockaddr *)&a, sizeof a) != 0) return -1;
    fds[0] = plain_accept(listener, NULL, NULL);
    (void)plain_close(listener);
    return fds[0] >= 0 ? 0 : -1;
}

int plain_pipe(int fds[2], int flags) { return (void)flags, call_pipe(fds); }

int getrlimit(int which, struct rlimit *limit)
{
    (void)which;
    *limit = (struct rlimit){ 1 << 24, 1 << 24 };
    return 0;
}

int setrlimit(int which, const struct rlimit *limit)
{
    (void)which, (void)limit;
    errno = EPERM;
    return -1;
}

/* What a descriptor leads to, once more. */
int plain_dup(int fd)
{
    WSAPROTOCOL_INFOW info;
    if (WSADuplicateSocketW(of(fd), GetCurrentProcessId(), &info) != 0) return (int)answer(-1);
    SOCKET copy = WSASocketW(info.iAddressFamily, info.iSocketType, info.iProtocol, &info, 0,
                             WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    return (int)answer((int)copy);
}

/* Whether it is open, and whether a child would get it; modes of a socket cannot be asked for. */
int plain_fcntl(int fd, int command, ...)
{
    DWORD flags = 0;
    if (!GetHandleInformation((HANDLE)(intptr_t)fd, &flags)) {
        errno = EBADF;
        return -1;
    }
    va_list args;
    va_start(args, command);
    int wanted = command == F_SETFL ? va_arg(args, int) : 0;
    va_end(args);
    if (command == F_SETFL) return set_nonblock(fd, wanted & O_NONBLOCK);
    if (command != F_GETFD) return 0;
    return flags & HANDLE_FLAG_INHERIT ? 0 : FD_CLOEXEC;
}

int64_t plain_lseek(int fd, int64_t offset, int from)
{
    LARGE_INTEGER wanted = { .QuadPart = offset }, found;
    bool is_done = SetFilePointerEx((HANDLE)(intptr_t)fd, wanted, &found, (DWORD)from);
    return is_done ? found.QuadPart : -1;
}

enum { NAMES_TRIED = 1000 };

/* Six letters of its own for a name that ends in as many: a number that no other process begins
 * with, though one that has gone may have left its names behind. */
static void rename_end(char *name)
{
    static unsigned count;
    unsigned number = (unsigned)GetCurrentProcessId() * 16 + count++;
    snprintf(name + strlen(name) - 6, 7, "%06x", number & 0xffffff);
}

char *mkdtemp(char *name)
{
    for (int tries = 0; tries < NAMES_TRIED; tries++) {
        rename_end(name);
        if (mkdir(name, 0700) == 0) return name;
        if (errno != EEXIST) break;
    }
    return NULL;
}

int plain_mkstemp(char *name)
{
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < NAMES_TRIED; tries++) {
        rename_end(name);
        fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd < 0 && errno != EEXIST) break;
    }
    return fd;
}

int getrusage(int who, struct rusage *usage)
{
    (void)who;
    *usage = (struct rusage){ 0 };
    return 0;
}

/* Linked in front of the C library's: see CMakeLists.txt. */
static void (*on_allocation)(const volatile void *ptr, size_t bytes);

int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void *ptr, size_t bytes),
    void (*on_free)(const volatile void *ptr));
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);

int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void *ptr, size_t bytes),
    void (*on_free)(const volatile void *ptr))
{
    (void)on_free;
    on_allocation = on_malloc;
    return 1;
}

static void *told(void *ptr, size_t bytes)
{
    if (on_allocation != NULL) on_allocation(ptr, bytes);
    return ptr;
}

void *__wrap_malloc(size_t bytes) { return told(__real_malloc(bytes), bytes); }

void *__wrap_calloc(size_t count, size_t bytes)
{
    return told(__real_calloc(count, bytes), count * bytes);
}

void *__wrap_realloc(void *ptr, size_t bytes) { return told(__real_realloc(ptr, bytes), bytes); }

static struct { FILE *file; char **text; size_t *len; char *fixed; size_t room; } memory;

FILE *open_memstream(char **text, size_t *len)
{
    memory.file = tmpfile();
    memory.fixed = NULL;
    memory.text = text;
    memory.len = len;
    return memory.file;
}

FILE *fmemopen(void *text, size_t room, const char *mode)
{
    (void)mode;
    memory.file = tmpfile();
    memory.fixed = text;
    memory.room = room;
    return memory.file;
}

static int close_fixed(void)
{
    FILE *file = memory.file;
    memory.file = NULL;
    rewind(file);
    memory.fixed[fread(memory.fixed, 1, memory.room - 1, file)] = 0;
    return fclose(file);
}

int plain_fclose(FILE *file)
{
    if (file != memory.file) return fclose(file);
    if (memory.fixed != NULL) return close_fixed();
    long len = ftell(file);
    *memory.len = (size_t)len;
    *memory.text = calloc(1, (size_t)len + 1);
    rewind(file);
    if (fread(*memory.text, 1, (size_t)len, file) != (size_t)len) abort();
    memory.file = NULL;
    return fclose(file);
}

static struct sigaction handlers[NSIG];

static void on_plain(int number)
{
    (void)signal(number, on_plain);
    handlers[number].sa_handler(number);
}

int plain_sigaction(int number, const struct sigaction *to, struct sigaction *from)
{
    bool has_handler = to != NULL && to->sa_handler != SIG_DFL && to->sa_handler != SIG_IGN;
    void (*next)(int) = to != NULL ? to->sa_handler : SIG_DFL;
    void (*now)(int) = signal(number, has_handler ? on_plain : next);
    if (now == SIG_ERR) return -1;
    if (to == NULL) (void)signal(number, now);
    if (from != NULL) *from = (struct sigaction){ .sa_handler = now };
    if (from != NULL && now == on_plain) *from = handlers[number];
    if (has_handler) handlers[number] = *to;
    return 0;
}

int plain_dup2(int fd, int number)
{
    HANDLE self = GetCurrentProcess(), copy;
    BOOL is_copied = DuplicateHandle(self, (HANDLE)(intptr_t)fd, self, &copy, 0, FALSE,
                                     DUPLICATE_SAME_ACCESS);
    int own = is_copied ? _open_osfhandle((intptr_t)copy, _O_BINARY) : -1;
    if (own < 0 || _dup2(own, number) != 0) return -1;
    _close(own);
    return number;
}

unsigned plain_if_nametoindex(const char *name)
{
    static union { IP_ADAPTER_ADDRESSES list; char room[65536]; } all;
    ULONG bytes = sizeof all;
    if (strcmp(name, "lo") != 0) return 0;
    if (GetAdaptersAddresses(AF_UNSPEC, 0, NULL, &all.list, &bytes) != NO_ERROR) return 0;
    for (const IP_ADAPTER_ADDRESSES *one = &all.list; one != NULL; one = one->Next)
        if (one->IfType == IF_TYPE_SOFTWARE_LOOPBACK) return one->IfIndex;
    return 0;
}
