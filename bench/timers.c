/* Measures insert, re-arm, cancel and fire of very many timers on one library, and prints a line of
 * JSON with nanoseconds of processor time an operation. The deadlines are random with a fixed seed:
 * the same for every library.
 *
 *   insert  each with a delay of its own, 1 to 60 s
 *   rearm   the same delay from now on, as an idle time-out is put off
 *   move    another random delay
 *   cancel  and settle: the callbacks of canceled timers, which only hark makes
 *   fire    delays of up to a second are inserted, waited for, and then run all at once
 *
 * The order in which timers are re-armed, moved and canceled is that of their insertion, which is
 * that of their memory, or random.
 *
 * usage: timers_LIBRARY COUNT insertion|random */
#include "timers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SEED = 20240229, SECONDS_MAX = 300 };

static const int64_t second_ns = 1000000000;

uint32_t timers_fired_count;

static uint64_t random_state = SEED;

/* xorshift64* */
static uint64_t random_next(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717);
}

_Noreturn void timers_die(const char *what)
{
    fprintf(stderr, "timers: %s failed\n", what);
    exit(1);
}

void *timers_memory(uint32_t count, uint64_t bytes)
{
    void *memory = malloc(count * bytes);
    if (memory == NULL) timers_die("malloc");
    memset(memory, 0, count * bytes);
    return memory;
}

/* Of this process alone, so that nothing else on the processor is counted. */
static int64_t processor_ns(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* cannot fail for this clock */
    return now.tv_sec * second_ns + now.tv_nsec;
}

static void fill_order(uint32_t *order, uint32_t count, int is_random)
{
    for (uint32_t i = 0; i < count; i++) order[i] = i;
    for (uint32_t i = count; is_random && i > 1; i--) { /* Fisher and Yates */
        uint32_t other = (uint32_t)(random_next() % i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static void fill_delays(int64_t *delays, uint32_t count, int64_t least, int64_t most)
{
    for (uint32_t i = 0; i < count; i++)
        delays[i] = least + (int64_t)(random_next() % (uint64_t)(most - least));
}

static double measure(void (*phase)(const struct timers_plan *), const struct timers_plan *plan)
{
    timers_prepare(plan);
    timers_refresh();
    int64_t start = processor_ns();
    phase(plan);
    return (double)(processor_ns() - start) / plan->count;
}

static double measure_fire(const struct timers_plan *plan)
{
    struct timespec pause = { .tv_sec = 1, .tv_nsec = 200000000 };
    timers_prepare(plan);
    timers_refresh();
    timers_insert(plan);
    while (nanosleep(&pause, &pause) != 0) { /* interrupted: the rest of it */ }
    int64_t start = processor_ns();
    timers_fire();
    int64_t end = processor_ns();
    if (timers_fired_count != plan->count) timers_die("firing each timer once");
    return (double)(end - start) / plan->count;
}

int main(int argc, char **argv)
{
    uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    int is_random = argc > 2 && strcmp(argv[2], "random") == 0;
    if (count == 0) timers_die("reading COUNT");
    alarm(SECONDS_MAX);
    uint32_t *order = timers_memory(count, sizeof *order);
    int64_t *delays = timers_memory(count, sizeof *delays);
    struct timers_plan first = { count, order, delays };
    fill_order(order, count, 0);
    fill_delays(delays, count, second_ns, 60 * second_ns);
    timers_open(count);
    timers_prepare(&first); /* a first round, in which the library's memory grows */
    timers_refresh();
    timers_insert(&first);
    timers_cancel(&first);
    timers_settle(&first);
    double insert = measure(timers_insert, &first);
    fill_order(order, count, is_random);
    double rearm = measure(timers_rearm, &first);
    fill_delays(delays, count, second_ns, 60 * second_ns);
    double move = measure(timers_rearm, &first);
    double cancel = measure(timers_cancel, &first);
    double settle = measure(timers_settle, &first);
    fill_order(order, count, 0);
    fill_delays(delays, count, 1, second_ns);
    double fire = measure_fire(&first);
    printf("{\"count\": %u, \"insert\": %.2f, \"cancel\": %.2f, \"settle\": %.2f, \"fire\": %.2f, "
           "\"rearm\": %.2f, \"move\": %.2f}\n", count, insert, cancel, settle, fire, rearm, move);
    return 0;
}
