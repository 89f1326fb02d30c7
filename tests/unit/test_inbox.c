/* The door between threads: nothing lost, the order of each thread kept, and a wake-up asked for
 * exactly once a sleep. */
#include "base/inbox.h"
#include "unit.h"

#include <pthread.h>
#include <semaphore.h>

enum { THREADS = 4, ITEMS = 30000 };

struct item { void *next; int thread, number; };

static struct inbox inbox;
static sem_t bell;             /* rung by whoever is told that the owner sleeps */
static atomic_int rung, nudges_left;
static struct item items[THREADS][ITEMS];

static void *push_all(void *arg)
{
    int thread = (int)(intptr_t)arg;
    for (int i = 0; i < ITEMS; i++) {
        struct item *item = &items[thread][i];
        item->thread = thread;
        item->number = i;
        if (!inbox_push(&inbox, item, &item->next)) continue;
        rung++;
        sem_post(&bell);
    }
    return NULL;
}

static void *nudge_often(void *arg)
{
    for (; nudges_left > 0; nudges_left--) {
        if (!inbox_nudge(&inbox)) continue;
        rung++;
        sem_post(&bell);
    }
    return arg;
}

/* Takes what is there; the number of items. They come newest first. */
static int take(int next[THREADS])
{
    struct item *newest = inbox_take(&inbox), *oldest = NULL;
    int count = 0;
    while (newest != NULL) {
        struct item *before = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = before;
    }
    for (struct item *item = oldest; item != NULL; item = item->next, count++)
        ck_assert_int_eq(item->number, next[item->thread]++);
    return count;
}

static void receive_all(bool with_nudges)
{
    pthread_t threads[THREADS + 1];
    int next[THREADS] = { 0 }, got = 0, sleeps = 0;
    sem_init(&bell, 0, 0);
    nudges_left = with_nudges ? ITEMS : 0;
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, push_all, (void *)(intptr_t)i), 0);
    ck_assert_int_eq(pthread_create(&threads[THREADS], NULL, nudge_often, NULL), 0);
    while (got < THREADS * ITEMS) {
        if (inbox_sleep(&inbox)) {
            sleeps++;
            while (sem_wait(&bell) != 0) continue; /* for ever if a wake-up is lost */
        }
        got += take(next);
    }
    for (int i = 0; i <= THREADS; i++) pthread_join(threads[i], NULL);
    ck_assert_int_eq(take(next), 0);
    ck_assert_int_eq(got, THREADS * ITEMS);
    ck_assert_int_eq(rung, sleeps); /* one a sleep, none while awake */
    sem_destroy(&bell);
}

START_TEST(nothing_is_lost_and_each_sleep_is_ended_once)
{
    receive_all(false);
}
END_TEST

START_TEST(nudges_neither_lose_items_nor_ring_twice)
{
    receive_all(true);
}
END_TEST

START_TEST(a_push_tells_whether_the_owner_sleeps)
{
    struct item first, second;
    ck_assert(inbox_is_empty(&inbox));
    ck_assert(!inbox_push(&inbox, &first, &first.next));
    ck_assert(!inbox_is_empty(&inbox));
    ck_assert(!inbox_sleep(&inbox)); /* something is there */
    ck_assert_ptr_eq(inbox_take(&inbox), &first);
    ck_assert(inbox_sleep(&inbox));
    ck_assert(inbox_push(&inbox, &first, &first.next));
    ck_assert(!inbox_push(&inbox, &second, &second.next));
    ck_assert_ptr_eq(inbox_take(&inbox), &second);
    ck_assert_ptr_eq(second.next, &first);
    ck_assert_ptr_null(first.next);
    ck_assert_ptr_null(inbox_take(&inbox));
}
END_TEST

START_TEST(a_nudge_refuses_the_next_sleep_and_carries_nothing)
{
    struct item item;
    ck_assert(!inbox_nudge(&inbox));
    ck_assert(!inbox_nudge(&inbox));
    ck_assert(!inbox_sleep(&inbox));
    ck_assert(!inbox_push(&inbox, &item, &item.next));
    ck_assert_ptr_null(item.next);
    ck_assert(!inbox_nudge(&inbox)); /* the item does it already */
    ck_assert_ptr_eq(inbox_take(&inbox), &item);
    ck_assert(inbox_sleep(&inbox));
    ck_assert(inbox_nudge(&inbox));
    ck_assert(!inbox_nudge(&inbox));
    ck_assert_ptr_null(inbox_take(&inbox));
    ck_assert(inbox_sleep(&inbox));
    ck_assert_ptr_null(inbox_take(&inbox));
}
END_TEST

static atomic_int step;
static int plain; /* not atomic: only the inbox orders it */

static void *write_and_nudge(void *arg)
{
    while (atomic_load_explicit(&step, memory_order_relaxed) != 1) continue;
    plain = 7;
    (void)inbox_nudge(&inbox);
    atomic_store_explicit(&step, 2, memory_order_relaxed);
    return arg;
}

/* Also when there was something already. That this is more than luck only the thread sanitizer can
 * tell, which sees that nothing else orders the two threads. */
START_TEST(what_was_written_before_a_nudge_is_seen_after_the_take)
{
    pthread_t thread;
    struct item item;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_and_nudge, NULL), 0);
    ck_assert(!inbox_push(&inbox, &item, &item.next));
    atomic_store_explicit(&step, 1, memory_order_relaxed);
    while (atomic_load_explicit(&step, memory_order_relaxed) != 2) continue;
    ck_assert_ptr_eq(inbox_take(&inbox), &item);
    ck_assert_int_eq(plain, 7);
    pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inbox");
    UNIT_CASE(suite, nothing_is_lost_and_each_sleep_is_ended_once);
    UNIT_CASE(suite, nudges_neither_lose_items_nor_ring_twice);
    UNIT_CASE(suite, a_push_tells_whether_the_owner_sleeps);
    UNIT_CASE(suite, a_nudge_refuses_the_next_sleep_and_carries_nothing);
    UNIT_CASE(suite, what_was_written_before_a_nudge_is_seen_after_the_take);
    return unit_run(suite);
}
