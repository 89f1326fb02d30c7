/* Ends a run whose seed hangs, and tells where each of its threads and children stands. A thread,
 * as an alarm would not come: who starts a child by fork(2) blocks all signals meanwhile. */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { RUN_S = 30 }; /* for one seed at most */

static int64_t begun; /* by the monotonic clock; 0: no seed runs */
static uint64_t running;

static int64_t now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + 1; /* never 0 */
}

static void tell_file(const char *format, const char *id)
{
    char path[64], text[512];
    snprintf(path, sizeof path, format, id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) close(fd);
    if (n < 0) return;
    text[n] = '\0';
    fprintf(stderr, "%s: %s\n", path, text);
}

static void tell_all(void)
{
    static const char *const of_threads[] = {
        "/proc/self/task/%s/comm", "/proc/self/task/%s/syscall", "/proc/self/task/%s/stack",
    };
    static const char *const of_children[] = { "/proc/%s/syscall", "/proc/%s/stack" };
    DIR *dir = opendir("/proc/self/task");
    if (dir == NULL) return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[300], child[16];
        if (entry->d_name[0] == '.') continue;
        for (size_t i = 0; i < sizeof of_threads / sizeof *of_threads; i++)
            tell_file(of_threads[i], entry->d_name);
        snprintf(path, sizeof path, "/proc/self/task/%s/children", entry->d_name);
        FILE *children = fopen(path, "re");
        while (children != NULL && fscanf(children, "%15s", child) == 1)
            for (size_t i = 0; i < sizeof of_children / sizeof *of_children; i++)
                tell_file(of_children[i], child);
        if (children != NULL) fclose(children);
    }
    closedir(dir);
}

static void *watch(void *arg)
{
    (void)arg;
    for (;;) {
        sleep(1);
        int64_t since = __atomic_load_n(&begun, __ATOMIC_RELAXED);
        if (since == 0 || now_s() - since <= RUN_S) continue;
        fprintf(stderr, "\nfuzz: seed %" PRIu64 " hangs\n",
                __atomic_load_n(&running, __ATOMIC_RELAXED));
        tell_all();
        _exit(1);
    }
    return NULL;
}

void watchdog_start(void)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, watch, NULL) != 0) fail("no thread for the watchdog");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_detach(thread);
}

void watchdog_begin(uint64_t seed)
{
    __atomic_store_n(&running, seed, __ATOMIC_RELAXED);
    __atomic_store_n(&begun, now_s(), __ATOMIC_RELAXED);
}

void watchdog_end(void) { __atomic_store_n(&begun, 0, __ATOMIC_RELAXED); }
