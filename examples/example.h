/* What every example needs around its loop: to open it, to listen, to run until Ctrl-C.
 *
 * These end the program with a line on standard error when something fails: fit for examples and
 * small tools, not for libraries. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <hark/hark.h>

/* An address as a program carries it. */
struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* Ends the program with "what: why" if result is an error. */
void example_require(int64_t result, const char *what);

/* Opens a loop on the backend that HARK_BACKEND names, or on the best one here. From then on Ctrl-C
 * and SIGTERM stop it. Once a program. */
struct hark_loop *example_open(void);

/* Reads "HOST:PORT", HOST being numeric: 127.0.0.1:7000 or [::1]:7000. */
struct address example_address(const char *text);

/* Opens listener, listens at "HOST:PORT" and prints "listening on HOST:PORT". Port 0 lets the
 * kernel pick one. */
void example_bind(struct hark_loop *loop, const char *text, struct hark_io *listener);

/* The same, and accepts: on_accept is called for each connection. Once a program. */
void example_listen(struct hark_loop *loop, const char *text, hark_done_fn *on_accept);

/* Takes the connection that a callback of hark_accept() brings.
 *
 * bytes   the size of the caller's connection struct, whose first member is a struct hark_io.
 * Result  such a struct, zeroed but for its io, which is open now; freed with free() once the io is
 *         closed. NULL: there is no new connection.
 */
void *example_accepted(struct hark_op *op, size_t bytes);

/* Runs until nothing is left to do, or until it is stopped; then closes the loop, which gives every
 * op its last callback. Gives the exit code. */
int example_run(struct hark_loop *loop);

#endif
