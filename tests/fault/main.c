/* The sweep itself. Exit code 77: the kernel that HARK_BACKEND names is not offered here. */
#include "fault.h"

#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TICKETS = 32, CALLS_MAX = 5000, PATIENCE_S = 3, SWEEP_S = 120 };

struct hark_loop *loop;

static struct {
    const struct scenario *scenario;
    unsigned call_index, error_index;
    struct ticket tickets[TICKETS];
    int ticket_count;
    bool has_trouble;
    long memory_balance;
} run;

_Noreturn void fail(const char *format, ...)
{
    va_list args;
    fprintf(stderr, "fault: scenario %s, call %u (%s), error %u: ", run.scenario->name,
            run.call_index, inject_what(), run.error_index);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort(); /* where a debugger shows how it came to this */
}

static int64_t clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * HARK_SECOND + ts.tv_nsec;
}

static int descriptor_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;
    if (dir == NULL) fail("/proc/self/fd cannot be read");
    while (readdir(dir) != NULL) count++;
    closedir(dir);
    return count;
}

struct ticket *ticket_new(const char *what)
{
    if (run.ticket_count == TICKETS) fail("the scenario has too many ops");
    struct ticket *ticket = &run.tickets[run.ticket_count++];
    ticket->what = what;
    return ticket;
}

struct hark_op *ticket_op(struct ticket *ticket)
{
    ticket->submitted++;
    return &ticket->op;
}

void on_ticket(struct hark_op *op)
{
    struct ticket *ticket = (struct ticket *)(void *)op; /* op is its first member */
    if (ticket->ended == ticket->submitted) fail("%s was called back after its end", ticket->what);
    ticket->calls++;
    ticket->result = op->result;
    if (!op->more) ticket->ended++;
    if (op->result < 0) run.has_trouble = true;
    if (op->result < 0 && !inject_has_fired() && op->result != HARK_ECANCELED &&
        op->result != HARK_ETIMEDOUT)
        fail("%s says %s, though nothing failed", ticket->what, hark_strerror(op->result));
    if (ticket->then != NULL) ticket->then(ticket);
}

bool has_trouble(void) { return run.has_trouble; }
void note_trouble(void) { run.has_trouble = true; }

bool await(struct ticket *ticket, int count)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (ticket->calls < count && ticket->ended < ticket->submitted && !run.has_trouble) {
        if (clock_now() > end) {
            hark_loop_print(loop, stderr);
            fail("%s never comes", ticket->what);
        }
        int64_t made = hark_step(loop, 100 * HARK_MILLISECOND);
        if (made < 0 && !inject_has_fired()) fail("hark_step: %s", hark_strerror(made));
    }
    return ticket->calls >= count && !run.has_trouble;
}

/* The allocator hook: an allocation fails as a system call does. */
static void *counted(void *user, void *ptr, size_t old_bytes, size_t new_bytes)
{
    static const int errors[] = { 12 /* any: NULL is the answer */, 0 };
    (void)user;
    if (new_bytes == 0) {
        run.memory_balance -= (long)old_bytes;
        free(ptr);
        return NULL;
    }
    if (inject_error("an allocation", errors) != 0) return NULL;
    inject_pause(); /* counted already */
    void *moved = realloc(ptr, new_bytes);
    inject_resume();
    run.memory_balance += (long)new_bytes - (long)old_bytes;
    return moved;
}

static void check_end(int descriptors_before)
{
    for (int i = 0; i < run.ticket_count; i++) {
        const struct ticket *ticket = &run.tickets[i];
        if (ticket->ended != ticket->submitted)
            fail("%s: %d submitted, %d ended", ticket->what, ticket->submitted, ticket->ended);
    }
    int after = descriptor_count();
    if (after != descriptors_before)
        fail("%d descriptors before, %d after", descriptors_before, after);
    if (run.memory_balance != 0) fail("%ld bytes are leaked", run.memory_balance);
}

/* One run. The number of calls that could have failed. */
static unsigned run_once(const struct scenario *scenario, unsigned call_index, unsigned error_index)
{
    int before = descriptor_count();
    memset(&run, 0, sizeof run);
    run.scenario = scenario;
    run.call_index = call_index;
    run.error_index = error_index;
    struct hark_allocator allocator = { .resize = counted };
    struct hark_loop_options options = { .backend = scenario->backends };
    if (scenario->run != NULL) options.allocator = &allocator; /* else malloc(3) is wrapped */
    inject_arm(call_index, error_index);
    int error = hark_loop_open(&loop, &options);
    if (error != 0 && !inject_has_fired()) fail("hark_loop_open: %s", hark_strerror(error));
    if (error == 0) {
        if (scenario->run != NULL) scenario->run();
        hark_loop_close(loop);
    }
    unsigned seen = inject_disarm();
    check_end(before);
    return seen;
}

static unsigned sweep(const struct scenario *scenario)
{
    unsigned fired = 0;
    for (unsigned error_index = 0; error_index < ERRORS_MAX; error_index++) {
        unsigned before = fired;
        for (unsigned call_index = 1; call_index < CALLS_MAX; call_index++) {
            unsigned seen = run_once(scenario, call_index, error_index);
            fired += inject_has_fired();
            if (seen < call_index) break;
        }
        if (fired == before) break; /* no call has so many errors */
    }
    return fired;
}

static void on_alarm(int number)
{
    static const char text[] = "fault: the sweep hangs\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1); /* nothing else could tell */
    abort();
}

int main(int argc, char **argv)
{
    const char *backend = getenv("HARK_BACKEND");
    char why[256];
    if (backend != NULL && hark_backend_probe(backend, why, sizeof why) != 0) {
        printf("skipped: %s: %s\n", backend, why);
        return 77;
    }
    signal(SIGALRM, on_alarm);
    alarm(SWEEP_S);
    setvbuf(stdout, NULL, _IOLBF, 0);
    bool has_run = false;
    for (size_t i = 0; i < scenario_count; i++) {
        if (argc > 1 && strcmp(argv[1], scenarios[i].name) != 0) continue;
        unsigned fired = sweep(&scenarios[i]);
        printf("%-10s %4u failures survived\n", scenarios[i].name, fired);
        if (fired == 0) fail("no call was made to fail: is the program linked with --wrap?");
        has_run = true;
    }
    if (!has_run) fprintf(stderr, "fault: no such scenario\n");
    return has_run ? 0 : 2;
}
