/* A seccomp filter that refuses a few system calls, as container runtimes do: installed by prctl(2)
 * as a raw BPF program, without a library and without privileges.
 *
 * Each case runs in a child, since a filter cannot be taken off again. */
#ifndef TESTS_SECCOMP_FILTER_H
#define TESTS_SECCOMP_FILTER_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILTER_CALLS_MAX = 4, EXIT_SKIPPED = 77 };

/* Says what failed and ends this process. */
#define CHECK(claim)                                                                    \
    do {                                                                                \
        if (claim) break;                                                               \
        printf("%s:%d: failed: %s (errno %d)\n", __FILE__, __LINE__, #claim, errno);    \
        fflush(stdout);                                                                 \
        _exit(1);                                                                       \
    } while (0)

/* Makes each of count system calls fail with error from now on; every other one is allowed. The
 * processor's own numbers only: a filter for real use would look at the architecture too. */
static inline bool filter_refuse(const long *calls, size_t count, int error)
{
    struct sock_filter program[FILTER_CALLS_MAX + 3];
    unsigned short length = 0;
    if (count > FILTER_CALLS_MAX) return false;
    program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                     offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++) { /* equal: over the rest and the allowing return */
        program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                         (unsigned)calls[i],
                                                         (unsigned char)(count - i), 0);
    }
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
                                                     SECCOMP_RET_ERRNO | (unsigned)error);
    struct sock_fprog loaded = { .len = length, .filter = program };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &loaded) == 0;
}

/* A case: calls that are refused with error, and what must hold then. */
struct filter_case {
    const char *name;
    long calls[FILTER_CALLS_MAX];
    size_t count;
    int error;
    void (*run)(const struct filter_case *filter_case);
};

/* Runs a case in a child; 0, 1 or EXIT_SKIPPED. */
static inline int filter_run(const struct filter_case *filter_case)
{
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) {
        alarm(20); /* ends a case that hangs */
        if (!filter_refuse(filter_case->calls, filter_case->count, filter_case->error)) {
            printf("skipped: %s: this kernel takes no filter: %s\n", filter_case->name,
                   strerror(errno));
            exit(EXIT_SKIPPED);
        }
        filter_case->run(filter_case);
        exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child) return 1;
    int result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    printf("%s: %s\n", filter_case->name,
           result == 0 ? "ok" : result == EXIT_SKIPPED ? "skipped" : "FAILED");
    return result;
}

/* Runs all; the exit code of the program. */
static inline int filter_run_all(const struct filter_case *cases, size_t count)
{
    int failed = 0, skipped = 0;
    for (size_t i = 0; i < count; i++) {
        int result = filter_run(&cases[i]);
        skipped += result == EXIT_SKIPPED;
        failed += result != 0 && result != EXIT_SKIPPED;
    }
    return failed != 0 ? 1 : skipped != 0 ? EXIT_SKIPPED : 0;
}

#endif
