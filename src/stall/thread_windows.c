/* What a thread does, and where, on Windows. It is stopped for as long as its registers and the
 * upper part of its stack are copied, by calls that take no lock which it might hold; all else is
 * found in the copy. A thread is in a system call if it is about to return from one: the calls are
 * functions of ntdll.dll and win32u.dll that have nothing else after the instruction. */
#include <string.h>
#include <winsock2.h>
#include <windows.h>

#include <tlhelp32.h>

#include "stall/stall.h"

/* Memory. */

static size_t read_at(uintptr_t address, void *to, size_t bytes)
{
    SIZE_T got = 0;
    BOOL is_whole = ReadProcessMemory(GetCurrentProcess(), (const void *)address, to, bytes, &got);
    return is_whole ? bytes : 0;
}

/* At once, or else by pages up to one that is not there. */
size_t memory_read(uintptr_t address, void *to, size_t bytes)
{
    const uintptr_t page = 4096;
    size_t done = read_at(address, to, bytes);
    while (done < bytes) {
        size_t piece = page - (address + done) % page;
        if (piece > bytes - done) piece = bytes - done;
        if (read_at(address + done, (char *)to + done, piece) == 0) break;
        done += piece;
    }
    return done;
}

/* The door. */

static HANDLE door;

bool door_open(void)
{
    door = CreateEventW(NULL, FALSE, FALSE, NULL);
    return door != NULL;
}

void door_knock(void) { SetEvent(door); }

void door_wait(int64_t timeout_ns)
{
    (void)WaitForSingleObject(door, timeout_ns < 0 ? INFINITE
                                                   : (DWORD)clock_ms_round_up(timeout_ns));
}

/* Threads. */

void thread_close(void) {}

/* Windows 10 has this call since its second year. */
void thread_name(const char *name)
{
    HRESULT (WINAPI *describe)(HANDLE thread, const WCHAR *text);
    FARPROC found = GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "SetThreadDescription");
    WCHAR text[32];
    if (found == NULL || MultiByteToWideChar(CP_UTF8, 0, name, -1, text, 32) == 0) return;
    memcpy(&describe, &found, sizeof describe);
    (void)describe(GetCurrentThread(), text);
}

int64_t thread_ready_ns(int tid)
{
    (void)tid;
    return 0;
}

void thread_each(void (*fn)(int tid, void *arg), void *arg)
{
    THREADENTRY32 entry = { .dwSize = sizeof entry };
    HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    if (list == INVALID_HANDLE_VALUE) return;
    for (BOOL more = Thread32First(list, &entry); more; more = Thread32Next(list, &entry))
        if (entry.th32OwnerProcessID == GetCurrentProcessId()) fn((int)entry.th32ThreadID, arg);
    CloseHandle(list);
}

#if defined(__x86_64__)

/* What is called by its name: a table of a library's exports. */
struct library {
    const char *base;
    const IMAGE_EXPORT_DIRECTORY *exports;
    uintptr_t bytes;
};

static struct library libraries[2];

static void read_library(const WCHAR *name, struct library *library)
{
    const char *base = (const char *)(void *)GetModuleHandleW(name);
    if (base == NULL) return;
    const IMAGE_DOS_HEADER *dos = (const void *)base;
    const IMAGE_NT_HEADERS *headers = (const void *)(base + dos->e_lfanew);
    const IMAGE_DATA_DIRECTORY *place =
        &headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_EXPORT];
    library->base = base;
    library->bytes = place->VirtualAddress != 0 ? headers->OptionalHeader.SizeOfImage : 0;
    library->exports = (const void *)(base + place->VirtualAddress);
}

/* Not later: a thread that is stopped for long may hold the loader's lock. */
void thread_open(void)
{
    read_library(L"ntdll.dll", &libraries[0]);
    read_library(L"win32u.dll", &libraries[1]);
}

/* The function "Nt..." that begins last before a place in the library; NULL: none. */
static const char *find_function(const struct library *library, uintptr_t offset)
{
    const IMAGE_EXPORT_DIRECTORY *exports = library->exports;
    const DWORD *functions = (const void *)(library->base + exports->AddressOfFunctions);
    const DWORD *names = (const void *)(library->base + exports->AddressOfNames);
    const WORD *ordinals = (const void *)(library->base + exports->AddressOfNameOrdinals);
    const char *found = NULL;
    DWORD begin = 0;
    for (DWORD i = 0; i < exports->NumberOfNames; i++) {
        const char *name = library->base + names[i];
        DWORD at = functions[ordinals[i]];
        if (at > offset || at < begin || (found != NULL && at == begin)) continue;
        if (name[0] == 'Z' && name[1] == 'w') continue; /* the same function has both names */
        begin = at;
        found = name;
    }
    return found != NULL && strncmp(found, "Nt", 2) == 0 ? found : NULL;
}

/* The system call that a thread at this place has not returned from; NULL: none. */
static const char *find_call(uintptr_t at)
{
    const unsigned char back = 0xc3; /* ret */
    unsigned char next;
    if (memory_read(at, &next, 1) != 1 || next != back) return NULL;
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        uintptr_t offset = at - (uintptr_t)libraries[i].base;
        if (offset < libraries[i].bytes) return find_function(&libraries[i], offset);
    }
    return NULL;
}

/* A copy of a stack, and the registers of its thread. What was aligned is aligned in the copy. */
enum { ALIGNMENT = 16 };
struct copy {
    CONTEXT context;
    uintptr_t low;              /* where the bytes were, */
    uintptr_t at;               /* and where they are */
    size_t bytes;
    _Alignas(ALIGNMENT) char memory[STALL_STACK_BYTES + ALIGNMENT];
};

enum { RIGHTS = THREAD_SUSPEND_RESUME | THREAD_GET_CONTEXT | THREAD_QUERY_LIMITED_INFORMATION };

/* The thread stands still meanwhile. */
static bool copy_thread(int tid, const struct heartbeat *beat, uint64_t turn_count,
                        struct copy *copy)
{
    HANDLE thread = OpenThread(RIGHTS, FALSE, (DWORD)tid);
    bool is_right = false;
    if (thread == NULL) return false;
    bool is_ours = GetProcessIdOfThread(thread) == GetCurrentProcessId(); /* and no later one */
    if (is_ours && SuspendThread(thread) != (DWORD)-1) {
        copy->context.ContextFlags = CONTEXT_CONTROL | CONTEXT_INTEGER;
        is_right = GetThreadContext(thread, &copy->context) &&
                   (beat == NULL || (BEAT_LOAD(beat->turn_count) == turn_count &&
                                     BEAT_LOAD(beat->is_waiting) == 0));
        copy->low = copy->context.Rsp;
        copy->at = (uintptr_t)copy->memory + copy->low % ALIGNMENT;
        copy->bytes = is_right ? memory_read(copy->low, (void *)copy->at, STALL_STACK_BYTES) : 0;
        ResumeThread(thread);
    }
    CloseHandle(thread);
    return is_right;
}

/* Frames. The registers that point into the stack are moved to its copy, and Windows unwinds there.
 * It reads without a look at bounds, so that what it will read is summed up first. */

struct unwind_info { /* as the ABI of x64 has it */
    unsigned char version_flags, prolog_bytes, code_count, frame;
    struct { unsigned char offset, operation; } codes[];
};

enum { PUSH, ALLOC_LARGE, ALLOC_SMALL, SET_FRAME, SAVE, SAVE_FAR, SAVE_XMM = 8, SAVE_XMM_FAR,
       MACHINE_FRAME };

/* How much of the stack a function uses at most, above where its registers point. */
static size_t frame_bytes(uintptr_t base, const RUNTIME_FUNCTION *function)
{
    const struct unwind_info *info = (const void *)(base + function->UnwindData);
    size_t bytes = 64; /* the return address, and what an interrupt's frame has more */
    if ((info->version_flags & 7) > 2) return STALL_STACK_BYTES; /* of a time to come */
    for (unsigned i = 0; i < info->code_count; i++) {
        unsigned operation = info->codes[i].operation & 15, value = info->codes[i].operation >> 4;
        uint16_t slots[2] = { 0, 0 };
        if (i + 1 < info->code_count) memcpy(&slots[0], &info->codes[i + 1], 2);
        if (i + 2 < info->code_count) memcpy(&slots[1], &info->codes[i + 2], 2);
        switch (operation) {
        case PUSH: bytes += 8; break;
        case ALLOC_SMALL: bytes += 8 * value + 8; break;
        case ALLOC_LARGE:
            bytes += value == 0 ? 8 * (size_t)slots[0] : slots[0] | (size_t)slots[1] << 16;
            i += value == 0 ? 1 : 2;
            break;
        case SAVE: case SAVE_XMM: i += 1; break;
        case SAVE_FAR: case SAVE_XMM_FAR: i += 2; break;
        default: break;
        }
    }
    const unsigned chained = 4; /* UNW_FLAG_CHAININFO */
    if (!(info->version_flags >> 3 & chained)) return bytes;
    return bytes + frame_bytes(base, (const void *)&info->codes[(info->code_count + 1) & ~1U]);
}

static void move_to_copy(const struct copy *copy, DWORD64 *value)
{
    if (*value - copy->low < copy->bytes) *value += copy->at - copy->low;
}

/* How much of the copy lies above a place in it. */
static size_t room_above(const struct copy *copy, uintptr_t at)
{
    uintptr_t offset = at - copy->at;
    return offset < copy->bytes ? copy->bytes - offset : 0;
}

static bool step(struct copy *copy, bool is_first)
{
    CONTEXT *context = &copy->context;
    DWORD64 *const registers[] = { &context->Rsp, &context->Rbp, &context->Rbx, &context->Rsi,
                                   &context->Rdi, &context->R12, &context->R13, &context->R14,
                                   &context->R15 };
    DWORD64 base = 0, establisher;
    void *data;
    for (size_t i = 0; i < sizeof registers / sizeof registers[0]; i++)
        move_to_copy(copy, registers[i]);
    RUNTIME_FUNCTION *function = RtlLookupFunctionEntry(context->Rip, &base, NULL);
    if (function == NULL) { /* a leaf: it calls nobody and has pushed nothing */
        uintptr_t back;
        if (!is_first || room_above(copy, context->Rsp) < sizeof back) return false;
        memcpy(&back, (const void *)context->Rsp, sizeof back);
        context->Rip = back;
        context->Rsp += sizeof back;
        return true;
    }
    const struct unwind_info *info = (const void *)(base + function->UnwindData);
    unsigned frame = info->frame & 15;
    uintptr_t top = frame == 0 ? context->Rsp : (&context->Rax)[frame];
    size_t wanted = frame_bytes(base, function);
    if (room_above(copy, top) < wanted || room_above(copy, context->Rsp) < 64) return false;
    (void)RtlVirtualUnwind(UNW_FLAG_NHANDLER, base, context->Rip, function, context, &data,
                           &establisher, NULL);
    return true;
}

static void unwind_copy(struct copy *copy, struct frames *frames)
{
    while (frames->count < HARK_STALL_FRAMES && copy->context.Rip != 0) {
        frames->at[frames->count++] = copy->context.Rip;
        uintptr_t before = copy->context.Rsp;
        if (!step(copy, frames->count == 1) || copy->context.Rsp == before) break;
    }
    frames->certain = frames->count;
}

void thread_frames(int tid, const struct heartbeat *beat, uint64_t turn_count,
                   struct thread_state *state, struct frames *frames)
{
    static struct copy copy; /* the sampler's only */
    *state = (struct thread_state){ .state = HARK_STALL_UNKNOWN, .syscall = -1 };
    frames->count = frames->certain = 0;
    if ((DWORD)tid == GetCurrentThreadId()) state->state = HARK_STALL_RUNS;
    else if (copy_thread(tid, beat, turn_count, &copy)) {
        state->at = copy.context.Rip;
        state->state = find_call(state->at) != NULL ? HARK_STALL_WAITS : HARK_STALL_RUNS;
        unwind_copy(&copy, frames);
    }
}

#else /* of other processors neither calls nor frames are known here */

void thread_open(void) {}

static const char *find_call(uintptr_t at)
{
    (void)at;
    return NULL;
}

void thread_frames(int tid, const struct heartbeat *beat, uint64_t turn_count,
                   struct thread_state *state, struct frames *frames)
{
    (void)tid, (void)beat, (void)turn_count;
    *state = (struct thread_state){ .state = HARK_STALL_UNKNOWN, .syscall = -1 };
    frames->count = frames->certain = 0;
}

#endif

void target_find(const struct thread_state *thread, struct hark_stall *stall, char *text,
                 size_t room)
{
    (void)text, (void)room;
    stall->fd = -1;
    stall->target = NULL;
    stall->syscall_name = thread->state == HARK_STALL_WAITS ? find_call(thread->at) : NULL;
}
