/* What the files of processes offer to each other. */
#ifndef HARK_PROCESS_PROCESS_H
#define HARK_PROCESS_PROCESS_H

#include <hark/process.h>

#include "loop/layer.h"
#include "system/child.h"

enum process_state { PROCESS_CLOSED, PROCESS_OPEN, PROCESS_CLOSING };

/* spawn.c: starts the child. 0: it runs its program, process->pid is set, process->exit and the ios
 * of its pipes are open; or a negative errno, and there is none and nothing is open. */
int spawn_child(struct hark_process *process, const struct hark_process_options *options);

/* registry.c: the processes that are open, on any loop, so that a reaper leaves them to who waits
 * for them. No reaper looks for children between the two, in which one is started and added. */
void registry_begin_spawn(void);
void registry_end_spawn(void);
void registry_add(struct hark_process *process);
void registry_remove(struct hark_process *process);

/* Takes the end of a child, once it has come: 1, and process->end is filled in; 0: not yet; or a
 * negative errno. */
int registry_take_end(struct hark_process *process);

/* Sends a signal, while nobody takes an end. 0 or an enum hark_error. */
int registry_signal(const struct hark_process *process, int number);

/* Takes the end of any child: its pid, if it is nobody's, and end is filled in. What belongs to a
 * process is kept there. 0: there is none. */
pid_t registry_take_any(struct hark_process_end *end);

#endif
