/* The source of pulses where nothing can write heartbeats: looks at /proc/PID/task/TID often.
 *
 *   1. A thread that is seen blocked in epoll or in io_uring_enter is a loop, and that descriptor
 *      is its main one. One in poll or select of several descriptors is one if no thread is in
 *      epoll, the main thread after 2 scans, another after POLL_SCANS.
 *   2. The kernel shows the call of a thread that is blocked, not of one that runs. So a wait that
 *      did not block is invisible, and not to be seen waiting proves nothing by itself.
 *   3. Blocked in the same call with the same count of voluntary switches is proof of one turn. Our
 *      own stops count as switches: after one, procfs_forgive().
 *   4. Anything else is a suspicion, which procfs_confirm() settles by running the thread to its
 *      next wait. A proof holds for some ms: fewer once a thread is held, for then its return
 *      matters, more if it makes many calls, each of which a probe slows down.
 *
 * A turn's beginning is known to half a period only. */
#include "stalls/pulse.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stalls/probe.h"

enum { POLL_SCANS = 8, CANDIDATES = 256, SCAN_PERIODS = 50, EARLY_PERIODS = 1000 };
enum { BUDGET_NS = 3 * 1000 * 1000, PROOF_NS = 5 * 1000 * 1000 };
enum { HELD_PROOF_NS = 1 * 1000 * 1000, BUSY_PROOF_NS = 10 * 1000 * 1000, BUSY_CALLS = 100 };

struct loop {
    pid_t tid;
    int main_fd, call_fd, status_fd;
    bool was_waiting, is_forgiven, has_restarted;
    long call;
    int64_t switches, seen_ns, since_ns, proof_ns;
    int64_t proof_holds_ns;   /* longer if proving costs the thread much */
    uint64_t turn_count;
};

struct candidate { pid_t tid; int scans; };

struct procfs {
    pid_t pid;
    int64_t period_ns;
    int scan_in, early_left, loop_count, candidate_count;
    bool has_epoll;
    struct loop loops[PULSES_MAX];
    struct candidate candidates[CANDIDATES];
};

struct procfs *procfs_open(pid_t pid, int64_t period_ns, char *why, size_t room)
{
    uint64_t arguments[6];
    int fd = thread_open(pid, pid, "syscall");
    long call = fd >= 0 ? thread_call(fd, arguments) : -2;
    int error = errno;
    if (fd >= 0) close(fd);
    if (call == -2) {
        snprintf(why, room, "the calls of process %d may not be looked at: %s", (int)pid,
                 strerror(error));
        return NULL;
    }
    struct procfs *procfs = calloc(1, sizeof *procfs);
    if (procfs == NULL) return NULL;
    procfs->pid = pid;
    procfs->period_ns = period_ns;
    procfs->early_left = EARLY_PERIODS;
    return procfs;
}

static void close_loop(struct procfs *procfs, int index)
{
    close(procfs->loops[index].call_fd);
    close(procfs->loops[index].status_fd);
    procfs->loops[index] = procfs->loops[--procfs->loop_count];
}

void procfs_close(struct procfs *procfs)
{
    if (procfs == NULL) return;
    while (procfs->loop_count > 0) close_loop(procfs, 0);
    free(procfs);
}

static struct loop *find_loop(struct procfs *procfs, pid_t tid)
{
    for (int i = 0; i < procfs->loop_count; i++)
        if (procfs->loops[i].tid == tid) return &procfs->loops[i];
    return NULL;
}

/* Polls of a single descriptor are mostly those of a blocking client. */
static bool polls_many(long call, const uint64_t arguments[6])
{
    return call_is_wait(call) == 2 && arguments[1] > 1;
}

static bool is_enough(struct procfs *procfs, pid_t tid)
{
    for (int i = 0; i < procfs->candidate_count; i++)
        if (procfs->candidates[i].tid == tid)
            return ++procfs->candidates[i].scans >= (tid == procfs->pid ? 2 : POLL_SCANS);
    if (procfs->candidate_count < CANDIDATES)
        procfs->candidates[procfs->candidate_count++] = (struct candidate){ tid, 1 };
    return false;
}

static void add_loop(struct procfs *procfs, pid_t tid, int main_fd, int call_fd)
{
    int status_fd = thread_open(procfs->pid, tid, "status");
    if (status_fd < 0 || procfs->loop_count == PULSES_MAX) {
        if (status_fd >= 0) close(status_fd);
        close(call_fd);
        return;
    }
    int64_t now = clock_read();
    procfs->loops[procfs->loop_count++] = (struct loop){
        .tid = tid, .main_fd = main_fd, .call_fd = call_fd, .status_fd = status_fd,
        .proof_holds_ns = PROOF_NS, .was_waiting = true,
        .seen_ns = now, .since_ns = now, .proof_ns = now,
    };
    if (main_fd >= 0) procfs->has_epoll = true;
}

/* Rule 1. may_poll: this is one of the scans that are counted. */
static void examine(struct procfs *procfs, pid_t tid, bool may_poll)
{
    uint64_t arguments[6];
    int fd = find_loop(procfs, tid) == NULL ? thread_open(procfs->pid, tid, "syscall") : -1;
    if (fd < 0) return;
    long call = thread_call(fd, arguments);
    int wait = call >= 0 ? call_is_wait(call) : 0;
    if (wait == 1)
        add_loop(procfs, tid, (int)arguments[0], fd);
    else if (may_poll && !procfs->has_epoll && polls_many(call, arguments) &&
             is_enough(procfs, tid))
        add_loop(procfs, tid, -1, fd);
    else
        close(fd);
}

static void scan(struct procfs *procfs)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)procfs->pid);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        int tid = atoi(entry->d_name);
        if (tid > 0) examine(procfs, tid, true);
    }
    if (folder != NULL) closedir(folder);
    for (int i = procfs->loop_count - 1; i >= 0; i--)
        if (procfs->has_epoll && procfs->loops[i].main_fd < 0) close_loop(procfs, i);
}

static bool is_main_wait(const struct loop *loop, long call, const uint64_t arguments[6])
{
    if (call < 0) return false;
    return loop->main_fd < 0 ? polls_many(call, arguments)
                             : call_is_wait(call) == 1 && (int)arguments[0] == loop->main_fd;
}

static void note_wait(struct loop *loop, int64_t now)
{
    if (!loop->was_waiting) loop->since_ns = now - (now - loop->seen_ns) / 2;
    loop->was_waiting = true;
    loop->proof_holds_ns = PROOF_NS;
    loop->seen_ns = loop->proof_ns = now;
}

/* Looks at one loop; -1: it is gone. */
static int look(struct procfs *procfs, struct loop *loop, int64_t now)
{
    uint64_t arguments[6];
    long call = thread_call(loop->call_fd, arguments);
    if (call == -2) return -1;
    bool waits_elsewhere = call >= 0 && call_is_wait(call) == 1 && loop->main_fd >= 0 &&
                           (int)arguments[0] != loop->main_fd;
    if (waits_elsewhere && !thread_has_loop(procfs->pid, loop->main_fd))
        loop->main_fd = (int)arguments[0];
    /* A poll that our probe cut short goes on as restart_syscall. */
    loop->has_restarted = loop->has_restarted && call == SYS_restart_syscall;
    bool is_waiting = loop->has_restarted || is_main_wait(loop, call, arguments);
    int64_t switches = call >= 0 && !is_waiting ? thread_switches(loop->status_fd) : -1;
    if (is_waiting) {
        note_wait(loop, now);
    } else {
        if (loop->was_waiting) {
            /* A period that was slept through is no measure: the thread may have waited in it. */
            int64_t gap = now - loop->seen_ns;
            loop->since_ns = now - (gap < procfs->period_ns ? gap : procfs->period_ns) / 2;
            loop->proof_ns = loop->since_ns;
            loop->turn_count++;
        }
        loop->was_waiting = false;
        bool is_same_call = call >= 0 && call == loop->call &&
                            (switches == loop->switches || loop->is_forgiven);
        if (is_same_call) loop->proof_ns = now;
        loop->seen_ns = now;
    }
    loop->is_forgiven = false;
    loop->call = call;
    loop->switches = switches;
    return 0;
}

int procfs_read(struct procfs *procfs, int64_t now, struct pulse *out, int room)
{
    if (procfs->scan_in-- <= 0) {
        scan(procfs);
        procfs->scan_in = SCAN_PERIODS;
    } else if (procfs->loop_count == 0 || procfs->early_left > 0) {
        examine(procfs, procfs->pid, false); /* most loops are there; the first turns count */
        procfs->early_left -= procfs->early_left > 0;
    }
    int count = 0;
    for (int i = procfs->loop_count - 1; i >= 0; i--) {
        struct loop *loop = &procfs->loops[i];
        if (look(procfs, loop, now) != 0) {
            close_loop(procfs, i);
            continue;
        }
        if (count == room) continue;
        out[count++] = (struct pulse){
            .tid = loop->tid, .main_fd = loop->main_fd, .is_waiting = loop->was_waiting,
            .since_ns = loop->since_ns, .turn_count = loop->turn_count,
            .is_suspicion = !loop->was_waiting && now - loop->proof_ns >= loop->proof_holds_ns,
        };
    }
    return count;
}

enum proof procfs_confirm(struct procfs *procfs, pid_t tid, int64_t *waits_since_ns)
{
    struct loop *loop = find_loop(procfs, tid);
    uint64_t arguments[6];
    if (loop == NULL || thread_call(loop->call_fd, arguments) != -1) return PROOF_NONE;
    struct probe probe = { .pid = procfs->pid, .tid = tid, .main_fd = loop->main_fd,
                           .budget_ns = BUDGET_NS };
    enum proof proof = probe_turn(&probe);
    loop->is_forgiven = true;
    loop->proof_holds_ns = probe.call_count > BUSY_CALLS ? BUSY_PROOF_NS : HELD_PROOF_NS;
    if (proof != PROOF_NONE) loop->proof_ns = loop->seen_ns = probe.ended_ns;
    if (proof != PROOF_WAITED) return proof;
    loop->has_restarted = true;
    note_wait(loop, probe.ended_ns);
    *waits_since_ns = loop->since_ns;
    return PROOF_WAITED;
}

void procfs_forgive(struct procfs *procfs, pid_t tid)
{
    struct loop *loop = find_loop(procfs, tid);
    if (loop != NULL) loop->is_forgiven = true;
}

long procfs_call(pid_t pid)
{
    uint64_t arguments[6];
    int fd = thread_open(pid, pid, "syscall");
    if (fd < 0) return -2;
    long call = thread_call(fd, arguments);
    close(fd);
    return call;
}
