/* What the kernel tells of a thread without stopping it. */
#ifndef STALLS_TASK_H
#define STALLS_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* /proc/PID/task/TID/syscall */
struct task_call {
    bool is_running;          /* on a processor or waiting for one: nothing below is known */
    long call;                /* -1: sleeps, but in no system call (a page comes from a disk) */
    uint64_t arguments[6], sp, pc;
};

/* Reads a file of /proc/PID/task/TID/ as text. Its length, -1: the thread is gone or not ours. */
ssize_t task_read(pid_t pid, pid_t tid, const char *name, char *out, size_t room);

/* false: the thread is gone, or may not be looked at. */
bool task_call(pid_t pid, pid_t tid, struct task_call *out);

/* The letter of the thread's state (R, S, D, T, t, Z, X), '\0': it is gone. */
char task_state(pid_t pid, pid_t tid);

/* Reads memory of the process, all of it or nothing that counts: false. */
bool task_memory(pid_t pid, uint64_t address, void *out, size_t bytes);

/* A copy of a descriptor of the process, only to ask about it; -1. The caller closes it at once. */
int task_descriptor(pid_t pid, int fd);

#endif
