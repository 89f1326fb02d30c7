/* Fibers on a processor of another kind, run under an emulator: exits with 0 when all is as it
 * should be, else with a line that says what is not. No test library, so that nothing but a
 * compiler and the C library is needed for that processor. */
#include <hark/hark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void want(bool is_so, const char *what)
{
    if (is_so) return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

/* Keeps integers and floating-point numbers in registers over many switches. */
static int64_t keeps_registers(void *arg)
{
    int64_t seed = (int64_t)(intptr_t)arg, a = seed, b = seed + 1, c = seed + 2, d = seed + 3;
    double x = (double)seed, y = x + 0.5, z = x + 0.25, w = x + 0.125;
    for (int i = 0; i < 10000; i++) {
        a += 1, b += a & 3, c ^= b, d += c & 7;
        x += 1.0, y += 0.5, z += 0.25, w += 0.125;
        hark_fiber_yield();
    }
    want(a == seed + 10000, "integers survive a switch");
    want(x == (double)seed + 10000 && y == (double)seed + 5000.5 && z == (double)seed + 2500.25 &&
         w == (double)seed + 1250.125, "floating-point numbers survive a switch");
    return b == 0 && c == 0 && d == 0; /* they are used */
}

static int64_t deep(void *arg)
{
    volatile char frame[400];
    int64_t left = (int64_t)(intptr_t)arg;
    frame[0] = 1;
    hark_fiber_yield();
    return left == 0 ? 0 : deep((void *)(intptr_t)(left - 1)) + frame[0];
}

static struct hark_channel *channel;

static int64_t sends(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) want(hark_channel_send(channel, &i) == 0, "a send");
    hark_channel_close(channel);
    return 0;
}

static int64_t echoes(void *arg)
{
    char buf[64];
    int64_t n;
    while ((n = hark_fiber_recv(arg, buf, sizeof buf)) > 0)
        want(hark_fiber_send_all(arg, buf, (size_t)n) == n, "an echo");
    return hark_fiber_close(arg);
}

static int64_t all(void *arg)
{
    struct hark_loop *loop = arg;
    struct hark_scope scope;
    struct hark_io here = { 0 }, there = { 0 };
    int item, sum = 0, fds[2];
    int64_t depth = 0;
    char got[5];
    hark_scope_open(&scope, 0);
    for (intptr_t i = 0; i < 50; i++)
        want(hark_spawn(&scope, keeps_registers, (void *)(i * 1000)) == 0, "a spawn");
    want(hark_spawn_into(&scope, deep, (void *)100, &depth) == 0, "a spawn");
    want(hark_scope_close(&scope) == 0 && depth == 100, "a deep stack comes back");
    want(hark_channel_open(&channel, loop, sizeof item, 0) == 0, "a channel");
    hark_scope_open(&scope, hark_after(loop, 60 * HARK_SECOND));
    want(hark_spawn(&scope, sends, NULL) == 0, "a spawn");
    while (hark_channel_receive(channel, &item) == 0) sum += item;
    want(sum == 499500, "all items arrive");
    want(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "a socket pair");
    want(hark_io_adopt(&here, loop, fds[0]) == 0, "an io");
    want(hark_io_adopt(&there, loop, fds[1]) == 0, "an io");
    want(hark_spawn(&scope, echoes, &there) == 0, "a spawn");
    want(hark_fiber_send_all(&here, "hello", 5) == 5, "a send");
    want(hark_fiber_recv_exactly(&here, got, 5) == 5 && memcmp(got, "hello", 5) == 0, "an echo");
    want(hark_fiber_close(&here) == 0 && hark_scope_close(&scope) == 0, "an end");
    hark_channel_free(channel);
    hark_scope_open(&scope, hark_after(loop, HARK_MILLISECOND));
    want(hark_fiber_sleep(60 * HARK_SECOND) == HARK_ETIMEDOUT, "a deadline");
    return hark_scope_close(&scope);
}

int main(void)
{
    struct hark_loop *loop;
    want(hark_loop_open(&loop, NULL) == 0, "a loop");
    want(hark_fiber_main(loop, all, loop) == HARK_ETIMEDOUT, "the end of all");
    printf("fibers on %s: well\n", hark_loop_backend(loop));
    hark_loop_close(loop);
    return 0;
}
