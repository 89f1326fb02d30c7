/* The part of libcheck's interface that the promise suite uses, for Windows, where libcheck cannot
 * fork: here each case runs in a process of its own all the same, by starting this program anew. */
#ifndef TESTS_WINDOWS_CHECK_H
#define TESTS_WINDOWS_CHECK_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct TTest {
    const char *name;
    void (*fn)(int);
} TTest;

typedef struct Suite Suite;
typedef struct TCase TCase;
typedef struct SRunner SRunner;
enum print_output { CK_NORMAL };

#define START_TEST(NAME)                                                 \
    static void NAME##_fn(int _i);                                       \
    static const TTest NAME##_test = { #NAME, NAME##_fn };               \
    static const TTest *const NAME = &NAME##_test;                       \
    static void NAME##_fn(int _i)                                        \
    {                                                                    \
        (void)_i;
#define END_TEST }

Suite *suite_create(const char *name);
void suite_add_tcase(Suite *suite, TCase *tcase);
TCase *tcase_create(const char *name);
void tcase_add_checked_fixture(TCase *tcase, void (*setup)(void), void (*teardown)(void));
void tcase_add_test(TCase *tcase, const TTest *test);
void tcase_add_loop_test(TCase *tcase, const TTest *test, int begin, int end);
void tcase_set_timeout(TCase *tcase, double seconds);
SRunner *srunner_create(Suite *suite);
void srunner_add_suite(SRunner *runner, Suite *suite);
void srunner_run_all(SRunner *runner, enum print_output how);
int srunner_ntests_failed(SRunner *runner);
int srunner_ntests_run(SRunner *runner);
void srunner_free(SRunner *runner);

/* Ends the case. */
_Noreturn __attribute__((format(gnu_printf, 3, 4)))
void check_case_failed(const char *file, int line, const char *format, ...);

#define ck_assert_msg(CLAIM, ...) \
    ((CLAIM) ? (void)0 : check_case_failed(__FILE__, __LINE__, "" __VA_ARGS__))
#define ck_abort_msg(...) check_case_failed(__FILE__, __LINE__, "" __VA_ARGS__)
#define ck_assert(CLAIM) ck_assert_msg(CLAIM, "not so: %s", #CLAIM)

#define CK_COMPARE_(TYPE, FORMAT, A, OP, B)                                              \
    do {                                                                                 \
        TYPE a_ = (TYPE)(A), b_ = (TYPE)(B);                                             \
        ck_assert_msg(a_ OP b_, "%s %s %s: %" FORMAT ", %" FORMAT, #A, #OP, #B, a_, b_); \
    } while (0)

#define ck_assert_int_eq(A, B) CK_COMPARE_(intmax_t, PRIdMAX, A, ==, B)
#define ck_assert_int_ne(A, B) CK_COMPARE_(intmax_t, PRIdMAX, A, !=, B)
#define ck_assert_int_lt(A, B) CK_COMPARE_(intmax_t, PRIdMAX, A, <, B)
#define ck_assert_int_le(A, B) CK_COMPARE_(intmax_t, PRIdMAX, A, <=, B)
#define ck_assert_int_gt(A, B) CK_COMPARE_(intmax_t, PRIdMAX, A, >, B)
#define ck_assert_int_ge(A, B) CK_COMPARE_(intmax_t, PRIdMAX, A, >=, B)
#define ck_assert_uint_eq(A, B) CK_COMPARE_(uintmax_t, PRIuMAX, A, ==, B)
#define ck_assert_uint_ne(A, B) CK_COMPARE_(uintmax_t, PRIuMAX, A, !=, B)
#define ck_assert_uint_lt(A, B) CK_COMPARE_(uintmax_t, PRIuMAX, A, <, B)
#define ck_assert_uint_le(A, B) CK_COMPARE_(uintmax_t, PRIuMAX, A, <=, B)
#define ck_assert_uint_gt(A, B) CK_COMPARE_(uintmax_t, PRIuMAX, A, >, B)
#define ck_assert_uint_ge(A, B) CK_COMPARE_(uintmax_t, PRIuMAX, A, >=, B)
#define ck_assert_ptr_eq(A, B) CK_COMPARE_(uintptr_t, PRIxPTR, A, ==, B)
#define ck_assert_ptr_ne(A, B) CK_COMPARE_(uintptr_t, PRIxPTR, A, !=, B)
#define ck_assert_ptr_null(A) ck_assert_msg((A) == NULL, "%s is not NULL", #A)
#define ck_assert_ptr_nonnull(A) ck_assert_msg((A) != NULL, "%s is NULL", #A)
#define ck_assert_str_eq(A, B)                                                          \
    do {                                                                                \
        const char *a_ = (A), *b_ = (B);                                                \
        ck_assert_msg(strcmp(a_, b_) == 0, "%s == %s: '%s', '%s'", #A, #B, a_, b_);     \
    } while (0)
#define ck_assert_mem_eq(A, B, LEN) \
    ck_assert_msg(memcmp((A), (B), (LEN)) == 0, "%s and %s differ", #A, #B)

#endif
