/* Frames of three languages in one stack, in the order in which they call each other.
 *
 * JavaScript frames say which native frame they are. Python's do not: one native call of the
 * evaluation function runs all frames up to the one marked is_entry, so that runs of Python
 * frames and evaluation functions pair off from the inside. If there are not as many of both (a
 * frame was torn, a name is missing), Python's stay together at the innermost evaluation: wrong
 * in between, right at the end that matters. */
#include "stalls/capture.h"

struct merge {
    struct target *target;
    const struct capture *capture;
    struct stack *out;
    int python_next;          /* the first Python frame that is not placed yet */
    bool is_paired;
};

static struct frame *add(struct stack *out)
{
    static struct frame spare; /* a stack too deep to keep loses its outer end */
    return out->count < STACK_FRAMES_MAX ? &out->frames[out->count++] : &spare;
}

/* Up to the end of one evaluation, or all that are left. */
static void add_python(struct merge *merge, bool wants_all)
{
    const struct capture *capture = merge->capture;
    while (merge->python_next < capture->python_count) {
        const struct python_frame *frame = &capture->python[merge->python_next++];
        struct frame *out = add(merge->out);
        *out = (struct frame){ .kind = FRAME_PYTHON, .function = "?" };
        python_resolve(merge->target->python, frame, out);
        if (frame->is_entry && !wants_all) return;
    }
}

/* Tells whether JavaScript frames stand for this native one, and adds them. */
static bool add_javascript(struct merge *merge, int native_index)
{
    const struct capture *capture = merge->capture;
    bool is_any = false;
    for (int i = 0; i < capture->javascript_count; i++) {
        if (capture->javascript[i].native_index != native_index) continue;
        struct frame *out = add(merge->out);
        *out = (struct frame){ .kind = FRAME_JAVASCRIPT, .function = "?" };
        javascript_resolve(merge->target->javascript, &capture->javascript[i], out);
        is_any = true;
    }
    return is_any;
}

static int count_runs(const struct capture *capture)
{
    int runs = 0;
    for (int i = 0; i < capture->python_count; i++)
        if (capture->python[i].is_entry || i == capture->python_count - 1) runs++;
    return runs;
}

void capture_resolve(struct target *target, const struct capture *capture, struct stack *out)
{
    static struct frame native[NATIVE_FRAMES_MAX]; /* too big for a stack; there is one reader */
    struct merge merge = { .target = target, .capture = capture, .out = out };
    int entry_count = 0;
    out->count = 0;
    native_refresh(target->native);
    for (int i = 0; i < capture->native_count; i++) {
        native_resolve(target->native, &capture->native[i], &native[i]);
        entry_count += capture->python_count > 0 && python_is_entry(native[i].function);
    }
    merge.is_paired = entry_count == count_runs(capture);
    for (int i = 0; i < capture->native_count; i++) {
        if (capture->python_count > 0 && python_is_entry(native[i].function)) {
            native[i].is_runtime = true;
            add_python(&merge, !merge.is_paired);
        }
        if (!add_javascript(&merge, i)) *add(out) = native[i];
    }
    add_python(&merge, true); /* without native frames, or without names for them */
}
