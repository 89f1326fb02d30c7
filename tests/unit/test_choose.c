/* Promise 12: the choice of backend is a list tried in order, from the options or HARK_BACKEND, and
 * a kernel that refuses moves on to the next. */
#include "unit.h"

#include <dirent.h>
#include <hark/hark.h>
#include <stdio.h>
#include <string.h>

/* Opens a loop as the environment and the options say; the name of its backend, or NULL with the
 * error. */
static const char *choose(const char *environment, const char *option, int *error)
{
    struct hark_loop_options options = { .backend = option };
    struct hark_loop *loop = (struct hark_loop *)(void *)&options; /* to be overwritten */
    if (environment == NULL) unsetenv("HARK_BACKEND");
    else setenv("HARK_BACKEND", environment, 1);
    *error = hark_loop_open(&loop, &options);
    ck_assert((*error == 0) == (loop != NULL));
    if (loop == NULL) return NULL;
    const char *name = hark_loop_backend(loop);
    hark_loop_close(loop);
    return name;
}

static void expect_choice(const char *environment, const char *option, const char *wanted)
{
    int error;
    const char *name = choose(environment, option, &error);
    ck_assert_msg(name != NULL, "%s, %s: %s", environment, option, hark_strerror(error));
    ck_assert_str_eq(name, wanted);
}

static void expect_refusal(const char *list, int wanted)
{
    int error;
    for (int is_option = 0; is_option < 2; is_option++) {
        const char *name = choose(is_option ? NULL : list, is_option ? list : NULL, &error);
        ck_assert_msg(name == NULL, "\"%s\" gives %s", list, name);
        ck_assert_msg(error == wanted, "\"%s\": %s", list, hark_error_name(error));
    }
}

START_TEST(a_name_gives_that_backend)
{
    static const char *const names[] = { "select", "poll", "epoll" };
    for (int i = 0; i < 3; i++) {
        expect_choice(names[i], NULL, names[i]);
        expect_choice(NULL, names[i], names[i]);
    }
}
END_TEST

START_TEST(the_first_of_a_list_that_works_is_taken)
{
    expect_choice("select,poll,epoll", NULL, "select");
    expect_choice("poll,select", NULL, "poll");
    expect_choice(NULL, "epoll,epoll", "epoll");
}
END_TEST

START_TEST(options_go_before_the_environment)
{
    expect_choice("select", "poll", "poll");
    expect_choice("no such thing", "epoll", "epoll");
}
END_TEST

START_TEST(a_name_that_is_unknown_is_refused_wherever_it_stands)
{
    static const char *const lists[] = { "none", "pol", "polls", "POLL", " poll", "poll ", "poll,",
                                         ",poll", ",", "poll,,select", "poll;select", "poll,pol",
                                         "epoll,kqueue", "select,poll,x" };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        expect_refusal(lists[i], HARK_EINVAL);
}
END_TEST

START_TEST(without_a_wish_the_best_that_works_is_taken)
{
    int error;
    char why[200];
    unsetenv("HARK_URING_MASK");
    const char *name = choose(NULL, NULL, &error), *empty = choose("", NULL, &error);
    ck_assert_ptr_nonnull(name);
    ck_assert_ptr_nonnull(empty);
    ck_assert_str_eq(name, empty);
    for (size_t i = 0; strcmp(hark_backend_name(i), name) != 0; i++) { /* all better ones refuse */
        bool is_refused = hark_backend_probe(hark_backend_name(i), why, sizeof why) != 0;
        ck_assert(is_refused || strstr(why, "passed over") != NULL);
    }
}
END_TEST

START_TEST(the_backends_of_the_build_have_an_end_and_can_be_probed)
{
    bool has_select = false, has_poll = false, has_epoll = false;
    char why[300], little[4] = "xyz";
    for (size_t i = 0; hark_backend_name(i) != NULL; i++) {
        const char *name = hark_backend_name(i);
        ck_assert_uint_lt(i, 10);
        has_select = has_select || strcmp(name, "select") == 0;
        has_poll = has_poll || strcmp(name, "poll") == 0;
        has_epoll = has_epoll || strcmp(name, "epoll") == 0;
        int error = hark_backend_probe(name, why, sizeof why);
        ck_assert(error == 0 || why[0] != '\0');
        ck_assert_int_eq(hark_backend_probe(name, NULL, 0), error);
        ck_assert_int_eq(hark_backend_probe(name, little, sizeof little), error);
        ck_assert_uint_lt(strlen(little), sizeof little);
    }
    ck_assert(has_select && has_poll && has_epoll);
    ck_assert_int_eq(hark_backend_probe("none", why, sizeof why), HARK_EINVAL);
    ck_assert_str_ne(why, "");
    ck_assert_int_eq(hark_backend_probe("", why, sizeof why), HARK_EINVAL);
    ck_assert_int_eq(hark_backend_probe("poll,select", why, sizeof why), HARK_EINVAL);
}
END_TEST

static bool has_ring(void) { return hark_backend_probe("io_uring", NULL, 0) == 0; }

START_TEST(a_ring_older_than_linux_6_1_is_taken_only_when_asked_for)
{
    static const char *const masks[] = { "5.10", "5.19" };
    if (!has_ring()) {
        fprintf(stderr, "skipped: this kernel offers no ring\n");
        return;
    }
    for (int i = 0; i < 2; i++) {
        setenv("HARK_URING_MASK", masks[i], 1);
        expect_choice(NULL, NULL, "epoll");
        expect_choice("io_uring", NULL, "io_uring");
        expect_choice("io_uring,epoll", NULL, "io_uring");
    }
}
END_TEST

START_TEST(a_ring_that_refuses_moves_on_to_the_next)
{
    char why[200];
    if (!has_ring()) {
        fprintf(stderr, "skipped: this kernel offers no ring\n");
        return;
    }
    setenv("HARK_URING_MASK", "no such kernel", 1);
    expect_choice(NULL, NULL, "epoll");
    expect_choice("io_uring,select", NULL, "select");
    expect_choice("io_uring,io_uring,poll", NULL, "poll");
    expect_refusal("io_uring", HARK_ENOSYS);
    ck_assert_int_ne(hark_backend_probe("io_uring", why, sizeof why), 0);
    ck_assert_ptr_nonnull(strstr(why, "HARK_URING_MASK"));
}
END_TEST

static int open_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(dir) != NULL) count++;
    closedir(dir);
    return count;
}

START_TEST(choosing_and_probing_leave_nothing_open)
{
    int error, before = open_count();
    char why[100];
    (void)choose(NULL, NULL, &error);
    setenv("HARK_URING_MASK", "5.10", 1);
    (void)choose(NULL, NULL, &error); /* opens a ring and passes it over */
    setenv("HARK_URING_MASK", "no such kernel", 1);
    (void)choose("io_uring", NULL, &error);
    for (size_t i = 0; hark_backend_name(i) != NULL; i++)
        (void)hark_backend_probe(hark_backend_name(i), why, sizeof why);
    ck_assert_int_eq(open_count(), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("choose");
    UNIT_CASE(suite, a_name_gives_that_backend);
    UNIT_CASE(suite, the_first_of_a_list_that_works_is_taken);
    UNIT_CASE(suite, options_go_before_the_environment);
    UNIT_CASE(suite, a_name_that_is_unknown_is_refused_wherever_it_stands);
    UNIT_CASE(suite, without_a_wish_the_best_that_works_is_taken);
    UNIT_CASE(suite, the_backends_of_the_build_have_an_end_and_can_be_probed);
    UNIT_CASE(suite, a_ring_older_than_linux_6_1_is_taken_only_when_asked_for);
    UNIT_CASE(suite, a_ring_that_refuses_moves_on_to_the_next);
    UNIT_CASE(suite, choosing_and_probing_leave_nothing_open);
    return unit_run(suite);
}
