/* The timer wheel against a model that is too simple to be wrong: an array that is searched.
 *
 * The seed is new in each run and printed; WHEEL_SEED=n replays one. */
#include "base/wheel.h"
#include "unit.h"

#include <stdio.h>
#include <time.h>

enum { TIMERS = 150, STEPS = 6000, ROUNDS = 12 };

struct model {
    struct wheel_timer timer; /* first: the wheel's timer is its model */
    bool is_set;
    int64_t when;             /* at which it may fire: a moment in the past counts as `elapsed` */
    uint64_t serial;          /* the order of setting */
};

static struct wheel wheel;
static struct model models[TIMERS];
static uint64_t state, serial;
static int64_t now;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* Near moments mostly, many of them equal; but also far and past ones. */
static int64_t draw_when(void)
{
    static const int64_t spans[] = { 4, 64, 4096, 1000000, 1000000000, INT64_C(1) << 40,
                                     INT64_C(1) << 50, INT64_C(1) << 62 };
    uint64_t kind = draw(12);
    if (kind == 0) return INT64_MAX;
    if (kind == 1) return now - (int64_t)draw(1000);
    if (kind == 2) return (int64_t)draw(INT64_MAX);
    int64_t span = spans[draw(sizeof spans / sizeof spans[0])];
    int64_t left = INT64_MAX - now;
    return now + (int64_t)draw((uint64_t)(span < left ? span : left) + 1);
}

static void set(struct model *model, int64_t when)
{
    wheel_insert(&wheel, &model->timer, when);
    model->is_set = true;
    model->when = when > wheel.elapsed ? when : wheel.elapsed;
    model->serial = ++serial;
}

static void put_off(struct model *model, int64_t when)
{
    if (!wheel_put_off(&wheel, &model->timer, when)) {
        wheel_remove(&wheel, &model->timer);
        wheel_insert(&wheel, &model->timer, when);
    }
    model->when = when > wheel.elapsed ? when : wheel.elapsed;
    model->serial = ++serial;
}

static struct model *first_of_models(void)
{
    struct model *first = NULL;
    for (int i = 0; i < TIMERS; i++) {
        struct model *model = &models[i];
        if (!model->is_set) continue;
        bool is_before = first == NULL || model->when < first->when ||
                         (model->when == first->when && model->serial < first->serial);
        if (is_before) first = model;
    }
    return first;
}

static void check_next(void)
{
    const struct model *first = first_of_models();
    int64_t next = wheel_next(&wheel);
    if (first == NULL) ck_assert_int_eq(next, INT64_MAX);
    else ck_assert_int_le(next, first->when);
}

/* Everything that is due comes out, in order, and nothing else. */
static void expire_all(void)
{
    for (;;) {
        struct model *wanted = first_of_models();
        if (wanted != NULL && wanted->when > now) wanted = NULL;
        struct wheel_timer *got = wheel_expire(&wheel, now);
        ck_assert_ptr_eq(got, wanted == NULL ? NULL : &wanted->timer);
        ck_assert_int_le(wheel.elapsed, now);
        if (got == NULL) return;
        wanted->is_set = false;
        if (draw(4) == 0) set(wanted, draw_when() | 1); /* as a callback might */
        if (wanted->is_set && wanted->when <= now && draw(2) == 0) {
            wheel_remove(&wheel, &wanted->timer);
            wanted->is_set = false;
        }
    }
}

static void advance(void)
{
    int64_t next = wheel_next(&wheel);
    static const int64_t leaps[] = { 1, 70, 5000, 1000000, 1000000000, INT64_C(1) << 44 };
    int64_t leap = (int64_t)draw((uint64_t)leaps[draw(6)]) + 1;
    if (draw(2) == 0 && next != INT64_MAX && next > now) now = next;
    else if (draw(8) != 0) now += leap < INT64_MAX / 2 - now ? leap : 0;
}

static void step(void)
{
    struct model *model = &models[draw(TIMERS)];
    if (!model->is_set) {
        set(model, draw_when());
    } else if (draw(3) == 0) {
        wheel_remove(&wheel, &model->timer);
        model->is_set = false;
    } else if (draw(3) == 0) {
        wheel_remove(&wheel, &model->timer);
        set(model, draw_when());
    } else if (draw(2) == 0) {
        const struct model *other = &models[draw(TIMERS)]; /* equal moments are the hard ones */
        put_off(model, draw(2) == 0 && other->is_set ? other->when : draw_when());
    }
    if (draw(4) == 0) check_next();
    if (draw(5) != 0) return;
    advance();
    expire_all();
    check_next();
}

static uint64_t draw_seed(void)
{
    const char *wanted = getenv("WHEEL_SEED");
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    uint64_t seed = (uint64_t)ts.tv_sec * 1000000007 + (uint64_t)ts.tv_nsec;
    if (wanted != NULL) seed = strtoull(wanted, NULL, 10);
    printf("WHEEL_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

START_TEST(the_wheel_does_what_a_searched_array_does)
{
    state = draw_seed() | 1;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < TIMERS; i++) models[i].is_set = false;
        now = round % 2 == 0 ? 1 : (int64_t)draw(INT64_C(1) << 55);
        wheel_init(&wheel, now);
        for (int i = 0; i < STEPS; i++) step();
    }
}
END_TEST

/* Who sleeps until wheel_next() again and again gets there, in few sleeps. */
START_TEST(sleeping_until_next_reaches_every_timer_in_few_sleeps)
{
    for (int digit = 0; digit < 62; digit++) {
        struct wheel_timer timers[40];
        wheel_init(&wheel, 5);
        for (int i = 0; i < 40; i++)
            wheel_insert(&wheel, &timers[i], (INT64_C(1) << digit) + 5 + i);
        int sleeps = 0, fired = 0;
        for (now = 5; fired < 40; sleeps++) {
            int64_t next = wheel_next(&wheel);
            ck_assert_int_ge(next, now);
            now = next;
            while (wheel_expire(&wheel, now) != NULL) fired++;
            ck_assert_int_lt(sleeps, 40 + WHEEL_LEVELS + 1);
        }
        ck_assert_int_eq(wheel_next(&wheel), INT64_MAX);
    }
}
END_TEST

START_TEST(next_is_exact_for_a_timer_alone)
{
    for (int digit = 0; digit < 63; digit++) {
        struct wheel_timer timer, other;
        int64_t when = (INT64_C(1) << digit) + (digit > 3 ? 3 : 0);
        wheel_init(&wheel, 0);
        wheel_insert(&wheel, &timer, when);
        ck_assert_int_eq(wheel_next(&wheel), when);
        ck_assert_ptr_null(wheel_expire(&wheel, when - 1));
        wheel_insert(&wheel, &other, when - 1);
        ck_assert_int_le(wheel_next(&wheel), when - 1);
        wheel_remove(&wheel, &other);
        ck_assert_int_eq(wheel_next(&wheel), when);
        ck_assert_ptr_eq(wheel_expire(&wheel, when), &timer);
        ck_assert_ptr_null(wheel_expire(&wheel, INT64_MAX));
    }
}
END_TEST

static void count(struct wheel_timer *timer, void *arg)
{
    ((int *)arg)[((struct model *)(void *)timer) - models]++;
}

START_TEST(each_tells_every_timer_once)
{
    int counts[TIMERS] = { 0 };
    now = 77;
    state = 12345;
    wheel_init(&wheel, now);
    for (int i = 0; i < TIMERS; i++) models[i].is_set = false;
    for (int i = 0; i < TIMERS; i += 2) set(&models[i], draw_when());
    wheel_each(&wheel, count, counts);
    for (int i = 0; i < TIMERS; i++) ck_assert_int_eq(counts[i], i % 2 == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wheel");
    UNIT_CASE(suite, the_wheel_does_what_a_searched_array_does);
    UNIT_CASE(suite, sleeping_until_next_reaches_every_timer_in_few_sleeps);
    UNIT_CASE(suite, next_is_exact_for_a_timer_alone);
    UNIT_CASE(suite, each_tells_every_timer_once);
    return unit_run(suite);
}
