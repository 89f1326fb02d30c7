/* Measures one backend for hark idle: forks a server and its clients, leads them through the levels
 * and writes down what they say.
 *
 * At each level: connect up to it, warm up, talk and time, look at the server's memory, let some of
 * the idle ones talk, and only then trace. Tracing makes each system call many times dearer, so
 * nothing is timed under it. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format.h"
#include "idle.h"
#include "tool.h"

enum {
    CONNECT_BATCH = 1000,   /* below the backlog of a listening socket, mostly 4,096 */
    CHECKED = 10,           /* idle connections that must answer at each level */
    TRACED_TRIPS = 300,
    ANSWER_SECONDS = 30,
    END_SECONDS = 5,
    CONTROL = 3,            /* the control socket in a child */
};

struct child {
    pid_t pid;
    int control;
};

struct run {
    const struct idle_plan *plan;
    struct idle_row *row;
    struct child server, clients;
    int64_t room;           /* connections that the server can hold */
    int64_t base_bytes;     /* its memory without idle ones; < 0: not known */
    int processor;          /* that both children run on */
    char error[IDLE_NOTE];  /* what went wrong first */
};

static int fail(struct run *run, const char *what, const char *why)
{
    if (!run->error[0]) snprintf(run->error, IDLE_NOTE, "%s: %s", what, why);
    return -1;
}

/* Server and clients never work at the same time, so one processor is enough for both. On two,
 * waking the other one costs more than the round trip itself, or not, as the scheduler likes:
 * figures would differ by a factor of four from run to run. */
static void pin(int processor)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    if (processor >= 0 && processor < CPU_SETSIZE) CPU_SET((size_t)processor, &one);
    (void)sched_setaffinity(0, sizeof one, &one); /* refused: noisier, and still right */
}

/* Leaves a child with its standard descriptors and the control socket, and nothing else: a copy of
 * the coordinator's end would keep the other child from seeing it close. */
static void settle_child(pid_t parent, int control)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* not refused for a valid signal */
    if (getppid() != parent) _exit(1);
    /* Ctrl-C reaches the whole group; the coordinator decides what it ends. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    if (control != CONTROL && dup2(control, CONTROL) < 0) _exit(1);
    if (close_range(CONTROL + 1, ~0U, 0) < 0)
        for (int fd = CONTROL + 1; fd < 1024; fd++) close(fd); /* before Linux 5.9 */
}

/* Forks. Gives 1 in the child, 0 in the coordinator, -1 with errno if there is no child. */
static int start_child(struct child *child)
{
    int ends[2];
    *child = (struct child){ .pid = -1, .control = -1 };
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return -1;
    pid_t parent = getpid();
    fflush(NULL); /* or both would write what is buffered */
    child->pid = fork();
    if (child->pid == 0) {
        settle_child(parent, ends[1]);
        return 1;
    }
    int why = errno;
    close(ends[1]);
    child->control = ends[0];
    if (child->pid > 0) return 0;
    close(ends[0]);
    child->control = -1;
    errno = why;
    return -1;
}

/* Waits for a message of exactly len bytes. Gives 0, or -1 with the error told. */
static int hear(struct run *run, const struct child *child, void *answer, size_t len,
                int64_t patience_ns)
{
    struct pollfd fds[2] = {
        { .fd = child->control, .events = POLLIN },
        { .fd = tool_interrupt_descriptor(), .events = POLLIN },
    };
    const char *who = child == &run->server ? "the server" : "the clients";
    int ready = poll(fds, 2, (int)(patience_ns / HARK_MILLISECOND));
    if (tool_is_interrupted()) return fail(run, who, "interrupted");
    if (ready == 0) return fail(run, who, "no answer in time");
    if (ready < 0) return fail(run, who, strerror(errno));
    if (recv(child->control, answer, len, 0) == (ssize_t)len) return 0;
    return fail(run, who, "the process has ended");
}

static int tell(struct run *run, const struct child *child, const void *order, size_t len)
{
    if (send(child->control, order, len, MSG_NOSIGNAL) == (ssize_t)len) return 0;
    return fail(run, child == &run->server ? "the server" : "the clients", strerror(errno));
}

static int hear_clients(struct run *run, int64_t patience_ns, struct idle_client_answer *answer)
{
    if (hear(run, &run->clients, answer, sizeof *answer, patience_ns) < 0) return -1;
    if (!answer->error[0]) return 0;
    snprintf(run->error, IDLE_NOTE, "%s", answer->error);
    return -1;
}

/* Lets the clients do a piece of work. */
static int ask_clients(struct run *run, enum idle_client_work work, int64_t amount,
                       struct idle_client_answer *answer)
{
    struct idle_client_order order = { work, amount };
    int64_t patience_ns = ANSWER_SECONDS * HARK_SECOND + (work == IDLE_TALK ? amount : 0);
    if (tell(run, &run->clients, &order, sizeof order) < 0) return -1;
    return hear_clients(run, patience_ns, answer);
}

/* Waits until the server has so many connections, idle or not. */
static int await_open(struct run *run, int64_t count)
{
    struct idle_server_order order = { .open_count = count };
    struct idle_server_answer answer;
    if (tell(run, &run->server, &order, sizeof order) < 0) return -1;
    return hear(run, &run->server, &answer, sizeof answer, ANSWER_SECONDS * HARK_SECOND);
}

/* The memory of a process that is really there; -1 if the kernel does not tell. statm would be
 * cheaper, but counts only in steps of some dozen pages for each processor. */
static int64_t resident_bytes(pid_t pid)
{
    char path[64], line[256];
    long long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *rollup = fopen(path, "re");
    if (!rollup) return -1;
    while (kib < 0 && fgets(line, sizeof line, rollup))
        if (sscanf(line, "Rss: %lld kB", &kib) != 1) kib = -1;
    fclose(rollup);
    return kib < 0 ? -1 : (int64_t)kib * 1024;
}

static void note_progress(const struct run *run, const struct idle_cell *cell, const char *doing)
{
    char idle[32];
    tool_progress("%s, %s idle connections: %s", run->row->backend,
                  format_count(cell->idle, idle, sizeof idle), doing);
}

static int connect_idle(struct run *run, int64_t from, const struct idle_cell *cell)
{
    struct idle_client_answer answer;
    for (int64_t count = from; count < cell->idle;) {
        count = cell->idle - count > CONNECT_BATCH ? count + CONNECT_BATCH : cell->idle;
        note_progress(run, cell, "connecting");
        if (ask_clients(run, IDLE_CONNECT, count, &answer) < 0) return -1;
        if (await_open(run, count + run->plan->active) < 0) return -1;
    }
    return 0;
}

/* Lets the clients do round trips while the server is traced. */
static int trace_trips(struct run *run, struct idle_cell *cell)
{
    struct idle_client_order order = { IDLE_ROUND_TRIPS, TRACED_TRIPS };
    struct idle_client_answer answer;
    struct idle_trace trace;
    if (idle_trace_start(&trace, run->server.pid) < 0) {
        snprintf(run->row->untraced, IDLE_NOTE, "ptrace(2) is refused: %s", strerror(errno));
        return 0; /* all else can be measured */
    }
    int wrong = tell(run, &run->clients, &order, sizeof order);
    if (wrong == 0 && idle_trace_until(&trace, run->clients.control) < 0)
        wrong = fail(run, "tracing", strerror(errno));
    idle_trace_stop(&trace);
    if (wrong == 0) wrong = hear_clients(run, ANSWER_SECONDS * HARK_SECOND, &answer);
    if (wrong == 0) cell->calls = (double)trace.entered / TRACED_TRIPS;
    return wrong;
}

static int measure_level(struct run *run, int64_t from, struct idle_cell *cell)
{
    const struct idle_plan *plan = run->plan;
    struct idle_client_answer answer;
    if (connect_idle(run, from, cell) < 0) return -1;
    note_progress(run, cell, "timing");
    if (ask_clients(run, IDLE_TALK, plan->duration_ns / 5, &answer) < 0) return -1;
    if (ask_clients(run, IDLE_TALK, plan->duration_ns, &answer) < 0) return -1;
    int64_t bytes = resident_bytes(run->server.pid);
    struct idle_client_answer checked;
    if (ask_clients(run, IDLE_CHECK, CHECKED, &checked) < 0) return -1;
    if (bytes >= 0 && run->base_bytes >= 0)
        cell->memory_bytes = (double)(bytes - run->base_bytes) / (double)cell->idle;
    cell->round_trips = answer.round_trips;
    cell->processor_us = answer.processor_us;
    cell->p50_us = answer.p50_us;
    cell->p99_us = answer.p99_us;
    cell->is_measured = true;
    note_progress(run, cell, "counting system calls");
    return run->row->untraced[0] ? 0 : trace_trips(run, cell);
}

/* Says why a level is out of reach. */
static void note_limit(const struct run *run, struct idle_cell *cell)
{
    bool is_select = strcmp(run->row->backend, "select") == 0;
    char room[48];
    snprintf(cell->note, IDLE_NOTE, "%s leaves room for %s",
             is_select ? "select(2), which takes descriptors below 1,024 only,"
                       : "the limit of open descriptors",
             format_things(run->room - run->plan->active, "idle connection", room, sizeof room));
}

static void measure_levels(struct run *run)
{
    struct idle_client_answer answer;
    int64_t idle = 0;
    int wrong = ask_clients(run, IDLE_CONNECT_ACTIVE, run->plan->active, &answer);
    if (wrong == 0) wrong = await_open(run, run->plan->active);
    run->base_bytes = resident_bytes(run->server.pid);
    for (int i = 0; i < run->plan->level_count; i++) {
        struct idle_cell *cell = &run->row->cells[i];
        if (wrong == 0 && cell->idle + run->plan->active > run->room) {
            note_limit(run, cell);
            continue;
        }
        if (wrong == 0) wrong = measure_level(run, idle, cell);
        idle = cell->idle;
        if (wrong && !cell->is_measured) snprintf(cell->note, IDLE_NOTE, "%s", run->error);
    }
    if (wrong && !tool_is_interrupted()) snprintf(run->row->failure, IDLE_NOTE, "%s", run->error);
}

/* Starts the server and hears whether it works. */
static int start_server(struct run *run, in_port_t *port)
{
    struct idle_server_answer answer;
    int forked = start_child(&run->server);
    if (forked == 1) {
        pin(run->processor);
        exit(idle_serve(CONTROL, run->plan, run->row->backend) == 0 ? 0 : 1);
    }
    if (forked < 0) return fail(run, "no process for the server", strerror(errno));
    int heard = hear(run, &run->server, &answer, sizeof answer, ANSWER_SECONDS * HARK_SECOND);
    if (heard < 0) return -1;
    *port = answer.port;
    run->room = answer.room;
    if (!answer.error[0]) return 0;
    snprintf(run->error, IDLE_NOTE, "%s", answer.error);
    return -1;
}

static int start_clients(struct run *run, in_port_t port)
{
    struct idle_client_setup setup = { run->plan, port, run->server.pid };
    int forked = start_child(&run->clients);
    if (forked == 1) {
        pin(run->processor);
        exit(idle_talk(CONTROL, &setup) == 0 ? 0 : 1);
    }
    return forked < 0 ? fail(run, "no process for the clients", strerror(errno)) : 0;
}

/* Ends a child by ending its control stream; by force if that takes too long. Gives -1 if it had to
 * be forced or said that it failed. */
static int end_child(struct child *child, int patience_seconds)
{
    if (child->pid <= 0) return 0;
    int process = (int)syscall(SYS_pidfd_open, child->pid, 0);
    shutdown(child->control, SHUT_WR);
    struct pollfd ended = { .fd = process, .events = POLLIN };
    bool is_late = process < 0 || poll(&ended, 1, patience_seconds * 1000) <= 0;
    if (is_late) kill(child->pid, SIGKILL);
    int status = 0;
    pid_t found;
    do found = waitpid(child->pid, &status, 0);
    while (found < 0 && errno == EINTR);
    if (process >= 0) close(process);
    close(child->control);
    bool is_well = found == child->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return is_well && !is_late ? 0 : -1;
}

void idle_measure(const struct idle_plan *plan, struct idle_row *row)
{
    struct run run = {
        .plan = plan, .row = row, .base_bytes = -1,
        .processor = sched_getcpu(), /* the scheduler put us where there was room */
        .server = { -1, -1 }, .clients = { -1, -1 },
    };
    in_port_t port = 0;
    for (int i = 0; i < plan->level_count; i++)
        row->cells[i] = (struct idle_cell){
            .idle = plan->levels[i], .calls = -1, .memory_bytes = -1,
        };
    tool_progress("%s: starting", row->backend);
    if (start_server(&run, &port) < 0 || start_clients(&run, port) < 0)
        snprintf(row->refused, IDLE_NOTE, "%s", run.error);
    else
        measure_levels(&run);
    /* Interrupted clients may be in the midst of a long talk, and have nothing to tidy up. */
    (void)end_child(&run.clients, tool_is_interrupted() ? 0 : END_SECONDS);
    int wrong = end_child(&run.server, END_SECONDS);
    bool is_known = row->refused[0] || row->failure[0] || tool_is_interrupted();
    if (wrong && !is_known)
        snprintf(row->failure, IDLE_NOTE, "the server did not end as it should");
}
