/* Promise 12: the choice of a backend by list, environment and build, and the rings of older
 * kernels. */
#include "groups.h"
#include "harness.h"

#include <stdio.h>

/* Opens a loop with a list and tells what came of it; NULL: it was refused with the error. */
static const char *open_with(const char *list, int wanted_error)
{
    static char name[32];
    struct hark_loop *own = (struct hark_loop *)(uintptr_t)1;
    int error = hark_loop_open(&own, &(struct hark_loop_options){ .backend = list });
    ck_assert_msg(error == wanted_error, "\"%s\": %s", list, hark_strerror(error));
    if (error != 0) {
        ck_assert_ptr_null(own);
        return NULL;
    }
    snprintf(name, sizeof name, "%s", hark_loop_backend(own));
    hark_loop_close(own);
    return name;
}

static bool build_has(const char *name)
{
    for (size_t i = 0; hark_backend_name(i) != NULL; i++)
        if (strcmp(hark_backend_name(i), name) == 0) return true;
    return false;
}

/* The one that has no mask and no age. */
static const char *best_poller(void) { return build_has("epoll") ? "epoll" : "kqueue"; }

START_TEST(backend_is_the_first_of_the_list_that_works)
{
    ck_assert_str_eq(open_with("select", 0), "select");
    ck_assert_str_eq(open_with("poll", 0), "poll");
    ck_assert_str_eq(open_with("poll,select", 0), "poll");
    ck_assert_str_eq(open_with("select,poll,poll", 0), "select");
    if (!build_has("io_uring")) return;
    ck_assert_int_eq(setenv("HARK_URING_MASK", "no such kernel", 1), 0);
    open_with("io_uring", HARK_ENOSYS);
    ck_assert_str_eq(open_with("io_uring,poll", 0), "poll");
    ck_assert_str_eq(open_with("io_uring,io_uring,select", 0), "select");
}
END_TEST

START_TEST(unknown_backend_is_einval_wherever_it_stands)
{
    static const char *const lists[] = {
        "devpoll", "poll,devpoll", "devpoll,poll", "poll,", ",poll", ",", "pol", "polls",
        "poll select",
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) open_with(lists[i], HARK_EINVAL);
    char why[100];
    ck_assert_int_eq(hark_backend_probe("devpoll", why, sizeof why), HARK_EINVAL);
    ck_assert_uint_gt(strlen(why), 0);
    ck_assert_int_eq(hark_backend_probe("devpoll", NULL, 0), HARK_EINVAL);
}
END_TEST

START_TEST(environment_chooses_when_the_caller_does_not)
{
    ck_assert_int_eq(setenv("HARK_BACKEND", "poll", 1), 0);
    ck_assert_str_eq(open_with(NULL, 0), "poll");
    ck_assert_str_eq(open_with("select", 0), "select");
    ck_assert_int_eq(setenv("HARK_BACKEND", "select,poll", 1), 0);
    ck_assert_str_eq(open_with(NULL, 0), "select");
    ck_assert_int_eq(setenv("HARK_BACKEND", "nonsense", 1), 0);
    open_with(NULL, HARK_EINVAL);
    ck_assert_int_eq(unsetenv("HARK_BACKEND"), 0);
    const char *best = open_with(NULL, 0);
    ck_assert(strcmp(best, "io_uring") == 0 || strcmp(best, best_poller()) == 0);
}
END_TEST

/* A ring without deferred completions is passed over by the choice, and works when asked for. */
START_TEST(dated_ring_is_passed_over_unless_asked_for)
{
    char why[256];
    ck_assert_int_eq(unsetenv("HARK_BACKEND"), 0);
    ck_assert_int_eq(setenv("HARK_URING_MASK", "5.19", 1), 0);
    ck_assert_str_eq(open_with(NULL, 0), best_poller());
    if (hark_backend_probe("io_uring", why, sizeof why) != 0) return;
    ck_assert_ptr_nonnull(strstr(why, "passed over unless asked for"));
    ck_assert_str_eq(open_with("io_uring", 0), "io_uring");
}
END_TEST

static void probe_masked(const char *mask, char *why, size_t room_bytes)
{
    ck_assert_int_eq(setenv("HARK_URING_MASK", mask, 1), 0);
    ck_assert_int_eq(hark_backend_probe("io_uring", why, room_bytes), 0);
}

/* What a mask hides must not be in use; what the kernel lacks cannot be asked for here. */
START_TEST(mask_of_an_older_kernel_hides_what_that_lacked)
{
    char why[256], all[256];
    if (!backend_is("io_uring")) return;
    probe_masked("none", all, sizeof all);
    probe_masked("5.10", why, sizeof why);
    ck_assert_msg(strstr(why, "interrupting") == why, "%s", why);
    ck_assert_ptr_null(strstr(why, "multishot"));
    ck_assert_ptr_null(strstr(why, "single-issuer"));
    ck_assert_ptr_nonnull(strstr(why, "one-shot accept"));
    ck_assert_ptr_nonnull(strstr(why, "one-shot receive"));
    ck_assert_ptr_nonnull(strstr(why, "buffers from hark's own list"));
    ck_assert_ptr_nonnull(strstr(why, "sleeps by poll"));
    probe_masked("5.19", why, sizeof why);
    ck_assert_ptr_null(strstr(why, "deferred single"));
    ck_assert_ptr_null(strstr(why, "single-issuer"));
    ck_assert_ptr_nonnull(strstr(why, "one-shot receive"));
    probe_masked("6.1", why, sizeof why);
    ck_assert_str_eq(why, all);
    ck_assert_int_eq(setenv("HARK_URING_MASK", "4.19", 1), 0);
    ck_assert_int_ne(hark_backend_probe("io_uring", why, sizeof why), 0);
    ck_assert_ptr_nonnull(strstr(why, "HARK_URING_MASK"));
}
END_TEST

Suite *group_choice(void)
{
    Suite *suite = suite_create("choice");
    BARE_CASE(suite, backend_is_the_first_of_the_list_that_works);
    BARE_CASE(suite, unknown_backend_is_einval_wherever_it_stands);
    BARE_CASE(suite, environment_chooses_when_the_caller_does_not);
    BARE_CASE(suite, dated_ring_is_passed_over_unless_asked_for);
    BARE_CASE(suite, mask_of_an_older_kernel_hides_what_that_lacked);
    return suite;
}
