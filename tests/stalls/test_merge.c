/* Frames of three languages in one stack. The readers of Python and JavaScript are stood in for;
 * the native frames are places in functions of this very program, which have the names that
 * count. */
#include <check.h>
#include <string.h>

#include "held.h"

/* Functions to be found by address. */
void work(void);
void loop_run(void);
void compiled_code(void);
void _PyEval_EvalFrameDefault(void); /* NOLINT: the name that CPython gives it */

NOINLINE void work(void) { __asm__ volatile("nop; nop; nop; nop"); }
NOINLINE void loop_run(void) { __asm__ volatile("nop; nop; nop; nop; nop"); }
NOINLINE void compiled_code(void) { __asm__ volatile("nop; nop; nop; nop; nop; nop"); }
NOINLINE void _PyEval_EvalFrameDefault(void) { __asm__ volatile("nop; nop; nop"); }

struct python { int unused; };
struct javascript { int unused; };
struct javascript_function { const char *name; };

struct python *python_open(pid_t pid, char *why, size_t room)
{
    (void)pid;
    (void)why;
    (void)room;
    return NULL;
}

void python_close(struct python *python)
{
    (void)python;
}

int python_capture(struct python *python, pid_t tid, struct python_frame *out, int room)
{
    (void)python;
    (void)tid;
    (void)out;
    (void)room;
    return 0;
}

/* The code object's address is the name here: 'a' is the function "a". */
void python_resolve(struct python *python, const struct python_frame *frame, struct frame *out)
{
    (void)python;
    out->function = text_format("%c", (char)frame->code);
}

bool python_is_entry(const char *function)
{
    return strcmp(function, "_PyEval_EvalFrameDefault") == 0;
}

struct javascript *javascript_open(pid_t pid, char *why, size_t room)
{
    (void)pid;
    (void)why;
    (void)room;
    return NULL;
}

void javascript_close(struct javascript *javascript)
{
    (void)javascript;
}

int javascript_capture(struct javascript *javascript, pid_t tid, struct capture *seen)
{
    (void)javascript;
    (void)tid;
    (void)seen;
    return 0;
}

void javascript_resolve(struct javascript *javascript, const struct javascript_frame *frame,
                        struct frame *out)
{
    (void)javascript;
    out->function = frame->function->name;
}

static struct target target;
static struct capture capture;
static struct stack stack;

static void open_self(void)
{
    char why[256];
    memset(&target, 0, sizeof target);
    target.pid = getpid();
    target.native = native_open(getpid(), why, sizeof why);
    ck_assert_msg(target.native != NULL, "%s", why);
    capture.native_count = capture.python_count = capture.javascript_count = 0;
}

static void add_native(void (*function)(void))
{
    uint64_t pc = (uint64_t)(uintptr_t)function + 2;
    capture.native[capture.native_count++] = (struct native_frame){ .pc = pc };
}

/* Names in lower case go on to the next; one in capitals is the first of its evaluation. */
static void add_python(const char *names)
{
    for (; *names != '\0'; names++)
        capture.python[capture.python_count++] = (struct python_frame){
            .code = (uint64_t)*names, .is_entry = *names >= 'A' && *names <= 'Z'
        };
}

static void add_javascript(int native_index, const char *name)
{
    static struct javascript_function functions[SCRIPT_FRAMES_MAX];
    functions[capture.javascript_count].name = name;
    capture.javascript[capture.javascript_count] = (struct javascript_frame){
        .native_index = native_index, .function = &functions[capture.javascript_count]
    };
    capture.javascript_count++;
}

/* The functions of the stack, with blanks between; E is Python's evaluation. */
static const char *merged(void)
{
    static char text[4096];
    text[0] = '\0';
    capture_resolve(&target, &capture, &stack);
    for (int i = 0; i < stack.count; i++) {
        const char *name = stack.frames[i].function;
        size_t length = strlen(text);
        if (python_is_entry(name)) name = "E";
        snprintf(text + length, sizeof text - length, "%s%s", i > 0 ? " " : "", name);
    }
    native_close(target.native);
    return text;
}

START_TEST(native_frames_alone_stay_as_they_are)
{
    open_self();
    add_native(work);
    add_native(loop_run);
    ck_assert_str_eq(merged(), "work loop_run");
}
END_TEST

START_TEST(python_frames_alone_stay_as_they_are)
{
    open_self();
    add_python("abC");
    ck_assert_str_eq(merged(), "a b C");
}
END_TEST

START_TEST(python_frames_stand_at_the_evaluation_that_runs_them)
{
    open_self();
    add_native(work);
    add_native(_PyEval_EvalFrameDefault);
    add_native(loop_run);
    add_native(_PyEval_EvalFrameDefault);
    add_native(work);
    add_python("abCdE");
    const char *text = merged();
    ck_assert_str_eq(text, "work a b C E loop_run d E E work");
    ck_assert(stack.frames[4].is_runtime);
    ck_assert_int_eq(stack.frames[1].kind, FRAME_PYTHON);
}
END_TEST

START_TEST(a_last_run_without_its_end_counts_as_one)
{
    open_self();
    add_native(_PyEval_EvalFrameDefault);
    add_native(work);
    add_native(_PyEval_EvalFrameDefault);
    add_python("aBc");
    ck_assert_str_eq(merged(), "a B E work c E");
}
END_TEST

START_TEST(python_frames_stay_together_where_the_counts_disagree)
{
    open_self();
    add_native(work);
    add_native(_PyEval_EvalFrameDefault);
    add_native(loop_run);
    add_native(_PyEval_EvalFrameDefault);
    add_python("aBCD");
    ck_assert_str_eq(merged(), "work a B C D E loop_run E");
}
END_TEST

START_TEST(python_frames_come_last_where_no_evaluation_is_named)
{
    open_self();
    add_native(work);
    add_python("aB");
    ck_assert_str_eq(merged(), "work a B");
}
END_TEST

START_TEST(javascript_frames_take_the_place_of_their_native_ones)
{
    open_self();
    add_native(work);
    add_native(compiled_code);
    add_native(compiled_code);
    add_native(loop_run);
    add_javascript(1, "inlined");
    add_javascript(1, "outer");
    add_javascript(2, "handler");
    ck_assert_str_eq(merged(), "work inlined outer handler loop_run");
    ck_assert_int_eq(stack.frames[1].kind, FRAME_JAVASCRIPT);
}
END_TEST

START_TEST(a_stack_too_deep_loses_its_outer_end)
{
    open_self();
    add_native(work);
    add_native(_PyEval_EvalFrameDefault);
    while (capture.native_count < NATIVE_FRAMES_MAX) add_native(loop_run);
    while (capture.python_count < SCRIPT_FRAMES_MAX) add_python("a");
    for (int i = 0; i < SCRIPT_FRAMES_MAX; i++) add_javascript(i % 4 + 2, "script");
    (void)merged();
    ck_assert_int_eq(stack.count, STACK_FRAMES_MAX);
    ck_assert_str_eq(stack.frames[0].function, "work");
    ck_assert_str_eq(stack.frames[1].function, "a");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("merge");
    ADD_CASE(suite, native_frames_alone_stay_as_they_are);
    ADD_CASE(suite, python_frames_alone_stay_as_they_are);
    ADD_CASE(suite, python_frames_stand_at_the_evaluation_that_runs_them);
    ADD_CASE(suite, a_last_run_without_its_end_counts_as_one);
    ADD_CASE(suite, python_frames_stay_together_where_the_counts_disagree);
    ADD_CASE(suite, python_frames_come_last_where_no_evaluation_is_named);
    ADD_CASE(suite, javascript_frames_take_the_place_of_their_native_ones);
    ADD_CASE(suite, a_stack_too_deep_loses_its_outer_end);
    return unit_run(suite);
}
