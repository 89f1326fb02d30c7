/* What the tests of child processes share: programs to start, and what can be seen of them. */
#ifndef TESTS_PROMISE_CHILDREN_H
#define TESTS_PROMISE_CHILDREN_H

#include "harness.h"

#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SLOW true
#elif defined(HARK_SMALL) || defined(HARK_SLOW_CHILDREN)
#define IS_SLOW true
#else
#define IS_SLOW false
#endif

/* How many a case starts in a row, and at once: wine takes a tenth of a second for each, and a
 * fork(2) of this suite some milliseconds. */
#ifdef HARK_SLOW_CHILDREN
#define TRUE_PROGRAM "true"
enum { ROW_OF_CHILDREN = 10, CROWD_OF_CHILDREN = 20 };
#else
#define TRUE_PROGRAM "/bin/true"
#ifdef HARK_FORKED_CHILDREN
enum { THOUSANDS = 2000 };
#else
enum { THOUSANDS = 5000 };
#endif
enum { ROW_OF_CHILDREN = IS_SLOW ? 200 : THOUSANDS, CROWD_OF_CHILDREN = 200 };
#endif

/* A program of /bin/sh. */
#define SHELL(script) (const char *const[]){ "sh", "-c", script, NULL }

/* One that runs until its standard input ends, or it is killed. */
extern const char *const cat[];

/* One that runs until it is killed. */
extern const char *const forever[];

/* Whether a child can be sent any signal, or only those that end it for sure. */
extern const bool has_every_signal;

/* Whether the time and the most memory that a child took are known once it has ended. */
extern const bool has_usage;

/* Starts a program; the case fails if it does not start. */
void start(struct hark_process *process, const struct hark_process_options *options);

/* Waits for a process; gives the result. */
int64_t await_end(struct hark_process *process);

/* Starts a program and waits for it: the result of the wait, or the error of the spawn. */
int64_t run(const struct hark_process_options *options);

/* Runs a script and gives what it has written, at most room - 1 bytes, ending with a zero byte.
 * options may be of any other kind; its argv and fds are overwritten. */
void said_by(const char *script, struct hark_process_options options, char *said, size_t room);

/* Kills a process and waits for it. */
void finish(struct hark_process *process);

/* Reads all that comes from an io, up to its end; gives the number of bytes. */
size_t read_to_end(struct hark_io *io, char *buf, size_t room);

/* Writes and reads back a byte by a cat: then it runs, and its loader has closed its files. */
void expect_echo(struct hark_io *to, struct hark_io *from);

/* A line of /proc/PID/status, as "SigBlk:", without its name. */
uint64_t status_mask(pid_t pid, const char *name);

/* No child is left, dead or alive, whatever signal its end would raise. */
void expect_no_child(void);

/* A spawn fails with that, and nothing is left of it: no descriptor, no io, no child. */
void expect_refusal(const struct hark_process_options *options, int error);

#define EXPECT_REFUSAL(error, ...)                                                      \
    do {                                                                                \
        snprintf(doing, sizeof doing, "line %d", __LINE__);                             \
        expect_refusal(&(struct hark_process_options){ __VA_ARGS__ }, error);           \
    } while (0)

#endif
