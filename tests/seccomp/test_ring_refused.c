/* Promise 12 where io_uring is denied: the automatic choice falls back to epoll, a list goes on
 * with its next name, and hark_backend_probe() says why. Container runtimes deny it in several
 * ways: with EPERM or ENOSYS, the set-up alone or some of its three calls only. */
#include "filter.h"

#include <hark/hark.h>
#include <sys/socket.h>

static struct hark_loop *open_loop(const char *list)
{
    struct hark_loop *loop;
    int error = hark_loop_open(&loop, &(struct hark_loop_options){ .backend = list });
    if (error != 0) printf("hark_loop_open: %s\n", hark_strerror(error));
    CHECK(error == 0);
    return loop;
}

static void note(struct hark_op *op) { *(int64_t *)op->user = op->result; }

/* A loop that was chosen must work, not only open. */
static void check_works(struct hark_loop *loop)
{
    struct hark_io io = { 0 };
    int64_t received = -1000, sent = -1000, fired = -1000, closed = -1000;
    struct hark_op receiving = { .user = &received }, sending = { .user = &sent };
    struct hark_op timer = { .user = &fired }, closing = { .user = &closed };
    char buf[8];
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(hark_io_adopt(&io, loop, fds[0]) == 0);
    hark_recv(&receiving, &io, buf, sizeof buf, note);
    hark_send(&sending, &io, "ping", 4, note);
    hark_timer(&timer, loop, hark_after(loop, 3 * HARK_MILLISECOND), note);
    CHECK(write(fds[1], "pong!", 5) == 5);
    CHECK(hark_run(loop) == 0);
    CHECK(received == 5 && sent == 4 && fired == 0);
    hark_close(&closing, &io, note);
    CHECK(hark_run(loop) == 0);
    CHECK(closed == 0);
    close(fds[1]);
    hark_loop_close(loop);
}

static void check_name_and_work(const char *list, const char *name)
{
    struct hark_loop *loop = open_loop(list);
    if (strcmp(hark_loop_backend(loop), name) != 0)
        printf("chose %s, wanted %s\n", hark_loop_backend(loop), name);
    CHECK(strcmp(hark_loop_backend(loop), name) == 0);
    check_works(loop);
}

static void falls_back(const struct filter_case *filter_case)
{
    char why[256] = "";
    struct hark_loop *loop;
    unsetenv("HARK_BACKEND");
    unsetenv("HARK_URING_MASK");
    errno = 0;
    CHECK(syscall(filter_case->calls[0], 0, 0, 0, 0, 0, 0) == -1 && errno == filter_case->error);
    int error = hark_backend_probe("io_uring", why, sizeof why);
    printf("  probe: %s (%s)\n", why, hark_strerror(error));
    CHECK(error != 0 && error != HARK_EINVAL);
    CHECK(*why != '\0');
    CHECK(strstr(why, "io_uring") != NULL || strstr(why, "IORING") != NULL ||
          strstr(why, "ring") != NULL);
    check_name_and_work(NULL, "epoll");
    check_name_and_work("io_uring,poll", "poll");
    check_name_and_work("io_uring,select,epoll", "select");
    CHECK(setenv("HARK_BACKEND", "io_uring,epoll", 1) == 0);
    check_name_and_work(NULL, "epoll");
    CHECK(hark_loop_open(&loop, &(struct hark_loop_options){ .backend = "io_uring" }) ==
          HARK_ENOSYS);
    CHECK(loop == NULL);
    CHECK(hark_backend_probe("epoll", why, sizeof why) == 0);
}

/* The kernel's answer and who refused it can be told apart. */
static void names_the_filter(const struct filter_case *filter_case)
{
    char why[256] = "";
    CHECK(hark_backend_probe("io_uring", why, sizeof why) == HARK_EPERM);
    CHECK(strstr(why, "io_uring_setup") != NULL && strstr(why, "filter") != NULL);
    (void)filter_case;
}

static void names_the_kernel(const struct filter_case *filter_case)
{
    char why[256] = "";
    CHECK(hark_backend_probe("io_uring", why, sizeof why) == HARK_ENOSYS);
    CHECK(strstr(why, "io_uring_setup") != NULL && strstr(why, "kernel") != NULL);
    (void)filter_case;
}

int main(void)
{
    static const struct filter_case cases[] = {
        { "io_uring_setup refused with EPERM", { SYS_io_uring_setup }, 1, EPERM, falls_back },
        { "io_uring_setup refused with ENOSYS", { SYS_io_uring_setup }, 1, ENOSYS, falls_back },
        { "io_uring_setup refused with EACCES", { SYS_io_uring_setup }, 1, EACCES, falls_back },
        { "all of io_uring refused with EPERM",
          { SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register }, 3, EPERM, falls_back },
        { "io_uring_register refused with EPERM", { SYS_io_uring_register }, 1, EPERM, falls_back },
        { "io_uring_enter refused with EPERM", { SYS_io_uring_enter }, 1, EPERM, falls_back },
        { "io_uring_enter refused with ENOSYS", { SYS_io_uring_enter }, 1, ENOSYS, falls_back },
        { "EPERM is told as a refusal", { SYS_io_uring_setup }, 1, EPERM, names_the_filter },
        { "ENOSYS is told as a lack", { SYS_io_uring_setup }, 1, ENOSYS, names_the_kernel },
    };
    return filter_run_all(cases, sizeof cases / sizeof cases[0]);
}
