/* Line tables, written by hand from what the formats say. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "stalls/python_line.h"

struct wanted { int offset, line; };

static void check_all(const struct python_line_table *table, const struct wanted *wanted,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(python_line(table, wanted[i].offset) == wanted[i].line,
                      "offset %d is at line %d, not %d", wanted[i].offset,
                      python_line(table, wanted[i].offset), wanted[i].line);
}

START_TEST(lnotab_of_3_8_goes_on_in_steps)
{
    static const unsigned char bytes[] = { 2, 1, 4, 1, 255, 0, 45, 100, 2, (unsigned char)-3 };
    struct python_line_table table = { PYTHON_LNOTAB, bytes, sizeof bytes, 10 };
    static const struct wanted wanted[] = { { -1, 10 }, { 0, 10 }, { 1, 10 }, { 2, 11 }, { 5, 11 },
                                            { 6, 12 }, { 305, 12 }, { 306, 112 }, { 308, 109 } };
    check_all(&table, wanted, sizeof wanted / sizeof wanted[0]);
}
END_TEST

START_TEST(linetable_of_3_10_has_ranges_and_ranges_without_a_line)
{
    static const unsigned char bytes[] = { 2, 1, 4, 128, 254, 0, 100, 127, 6, (unsigned char)-20 };
    struct python_line_table table = { PYTHON_LINETABLE, bytes, sizeof bytes, 10 };
    static const struct wanted wanted[] = {
        { -2, 10 }, { 0, 11 }, { 2, 11 }, { 6, 11 }, { 259, 11 }, { 260, 138 }, { 359, 138 },
        { 360, 118 }, { 365, 118 }, { 366, 0 },
    };
    check_all(&table, wanted, sizeof wanted / sizeof wanted[0]);
}
END_TEST

START_TEST(locations_of_3_11_have_entries_of_five_kinds)
{
    static const unsigned char bytes[] = {
        128 | 11 << 3 | 3, 0, 0,              /* a line on, with columns: four instructions */
        128 | 13 << 3 | 0, 64 | 24, 9,        /* 300 lines on, 600 = 24 + 9 * 64, no column: one */
        128 | 15 << 3 | 0,                    /* no place at all: one */
        128 | 0 << 3 | 7, 0,                  /* the same line: eight */
        128 | 14 << 3 | 0, 64 | 61, 10, 0, 1, 1, /* 350 back, 701 = 61 + 10 * 64, all told: one */
    };
    struct python_line_table table = { PYTHON_LOCATIONS, bytes, sizeof bytes, 100 };
    static const struct wanted wanted[] = { { -2, 100 }, { 0, 101 }, { 7, 101 }, { 8, 401 },
                                            { 10, 401 }, { 12, 401 }, { 27, 401 }, { 28, 51 },
                                            { 30, 0 } };
    check_all(&table, wanted, sizeof wanted / sizeof wanted[0]);
}
END_TEST

/* Memory that ends where the table ends: a sanitizer would see a step beyond it. */
START_TEST(a_table_of_any_bytes_is_walked_within_its_size)
{
    srand(1);
    for (int round = 0; round < 30000; round++) {
        size_t size = (size_t)rand() % 40;
        unsigned char *bytes = malloc(size + 1); /* malloc(0) may be NULL */
        ck_assert_ptr_nonnull(bytes);
        unsigned char *last = bytes + 1;
        for (size_t i = 0; i < size; i++) last[i] = (unsigned char)rand();
        struct python_line_table table = { (enum python_lines)(round % 3), last, size, 5 };
        int line = python_line(&table, rand() % 600);
        ck_assert_int_lt(abs(line), 40 << 24); /* no step is more than 24 bits */
        free(bytes);
    }
}
END_TEST

#define CASE(name) unit_add(suite, #name, name, 4)

int main(void)
{
    Suite *suite = suite_create("python_line");
    CASE(lnotab_of_3_8_goes_on_in_steps);
    CASE(linetable_of_3_10_has_ranges_and_ranges_without_a_line);
    CASE(locations_of_3_11_have_entries_of_five_kinds);
    CASE(a_table_of_any_bytes_is_walked_within_its_size);
    return unit_run(suite);
}
