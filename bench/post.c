/* Measures posting from another thread to one library's loop, and prints a line of JSON.
 *
 *   bulk     COUNT items as fast as one thread can post them, while the loop takes them on another
 *            processor: nanoseconds an item until the last has arrived
 *   awake    the loop is inside a callback while bursts of COUNT items are posted, then takes them:
 *            nanoseconds of processor time an item, of the posting and of the taking, and system
 *            calls of the posting
 *   latency  COUNT single items to a loop that sleeps: nanoseconds from the post to the callback
 *
 * one: both threads share a processor; two: one each.
 *
 * usage: post_LIBRARY bulk|awake|latency COUNT one|two [ARG of the library] */
#include "post.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "observe.h"

enum { ROUNDS = 50, PAUSE_NS = 60000, SECONDS_MAX = 300, CACHE_LINE = 64 };

struct post_queue {
    pthread_mutex_t lock;
    uint32_t *items, *taken; /* the two change places */
    uint32_t count;
};

static struct post_queue queue = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *mode;
static uint32_t count;
static uint32_t arrived;
static int64_t started_ns, ended_ns, burst_started_ns;
static int64_t *samples;
static sem_t answered, gate_reached;
static _Alignas(CACHE_LINE) atomic_bool gate_is_open;
static int64_t posting_ns, taking_ns, posting_calls;
static bool counts_calls;

_Noreturn void post_die(const char *what)
{
    fprintf(stderr, "post: %s failed\n", what);
    exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now); /* cannot fail for the clocks used here */
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
static int64_t thread_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

void post_queue_open(uint32_t room)
{
    queue.items = calloc(room, sizeof *queue.items);
    queue.taken = calloc(room, sizeof *queue.taken);
    if (queue.items == NULL || queue.taken == NULL) post_die("calloc");
    memset(queue.items, 1, room * sizeof *queue.items); /* so that no page fault is measured */
    memset(queue.taken, 1, room * sizeof *queue.taken);
}

bool post_queue_push(uint32_t item)
{
    pthread_mutex_lock(&queue.lock);
    bool was_empty = queue.count == 0;
    queue.items[queue.count++] = item;
    pthread_mutex_unlock(&queue.lock);
    return was_empty;
}

void post_queue_drain(void)
{
    pthread_mutex_lock(&queue.lock);
    uint32_t *items = queue.items, taken = queue.count;
    queue.items = queue.taken;
    queue.taken = items;
    queue.count = 0;
    pthread_mutex_unlock(&queue.lock);
    for (uint32_t i = 0; i < taken; i++) post_arrived(items[i]);
}

/* A thread of its own core, or both on the first. */
static void pin(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)processor, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) post_die("pinning");
}

/* Item 0 of a burst keeps the loop awake until all others are posted. */
static void arrived_awake(uint32_t item)
{
    if (item == 0) {
        sem_post(&gate_reached);
        while (!atomic_load_explicit(&gate_is_open, memory_order_acquire)) { /* busy */ }
        atomic_store(&gate_is_open, false);
        burst_started_ns = thread_ns();
    } else if (++arrived == count) {
        taking_ns += thread_ns() - burst_started_ns;
        sem_post(&answered);
    }
}

void post_arrived(uint32_t item)
{
    switch (*mode) {
    case 'b':
        if (++arrived < count) return;
        ended_ns = now_ns();
        post_stop();
        break;
    case 'l':
        samples[item] = now_ns() - started_ns;
        if (item + 1 == count) post_stop();
        else sem_post(&answered);
        break;
    default:
        if (item == count + 1) post_stop();
        else arrived_awake(item);
        break;
    }
}

/* System calls of this thread so far; asking makes some itself, always as many. */
static int64_t calls_so_far(void)
{
    struct observation seen = observe();
    return seen.calls[OBSERVE_ALL];
}

static void post_awake(void)
{
    counts_calls = observe_count_calls(gettid());
    int64_t first = calls_so_far();
    (void)(thread_ns() + thread_ns()); /* each is a system call too: made here to be subtracted */
    int64_t asking = calls_so_far() - first;
    for (int round = 0; round <= ROUNDS; round++) {
        arrived = 0;
        post_item(0);
        while (sem_wait(&gate_reached) != 0) { /* interrupted */ }
        int64_t calls = calls_so_far();
        int64_t start = thread_ns();
        for (uint32_t item = 1; item <= count; item++) post_item(item);
        int64_t end = thread_ns();
        posting_calls += calls_so_far() - calls - asking;
        if (round != 0) posting_ns += end - start;
        atomic_store_explicit(&gate_is_open, true, memory_order_release);
        while (sem_wait(&answered) != 0) { /* interrupted */ }
        if (round == 0) taking_ns = 0; /* the first round was for the caches */
    }
    post_item(count + 1);
}

static void post_singly(void)
{
    const struct timespec pause = { .tv_nsec = PAUSE_NS };
    for (uint32_t item = 0; item < count; item++) {
        nanosleep(&pause, NULL); /* meanwhile the loop falls asleep; cut short is as good */
        started_ns = now_ns();
        post_item(item);
        if (item + 1 == count) return;
        while (sem_wait(&answered) != 0) { /* interrupted */ }
    }
}

static void *poster(void *arg)
{
    pin(*(const int *)arg);
    if (*mode == 'a') {
        post_awake();
    } else if (*mode == 'l') {
        post_singly();
    } else {
        struct timespec pause = { .tv_nsec = 50000000 };
        nanosleep(&pause, NULL); /* the loop is running by then; nothing depends on it */
        started_ns = now_ns();
        for (uint32_t item = 0; item < count; item++) post_item(item);
    }
    return NULL;
}

static int rising(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void print_answer(void)
{
    if (*mode == 'b') {
        printf("{\"item_ns\": %.2f}\n", (double)(ended_ns - started_ns) / count);
    } else if (*mode == 'a') {
        double items = (double)count * ROUNDS;
        printf("{\"posting_ns\": %.2f, \"taking_ns\": %.2f, \"item_ns\": %.2f, \"calls\": %lld}\n",
               (double)posting_ns / items, (double)taking_ns / items,
               (double)(posting_ns + taking_ns) / items,
               counts_calls ? (long long)posting_calls : -1LL);
    } else {
        qsort(samples, count, sizeof *samples, rising);
        printf("{\"p50_ns\": %lld, \"p99_ns\": %lld}\n", (long long)samples[count / 2],
               (long long)samples[count - 1 - count / 100]);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) post_die("usage: post_LIBRARY bulk|awake|latency COUNT one|two [ARG]: parsing");
    mode = argv[1];
    count = (uint32_t)strtoul(argv[2], NULL, 10);
    if (count == 0 || strchr("bal", *mode) == NULL) post_die("reading the arguments");
    int other = strcmp(argv[3], "two") == 0 && sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 1 : 0;
    alarm(SECONDS_MAX);
    samples = calloc(count, sizeof *samples);
    if (samples == NULL) post_die("calloc");
    if (sem_init(&answered, 0, 0) != 0 || sem_init(&gate_reached, 0, 0) != 0) post_die("sem_init");
    pin(0);
    post_open(count + 2, argc > 4 ? argv[4] : NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, poster, &other) != 0) post_die("pthread_create");
    post_run();
    pthread_join(thread, NULL);
    print_answer();
    return 0;
}
