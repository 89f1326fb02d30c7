/* hark idle: what its parts say to each other.
 *
 *   coordinator (idle.c, idle_measure.c) --starts--> server, traced for its calls (idle_server.c)
 *        \-------------------------------starts--> clients, in their own process (idle_client.c)
 *
 * A process has too few descriptors for both ends of 10,000 connections, and processor time is
 * counted by process. Each backend gets fresh processes, so that figures do not mix. Neither child
 * outlives the coordinator. What the system has to do for that is told in idle_system.h. */
#ifndef CLI_IDLE_H
#define CLI_IDLE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "show/machine.h"

enum { IDLE_LEVELS = 8, IDLE_BACKENDS = 8, IDLE_NOTE = 200, IDLE_ACTIVE_MAX = 64 };

struct idle_plan {
    int64_t connections, active, message_bytes;
    int64_t duration_ns;      /* measured at each level, after a warm-up of a fifth of it */
    const char *backends;     /* NULL: each in turn */
    const char *picture;      /* NULL: none is wanted */
    bool as_json, is_quiet;
    int level_count;
    int64_t levels[IDLE_LEVELS]; /* numbers of idle connections, rising */
};

struct idle_cell {
    int64_t idle;
    bool is_measured;
    int64_t round_trips;
    double processor_us;      /* of the server, for a round trip */
    double calls;             /* system calls of the server, for a round trip; < 0: not counted */
    double p50_us, p99_us;    /* round trip as the client sees it */
    double memory_bytes;      /* resident, of the server, for each idle connection; < 0: unknown */
    char note[IDLE_NOTE];     /* why something is missing */
};

struct idle_row {
    char backend[32];
    char refused[IDLE_NOTE];  /* why this backend could not be measured; or empty */
    char untraced[IDLE_NOTE]; /* why system calls were not counted; or empty */
    char failure[IDLE_NOTE];  /* what went wrong that is no known limit; or empty */
    struct idle_cell cells[IDLE_LEVELS];
};

struct idle_report {
    const struct idle_plan *plan;
    struct machine machine;
    int row_count;
    struct idle_row rows[IDLE_BACKENDS];
    bool is_interrupted;
    bool has_picture;
    int64_t step_ns;          /* by which processor time advances; 0: too little to matter */
    char scaled[IDLE_NOTE];   /* why there are fewer connections than asked for; or empty */
};

/* Orders to the server: answer when at least this many connections are open. The end of the stream
 * ends it. */
struct idle_server_order {
    int64_t open_count;
};

struct idle_server_answer {
    int64_t open_count;
    uint16_t port;           /* network order; only in the first answer, after opening */
    int64_t room;             /* connections it has descriptors for; likewise */
    char error[IDLE_NOTE];    /* why there is no server; then the process ends */
};

enum idle_client_work {
    IDLE_CONNECT_ACTIVE,      /* connect those that talk, and warm up */
    IDLE_CONNECT,             /* have amount idle connections */
    IDLE_TALK,                /* talk for amount nanoseconds and measure */
    IDLE_ROUND_TRIPS,         /* do amount round trips */
    IDLE_CHECK,               /* let amount of the idle ones talk once, to see that they are held */
};

struct idle_client_order {
    enum idle_client_work work;
    int64_t amount;
};

struct idle_client_answer {
    int64_t round_trips;
    double processor_us, p50_us, p99_us;
    char error[IDLE_NOTE];    /* empty if all went well */
};

/* What a child is to do; it goes to another process as it is. */
struct idle_task {
    bool is_server;           /* else it is the clients */
    char backend[32];         /* of the server */
    uint16_t port;           /* that the clients connect to, network order */
    int64_t server;           /* the process whose time they read */
    int64_t connections, active, message_bytes;
    int processor;            /* to run on */
};

/* Does it, on a socket to the coordinator, until that is closed. Gives an exit code. */
int idle_run(int control, const struct idle_task *task);

int idle_serve(int control, const struct idle_task *task);
int idle_talk(int control, const struct idle_task *task);

/* Counts the system calls that a child enters while other processes make it work. */
struct idle_trace {
    pid_t pid;
    int signals;              /* a signalfd of SIGCHLD, or -1 */
    sigset_t blocked_before;
    int64_t entered;
    bool is_entry;            /* the next stop at a system call is an entry */
};

/* Begins to trace a child. Gives 0, or -1 with why not. */
int idle_trace_start(struct idle_trace *trace, int64_t process, char why[IDLE_NOTE]);

/* Lets the child run and counts until `done` can be read. Gives 0, or -1; EINTR means Ctrl-C. */
int idle_trace_until(struct idle_trace *trace, int done);

/* Lets the child go. Needed after each successful start. */
void idle_trace_stop(struct idle_trace *trace);

/* Measures one backend in processes of its own and fills in the rest of its row, as far as it gets
 * before Ctrl-C. */
void idle_measure(const struct idle_plan *plan, struct idle_row *row);

void idle_report_text(const struct idle_report *report);
void idle_report_json(const struct idle_report *report);

/* Writes the picture. Gives 0, or -1 with errno. */
int idle_report_picture(const struct idle_report *report);

/* Tells whether anything was measured. */
bool idle_report_has_figures(const struct idle_report *report);

/* Says in a line what the figures mean, from the figures. Gives text back. */
char *idle_verdict(const struct idle_report *report, char *text, size_t room);

/* The first and the last level of a row that was measured; NULL if none was. */
const struct idle_cell *idle_first(const struct idle_report *report, const struct idle_row *row);
const struct idle_cell *idle_last(const struct idle_report *report, const struct idle_row *row);

#endif
