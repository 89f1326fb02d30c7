/* Which callback holds the loop? A server whose callbacks block in three ways, watched.
 *
 *     stall
 *
 * A timer starts one after the other: a loop that computes, a sleep, a read of a pipe that nobody
 * writes to. The watch catches each while it lasts and says in which line. The same without a line
 * of code: HARK_STALL=20ms in the environment of any program that uses hark. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "example.h"

enum { CULPRITS = 3, HELD_MS = 100 };

static int pipe_ends[2];

/* How programs come to do so: a hash, a "short" sleep, a read of the wrong descriptor. */

static void compute(void)
{
    volatile unsigned hash = 5381;
    clock_t end = clock() + HELD_MS * CLOCKS_PER_SEC / 1000;
    while (clock() < end) hash = hash * 33 ^ (unsigned)end;
}

static void sleep_a_little(void)
{
    struct timespec pause = { .tv_nsec = HELD_MS * HARK_MILLISECOND };
    nanosleep(&pause, NULL);
}

static void read_what_comes(void)
{
    char byte;
    if (read(pipe_ends[0], &byte, 1) < 0) perror("read");
}

static void (*const culprits[CULPRITS])(void) = { compute, sleep_a_little, read_what_comes };

/* Called on the sampler's thread, while the callback still runs. */
static void on_stall(const struct hark_stall *stall, void *user)
{
    (void)user;
    if (stall->moment == HARK_STALL_GOES_ON) return; /* told each 10 ms */
    hark_stall_print(stall, stdout);
    fflush(stdout);
    if (stall->moment == HARK_STALL_CAUGHT && stall->fd == pipe_ends[0])
        if (write(pipe_ends[1], "x", 1) < 0) perror("write"); /* let it go */
}

static void on_time(struct hark_op *op)
{
    static int done_count;
    if (op->result < 0) return;
    if (done_count == CULPRITS) {
        hark_cancel(op);
        return;
    }
    culprits[done_count++]();
    op->label = "every now and then";
}

int main(void)
{
    struct hark_op timer = { .label = "every now and then" };
    struct hark_stall_options options = { .budget_ns = 20 * HARK_MILLISECOND, .fn = on_stall,
                                          .action = HARK_STALL_QUIET };
    struct hark_loop *loop = example_open();
    int error = pipe(pipe_ends) != 0 ? HARK_EMFILE : hark_stall_watch(&options);
    if (error != 0) {
        fprintf(stderr, "no watch: %s\n", hark_strerror(error));
        return EXIT_FAILURE;
    }
    hark_timer_every(&timer, loop, hark_now(loop), 50 * HARK_MILLISECOND, on_time);
    int code = example_run(loop);
    hark_stall_unwatch();
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return code;
}
