/* Tells a call that can block: what, on which descriptor, and the stack with source lines. Once
 * for each stack, on standard error, as one write.
 *
 * HARK_BLOCKING        "warn" (or nothing) tells; "fail" tells and aborts; "off" does neither
 * HARK_BLOCKING_ALLOW  names, with commas between: a call may block if its name, that of a
 *                      function in its stack or that of a module there is one of them */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#include "base/symbol.h"
#include "blocking/blocking.h"

enum { FRAMES_MAX = 32, SEEN_MAX = 4096, TEXT_BYTES = 8192 };

static uint64_t seen[SEEN_MAX]; /* hashes of stacks, open addressing; 0: free */

struct walk { uintptr_t frames[FRAMES_MAX]; int count; };

/* Is pc in this library? */
static bool is_ours(uintptr_t pc)
{
    static const char here;
    Dl_info ours, its;
    return dladdr(&here, &ours) != 0 && dladdr((const void *)pc, &its) != 0 &&
           ours.dli_fbase == its.dli_fbase;
}

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    int is_exact = 0;
    uintptr_t pc = _Unwind_GetIPInfo(context, &is_exact);
    if (pc == 0 || walk->count == FRAMES_MAX) return _URC_END_OF_STACK;
    pc -= !is_exact; /* of the call, not of the return */
    if (walk->count != 0 || !is_ours(pc)) walk->frames[walk->count++] = pc;
    return _URC_NO_REASON;
}

/* False: it was seen before, or there is no room to remember it. */
static bool note_stack(const struct walk *walk)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a, by words */
    for (int i = 0; i < walk->count; i++) hash = (hash ^ walk->frames[i]) * 1099511628211u;
    if (hash == 0) hash = 1;
    for (size_t i = 0; i < SEEN_MAX / 2; i++) {
        uint64_t *slot = &seen[(hash + i) % SEEN_MAX], found = 0;
        if (__atomic_compare_exchange_n(slot, &found, hash, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) return true;
        if (found == hash) return false;
    }
    return false;
}

struct text { char bytes[TEXT_BYTES]; size_t length; };

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = TEXT_BYTES - text->length;
    int length = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    if (length > 0) text->length += (size_t)length < room ? (size_t)length : room - 1;
}

/* Is name, up to its first parenthesis, in HARK_BLOCKING_ALLOW? */
static bool is_allowed(const char *name)
{
    const char *list = getenv("HARK_BLOCKING_ALLOW");
    if (name == NULL || list == NULL) return false;
    size_t length = strcspn(name, "(");
    while (*list != '\0') {
        size_t entry = strcspn(list, ",");
        if (length != 0 && entry == length && strncmp(list, name, entry) == 0) return true;
        list += entry + (list[entry] == ',');
    }
    return false;
}

/* Adds a line for each frame; false: one of them is allowed. */
static bool add_frames(struct text *text, const struct walk *walk)
{
    for (int i = 0; i < walk->count; i++) {
        struct symbol symbol;
        char line[512];
        symbol_find(walk->frames[i], &symbol);
        if (is_allowed(symbol.function) || is_allowed(symbol.module)) return false;
        (void)symbol_print(walk->frames[i], line, sizeof line); /* cut off: still a line */
        add(text, "    %-2d %s\n", i, line);
    }
    return true;
}

static bool is_wanted(const char *mode)
{
    const char *wanted = getenv("HARK_BLOCKING");
    return wanted != NULL && strcmp(wanted, mode) == 0;
}

struct told { char call[256]; struct walk walk; };

/* Names need more stack than a fiber has: this runs on a thread of its own. */
static void *tell(void *arg)
{
    static struct text text; /* the lock is held */
    struct told *told = arg;
    text.length = 0;
    add(&text, "hark: a call that can block on a loop's thread: %s\n", told->call);
    if (!add_frames(&text, &told->walk)) return NULL;
    (void)!REAL(write)(STDERR_FILENO, text.bytes, text.length); /* nowhere else to say it */
    return &text;
}

static bool tell_elsewhere(struct told *told)
{
    pthread_t thread_id;
    void *result;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread_id, NULL, tell, told);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) return tell(told) != NULL;
    error = REAL(pthread_join)(thread_id, &result);
    return error == 0 && result != NULL;
}

void report_call(const char *format, ...)
{
    static int lock;
    int error = errno;
    struct told told = { .walk = { .count = 0 } };
    if (is_wanted("off") || !thread_is_still_loop()) return;
    thread.inside++;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(told.call, sizeof told.call, format, arguments);
    va_end(arguments);
    _Unwind_Backtrace(add_frame, &told.walk);
    if (note_stack(&told.walk) && !is_allowed(told.call)) {
        while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) != 0) usleep(100);
        bool is_told = tell_elsewhere(&told);
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
        if (is_told && is_wanted("fail")) abort();
    }
    thread.inside--;
    errno = error;
}
