/* What the files of the group `kernel` share. */
#ifndef TESTS_WINDOWS_KERNEL_H
#define TESTS_WINDOWS_KERNEL_H

#include <check.h>

/* A file in a folder of its own; the path is good until the next one. */
const char *make_file(const char *name, const char *text);
void remove_file(const char *path);

/* blocking.c */
void add_blocking_cases(Suite *suite);

/* kernel_process.c */
void add_process_cases(Suite *suite);

#endif
