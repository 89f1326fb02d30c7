/* The page of a program that uses hark is read as its protocol says: the end of a long turn is
 * asked for, and known to the nanosecond. The page here is the test's own, the writer's part is
 * played step by step. */
#include "stalls/pulse.h"

#include "unit.h"

#include <unistd.h>

#define MS(n) ((int64_t)(n) * 1000000)

extern struct heartbeat_page hark_heartbeats;
struct heartbeat_page hark_heartbeats = {
    .magic = HEARTBEAT_MAGIC, .version = HEARTBEAT_VERSION, .slot_count = HEARTBEAT_SLOTS,
};

static struct heartbeat *const slot = &hark_heartbeats.slots[5];

static struct beat *begin(void)
{
    *slot = (struct heartbeat){ .tid = gettid(), .main_fd = -1, .is_waiting = 1 };
    struct beat *beat = beat_find(getpid());
    ck_assert_ptr_nonnull(beat);
    return beat;
}

static struct pulse read_pulse(struct beat *beat)
{
    struct pulse pulse;
    ck_assert_int_eq(beat_read(beat, &pulse, 1), 1);
    ck_assert_int_eq(pulse.tid, gettid());
    return pulse;
}

/* A wait has ended, so long ago. */
static int64_t begin_turn(int64_t ago_ns)
{
    slot->since_ns = clock_read() - ago_ns;
    slot->turn_count++;
    slot->is_waiting = 0;
    return slot->since_ns;
}

static void end_turn(int64_t ended_ns)
{
    if (slot->wants_end != 0) {
        slot->ended_ns = ended_ns;
        slot->wants_end = 0;
    }
    slot->is_waiting = 1;
}

START_TEST(the_end_of_a_long_turn_is_asked_for_and_told)
{
    struct beat *beat = begin();
    int64_t began_ns = begin_turn(MS(10));
    struct pulse pulse = read_pulse(beat);
    ck_assert(!pulse.is_waiting);
    ck_assert_int_eq(pulse.since_ns, began_ns);
    ck_assert_int_eq(slot->wants_end, 1);
    end_turn(began_ns + MS(37) + 1);
    pulse = read_pulse(beat);
    ck_assert(pulse.is_waiting);
    ck_assert(pulse.is_counting);
    ck_assert_int_eq(pulse.since_ns, began_ns + MS(37) + 1);
    ck_assert_int_eq(pulse.long_began_ns, began_ns);
    ck_assert_int_eq(pulse.long_ns, MS(37) + 1);
    ck_assert_int_eq(pulse.long_count, 1);
    ck_assert_int_eq(read_pulse(beat).long_count, 1);
    beat_close(beat);
}
END_TEST

START_TEST(a_turn_that_follows_at_once_does_not_hide_the_end_of_the_last)
{
    struct beat *beat = begin();
    int64_t began_ns = begin_turn(MS(50));
    read_pulse(beat);
    end_turn(began_ns + MS(30));
    int64_t next_ns = begin_turn(MS(10));
    struct pulse pulse = read_pulse(beat);
    ck_assert_int_eq(pulse.since_ns, next_ns);
    ck_assert_int_eq(pulse.long_began_ns, began_ns);
    ck_assert_int_eq(pulse.long_ns, MS(30));
    ck_assert_int_eq(slot->wants_end, 1); /* the next is long already */
    beat_close(beat);
}
END_TEST

/* The question was written just after the turn had ended: it stays through the wait. */
START_TEST(a_question_that_came_too_late_is_not_answered_by_a_later_turn)
{
    struct beat *beat = begin();
    begin_turn(MS(50));
    read_pulse(beat);
    slot->is_waiting = 1;
    read_pulse(beat);
    int64_t later_ns = begin_turn(MS(5));
    end_turn(later_ns + MS(1));
    struct pulse pulse = read_pulse(beat);
    ck_assert_int_eq(pulse.long_count, 0);
    ck_assert_int_eq(pulse.since_ns, later_ns + MS(1));
    beat_close(beat);
}
END_TEST

START_TEST(a_question_that_another_reader_took_away_is_asked_again)
{
    struct beat *beat = begin();
    int64_t began_ns = begin_turn(MS(50));
    read_pulse(beat);
    slot->wants_end = 0;
    read_pulse(beat);
    ck_assert_int_eq(slot->wants_end, 1);
    end_turn(began_ns + MS(60));
    ck_assert_int_eq(read_pulse(beat).long_ns, MS(60));
    beat_close(beat);
}
END_TEST

START_TEST(short_turns_are_asked_nothing)
{
    struct beat *beat = begin();
    begin_turn(0);
    read_pulse(beat);
    ck_assert_int_eq(slot->wants_end, 0);
    end_turn(0);
    ck_assert(!read_pulse(beat).is_counting);
    beat_close(beat);
}
END_TEST

START_TEST(what_is_no_page_any_more_is_neither_read_nor_written)
{
    struct pulse pulse;
    struct beat *beat = begin();
    begin_turn(MS(50));
    hark_heartbeats.magic++; /* as after an exec, when something else lies there */
    ck_assert_int_eq(beat_read(beat, &pulse, 1), 0);
    ck_assert_int_eq(slot->wants_end, 0);
    hark_heartbeats.magic--;
    beat_close(beat);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("beat");
    UNIT_CASE(suite, the_end_of_a_long_turn_is_asked_for_and_told);
    UNIT_CASE(suite, a_turn_that_follows_at_once_does_not_hide_the_end_of_the_last);
    UNIT_CASE(suite, a_question_that_came_too_late_is_not_answered_by_a_later_turn);
    UNIT_CASE(suite, a_question_that_another_reader_took_away_is_asked_again);
    UNIT_CASE(suite, what_is_no_page_any_more_is_neither_read_nor_written);
    UNIT_CASE(suite, short_turns_are_asked_nothing);
    return unit_run(suite);
}
