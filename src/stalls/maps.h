/* The files that a process has mapped, as /proc/PID/maps lists them. */
#ifndef STALLS_MAPS_H
#define STALLS_MAPS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct maps { FILE *lines; pid_t pid; char program[PATH_MAX]; };

/* A piece of a file. */
struct mapping {
    uint64_t start, end, offset;
    bool is_code;             /* it may be executed */
    bool is_program;          /* of the program's own file */
    char path[PATH_MAX];      /* also of a file that is deleted by now */
};

/* false: they cannot be read, and errno. */
bool maps_open(struct maps *maps, pid_t pid);
bool maps_next(struct maps *maps, struct mapping *out); /* false: there are no more */
void maps_close(struct maps *maps);

/* Opens the file as the process sees it, which may live in another tree of files. -1. */
int maps_open_file(const struct maps *maps, const struct mapping *mapping);

#endif
