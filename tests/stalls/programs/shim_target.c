/* Does under the shim what could go wrong with one, and checks that it does not: shim_target WHAT.
 * Exit code 0: all as without it. */
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 100, TURNS = 4 };

#define EXPECT(claim) \
    do { \
        if (!(claim)) { \
            fprintf(stderr, "shim_target: line %d: not %s, errno %d\n", __LINE__, #claim, errno); \
            exit(1); \
        } \
    } while (0)

static int wait_on(int epfd, int ms)
{
    struct epoll_event event;
    return epoll_wait(epfd, &event, 1, ms);
}

/* Results and errno of every call, good and bad. */
static void check_results(void)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = 77 };
    struct timespec soon = { 0, 1000000 };
    int epfd = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(0, EFD_CLOEXEC);
    struct pollfd polls[2] = { { fd, POLLIN, 0 }, { fd, POLLIN, 0 } };
    EXPECT(wait_on(-1, 1) == -1 && errno == EBADF);
    errno = 1234;
    EXPECT(wait_on(epfd, 1) == 0 && errno == 1234);
    EXPECT(epoll_pwait(epfd, &event, 1, 1, NULL) == 0 && errno == 1234);
    EXPECT(epoll_pwait2(epfd, &event, 1, &soon, NULL) == 0 && errno == 1234);
    EXPECT(poll(polls, 2, 1) == 0 && ppoll(polls, 2, &soon, NULL) == 0 && errno == 1234);
    EXPECT(epoll_wait(epfd, &event, 0, 1) == -1 && errno == EINVAL);
    EXPECT(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == 0);
    eventfd_write(fd, 1);
    event.data.u32 = 0;
    EXPECT(epoll_wait(epfd, &event, 1, -1) == 1 && event.data.u32 == 77);
    EXPECT(poll(polls, 2, -1) == 2 && polls[0].revents == POLLIN);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    EXPECT(select(fd + 1, &set, NULL, NULL, NULL) == 1 && FD_ISSET(fd, &set));
    EXPECT(pselect(fd + 1, &set, NULL, NULL, &soon, NULL) == 1);
    EXPECT(select(0, NULL, NULL, NULL, &(struct timeval){ 0, 1000 }) == 0);
    EXPECT(syscall(SYS_gettid) == gettid() && syscall(SYS_getppid) == getppid());
    EXPECT(syscall(SYS_close, -1) == -1 && errno == EBADF);
}

static void *loop_some(void *arg)
{
    (void)arg;
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < TURNS; i++) EXPECT(wait_on(epfd, 10) == 0);
    close(epfd);
    return NULL;
}

/* More loops at once than the page has room for, twice: the places of those that ended are free. */
static void check_threads(void)
{
    pthread_t threads[THREADS];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < THREADS; i++)
            EXPECT(pthread_create(&threads[i], NULL, loop_some, NULL) == 0);
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    }
    loop_some(NULL);
    for (int i = 0; i < 20; i++) loop_some(NULL); /* a new descriptor each time */
}

static void *wait_for_ever(void *arg)
{
    wait_on(*(int *)arg, -1);
    return NULL;
}

/* The wait is a cancellation point, and a signal ends it with EINTR. */
static void ignore(int number)
{
    (void)number;
}

static void check_cancel(void)
{
    pthread_t thread;
    void *result;
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    EXPECT(pthread_create(&thread, NULL, wait_for_ever, &epfd) == 0);
    poll(NULL, 0, 50);
    EXPECT(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
    EXPECT(result == PTHREAD_CANCELED);
    struct sigaction action = { .sa_handler = ignore };
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    EXPECT(wait_on(epfd, 5000) == -1 && errno == EINTR);
}

/* fork and vfork: the child uses its loops, and its parent's go on. */
static void check_fork(void)
{
    int status, epfd = epoll_create1(EPOLL_CLOEXEC);
    EXPECT(wait_on(epfd, 1) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < TURNS; i++) EXPECT(wait_on(epfd, 1) == 0);
        loop_some(NULL);
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, loop_some, NULL) == 0);
        pthread_join(thread, NULL);
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    pid = vfork();
    if (pid == 0) {
        execlp("true", "true", (char *)NULL);
        _exit(1);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    EXPECT(execl("/nowhere", "nowhere", (char *)NULL) == -1 && errno == ENOENT);
    EXPECT(execlp("/tmp", "tmp", "x", (char *)NULL) == -1 && errno == EACCES);
    for (int i = 0; i < TURNS; i++) EXPECT(wait_on(epfd, 20) == 0);
}

/* A loop on io_uring by syscall(3), with a time-out as argument. */
static void check_ring(void)
{
    struct io_uring_params params = { 0 };
    struct __kernel_timespec timeout = { 0, 20000000 };
    struct io_uring_getevents_arg arg = { .ts = (uint64_t)(uintptr_t)&timeout };
    int fd = (int)syscall(SYS_io_uring_setup, 4, &params);
    if (fd < 0) {
        fprintf(stderr, "shim_target: no io_uring here: %s\n", strerror(errno));
        exit(77);
    }
    for (int i = 0; i < 20; i++)
        EXPECT(syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                       &arg, sizeof arg) == -1 && errno == ETIME);
}

/* Nothing here is a loop: a resolver that polls one socket, a helper that looks into its epoll. */
static void *be_no_loop(void *arg)
{
    int fd = *(int *)arg, epfd = epoll_create1(EPOLL_CLOEXEC);
    struct pollfd one = { fd, POLLIN, 0 };
    for (int i = 0; i < 50; i++) EXPECT(poll(&one, 1, 1) == 0 && wait_on(epfd, 0) == 0);
    return NULL;
}

static void check_no_loop(void)
{
    pthread_t thread;
    int fd = eventfd(0, EFD_CLOEXEC);
    EXPECT(pthread_create(&thread, NULL, be_no_loop, &fd) == 0);
    pthread_join(thread, NULL);
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < 50; i++) EXPECT(wait_on(epfd, 0) == 0 && poll(NULL, 0, 1) == 0);
}

static const struct { const char *name; void (*check)(void); } checks[] = {
    { "results", check_results }, { "threads", check_threads }, { "cancel", check_cancel },
    { "fork", check_fork }, { "ring", check_ring }, { "no_loop", check_no_loop },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (argc > 1 && strcmp(argv[1], checks[i].name) == 0) {
            checks[i].check();
            return 0;
        }
    return 2;
}
