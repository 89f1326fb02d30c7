/* Child processes: how one is started, known, signaled, and how its end is taken. linux/ has them
 * by pidfd and clone, bsd/ by fork, a note in a kqueue, and the child's number.
 *
 * A process is waited for by a descriptor that is readable once it has ended. It is not read. */
#ifndef HARK_SYSTEM_CHILD_H
#define HARK_SYSTEM_CHILD_H

#include <hark/process.h>
#include <stdbool.h>
#include <stddef.h>

enum { CHILD_FIRST_FREE = 3 }; /* those below are the child's if nothing else is said */

/* What a child does from its beginning to exec, prepared before: in the child there is no memory to
 * be had. Sources are copied to above all numbers wanted, everything is marked close-on-exec, then
 * the copies go to their numbers, so that no order of them can overwrite one still needed. */
struct child_plan {
    const struct hark_process_options *options;
    char *stack;                 /* CALL_CHILD_STACK_BYTES */
    const char **candidates;     /* paths of the program to try; ends with NULL */
    int *sources, *copies;       /* one for each descriptor of the child */
    int highest;                 /* number of a descriptor, CHILD_FIRST_FREE - 1 at least; there is
                                  * one above it */
    volatile int error;          /* what kept the child from its exec */
};

/* Starts a child, and comes back when it has called exec, and process->pid is set, or has failed,
 * and is gone. A descriptor of its end, or a negative errno. */
int child_start(struct hark_process *process, struct child_plan *plan);

/* Ends one of whose end nobody could learn, and closes its descriptor. */
void child_abandon(struct hark_process *process, int fd);

/* For process->pid, which someone else has started: a descriptor of its end, or a negative
 * errno. */
int child_open(struct hark_process *process);

/* 0 or -1 and errno. */
int child_signal(const struct hark_process *process, int number);

/* Takes the end of a child that has come, as process->end: its number; 0: not yet; or a negative
 * errno. */
pid_t child_take(struct hark_process *process);
pid_t child_take_number(pid_t pid, struct hark_process_end *end);

/* The number of a child that has ended, left as it is; 0: none has; or a negative errno. */
pid_t child_look(void);

#endif
