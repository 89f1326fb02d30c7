/* The posting benchmark on hark: an op each. The argument names the backend. */
#include <hark/hark.h>
#include <stdlib.h>

#include "post.h"

static struct hark_loop *loop;
static struct hark_op *ops;

static void on_post(struct hark_op *op) { post_arrived((uint32_t)(uintptr_t)op->user); }

void post_open(uint32_t count, const char *arg)
{
    struct hark_loop_options options = { .backend = arg };
    if (hark_loop_open(&loop, &options) != 0) post_die("hark_loop_open");
    hark_hold(loop);
    ops = malloc(count * sizeof *ops);
    if (ops == NULL) post_die("malloc");
    for (uint32_t i = 0; i < count; i++) ops[i] = (struct hark_op){ .user = (void *)(uintptr_t)i };
}

void post_item(uint32_t item) { hark_post(&ops[item], loop, on_post); }

void post_run(void)
{
    if (hark_run(loop) != 0) post_die("hark_run");
}

void post_stop(void) { hark_stop(loop); }
