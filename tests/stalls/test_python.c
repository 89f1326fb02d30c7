/* Python frames of real interpreters: every one that is found here, from 3.8 on, runs the
 * scripts of tests/stalls/python, which stand still at lines that are marked, or tell where
 * they are. */
#include "python_target.h"
#include "unit.h"

#include <sys/stat.h>
#include <time.h>

/* Looks until the innermost frame is at that line: a script says so just before it stands still. */
static int look_until(struct python_target *target, pid_t tid, int line, struct frame *out)
{
    struct python_frame frames[SCRIPT_FRAMES_MAX];
    time_t end = time(NULL) + PATIENCE_S;
    while (time(NULL) < end) {
        int count = python_capture(target->python, tid, frames, SCRIPT_FRAMES_MAX);
        for (int i = 0; i < count; i++) python_resolve(target->python, &frames[i], &out[i]);
        if (count > 0 && out[0].line == line) return count;
        usleep(1000);
    }
    ck_abort_msg("line %d was not seen", line);
    return 0;
}

START_TEST(frames_of_every_kind_have_their_name_file_and_line)
{
    /* innermost first; those between inner() and <module> are asyncio's */
    static const char *names[] = { "wait", "Outer.Inner.method", "decorated.<locals>.wrapper",
                                   "Outer.made", "Outer.value", "generate.<locals>.<lambda>" };
    static const char *later[] = { "delegate", "inner", "outer" };
    struct python_target target = start(_i, "frames.py", NULL);
    struct frame frames[SCRIPT_FRAMES_MAX];
    char line[64];
    attach(&target, line, sizeof line);
    int count = look_until(&target, target.pid, line_of("frames.py", "wait"), frames);
    for (int i = 0; i < 6; i++) {
        ck_assert_str_eq(frames[i].function, name_in(_i, names[i]));
        ck_assert_int_eq(frames[i].line, line_of("frames.py", names[i]));
        ck_assert_str_eq(frames[i].file, STALLS_SCRIPTS "/frames.py");
        ck_assert_int_eq(frames[i].kind, FRAME_PYTHON);
        ck_assert(!frames[i].is_runtime);
    }
    ck_assert_str_eq(frames[6].function, "generate");
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(frames[7 + i].function, later[i]);
        ck_assert_int_eq(frames[7 + i].line, line_of("frames.py", later[i]));
    }
    for (int i = 10; i < count - 1; i++) {
        ck_assert_ptr_nonnull(strstr(frames[i].file, "/asyncio/"));
        ck_assert(frames[i].is_runtime);
    }
    ck_assert_str_eq(frames[count - 1].function, "<module>");
    ck_assert_int_eq(frames[count - 1].line, line_of("frames.py", "<module>"));
    finish(&target);
}
END_TEST

/* Since 3.11 a call of one Python function by another stays in the same evaluation. */
START_TEST(entries_are_where_native_code_called)
{
    static const struct { const char *name; bool is_entry; } wanted[] = {
        { "wait", false }, { "called_by_python", false }, { "called_by_map", true },
        { "called_by_sorted", true }, { "top", false }, { "<module>", true },
    };
    struct python_target target = start(_i, "entries.py", NULL);
    struct python_frame frames[SCRIPT_FRAMES_MAX];
    struct frame named[SCRIPT_FRAMES_MAX];
    char line[64];
    attach(&target, line, sizeof line);
    look_until(&target, target.pid, line_of("entries.py", "wait"), named);
    int count = python_capture(target.python, target.pid, frames, SCRIPT_FRAMES_MAX);
    ck_assert_int_eq(count, 6);
    for (int i = 0; i < count; i++) {
        bool is_entry = wanted[i].is_entry || interpreters[_i].minor <= 10;
        ck_assert_str_eq(named[i].function, wanted[i].name);
        ck_assert_msg(frames[i].is_entry == is_entry, "%s", wanted[i].name);
    }
    finish(&target);
}
END_TEST

/* Compares with what the script's helping thread has said. True: they are the same. */
static bool is_agreed(struct python_target *target, char said[][LINE_MAX_BYTES], int said_count)
{
    struct python_frame frames[SCRIPT_FRAMES_MAX];
    struct frame named;
    char text[LINE_MAX_BYTES];
    int count = python_capture(target->python, target->pid, frames, SCRIPT_FRAMES_MAX);
    if (count != said_count) return false;
    for (int i = 0; i < count; i++) {
        python_resolve(target->python, &frames[i], &named);
        snprintf(text, sizeof text, "%d %s %s", named.line, named.function, named.file);
        if (strcmp(text, said[i]) != 0) return false;
    }
    return true;
}

/* Asks the script where its main thread is. */
static int ask(struct python_target *target, char said[][LINE_MAX_BYTES])
{
    int count = 0;
    ck_assert_int_eq(write(target->questions, "?", 1), 1);
    for (;;) {
        ck_assert_int_lt(count, SCRIPT_FRAMES_MAX);
        read_line(target, said[count], LINE_MAX_BYTES);
        if (said[count][0] == '\0') return count;
        count++;
    }
}

START_TEST(python_itself_tells_the_same_frames)
{
    static char said[SCRIPT_FRAMES_MAX][LINE_MAX_BYTES];
    struct python_target target = start(_i, "agree.py", NULL);
    char line[LINE_MAX_BYTES], still[32];
    int stops = 0;
    snprintf(still, sizeof still, "%d wait ", line_of("agree.py", "wait"));
    attach(&target, line, sizeof line);
    while (strcmp(line, "end") != 0) {
        ck_assert_str_eq(line, "stop");
        bool is_same = false, stands = false;
        for (time_t end = time(NULL) + PATIENCE_S; !(is_same && stands) && time(NULL) < end;) {
            int count = ask(&target, said);
            stands = strncmp(said[0], still, strlen(still)) == 0;
            is_same = is_agreed(&target, said, count);
        }
        ck_assert_msg(is_same && stands, "stop %d: Python says %s, then %s", stops, said[0],
                      said[1]);
        stops++;
        ck_assert_int_eq(write(target.input, "", 1), 1);
        read_line(&target, line, sizeof line);
    }
    ck_assert_int_gt(stops, 12);
    finish(&target);
}
END_TEST

START_TEST(each_thread_has_its_own_frames)
{
    struct python_target target = start(_i, "threads.py", NULL);
    struct frame frames[SCRIPT_FRAMES_MAX];
    char line[128];
    int tids[3];
    attach(&target, line, sizeof line);
    ck_assert_int_eq(sscanf(line, "%d %d %d", &tids[0], &tids[1], &tids[2]), 3);
    ck_assert_int_eq(tids[0], target.pid);
    int count = look_until(&target, tids[0], line_of("threads.py", "<module>"), frames);
    ck_assert_int_eq(count, 1);
    count = look_until(&target, tids[1], line_of("threads.py", "first"), frames);
    ck_assert_str_eq(frames[0].function, "first");
    ck_assert_int_ge(count, 2);
    ck_assert(frames[1].is_runtime); /* Thread.run */
    look_until(&target, tids[2], line_of("threads.py", "third"), frames);
    ck_assert_str_eq(frames[1].function, "second");
    ck_assert_int_eq(frames[1].line, line_of("threads.py", "second"));
    struct python_frame raw[4];
    ck_assert_int_eq(python_capture(target.python, getpid(), raw, 4), 0); /* none of its threads */
    finish(&target);
}
END_TEST

START_TEST(a_deep_recursion_gives_its_innermost_frames)
{
    struct python_target target = start(_i, "depth.py", "3000");
    struct frame frames[SCRIPT_FRAMES_MAX];
    struct python_frame raw[8];
    char line[64];
    attach(&target, line, sizeof line);
    int count = look_until(&target, target.pid, line_of("depth.py", "bottom"), frames);
    ck_assert_int_eq(count, SCRIPT_FRAMES_MAX);
    for (int i = 1; i < count; i++) {
        ck_assert_str_eq(frames[i].function, "down");
        ck_assert_int_eq(frames[i].line, line_of("depth.py", "down"));
    }
    ck_assert_int_eq(python_capture(target.python, target.pid, raw, 8), 8);
    ck_assert_int_eq(python_capture(target.python, target.pid, raw, 0), 0);
    finish(&target);
}
END_TEST

/* Copies the script into folders whose names have characters of one, two and four bytes, and
 * one with a byte that is no character. */
START_TEST(names_and_paths_beyond_ascii_come_as_utf8)
{
    static const struct { const char *folder, *told; } cases[] = {
        { "é", "é" }, { "ж", "ж" }, { "中", "中" }, { "😀", "😀" }, { "a", "a" },
        { "a\xff", "a\xef\xbf\xbd" }, /* U+FFFD */
    };
    static const char *names[] = { "naïve", "日本", "𐐷" };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char folder[] = "/tmp/hark-names-XXXXXX", inner[256], file[512], told[512];
        char command[2048], line[64];
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(inner, sizeof inner, "%s/%s", folder, cases[i].folder);
        snprintf(told, sizeof told, "%s/%s/names.py", folder, cases[i].told);
        ck_assert_int_eq(mkdir(inner, 0700), 0);
        snprintf(file, sizeof file, "%s/names.py", inner);
        snprintf(command, sizeof command, "cp '%s/names.py' '%s'", STALLS_SCRIPTS, file);
        ck_assert_int_eq(system(command), 0);
        struct python_target target = start_file(_i, file, NULL);
        struct frame frames[SCRIPT_FRAMES_MAX];
        attach(&target, line, sizeof line);
        int count = look_until(&target, target.pid, line_of("names.py", "naïve"), frames);
        ck_assert_int_eq(count, 4);
        for (int j = 0; j < 3; j++) {
            ck_assert_str_eq(frames[j].function, names[j]);
            ck_assert_str_eq(frames[j].file, told);
        }
        finish(&target);
        unlink(file);
        rmdir(inner);
        rmdir(folder);
    }
}
END_TEST

/* Nothing is made up while everything moves: names, files and lines are all ones of the script. */
START_TEST(a_running_program_gives_no_frame_that_it_does_not_have)
{
    enum { LOOKS = 4000 };
    static const char *known[] = { "<module>", "main", "churn", "even", "odd", "count", "fail",
                                   "made", "?" };
    struct python_target target = start(_i, "churn.py", NULL);
    struct python_frame frames[SCRIPT_FRAMES_MAX];
    char line[64];
    int whole = 0, seen = 0;
    attach(&target, line, sizeof line);
    for (int look = 0; look < LOOKS; look++) {
        int count = python_capture(target.python, target.pid, frames, SCRIPT_FRAMES_MAX);
        for (int i = 0; i < count; i++) {
            struct frame frame;
            python_resolve(target.python, &frames[i], &frame);
            bool is_known = false;
            for (size_t j = 0; j < sizeof known / sizeof known[0] && !is_known; j++)
                is_known = strcmp(frame.function, known[j]) == 0;
            ck_assert_msg(is_known, "%s at %s:%d", frame.function, frame.file, frame.line);
            ck_assert_int_lt(frame.line, 70);
            seen++;
            if (i == count - 1 && strcmp(frame.function, "<module>") == 0) whole++;
        }
    }
    printf("churn, 3.%d: %d of %d looks whole, %d frames\n", interpreters[_i].minor, whole, LOOKS,
           seen);
    ck_assert_int_gt(whole, LOOKS / 10); /* the others were cut short by what moved */
    finish(&target);
}
END_TEST

/* Asks again and again until the answer is yes. */
static bool is_ever_collecting(struct python_target *target, pid_t tid)
{
    for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end;)
        if (python_is_collecting(target->python, tid)) return true;
    return false;
}

START_TEST(a_garbage_collection_is_told)
{
    struct python_target target = start(_i, "collect.py", NULL);
    char line[64];
    int tid, other;
    attach(&target, line, sizeof line);
    ck_assert_int_eq(sscanf(line, "%d %d", &tid, &other), 2);
    for (int i = 0; i < 200; i++) ck_assert(!python_is_collecting(target.python, tid));
    ck_assert_int_eq(write(target.input, "", 1), 1);
    ck_assert(is_ever_collecting(&target, tid));
    for (int i = 0; i < 200; i++) ck_assert(!python_is_collecting(target.python, other));
    finish(&target);
}
END_TEST

START_TEST(an_interpreter_in_the_interpreter_is_seen_with_who_called_it)
{
    const char *mark = interpreters[_i].minor >= 13 ? "new" : "old";
    struct python_target target = start(_i, "nested.py", NULL);
    struct frame frames[SCRIPT_FRAMES_MAX];
    char line[64];
    attach(&target, line, sizeof line);
    int count = look_until(&target, target.pid, 4, frames); /* line 4 of what it is given */
    ck_assert_int_eq(count, 4);
    ck_assert_str_eq(frames[0].function, "inside");
    ck_assert_str_eq(frames[1].function, "<module>");
    ck_assert_str_eq(frames[2].function, "outside");
    ck_assert_int_eq(frames[2].line, line_of("nested.py", mark));
    ck_assert_str_eq(frames[3].function, "<module>");
    finish(&target);
}
END_TEST

START_TEST(a_process_that_ends_gives_no_frames)
{
    struct python_target target = start(_i, "depth.py", "20");
    struct python_frame frames[SCRIPT_FRAMES_MAX];
    struct frame named;
    char line[64];
    attach(&target, line, sizeof line);
    int count = python_capture(target.python, target.pid, frames, SCRIPT_FRAMES_MAX);
    ck_assert_int_gt(count, 0);
    kill(target.pid, SIGKILL);
    ck_assert_int_eq(waitpid(target.pid, NULL, 0), target.pid);
    python_resolve(target.python, &frames[0], &named);
    ck_assert_str_eq(named.function, "?");
    ck_assert_ptr_null(named.file);
    ck_assert_int_eq(python_capture(target.python, target.pid, frames, SCRIPT_FRAMES_MAX), 0);
    ck_assert(!python_is_collecting(target.python, target.pid));
    char why[256] = "";
    ck_assert_ptr_null(python_open(target.pid, why, sizeof why));
    ck_assert_str_ne(why, "");
    finish(&target);
}
END_TEST

START_TEST(a_process_without_python_has_none_and_no_complaint)
{
    char why[256] = "?";
    ck_assert_ptr_null(python_open(getpid(), why, sizeof why));
    ck_assert_str_eq(why, "");
}
END_TEST

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Prints a figure; judges only that it looked. */
START_TEST(what_a_look_costs)
{
    static const char *depths[] = { "9", "49" };
    for (int i = 0; i < 2; i++) {
        struct python_target target = start(_i, "depth.py", depths[i]);
        struct python_frame frames[SCRIPT_FRAMES_MAX];
        char line[64];
        attach(&target, line, sizeof line);
        int count = 0;
        double best = 1;
        for (int round = 0; round < 20; round++) {
            double began = seconds();
            for (int j = 0; j < 100; j++)
                count = python_capture(target.python, target.pid, frames, SCRIPT_FRAMES_MAX);
            double each = (seconds() - began) / 100;
            if (each < best) best = each;
        }
        printf("cost, 3.%d: %d frames in %.1f us\n", interpreters[_i].minor, count, best * 1e6);
        ck_assert_int_eq(count, atoi(depths[i]) + 1);
        finish(&target);
    }
}
END_TEST

START_TEST(the_entry_of_the_evaluation_is_known_by_its_name)
{
    ck_assert(python_is_entry("_PyEval_EvalFrameDefault"));
    ck_assert(python_is_entry("_PyEval_EvalFrameDefault.cold"));
    ck_assert(!python_is_entry("_PyEval_EvalFrame"));
    ck_assert(!python_is_entry("_PyEval_EvalFrameDefaults"));
    ck_assert(!python_is_entry("?"));
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test, int loops)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 2 * PATIENCE_S);
    tcase_add_loop_test(tcase, test, 0, loops);
    suite_add_tcase(suite, tcase);
}

#define EACH(suite, name) add(suite, #name, name, interpreter_count)
#define ONCE(suite, name) add(suite, #name, name, 1)

int main(void)
{
    find_interpreters();
    if (interpreter_count == 0) {
        printf("skipped: no Python of 3.8 to 3.14 was found\n");
        return 77;
    }
    Suite *suite = suite_create("python");
    EACH(suite, frames_of_every_kind_have_their_name_file_and_line);
    EACH(suite, entries_are_where_native_code_called);
    EACH(suite, python_itself_tells_the_same_frames);
    EACH(suite, each_thread_has_its_own_frames);
    EACH(suite, a_deep_recursion_gives_its_innermost_frames);
    EACH(suite, names_and_paths_beyond_ascii_come_as_utf8);
    EACH(suite, a_running_program_gives_no_frame_that_it_does_not_have);
    EACH(suite, a_garbage_collection_is_told);
    EACH(suite, an_interpreter_in_the_interpreter_is_seen_with_who_called_it);
    EACH(suite, a_process_that_ends_gives_no_frames);
    EACH(suite, what_a_look_costs);
    ONCE(suite, a_process_without_python_has_none_and_no_complaint);
    ONCE(suite, the_entry_of_the_evaluation_is_known_by_its_name);
    return unit_run(suite);
}
