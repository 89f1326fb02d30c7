/* What the kernel tells of a thread without stopping it: files of /proc, memory, and copies of
 * descriptors. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stalls/task.h"

ssize_t task_read(pid_t pid, pid_t tid, const char *name, char *out, size_t room)
{
    char path[80];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t got = read(file, out, room - 1);
    close(file);
    out[got > 0 ? got : 0] = '\0';
    return got;
}

bool task_call(pid_t pid, pid_t tid, struct task_call *out)
{
    char text[256];
    *out = (struct task_call){ .call = -1 };
    if (task_read(pid, tid, "syscall", text, sizeof text) <= 0) return false;
    if (strncmp(text, "running", 7) == 0) {
        out->is_running = true;
        return true;
    }
    char *at;
    out->call = strtol(text, &at, 10);
    if (out->call >= 0)
        for (int i = 0; i < 6; i++) out->arguments[i] = strtoull(at, &at, 16);
    out->sp = strtoull(at, &at, 16);
    out->pc = strtoull(at, &at, 16);
    return true;
}

char task_state(pid_t pid, pid_t tid)
{
    char text[512];
    if (task_read(pid, tid, "stat", text, sizeof text) <= 0) return '\0';
    const char *name_end = strrchr(text, ')'); /* a name may hold anything */
    return name_end != NULL && name_end[1] == ' ' ? name_end[2] : '\0';
}

bool task_memory(pid_t pid, uint64_t address, void *out, size_t bytes)
{
    struct iovec here = { out, bytes }, there = { (void *)(uintptr_t)address, bytes };
    return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)bytes;
}

int task_descriptor(pid_t pid, int fd)
{
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0) return -1;
    int copy = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
    close(process);
    return copy;
}
