/* What the parts of `hark stalls` hand each other.
 *
 *   watch ---- who holds its loop? ---> capture ---- raw frames ---> resolve ----> struct stall
 *   (heartbeat, BPF, procfs)            (thread stopped at most       (native, python,     |
 *                                        a millisecond)               javascript)          v
 *                                                                                        report
 *
 * A capture is made while the thread stands still and only copies; names are looked up afterwards.
 * All text here is interned by text_keep() and lives as long as the run. Times are nanoseconds of
 * CLOCK_MONOTONIC. Nothing here uses the library: the tool watches programs, it is no loop. */
#ifndef STALLS_STALLS_H
#define STALLS_STALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { NATIVE_FRAMES_MAX = 128, SCRIPT_FRAMES_MAX = 128, STACK_FRAMES_MAX = 256 };

/* A native frame as the unwinder found it; innermost first. */
struct native_frame {
    uint64_t pc, sp, fp;      /* fp: the frame-pointer register in this frame, 0 if not known */
    bool is_exact;            /* pc is where it stands, not where it returns to */
};

/* A Python frame: a code object and how far it is. */
struct python_frame {
    uint64_t code;            /* address of the code object */
    int32_t line;             /* found at the capture if it is cheap; 0: by python_resolve() */
    int32_t offset;           /* of the instruction, in bytes */
    bool is_entry;            /* the first of an evaluation loop: below it comes native code */
};

/* A JavaScript frame. What is known of its function is kept by struct javascript. */
struct javascript_frame {
    int native_index;         /* the native frame that it is */
    const struct javascript_function *function; /* kept by struct javascript */
    int32_t position;         /* in the source of its script: of the function's beginning if it is
                               * not known better; -1: not known */
};

/* One look at a thread. */
struct capture {
    int64_t at_ns, stopped_ns;           /* when, and how long the thread was stopped: 0 if not */
    bool is_running;                     /* on a processor or waiting for one, not in the kernel's
                                          * sleep */
    long call;                           /* system call number, -1: in none */
    uint64_t arguments[6];
    char waits_in[64];                   /* the kernel function it sleeps in (wchan), or "" */
    const char *call_text;               /* "connect(23 -> 10.0.0.7:5432)"; NULL: in none */
    int native_count, python_count, javascript_count;
    struct native_frame native[NATIVE_FRAMES_MAX];
    struct python_frame python[SCRIPT_FRAMES_MAX];
    struct javascript_frame javascript[SCRIPT_FRAMES_MAX];
};

enum frame_kind { FRAME_NATIVE, FRAME_PYTHON, FRAME_JAVASCRIPT };

/* A frame as people read it. */
struct frame {
    enum frame_kind kind;
    bool is_runtime;          /* of libc, of a language's runtime or of the loop: not to blame */
    const char *function;     /* never NULL: demangled, or "?" */
    const char *file;         /* NULL: not known */
    int line;                 /* 0: not known */
    const char *module;       /* native: the file's name, such as "libc.so.6"; else NULL */
    uint64_t offset;          /* native: in the module */
};

/* Innermost first. */
struct stack { int count; struct frame frames[STACK_FRAMES_MAX]; };

enum stall_kind {
    STALL_ONE_CALL,           /* the same frames in every look */
    STALL_MANY_CALLBACKS,     /* different ones below the loop: a long turn of short callbacks */
    STALL_COLLECTION,         /* garbage collection */
    STALL_DESCHEDULED,        /* could have run and was not let */
};

/* One time that a thread did not come back to its loop. */
struct stall {
    pid_t pid, tid;
    int64_t began_ns, held_ns;
    int64_t wall_ns;          /* of its beginning, since 1970 */
    int64_t processor_ns;     /* of held_ns, on a processor */
    int64_t queued_ns;        /* of held_ns, runnable and waiting for one */
    enum stall_kind kind;
    bool is_running;          /* held by computing; false: by waiting */
    const char *call_text;    /* the system call it waits in; NULL */
    int guilty;               /* index in stack of the frame to blame; -1: there is none */
    int look_count;           /* how many captures it was judged by; 0: too short to be seen */
    struct stack stack;       /* of the look that stands for it */
};

/* How the beginning and the end of a turn are known. */
enum watch_mode { WATCH_HEARTBEAT, WATCH_HARK, WATCH_BPF, WATCH_PROCFS };

/* text.c: keeps a copy of text for the rest of the run; the same text gives the same pointer. */
const char *text_keep(const char *text);
const char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes a character as UTF-8, of at most four bytes, and gives their number; what is none, such as
 * half of a pair, as U+FFFD. */
size_t text_put(char *out, uint32_t character);

#endif
