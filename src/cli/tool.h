/* What every subcommand of hark needs: exit codes, one-line complaints, progress, Ctrl-C, limits.
 *
 * The command uses nothing of the library but its public headers. */
#ifndef CLI_TOOL_H
#define CLI_TOOL_H

#include <hark/loop.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tool_exit {
    TOOL_OK = 0,
    TOOL_FAILED = 1,        /* what was asked for could not be done, or a check failed */
    TOOL_MISUSED = 2,       /* the command line is wrong */
    TOOL_INTERRUPTED = 130, /* Ctrl-C before there was anything to show */
};

/* Prints "hark COMMAND: ..." as one line on standard error, whatever bytes the arguments contain.
 *
 * command  the subcommand; NULL for hark itself.
 */
void tool_complain(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Allows or forbids progress; it is shown only where standard error is a terminal. */
void tool_show_progress(bool is_on);

/* Replaces the progress line; NULL removes it. */
void tool_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes SIGINT and SIGTERM set a flag instead of ending the process, and wake loop if it is not
 * NULL. The second signal of a kind ends the process as usual. Called again with NULL before the
 * loop is closed. */
void tool_catch_interrupts(struct hark_loop *loop);

/* Tells whether one came. */
bool tool_is_interrupted(void);

/* A descriptor that can be read once a signal came, for those who wait without a loop. Blocking
 * calls that only look at tool_is_interrupted() first would miss one that comes in between. */
int tool_interrupt_descriptor(void);

/* Writes out standard output.
 *
 * Result code; TOOL_FAILED, with a complaint the first time, if the output could not be written.
 */
int tool_finish(int code);

/* Before anything else: makes sure that descriptors 0, 1 and 2 are taken, so that no socket becomes
 * standard output; on Windows, that what is printed is not changed on its way. */
void tool_begin(void);

/* Raises the limit of open descriptors as far as allowed and tells where it is then. */
int64_t tool_raise_descriptor_limit(void);

/* Closes a socket that no io has; what can fail there matters to nobody. */
void tool_close(int socket);

/* Opens a loop for a subcommand.
 *
 * backend  from --backend, NULL without.
 * Result   TOOL_OK; else a complaint was printed and this is the exit code.
 */
int tool_open_loop(const char *command, const char *backend, struct hark_loop **loop);

/* Monotonic time in nanoseconds. */
int64_t tool_clock_ns(void);

/* Processor time of this process in nanoseconds. */
int64_t tool_processor_ns(void);

/* The subcommands: argv[0] is the subcommand's name. Each gives an exit code. */
int backends_main(int argc, char **argv);
int echo_main(int argc, char **argv);
int idle_main(int argc, char **argv);
int load_main(int argc, char **argv);
int stalls_main(int argc, char **argv);

#endif
