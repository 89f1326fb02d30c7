/* The watch by BPF, where this process may load it. */
#include "planted.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MS(n) ((int64_t)(n) * 1000000)
#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void check(const char *call)
{
    struct planted *planted = planted_run(
        WATCH_BPF, MS(20), "loop_bare",
        LIST(call, "busy:60", "sleep:60", "fifo:60", "nested:60", "exit:5"));
    ck_assert_int_eq(planted->truth_count, 4);
    for (int i = 0; i < 4; i++) {
        const struct truth *truth = &planted->truths[i];
        const struct stall *stall = planted_find(planted, truth);
        ck_assert_msg(stall != NULL, "%s was not found", truth->name);
        int64_t off = stall->held_ns - (truth->ended_ns - truth->began_ns);
        printf("%s: length %+.3f ms, %d looks\n", truth->name, (double)off / 1e6,
               stall->look_count);
        ck_assert(planted_is_exact(stall, truth));
    }
    ck_assert_int_eq(planted->facts.mode, WATCH_BPF);
    ck_assert_int_eq(planted->facts.loop_count, 1);
    ck_assert_int_eq(planted->failures, 0);
    planted_free(planted);
}

START_TEST(the_kernel_tells_of_each_wait_in_epoll)
{
    check("epoll_wait");
    check("epoll_pwait");
    check("epoll_pwait2");
}
END_TEST

START_TEST(an_idle_and_a_saturated_loop_give_no_report)
{
    struct planted *planted = planted_run(WATCH_BPF, MS(50), "loop_bare",
                                          LIST("epoll_wait", "idle:2000", "short:2000"));
    printf("the watch used %.2f %% of a core\n", (double)planted->watcher_ns / 4.3e7);
    ck_assert(planted->facts.turn_count > 500);
    for (int i = 0; i < planted->stall_count; i++)
        ck_assert(planted_was_late(planted, &planted->stalls[i]));
    planted_free(planted);
}
END_TEST

int main(void)
{
    char why[TEXT_ROOM];
    struct bpf *bpf = bpf_open(getpid(), MS(20), why, sizeof why);
    if (bpf == NULL) {
        printf("skipped: no BPF: %s\n", why);
        return 77;
    }
    bpf_close(bpf);
    Suite *suite = suite_create("bpf");
    UNIT_CASE(suite, the_kernel_tells_of_each_wait_in_epoll);
    UNIT_CASE(suite, an_idle_and_a_saturated_loop_give_no_report);
    return unit_run(suite);
}
