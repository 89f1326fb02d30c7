/* What tests/gdb/test_gdb.py looks at: a loop with fibers that wait for one thing or another, and a
 * breakpoint in the one that runs. */
#include <hark/hark.h>

void all_wait(void);

__attribute__((noinline)) void all_wait(void) { __asm__ volatile(""); }

static struct hark_channel *channel;

static __attribute__((noinline)) int64_t waits_deep_down(void)
{
    int64_t error = hark_channel_receive(channel, NULL);
    return error + 1; /* not a tail call */
}

static int64_t receiver(void *arg)
{
    (void)arg;
    hark_fiber_name("the receiver");
    return waits_deep_down();
}

static int64_t sleeper(void *arg)
{
    (void)arg;
    hark_fiber_name("the sleeper");
    struct hark_op op = { 0 };
    return hark_await(&op, hark_timer, hark_fiber_loop(), INT64_MAX);
}

static int64_t boss(void *arg)
{
    struct hark_scope scope;
    (void)arg;
    hark_fiber_name("the boss");
    hark_scope_open(&scope, 0);
    if (hark_spawn(&scope, receiver, NULL) != 0 || hark_spawn(&scope, sleeper, NULL) != 0) return 1;
    hark_fiber_yield();
    all_wait();
    hark_scope_cancel(&scope);
    return hark_scope_close(&scope);
}

int main(void)
{
    struct hark_loop *loop;
    if (hark_loop_open(&loop, NULL) != 0 || hark_channel_open(&channel, loop, 0, 0) != 0) return 1;
    int64_t result = hark_fiber_main(loop, boss, NULL);
    hark_channel_free(channel);
    hark_loop_close(loop);
    return result != HARK_ECANCELED;
}
