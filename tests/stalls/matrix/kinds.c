/* Holds a loop in C in each way, some times: kinds LOOP COUNT DELAY_MS KIND...
 *
 * LOOP is libuv, libevent, epoll or hark (its backend by $HARK_BACKEND). The line that a report
 * must name ends in the mark of its function. At the end it writes how long each hold was. */
#include <fcntl.h>
#include <hark/hark.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef HAS_LIBUV
#include <uv.h>
#endif
#ifdef HAS_LIBEVENT
#include <event2/event.h>
#endif

enum { HELD_MS = 80, PAUSE_MS = 30, NOT_BUILT = 77 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static int pair[2], locked_fd, locking_fd;
static const char *helper_kind;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void rest(int ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

/* What another thread does to the loop: it has the lock, or answers late. */
static void *help(void *arg)
{
    (void)arg;
    for (;;) {
        pthread_barrier_wait(&barrier);
        int is_lock = strcmp(helper_kind, "lock") == 0;
        if (is_lock) pthread_mutex_lock(&lock);
        else flock(locking_fd, LOCK_EX);
        pthread_barrier_wait(&barrier);
        rest(HELD_MS);
        if (is_lock) pthread_mutex_unlock(&lock);
        else flock(locking_fd, LOCK_UN);
        if (strcmp(helper_kind, "recv") == 0 && send(pair[1], "x", 1, 0) != 1) abort();
    }
    return NULL;
}

static void ask(const char *kind)
{
    helper_kind = kind;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
}

static void hold_processor(void)
{
    struct timespec now;
    int64_t until = now_ns() + HELD_MS * INT64_C(1000000), at = 0;
    while (at < until) {
        clock_gettime(CLOCK_MONOTONIC, &now); /* processor */
        at = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
}

static void hold_sleep(void)
{
    struct timespec time = { .tv_nsec = HELD_MS * 1000000L };
    nanosleep(&time, NULL); /* sleep */
}

static void hold_lock(void)
{
    ask("lock");
    pthread_mutex_lock(&lock); /* lock */
    pthread_mutex_unlock(&lock);
}

static void hold_flock(void)
{
    ask("flock");
    if (flock(locked_fd, LOCK_EX) != 0) abort(); /* flock */
    flock(locked_fd, LOCK_UN);
}

static void hold_recv(void)
{
    char byte;
    ask("recv");
    if (recv(pair[0], &byte, 1, 0) != 1) abort(); /* recv */
}

static const struct { const char *name; void (*hold)(void); } holds[] = {
    { "processor", hold_processor }, { "sleep", hold_sleep }, { "lock", hold_lock },
    { "flock", hold_flock }, { "recv", hold_recv },
};

static char **kinds;
static int count, delay_ms, done;

/* A turn: holds the loop once. Gives how long the loop shall wait then; -1: it is over. */
static int step(void)
{
    static int turn;
    if (turn++ == 0) return delay_ms;
    if (*kinds == NULL) return -1;
    for (size_t i = 0; i < sizeof holds / sizeof *holds; i++) {
        if (strcmp(holds[i].name, *kinds) != 0) continue;
        int64_t begin = now_ns();
        holds[i].hold();
        printf("%s %.3f\n", *kinds, (double)(now_ns() - begin) / 1e6);
    }
    if (++done % count == 0) kinds++;
    return PAUSE_MS;
}

static int run_epoll(void)
{
    struct epoll_event event;
    int epfd = epoll_create1(EPOLL_CLOEXEC), ms;
    while ((ms = step()) >= 0) epoll_wait(epfd, &event, 1, ms);
    return 0;
}

static void on_time(struct hark_op *op)
{
    int ms = step() + HELD_MS; /* hark counts from the beginning of the turn */
    if (ms >= HELD_MS)
        hark_timer(op, op->user, hark_after(op->user, ms * HARK_MILLISECOND), on_time);
}

static int run_hark(void)
{
    struct hark_loop *loop;
    struct hark_op op = { 0 };
    int error = hark_loop_open(&loop, NULL);
    if (error != 0) {
        fprintf(stderr, "%s\n", hark_strerror(error));
        return NOT_BUILT;
    }
    op.user = loop;
    hark_timer(&op, loop, hark_after(loop, HARK_MILLISECOND), on_time);
    error = hark_run(loop);
    hark_loop_close(loop);
    return error;
}

#ifdef HAS_LIBUV
static void on_uv_timer(uv_timer_t *timer)
{
    int ms = step();
    if (ms >= 0) uv_timer_start(timer, on_uv_timer, (uint64_t)ms, 0);
}

static int run_libuv(void)
{
    uv_timer_t timer;
    uv_timer_init(uv_default_loop(), &timer);
    uv_timer_start(&timer, on_uv_timer, 1, 0);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
#else
static int run_libuv(void) { return NOT_BUILT; }
#endif

#ifdef HAS_LIBEVENT
static void on_event(evutil_socket_t fd, short what, void *base)
{
    (void)fd, (void)what;
    int ms = step();
    struct timeval time = { .tv_usec = ms % 1000 * 1000, .tv_sec = ms / 1000 };
    if (ms >= 0) event_base_once(base, -1, EV_TIMEOUT, on_event, base, &time);
}

static int run_libevent(void)
{
    struct event_base *base = event_base_new();
    event_base_once(base, -1, EV_TIMEOUT, on_event, base, &(struct timeval){ .tv_usec = 1000 });
    event_base_dispatch(base);
    event_base_free(base);
    return 0;
}
#else
static int run_libevent(void) { return NOT_BUILT; }
#endif

static const struct { const char *name; int (*run)(void); } loops[] = {
    { "epoll", run_epoll }, { "hark", run_hark },
    { "libuv", run_libuv }, { "libevent", run_libevent },
};

int main(int argc, char **argv)
{
    char path[] = "/tmp/kinds.XXXXXX";
    pthread_t thread;
    if (argc < 5) return 2;
    count = atoi(argv[2]);
    delay_ms = atoi(argv[3]);
    kinds = argv + 4;
    locked_fd = mkostemp(path, O_CLOEXEC);
    locking_fd = open(path, O_RDWR | O_CLOEXEC);
    if (locked_fd < 0 || locking_fd < 0) return 3;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return 3;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, help, NULL);
    int result = 2;
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
        if (strcmp(loops[i].name, argv[1]) == 0) result = loops[i].run();
    unlink(path);
    return result;
}
