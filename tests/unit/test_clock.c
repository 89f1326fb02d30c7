/* The roundings that must never make a sleep too short, and sums that must not overflow. */
#include "base/clock.h"
#include "unit.h"

START_TEST(milliseconds_are_rounded_up)
{
    static const struct { int64_t ns; int ms; } rows[] = {
        { 0, 0 }, { 1, 1 }, { 999, 1 }, { 999999, 1 }, { 1000000, 1 }, { 1000001, 2 },
        { 1999999, 2 }, { 2000000, 2 }, { 59999999999, 60000 },
        { INT64_C(1000000) * INT_MAX, INT_MAX }, { INT64_C(1000000) * INT_MAX - 1, INT_MAX },
        { INT64_C(1000000) * INT_MAX + 1, INT_MAX }, { INT64_MAX, INT_MAX },
        { INT64_C(1000000) * 4294967296, INT_MAX }, { INT64_C(1000000) * 4294967297, INT_MAX },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_int_eq(clock_ms_round_up(rows[i].ns), rows[i].ms);
}
END_TEST

START_TEST(for_ever_stays_for_ever)
{
    ck_assert_int_eq(clock_ms_round_up(-1), -1);
    ck_assert_int_eq(clock_ms_round_up(INT64_MIN), -1);
}
END_TEST

START_TEST(a_timespec_holds_exactly_as_much)
{
    static const int64_t all_ns[] = { 0, 1, 999999999, 1000000000, 1000000001, INT64_MAX };
    for (size_t i = 0; i < sizeof all_ns / sizeof all_ns[0]; i++) {
        struct timespec ts = clock_timespec(all_ns[i]);
        ck_assert(ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
        ck_assert_int_eq((int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec, all_ns[i]);
    }
}
END_TEST

START_TEST(sums_of_moments_stop_at_both_ends_and_are_never_zero)
{
    ck_assert_int_eq(clock_add(5, 6), 11);
    ck_assert_int_eq(clock_add(5, -4), 1);
    ck_assert_int_eq(clock_add(5, -5), 1);
    ck_assert_int_eq(clock_add(5, -6), 1);
    ck_assert_int_eq(clock_add(5, INT64_MIN), 1);
    ck_assert_int_eq(clock_add(0, 0), 1);
    ck_assert_int_eq(clock_add(5, INT64_MAX), INT64_MAX);
    ck_assert_int_eq(clock_add(5, INT64_MAX - 5), INT64_MAX);
    ck_assert_int_eq(clock_add(5, INT64_MAX - 6), INT64_MAX - 1);
    ck_assert_int_eq(clock_add(INT64_MAX, INT64_MAX), INT64_MAX);
}
END_TEST

START_TEST(the_clock_is_monotonic)
{
    struct timespec ts;
    int64_t last = clock_read();
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_read();
        ck_assert_int_ge(now, last);
        last = now;
    }
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ck_assert_int_le(last, (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
    ck_assert_int_ge(last, (int64_t)(ts.tv_sec - 60) * 1000000000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clock");
    UNIT_CASE(suite, milliseconds_are_rounded_up);
    UNIT_CASE(suite, for_ever_stays_for_ever);
    UNIT_CASE(suite, a_timespec_holds_exactly_as_much);
    UNIT_CASE(suite, sums_of_moments_stop_at_both_ends_and_are_never_zero);
    UNIT_CASE(suite, the_clock_is_monotonic);
    return unit_run(suite);
}
