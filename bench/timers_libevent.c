/* The timer benchmark on libevent. */
#include <event2/event.h>
#include <event2/event_struct.h>

#include "timers.h"

static struct event_base *base;
static struct event *timers;
static struct timeval *delays;

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    timers_fired();
}

void timers_open(uint32_t count)
{
    base = event_base_new();
    if (base == NULL) timers_die("event_base_new");
    timers = timers_memory(count, sizeof *timers);
    delays = timers_memory(count, sizeof *delays);
    for (uint32_t i = 0; i < count; i++)
        if (evtimer_assign(&timers[i], base, on_timer, NULL) != 0) timers_die("evtimer_assign");
}

void timers_prepare(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        delays[i].tv_sec = plan->delays_ns[i] / 1000000000;
        delays[i].tv_usec = plan->delays_ns[i] / 1000 % 1000000;
    }
}

void timers_refresh(void) { (void)event_base_update_cache_time(base); } /* a hint, no more */

void timers_insert(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t at = plan->order[i];
        event_add(&timers[at], &delays[at]);
    }
}

void timers_rearm(const struct timers_plan *plan) { timers_insert(plan); } /* its documented way */

void timers_cancel(const struct timers_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) event_del(&timers[plan->order[i]]);
}

void timers_settle(const struct timers_plan *plan) { (void)plan; } /* it makes none */

void timers_fire(void) { (void)event_base_dispatch(base); } /* the count tells */
