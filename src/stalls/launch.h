/* The process that is watched: started here, or there already. */
#ifndef STALLS_LAUNCH_H
#define STALLS_LAUNCH_H

#include <signal.h>

#include "stalls/pulse.h"

struct launch {
    pid_t pid;
    int pidfd;            /* readable once it has ended */
    bool is_child, has_ended;
    int status;           /* as waitpid() gives it, of a child that has ended */
    struct sigaction on_child;  /* what we did before on the end of a child */
};

struct preload {
    struct beat *page;    /* NULL: nothing is preloaded */
    const char *page_path, *shim;
};

/* Starts a command with the signal mask `mask`. 0; WATCH_NOT_FOUND or WATCH_CANNOT_RUN, and why. */
int launch_start(struct launch *launch, char *const *command, const struct preload *preload,
                 const sigset_t *mask, char *why);
/* 0; WATCH_REFUSED, and why: it is not there, a kernel thread, not ours. `why` has
 * TEXT_ROOM bytes. */
int launch_attach(struct launch *launch, pid_t pid, char *why);
void launch_close(struct launch *launch);

/* After its end, or while it goes on. */
int launch_exit_code(struct launch *launch);
const char *launch_exit_text(struct launch *launch);

/* The only child of a process; 0: it has none, or several. */
pid_t launch_only_child(pid_t pid);

/* Finds libhark-heartbeat.so beside this program or in ../lib. NULL: it is not there. */
const char *launch_find_shim(void);

#endif
