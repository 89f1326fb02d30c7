/* <sys/resource.h>: limits, of which there are none. */
#ifndef TESTS_WINDOWS_SYS_RESOURCE_H
#define TESTS_WINDOWS_SYS_RESOURCE_H

#include <hark/system.h>

typedef unsigned long long rlim_t;
struct rlimit { rlim_t rlim_cur, rlim_max; };
enum { RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_CORE };

int getrlimit(int which, struct rlimit *limit);
int setrlimit(int which, const struct rlimit *limit);

/* How often a thread slept voluntarily, Windows does not tell: 0. */
enum { RUSAGE_THREAD };
int getrusage(int who, struct rusage *usage);

#endif
