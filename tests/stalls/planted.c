/* Runs a program with planted stalls under the watch. */
#include "planted.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct planted *current;

void report_stall(struct report *report, const struct stall *stall)
{
    (void)report;
    if (current->stall_count < STALLS_ROOM) current->stalls[current->stall_count++] = *stall;
}

static void read_truth(struct planted *planted, const char *path)
{
    char line[256];
    FILE *file = fopen(path, "re");
    planted->failures = planted->dirty = planted->forked = -1;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        struct truth *truth = &planted->truths[planted->truth_count];
        int number;
        struct truth *late = &planted->late[planted->late_count];
        int got = sscanf(line, "stall %15s %ld %ld %ld %ld", truth->name, &truth->after_ns,
                         &truth->began_ns, &truth->ended_ns, &truth->before_ns);
        if (planted->late_count == STALLS_ROOM || planted->truth_count == STALLS_ROOM) break;
        if (sscanf(line, "late %ld %ld", &late->began_ns, &late->ended_ns) == 2)
            planted->late_count++;
        else if (got == 5)
            planted->truth_count++;
        else if (sscanf(line, "failures %d", &number) == 1)
            planted->failures = number;
        else if (strncmp(line, "failed", 6) == 0)
            printf("target: %s", line);
        else if (sscanf(line, "dirty %d", &number) == 1)
            planted->dirty = number;
        else if (sscanf(line, "forked %d", &number) == 1)
            planted->forked = number;
    }
    if (file != NULL) fclose(file);
}

static int64_t processor_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct planted *planted_new(void)
{
    current = calloc(1, sizeof *current);
    if (current == NULL) abort();
    return current;
}

struct planted *planted_run(int mode, int64_t threshold_ns, const char *program,
                            const char *const *stalls)
{
    char folder[1024] = "", path[1200], out[] = "/tmp/planted.XXXXXX";
    char *command[64] = { path };
    int fd = mkostemp(out, O_CLOEXEC), count = 1;
    if (readlink("/proc/self/exe", folder, sizeof folder - 1) < 0 || fd < 0) abort();
    close(fd);
    *strrchr(folder, '/') = '\0';
    bool is_beside = strchr(program, '/') == NULL;
    snprintf(path, sizeof path, "%s%s%s", is_beside ? folder : "", is_beside ? "/" : "", program);
    for (; *stalls != NULL && count < 63; stalls++)
        memcpy(&command[count++], stalls, sizeof *stalls);
    setenv("PLANT_OUT", out, 1);
    struct planted *planted = planted_new();
    struct watch_options options = {
        .threshold_ns = threshold_ns, .command = command, .shim = getenv("HARK_TEST_SHIM"),
        .has_mode = mode >= 0, .mode = mode >= 0 ? (enum watch_mode)mode : WATCH_HEARTBEAT,
    };
    int64_t before = processor_time();
    planted->result = watch_run(&options, NULL, &planted->facts);
    planted->watcher_ns = processor_time() - before;
    read_truth(planted, out);
    unlink(out);
    return planted;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

const struct stall *planted_find(const struct planted *planted, const struct truth *truth)
{
    for (int i = 0; i < planted->stall_count; i++) {
        const struct stall *stall = &planted->stalls[i];
        int64_t begin = larger(stall->began_ns, truth->began_ns);
        int64_t end = smaller(stall->began_ns + stall->held_ns, truth->ended_ns);
        if (2 * (end - begin) > truth->ended_ns - truth->began_ns) return stall;
    }
    return NULL;
}

bool planted_was_late(const struct planted *planted, const struct stall *stall)
{
    for (int i = 0; i < planted->late_count; i++)
        if (planted->late[i].began_ns < stall->began_ns + stall->held_ns &&
            stall->began_ns < planted->late[i].ended_ns)
            return true;
    return false;
}

bool planted_is_exact(const struct stall *stall, const struct truth *truth)
{
    int64_t end = stall->began_ns + stall->held_ns;
    return truth->after_ns <= stall->began_ns && stall->began_ns <= truth->began_ns &&
           truth->ended_ns <= end && end <= truth->before_ns;
}

void planted_free(struct planted *planted)
{
    free(planted);
}
