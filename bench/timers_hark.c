/* The timer benchmark on hark: an op each. */
#include <hark/hark.h>

#include "timers.h"

static struct hark_loop *loop;
static struct hark_op *timers;

static void on_timer(struct hark_op *op)
{
    if (op->result == 0) timers_fired(); /* else it was canceled */
}

void timers_open(uint32_t count)
{
    if (hark_loop_open(&loop, NULL) != 0) timers_die("hark_loop_open");
    timers = timers_memory(count, sizeof *timers);
}

void timers_prepare(const struct timers_plan *plan) { (void)plan; } /* its unit is the nanosecond */

void timers_refresh(void) { (void)hark_refresh(loop); }

void timers_insert(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t at = plan->order[i];
        hark_timer(&timers[at], loop, hark_after(loop, plan->delays_ns[at]), on_timer);
    }
}

void timers_rearm(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t at = plan->order[i];
        (void)hark_rearm(&timers[at], hark_after(loop, plan->delays_ns[at])); /* all are alive */
    }
}

void timers_cancel(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) (void)hark_cancel(&timers[plan->order[i]]);
}

void timers_settle(const struct timers_plan *plan)
{
    (void)plan;
    while (hark_step(loop, 0) > 0) { /* until none is left */ }
}

void timers_fire(void)
{
    if (hark_run(loop) != 0) timers_die("hark_run");
}
