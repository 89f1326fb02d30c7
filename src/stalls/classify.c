/* Judges a stall by its looks:
 *
 *   descheduled       most of the time it could have run and was not let, and what it took itself
 *                     would not have been a stall
 *   collection        most looks found the runtime collecting garbage
 *   one call          a callback below the loop is the same in all looks
 *   many callbacks    below the loop nothing is the same
 *
 * Looks are compared from the outermost frame inwards. The loop itself and what lies outside of it
 * (main, a script's top level) are the same in any two looks and prove nothing, so what counts
 * begins inside the loop's frame, which is known by name; with a loop of the program's own it
 * begins inside the outermost frame that is not of a runtime. Lines do not count: a loop moves. */
#include "stalls/classify.h"

#include <string.h>

static const char *const loop_functions[] = {
    "uv_run", "uv__run", "event_base_loop", "ev_run", "hark_run", "hark_turn", "aeMain",
    "g_main_loop_run", "g_main_context_iteration", "_run_once", "BaseEventLoop._run_once",
    "BaseEventLoop.run_forever", "run_forever", "Loop.run_forever", "Loop._run", "sd_event_run",
    "ngx_process_events_and_timers", "node::SpinEventLoop", "select_loop",
};

static bool is_loop_function(const char *function)
{
    for (size_t i = 0; i < sizeof loop_functions / sizeof *loop_functions; i++) {
        size_t length = strlen(loop_functions[i]);
        if (strncmp(function, loop_functions[i], length) != 0) continue;
        if (function[length] == '\0' || function[length] == '(') return true;
    }
    return false;
}

static bool is_same_text(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

static bool is_same_frame(const struct frame *one, const struct frame *other)
{
    if (one->kind != other->kind || !is_same_text(one->function, other->function)) return false;
    if (one->kind != FRAME_NATIVE) return is_same_text(one->file, other->file);
    bool is_named = strcmp(one->function, "?") != 0;
    return is_same_text(one->module, other->module) && (is_named || one->offset == other->offset);
}

/* The innermost frame of a script that is not its runtime's, before the loop: -1: none. */
static int find_script(const struct stack *stack)
{
    for (int i = 0; i < stack->count && !is_loop_function(stack->frames[i].function); i++)
        if (stack->frames[i].kind != FRAME_NATIVE && !stack->frames[i].is_runtime) return i;
    return -1;
}

/* A library that a script's call ends in (SQLite, OpenSSL, a compiled regular expression) has no
 * lines here, and the line that can be changed is the script's. */
int classify_guilty(const struct stack *stack)
{
    for (int i = 0; i < stack->count; i++) {
        const struct frame *frame = &stack->frames[i];
        if (frame->is_runtime) continue;
        int script = frame->kind == FRAME_NATIVE && frame->line <= 0 ? find_script(stack) : -1;
        return script >= 0 ? script : i;
    }
    for (int i = 0; i < stack->count; i++)
        if (stack->frames[i].kind != FRAME_NATIVE) return i;
    return -1;
}

/* A frame counted from the outermost. */
static const struct frame *from_outside(const struct stack *stack, int index)
{
    return index < stack->count ? &stack->frames[stack->count - 1 - index] : NULL;
}

/* How many outer frames are the same in both. */
static int count_common(const struct stack *one, const struct stack *other)
{
    int count = 0;
    while (count < one->count && count < other->count &&
           is_same_frame(from_outside(one, count), from_outside(other, count)))
        count++;
    return count;
}

/* Where callbacks begin, counted from the outermost frame. */
static int find_callbacks(const struct stack *stack)
{
    int program = -1;
    for (int i = 0; i < stack->count; i++) {
        const struct frame *frame = from_outside(stack, i);
        if (is_loop_function(frame->function)) return i + 1;
        if (program < 0 && !frame->is_runtime) program = i + 1;
    }
    return program < 0 ? 0 : program;
}

/* Both blame the same function, called from the same place. */
static bool is_same_call(const struct stack *one, const struct stack *other)
{
    int mine = classify_guilty(one), theirs = classify_guilty(other);
    if (mine < 0 || theirs < 0) return mine == theirs;
    return one->count - mine == other->count - theirs &&
           count_common(one, other) >= one->count - mine;
}

/* The look whose call most looks share, and in how many. */
static int find_representative(const struct look *looks, int count, int *shared)
{
    int best = 0;
    *shared = 0;
    for (int i = 0; i < count; i++) {
        int same = 0;
        for (int j = 0; j < count; j++)
            if (is_same_call(looks[i].stack, looks[j].stack)) same++;
        if (same > *shared) {
            *shared = same;
            best = i;
        }
    }
    return best;
}

/* The innermost frame of the program that all looks share below the loop; -1: there is none. */
static int find_shared_frame(const struct look *looks, int count, const struct stack *stack)
{
    int common = stack->count;
    for (int i = 0; i < count; i++) {
        int here = count_common(stack, looks[i].stack);
        if (here < common) common = here;
    }
    for (int i = common - 1; i >= find_callbacks(stack); i--)
        if (!from_outside(stack, i)->is_runtime) return stack->count - 1 - i;
    return -1;
}

static int count_if_collecting(const struct look *looks, int count)
{
    int collecting = 0;
    for (int i = 0; i < count; i++) collecting += looks[i].is_collecting;
    return collecting;
}

static int count_if_running(const struct look *looks, int count)
{
    int running = 0;
    for (int i = 0; i < count; i++) running += looks[i].capture->is_running;
    return running;
}

/* One call or many, and whom to blame: the call that most looks share; else what all of
 * them share. */
static void judge_calls(struct stall *stall, const struct look *looks, int count, int shared)
{
    stall->kind = STALL_ONE_CALL;
    stall->guilty = classify_guilty(&stall->stack);
    if (shared == count) return;
    int frame = find_shared_frame(looks, count, &stall->stack);
    if (frame < 0) stall->kind = STALL_MANY_CALLBACKS;
    else if (2 * shared <= count) stall->guilty = frame;
}

void classify_stall(struct stall *stall, int64_t threshold_ns, const struct look *looks, int count)
{
    int64_t own_ns = stall->held_ns - stall->queued_ns;
    bool is_descheduled = stall->queued_ns > own_ns && own_ns <= threshold_ns;
    stall->look_count = count;
    stall->is_running = 2 * stall->processor_ns > own_ns;
    stall->call_text = NULL;
    stall->guilty = -1;
    stall->stack.count = 0;
    stall->kind = is_descheduled ? STALL_DESCHEDULED : STALL_ONE_CALL;
    if (count == 0) return;
    int shared;
    int best = find_representative(looks, count, &shared);
    stall->stack = *looks[best].stack;
    stall->is_running = 2 * count_if_running(looks, count) > count;
    if (!stall->is_running) stall->call_text = looks[best].capture->call_text;
    judge_calls(stall, looks, count, shared);
    if (2 * count_if_collecting(looks, count) >= count) stall->kind = STALL_COLLECTION;
    if (is_descheduled) stall->kind = STALL_DESCHEDULED;
}
