/* Where the watch learns whether a loop thread waits. Each kind of source answers the same
 * question; they differ in what they see and in how exact their times are.
 *
 *   beat     a page of heartbeats: written by the shim, or by a program that uses hark
 *   bpf      the same, written by the kernel at the entry and exit of the waiting calls
 *   procfs   a guess by looking often; a thread that is never seen to wait is under suspicion */
#ifndef STALLS_PULSE_H
#define STALLS_PULSE_H

#include "base/clock.h"
#include "stalls/heartbeat.h"
#include "stalls/stalls.h"

enum { PULSES_MAX = 64, TEXT_ROOM = 256 };

/* What is known of a loop thread at one moment. */
struct pulse {
    pid_t tid;
    int main_fd;              /* -1: a loop without an epoll descriptor */
    bool is_waiting;
    bool is_suspicion;        /* procfs: it was not seen to wait, which may be chance */
    int64_t since_ns;         /* of this state */
    uint64_t turn_count;
    uint32_t long_count;      /* of turns longer than the threshold, the last of which is: */
    int64_t long_began_ns, long_ns;
    bool is_counting;         /* the three above are kept */
};

/* beat.c */
struct beat;
/* A new page in a memfd; its file's name for SHIM_VARIABLE is put into path. NULL: see errno. */
struct beat *beat_create(int64_t threshold_ns, char *path, size_t room);
/* The page that a program which uses hark exports; NULL: it has none. */
struct beat *beat_find(pid_t pid);
void beat_close(struct beat *beat);
/* In the child, before it starts the program. */
void beat_claim(struct beat *beat);
int beat_read(struct beat *beat, struct pulse *out, int room);
/* Frees the place of a thread that has ended without a word. */
void beat_release(struct beat *beat, pid_t tid);
/* How many programs have begun to write into a page of beat_create(). */
uint32_t beat_images(const struct beat *beat);
bool beat_is_leaving(const struct beat *beat);

/* bpf.c */
struct bpf;
struct bpf *bpf_open(pid_t pid, int64_t threshold_ns, char *why, size_t room);
void bpf_close(struct bpf *bpf);
int bpf_read(struct bpf *bpf, struct pulse *out, int room);
/* Forgets a thread that has ended, or whose main descriptor is closed. */
void bpf_release(struct bpf *bpf, pid_t tid);

/* procfs.c */
struct procfs;
struct procfs *procfs_open(pid_t pid, int64_t period_ns, char *why, size_t room);
void procfs_close(struct procfs *procfs);
int procfs_read(struct procfs *procfs, int64_t now, struct pulse *out, int room);
/* Settles a suspicion by running the thread to its next wait. PROOF_NONE: it is blocked,
 * ask later. */
enum proof { PROOF_NONE, PROOF_SAME_TURN, PROOF_WAITED };
enum proof procfs_confirm(struct procfs *procfs, pid_t tid, int64_t *waits_since_ns);
/* The thread was stopped from outside, which counts as a switch. */
void procfs_forgive(struct procfs *procfs, pid_t tid);
/* What the main thread does, for a process without a loop: as thread_call(). */
long procfs_call(pid_t pid);

/* thread.c: what /proc tells of a thread. */
struct thread_times { int64_t processor_ns, queued_ns; };
/* -1: the thread is gone. */
int thread_times(pid_t pid, pid_t tid, struct thread_times *out);
/* The system call that a thread is blocked in, and its first six arguments. -1: it runs, -2: it is
 * gone or may not be looked at (errno). */
long thread_call(int fd, uint64_t arguments[6]);
int thread_open(pid_t pid, pid_t tid, const char *file);
/* Tells whether a loop's descriptor is still one: a thread may end its loop and go on. */
bool thread_has_loop(pid_t pid, int main_fd);
/* How often it gave the processor away by itself; -1: not known. */
int64_t thread_switches(int status_fd);
/* Tells whether a loop waits by this call: 0 no, 1 on a descriptor of its own (the first argument),
 * 2 by poll or select. */
int call_is_wait(long call);

#endif
