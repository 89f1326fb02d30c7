/* 100,000 sessions, each with an idle timeout that activity moves on, and a check of all of them.
 *
 *     timeouts [SESSIONS]
 *
 * Setting, moving and ending a timer touches one list of the loop's timer wheel, allocates nothing
 * and needs no system call, so a timeout for each session is the natural thing to write. For half a
 * second random sessions are active; one that has been idle for 300 ms ends. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "example.h"

#define IDLE_NS (300 * HARK_MILLISECOND)
enum { TICKS = 500, ACTIVE_EACH_TICK = 2000 };

struct session {
    struct hark_op timeout;
    int64_t active_ns;  /* the last activity */
    bool has_ended;
};

static struct session *sessions;
static size_t session_count = 100000;
static int64_t moved_count, fired_count, canceled_count, early_count, twice_count, latest_ns;

static void on_idle(struct hark_op *op)
{
    struct session *session = op->user;
    if (op->result < 0) { /* the program was interrupted */
        canceled_count++;
        return;
    }
    int64_t late = hark_now(hark_op_loop(op)) - (session->active_ns + IDLE_NS);
    if (late < 0) early_count++;
    if (late > latest_ns) latest_ns = late;
    if (session->has_ended) twice_count++;
    session->has_ended = true;
    fired_count++;
}

/* Any fast generator will do; this one is xorshift32 by George Marsaglia. */
static uint32_t random_number(void)
{
    static uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void on_tick(struct hark_op *op)
{
    static int64_t tick_count;
    struct hark_loop *loop = hark_op_loop(op);
    if (op->result < 0) return; /* the cancel below */
    for (int i = 0; i < ACTIVE_EACH_TICK; i++) {
        struct session *session = &sessions[random_number() % session_count];
        if (!hark_rearm(&session->timeout, hark_after(loop, IDLE_NS))) continue; /* it has ended */
        session->active_ns = hark_now(loop);
        moved_count++;
    }
    tick_count += op->result; /* more than 1 if the loop was late */
    if (tick_count >= TICKS) hark_cancel(op);
}

static int report(void)
{
    printf("%zu sessions: %" PRId64 " fired, %" PRId64 " canceled, %" PRId64 " early, %" PRId64
           " twice; %" PRId64 " times moved on; the latest by %" PRId64 " us\n", session_count,
           fired_count, canceled_count, early_count, twice_count, moved_count,
           latest_ns / HARK_MICROSECOND);
    bool is_complete = fired_count + canceled_count == (int64_t)session_count;
    bool is_right = is_complete && early_count == 0 && twice_count == 0;
    return is_right ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc > 1) session_count = strtoul(argv[1], NULL, 10);
    sessions = calloc(session_count, sizeof *sessions);
    if (session_count == 0 || sessions == NULL) {
        fprintf(stderr, "usage: timeouts [SESSIONS], as many as memory holds\n");
        free(sessions);
        return 2;
    }
    struct hark_op tick = { 0 };
    struct hark_loop *loop = example_open();
    for (size_t i = 0; i < session_count; i++) {
        struct session *session = &sessions[i];
        session->timeout.user = session;
        session->active_ns = hark_now(loop);
        hark_timer(&session->timeout, loop, session->active_ns + IDLE_NS, on_idle);
    }
    hark_timer_every(&tick, loop, hark_after(loop, 0), HARK_MILLISECOND, on_tick);
    int code = example_run(loop);
    if (code == EXIT_SUCCESS) code = report();
    free(sessions);
    return code;
}
