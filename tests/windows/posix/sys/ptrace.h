/* <sys/ptrace.h>: for cases that do not apply. */
#ifndef TESTS_WINDOWS_SYS_PTRACE_H
#define TESTS_WINDOWS_SYS_PTRACE_H

#define PTRACE_SEIZE 0
#define ptrace(request, pid, addr, data) ((void)(pid), -1)

#endif
