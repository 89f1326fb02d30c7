/* The posting benchmark on libuv: a locked queue and uv_async_send(). */
#include <uv.h>

#include "post.h"

static uv_loop_t *loop;
static uv_async_t async;

static void on_async(uv_async_t *handle)
{
    (void)handle;
    post_queue_drain();
}

void post_open(uint32_t count, const char *arg)
{
    (void)arg;
    post_queue_open(count);
    loop = uv_default_loop();
    if (loop == NULL || uv_async_init(loop, &async, on_async) != 0) post_die("uv_async_init");
}

void post_item(uint32_t item)
{
    (void)post_queue_push(item); /* libuv itself knows whether a wake-up is under way */
    if (uv_async_send(&async) != 0) post_die("uv_async_send");
}

void post_run(void) { (void)uv_run(loop, UV_RUN_DEFAULT); } /* stopped, so handles are left */

void post_stop(void) { uv_stop(loop); }
