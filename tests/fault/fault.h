/* The fault sweep: what its files share.
 *
 * The n-th call of the library into the system fails, for n = 1, 2, 3 ... until a scenario passes
 * without a failure, and that once for each error which the call can give. Whatever failed: nothing
 * may be leaked, lost or called back twice. inject.c stands between the library and the C library
 * (ld --wrap, the names are in wrapped.txt); scenario.c holds what is done; main.c checks. */
#ifndef TESTS_FAULT_FAULT_H
#define TESTS_FAULT_FAULT_H

#include <hark/hark.h>

enum { ERRORS_MAX = 6 }; /* that one call can be made to give */

/* inject.c. Only the calls of the thread that has armed it count. */
void inject_arm(unsigned call_index, unsigned error_index); /* call_index counts from 1 */
unsigned inject_disarm(void);       /* gives the number of calls that were counted */
void inject_pause(void);            /* the scenario's own calls are not the library's */
void inject_resume(void);
bool inject_has_fired(void);
const char *inject_what(void);      /* what failed, for messages */
int inject_error(const char *what, const int *errors); /* an errno to fail with now, or 0 */

/* main.c */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An op of a scenario, and the count of its callbacks. Zeroed for each run. */
struct ticket {
    struct hark_op op;
    const char *what;
    int submitted, ended, calls;
    int64_t result;                 /* of the latest callback */
    void (*then)(struct ticket *);  /* called at the end of each callback */
    struct hark_io *io;
    void *arg;
};

struct ticket *ticket_new(const char *what);
struct hark_op *ticket_op(struct ticket *ticket); /* to submit with on_ticket */
void on_ticket(struct hark_op *op);

/* Turns, until the ticket has been called back count times, or has ended, or something has failed.
 * True: it has been called back so often. */
bool await(struct ticket *ticket, int count);

/* Has a callback said something that it would not without a failure? Then a scenario gives up. */
bool has_trouble(void);
void note_trouble(void);

extern struct hark_loop *loop;

struct scenario {
    const char *name;
    const char *backends;   /* options.backend; NULL: as the environment says */
    void (*run)(void);      /* closes what it opened; hark_loop_close() follows */
};

void run_files(void); /* scenario_file.c */
bool open_pair(struct hark_io pair[2]); /* a connected one */

void run_streams(void); /* scenario_layer.c */
void run_watch(void);
void run_clocks(void);

bool is_well(int error); /* scenario.c; false: something has failed, and that is noted */
void close_ios(struct hark_io *ios, int count);

extern const struct scenario scenarios[];
extern const size_t scenario_count;

#endif
