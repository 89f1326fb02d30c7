/* The names of system calls that can hold a thread, and what of their arguments tells something. */
#ifndef HARK_BASE_CALL_H
#define HARK_BASE_CALL_H

enum call_form {
    CALL_PLAIN,               /* nothing */
    CALL_FD,                  /* the first is a descriptor */
    CALL_TO,                  /* that, and where to is an argument: connect, sendto */
    CALL_PATH,                /* the first is a path */
    CALL_AT,                  /* the second is one */
    CALL_POLL, CALL_SELECT,   /* sets of descriptors */
    CALL_SLEEP, CALL_SLEEP_CLOCK,
    CALL_CHILD,               /* the first is a process */
};

struct call { long number; const char *name; enum call_form form; };

/* NULL: a call that is not in the table. */
const struct call *call_find(long number);

#endif
