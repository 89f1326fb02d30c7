/* The report of a stall, as text. On stderr one stall a second is told in full; the others are
 * counted, and the count comes with the next. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/symbol.h"
#include "stall/stall.h"

static double ms(int64_t ns) { return (double)ns / (double)HARK_MILLISECOND; }

size_t hark_stall_frame(const struct hark_stall *stall, size_t index, char *text,
                        size_t room_bytes)
{
    if (room_bytes == 0) return 0;
    text[0] = '\0';
    if (index >= stall->frame_count) return 0;
    uintptr_t at = stall->frames[index];
    if (index != 0) at--; /* a return address: the call stands before it */
    return symbol_print(at, text, room_bytes);
}

static void print_callback(const struct hark_stall *stall, FILE *to)
{
    if (stall->kind == NULL) fprintf(to, "  by no callback that was told of\n");
    else if (stall->is_many)
        fprintf(to, "  by many callbacks, %u so far; %u %% of the looks met %s", stall->callbacks,
                stall->share, stall->kind);
    else fprintf(to, "  by the callback of %s", stall->kind);
    if (stall->kind != NULL) {
        if (stall->label != NULL) fprintf(to, " \"%s\"", stall->label);
        if (stall->place != NULL) fprintf(to, ", submitted at %s", stall->place);
        fputc('\n', to);
    }
    if (stall->fiber == NULL) return;
    fprintf(to, "  in the fiber \"%s\"", stall->fiber);
    if (stall->fiber_place != NULL) fprintf(to, ", started at %s", stall->fiber_place);
    fputc('\n', to);
}

static void print_state(const struct hark_stall *stall, FILE *to)
{
    if (stall->ready_ns > stall->held_ns / 4)
        fprintf(to, "  for %.1f ms of that it was ready to run, and had no processor\n",
                ms(stall->ready_ns));
    if (stall->state == HARK_STALL_UNKNOWN) return;
    if (stall->state == HARK_STALL_RUNS) fprintf(to, "  it runs\n");
    else if (stall->syscall < 0) fprintf(to, "  it waits for memory\n");
    else {
        if (stall->syscall_name != NULL) fprintf(to, "  it waits in %s", stall->syscall_name);
        else fprintf(to, "  it waits in system call %d", stall->syscall);
        if (stall->fd >= 0) fprintf(to, " of descriptor %d", stall->fd);
        if (stall->target != NULL) fprintf(to, ": %s", stall->target);
        fputc('\n', to);
    }
}

static void print_frames(const struct hark_stall *stall, FILE *to)
{
    char text[512];
    for (size_t i = 0; i < stall->frame_count; i++) {
        (void)hark_stall_frame(stall, i, text, sizeof text);
        fprintf(to, "  %c%-2zu  %s\n", i < stall->certain ? '#' : '?', i, text);
    }
    if (stall->frame_count == 0) fprintf(to, "  its stack could not be read\n");
}

void hark_stall_print(const struct hark_stall *stall, FILE *to)
{
    if (stall->moment == HARK_STALL_OVER) {
        fprintf(to, "hark: stall over: thread %d had held its loop for %.1f ms in all",
                stall->thread, ms(stall->held_ns));
        if (stall->is_many) fprintf(to, ", by many callbacks");
        if (stall->kind != NULL) fprintf(to, "; %s %s", stall->is_many ? "most often" : "by",
                                         stall->kind);
        if (stall->place != NULL) fprintf(to, " of %s", stall->place);
        fputc('\n', to);
        return;
    }
    fprintf(to, "hark: stall: thread %d has held its loop for %.1f ms (budget %.1f ms)\n",
            stall->thread, ms(stall->held_ns), ms(stall->budget_ns));
    print_callback(stall, to);
    print_state(stall, to);
    print_frames(stall, to);
}

/* The other threads, as far as they wait: who holds the lock that this one waits for? */
static void print_threads(int except, FILE *to)
{
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL) return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        int tid = atoi(entry->d_name);
        struct thread_state state;
        struct frames frames;
        char text[STALL_TEXT];
        if (tid == 0 || tid == except) continue;
        thread_frames(tid, NULL, 0, &state, &frames);
        struct hark_stall as = { .state = state.state, .syscall = state.syscall,
                                 .frames = frames.at, .frame_count = frames.count,
                                 .certain = frames.certain };
        target_find(&state, &as, text, sizeof text);
        fprintf(to, "hark: thread %d\n", tid);
        print_state(&as, to);
        if (as.frame_count != 0) print_frames(&as, to);
    }
    closedir(folder);
}

/* In one piece, so that what the program prints meanwhile does not come in between. */
static void report(const struct hark_stall *stall, enum hark_stall_action action)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (to == NULL) return;
    hark_stall_print(stall, to);
    if (action == HARK_STALL_DUMP && stall->moment == HARK_STALL_CAUGHT)
        print_threads(stall->thread, to);
    fclose(to);
    fwrite(text, 1, len, stderr);
    fflush(stderr);
    free(text);
}

void report_stall(const struct hark_stall *stall, enum hark_stall_action action)
{
    static int64_t told_ns, left_ns;
    static unsigned left_count;
    static const struct hark_loop *told_loop;   /* its end is told as well */
    int64_t now = clock_read();
    if (action == HARK_STALL_QUIET || stall->moment == HARK_STALL_GOES_ON) return;
    if (stall->moment == HARK_STALL_OVER) {
        if (told_loop == stall->loop) report(stall, action);
        else left_ns += stall->held_ns;
        told_loop = told_loop == stall->loop ? NULL : told_loop;
        return;
    }
    bool is_told = told_ns == 0 || now - told_ns >= HARK_SECOND || action == HARK_STALL_ABORT;
    if (!is_told) {
        left_count++;
        return;
    }
    if (left_count != 0)
        fprintf(stderr, "hark: %u more stalls since the last report, %.1f ms in all\n", left_count,
                ms(left_ns));
    told_ns = now;
    told_loop = stall->loop;
    left_count = 0;
    left_ns = 0;
    report(stall, action);
    if (action == HARK_STALL_ABORT) abort();
}
