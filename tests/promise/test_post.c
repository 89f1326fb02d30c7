/* Promise 11: hark_post() and hark_wake() are the only doors between threads. A wake is sticky and
 * never lost; posts of one thread arrive in the order posted, each exactly once. */
#include "groups.h"
#include "harness.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { THREADS = 4, POSTS = 4000 };

struct sender {
    pthread_t thread;
    struct hark_op *ops;
    int64_t *payloads;
    int index, next;
};

static int arrived;

static void on_post(struct hark_op *op)
{
    struct sender *sender = op->user;
    ck_assert_int_eq(op->result, 0);
    ck_assert_int_eq((int)(op - sender->ops), sender->next);
    ck_assert_int_eq(sender->payloads[sender->next], sender->next * 3 + sender->index);
    sender->next++;
    if (++arrived == THREADS * POSTS) hark_unhold(loop);
}

static void *send_posts(void *arg)
{
    struct sender *sender = arg;
    for (int i = 0; i < POSTS; i++) {
        sender->payloads[i] = i * 3 + sender->index; /* written before the post, read after it */
        sender->ops[i].user = sender;
        hark_post(&sender->ops[i], loop, on_post);
        if (i % 500 == 0) usleep(200); /* let the loop fall asleep */
    }
    return NULL;
}

START_TEST(posts_of_a_thread_arrive_once_and_in_order)
{
    struct sender senders[THREADS];
    hark_hold(loop);
    for (int i = 0; i < THREADS; i++) {
        senders[i] = (struct sender){ .ops = calloc(POSTS, sizeof(struct hark_op)),
                                      .payloads = calloc(POSTS, sizeof(int64_t)), .index = i };
        ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, send_posts, &senders[i]), 0);
    }
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(arrived, THREADS * POSTS);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(senders[i].thread, NULL);
        ck_assert_int_eq(senders[i].next, POSTS);
        free(senders[i].ops);
        free(senders[i].payloads);
    }
    spin(3);
    ck_assert_int_eq(arrived, THREADS * POSTS);
}
END_TEST

enum { ROUNDS = 3000 };

struct rally {
    struct hark_op op;
    sem_t came;
};

static void on_rally(struct hark_op *op)
{
    struct rally *rally = op->user;
    arrived++;
    sem_post(&rally->came);
}

/* Posts when the loop has taken the one before: it is about to sleep then, or asleep. */
static void *play(void *arg)
{
    struct rally *rally = arg;
    for (int i = 0; i < ROUNDS; i++) {
        for (volatile int spent = 0; spent < (i * 37) % 400; spent++) continue;
        hark_post(&rally->op, loop, on_rally);
        while (sem_wait(&rally->came) != 0) continue;
    }
    return NULL;
}

/* Trap 26: a lost wake-up would cost the whole sleep. */
START_TEST(a_post_to_a_loop_that_falls_asleep_is_never_lost)
{
    struct rally rally = { .op = { .user = &rally } };
    pthread_t thread;
    int64_t start = clock_now();
    sem_init(&rally.came, 0, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, play, &rally), 0);
    while (arrived < ROUNDS) {
        int64_t before = clock_now();
        ck_assert_int_ge(hark_step(loop, 20 * HARK_SECOND), 0);
        ck_assert_int_lt(clock_now() - before, 10 * HARK_SECOND);
    }
    pthread_join(thread, NULL);
    ck_assert_int_lt(clock_now() - start, 20 * HARK_SECOND);
    sem_destroy(&rally.came);
}
END_TEST

static sem_t woken;

static void *wake_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        for (volatile int spent = 0; spent < (i * 53) % 400; spent++) continue;
        hark_wake(loop);
        while (sem_wait(&woken) != 0) continue;
    }
    return NULL;
}

/* Each wake ends one sleep, whether it came before, while or after the loop fell asleep. */
START_TEST(every_wake_ends_a_sleep)
{
    pthread_t thread;
    int64_t start = clock_now();
    sem_init(&woken, 0, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, wake_often, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(hark_step(loop, 20 * HARK_SECOND), 0);
        sem_post(&woken);
    }
    pthread_join(thread, NULL);
    ck_assert_int_lt(clock_now() - start, 20 * HARK_SECOND);
    sem_destroy(&woken);
}
END_TEST

START_TEST(a_wake_is_sticky_and_many_are_one)
{
    int64_t start = clock_now();
    for (int i = 0; i < 10; i++) hark_wake(loop);
    ck_assert_int_eq(hark_step(loop, 20 * HARK_SECOND), 0);
    ck_assert_int_lt(clock_now() - start, 10 * HARK_SECOND);
    spin(1); /* a readiness kernel may have kept the event of the same wakes */
    start = clock_now();
    ck_assert_int_eq(hark_step(loop, 3 * HARK_MILLISECOND), 0);
    ck_assert_int_ge(clock_now() - start, 3 * HARK_MILLISECOND);
}
END_TEST

START_TEST(a_post_before_the_sleep_ends_it)
{
    struct probe post = { 0 };
    int64_t start = clock_now();
    hark_post(&post.op, loop, on_probe);
    ck_assert_int_eq(post.calls, 0);
    ck_assert_int_eq(hark_step(loop, 20 * HARK_SECOND), 1);
    ck_assert_int_lt(clock_now() - start, 10 * HARK_SECOND);
    ck_assert_result(&post, 0);
}
END_TEST

static struct probe second;

static void post_second(struct probe *probe)
{
    (void)probe;
    hark_post(&second.op, loop, on_probe);
    ck_assert_int_eq(second.calls, 0);
}

START_TEST(a_post_from_a_callback_runs_in_a_later_turn)
{
    struct probe first = { .then = post_second };
    hark_nop(&first.op, loop, on_probe);
    ck_assert_int_eq(hark_step(loop, HARK_SECOND), 1);
    ck_assert_int_eq(second.calls, 0);
    ck_assert_int_eq(hark_step(loop, HARK_SECOND), 1);
    ck_assert_int_eq(second.calls, 1);
}
END_TEST

static void *post_probe(void *arg)
{
    struct probe *probe = arg;
    usleep(2000); /* the loop sleeps by now, or will find it */
    hark_post(&probe->op, loop, on_probe);
    return NULL;
}

START_TEST(a_post_wakes_a_loop_that_waits_for_ever)
{
    for (int i = 0; i < 20; i++) {
        struct probe post = { 0 };
        pthread_t thread;
        int64_t start = clock_now();
        ck_assert_int_eq(pthread_create(&thread, NULL, post_probe, &post), 0);
        while (post.calls == 0) ck_assert_int_ge(hark_step(loop, -1), 0);
        ck_assert_int_lt(clock_now() - start, 5 * HARK_SECOND);
        pthread_join(thread, NULL);
    }
}
END_TEST

static void *stop_it(void *arg)
{
    (void)arg;
    usleep(2000);
    hark_stop(loop);
    return NULL;
}

START_TEST(another_thread_can_stop_a_run_that_sleeps)
{
    pthread_t thread;
    hark_hold(loop);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(pthread_create(&thread, NULL, stop_it, NULL), 0);
        ck_assert_int_eq(hark_run(loop), 0);
        pthread_join(thread, NULL);
    }
    hark_unhold(loop);
}
END_TEST

static atomic_bool is_over;

static void count_post(struct hark_op *op) { (void)op, arrived++; }

static void *post_until_over(void *arg)
{
    struct hark_op *ops = arg;
    for (int i = 0; i < POSTS; i++) hark_post(&ops[i], loop, count_post);
    is_over = true;
    return NULL;
}

/* Posts reach also a loop that never sleeps, since it always has something to do. */
START_TEST(posts_reach_a_busy_loop)
{
    struct hark_op *ops = calloc(POSTS, sizeof *ops);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, post_until_over, ops), 0);
    while (!is_over || arrived < POSTS) {
        struct probe nothing = { 0 };
        hark_nop(&nothing.op, loop, on_probe);
        await(&nothing);
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(arrived, POSTS);
    free(ops);
}
END_TEST

START_TEST(posts_that_are_under_way_run_when_the_loop_closes)
{
    struct hark_op *ops = calloc(POSTS, sizeof *ops);
    ck_assert_int_eq(hark_loop_open(&loop, NULL), 0);
    for (int i = 0; i < POSTS; i++) hark_post(&ops[i], loop, count_post);
    hark_loop_close(loop);
    ck_assert_int_eq(arrived, POSTS);
    free(ops);
}
END_TEST

Suite *group_post(void)
{
    Suite *suite = suite_create("post");
    CASE(suite, posts_of_a_thread_arrive_once_and_in_order);
    CASE(suite, a_post_to_a_loop_that_falls_asleep_is_never_lost);
    CASE(suite, every_wake_ends_a_sleep);
    CASE(suite, a_wake_is_sticky_and_many_are_one);
    CASE(suite, a_post_before_the_sleep_ends_it);
    CASE(suite, a_post_from_a_callback_runs_in_a_later_turn);
    CASE(suite, a_post_wakes_a_loop_that_waits_for_ever);
    CASE(suite, another_thread_can_stop_a_run_that_sleeps);
    CASE(suite, posts_reach_a_busy_loop);
    BARE_CASE(suite, posts_that_are_under_way_run_when_the_loop_closes);
    return suite;
}
