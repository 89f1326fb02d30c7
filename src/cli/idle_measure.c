/* Measures one backend for hark idle: starts a server and its clients, leads them through the
 * levels and writes down what they say.
 *
 * At each level: connect up to it, warm up, talk and time, look at the server's memory, let some of
 * the idle ones talk, and only then trace. Tracing makes each system call many times dearer, so
 * nothing is timed under it. */
#include <string.h>

#include "show/format.h"
#include "idle.h"
#include "idle_system.h"
#include "tool.h"

enum {
    CONNECT_BATCH = 1000,   /* below the backlog of a listening socket, mostly 4,096 */
    CHECKED = 10,           /* idle connections that must answer at each level */
    TRACED_TRIPS = 300,
    ANSWER_SECONDS = 30,
    END_SECONDS = 5,
};

struct run {
    const struct idle_plan *plan;
    struct idle_row *row;
    struct idle_child server, clients;
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
int idle_run(int control, const struct idle_task *task)
{
    idle_pin(task->processor);
    int wrong = task->is_server ? idle_serve(control, task) : idle_talk(control, task);
    return wrong == 0 ? TOOL_OK : TOOL_FAILED;
}

/* Waits for a message of exactly len bytes. Gives 0, or -1 with the error told. */
static int hear(struct run *run, const struct idle_child *child, void *answer, size_t len,
                int64_t patience_ns)
{
    const char *who = child == &run->server ? "the server" : "the clients";
    int ready = idle_child_wait(child, patience_ns);
    if (tool_is_interrupted()) return fail(run, who, "interrupted");
    if (ready == 0) return fail(run, who, "no answer in time");
    if (ready < 0) return fail(run, who, idle_system_error());
    if (idle_receive(child->control, answer, len) == 0) return 0;
    return fail(run, who, "the process has ended");
}

static int tell(struct run *run, const struct idle_child *child, const void *order, size_t len)
{
    if (idle_send(child->control, order, len) == 0) return 0;
    return fail(run, child == &run->server ? "the server" : "the clients", idle_system_error());
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
    if (idle_trace_start(&trace, run->server.id, run->row->untraced) < 0)
        return 0; /* all else can be measured */
    int wrong = tell(run, &run->clients, &order, sizeof order);
    if (wrong == 0 && idle_trace_until(&trace, run->clients.control) < 0)
        wrong = fail(run, "tracing", idle_system_error());
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
    int64_t bytes = idle_child_bytes(&run->server);
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
    run->base_bytes = idle_child_bytes(&run->server);
    for (int i = 0; i < run->plan->level_count; i++) {
        struct idle_cell *cell = &run->row->cells[i];
        if (wrong == 0 && cell->idle + run->plan->active > run->room) {
            note_limit(run, cell);
            continue;
        }
        if (wrong == 0) wrong = measure_level(run, idle, cell);
        idle = cell->idle;
        if (tool_is_interrupted()) return; /* said once, for all that is missing */
        if (wrong && !cell->is_measured) snprintf(cell->note, IDLE_NOTE, "%s", run->error);
    }
    if (wrong) snprintf(run->row->failure, IDLE_NOTE, "%s", run->error);
}

static struct idle_task task_of(const struct run *run)
{
    return (struct idle_task){
        .connections = run->plan->connections, .active = run->plan->active,
        .message_bytes = run->plan->message_bytes, .processor = run->processor,
    };
}

/* Starts the server and hears whether it works. */
static int start_server(struct run *run, uint16_t *port)
{
    struct idle_server_answer answer;
    struct idle_task task = task_of(run);
    task.is_server = true;
    snprintf(task.backend, sizeof task.backend, "%s", run->row->backend);
    if (idle_child_start(&run->server, &task) < 0)
        return fail(run, "no process for the server", idle_system_error());
    int heard = hear(run, &run->server, &answer, sizeof answer, ANSWER_SECONDS * HARK_SECOND);
    if (heard < 0) return -1;
    *port = answer.port;
    run->room = answer.room;
    if (!answer.error[0]) return 0;
    snprintf(run->error, IDLE_NOTE, "%s", answer.error);
    return -1;
}

static int start_clients(struct run *run, uint16_t port)
{
    struct idle_task task = task_of(run);
    task.port = port;
    task.server = run->server.id;
    if (idle_child_start(&run->clients, &task) == 0) return 0;
    return fail(run, "no process for the clients", idle_system_error());
}

void idle_measure(const struct idle_plan *plan, struct idle_row *row)
{
    struct run run = {
        .plan = plan, .row = row, .base_bytes = -1,
        .processor = idle_processor(), /* the scheduler put us where there was room */
    };
    uint16_t port = 0;
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
    (void)idle_child_end(&run.clients, tool_is_interrupted() ? 0 : END_SECONDS);
    int wrong = idle_child_end(&run.server, END_SECONDS);
    bool is_known = row->refused[0] || row->failure[0] || tool_is_interrupted();
    if (wrong && !is_known)
        snprintf(row->failure, IDLE_NOTE, "the server did not end as it should");
}
