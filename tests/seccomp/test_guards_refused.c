/* Promise 17 where guards cannot be made by madvise(2), as before Linux 6.13 or under a filter that
 * does not know it: fibers run all the same, each guarded by mprotect(2). Where neither is allowed,
 * none is started: a stack without a guard is no stack. */
#include "filter.h"

#include <hark/hark.h>

static int64_t yields(void *arg)
{
    hark_fiber_yield();
    ++*(int *)arg;
    return 0;
}

/* Mappings of this process that allow nothing. */
static int guard_count(void)
{
    char line[512];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) count += strstr(line, " ---p ") != NULL;
    fclose(maps);
    return count;
}

static void guards_by_mprotect(const struct filter_case *filter_case)
{
    enum { FIBERS = 300 };
    struct hark_loop *loop;
    int count = 0, before = guard_count();
    (void)filter_case;
    CHECK(hark_loop_open(&loop, NULL) == 0);
    for (int i = 0; i < FIBERS; i++) CHECK(hark_fiber_start(loop, yields, &count) == 0);
    CHECK(guard_count() >= before + FIBERS);
    CHECK(hark_run(loop) == 0);
    CHECK(count == FIBERS);
    hark_loop_close(loop);
}

static void refuses(const struct filter_case *filter_case)
{
    struct hark_loop *loop;
    int count = 0;
    (void)filter_case;
    CHECK(hark_loop_open(&loop, NULL) == 0);
    CHECK(hark_fiber_start(loop, yields, &count) == HARK_ENOMEM);
    CHECK(hark_run(loop) == 0);
    hark_loop_close(loop);
}

int main(void)
{
    static const struct filter_case cases[] = {
        { "madvise refused with EINVAL", { SYS_madvise }, 1, EINVAL, guards_by_mprotect },
        { "madvise refused with EPERM", { SYS_madvise }, 1, EPERM, guards_by_mprotect },
        { "madvise refused with ENOSYS", { SYS_madvise }, 1, ENOSYS, guards_by_mprotect },
        { "mprotect refused as well", { SYS_madvise, SYS_mprotect }, 2, EPERM, refuses },
    };
    return filter_run_all(cases, sizeof cases / sizeof cases[0]);
}
