/* Runs the promise suite on the backend that HARK_BACKEND names; all groups, or those given. Exit
 * code 77: this kernel does not offer the backend, and the reason is printed. */
#include "groups.h"
#include "harness.h"

#include <hark/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct { const char *name; Suite *(*make)(void); } groups[] = {
#define GROUP_ENTRY(name) { #name, group_##name },
    GROUPS(GROUP_ENTRY)
};

/* No kernel of these tests has kqueue(2). */
static bool backend_is_emulated(void)
{
#ifdef HARK_WITH_KQUEUE
    return backend_is("kqueue");
#else
    return false;
#endif
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return argc == 1;
}

int main(int argc, char **argv)
{
    char why[256];
    const char *backend = getenv("HARK_BACKEND");
    if (backend == NULL) {
        fprintf(stderr, "set HARK_BACKEND to select, poll, epoll, kqueue or io_uring\n");
        return 2;
    }
    if (hark_backend_probe(backend, why, sizeof why) != 0) {
        printf("skipped: %s: %s\n", backend, why);
        return 77;
    }
    printf("%s%s\n", backend, backend_is_emulated() ? " (emulated)" : "");
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (is_wanted(groups[i].name, argc, argv)) srunner_add_suite(runner, groups[i].make());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    bool ran_none = srunner_ntests_run(runner) == 0;
    srunner_free(runner);
    if (ran_none) fprintf(stderr, "no such group\n");
    return failed != 0 || ran_none;
}
