/* The main function of a unit test: one suite, and what all of them need. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>

enum { UNIT_PATIENCE_S = 60 };

/* A case ends if the program that runs it is killed: it has a process group of its own. */
static inline void unit_end_with_runner(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }

static inline void unit_add(Suite *suite, const char *name, const TTest *test, int seconds)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, seconds);
    tcase_add_checked_fixture(tcase, unit_end_with_runner, NULL);
    tcase_add_test(tcase, test);
    suite_add_tcase(suite, tcase);
}

#define UNIT_CASE(suite, name) unit_add(suite, #name, name, UNIT_PATIENCE_S)

static inline int unit_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
