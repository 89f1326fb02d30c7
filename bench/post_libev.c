/* The posting benchmark on libev: a locked queue and an ev_async. */
#include <ev.h>

#include "post.h"

static struct ev_loop *loop;
static ev_async async;

static void on_async(struct ev_loop *of, ev_async *watcher, int events)
{
    (void)of, (void)watcher, (void)events;
    post_queue_drain();
}

void post_open(uint32_t count, const char *arg)
{
    (void)arg;
    post_queue_open(count);
    loop = ev_default_loop(EVBACKEND_EPOLL);
    if (loop == NULL) post_die("ev_default_loop");
    ev_async_init(&async, on_async);
    ev_async_start(loop, &async);
}

void post_item(uint32_t item)
{
    (void)post_queue_push(item); /* libev itself knows whether a wake-up is under way */
    ev_async_send(loop, &async);
}

void post_run(void) { ev_run(loop, 0); }

void post_stop(void) { ev_break(loop, EVBREAK_ALL); }
