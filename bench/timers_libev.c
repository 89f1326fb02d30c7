/* The timer benchmark on libev. */
#include <ev.h>

#include "timers.h"

static struct ev_loop *loop;
static ev_timer *timers;
static ev_tstamp *delays;

static void on_timer(struct ev_loop *of, ev_timer *timer, int events)
{
    (void)of, (void)timer, (void)events;
    timers_fired();
}

void timers_open(uint32_t count)
{
    loop = ev_default_loop(EVBACKEND_EPOLL);
    if (loop == NULL) timers_die("ev_default_loop");
    timers = timers_memory(count, sizeof *timers);
    delays = timers_memory(count, sizeof *delays);
}

void timers_prepare(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) delays[i] = (ev_tstamp)plan->delays_ns[i] / 1e9;
}

void timers_refresh(void) { ev_now_update(loop); }

void timers_insert(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t at = plan->order[i];
        ev_timer_init(&timers[at], on_timer, delays[at], 0.);
        ev_timer_start(loop, &timers[at]);
    }
}

void timers_rearm(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t at = plan->order[i];
        timers[at].repeat = delays[at];
        ev_timer_again(loop, &timers[at]);
    }
}

void timers_cancel(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) ev_timer_stop(loop, &timers[plan->order[i]]);
}

void timers_settle(const struct timers_plan *plan) { (void)plan; } /* it makes none */

void timers_fire(void) { ev_run(loop, 0); }
