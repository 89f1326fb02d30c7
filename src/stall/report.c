/* The report of a stall, as text. On stderr one stall a second is told in full; the others are
 * counted, and the count comes with the next. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/symbol.h"
#include "stall/stall.h"

/* What is printed is gathered first: in one piece nothing of the program comes in between. */
struct text { char *at; size_t len, room; };

static __attribute__((format(printf, 2, 3))) void say(struct text *text, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int len = vsnprintf(NULL, 0, format, list);
    va_end(list);
    size_t wanted = text->len + (size_t)len + 1;
    if (len < 0) return;
    if (wanted > text->room) {
        char *larger = realloc(text->at, 2 * wanted);
        if (larger == NULL) return;
        text->at = larger;
        text->room = 2 * wanted;
    }
    va_start(list, format);
    text->len += (size_t)vsnprintf(text->at + text->len, text->room - text->len, format, list);
    va_end(list);
}

static void write_text(struct text *text, FILE *to)
{
    if (text->len != 0) fwrite(text->at, 1, text->len, to);
    free(text->at);
}

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

static void print_callback(const struct hark_stall *stall, struct text *to)
{
    if (stall->kind == NULL) say(to, "  by no callback that was told of\n");
    else if (stall->is_many)
        say(to, "  by many callbacks, %u so far; %u %% of the looks met %s", stall->callbacks,
            stall->share, stall->kind);
    else say(to, "  by the callback of %s", stall->kind);
    if (stall->kind != NULL) {
        if (stall->label != NULL) say(to, " \"%s\"", stall->label);
        if (stall->place != NULL) say(to, ", submitted at %s", stall->place);
        say(to, "\n");
    }
    if (stall->fiber == NULL) return;
    say(to, "  in the fiber \"%s\"", stall->fiber);
    if (stall->fiber_place != NULL) say(to, ", started at %s", stall->fiber_place);
    say(to, "\n");
}

static void print_state(const struct hark_stall *stall, struct text *to)
{
    if (stall->ready_ns > stall->held_ns / 4)
        say(to, "  for %.1f ms of that it was ready to run, and had no processor\n",
                ms(stall->ready_ns));
    if (stall->state == HARK_STALL_UNKNOWN) return;
    if (stall->state == HARK_STALL_RUNS) say(to, "  it runs\n");
    else if (stall->syscall < 0 && stall->syscall_name == NULL)
        say(to, "  it waits for memory\n");
    else {
        if (stall->syscall_name != NULL) say(to, "  it waits in %s", stall->syscall_name);
        else say(to, "  it waits in system call %d", stall->syscall);
        if (stall->fd >= 0) say(to, " of descriptor %d", stall->fd);
        if (stall->target != NULL) say(to, ": %s", stall->target);
        say(to, "\n");
    }
}

static void print_frames(const struct hark_stall *stall, struct text *to)
{
    char text[512];
    for (size_t i = 0; i < stall->frame_count; i++) {
        (void)hark_stall_frame(stall, i, text, sizeof text);
        say(to, "  %c%-2u  %s\n", i < stall->certain ? '#' : '?', (unsigned)i, text);
    }
    if (stall->frame_count == 0) say(to, "  its stack could not be read\n");
}

static void print_stall(const struct hark_stall *stall, struct text *to)
{
    if (stall->moment == HARK_STALL_OVER) {
        say(to, "hark: stall over: thread %d had held its loop for %.1f ms in all",
                stall->thread, ms(stall->held_ns));
        if (stall->is_many) say(to, ", by many callbacks");
        if (stall->kind != NULL) say(to, "; %s %s", stall->is_many ? "most often" : "by",
                                         stall->kind);
        if (stall->place != NULL) say(to, " of %s", stall->place);
        say(to, "\n");
        return;
    }
    say(to, "hark: stall: thread %d has held its loop for %.1f ms (budget %.1f ms)\n",
            stall->thread, ms(stall->held_ns), ms(stall->budget_ns));
    print_callback(stall, to);
    print_state(stall, to);
    print_frames(stall, to);
}

void hark_stall_print(const struct hark_stall *stall, FILE *to)
{
    struct text text = { 0 };
    print_stall(stall, &text);
    write_text(&text, to);
}

/* The other threads, as far as they wait: who holds the lock that this one waits for? */
struct others { const struct hark_stall *except; struct text to; };

static void print_thread(int tid, void *arg)
{
    struct others *others = arg;
    struct thread_state state;
    struct frames frames;
    char text[STALL_TEXT];
    if (tid == others->except->thread) return;
    thread_frames(tid, NULL, 0, &state, &frames);
    struct hark_stall as = { .state = state.state, .syscall = state.syscall,
                             .frames = frames.at, .frame_count = frames.count,
                             .certain = frames.certain };
    target_find(&state, &as, text, sizeof text);
    say(&others->to, "hark: thread %d\n", tid);
    print_state(&as, &others->to);
    if (as.frame_count != 0) print_frames(&as, &others->to);
}

static void report(const struct hark_stall *stall, enum hark_stall_action action)
{
    struct others others = { .except = stall };
    print_stall(stall, &others.to);
    if (action == HARK_STALL_DUMP && stall->moment == HARK_STALL_CAUGHT)
        thread_each(print_thread, &others);
    write_text(&others.to, stderr);
    fflush(stderr);
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
