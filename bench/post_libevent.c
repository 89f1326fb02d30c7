/* The posting benchmark on libevent: a locked queue, and an event made active when it was empty. */
#include <event2/event.h>
#include <event2/thread.h>

#include "post.h"

static struct event_base *base;
static struct event *event;

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    post_queue_drain();
}

void post_open(uint32_t count, const char *arg)
{
    (void)arg;
    post_queue_open(count);
    if (evthread_use_pthreads() != 0) post_die("evthread_use_pthreads");
    base = event_base_new();
    if (base == NULL) post_die("event_base_new");
    event = event_new(base, -1, EV_PERSIST | EV_READ, on_event, NULL);
    if (event == NULL) post_die("event_new");
}

void post_item(uint32_t item)
{
    if (post_queue_push(item)) event_active(event, EV_READ, 0);
}

void post_run(void) { (void)event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY); } /* until broken */

void post_stop(void) { event_base_loopbreak(base); }
