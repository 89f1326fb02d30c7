/* Looks at a thread again and again and says how long it stood still for that, and what was seen:
 *
 *     look PID [COUNT [TID]]      COUNT looks, a millisecond apart
 *
 * By hand, and for the figures of a capture's cost. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "stalls/capture.h"

enum { COUNT_MAX = 100000 };

static int64_t stopped[COUNT_MAX];

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void print_stack(struct target *target, const struct capture *capture)
{
    static struct stack stack;
    int64_t began = now_ns();
    capture_resolve(target, capture, &stack);
    printf("%s, %s%s, %d native frames, named in %.1f ms\n",
           capture->is_running ? "runs" : "sleeps",
           capture->call_text != NULL ? capture->call_text : "in no call",
           native_is_whole(target->native) ? "" : " (not whole)", capture->native_count,
           (double)(now_ns() - began) * 1e-6);
    for (int i = 0; i < stack.count; i++) {
        const struct frame *frame = &stack.frames[i];
        printf("%3d %c %s  %s:%d  %s+0x%llx\n", i, frame->is_runtime ? ' ' : '*', frame->function,
               frame->file != NULL ? frame->file : "", frame->line,
               frame->module != NULL ? frame->module : "", (unsigned long long)frame->offset);
    }
}

int main(int argc, char **argv)
{
    static struct target target;
    static struct capture capture, kept;
    char why[256];
    pid_t pid = argc > 1 ? atoi(argv[1]) : 0;
    int count = argc > 2 ? atoi(argv[2]) : 1, stop_count = 0, seen_count = 0;
    pid_t tid = argc > 3 ? atoi(argv[3]) : pid;
    if (count > COUNT_MAX) count = COUNT_MAX;
    int64_t began = now_ns();
    if (target_open(&target, pid, why, sizeof why) != 0) {
        fprintf(stderr, "look: %s\n", why);
        return 1;
    }
    printf("opened in %.1f ms\n", (double)(now_ns() - began) * 1e-6);
    for (int i = 0; i < count; i++) {
        const struct timespec pause = { .tv_nsec = 1000000 };
        if (i > 0) nanosleep(&pause, NULL);
        if (capture_take(&target, tid, NULL, NULL, &capture) != 0) continue;
        kept = capture;
        seen_count++;
        if (capture.stopped_ns > 0) stopped[stop_count++] = capture.stopped_ns;
    }
    printf("%d looks, %d seen, %d with a stop", count, seen_count, stop_count);
    qsort(stopped, (size_t)stop_count, sizeof stopped[0], by_value);
    if (stop_count > 0)
        printf(": %.3f ms median, %.3f ms at the 99th percentile, %.3f ms at most",
               (double)stopped[stop_count / 2] * 1e-6,
               (double)stopped[stop_count * 99 / 100] * 1e-6,
               (double)stopped[stop_count - 1] * 1e-6);
    printf("\n");
    if (seen_count > 0) print_stack(&target, &kept);
    target_close(&target);
    return 0;
}
