/* Holds a loop in known ways and notes when it did. */
#include "plant.h"

#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 30, SHORT_NS = 500000, LATE_NS = 20 * 1000 * 1000 };

static char **arguments;
static int argument_count, next_argument, exit_code, failures;
static int64_t short_until, entered, left; /* the steps: when the last one began, and ended */
static struct { const char *name; int64_t after, began, ended; } pending; /* name NULL: none */
static FILE *out;

void plant_failed(const char *call)
{
    fprintf(out, "failed %s: %s\n", call, strerror(errno));
    failures++;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void hold_busy(int64_t until)
{
    while (now_ns() < until) {
        /* this is the stall */
    }
}

static void hold_sleep(int64_t until)
{
    struct timespec when = { until / 1000000000, until % 1000000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        plant_failed("clock_nanosleep");
}

static int pipe_ends[2];
static int64_t write_at;

static void *write_later(void *arg)
{
    (void)arg;
    hold_sleep(write_at);
    if (write(pipe_ends[1], "x", 1) != 1) abort();
    return NULL;
}

static void hold_fifo(int64_t until)
{
    pthread_t writer;
    char byte;
    if (pipe(pipe_ends) != 0) abort();
    write_at = until;
    if (pthread_create(&writer, NULL, write_later, NULL) != 0) abort();
    if (read(pipe_ends[0], &byte, 1) != 1) plant_failed("read");
    pthread_join(writer, NULL);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void hold_nested(int64_t until)
{
    struct epoll_event event;
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    while (now_ns() < until)
        if (epoll_wait(epfd, &event, 1, 4) < 0) plant_failed("the nested epoll_wait");
    close(epfd);
}

static const struct { const char *name; void (*hold)(int64_t until); } holds[] = {
    { "busy", hold_busy }, { "sleep", hold_sleep },
    { "fifo", hold_fifo }, { "nested", hold_nested },
};

static const char check_clean[] =
    "if env | grep -q -e '^LD_PRELOAD' -e '^HARK_HEART'; then exit 3; fi";

static int spawn_shell(char *const environment[])
{
    pid_t pid;
    int status;
    char sh[] = "sh", c[] = "-c", text[sizeof check_clean];
    memcpy(text, check_clean, sizeof text);
    char *const shell[] = { sh, c, text, NULL };
    if (posix_spawnp(&pid, "sh", NULL, NULL, shell, environment) != 0) return -1;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int fork_shell(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("sh", "sh", "-c", check_clean, (char *)NULL);
        _exit(9);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void start_children(void)
{
    int dirty = getenv("HARK_HEARTBEAT") != NULL || getenv("LD_PRELOAD") != NULL;
    dirty += system(check_clean) != 0;
    dirty += spawn_shell(environ) != 0;
    dirty += fork_shell() != 0;
    fprintf(out, "dirty %d\n", dirty);
}

static void fork_loop(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        hold_nested(now_ns() + 20000000);
        _exit(0);
    }
    bool is_fine = waitpid(pid, &status, 0) == pid && status == 0;
    fprintf(out, "forked %d\n", is_fine);
}

static void exec_self(void)
{
    char **rest = arguments + next_argument;
    char *list[64] = { arguments[0], arguments[1] };
    int count = 2;
    while (*rest != NULL && count < 63) list[count++] = *rest++;
    fprintf(out, "failures %d\n", failures);
    fclose(out);
    execv("/proc/self/exe", list);
    abort();
}

void plant_begin(int argc, char **argv, int first)
{
    const char *path = getenv("PLANT_OUT");
    arguments = argv;
    argument_count = argc;
    next_argument = first;
    out = path != NULL ? fopen(path, "ae") : stdout;
    if (out == NULL) abort();
}

/* Notes the last stall, now that it is known by when the loop had waited again. */
static void tell(int64_t before)
{
    if (pending.name == NULL) return;
    fprintf(out, "stall %s %lld %lld %lld %lld\n", pending.name, (long long)pending.after,
            (long long)pending.began, (long long)pending.ended, (long long)before);
    pending.name = NULL;
}

static bool is_named(const char *text, const char *name, int *value)
{
    size_t length = strlen(name);
    if (strncmp(text, name, length) != 0) return false;
    *value = text[length] == ':' ? atoi(text + length + 1) : 0;
    return text[length] == ':' || text[length] == '\0';
}

static int do_step(const char *text)
{
    int ms = 0;
    int64_t begin = now_ns();
    for (size_t i = 0; i < sizeof holds / sizeof *holds; i++) {
        if (!is_named(text, holds[i].name, &ms)) continue;
        holds[i].hold(begin + (int64_t)ms * 1000000);
        pending.name = holds[i].name;
        pending.after = left;
        pending.began = begin;
        pending.ended = now_ns();
        return PAUSE_MS;
    }
    if (is_named(text, "idle", &ms)) return ms;
    if (is_named(text, "short", &ms)) short_until = begin + (int64_t)ms * 1000000;
    else if (is_named(text, "exit", &ms)) exit_code = ms;
    else if (is_named(text, "children", &ms)) start_children();
    else if (is_named(text, "fork", &ms)) fork_loop();
    else if (is_named(text, "exec", &ms)) exec_self();
    else abort();
    return 1;
}

static int step(int64_t now)
{
    static bool has_begun;
    if (!has_begun) { /* the loop waits once, and so is known, before anything happens */
        has_begun = true;
        return PAUSE_MS * 10;
    }
    if (now < short_until) {
        if (now - entered > LATE_NS) /* the machine did not let it run */
            fprintf(out, "late %lld %lld\n", (long long)entered, (long long)now);
        hold_busy(now + SHORT_NS);
        return 0;
    }
    if (next_argument >= argument_count) return -1;
    return do_step(arguments[next_argument++]);
}

int plant_step(void)
{
    int64_t now = now_ns();
    tell(now);
    int ms = step(now);
    entered = now;
    left = now_ns();
    return ms;
}

int plant_end(void)
{
    tell(now_ns());
    fprintf(out, "failures %d\n", failures);
    fclose(out);
    return exit_code;
}
