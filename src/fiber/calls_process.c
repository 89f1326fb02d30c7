/* Processes by fibers. */
#include <hark/process.h>
#include <signal.h>

#include "fiber/fiber.h"

int64_t (hark_fiber_process_wait)(struct hark_process *process)
{
    struct hark_op op = { 0 };
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_process_wait)(hark_await_begin(&op), process, hark_await_done);
    return hark_await_end();
}

/* The child of a fiber does not outlive the call: it is killed, and waited for also in a scope that
 * was canceled. Where that fails it is left alone. */
static void kill_and_wait(struct hark_process *process)
{
    struct hark_scope shield = { 0 };
    struct hark_op op = { 0 };
    hark_process_kill(process, SIGKILL);
    hark_scope_open_shielded(&shield, 0);
    int64_t result = (hark_fiber_process_wait)(process);
    if (process->loop != NULL && result < 0) {
        (hark_process_close)(hark_await_begin(&op), process, hark_await_done);
        (void)hark_await_end();
    }
    hark_scope_close(&shield);
}

int64_t (hark_fiber_process_run)(const struct hark_process_options *options)
{
    struct hark_op op = { 0 };
    struct hark_process process = { 0 };
    if (HARK_UNLIKELY(fiber_here()->interrupt != 0)) return fiber_here()->interrupt;
    (hark_process_spawn)(hark_await_begin(&op), &process, hark_fiber_loop(), options,
                         hark_await_done);
    int64_t result = hark_await_end();
    if (process.loop == NULL) return result;
    if (result >= 0) result = (hark_fiber_process_wait)(&process);
    if (process.loop != NULL) kill_and_wait(&process);
    return result;
}
