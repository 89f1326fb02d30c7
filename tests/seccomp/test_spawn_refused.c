/* Child processes where a system call that they need or would like is refused: no descriptor leaks
 * without close_range(2) (before Linux 5.11), and what cannot be done is the result of the op. */
#include "filter.h"

#include <fcntl.h>
#include <hark/hark.h>

#ifndef SYS_close_range
#define SYS_close_range 436 /* the same on every architecture */
#endif

static struct hark_loop *loop;
static int64_t result;

static void on_done(struct hark_op *op) { result = op->result; }

static int64_t run_script(const char *script)
{
    const char *const argv[] = { "/bin/sh", "-c", script, NULL };
    const struct hark_process_options options = { .argv = argv };
    struct hark_process process = { 0 };
    struct hark_op op = { 0 };
    hark_process_spawn(&op, &process, loop, &options, on_done);
    CHECK(hark_run(loop) == 0);
    if (result < 0) return result;
    hark_process_wait(&op, &process, on_done);
    CHECK(hark_run(loop) == 0);
    return result;
}

/* The shell itself has none of them open; its own, above 2, come and go. */
static void nothing_leaks(const struct filter_case *filter_case)
{
    errno = 0;
    CHECK(syscall(SYS_close_range, 1000000, 1000000, 0) == -1 && errno == filter_case->error);
    CHECK(hark_loop_open(&loop, NULL) == 0);
    int last = -1;
    for (int i = 0; i < 200; i++) CHECK((last = open("/dev/null", O_RDWR)) >= 3);
    CHECK(run_script("for n in 3 4 5 6 7 8 9 20 21 99 100 101 199 200; do "
                     "test ! -e /proc/$$/fd/$n || exit $n; done") == 0);
    CHECK(fcntl(last, F_GETFD) == 0); /* ours are as they were */
    hark_loop_close(loop);
}

static void no_process(const struct filter_case *filter_case)
{
    struct hark_process process = { 0 };
    CHECK(hark_loop_open(&loop, NULL) == 0);
    CHECK(run_script("exit 0") == hark_error_from_os(filter_case->error));
    CHECK(hark_process_open(&process, loop, getpid()) == 0);
    CHECK(hark_process_kill(&process, 0) == 0);
    hark_loop_close(loop);
    CHECK(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
}

static void no_pidfd(const struct filter_case *filter_case)
{
    struct hark_process process = { 0 };
    int error = hark_error_from_os(filter_case->error);
    CHECK(hark_loop_open(&loop, NULL) == 0);
    CHECK(run_script("exit 7") == 7);
    CHECK(hark_process_open(&process, loop, getpid()) == error);
    hark_loop_close(loop);
}

int main(void)
{
    static const struct filter_case cases[] = {
        { "close_range refused with ENOSYS", { SYS_close_range }, 1, ENOSYS, nothing_leaks },
        { "close_range and getdents64 refused with EPERM", { SYS_close_range, SYS_getdents64 }, 2,
          EPERM, nothing_leaks },
        { "clone refused with EAGAIN", { SYS_clone }, 1, EAGAIN, no_process },
        { "pidfd_open refused with ENOSYS", { SYS_pidfd_open }, 1, ENOSYS, no_pidfd },
    };
    return filter_run_all(cases, sizeof cases / sizeof cases[0]);
}
