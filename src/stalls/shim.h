/* What the two halves of the preloaded shim share: shim.c counts waits, shim_exec.c keeps the shim
 * loaded when the watched process turns into another program, and only then. */
#ifndef STALLS_SHIM_H
#define STALLS_SHIM_H

#include <sys/types.h>

#include "stalls/heartbeat.h"

/* The variable that names the file of the page, such as /proc/77/fd/5. */
#define SHIM_VARIABLE "HARK_HEARTBEAT"

#define SHIM_EXPORT __attribute__((visibility("default")))

/* NULL: this process is not watched. In a child after fork the page is gone, though this is not
 * NULL: only a process that is shim_pid may look at it. */
extern struct heartbeat_page *shim_page;
extern pid_t shim_pid;

/* Finds the next definition of a function, which may be another shim's. */
void shim_find(void *function, const char *name);

/* Takes the shim out of the environment, for the children, and remembers how to put it back. Gives
 * the name of the page's file; NULL: there is none. */
const char *shim_exec_init(void);

#endif
