/* What the files of the group `terminal` share: a console of a case's own, which the system calls a
 * pseudo console. The case runs in a process of its own there. */
#ifndef TESTS_WINDOWS_CONSOLE_H
#define TESTS_WINDOWS_CONSOLE_H

#include <check.h>
#include <stdbool.h>

enum { CONSOLE_COLUMNS = 70, CONSOLE_ROWS = 20 };

/* The two ends of the console; set in it. */
extern int input, output;

/* True in the console; else the case has run there. typed: once the case wants its keys. */
bool in_console(const char *typed);
void console_wants_keys(void);

/* console_io.c */
void add_console_io_cases(Suite *suite);

#endif
