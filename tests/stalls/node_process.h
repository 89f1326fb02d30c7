/* For tests: a node process that runs a script up to a place, and a look at one of its threads:
 * stopped, its frames taken, let go. Native frames come from libdw as far as it goes, then from
 * frame pointers. */
#ifndef STALLS_NODE_PROCESS_H
#define STALLS_NODE_PROCESS_H

#include <check.h>
#include <dirent.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"
#include "stalls/javascript.h"

enum { REASON_BYTES = 256 };

static char folder[] = "/tmp/hark-javascript-XXXXXX"; /* of the scripts */

struct node_process {
    pid_t pid;
    int out;
    char script[128];
    const char *text;                /* of the script */
    struct javascript *reader;
    Dwfl *dwfl;
};

static inline int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Waits for "ready". */
static inline bool is_ready(int fd)
{
    char bytes[64] = "";
    size_t have = 0;
    int64_t until = now_us() + 30 * 1000000;
    while (strstr(bytes, "ready") == NULL && have + 1 < sizeof bytes) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left = until - now_us();
        if (left <= 0 || poll(&wait, 1, (int)(left / 1000)) <= 0) return false;
        ssize_t got = read(fd, bytes + have, sizeof bytes - 1 - have);
        if (got <= 0) return false;
        have += (size_t)got;
        bytes[have] = '\0';
    }
    return strstr(bytes, "ready") != NULL;
}

static const Dwfl_Callbacks dwfl_callbacks = {
    .find_elf = dwfl_linux_proc_find_elf, .find_debuginfo = dwfl_standard_find_debuginfo};

/* Runs node on a script; the flags before it end with NULL. */
static inline struct node_process node_start(const char *name, const char *text,
                                             const char *const *flags)
{
    struct node_process node = {.pid = -1};
    char *arguments[16] = {(char *)"node"};
    int count = 1, ends[2];
    for (; flags != NULL && flags[count - 1] != NULL && count < 14; count++)
        arguments[count] = (char *)flags[count - 1];
    snprintf(node.script, sizeof node.script, "%s/%s", folder, name);
    node.text = text;
    FILE *file = fopen(node.script, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    arguments[count] = node.script;
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    node.pid = fork();
    if (node.pid == 0) {
        dup2(ends[1], 1);
        execvp("node", arguments);
        _exit(127);
    }
    close(ends[1]);
    node.out = ends[0];
    ck_assert_int_gt(node.pid, 0);
    ck_assert_msg(is_ready(node.out), "%s did not say that it is ready", name);
    char why[REASON_BYTES] = "";
    node.reader = javascript_open(node.pid, why, sizeof why);
    ck_assert_msg(node.reader != NULL, "not read: %s", why);
    node.dwfl = dwfl_begin(&dwfl_callbacks);
    ck_assert_ptr_nonnull(node.dwfl);
    ck_assert_int_eq(dwfl_linux_proc_report(node.dwfl, node.pid), 0);
    ck_assert_int_eq(dwfl_report_end(node.dwfl, NULL, NULL), 0);
    ck_assert_int_eq(dwfl_linux_proc_attach(node.dwfl, node.pid, true), 0);
    return node;
}

static inline void node_kill(struct node_process *node)
{
    kill(node->pid, SIGKILL);
    waitpid(node->pid, NULL, 0);
}

static inline void node_stop(struct node_process *node)
{
    node_kill(node);
    javascript_close(node->reader);
    dwfl_end(node->dwfl);
    close(node->out);
}

static inline int node_take_frame(Dwfl_Frame *state, void *arg)
{
    struct capture *capture = arg;
    Dwarf_Addr pc;
    Dwarf_Word sp = 0, fp = 0;
    bool is_activation;
    if (capture->native_count == NATIVE_FRAMES_MAX || !dwfl_frame_pc(state, &pc, &is_activation))
        return DWARF_CB_ABORT;
    if (dwfl_frame_reg(state, 7, &sp) != 0) sp = 0;
    if (dwfl_frame_reg(state, 6, &fp) != 0) fp = 0;
    capture->native[capture->native_count++] =
        (struct native_frame){.pc = pc, .sp = sp, .fp = fp, .is_exact = is_activation};
    return DWARF_CB_OK;
}

static inline void node_unwind(struct node_process *node, pid_t tid, struct capture *capture)
{
    capture->native_count = 0;
    dwfl_getthread_frames(node->dwfl, tid, node_take_frame, capture);
    while (capture->native_count > 0 && capture->native_count < NATIVE_FRAMES_MAX) {
        struct native_frame last = capture->native[capture->native_count - 1];
        uint64_t words[2];
        struct iovec local = {words, sizeof words};
        struct iovec remote = {(void *)(uintptr_t)last.fp, sizeof words};
        if (last.fp == 0 || process_vm_readv(node->pid, &local, 1, &remote, 1, 0) != sizeof words ||
            words[0] <= last.fp)
            break;
        capture->native[capture->native_count++] =
            (struct native_frame){.pc = words[1], .sp = last.fp + 16, .fp = words[0]};
    }
}

/* Stops a thread, takes its frames, lets it go. Gives the microseconds that JavaScript's took. */
static inline int64_t node_look(struct node_process *node, pid_t tid, struct capture *capture)
{
    int status;
    ck_assert_int_eq(ptrace(PTRACE_SEIZE, tid, NULL, NULL), 0);
    ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(tid, &status, __WALL), tid);
    ck_assert(WIFSTOPPED(status));
    node_unwind(node, tid, capture);
    int64_t began = now_us();
    javascript_capture(node->reader, tid, capture);
    int64_t took = now_us() - began;
    ck_assert_int_eq(ptrace(PTRACE_DETACH, tid, NULL, NULL), 0);
    return took;
}

enum { LOOKS = 12, LOOKS_MAX = 1000 };

/* A function of the stack, and a text of the script that is only in the line where it must be. */
struct expected { const char *function, *mark; };

/* A line of the script by what stands in it; 0: in none. */
static inline int line_of(const char *text, const char *mark)
{
    const char *at = strstr(text, mark);
    if (at == NULL) return 0;
    int line = 1;
    for (const char *c = text; c < at; c++) line += *c == '\n';
    return line;
}

/* Compares a look with what is expected, innermost first; nothing of the script may be in between.
 * */
static inline bool is_as_expected(struct node_process *node, const struct capture *capture,
                           const struct expected *expected, char *told, size_t room)
{
    size_t at = 0;
    bool is_right = true;
    told[0] = '\0';
    for (int i = 0; i < capture->javascript_count && expected->function != NULL; i++) {
        struct frame frame;
        javascript_resolve(node->reader, &capture->javascript[i], &frame);
        ck_assert_int_eq(frame.kind, FRAME_JAVASCRIPT);
        if (frame.is_runtime) continue;
        if (at < room)
            at += (size_t)snprintf(told + at, room - at, "%s (%s:%d) ", frame.function, frame.file,
                                   frame.line);
        if (strcmp(expected->function, frame.function) != 0 ||
            strcmp(frame.file, node->script) != 0 ||
            frame.line != line_of(node->text, expected->mark))
            is_right = false;
        expected++;
    }
    return is_right && expected->function == NULL;
}

/* Tells whether the innermost function of the script is one: the script is there, not before it. */
static inline bool is_inside(struct node_process *node, const struct capture *capture,
                             const char *name)
{
    for (int i = 0; i < capture->javascript_count; i++) {
        struct frame frame;
        javascript_resolve(node->reader, &capture->javascript[i], &frame);
        if (!frame.is_runtime) return strcmp(frame.function, name) == 0;
    }
    return false;
}

static inline int compare_times(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* Looks until the thread was seen where it is to be often enough; each such look must be right. */
static inline void check_frames(struct node_process *node, pid_t tid,
                                const struct expected *expected)
{
    static struct capture capture;
    char told[2048];
    int64_t times[LOOKS];
    int seen = 0, frames = 0;
    for (int i = 0; i < LOOKS_MAX && seen < LOOKS; i++) {
        usleep(3000 + (useconds_t)(i * 997 % 5000));
        int64_t took = node_look(node, tid, &capture);
        bool is_right = is_as_expected(node, &capture, expected, told, sizeof told);
        if (!is_inside(node, &capture, expected->function)) continue;
        times[seen++] = took;
        frames = capture.javascript_count;
        ck_assert_msg(is_right, "look %d of %s: saw %s", i, node->script, told);
    }
    ck_assert_msg(seen == LOOKS, "%s: seen inside %d times; last %s", node->script, seen, told);
    qsort(times, LOOKS, sizeof *times, compare_times);
    printf("# %s: %d frames, a median of %d us, at most %d\n", node->script, frames,
           (int)times[LOOKS / 2], (int)times[LOOKS - 1]);
}

static inline void check_script(const char *name, const char *text, const char *const *flags,
                         const struct expected *expected)
{
    struct node_process node = node_start(name, text, flags);
    check_frames(&node, node.pid, expected);
    node_stop(&node);
}

static inline void folder_remove(void)
{
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;)
        unlinkat(dirfd(listing), entry->d_name, 0);
    if (listing != NULL) closedir(listing);
    rmdir(folder);
}

/* Runs the tests of a suite; 77 and a reason if there is no node. */
static inline int run_with_node(Suite *suite)
{
    if (system("node -e 0 >/dev/null 2>&1") != 0 || mkdtemp(folder) == NULL) {
        printf("skipped: there is no node here, or no place for scripts\n");
        return 77;
    }
    int code = unit_run(suite);
    folder_remove();
    return code;
}

#endif
