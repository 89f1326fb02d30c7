/* The closed error list: its numbers are an interface, its names are those of errno, and every
 * errno has a place in it. */
#include "unit.h"

#include <ctype.h>
#include <errno.h>
#include <hark/error.h>
#include <string.h>

static const struct { int number; const char *name, *text; } rows[] = {
#define ROW(name, number, text) { (number), #name, (text) },
    HARK_ERRORS(ROW)
};

enum { ROWS = sizeof rows / sizeof rows[0], ERRNO_TOP = 4096 };

START_TEST(numbers_are_negative_unique_and_without_a_hole)
{
    bool is_used[ROWS + 1] = { false };
    for (int i = 0; i < ROWS; i++) {
        ck_assert(rows[i].number < 0 && rows[i].number >= -ROWS);
        ck_assert(!is_used[-rows[i].number]);
        is_used[-rows[i].number] = true;
    }
}
END_TEST

/* A program compiled last year has these numbers in it: they never change. */
START_TEST(numbers_stay_what_they_were)
{
    ck_assert_int_eq(HARK_OK, 0);
    ck_assert_int_eq(HARK_ECANCELED, -1);
    ck_assert_int_eq(HARK_ETIMEDOUT, -2);
    ck_assert_int_eq(HARK_EINVAL, -3);
    ck_assert_int_eq(HARK_EBADF, -4);
    ck_assert_int_eq(HARK_ENOMEM, -5);
    ck_assert_int_eq(HARK_EMFILE, -6);
    ck_assert_int_eq(HARK_EAGAIN, -9);
    ck_assert_int_eq(HARK_ECONNREFUSED, -17);
    ck_assert_int_eq(HARK_ECONNRESET, -18);
    ck_assert_int_eq(HARK_EPIPE, -20);
    ck_assert_int_eq(HARK_ENOTSOCK, -27);
    ck_assert_int_eq(HARK_ENOSYS, -29);
    ck_assert_int_eq(HARK_EEXIST, -30);
    ck_assert_int_eq(HARK_EBUSY, -38);
    ck_assert_int_eq(HARK_EUNKNOWN, -43);
}
END_TEST

START_TEST(names_and_texts_are_found_by_number)
{
    for (int i = 0; i < ROWS; i++) {
        ck_assert_str_eq(hark_error_name(rows[i].number), rows[i].name);
        ck_assert_str_eq(hark_strerror(rows[i].number), rows[i].text);
        size_t len = strlen(rows[i].text);
        ck_assert_uint_gt(len, 0);
        ck_assert(!isupper((unsigned char)rows[i].text[0]));
        ck_assert(rows[i].text[len - 1] != '.');
        for (int k = 0; k < i; k++) {
            ck_assert_str_ne(rows[i].text, rows[k].text);
            ck_assert_str_ne(rows[i].name, rows[k].name);
        }
    }
}
END_TEST

START_TEST(what_is_no_error_has_a_text_too)
{
    static const int64_t none[] = { 1, 1000, -ROWS - 1, -1000, INT64_MAX, INT64_MIN, INT32_MIN };
    ck_assert_str_eq(hark_strerror(0), "success");
    ck_assert_str_eq(hark_error_name(0), "OK");
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        ck_assert_str_eq(hark_strerror(none[i]), "unknown error");
        ck_assert_str_eq(hark_error_name(none[i]), "?");
    }
}
END_TEST

static bool is_listed(const char *name)
{
    for (int i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0) return true;
    return false;
}

/* The C library knows the name of each errno: the list has the same one, or none. */
START_TEST(every_errno_keeps_its_name_or_is_unknown)
{
    ck_assert_int_eq(hark_error_from_os(0), HARK_OK);
    for (int error = 1; error < ERRNO_TOP; error++) {
        const char *name = strerrorname_np(error);
        int mapped = hark_error_from_os(error);
        ck_assert_int_lt(mapped, 0);
        if (error == ENOTSUP || error == EOPNOTSUPP)
            ck_assert_int_eq(mapped, HARK_EOPNOTSUPP); /* one number, two names */
        else if (name != NULL && is_listed(name)) ck_assert_str_eq(hark_error_name(mapped), name);
        else ck_assert_int_eq(mapped, HARK_EUNKNOWN);
    }
    ck_assert_int_eq(hark_error_from_os(EWOULDBLOCK), HARK_EAGAIN);
    ck_assert_int_eq(hark_error_from_os(ECONNRESET), HARK_ECONNRESET);
    ck_assert_int_eq(hark_error_from_os(EKEYEXPIRED), HARK_EUNKNOWN);
    ck_assert_int_eq(hark_error_from_os(-1), HARK_EUNKNOWN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error");
    UNIT_CASE(suite, numbers_are_negative_unique_and_without_a_hole);
    UNIT_CASE(suite, numbers_stay_what_they_were);
    UNIT_CASE(suite, names_and_texts_are_found_by_number);
    UNIT_CASE(suite, what_is_no_error_has_a_text_too);
    UNIT_CASE(suite, every_errno_keeps_its_name_or_is_unknown);
    return unit_run(suite);
}
