/* JavaScript frames where there is little to see: text without a file, functions of node itself, no
 * V8, no process, frames that are none. */
#include "node_process.h"

START_TEST(evaluated_text_has_lines_of_its_own_and_a_caller)
{
    static const char text[] =
        "function run(text) {\n"
        "  return eval(text); // @run\n"
        "}\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "run('let n = 1;\\n\\nfor (;;) n = n * 3 % 7;');\n";
    static struct capture capture;
    struct frame inner, outer;
    struct node_process node = node_start("eval.js", text, NULL);
    for (int i = 0; i < LOOKS_MAX; i++) {
        node_look(&node, node.pid, &capture);
        if (capture.javascript_count < 2) continue;
        javascript_resolve(node.reader, &capture.javascript[0], &inner);
        javascript_resolve(node.reader, &capture.javascript[1], &outer);
        if (strcmp(outer.function, "run") == 0) break;
        usleep(1000);
    }
    ck_assert_str_eq(outer.function, "run");
    ck_assert_str_eq(outer.file, node.script);
    ck_assert_int_eq(outer.line, line_of(text, "// @run"));
    ck_assert_str_eq(inner.file, "(eval)");
    ck_assert_int_eq(inner.line, 3);
    node_stop(&node);
}
END_TEST

START_TEST(functions_of_node_itself_are_told_from_others)
{
    static const char text[] =
        "const { execSync } = require('child_process');\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "execSync('exec sleep 20', { timeout: 20000 });\n";
    static struct capture capture;
    struct node_process node = node_start("runtime.js", text, NULL);
    int ours = -1, runtime_before = 0, runtime_behind = 0;
    for (int i = 0; i < LOOKS_MAX && (ours < 0 || runtime_before == 0); i++) {
        usleep(1000);
        node_look(&node, node.pid, &capture);
        ours = -1;
        runtime_before = runtime_behind = 0;
        for (int k = 0; k < capture.javascript_count; k++) {
            struct frame frame;
            javascript_resolve(node.reader, &capture.javascript[k], &frame);
            ck_assert_int_eq(frame.is_runtime, strncmp(frame.file, "node:", 5) == 0);
            if (!frame.is_runtime) ours = k;
            else if (ours < 0) runtime_before++;
            else runtime_behind++;
        }
    }
    ck_assert_int_ge(ours, 0);
    ck_assert_int_ge(runtime_before, 2); /* execSync() calls spawnSync() */
    ck_assert_int_ge(runtime_behind, 2); /* the loader of modules */
    node_stop(&node);
}
END_TEST

START_TEST(a_process_without_v8_has_no_reader_and_no_reproach)
{
    char why[REASON_BYTES] = "old";
    ck_assert_ptr_null(javascript_open(getpid(), why, sizeof why));
    ck_assert_str_eq(why, "");
}
END_TEST

START_TEST(a_process_that_is_gone_has_no_frames)
{
    static struct capture capture;
    struct node_process node =
        node_start("gone.js", "require('fs').writeSync(1, 'ready\\n'); for (;;);\n", NULL);
    node_look(&node, node.pid, &capture);
    ck_assert_int_gt(capture.javascript_count, 0);
    struct javascript_frame before = capture.javascript[0];
    node_kill(&node);
    ck_assert_int_eq(javascript_capture(node.reader, node.pid, &capture), 0);
    struct frame frame;
    javascript_resolve(node.reader, &before, &frame); /* what was taken while it lived is kept */
    ck_assert_str_eq(frame.file, node.script);
    ck_assert_int_eq(frame.line, 1);
    node_stop(&node);
}
END_TEST

static const char calling[] =
    "function inner(n) { while (n) n = n * 3 % 1009; }\n"
    "function outer() { return [1].map((n) => inner(n)); }\n"
    "require('fs').writeSync(1, 'ready\\n');\n"
    "outer();\n";

/* Frames that are none: each word of the stack as a frame pointer, with each pc that was seen. */
START_TEST(wrong_frames_do_no_harm)
{
    static struct capture capture, wrong;
    struct node_process node = node_start("wrong.js", calling, NULL);
    node_look(&node, node.pid, &capture);
    ck_assert_int_gt(capture.native_count, 3);
    uint64_t sp = capture.native[0].sp;
    for (uint64_t at = sp - 4096; at < sp + 4096; at += 3 * NATIVE_FRAMES_MAX) {
        wrong.native_count = NATIVE_FRAMES_MAX;
        for (int i = 0; i < NATIVE_FRAMES_MAX; i++)
            wrong.native[i] = (struct native_frame){
                .pc = capture.native[i % capture.native_count].pc + (uint64_t)i,
                .sp = at,
                .fp = at + 3 * (uint64_t)i};
        int count = javascript_capture(node.reader, 0, &wrong);
        ck_assert_int_le(count, SCRIPT_FRAMES_MAX);
        for (int i = 0; i < count; i++) {
            struct frame frame;
            javascript_resolve(node.reader, &wrong.javascript[i], &frame);
            ck_assert_int_le(frame.line, 4);
        }
    }
    const uint64_t odd[] = {0, 1, 8, 4095, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 47, sp + 4};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        wrong.native_count = 1;
        wrong.native[0] = (struct native_frame){.pc = odd[i], .sp = odd[i], .fp = odd[i]};
        ck_assert_int_eq(javascript_capture(node.reader, 0, &wrong), 0);
    }
    node_stop(&node);
}
END_TEST

START_TEST(names_of_the_collector_are_known)
{
    ck_assert(javascript_is_collecting("v8::internal::Heap::CollectGarbage(v8::internal::X)"));
    ck_assert(javascript_is_collecting("v8::internal::ScavengerCollector::CollectGarbage()"));
    ck_assert(!javascript_is_collecting("v8::internal::Heap::AllocateRaw(int)"));
    ck_assert(!javascript_is_collecting("v8::internal::Builtin_JsonParse(int)"));
    ck_assert(!javascript_is_collecting("?"));
    ck_assert(!javascript_is_collecting(NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("javascript_bounds");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, evaluated_text_has_lines_of_its_own_and_a_caller);
    tcase_add_test(all, functions_of_node_itself_are_told_from_others);
    tcase_add_test(all, a_process_without_v8_has_no_reader_and_no_reproach);
    tcase_add_test(all, a_process_that_is_gone_has_no_frames);
    tcase_add_test(all, wrong_frames_do_no_harm);
    tcase_add_test(all, names_of_the_collector_are_known);
    suite_add_tcase(suite, all);
    return run_with_node(suite);
}
