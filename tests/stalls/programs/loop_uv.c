/* A loop of libuv with stalls planted: loop_uv - STALL... */
#include <stdlib.h>
#include <uv.h>

#include "plant.h"

static void on_timer(uv_timer_t *timer)
{
    int ms = plant_step();
    if (ms >= 0) uv_timer_start(timer, on_timer, (uint64_t)ms, 0);
}

int main(int argc, char **argv)
{
    uv_timer_t timer;
    plant_begin(argc, argv, 2);
    uv_timer_init(uv_default_loop(), &timer);
    uv_timer_start(&timer, on_timer, 1, 0);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return plant_end();
}
