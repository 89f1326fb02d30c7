/* What every promise test stands on: a loop of the backend under test, probes that record
 * callbacks, wires that have hark on one end and plain system calls on the other.
 *
 * The backend comes from HARK_BACKEND and HARK_URING_MASK, so one program serves every kernel. Each
 * case runs in a process of its own (libcheck forks), with a loop opened before it and closed after
 * it; the close checks that no descriptor was leaked and every op settled. */
#ifndef TESTS_PROMISE_HARNESS_H
#define TESTS_PROMISE_HARNESS_H

#include <check.h>
#include <errno.h>
#include <hark/hark.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern struct hark_loop *loop;

/* What a case that goes through a table is at, for the messages; may be empty. */
extern char doing[64];

/* Adds a case to a suite, with the loop fixture: CASE(suite, promise_in_words); */
void harness_add(Suite *suite, const char *name, const TTest *test);
#define CASE(suite, name) harness_add(suite, #name, name)

/* The same, run once for each kind of wire; the case finds the kind in _i. */
void harness_add_each_wire(Suite *suite, const char *name, const TTest *test);
#define EACH_WIRE(suite, name) harness_add_each_wire(suite, #name, name)

/* The same, run count times; the case finds the number of the time in _i. */
void harness_add_each(Suite *suite, const char *name, const TTest *test, size_t count);
#define EACH_OF(suite, name, count) harness_add_each(suite, #name, name, count)

/* For a case that opens loops of its own. */
void harness_add_bare(Suite *suite, const char *name, const TTest *test, size_t count);
#define BARE_CASE(suite, name) harness_add_bare(suite, #name, name, 1)
#define BARE_EACH_OF(suite, name, count) harness_add_bare(suite, #name, name, count)

bool backend_is(const char *name);

/* How long a case waits for what has to come before it fails. Under the sanitizers everything takes
 * longer, and its own limit is longer, too; on Windows that is 20 seconds. */
#if defined(_WIN32)
enum { PATIENCE_S = 15 };
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { PATIENCE_S = 100 };
#else
enum { PATIENCE_S = 20 };
#endif

/* An op with a record of its callbacks. Zeroed before use. */
struct probe {
    struct hark_op op;
    int calls;              /* callbacks so far */
    int last_calls;         /* of these, without more: never above 1 a submission */
    int64_t result;         /* of the latest */
    int os_error;
    int order;              /* its place among all last callbacks of the case; 1 is first */
    int64_t time_ns;        /* hark_now() in the latest */
    int64_t deadline_seen;  /* op.deadline_ns and label, as the latest callback found them */
    const char *label_seen;
    void (*then)(struct probe *probe); /* called at the end of each callback; may be NULL */
    void *arg;
};

/* The callback to submit with; the op must be a probe's. */
void on_probe(struct hark_op *op);

/* Runs turns until the probe has had its last callback; the case fails after PATIENCE_S. */
void await(struct probe *probe);

/* Runs turns until calls of the probe have come. */
void await_calls(struct probe *probe, int calls);

/* Runs turns that do not sleep, to see what does not happen. */
void spin(int turns);

/* Closes an io and waits for it. */
void close_io(struct hark_io *io);

enum wire_kind { WIRE_TCP4, WIRE_TCP6, WIRE_UNIX, WIRE_KINDS };
extern const char *const wire_names[WIRE_KINDS];

/* A connected stream: hark's io on one end, a blocking descriptor of the test on the other. */
struct wire {
    struct hark_io io;
    int peer;
};

/* Opens one; false if this machine lacks IPv6 (a reason is printed). */
bool wire_open(struct wire *wire, enum wire_kind kind);
void wire_close(struct wire *wire);

/* A connected pair of plain descriptors. */
bool plain_pair(int fds[2], enum wire_kind kind);

/* A listening socket of hark's on a free loopback port, and where it is. */
struct listener {
    struct hark_io io;
    struct sockaddr_storage addr;
    socklen_t len;
};
bool listener_open(struct listener *listener, enum wire_kind kind);

/* A plain socket connected to it, or -1 with errno. */
int listener_dial(const struct listener *listener);

/* Both ends hold little from now on; else they may grow until they hold all that a test sends. */
void wire_narrow(struct wire *wire);

/* Makes the write side of a wire full: the peer reads nothing. Gives the bytes it took. */
size_t wire_fill(struct wire *wire);

/* Reads all from a plain descriptor that is there, without waiting; gives the number of bytes. */
size_t drain(int fd);

/* Bytes that tell their place in a stream, so that none can be lost, doubled or swapped unseen. */
void pattern_fill(void *buf, size_t len, size_t offset);
void pattern_check(const void *buf, size_t len, size_t offset);

/* Reads what is there from a plain descriptor, most bytes at most, and checks that it goes on with
 * the pattern at offset; gives the number of bytes. */
size_t pattern_take(int fd, size_t offset, size_t most);

/* Writes all to a plain descriptor that has room for it. */
void write_all(int fd, const void *data, size_t len);

/* Writes a file as a whole, by plain system calls; checks what is in one, up to 255 bytes. */
void write_text(const char *path, const char *text);
void expect_text(const char *path, const char *text);

/* Changes what is known of a file besides its bytes and times, so that it can still be removed. */
int change_attributes(const char *path);

/* Removes a folder with all that is in it; 0 if that was done. */
int remove_tree(const char *path);

/* Gives a plain descriptor a number from least on, so that low numbers stay free for hark. */
int move_up(int fd, int least);

/* Ends a plain TCP connection by a reset instead of an end of stream. */
void reset_and_close(int fd);

/* Raises the limit of descriptors to count; false, with a reason, if this process may not. */
bool allow_descriptors(size_t count);

/* Whether a plain descriptor is ready for a poll(2) mask within patience_ms. */
bool is_ready(int fd, short mask, int patience_ms);

/* The case ends if the program that runs it is killed: else it would go on, for it has a process
 * group of its own. */
void end_with_runner(void);

/* The number of descriptors that this process has open. */
int open_descriptor_count(void);

/* The number of its threads, without those that the kernel itself has started for a ring. */
int thread_count(void);

/* Without Unix sockets descriptors cannot be sent, and datagrams never wait for the other end. */
extern const bool has_unix_sockets;

/* That a datagram found nobody is kept for the next receive; false, with a reason: one that waits
 * hears of it, and one that comes later does not. */
bool keeps_datagram_errors(void);

/* What the system keeps of a file's permissions. */
mode_t kept_mode(mode_t mode);

/* Whether the system's own error is the one that has this errno. */
bool is_system_error(int os_error, int number);

/* Where a WIRE_UNIX listens, as yet without a name. */
socklen_t local_address(struct sockaddr_storage *addr);

/* Tells why a case is not run on this machine; false. */
bool lacks(const char *what);

/* Runs act() in a process of its own with a loop of its own. Whether that ended by abort(3), and
 * what it wrote to stderr. */
bool ends_by_abort(void (*act)(void), char *said, size_t room);

/* Monotonic time. */
int64_t clock_now(void);

/* Processor time of this process. */
int64_t processor_now(void);

#define ck_assert_result(probe, wanted)                                                       \
    ck_assert_msg((probe)->result == (wanted), "%s: result %lld (%s), wanted %lld", doing,    \
                  (long long)(probe)->result, hark_strerror((probe)->result), (long long)(wanted))

/* A claim about what the case is at. */
#define ck_claim(claim) ck_assert_msg((claim), "%s: not so: %s", doing, #claim)

#endif
