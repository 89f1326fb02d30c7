/* Promise 20, of the thread that holds its loop: what it does and waits for, and where. */
#include "groups.h"
#include "harness.h"
#include "witness.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/time.h>

#define BUDGET_NS (20 * HARK_MILLISECOND)

static void compute(struct probe *probe)
{
    (void)probe;
    compute_until_met();
}

/* Whether this program was compiled with debug information. */
static bool has_line_table(void)
{
    char name[16];
    struct stat status;
    snprintf(name, sizeof name, ".%s_%s", "debug", "line"); /* in pieces: not to find itself */
    int fd = open("/proc/self/exe", O_RDONLY);
    ck_assert_int_eq(fstat(fd, &status), 0);
    size_t bytes = (size_t)status.st_size;
    void *file = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    ck_assert(file != MAP_FAILED);
    bool has_name = memmem(file, bytes, name, strlen(name)) != NULL;
    munmap(file, bytes);
    return has_name;
}

START_TEST(a_frame_is_written_with_its_function_and_line)
{
    struct probe probe = { .then = compute };
    if (!STACKS_ARE_TRUE) return;
    witness_begin(BUDGET_NS);
    hark_nop(&probe.op, loop, on_probe);
    await(&probe);
    struct told told = witness_met();
    bool has_libdw = dlopen("libdw.so.1", RTLD_NOW) != NULL;
    const char *wanted = !has_libdw ? "+0x" : has_line_table() ? "compute_until_met (witness.c:"
                                                               : "compute_until_met (";
    ck_assert_msg(strstr(told.culprit, wanted) != NULL, "%s, wanted %s", told.culprit, wanted);
}
END_TEST

/* The calls that wait. Those that signal(7) says a handler ends with EINTR are among them. */

static int ends[2], descriptor;
static struct sockaddr_in peer_address;
static char path[64];

static bool CULPRIT wait_in_nanosleep(void)
{
    struct timespec pause = { .tv_nsec = 200 * HARK_MILLISECOND };
    while (witness_count(HARK_STALL_GOES_ON) < WITNESS_LOOKS)
        if (nanosleep(&pause, NULL) != 0) return false;
    return true;
}

static bool CULPRIT wait_in_poll(void)
{
    struct pollfd one = { .fd = ends[0], .events = POLLIN };
    return poll(&one, 1, 20000) == 1;
}

static bool CULPRIT wait_in_read(void)
{
    char byte;
    return read(ends[0], &byte, 1) == 1;
}

static bool CULPRIT wait_in_recv(void)
{
    char byte;
    return recv(ends[0], &byte, 1, 0) == 1;
}

static bool CULPRIT wait_in_epoll(void)
{
    struct epoll_event event;
    return epoll_wait(descriptor, &event, 1, 20000) == 1;
}

static bool CULPRIT wait_in_semtimedop(void)
{
    struct sembuf take = { .sem_op = -1 };
    struct timespec most = { .tv_sec = 20 };
    return semtimedop(descriptor, &take, 1, &most) == 0;
}

static bool CULPRIT wait_in_open(void)
{
    int fd = open(path, O_RDONLY);
    bool is_open = fd >= 0;
    close(fd);
    return is_open;
}

static void write_byte(void) { ck_assert_int_eq(write(ends[1], "x", 1), 1); }
static void do_nothing(void) { }

static void give_semaphore(void)
{
    struct sembuf give = { .sem_op = 1 };
    ck_assert_int_eq(semop(descriptor, &give, 1), 0);
}

static void open_other_end(void)
{
    int fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void make_pipe(void) { ck_assert_int_eq(pipe(ends), 0); }

static void make_connection(void)
{
    struct timeval most = { .tv_sec = 20 };
    socklen_t len = sizeof peer_address;
    ck_assert(plain_pair(ends, WIRE_TCP4));
    ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most), 0);
    ck_assert_int_eq(getpeername(ends[0], (void *)&peer_address, &len), 0);
}

static void make_epoll(void)
{
    struct epoll_event wanted = { .events = EPOLLIN };
    make_pipe();
    descriptor = epoll_create1(0);
    ck_assert_int_eq(epoll_ctl(descriptor, EPOLL_CTL_ADD, ends[0], &wanted), 0);
}

static void make_semaphore(void)
{
    descriptor = semget(IPC_PRIVATE, 1, 0600);
    ck_assert_int_ge(descriptor, 0);
}

static void make_fifo(void)
{
    snprintf(path, sizeof path, "/tmp/hark-stall-%d", (int)getpid());
    ck_assert_int_eq(mkfifo(path, 0600), 0);
}

enum works_on { ON_NOTHING, ON_END, ON_DESCRIPTOR, ON_PATH };

static const struct waiting {
    const char *call;       /* a part of its name on every machine */
    bool (*wait)(void);     /* false: it ended too early */
    void (*make)(void);
    void (*release)(void);
    enum works_on works_on;
    const char *target;     /* the beginning of what is told of it */
} waitings[] = {
    { "nanosleep", wait_in_nanosleep, do_nothing, do_nothing, ON_NOTHING, "" },
    { "poll", wait_in_poll, make_pipe, write_byte, ON_END, "pipe:[" },
    { "read", wait_in_read, make_pipe, write_byte, ON_END, "pipe:[" },
    { "recvfrom", wait_in_recv, make_connection, write_byte, ON_END, "tcp 127.0.0.1:" },
    { "epoll", wait_in_epoll, make_epoll, write_byte, ON_DESCRIPTOR, "anon_inode:[eventpoll]" },
    { "semtimedop", wait_in_semtimedop, make_semaphore, give_semaphore, ON_NOTHING, "" },
    { "open", wait_in_open, make_fifo, open_other_end, ON_PATH, "/tmp/hark-stall-" },
};

static void expect_target(const struct waiting *waiting, const struct told *told)
{
    int fd = waiting->works_on == ON_END ? ends[0]
           : waiting->works_on == ON_DESCRIPTOR ? descriptor : -1;
    ck_assert_msg(strstr(told->call, waiting->call) != NULL, "%s: told was \"%s\"", doing,
                  told->call);
    ck_assert_msg(told->stall.fd == fd, "%s: descriptor %d", doing, told->stall.fd);
    ck_assert_msg(strncmp(told->target, waiting->target, strlen(waiting->target)) == 0,
                  "%s: target \"%s\"", doing, told->target);
    if (waiting->make != make_connection) return;
    char port[16];
    snprintf(port, sizeof port, ":%d", ntohs(peer_address.sin_port));
    ck_claim(strstr(told->target, port) != NULL);
}

START_TEST(a_callback_that_waits_is_told_with_its_call_which_does_not_end_early)
{
    const struct waiting *waiting = &waitings[_i];
    struct told waited;
    snprintf(doing, sizeof doing, "%s", waiting->call);
    waiting->make();
    ck_claim(witness_wait(waiting->wait, waiting->release, &waited));
    ck_claim(waited.stall.state == HARK_STALL_WAITS);
    ck_claim(!CALLERS_ARE_SEEN || waited.is_culprit_met);
    expect_target(waiting, &waited);
    if (waiting->make == make_semaphore) semctl(descriptor, 0, IPC_RMID);
    else if (waiting->works_on == ON_PATH) unlink(path);
    else if (waiting->works_on == ON_DESCRIPTOR) close(descriptor);
    if (ends[1] != 0) close(ends[0]);
    if (ends[1] != 0) close(ends[1]);
}
END_TEST

/* Two threads that compute share one processor. */

static _Atomic bool was_ready;

static void note_ready(const struct hark_stall *stall)
{
    if (stall->ready_ns > 0 && stall->ready_ns <= stall->held_ns) was_ready = true;
}

static void *compute_beside(void *arg)
{
    while (!was_ready) {}
    return arg;
}

static void compute_until_ready(struct probe *probe)
{
    (void)probe;
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (!was_ready) {
        if (clock_now() < end) continue;
        was_ready = true; /* the other thread ends */
        ck_abort_msg("nobody told that there was no processor");
    }
}

START_TEST(a_thread_that_is_given_no_processor_is_told_so)
{
    struct probe probe = { .then = compute_until_ready };
    pthread_t beside;
    cpu_set_t one;
    if (access("/proc/self/schedstat", R_OK) != 0) return; /* this kernel does not count it */
    witness_then = note_ready;
    witness_begin(BUDGET_NS);
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    ck_assert_int_eq(pthread_setaffinity_np(pthread_self(), sizeof one, &one), 0); /* inherited */
    ck_assert_int_eq(pthread_create(&beside, NULL, compute_beside, NULL), 0);
    hark_nop(&probe.op, loop, on_probe);
    await(&probe);
    pthread_join(beside, NULL);
}
END_TEST

Suite *group_stall_thread(void)
{
    Suite *suite = suite_create("stall_thread");
    if (!THREADS_ARE_SEEN) return suite;
    CASE(suite, a_frame_is_written_with_its_function_and_line);
    EACH_OF(suite, a_callback_that_waits_is_told_with_its_call_which_does_not_end_early,
            sizeof waitings / sizeof waitings[0]);
    CASE(suite, a_thread_that_is_given_no_processor_is_told_so);
    return suite;
}
