/* What a person reads of stalls: a line for each while it runs, and a ranked report at the end; or
 * the same as JSON, folded stacks, a picture. */
#ifndef STALLS_REPORT_H
#define STALLS_REPORT_H

#include <stdio.h>

#include "stalls/stalls.h"

struct report;

struct report_options {
    const char *command;          /* what was watched, for the heading */
    const char *folder;           /* its working directory: paths in it are shown short; NULL */
    int64_t threshold_ns;
    bool wants_lines;             /* live lines on standard error */
    const char *json, *fold, *svg;   /* files to write; "-": standard output; NULL: not wanted */
};

/* What is said at the end about the watching itself. */
struct report_facts {
    enum watch_mode mode;
    const char *mode_text;        /* in a sentence, with what this mode cannot see */
    int64_t began_ns, ended_ns;
    int64_t turn_count;           /* 0: not known */
    int loop_count;               /* threads that ran a loop */
    const char *exit_text;        /* how the target ended, or that it goes on */
};

/* NULL: no memory, or a file cannot be written, and a line on standard error said which. Keeps the
 * options, not what they point to. */
struct report *report_open(const struct report_options *options);
void report_stall(struct report *report, const struct stall *stall);
/* Prints the ranked report, on standard error if a file has taken standard output, and writes the
 * files. 0; -1: something could not be written, and a line on standard error said what. */
int report_end(struct report *report, const struct report_facts *facts);
void report_close(struct report *report);

#endif
