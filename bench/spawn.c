/* What it takes to start /bin/true and to learn of its end. Prints a line of JSON.
 *
 * usage: spawn hand COUNT      posix_spawn(3) and waitpid(2), one child after the other
 *        spawn BACKEND COUNT   hark_process_spawn() and hark_process_wait() on that backend
 *
 * wall_ns is the time a child, processor_ns what this process and its children used of the
 * processors for it. */
#include <hark/hark.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const program[] = { "/bin/true", NULL };
static struct hark_loop *loop;
static struct hark_process process;
static struct hark_op op;
static long left;

static double clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double used_by(int who)
{
    struct rusage usage;
    (void)getrusage(who, &usage); /* the same */
    return 1e9 * (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e3 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static double processor_ns(void) { return used_by(RUSAGE_SELF) + used_by(RUSAGE_CHILDREN); }

static void require(bool is_so, const char *what)
{
    if (is_so) return;
    fprintf(stderr, "spawn: %s failed\n", what);
    exit(1);
}

static void by_hand(void)
{
    for (; left > 0; left--) {
        pid_t pid;
        int status;
        require(posix_spawn(&pid, program[0], NULL, NULL, (char *const *)(void *)program,
                            environ) == 0, "posix_spawn");
        require(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
    }
}

static void spawn_next(void);

static void on_end(struct hark_op *ended)
{
    require(ended->result == 0, "hark_process_wait");
    left--;
    if (left > 0) spawn_next();
}

static void on_spawn(struct hark_op *spawned)
{
    require(spawned->result > 0, "hark_process_spawn");
    hark_process_wait(&op, &process, on_end);
}

static void spawn_next(void)
{
    static const struct hark_process_options options = { .argv = program };
    hark_process_spawn(&op, &process, loop, &options, on_spawn);
}

int main(int argc, char **argv)
{
    long count = argc == 3 ? atol(argv[2]) : 0;
    if (count < 1) {
        fprintf(stderr, "usage: spawn hand|BACKEND COUNT\n");
        return 2;
    }
    bool is_by_hand = strcmp(argv[1], "hand") == 0;
    struct hark_loop_options options = { .backend = argv[1] };
    if (!is_by_hand) require(hark_loop_open(&loop, &options) == 0, "hark_loop_open");
    double wall = clock_ns(), processor = processor_ns();
    left = count;
    if (is_by_hand) by_hand();
    else spawn_next();
    require(is_by_hand || hark_run(loop) == 0, "hark_run");
    printf("{\"wall_ns\": %.0f, \"processor_ns\": %.0f}\n", (clock_ns() - wall) / (double)count,
           (processor_ns() - processor) / (double)count);
    hark_loop_close(loop);
    return 0;
}
