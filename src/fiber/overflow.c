/* Who overflowed its stack? Asked for by hark_loop_options.reports_overflow: a handler of SIGSEGV
 * and SIGBUS, on a stack of its own, that names the fiber whose guard was touched. Then, or if it
 * is about something else, the signal goes to whom it would have gone to. */
#include <signal.h>
#include <unistd.h>

#include "fiber/fiber.h"

enum { SIGNAL_STACK_BYTES = 65536 };

static struct sigaction before_segv, before_bus;
static atomic_flag is_installed = ATOMIC_FLAG_INIT;

/* What may be called in a signal handler: copying and write(2), here in one piece. */
static void say(const char *const *texts)
{
    char line[512];
    size_t len = 0;
    for (; *texts != NULL; texts++)
        for (const char *at = *texts; *at != '\0' && len < sizeof line; at++) line[len++] = *at;
    ssize_t n = write(STDERR_FILENO, line, len);
    (void)n; /* there is nobody to tell */
}

static void report(const struct hark_fiber *fiber)
{
    say((const char *const[]){
        "hark: a fiber overflowed its stack: ",
        fiber->name != NULL ? fiber->name : "without a name", ", started at ",
        fiber->place != NULL ? fiber->place : "a place that was not recorded",
        " (hark_loop_options.fiber_stack_bytes gives it more)\n", NULL });
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    const struct hark_fiber *fiber = fiber_current;
    struct sigaction *before = signal == SIGSEGV ? &before_segv : &before_bus;
    if (fiber != NULL && stack_guards(&fiber->fibers->stacks, fiber, info->si_addr))
        report(fiber);
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(signal, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(signal);
    } else {
        struct sigaction plain = { .sa_handler = SIG_DFL };
        (void)sigaction(signal, &plain, NULL); /* the fault comes again, and ends the program */
    }
}

static void install(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigemptyset(&action.sa_mask);
    if (atomic_flag_test_and_set(&is_installed)) return;
    (void)sigaction(SIGSEGV, &action, &before_segv); /* valid arguments cannot fail */
    (void)sigaction(SIGBUS, &action, &before_bus);
}

/* Called in each turn in which fibers run, by the thread that runs them; the first call counts. */
void overflow_watch(struct fibers *fibers)
{
    stack_t stack = { 0 };
    if (fibers->signal_stack != NULL) return;
    install();
    if (sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE)) return; /* it has one */
    fibers->signal_stack = loop_resize(fibers->loop, NULL, 0, SIGNAL_STACK_BYTES);
    if (fibers->signal_stack == NULL) return; /* an overflow ends the program without a word */
    stack = (stack_t){ .ss_sp = fibers->signal_stack, .ss_size = SIGNAL_STACK_BYTES };
    (void)sigaltstack(&stack, NULL);
}

void overflow_unwatch(struct fibers *fibers)
{
    stack_t none = { .ss_flags = SS_DISABLE };
    if (fibers->signal_stack == NULL) return;
    (void)sigaltstack(&none, NULL); /* by the thread that owns the loop */
    loop_resize(fibers->loop, fibers->signal_stack, SIGNAL_STACK_BYTES, 0);
}
