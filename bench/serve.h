/* What every echo server of the benchmarks does alike, so that they differ by their loop alone: the
 * listening socket, the size of a read, the options of a connection, and the end.
 *
 * A server prints "port N", serves, and exits when the last of its connections has ended. */
#ifndef BENCH_SERVE_H
#define BENCH_SERVE_H

#include <stddef.h>

/* A cache line more than the largest message: a read that fills its buffer makes some loops read
 * again, and buffers in a row whose size is a power of two share cache sets. */
enum { SERVE_READ_BYTES = 16384 + 64, SERVE_BUFFERS = 1024, SERVE_SECONDS_MAX = 600 };

/* Gives a listening, non-blocking socket on a free loopback port and prints the port. Ends the
 * process with a line on stderr when that fails. */
int serve_listen(void);

/* Counts a connection and turns TCP_NODELAY on. */
void serve_connected(int fd);

/* Counts the end of a connection; the last one ends the process. */
void serve_closed(void);

/* Accepts one waiting connection, non-blocking and counted; -1: none waits. */
int serve_accept(int listener);

/* Prints what failed, with errno if it is set, and ends the process. */
_Noreturn void serve_die(const char *what);

/* malloc() that ends the process rather than give NULL. */
void *serve_memory(size_t bytes);

#endif
