/* One look at a thread, with as little said to it as possible:
 *
 *   asleep in a call ---> its stack is read as it is; whole? --- yes ---> done, never stopped
 *                                                        \--- no, and the call hides a stop --\
 *   running ----------------------------------------------------------------- stopped, read, let go
 *
 * A stack that was read without a stop counts only if the thread is still at the same place
 * after. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "stalls/capture.h"
#include "stalls/stop.h"
#include "stalls/task.h"

/* The process that traces it already, 0: none. */
static long tracer_of(pid_t pid)
{
    char text[2048];
    if (task_read(pid, pid, "status", text, sizeof text) <= 0) return 0;
    const char *line = strstr(text, "TracerPid:");
    return line != NULL ? strtol(line + strlen("TracerPid:"), NULL, 10) : 0;
}

static bool is_open_to_us(pid_t pid, char *why, size_t room)
{
    char path[64];
    struct stat owner;
    struct task_call call;
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    if (pid <= 0 || stat(path, &owner) != 0 || task_state(pid, pid) == 'Z') {
        snprintf(why, room, "there is no process %d", (int)pid);
        return false;
    }
    if (tracer_of(pid) != 0) {
        snprintf(why, room, "process %d is already traced, by process %ld", (int)pid,
                 tracer_of(pid));
        return false;
    }
    if (task_call(pid, pid, &call)) return true;
    if (owner.st_uid != geteuid() && geteuid() != 0)
        snprintf(why, room, "process %d belongs to another user (%u)", (int)pid, owner.st_uid);
    else
        snprintf(why, room, "process %d may not be looked into: %s (kernel.yama.ptrace_scope, "
                 "a container's rules)", (int)pid, strerror(errno));
    return false;
}

int target_open(struct target *target, pid_t pid, char *why, size_t room)
{
    *target = (struct target){ .pid = pid };
    if (!is_open_to_us(pid, why, room)) return -1;
    target->native = native_open(pid, why, room);
    if (target->native == NULL) return -1;
    target_find_runtimes(target, why, room);
    return 0;
}

/* A runtime that cannot be read leaves the native frames. */
void target_find_runtimes(struct target *target, char *why, size_t room)
{
    char other[256] = "";
    target->python = python_open(target->pid, why, room);
    target->javascript = javascript_open(target->pid, other, sizeof other);
    if (why[0] == '\0') snprintf(why, room, "%s", other);
}

void target_close(struct target *target)
{
    if (target->javascript != NULL) javascript_close(target->javascript);
    if (target->python != NULL) python_close(target->python);
    native_close(target->native);
    *target = (struct target){ .pid = 0 };
}

/* A look that is under way. */
struct look {
    struct target *target;
    pid_t tid;
    bool (*is_still_held)(void *);
    void *arg;
    struct capture *out;
    bool is_held;
};

/* traced: the thread, if it stands; else 0. */
static void read_scripts(const struct look *look, pid_t traced)
{
    struct capture *out = look->out;
    const struct target *target = look->target;
    if (target->javascript != NULL)
        out->javascript_count = javascript_capture(target->javascript, traced, out);
    if (target->python != NULL)
        out->python_count = python_capture(target->python, look->tid, out->python,
                                           SCRIPT_FRAMES_MAX);
}

static void keep_call(struct capture *out, long call, const uint64_t arguments[6])
{
    out->call = call;
    memcpy(out->arguments, arguments, sizeof out->arguments);
}

static void look_at_stopped(const struct stop_call *call, void *arg)
{
    struct look *look = arg;
    struct capture *out = look->out;
    look->is_held = look->is_still_held == NULL || look->is_still_held(look->arg);
    if (!look->is_held) return;
    out->native_count = native_unwind(look->target->native, look->tid, out->native,
                                      NATIVE_FRAMES_MAX);
    read_scripts(look, look->tid);
    if (!call->is_known) return;
    keep_call(out, call->call, call->arguments);
    out->is_running = call->call < 0 || !call->is_interrupted;
}

static bool is_same(const struct task_call *a, const struct task_call *b)
{
    return !a->is_running && !b->is_running && a->call == b->call && a->sp == b->sp &&
           a->pc == b->pc && memcmp(a->arguments, b->arguments, sizeof a->arguments) == 0;
}

/* The stack of a thread that sleeps. false: it woke meanwhile, and nothing was seen. */
static bool look_at_sleeping(struct look *look, const struct task_call *before)
{
    struct capture *out = look->out;
    struct task_call after;
    out->native_count = native_unwind_asleep(look->target->native, before, out->native,
                                             NATIVE_FRAMES_MAX);
    read_scripts(look, 0);
    if (task_call(look->target->pid, look->tid, &after) && is_same(before, &after)) return true;
    out->native_count = out->python_count = out->javascript_count = 0;
    return false;
}

static bool may_stop(const struct look *look, const struct task_call *call)
{
    pid_t pid = look->target->pid;
    if (call->is_running) return true;
    if (task_state(pid, look->tid) == 'D') return false; /* it would stop only later */
    return call->call >= 0 && stop_is_hidden(pid, call->call, call->arguments);
}

static void read_place(const struct look *look, const struct task_call *call)
{
    struct capture *out = look->out;
    out->is_running = call->is_running;
    keep_call(out, call->call, call->arguments);
    char *name = out->waits_in;
    ssize_t got = task_read(look->target->pid, look->tid, "wchan", name, sizeof out->waits_in);
    if (got <= 0 || strcmp(name, "0") == 0) name[0] = '\0';
    if (call->call >= 0)
        out->call_text = describe_call(look->target->pid, look->tid, call->call, call->arguments);
}

/* 0; -1: the thread is gone or no longer held. */
static int look_at(struct look *look)
{
    struct capture *out = look->out;
    pid_t pid = look->target->pid;
    struct task_call call;
    if (!task_call(pid, look->tid, &call)) return -1;
    read_place(look, &call);
    bool is_seen = !call.is_running && look_at_sleeping(look, &call);
    if (is_seen && (native_is_whole(look->target->native) || !may_stop(look, &call))) {
        look->is_held = look->is_still_held == NULL || look->is_still_held(look->arg);
        return look->is_held ? 0 : -1;
    }
    if (!is_seen && !task_call(pid, look->tid, &call)) return -1;
    if (!may_stop(look, &call)) return -1; /* it woke and sleeps again: back in its loop, or soon */
    if (look->is_still_held != NULL && !look->is_still_held(look->arg)) return -1;
    int failed = stop_and_look(look->tid, look_at_stopped, look, &out->stopped_ns);
    if (failed != 0 && is_seen) return 0; /* not ours to stop: what was seen asleep stands */
    if (failed != 0 || !look->is_held) return -1;
    out->call_text = describe_call(pid, look->tid, out->call, out->arguments);
    return 0;
}

static void clear(struct capture *out)
{
    out->at_ns = clock_read();
    out->stopped_ns = 0;
    out->call = -1;
    out->call_text = NULL;
    out->native_count = out->python_count = out->javascript_count = 0;
}

int capture_take(struct target *target, pid_t tid, bool (*is_still_held)(void *), void *arg,
                 struct capture *out)
{
    struct look look = { .target = target, .tid = tid, .is_still_held = is_still_held, .arg = arg,
                         .out = out };
    clear(out);
    if (look_at(&look) != 0) return -1;
    if (native_is_whole(target->native) || !native_refresh(target->native)) return 0;
    clear(out); /* the walk ended in a module that had come since */
    return look_at(&look);
}
