/* Well-known exercises in concurrency, each with a result that is checked. */
#include "groups.h"
#include "harness.h"

/* 1. The prime sieve: a filter for each prime, chained by channels. */

struct filter { struct hark_channel *in, *out; int prime; };

static int64_t counts_from_two(void *arg)
{
    int64_t error = 0;
    for (int i = 2; error == 0; i++) error = hark_channel_send(arg, &i);
    return error;
}

static int64_t filters(void *arg)
{
    struct filter *filter = arg;
    int64_t error = 0;
    while (error == 0) {
        int number;
        error = hark_channel_receive(filter->in, &number);
        if (error == 0 && number % filter->prime != 0)
            error = hark_channel_send(filter->out, &number);
    }
    return error;
}

static int64_t sieve(void *arg)
{
    enum { PRIMES = 50 };
    struct filter filter[PRIMES];
    struct hark_channel *channels[PRIMES + 1];
    struct hark_scope scope;
    int prime = 0;
    (void)arg;
    for (int i = 0; i <= PRIMES; i++)
        ck_assert_int_eq(hark_channel_open(&channels[i], loop, sizeof(int), 0), 0);
    hark_scope_open(&scope, 0);
    hark_spawn(&scope, counts_from_two, channels[0]);
    for (int i = 0; i < PRIMES; i++) {
        ck_assert_int_eq(hark_channel_receive(channels[i], &prime), 0);
        filter[i] = (struct filter){ channels[i], channels[i + 1], prime };
        hark_spawn(&scope, filters, &filter[i]);
    }
    hark_scope_cancel(&scope);
    ck_assert_int_eq(hark_scope_close(&scope), HARK_ECANCELED);
    for (int i = 0; i <= PRIMES; i++) hark_channel_free(channels[i]);
    return prime;
}

START_TEST(the_prime_sieve_finds_the_fiftieth_prime)
{
    ck_assert_int_eq(hark_fiber_main(loop, sieve, NULL), 229);
}
END_TEST

/* 2. The ring: a token goes round a thousand fibers. */

enum { RING = 1000 };
struct node { struct hark_channel *in, *out; };

static int64_t passes_on(void *arg)
{
    struct node *node = arg;
    int token;
    int64_t error = hark_channel_receive(node->in, &token);
    token++;
    return error != 0 ? error : hark_channel_send(node->out, &token);
}

static int64_t ring(void *arg)
{
    static struct hark_channel *channels[RING + 1];
    static struct node nodes[RING];
    struct hark_scope scope;
    int token = 0;
    (void)arg;
    for (int i = 0; i <= RING; i++)
        ck_assert_int_eq(hark_channel_open(&channels[i], loop, sizeof(int), 0), 0);
    hark_scope_open(&scope, 0);
    for (int i = 0; i < RING; i++) {
        nodes[i] = (struct node){ channels[i], channels[i + 1] };
        ck_assert_int_eq(hark_spawn(&scope, passes_on, &nodes[i]), 0);
    }
    ck_assert_int_eq(hark_channel_send(channels[0], &token), 0);
    ck_assert_int_eq(hark_channel_receive(channels[RING], &token), 0);
    ck_assert_int_eq(hark_scope_close(&scope), 0);
    for (int i = 0; i <= RING; i++) hark_channel_free(channels[i]);
    return token;
}

START_TEST(a_token_goes_round_a_ring_of_a_thousand)
{
    ck_assert_int_eq(hark_fiber_main(loop, ring, NULL), RING);
}
END_TEST

/* 3. The dining philosophers. */

static struct hark_mutex forks[5];
static int eats[5], meals;

static int64_t dines(void *arg)
{
    int me = (int)(intptr_t)arg, left = me, right = (me + 1) % 5;
    int first = left < right ? left : right, second = left < right ? right : left;
    for (int meal = 0; meal < 20; meal++) {
        ck_assert_int_eq(hark_mutex_lock(&forks[first]), 0);
        hark_fiber_yield();
        ck_assert_int_eq(hark_mutex_lock(&forks[second]), 0);
        eats[me] = 1;
        ck_assert(!eats[(me + 1) % 5] && !eats[(me + 4) % 5]);
        hark_fiber_yield();
        eats[me] = 0;
        meals++;
        hark_mutex_unlock(&forks[second]);
        hark_mutex_unlock(&forks[first]);
    }
    return 0;
}

START_TEST(five_philosophers_dine_and_no_neighbours_at_once)
{
    for (intptr_t i = 0; i < 5; i++) hark_fiber_start(loop, dines, (void *)i);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(meals, 100);
}
END_TEST

/* 4. Fan-in with a timeout: answers are collected until time is up. */

struct source { struct hark_channel *to; int64_t delay_ns; };

static int64_t answers(void *arg)
{
    struct source *source = arg;
    int64_t error = hark_fiber_sleep(source->delay_ns);
    return error != 0 ? error : hark_channel_send(source->to, &source->delay_ns);
}

static int64_t fan_in(void *arg)
{
    struct hark_channel *to;
    struct source sources[4];
    struct hark_scope scope;
    int got = 0;
    (void)arg;
    hark_channel_open(&to, loop, sizeof(int64_t), 0);
    hark_scope_open(&scope, 0);
    for (int i = 0; i < 4; i++) {
        bool is_slow = i % 2 == 1;
        sources[i] = (struct source){ to, is_slow ? 60 * HARK_SECOND : i * HARK_MICROSECOND };
        hark_spawn(&scope, answers, &sources[i]);
    }
    int64_t delay, until = hark_after(loop, 300 * HARK_MILLISECOND);
    while (hark_channel_receive_until(to, &delay, until) == 0) got++;
    hark_scope_cancel(&scope);
    hark_scope_close(&scope);
    hark_channel_free(to);
    return got;
}

START_TEST(fan_in_takes_what_comes_in_time)
{
    ck_assert_int_eq(hark_fiber_main(loop, fan_in, NULL), 2);
}
END_TEST

/* 5. A pool of workers; the first error ends it. */

static int worked, worked_late; /* late: after the failure, with what was in hand by then */
static bool has_failed;

static int64_t works(void *arg)
{
    int job;
    int64_t error;
    while ((error = hark_channel_receive(arg, &job)) == 0) {
        error = hark_fiber_sleep(1000);
        if (error != 0) return error;
        if (job == 13) {
            has_failed = true;
            return HARK_EPROTO;
        }
        worked++;
        worked_late += has_failed;
    }
    return error == HARK_ECLOSED ? 0 : error;
}

static int64_t worker_pool(void *arg)
{
    struct hark_channel *jobs;
    struct hark_scope scope;
    int64_t error = 0;
    (void)arg;
    hark_channel_open(&jobs, loop, sizeof(int), 2);
    hark_scope_open(&scope, 0);
    for (int i = 0; i < 4; i++) hark_spawn(&scope, works, jobs);
    for (int job = 0; error == 0 && job < 1000; job++) error = hark_channel_send(jobs, &job);
    ck_assert_int_eq(error, HARK_ECANCELED);
    error = hark_scope_close(&scope);
    hark_channel_free(jobs);
    return error;
}

START_TEST(the_first_error_of_a_worker_ends_the_pool)
{
    ck_assert_int_eq(hark_fiber_main(loop, worker_pool, NULL), HARK_EPROTO);
    ck_assert_int_ge(worked, 13 - 3); /* the other three may still have had theirs */
    ck_assert_int_le(worked_late, 3);
}
END_TEST

/* 6. An echo server whose connections have deadlines of their own. */

struct served { struct listener listener; int echoed, timed_out, open; };

struct one { struct hark_io io; struct served *served; };

static int64_t serves(void *arg)
{
    struct one *one = arg;
    struct hark_scope scope;
    char buf[64];
    int64_t patience = 30 * HARK_SECOND; /* for who has not said a word yet */
    hark_scope_open(&scope, 0);
    for (;; patience = 30 * HARK_MILLISECOND) {
        hark_scope_deadline(&scope, hark_after(loop, patience));
        int64_t n = hark_fiber_recv(&one->io, buf, sizeof buf);
        if (n == HARK_ETIMEDOUT) one->served->timed_out++;
        if (n <= 0 || hark_fiber_send_all(&one->io, buf, (size_t)n) < 0) break;
        one->served->echoed += (int)n;
    }
    (void)hark_scope_close(&scope);
    (void)hark_fiber_close(&one->io);
    one->served->open--;
    free(one);
    return 0;
}

static int64_t accepts(void *arg)
{
    struct served *served = arg;
    struct hark_scope scope;
    hark_scope_open(&scope, 0);
    for (int i = 0; i < 3; i++) {
        struct one *one = calloc(1, sizeof *one);
        one->served = served;
        ck_assert_int_eq(hark_fiber_accept(&served->listener.io, &one->io), 0);
        served->open++;
        ck_assert_int_eq(hark_spawn(&scope, serves, one), 0);
    }
    return hark_scope_close(&scope);
}

static int64_t talks(void *arg)
{
    struct served *served = arg;
    struct hark_io io = { 0 };
    const struct sockaddr *addr = (const struct sockaddr *)&served->listener.addr;
    char got[5];
    ck_assert_int_eq(hark_socket(&io, loop, addr->sa_family, SOCK_STREAM, 0), 0);
    ck_assert_int_eq(hark_fiber_connect(&io, addr, served->listener.len), 0);
    ck_assert_int_eq(hark_fiber_send_all(&io, "hello", 5), 5);
    ck_assert_int_eq(hark_fiber_recv_exactly(&io, got, 5), 5);
    ck_assert_int_eq(memcmp(got, "hello", 5), 0);
    ck_assert_int_eq(hark_fiber_recv(&io, got, 1), 0); /* silent: the server ends it */
    return hark_fiber_close(&io);
}

START_TEST(an_echo_server_ends_silent_connections)
{
    struct served served = { 0 };
    if (!listener_open(&served.listener, (enum wire_kind)_i)) return;
    for (int i = 0; i < 3; i++) hark_fiber_start(loop, talks, &served);
    ck_assert_int_eq(hark_fiber_main(loop, accepts, &served), 0);
    ck_assert(served.echoed == 15 && served.timed_out == 3 && served.open == 0);
    ck_assert_int_eq(hark_run(loop), 0);
    close_io(&served.listener.io);
}
END_TEST

/* 7. A limiter of rate: a bucket of tokens that a ticker fills. */

static int64_t fills(void *arg)
{
    struct hark_ticker ticker;
    int64_t ticks;
    hark_ticker_open(&ticker, HARK_MILLISECOND);
    while ((ticks = hark_ticker_wait(&ticker)) > 0)
        for (; ticks > 0; ticks--)
            if (hark_channel_try_send(arg, &ticks) != 0) break; /* full: the tick is lost */
    return ticks;
}

static int64_t limited(void *arg)
{
    struct hark_channel *bucket;
    struct hark_scope scope;
    int64_t token, start = hark_now(loop);
    (void)arg;
    hark_channel_open(&bucket, loop, sizeof(int64_t), 3);
    hark_scope_open(&scope, 0);
    hark_spawn(&scope, fills, bucket);
    for (int i = 0; i < 10; i++) ck_assert_int_eq(hark_channel_receive(bucket, &token), 0);
    ck_assert_int_ge(hark_now(loop) - start, 10 * HARK_MILLISECOND);
    hark_scope_cancel(&scope);
    hark_scope_close(&scope);
    hark_channel_free(bucket);
    return 0;
}

START_TEST(a_limiter_lets_through_no_more_than_its_rate)
{
    ck_assert_int_eq(hark_fiber_main(loop, limited, NULL), 0);
}
END_TEST

/* 8. Publishers and subscribers: who subscribes gets all that is sent from then on. */

static struct hark_broadcast topic;
static int sums[3];

static int64_t adds_up(void *arg)
{
    struct hark_subscription subscription;
    int item, *sum = arg;
    hark_subscribe(&subscription, &topic);
    while (hark_subscription_receive(&subscription, &item) == 0) *sum += item;
    return 0;
}

static int64_t publishes(void *arg)
{
    (void)arg;
    hark_fiber_yield();
    for (int i = 1; i <= 10; i++) {
        hark_broadcast_send(&topic, &i);
        if (i == 5) hark_fiber_start(loop, adds_up, &sums[2]);
        hark_fiber_yield();
        hark_fiber_yield();
    }
    hark_broadcast_close(&topic);
    return 0;
}

START_TEST(subscribers_get_all_that_is_published_after_they_came)
{
    hark_broadcast_open(&topic, loop, sizeof(int), 16);
    hark_fiber_start(loop, adds_up, &sums[0]);
    hark_fiber_start(loop, adds_up, &sums[1]);
    hark_fiber_start(loop, publishes, NULL);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert(sums[0] == 55 && sums[1] == 55 && sums[2] == 40);
    hark_broadcast_free(&topic);
}
END_TEST

/* 9. A pipeline that is canceled in the middle: every stage ends, and nothing is left in it. */

static int64_t stage(void *arg)
{
    struct node *node = arg;
    int64_t error = 0;
    while (error == 0) {
        int item;
        error = hark_channel_receive(node->in, &item);
        if (error == 0) item *= 2;
        if (error == 0) error = hark_channel_send(node->out, &item);
    }
    return error;
}

static int64_t pipeline(void *arg)
{
    enum { STAGES = 3 };
    struct hark_channel *channels[STAGES + 1];
    struct node nodes[STAGES];
    struct hark_scope scope;
    int item, sum = 0;
    (void)arg;
    for (int i = 0; i <= STAGES; i++) hark_channel_open(&channels[i], loop, sizeof(int), 1);
    hark_scope_open(&scope, 0);
    hark_spawn(&scope, counts_from_two, channels[0]);
    for (int i = 0; i < STAGES; i++) {
        nodes[i] = (struct node){ channels[i], channels[i + 1] };
        hark_spawn(&scope, stage, &nodes[i]);
    }
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(hark_channel_receive(channels[STAGES], &item), 0);
        sum += item;
    }
    hark_scope_cancel(&scope);
    ck_assert_int_eq(hark_scope_close(&scope), HARK_ECANCELED);
    ck_assert_uint_eq(scope.ended_count, STAGES + 1);
    for (int i = 0; i <= STAGES; i++) hark_channel_free(channels[i]);
    return sum;
}

START_TEST(a_pipeline_ends_when_it_is_canceled)
{
    ck_assert_int_eq(hark_fiber_main(loop, pipeline, NULL), 8 * (2 + 3 + 4 + 5 + 6));
}
END_TEST

/* 10. The dial race: the first of several connections wins, the others are given up. */

struct race { struct listener *listener; struct hark_channel *won; };

static int64_t dials(void *arg)
{
    struct race *race = arg;
    struct hark_io *io = calloc(1, sizeof *io);
    const struct sockaddr *addr = (const struct sockaddr *)&race->listener->addr;
    ck_assert_int_eq(hark_socket(io, loop, addr->sa_family, SOCK_STREAM, 0), 0);
    int64_t error = hark_fiber_connect(io, addr, race->listener->len);
    if (error == 0) error = hark_channel_send(race->won, &io);
    if (error == 0) return 0;
    (void)hark_fiber_close(io);
    free(io);
    return error == HARK_ECANCELED ? error : 0;
}

static int64_t dial_race(void *arg)
{
    struct race race = { .listener = arg };
    struct hark_scope scope;
    struct hark_io *winner = NULL;
    hark_channel_open(&race.won, loop, sizeof winner, 0);
    hark_scope_open(&scope, hark_after(loop, 60 * HARK_SECOND));
    for (int i = 0; i < 4; i++) hark_spawn(&scope, dials, &race);
    ck_assert_int_eq(hark_channel_receive(race.won, &winner), 0);
    hark_scope_cancel(&scope);
    ck_assert_int_eq(hark_scope_close(&scope), HARK_ECANCELED);
    ck_assert_uint_eq(scope.ended_count, 4);
    hark_channel_free(race.won);
    ck_assert_int_eq(hark_fiber_send_all(winner, "x", 1), 1);
    int64_t error = hark_fiber_close(winner);
    free(winner);
    return error;
}

START_TEST(a_dial_race_has_one_winner_and_gives_up_the_others)
{
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    ck_assert_int_eq(hark_fiber_main(loop, dial_race, &listener), 0);
    close_io(&listener.io);
}
END_TEST

Suite *group_exercises(void)
{
    Suite *suite = suite_create("exercises");
    CASE(suite, the_prime_sieve_finds_the_fiftieth_prime);
    CASE(suite, a_token_goes_round_a_ring_of_a_thousand);
    CASE(suite, five_philosophers_dine_and_no_neighbours_at_once);
    CASE(suite, fan_in_takes_what_comes_in_time);
    CASE(suite, the_first_error_of_a_worker_ends_the_pool);
    EACH_WIRE(suite, an_echo_server_ends_silent_connections);
    CASE(suite, a_limiter_lets_through_no_more_than_its_rate);
    CASE(suite, subscribers_get_all_that_is_published_after_they_came);
    CASE(suite, a_pipeline_ends_when_it_is_canceled);
    EACH_WIRE(suite, a_dial_race_has_one_winner_and_gives_up_the_others);
    return suite;
}
