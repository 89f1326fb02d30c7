/* A supervisor that keeps programs running, and reaps what they leave behind as pid 1 should.
 *
 *     supervise PROGRAM [ARGUMENT...] [-- PROGRAM [ARGUMENT...]]...
 *
 * One that ends is started again after 100 ms, then 200, 400, ... up to 10 s; one that has run for
 * 10 s begins anew. SIGTERM or SIGINT ends all: the programs get SIGTERM, and SIGKILL if they are
 * still there after a second. Orphans come to pid 1, or, on Linux, to who asks for them, as here;
 * Windows has neither orphans nor a signal that a program can ignore. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#if __has_include(<sys/prctl.h>)
#include <sys/prctl.h>
#endif

#include "example.h"

#define FIRST_DELAY_NS (100 * HARK_MILLISECOND)
#define LONGEST_DELAY_NS (10 * HARK_SECOND)
enum { SERVICES_MAX = 64 };

struct service {
    struct hark_op op;            /* starts, waits for the end, waits for the next start */
    struct hark_process process;
    struct hark_process_options options;
    int64_t started_ns, delay_ns;
};

static struct hark_loop *loop;
static struct hark_reaper reaper;
static struct service services[SERVICES_MAX];
static size_t service_count;
static bool is_ending;

static void start(struct hark_op *op);

static void start_later(struct service *service)
{
    bool begins_anew = hark_now(loop) - service->started_ns >= LONGEST_DELAY_NS;
    int64_t delay_ns = begins_anew ? FIRST_DELAY_NS : service->delay_ns;
    service->delay_ns = delay_ns < LONGEST_DELAY_NS / 2 ? 2 * delay_ns : LONGEST_DELAY_NS;
    printf("%s again in %" PRId64 " ms\n", service->options.argv[0], delay_ns / HARK_MILLISECOND);
    hark_timer(&service->op, loop, hark_after(loop, delay_ns), start);
}

static void on_end(struct hark_op *op)
{
    struct service *service = op->user;
    printf("%s %d ended by %s %d\n", service->options.argv[0], (int)service->process.pid,
           op->result < 256 ? "exit" : "signal", (int)op->result % 256);
    if (!is_ending) start_later(service);
}

static void on_start(struct hark_op *op)
{
    struct service *service = op->user;
    if (op->result < 0) printf("%s: %s\n", service->options.argv[0], hark_strerror(op->result));
    else printf("%s %d started\n", service->options.argv[0], (int)op->result);
    if (op->result > 0) hark_process_wait(op, &service->process, on_end);
    else if (!is_ending) start_later(service);
}

/* At once, or after the delay. */
static void start(struct hark_op *op)
{
    struct service *service = op->user;
    if (op->result < 0 || is_ending) return;
    service->started_ns = hark_now(loop);
    hark_process_spawn(&service->op, &service->process, loop, &service->options, on_start);
}

static void on_orphan(struct hark_op *op)
{
    if (op->result > 0) printf("reaped %" PRId64 ", which gave %d\n", op->result, reaper.end.code);
}

static void on_signal(struct hark_op *op) { if (op->result > 0) hark_stop(loop); }

/* What runs gets a signal; what waits for its next start does not get that. */
static void end_all(int number)
{
    is_ending = true;
    for (size_t i = 0; i < service_count; i++)
        if (hark_process_kill(&services[i].process, number) != 0) hark_cancel(&services[i].op);
}

static void adopt_orphans(void)
{
#ifdef PR_SET_CHILD_SUBREAPER
    prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
}

static void add_services(int argc, char **argv)
{
    for (int i = 1, first = 1; i <= argc && service_count < SERVICES_MAX; i++) {
        if (i < argc && strcmp(argv[i], "--") != 0) continue;
        argv[i] = NULL; /* ends the arguments of one program */
        struct service *service = &services[service_count++];
        service->options.argv = (const char *const *)(void *)&argv[first];
        service->delay_ns = FIRST_DELAY_NS;
        service->op.user = service;
        first = i + 1;
        start(&service->op);
    }
}

int main(int argc, char **argv)
{
    static struct hark_signal signals[2];
    static struct hark_op ops[3], *const ends[] = { &ops[0], &ops[1], &ops[2] };
    const struct hark_drain drain = { .ends = ends, .end_count = 3, .patience_ns = HARK_SECOND };
    example_require(argc > 1 ? 0 : HARK_EINVAL, "usage: supervise PROGRAM [ARGUMENT...]");
    setvbuf(stdout, NULL, _IONBF, 0); /* a line is seen at once, also through a pipe */
    adopt_orphans();
    example_require(hark_loop_open(&loop, NULL), "no loop");
    hark_signal(&ops[0], &signals[0], loop, SIGTERM, on_signal);
    hark_signal(&ops[1], &signals[1], loop, SIGINT, on_signal);
    hark_reap(&ops[2], &reaper, loop, on_orphan);
    add_services(argc, argv);
    example_require(hark_run(loop), "supervise");
    end_all(SIGTERM);
    if (hark_drain(loop, &drain) > 0) end_all(SIGKILL);
    example_require(hark_run(loop), "supervise");
    hark_loop_close(loop);
    return 0;
}
