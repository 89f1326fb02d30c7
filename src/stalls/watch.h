/* Watches the loops of a process until it ends, the time is over or Ctrl-C is typed, and gives each
 * stall to a report. The heart of `hark stalls`. */
#ifndef STALLS_WATCH_H
#define STALLS_WATCH_H

#include <signal.h>

#include "stalls/report.h"
#include "stalls/stalls.h"

struct watch_options {
    int64_t threshold_ns;         /* a turn that lasts longer is a stall */
    int64_t duration_ns;          /* 0: until the target ends or Ctrl-C is typed */
    bool has_mode;                /* `mode` is wanted and no other; else the best that works */
    enum watch_mode mode;
    pid_t pid;                    /* to attach to; 0: `command` is started */
    char *const *command;         /* ends with NULL */
    const char *shim;             /* libhark-heartbeat.so; NULL: found beside this program */
    volatile sig_atomic_t *stop;  /* becomes not 0: the watch ends; may be NULL */
};

/* Negative results of watch_run(): nothing was watched. Without the sign they are exit codes. */
enum { WATCH_REFUSED = -1, WATCH_CANNOT_RUN = -126, WATCH_NOT_FOUND = -127 };

/* Watches; calls report_stall() for each stall as soon as it is over, or when the watch ends in the
 * middle of it, and fills the facts for report_end(), which the caller calls. Handles SIGINT,
 * SIGTERM and SIGHUP meanwhile: those of a terminal reach a started command by themselves, others
 * are passed on to it, the second one ends the watch. A command that outlives the watch goes on.
 *
 * facts  began_ns and the rest; mode_text says in one sentence what this mode sees and what it
 *        cannot. With loop_count 0 it says instead that there was no loop, and what was seen.
 * Result the exit code to pass on: of a started command its own, 128 and the signal that killed it;
 *        0 if it goes on, and for a pid; negative: nothing was watched and facts->exit_text is the
 *        line that says why ("no process 77", "process 1 belongs to another user",
 *        "cannot start nodde: No such file or directory"). */
int watch_run(const struct watch_options *options, struct report *report,
              struct report_facts *facts);

#endif
