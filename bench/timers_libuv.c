/* The timer benchmark on libuv, whose timers count milliseconds. */
#include <uv.h>

#include "timers.h"

static uv_loop_t *loop;
static uv_timer_t *timers;
static uint64_t *delays;

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    timers_fired();
}

void timers_open(uint32_t count)
{
    loop = uv_default_loop();
    if (loop == NULL) timers_die("uv_default_loop");
    timers = timers_memory(count, sizeof *timers);
    delays = timers_memory(count, sizeof *delays);
    for (uint32_t i = 0; i < count; i++)
        if (uv_timer_init(loop, &timers[i]) != 0) timers_die("uv_timer_init");
}

void timers_prepare(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++)
        delays[i] = (uint64_t)plan->delays_ns[i] / 1000000;
}

void timers_refresh(void) { uv_update_time(loop); }

void timers_insert(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t at = plan->order[i];
        uv_timer_start(&timers[at], on_timer, delays[at], 0);
    }
}

void timers_rearm(const struct timers_plan *plan) { timers_insert(plan); } /* its documented way */

void timers_cancel(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) uv_timer_stop(&timers[plan->order[i]]);
}

void timers_settle(const struct timers_plan *plan) { (void)plan; } /* it makes none */

void timers_fire(void) { (void)uv_run(loop, UV_RUN_DEFAULT); } /* the count tells */
