/* Heartbeats written by the kernel: two small BPF programs on the entry and the exit of every
 * system call note the waits of one process in a table by thread. For processes that are there
 * already, as root. They cost every system call of the machine some ten nanoseconds while they are
 * loaded, and are gone with our descriptors, however we end.
 *
 * The programs are assembled here, instruction by instruction: so the build needs no clang and the
 * command no libbpf. Only epoll and io_uring are noted: whether a poll is a loop's takes more
 * judgement than belongs there. The rules of the shim hold: the first descriptor that a thread
 * waits on is its main one, until that is closed. */
#include "stalls/pulse.h"

#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CODE_MAX = 128, EXITS_MAX = 16, THREADS_MAX = 1024, READS_MAX = 8 };

/* Where the tracepoint's registers keep the arguments of the call. */
#if defined(__x86_64__)
enum { IS_SUPPORTED = 1, ARGUMENT_1 = 112, ARGUMENT_3 = 96, ARGUMENT_4 = 56 };
#elif defined(__aarch64__)
enum { IS_SUPPORTED = 1, ARGUMENT_1 = 0, ARGUMENT_3 = 16, ARGUMENT_4 = 24 };
#else
enum { IS_SUPPORTED = 0, ARGUMENT_1 = 0, ARGUMENT_3 = 0, ARGUMENT_4 = 0 };
#endif

#ifndef SYS_epoll_wait
#define SYS_epoll_wait SYS_epoll_pwait /* it has only the one */
#endif

/* The stack of a program: the key, three arguments, a new heartbeat. */
enum { KEY = -8, FIRST = -16, FOURTH = -24, THIRD = -32, FRESH = -96 };

struct bpf {
    pid_t pid;
    int map, programs[2], links[2];
};

/* The kernel's struct bpf_insn, with its two registers of four bits as the byte that
 * they are in. */
struct instruction { uint8_t code, registers; int16_t offset; int32_t number; };

struct assembly {
    struct instruction code[CODE_MAX];
    int count, exits[EXITS_MAX], exit_count;
};

/* The assembler. */

static int put(struct assembly *to, int code, int registers, int offset, int32_t number)
{
    to->code[to->count] = (struct instruction){ (uint8_t)code, (uint8_t)registers, (int16_t)offset,
                                                number };
    return to->count++;
}

static int both(int to, int from)
{
    return to | from << 4;
}

static void copy(struct assembly *to, int into, int from)
{
    put(to, BPF_ALU64 | BPF_MOV | BPF_X, both(into, from), 0, 0);
}

static void set(struct assembly *to, int into, int32_t number)
{
    put(to, BPF_ALU64 | BPF_MOV | BPF_K, into, 0, number);
}

static void compute(struct assembly *to, int operation, int into, int32_t number)
{
    put(to, BPF_ALU64 | operation | BPF_K, into, 0, number);
}

/* size: BPF_W or BPF_DW */
static void load(struct assembly *to, int size, int into, int from, int offset)
{
    put(to, BPF_LDX | BPF_MEM | size, both(into, from), offset, 0);
}

static void store(struct assembly *to, int size, int into, int offset, int from)
{
    put(to, BPF_STX | BPF_MEM | size, both(into, from), offset, 0);
}

static void call(struct assembly *to, int helper)
{
    put(to, BPF_JMP | BPF_CALL, 0, 0, helper);
}

/* A jump whose aim is not known yet: land() sets it to what comes next. */
static int jump(struct assembly *to, int condition, int on, int32_t number)
{
    return put(to, BPF_JMP | condition | BPF_K, on, 0, number);
}

static void land(struct assembly *to, int from)
{
    to->code[from].offset = (int16_t)(to->count - from - 1);
}

static void leave_if(struct assembly *to, int condition, int on, int32_t number)
{
    to->exits[to->exit_count++] = jump(to, condition, on, number);
}

/* A number of 64 bits, or the map if source is BPF_PSEUDO_MAP_FD. */
static void set_wide(struct assembly *to, int into, int source, uint64_t number)
{
    put(to, BPF_LD | BPF_IMM | BPF_DW, both(into, source), 0, (int32_t)(uint32_t)number);
    put(to, 0, 0, 0, (int32_t)(uint32_t)(number >> 32));
}

static void finish(struct assembly *to)
{
    for (int i = 0; i < to->exit_count; i++) land(to, to->exits[i]);
    set(to, BPF_REG_0, 0);
    put(to, BPF_JMP | BPF_EXIT, 0, 0, 0);
}

/* Leaves unless a thread of ours called; its id becomes the key. */
static void filter_process(struct assembly *to, pid_t pid)
{
    call(to, BPF_FUNC_get_current_pid_tgid);
    store(to, BPF_W, BPF_REG_10, KEY, BPF_REG_0);
    compute(to, BPF_RSH, BPF_REG_0, 32);
    leave_if(to, BPF_JNE, BPF_REG_0, pid);
}

/* The thread's heartbeat, or 0, in r0. */
static void look_up(struct assembly *to, int map)
{
    set_wide(to, BPF_REG_1, BPF_PSEUDO_MAP_FD, (uint64_t)map);
    copy(to, BPF_REG_2, BPF_REG_10);
    compute(to, BPF_ADD, BPF_REG_2, KEY);
    call(to, BPF_FUNC_map_lookup_elem);
}

/* Copies an argument from the registers, which r8 points to, onto the stack. */
static void fetch(struct assembly *to, int place, int argument)
{
    copy(to, BPF_REG_1, BPF_REG_10);
    compute(to, BPF_ADD, BPF_REG_1, place);
    set(to, BPF_REG_2, 8);
    copy(to, BPF_REG_3, BPF_REG_8);
    compute(to, BPF_ADD, BPF_REG_3, argument);
    call(to, BPF_FUNC_probe_read_kernel);
}

static int place(size_t offset)
{
    return (int)offset;
}

/* The programs. r6: context, r7: number of the call, r8: registers, then the time, r9:
 * descriptor. */

static void filter_calls(struct assembly *to)
{
    load(to, BPF_DW, BPF_REG_7, BPF_REG_6, 8);
    load(to, BPF_DW, BPF_REG_8, BPF_REG_6, 0);
    set(to, BPF_REG_9, 0);
    int is_wait = jump(to, BPF_JEQ, BPF_REG_7, SYS_epoll_wait);
    int is_pwait = jump(to, BPF_JEQ, BPF_REG_7, SYS_epoll_pwait);
    int is_pwait2 = jump(to, BPF_JEQ, BPF_REG_7, SYS_epoll_pwait2);
    leave_if(to, BPF_JNE, BPF_REG_7, SYS_io_uring_enter);
    set(to, BPF_REG_9, HEARTBEAT_RING);
    fetch(to, THIRD, ARGUMENT_3);
    load(to, BPF_W, BPF_REG_1, BPF_REG_10, THIRD); /* how many completions it waits for */
    leave_if(to, BPF_JEQ, BPF_REG_1, 0);
    land(to, is_wait);
    land(to, is_pwait);
    land(to, is_pwait2);
    fetch(to, FIRST, ARGUMENT_1);
    fetch(to, FOURTH, ARGUMENT_4);
    load(to, BPF_W, BPF_REG_1, BPF_REG_10, FIRST);
    put(to, BPF_ALU64 | BPF_OR | BPF_X, both(BPF_REG_9, BPF_REG_1), 0, 0);
}

/* The first wait that blocks makes a loop of a thread. The fourth argument is a time-out in ms, or
 * not 0 if it is a pointer or the ring's flags that ask to wait. */
static void adopt(struct assembly *to, int map)
{
    int is_pwait2 = jump(to, BPF_JEQ, BPF_REG_7, SYS_epoll_pwait2);
    load(to, BPF_W, BPF_REG_1, BPF_REG_10, FOURTH);
    leave_if(to, BPF_JEQ, BPF_REG_1, 0);
    land(to, is_pwait2);
    for (int i = 0; i < (int)sizeof(struct heartbeat); i += 8)
        put(to, BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, FRESH + i, 0);
    load(to, BPF_W, BPF_REG_1, BPF_REG_10, KEY);
    store(to, BPF_W, BPF_REG_10, FRESH + place(offsetof(struct heartbeat, tid)), BPF_REG_1);
    store(to, BPF_W, BPF_REG_10, FRESH + place(offsetof(struct heartbeat, main_fd)), BPF_REG_9);
    store(to, BPF_DW, BPF_REG_10, FRESH + place(offsetof(struct heartbeat, since_ns)), BPF_REG_8);
    put(to, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10,
        FRESH + place(offsetof(struct heartbeat, is_waiting)), 1);
    set_wide(to, BPF_REG_1, BPF_PSEUDO_MAP_FD, (uint64_t)map);
    copy(to, BPF_REG_2, BPF_REG_10);
    compute(to, BPF_ADD, BPF_REG_2, KEY);
    copy(to, BPF_REG_3, BPF_REG_10);
    compute(to, BPF_ADD, BPF_REG_3, FRESH);
    set(to, BPF_REG_4, BPF_ANY);
    call(to, BPF_FUNC_map_update_elem);
    leave_if(to, BPF_JA, 0, 0);
}

static void end_turn(struct assembly *to, int64_t threshold_ns)
{
    load(to, BPF_W, BPF_REG_1, BPF_REG_0, offsetof(struct heartbeat, main_fd));
    to->exits[to->exit_count++] = put(to, BPF_JMP | BPF_JNE | BPF_X, both(BPF_REG_1, BPF_REG_9), 0,
                                      0);
    load(to, BPF_W, BPF_REG_1, BPF_REG_0, offsetof(struct heartbeat, is_waiting));
    int was_waiting = jump(to, BPF_JNE, BPF_REG_1, 0);
    load(to, BPF_DW, BPF_REG_2, BPF_REG_0, offsetof(struct heartbeat, since_ns));
    copy(to, BPF_REG_1, BPF_REG_8);
    put(to, BPF_ALU64 | BPF_SUB | BPF_X, both(BPF_REG_1, BPF_REG_2), 0, 0);
    set_wide(to, BPF_REG_3, 0, (uint64_t)threshold_ns);
    int is_short = put(to, BPF_JMP | BPF_JLE | BPF_X, both(BPF_REG_1, BPF_REG_3), 0, 0);
    store(to, BPF_DW, BPF_REG_0, offsetof(struct heartbeat, long_began_ns), BPF_REG_2);
    store(to, BPF_DW, BPF_REG_0, offsetof(struct heartbeat, long_ns), BPF_REG_1);
    load(to, BPF_W, BPF_REG_1, BPF_REG_0, offsetof(struct heartbeat, long_count));
    compute(to, BPF_ADD, BPF_REG_1, 1);
    store(to, BPF_W, BPF_REG_0, offsetof(struct heartbeat, long_count), BPF_REG_1);
    land(to, was_waiting);
    land(to, is_short);
    store(to, BPF_DW, BPF_REG_0, offsetof(struct heartbeat, since_ns), BPF_REG_8);
    put(to, BPF_ST | BPF_MEM | BPF_W, BPF_REG_0, offsetof(struct heartbeat, is_waiting), 1);
}

static void assemble_enter(struct assembly *to, const struct bpf *bpf, int64_t threshold_ns)
{
    copy(to, BPF_REG_6, BPF_REG_1);
    filter_process(to, bpf->pid);
    filter_calls(to);
    call(to, BPF_FUNC_ktime_get_ns);
    copy(to, BPF_REG_8, BPF_REG_0);
    look_up(to, bpf->map);
    int is_known = jump(to, BPF_JNE, BPF_REG_0, 0);
    adopt(to, bpf->map);
    land(to, is_known);
    end_turn(to, threshold_ns);
    finish(to);
}

/* The first exit after a wait was entered is that wait's. */
static void assemble_exit(struct assembly *to, const struct bpf *bpf)
{
    filter_process(to, bpf->pid);
    look_up(to, bpf->map);
    leave_if(to, BPF_JEQ, BPF_REG_0, 0);
    load(to, BPF_W, BPF_REG_1, BPF_REG_0, offsetof(struct heartbeat, is_waiting));
    leave_if(to, BPF_JEQ, BPF_REG_1, 0);
    copy(to, BPF_REG_6, BPF_REG_0);
    call(to, BPF_FUNC_ktime_get_ns);
    store(to, BPF_DW, BPF_REG_6, offsetof(struct heartbeat, since_ns), BPF_REG_0);
    load(to, BPF_DW, BPF_REG_1, BPF_REG_6, offsetof(struct heartbeat, turn_count));
    compute(to, BPF_ADD, BPF_REG_1, 1);
    store(to, BPF_DW, BPF_REG_6, offsetof(struct heartbeat, turn_count), BPF_REG_1);
    put(to, BPF_ST | BPF_MEM | BPF_W, BPF_REG_6, offsetof(struct heartbeat, is_waiting), 0);
    finish(to);
}

/* The system call. */

static int ask(int command, union bpf_attr *attributes)
{
    return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static uint64_t address(const void *of)
{
    return (uint64_t)(uintptr_t)of;
}

static int create_map(void)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.map_type = BPF_MAP_TYPE_HASH;
    attributes.key_size = sizeof(int32_t);
    attributes.value_size = sizeof(struct heartbeat);
    attributes.max_entries = THREADS_MAX;
    return ask(BPF_MAP_CREATE, &attributes);
}

/* Loads a program and hangs it on a tracepoint. */
static int attach(struct bpf *bpf, int index, const struct assembly *assembly, const char *where)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
    attributes.insns = address(assembly->code);
    attributes.insn_cnt = (uint32_t)assembly->count;
    attributes.license = address("Dual MIT/GPL"); /* the kernel keeps its helpers for such */
    bpf->programs[index] = ask(BPF_PROG_LOAD, &attributes);
    if (bpf->programs[index] < 0) return -1;
    memset(&attributes, 0, sizeof attributes);
    attributes.raw_tracepoint.name = address(where);
    attributes.raw_tracepoint.prog_fd = (uint32_t)bpf->programs[index];
    bpf->links[index] = ask(BPF_RAW_TRACEPOINT_OPEN, &attributes);
    return bpf->links[index] < 0 ? -1 : 0;
}

static int on_element(const struct bpf *bpf, int command, const int32_t *tid, void *value)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.map_fd = (uint32_t)bpf->map;
    attributes.key = address(tid);
    attributes.value = address(value); /* or the next key: the same place */
    return ask(command, &attributes);
}

/* The kernel counts threads of the whole machine; in a namespace we know them by other numbers. */
static bool is_first_namespace(void)
{
    struct stat file;
    return stat("/proc/self/ns/pid", &file) == 0 && file.st_ino == 0xeffffffc;
}

/* Threads that are in their wait already would not be known before they come back to it. */
static void adopt_waiting(struct bpf *bpf)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)bpf->pid);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        uint64_t arguments[6];
        int32_t tid = atoi(entry->d_name);
        int fd = tid > 0 ? thread_open(bpf->pid, tid, "syscall") : -1;
        if (fd < 0) continue;
        long number = thread_call(fd, arguments);
        close(fd);
        if (number < 0 || call_is_wait(number) != 1) continue;
        int ring = number == SYS_io_uring_enter ? HEARTBEAT_RING : 0;
        struct heartbeat fresh = { .tid = tid, .main_fd = (int)arguments[0] | ring,
                                   .is_waiting = 1, .since_ns = clock_read() };
        on_element(bpf, BPF_MAP_UPDATE_ELEM, &tid, &fresh); /* else it is known a turn later */
    }
    if (folder != NULL) closedir(folder);
}

static const char *explain(int error)
{
    if (error == EPERM || error == EACCES) return "it needs root, or CAP_BPF and CAP_PERFMON";
    return strerror(error);
}

struct bpf *bpf_open(pid_t pid, int64_t threshold_ns, char *why, size_t room)
{
    if (!IS_SUPPORTED || !is_first_namespace()) {
        snprintf(why, room, IS_SUPPORTED ? "the process numbers here are a namespace's own"
                                         : "not written for this processor");
        return NULL;
    }
    struct bpf *bpf = calloc(1, sizeof *bpf);
    struct assembly *enter = calloc(2, sizeof *enter);
    if (bpf == NULL || enter == NULL) {
        free(bpf);
        free(enter);
        snprintf(why, room, "out of memory");
        return NULL;
    }
    *bpf = (struct bpf){ .pid = pid, .programs = { -1, -1 }, .links = { -1, -1 } };
    bpf->map = create_map();
    assemble_enter(&enter[0], bpf, threshold_ns);
    assemble_exit(&enter[1], bpf);
    bool is_loaded = bpf->map >= 0 && attach(bpf, 0, &enter[0], "sys_enter") == 0 &&
                     attach(bpf, 1, &enter[1], "sys_exit") == 0;
    int error = errno;
    free(enter);
    if (is_loaded) {
        adopt_waiting(bpf);
        return bpf;
    }
    snprintf(why, room, "%s", explain(error));
    bpf_close(bpf);
    return NULL;
}

void bpf_close(struct bpf *bpf)
{
    if (bpf == NULL) return;
    for (int i = 0; i < 2; i++) {
        if (bpf->links[i] >= 0) close(bpf->links[i]);
        if (bpf->programs[i] >= 0) close(bpf->programs[i]);
    }
    if (bpf->map >= 0) close(bpf->map);
    free(bpf);
}

void bpf_release(struct bpf *bpf, pid_t tid)
{
    int32_t key = tid;
    on_element(bpf, BPF_MAP_DELETE_ELEM, &key, NULL); /* a thread that is not there is as good */
}

/* A copy that is of one moment. */
static bool read_thread(const struct bpf *bpf, const int32_t *tid, struct heartbeat *out)
{
    struct heartbeat again;
    if (on_element(bpf, BPF_MAP_LOOKUP_ELEM, tid, out) != 0) return false;
    for (int i = 0; i < READS_MAX; i++) {
        if (on_element(bpf, BPF_MAP_LOOKUP_ELEM, tid, &again) != 0) return false;
        if (memcmp(&again, out, sizeof again) == 0) return true;
        *out = again;
    }
    out->is_waiting = 0; /* it changes all the time, so it has just begun whatever it does */
    out->since_ns = clock_read();
    return true;
}

int bpf_read(struct bpf *bpf, struct pulse *out, int room)
{
    int32_t tid, next;
    int count = 0;
    const int32_t *at = NULL;
    for (int i = 0; i < THREADS_MAX && count < room; i++) {
        struct heartbeat beat;
        if (on_element(bpf, BPF_MAP_GET_NEXT_KEY, at, &next) != 0) break;
        tid = next;
        at = &tid;
        if (!read_thread(bpf, &tid, &beat)) continue;
        out[count++] = (struct pulse){
            .tid = tid, .main_fd = beat.main_fd, .is_waiting = beat.is_waiting != 0,
            .since_ns = beat.since_ns, .turn_count = beat.turn_count,
            .long_count = beat.long_count, .long_began_ns = beat.long_began_ns,
            .long_ns = beat.long_ns, .is_counting = true,
        };
    }
    return count;
}
