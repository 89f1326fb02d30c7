/* See check.h. The program runs itself once for each case, which its environment names; a case that
 * crashes, fails or hangs is one failure and no more. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "absent.h"

enum { CASES_MAX = 4096, CASE_SECONDS = 20 };

struct TCase {
    const char *name;
    void (*setup)(void), (*teardown)(void);
    const TTest *test;
    int begin, end;
    TCase *next;
};

struct Suite {
    const char *name;
    TCase *first, **last;
    Suite *next;
};

struct SRunner {
    Suite *first, **last;
    int ran, failed, skipped;
};

/* Nothing is given back: the program ends soon. */
static void *take(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) abort();
    return memory;
}

Suite *suite_create(const char *name)
{
    Suite *suite = take(sizeof *suite);
    suite->name = name;
    suite->last = &suite->first;
    return suite;
}

void suite_add_tcase(Suite *suite, TCase *tcase)
{
    *suite->last = tcase;
    suite->last = &tcase->next;
}

TCase *tcase_create(const char *name)
{
    TCase *tcase = take(sizeof *tcase);
    tcase->name = name;
    return tcase;
}

void tcase_add_checked_fixture(TCase *tcase, void (*setup)(void), void (*teardown)(void))
{
    tcase->setup = setup;
    tcase->teardown = teardown;
}

void tcase_add_test(TCase *tcase, const TTest *test) { tcase_add_loop_test(tcase, test, 0, 1); }

void tcase_add_loop_test(TCase *tcase, const TTest *test, int begin, int end)
{
    tcase->test = test;
    tcase->begin = begin;
    tcase->end = end;
}

void tcase_set_timeout(TCase *tcase, double seconds) { (void)tcase, (void)seconds; }

SRunner *srunner_create(Suite *suite)
{
    SRunner *runner = take(sizeof *runner);
    runner->last = &runner->first;
    if (suite != NULL) srunner_add_suite(runner, suite);
    return runner;
}

void srunner_add_suite(SRunner *runner, Suite *suite)
{
    *runner->last = suite;
    runner->last = &suite->next;
}

void srunner_free(SRunner *runner) { free(runner); }
int srunner_ntests_failed(SRunner *runner) { return runner->failed; }
int srunner_ntests_run(SRunner *runner) { return runner->ran + runner->skipped; }

void check_case_failed(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    fflush(NULL);
    _exit(1);
}

/* In the process of one case. */
static _Noreturn void run_case(const TCase *tcase, int i)
{
    if (tcase->setup != NULL) tcase->setup();
    tcase->test->fn(i);
    if (tcase->teardown != NULL) tcase->teardown();
    fflush(NULL);
    _exit(0);
}

static const char *why_it_ended(DWORD code, char *text, size_t room)
{
    if (code == WAIT_TIMEOUT) snprintf(text, room, "not through after %d s", CASE_SECONDS);
    else if (code == 1) return "failed";
    else snprintf(text, room, "ended with code %lx", code);
    return text;
}

/* Starts this program anew for one case; its exit code, or WAIT_TIMEOUT. */
static DWORD start_case(const char *suite, const char *name, int i)
{
    char wanted[256], path[MAX_PATH], line[MAX_PATH + 64];
    STARTUPINFOA start = { .cb = sizeof start };
    PROCESS_INFORMATION child;
    DWORD code = 0;
    snprintf(wanted, sizeof wanted, "%s/%s/%d", suite, name, i);
    SetEnvironmentVariableA("HARK_TEST_CASE", wanted);
    GetModuleFileNameA(NULL, path, sizeof path);
    snprintf(line, sizeof line, "%.*s", (int)(strrchr(path, '\\') - path), path);
    SetEnvironmentVariableA("PATH", line); /* what cases start is there */
    snprintf(line, sizeof line, "\"%s\" %s", path, suite);
    if (!CreateProcessA(path, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child)) return 1;
    if (WaitForSingleObject(child.hProcess, CASE_SECONDS * 1000) == WAIT_TIMEOUT) {
        TerminateProcess(child.hProcess, 1);
        code = WAIT_TIMEOUT;
    } else {
        GetExitCodeProcess(child.hProcess, &code);
    }
    CloseHandle(child.hThread);
    CloseHandle(child.hProcess);
    return code;
}

static void run_one(SRunner *runner, const Suite *suite, const TCase *tcase, int i)
{
    char text[64];
    const char *reason = absent_reason(suite->name, tcase->name);
    if (reason != NULL) {
        if (i == tcase->begin) printf("skipped: %s/%s: %s\n", suite->name, tcase->name, reason);
        runner->skipped++;
        return;
    }
    DWORD code = start_case(suite->name, tcase->name, i);
    runner->ran++;
    if (code == 0) return;
    runner->failed++;
    printf("FAILED: %s/%s/%d: %s\n", suite->name, tcase->name, i,
           why_it_ended(code, text, sizeof text));
    fflush(stdout);
}

void srunner_run_all(SRunner *runner, enum print_output how)
{
    const char *wanted = getenv("HARK_TEST_CASE");
    char at[256];
    (void)how;
    for (const Suite *suite = runner->first; suite != NULL; suite = suite->next)
        for (const TCase *tcase = suite->first; tcase != NULL; tcase = tcase->next)
            for (int i = tcase->begin; i < tcase->end; i++) {
                snprintf(at, sizeof at, "%s/%s/%d", suite->name, tcase->name, i);
                if (wanted != NULL && strcmp(wanted, at) == 0) run_case(tcase, i);
                if (wanted == NULL) run_one(runner, suite, tcase, i);
            }
    if (wanted != NULL) check_case_failed(__FILE__, __LINE__, "no case %s", wanted);
    printf("%d cases ran, %d failed, %d skipped\n", runner->ran, runner->failed, runner->skipped);
}
