/* The fiber benchmark on Boost.Context's fcontext: the switch, and a new context with its end. It
 * has no scheduler and no channels. Prints a line of JSON. usage: fibers_boost tight */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct transfer { void *from; void *data; };

extern struct transfer jump_fcontext(void *to, void *data);
extern void *make_fcontext(void *stack_top, size_t bytes, void (*fn)(struct transfer));

enum { ROUNDS = 5000000, STACK_BYTES = 65536 };

static double processor_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* cannot fail for this clock */
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void comes_back(struct transfer got)
{
    for (;;) got = jump_fcontext(got.from, NULL);
}

int main(void)
{
    char *stack = malloc(STACK_BYTES);
    if (stack == NULL) return 1;
    struct transfer there = { make_fcontext(stack + STACK_BYTES, STACK_BYTES, comes_back), NULL };
    double start = processor_ns();
    for (int i = 0; i < ROUNDS; i++) there = jump_fcontext(there.from, NULL);
    double switch_ns = (processor_ns() - start) / (2.0 * ROUNDS);
    start = processor_ns();
    for (int i = 0; i < ROUNDS; i++)
        (void)jump_fcontext(make_fcontext(stack + STACK_BYTES, STACK_BYTES, comes_back), NULL);
    double spawn_ns = (processor_ns() - start) / ROUNDS;
    printf("{\"switch\": %.2f, \"spawn\": %.2f}\n", switch_ns, spawn_ns);
    free(stack);
    return 0;
}
