/* A loop of libevent with stalls planted: loop_event - STALL... */
#include <event2/event.h>
#include <stdlib.h>

#include "plant.h"

static struct event *timer;

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    int ms = plant_step();
    struct timeval when = { ms / 1000, ms % 1000 * 1000 };
    if (ms >= 0) evtimer_add(timer, &when);
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    plant_begin(argc, argv, 2);
    timer = evtimer_new(base, on_timer, NULL);
    struct timeval soon = { 0, 1000 };
    evtimer_add(timer, &soon);
    event_base_dispatch(base);
    event_free(timer);
    event_base_free(base);
    return plant_end();
}
