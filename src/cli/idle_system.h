/* What hark idle asks of the system: processes that do not outlive the coordinator, whole messages
 * to and from them, what they cost, and the clients' sockets. idle_linux.c and idle_windows.c
 * answer.
 *
 * Where something failed, idle_system_error() says why. */
#ifndef CLI_IDLE_SYSTEM_H
#define CLI_IDLE_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct idle_task;

struct idle_child {
    int64_t id;   /* of the process; 0: there is none */
    void *handle; /* that Windows has for it */
    int control;  /* a socket to it */
};

const char *idle_system_error(void);

/* Before the first child. */
void idle_child_begin(void);

/* Starts a process that does idle_run() with a socket to this one. Gives 0, or -1. */
int idle_child_start(struct idle_child *child, const struct idle_task *task);

/* Where a child is this program once more, does its work if that is what the words ask for, and
 * gives its exit code; else -1. */
int idle_child_main(int argc, char **argv);

/* Waits until a child has said something or has ended. Gives 1; 0 if that takes too long; -1, also
 * on Ctrl-C. */
int idle_child_wait(const struct idle_child *child, int64_t patience_ns);

/* Ends a child by ending its control stream; by force if that takes too long. Gives -1 if it had to
 * be forced or said that it failed. */
int idle_child_end(struct idle_child *child, int patience_seconds);

/* The memory of a child that is really there; -1 if the system does not tell. */
int64_t idle_child_bytes(const struct idle_child *child);

/* The processor this thread is on; and puts the process on that one alone. */
int idle_processor(void);
void idle_pin(int processor);

/* The processor time of another process. Gives 0, or -1. */
int idle_clock_open(int64_t process, intptr_t *clock);
int64_t idle_clock_ns(intptr_t clock);

/* By how much that time advances at once; 0 if that is too little to matter. */
int64_t idle_clock_step_ns(void);

/* How many more sockets the backend can have in this process. */
int64_t idle_room(const char *backend);

/* A connection from an address of this machine to a port of it; what takes longer than patience
 * fails. Gives the socket, or -1. */
int idle_connect(uint32_t source, uint16_t port, int patience_seconds);

/* Sends all of it. Gives 0, or -1. */
int idle_send(int fd, const void *bytes, size_t len);

/* Receives all of it. Gives 0, or -1; the end of the stream is a reset connection. */
int idle_receive(int fd, void *bytes, size_t len);

#endif
