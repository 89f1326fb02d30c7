/* Promise 16: a fiber waits for any op, and the loop goes on meanwhile. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

#include <poll.h>
#include <pthread.h>

static int64_t returns_its_argument(void *arg) { return (int64_t)(intptr_t)arg; }

START_TEST(main_gives_what_the_fiber_returns)
{
    ck_assert_int_eq(hark_fiber_main(loop, returns_its_argument, (void *)42), 42);
    ck_assert_int_eq(hark_fiber_main(loop, returns_its_argument, (void *)-7), -7);
    void *least = (void *)(intptr_t)INT64_MIN;
    ck_assert_int_eq(hark_fiber_main(loop, returns_its_argument, least), INT64_MIN);
}
END_TEST

static char trace[64];
static void note(char letter) { trace[strlen(trace)] = letter; }

static int64_t notes_and_yields(void *arg)
{
    for (int i = 0; i < 3; i++) {
        note(*(char *)arg);
        hark_fiber_yield();
    }
    return 0;
}

static int64_t in_turn(void *arg)
{
    struct hark_scope scope;
    char names[] = { 'a', 'b', 'c' };
    (void)arg;
    hark_scope_open(&scope, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(hark_spawn(&scope, notes_and_yields, &names[i]), 0);
    note('m');
    return hark_scope_close(&scope);
}

START_TEST(fibers_run_in_turn_and_begin_after_their_starter_has_waited)
{
    ck_assert_int_eq(hark_fiber_main(loop, in_turn, NULL), 0);
    ck_assert_str_eq(trace, "mabcabcabc");
}
END_TEST

static int64_t echo(void *arg)
{
    struct wire *wire = arg;
    char buf[100];
    for (int64_t n; (n = hark_fiber_recv(&wire->io, buf, sizeof buf)) > 0;)
        ck_assert_int_eq(hark_fiber_send_all(&wire->io, buf, (size_t)n), n);
    return hark_fiber_close(&wire->io);
}

START_TEST(a_fiber_receives_and_sends_on_its_own_stack)
{
    struct wire wire;
    char got[6] = { 0 };
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    write_all(wire.peer, "hello", 5);
    ck_assert_int_eq(hark_fiber_start(loop, echo, &wire), 0);
    for (size_t have = 0; have < 5;) {
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
        if (is_ready(wire.peer, POLLIN, 0)) have += (size_t)read(wire.peer, got + have, 5 - have);
    }
    ck_assert_str_eq(got, "hello");
    close(wire.peer);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert(!hark_io_is_open(&wire.io));
}
END_TEST

static int64_t serve_one(void *arg)
{
    struct hark_io io = { 0 };
    char text[4];
    ck_assert_int_eq(hark_fiber_accept(arg, &io), 0);
    ck_assert_int_eq(hark_fiber_recv_exactly(&io, text, 4), 4);
    ck_assert_int_eq(memcmp(text, "ping", 4), 0);
    ck_assert_int_eq(hark_fiber_recv_exactly(&io, text, 4), HARK_ECLOSED);
    return hark_fiber_close(&io);
}

static int64_t dials(void *arg)
{
    struct listener *listener = arg;
    struct hark_scope scope;
    struct hark_io io = { 0 };
    const struct sockaddr *addr = (const struct sockaddr *)&listener->addr;
    hark_scope_open(&scope, 0);
    hark_spawn(&scope, serve_one, &listener->io);
    ck_assert_int_eq(hark_socket(&io, loop, addr->sa_family, SOCK_STREAM, 0), 0);
    ck_assert_int_eq(hark_fiber_connect(&io, addr, listener->len), 0);
    ck_assert_int_eq(hark_fiber_send_all(&io, "pi", 2), 2);
    ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), 0);
    ck_assert_int_eq(hark_fiber_send_all(&io, "ngxx", 4), 4);
    ck_assert_int_eq(hark_fiber_close(&io), 0);
    return hark_scope_close(&scope);
}

START_TEST(fibers_connect_and_accept)
{
    struct listener listener;
    if (!listener_open(&listener, (enum wire_kind)_i)) return;
    ck_assert_int_eq(hark_fiber_main(loop, dials, &listener), 0);
    close_io(&listener.io);
}
END_TEST

static int64_t sleeps(void *arg)
{
    int64_t when = hark_now(loop) + *(int64_t *)arg;
    ck_assert_int_eq(hark_fiber_sleep(*(int64_t *)arg), 0);
    ck_assert_int_ge(clock_now(), when);
    return 0;
}

START_TEST(a_sleep_is_never_short)
{
    int64_t delays[] = { 1, 1000, 1500001, 3 * HARK_MILLISECOND, -5, 0 };
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++)
        ck_assert_int_eq(hark_fiber_main(loop, sleeps, &delays[i]), 0);
}
END_TEST

static int64_t on_another_thread(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return 77;
}

static int64_t offloads(void *arg)
{
    pthread_t thread = pthread_self();
    (void)arg;
    ck_assert_int_eq(hark_fiber_offload(HARK_OFFLOAD_WORK, on_another_thread, &thread), 77);
    ck_assert(!pthread_equal(thread, pthread_self()));
    return 0;
}

START_TEST(offloaded_work_is_awaited)
{
    ck_assert_int_eq(hark_fiber_main(loop, offloads, NULL), 0);
}
END_TEST

static int64_t yields_for_ever(void *arg)
{
    bool *stops = arg;
    while (!*stops) hark_fiber_yield();
    return 0;
}

static void set_flag(struct hark_op *op) { *(bool *)op->user = true; }

START_TEST(fibers_that_never_wait_starve_neither_timers_nor_posts)
{
    bool stops = false;
    struct hark_op timer = { .user = &stops };
    hark_timer(&timer, loop, hark_after(loop, HARK_MILLISECOND), set_flag);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(hark_fiber_start(loop, yields_for_ever, &stops), 0);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert(stops);
}
END_TEST

static int64_t waits_for_nothing(void *arg)
{
    struct hark_condition *condition = arg;
    hark_fiber_name("stuck one");
    return hark_condition_wait(condition, NULL);
}

static void find_stuck(const struct hark_inspect_entry *entry, void *arg)
{
    bool is_it = strcmp(entry->kind, "fiber") == 0 && entry->label != NULL &&
                 strcmp(entry->label, "stuck one") == 0;
    if (!is_it) return;
    ck_assert_str_eq(entry->state, "waiting");
    ck_assert_str_eq(entry->waits_for, "condition");
    ck_assert(strstr(entry->waits_at, "test_fiber.c:") != NULL);
    ck_assert(strstr(entry->place, "test_fiber.c:") != NULL);
    ++*(int *)arg;
}

START_TEST(a_deadlock_is_an_error_and_inspection_shows_who_waits)
{
    struct hark_condition condition = { 0 };
    int found = 0;
    ck_assert_int_eq(hark_fiber_main(loop, waits_for_nothing, &condition), HARK_EDEADLK);
    hark_loop_inspect(loop, find_stuck, &found);
    ck_assert_int_eq(found, 1);
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    hark_loop_print(loop, to);
    fclose(to);
    ck_assert_msg(strstr(text, "waiting  for condition") != NULL, "%s", text);
    free(text);
    hark_condition_signal(&condition);
    ck_assert_int_eq(hark_run(loop), 0);
}
END_TEST

static int64_t knows_itself(void *arg)
{
    ck_assert_ptr_eq(hark_fiber_loop(), arg);
    ck_assert_int_eq(hark_fiber_sleep(1000), 0);
    return 5;
}

static int64_t runs_another_loop(void *arg)
{
    struct hark_fiber *self = hark_fiber_self();
    ck_assert_int_eq(hark_fiber_main(arg, knows_itself, arg), 5);
    ck_assert_ptr_eq(hark_fiber_self(), self);
    ck_assert_int_eq(hark_fiber_sleep(1000), 0);
    return 6;
}

START_TEST(a_fiber_may_run_a_loop_of_its_own)
{
    struct hark_loop *own;
    ck_assert_int_eq(hark_loop_open(&own, NULL), 0);
    ck_assert_int_eq(hark_fiber_main(loop, runs_another_loop, own), 6);
    hark_loop_close(own);
}
END_TEST

/* A tree: the place of each wait, also in the second round of a call that has several. */
static int receives_at, opens_at, waits_at;

static int64_t receives_four(void *arg)
{
    struct wire *wire = arg;
    char buf[4];
    hark_fiber_name("receiver");
    ck_assert_int_eq(hark_fiber_sleep(1), 0); /* an earlier wait, elsewhere */
    receives_at = __LINE__ + 1;
    return hark_fiber_recv_exactly(&wire->io, buf, 4);
}

static int64_t is_above(void *arg)
{
    struct hark_scope scope;
    hark_fiber_name("the one above");
    opens_at = __LINE__ + 1;
    hark_scope_open(&scope, 0);
    scope.label = "its scope";
    hark_spawn(&scope, receives_four, arg);
    waits_at = __LINE__ + 1;
    int64_t result = hark_scope_close(&scope);
    return result;
}

static void expect_line(const char *text, const char *begin, int line)
{
    char wanted[200];
    const char *at = strstr(text, begin);
    ck_assert_msg(at != NULL, "no \"%s\" in:\n%s", begin, text);
    snprintf(wanted, sizeof wanted, "test_fiber.c:%d\n", line);
    const char *end = strchr(at + 1, '\n'), *place = strstr(at, wanted);
    ck_assert_msg(place != NULL && place < end, "no line %d after \"%s\" in:\n%s", line, begin,
                  text);
}

START_TEST(inspection_shows_a_tree_with_the_place_of_each_wait)
{
    struct wire wire;
    char *text = NULL;
    size_t size = 0;
    ck_assert(wire_open(&wire, WIRE_UNIX));
    ck_assert_int_eq(hark_fiber_start(loop, is_above, &wire), 0);
    while (receives_at == 0) ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    write_all(wire.peer, "ab", 2);
    for (int i = 0; i < 10; i++) ck_assert_int_ge(hark_step(loop, HARK_MILLISECOND), 0);
    FILE *to = open_memstream(&text, &size);
    hark_loop_print(loop, to);
    fclose(to);
    expect_line(text, "\nfiber          waiting  for the children of a scope,", waits_at);
    expect_line(text, "\n  scope          closing ", opens_at);
    expect_line(text, "\n    fiber          waiting  for recv,", receives_at);
    ck_assert(strstr(text, "\"receiver\"") != NULL && strstr(text, "\"its scope\"") != NULL);
    free(text);
    write_all(wire.peer, "cd", 2);
    ck_assert_int_eq(hark_run(loop), 0);
    wire_close(&wire);
}
END_TEST

static int64_t is_stuck(void *arg)
{
    hark_fiber_name("stuck for good");
    return hark_condition_wait(arg, NULL);
}

START_TEST(a_deadlock_is_printed_where_the_caller_asks_for_it)
{
    struct hark_loop_options options = { .reports_deadlock = true };
    struct hark_condition condition = { 0 };
    struct hark_loop *own;
    char said[2000] = { 0 };
    int fds[2], before = dup(STDERR_FILENO);
    ck_assert_int_eq(hark_loop_open(&own, &options), 0);
    ck_assert_int_eq(hark_fiber_start(own, is_stuck, &condition), 0);
    ck_assert_int_eq(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    int result = hark_run(own);
    dup2(before, STDERR_FILENO);
    ck_assert_int_gt(read(fds[0], said, sizeof said - 1), 0);
    ck_assert_int_eq(result, HARK_EDEADLK);
    ck_assert_msg(strstr(said, "every fiber waits") != NULL, "said: %s", said);
    ck_assert_msg(strstr(said, "\"stuck for good\"") != NULL, "said: %s", said);
    for (int i = 0; i < 2; i++) close(fds[i]);
    close(before);
    hark_loop_close(own);
}
END_TEST

static int closed_with;

static int64_t waits_long(void *arg)
{
    struct wire *wire = arg;
    char c;
    closed_with = (int)hark_fiber_recv(&wire->io, &c, 1);
    ck_assert_int_eq(hark_fiber_sleep(HARK_SECOND), HARK_ECANCELED);
    ck_assert_int_eq(hark_fiber_interrupted(), HARK_ECANCELED);
    return hark_fiber_close(&wire->io);
}

START_TEST(closing_the_loop_cancels_its_fibers_and_waits_for_them)
{
    struct hark_loop *own;
    struct wire wire = { 0 };
    int fds[2];
    ck_assert_int_eq(hark_loop_open(&own, NULL), 0);
    ck_assert(plain_pair(fds, WIRE_UNIX));
    ck_assert_int_eq(hark_io_adopt(&wire.io, own, fds[0]), 0);
    ck_assert_int_eq(hark_fiber_start(own, waits_long, &wire), 0);
    for (int i = 0; i < 5; i++) ck_assert_int_ge(hark_step(own, 0), 0);
    hark_loop_close(own);
    ck_assert_int_eq(closed_with, HARK_ECANCELED);
    ck_assert(!hark_io_is_open(&wire.io));
    close(fds[1]);
}
END_TEST

static int64_t says_goodbye(void *arg)
{
    struct wire *wire = arg;
    struct hark_scope shield;
    char c;
    ck_assert_int_eq(hark_fiber_recv(&wire->io, &c, 1), HARK_ECANCELED);
    hark_scope_open_shielded(&shield, hark_after(wire->io.loop, 60 * HARK_SECOND));
    ck_assert_int_eq(hark_fiber_sleep(HARK_MILLISECOND), 0);
    ck_assert_int_eq(hark_fiber_send_all(&wire->io, "bye", 3), 3);
    return hark_scope_close(&shield);
}

static int64_t waits_under_a_shield(void *arg)
{
    struct hark_scope shield;
    hark_scope_open_shielded(&shield, 0);
    ck_assert_int_eq(hark_condition_wait(arg, NULL), HARK_ECANCELED);
    return hark_scope_close(&shield);
}

START_TEST(fibers_clean_up_under_a_shield_while_their_loop_is_closed)
{
    struct hark_loop *own;
    struct wire wire = { 0 };
    struct hark_condition condition = { 0 };
    char got[4] = { 0 };
    int fds[2];
    ck_assert_int_eq(hark_loop_open(&own, NULL), 0);
    ck_assert(plain_pair(fds, WIRE_UNIX));
    ck_assert_int_eq(hark_io_adopt(&wire.io, own, fds[0]), 0);
    hark_fiber_start(own, says_goodbye, &wire);
    hark_fiber_start(own, waits_under_a_shield, &condition);
    for (int i = 0; i < 5; i++) ck_assert_int_ge(hark_step(own, 0), 0);
    hark_loop_close(own);
    ck_assert_int_eq(read(fds[1], got, 4), 3);
    ck_assert_str_eq(got, "bye");
    close(fds[1]);
}
END_TEST

/* One fiber in each state that a fiber can be in, and one that has not begun. */
struct states {
    struct hark_loop *loop;
    struct wire wire;
    struct hark_channel *channel;
    struct hark_mutex mutex;
    struct hark_condition condition;
    int ended;
};

enum { STATES = 10 };

static int64_t takes_its_time(void *arg)
{
    usleep(20000);
    return (int64_t)(intptr_t)arg;
}

static int64_t is_in_state(struct states *states, int state, struct hark_op *op)
{
    char c;
    struct hark_case cases[2] = {
        { .kind = HARK_CASE_OP, .op = op },
        { .kind = HARK_CASE_RECEIVE, .channel = states->channel },
    };
    switch (state) {
    case 0: return hark_fiber_recv(&states->wire.io, &c, 1);
    case 1: return hark_fiber_sleep(1000 * HARK_SECOND);
    case 2: return hark_channel_receive(states->channel, NULL);
    case 3: if (hark_mutex_lock(&states->mutex) != 0) return HARK_ECANCELED;
            return hark_fiber_sleep(1000 * HARK_SECOND);
    case 4: return hark_mutex_lock(&states->mutex);
    case 8: return hark_condition_wait(&states->condition, NULL);
    case 5: return hark_fiber_offload(HARK_OFFLOAD_WORK, takes_its_time, NULL);
    case 6: hark_await_start(op, hark_timer, states->loop, INT64_MAX);
            return hark_select(cases, 2);
    case 7: while (hark_fiber_interrupted() == 0) hark_fiber_yield();
            return hark_fiber_interrupted();
    default: return hark_fiber_recv(&states->wire.io, &c, 1); /* behind the other one */
    }
}

struct one_of { struct states *states; int state; };

static int64_t waits_somehow(void *arg)
{
    const struct one_of *one = arg;
    struct states *states = one->states;
    struct hark_scope scope;
    struct hark_op op = { 0 };
    hark_scope_open(&scope, 0);
    int64_t result = is_in_state(states, one->state, &op);
    ck_assert(result == HARK_ECANCELED || one->state == 5);
    if (hark_is_alive(&op)) ck_assert_int_eq(hark_await_started(&op), HARK_ECANCELED);
    ck_assert_int_eq(hark_scope_close(&scope), 0);
    if (states->mutex.owner == hark_fiber_self()) hark_mutex_unlock(&states->mutex);
    if (++states->ended == STATES) hark_channel_free(states->channel);
    return result;
}

START_TEST(a_loop_is_closed_with_fibers_in_every_state)
{
    for (int turns = 0; turns < 6; turns += 5) { /* none has begun; all wait */
        struct states states = { 0 };
        struct one_of ones[STATES];
        int fds[2];
        ck_assert_int_eq(hark_loop_open(&states.loop, NULL), 0);
        ck_assert(plain_pair(fds, WIRE_UNIX));
        ck_assert_int_eq(hark_io_adopt(&states.wire.io, states.loop, fds[0]), 0);
        ck_assert_int_eq(hark_channel_open(&states.channel, states.loop, 0, 0), 0);
        for (int i = 0; i < STATES; i++) {
            ones[i] = (struct one_of){ &states, i };
            ck_assert_int_eq(hark_fiber_start(states.loop, waits_somehow, &ones[i]), 0);
        }
        for (int i = 0; i < turns; i++) ck_assert_int_ge(hark_step(states.loop, 0), 0);
        hark_loop_close(states.loop);
        ck_assert_int_eq(states.ended, STATES);
        close(fds[1]);
    }
}
END_TEST

static int64_t reads_lines(void *arg)
{
    struct wire *wire = arg;
    char buf[16], exact[4], *line;
    struct hark_reader reader = { .io = &wire->io, .buf = buf, .room_bytes = sizeof buf };
    ck_assert_int_eq(hark_fiber_read_line(&reader, &line), 5);
    ck_assert_str_eq(line, "first");
    ck_assert_int_eq(hark_fiber_read_line(&reader, &line), 0);
    ck_assert_int_eq(hark_fiber_read_exactly(&reader, exact, 4), 4);
    ck_assert_int_eq(memcmp(exact, "abcd", 4), 0);
    ck_assert_int_eq(hark_fiber_read_line(&reader, &line), 6);
    ck_assert_str_eq(line, "second");
    ck_assert_int_eq(hark_fiber_read_line(&reader, &line), HARK_EMSGSIZE);
    return 0;
}

START_TEST(lines_are_read_and_what_follows_them)
{
    struct wire wire;
    if (!wire_open(&wire, (enum wire_kind)_i)) return;
    write_all(wire.peer, "first\r\n\nabcdsecond\nthis one is much too long\n", 44);
    ck_assert_int_eq(hark_fiber_main(loop, reads_lines, &wire), 0);
    wire_close(&wire);
}
END_TEST

static int destroyed;
static void destroy(void *value) { destroyed += *(int *)value; }
static struct hark_local local;

static int64_t keeps(void *arg)
{
    ck_assert_ptr_null(hark_local_get(&local));
    hark_local_set(&local, arg);
    hark_fiber_yield();
    ck_assert_ptr_eq(hark_local_get(&local), arg);
    return 0;
}

START_TEST(a_local_value_belongs_to_one_fiber_and_ends_with_it)
{
    int a = 1, b = 20;
    ck_assert_int_eq(hark_local_open(&local, destroy), 0);
    hark_fiber_start(loop, keeps, &a);
    hark_fiber_start(loop, keeps, &b);
    ck_assert_int_eq(hark_run(loop), 0);
    ck_assert_int_eq(destroyed, 21);
}
END_TEST

Suite *group_fiber(void)
{
    Suite *suite = suite_create("fiber");
    CASE(suite, main_gives_what_the_fiber_returns);
    CASE(suite, fibers_run_in_turn_and_begin_after_their_starter_has_waited);
    EACH_WIRE(suite, a_fiber_receives_and_sends_on_its_own_stack);
    EACH_WIRE(suite, fibers_connect_and_accept);
    CASE(suite, a_sleep_is_never_short);
    CASE(suite, offloaded_work_is_awaited);
    CASE(suite, fibers_that_never_wait_starve_neither_timers_nor_posts);
    CASE(suite, a_deadlock_is_an_error_and_inspection_shows_who_waits);
    CASE(suite, a_fiber_may_run_a_loop_of_its_own);
    CASE(suite, inspection_shows_a_tree_with_the_place_of_each_wait);
    CASE(suite, a_deadlock_is_printed_where_the_caller_asks_for_it);
    CASE(suite, closing_the_loop_cancels_its_fibers_and_waits_for_them);
    CASE(suite, fibers_clean_up_under_a_shield_while_their_loop_is_closed);
    CASE(suite, a_loop_is_closed_with_fibers_in_every_state);
    EACH_WIRE(suite, lines_are_read_and_what_follows_them);
    CASE(suite, a_local_value_belongs_to_one_fiber_and_ends_with_it);
    return suite;
}
