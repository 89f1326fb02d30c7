/* <sys/wait.h>, with the children that hark has started: see ../../children.c. */
#ifndef TESTS_WINDOWS_SYS_WAIT_H
#define TESTS_WINDOWS_SYS_WAIT_H

#include <signal.h>
#include <sys/types.h>

typedef pid_t id_t;

enum { P_ALL, P_PID, WNOHANG = 1, WEXITED = 4, WNOWAIT = 8, __WALL = 0 };

int plain_waitid(int kind, id_t id, siginfo_t *info, int options);
pid_t plain_waitpid(pid_t pid, int *status, int options);

#define waitid(kind, id, info, options) plain_waitid(kind, id, info, options)
#define waitpid(pid, status, options) plain_waitpid(pid, status, options)

#define fork() (-1)
#define WIFSIGNALED(status) 0
#define WTERMSIG(status) 0
#define WIFEXITED(status) 0
#define WEXITSTATUS(status) 0

#endif
