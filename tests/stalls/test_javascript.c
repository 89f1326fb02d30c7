/* JavaScript frames of an unmodified node: function, file and exact line, whatever compiled the
 * code. Each case is a script that says "ready" and then stands in a known place; what is expected
 * stands in the script itself, such as "// @NAME" in the line where the function NAME is to be
 * found. */
#include <sys/stat.h>

#include "node_process.h"

static const char *const interpreter[] = {"--max-opt=0", "--no-sparkplug", NULL};
static const char *const small_heap[] = {"--max-semi-space-size=1", NULL};
static const char *const baseline[] = {"--max-opt=1", "--always-sparkplug", NULL};

static const char nested[] =
    "const fs = require('fs');\n"
    "\n"
    "function inner(n) {\n"
    "  let s = 0;\n"
    "  s += 1;\n"
    "  while (n !== 0) { s = (s * 3 + n) % 1000003; } // @inner\n"
    "  s += 2;\n"
    "  return s;\n"
    "}\n"
    "function middle(n) {\n"
    "  const before = Math.sqrt(n);\n"
    "  const r = inner(\n"
    "    before); // argument\n"
    "  return r + 1;\n"
    "}\n"
    "function outer() {\n"
    "  fs.writeSync(1, 'ready\\n');\n"
    "  const t = [1].map((x) => {\n"
    "    return middle(x); // @arrow\n"
    "  }); // after\n"
    "  return t;\n"
    "}\n"
    "\n"
    "outer(); // @top\n";

static const struct expected nested_frames[] = {
    {"inner", "// @inner"}, {"middle", "const r = inner"}, {"(anonymous)", "// @arrow"},
    {"outer", "const t = "}, {"(anonymous)", "// @top"}, {NULL, NULL}};

START_TEST(lines_of_interpreted_frames_are_exact)
{
    check_script("interpreted.js", nested, interpreter, nested_frames);
}
END_TEST

START_TEST(lines_of_baseline_frames_are_exact)
{
    check_script("baseline.js", nested, baseline, nested_frames);
}
END_TEST

START_TEST(lines_of_frames_that_became_hot_are_exact)
{
    check_script("hot.js", nested, NULL, nested_frames);
}
END_TEST

START_TEST(lines_are_exact_while_coverage_is_taken)
{
    ck_assert_int_eq(setenv("NODE_V8_COVERAGE", folder, 1), 0); /* in a process of its own */
    check_script("covered.js", nested, NULL, nested_frames);
}
END_TEST

/* What is inlined must come back as frames of its own: here two functions into a third. */
static const char inlined[] =
    "const fs = require('fs');\n"
    "function innermost(x) {\n"
    "  return JSON.stringify({ x, list: [1, 2, 'abcdefghijklmnopqrst'] }).length; // @innermost\n"
    "}\n"
    "function between(x) {\n"
    "  let sum = x;\n"
    "  sum += innermost(sum); // @between\n"
    "  return sum;\n"
    "}\n"
    "function loop(count) {\n"
    "  let total = 0;\n"
    "  for (let i = 0; i < count; i++) {\n"
    "    total +=\n"
    "      between(i); // @loop\n"
    "  }\n"
    "  return total;\n"
    "}\n"
    "for (let i = 0; i < 30; i++) loop(1000);\n"
    "fs.writeSync(1, 'ready\\n');\n"
    "for (;;)\n"
    "  loop(100); // @top\n";

static const struct expected inlined_frames[] = {
    {"innermost", "// @innermost"}, {"between", "// @between"}, {"loop", "// @loop"},
    {"(anonymous)", "// @top"}, {NULL, NULL}};

START_TEST(functions_that_were_inlined_have_frames_and_lines)
{
    check_script("inlined.js", inlined, NULL, inlined_frames);
}
END_TEST

/* A loop without any call, inlined into another one. */
START_TEST(lines_in_optimized_loops_without_calls_are_exact)
{
    static const char text[] =
        "const list = new Array(1000).fill(1).map((x, i) => i * 1.5);\n"
        "function sum(list) {\n"
        "  let s = 0;\n"
        "  for (let i = 0; i < list.length; i++) s += list[i]; // @sum\n"
        "  return s;\n"
        "}\n"
        "function work() {\n"
        "  let t = 0;\n"
        "  for (let k = 0; k < 1e9; k++) {\n"
        "    t += sum(list); // @work\n"
        "  }\n"
        "  return t;\n"
        "}\n"
        "for (let i = 0; i < 2000; i++) sum(list);\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "work(); // @top\n";
    static const struct expected frames[] = {
        {"sum", "// @sum"}, {"work", "// @work"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    check_script("loops.js", text, NULL, frames);
}
END_TEST

START_TEST(methods_and_functions_after_await_are_named)
{
    static const char text[] =
        "const fs = require('fs');\n"
        "class Shop {\n"
        "  #sold = 0;\n"
        "  static open() { return new Shop(); }\n"
        "  sell(n) {\n"
        "    while (n > 0) this.#sold += 1; // @sell\n"
        "  }\n"
        "  get total() {\n"
        "    return this.sell(1); // @total\n"
        "  }\n"
        "}\n"
        "const later = () => new Promise((done) => setImmediate(done));\n"
        "async function run(shop) {\n"
        "  await later();\n"
        "  fs.writeSync(1, 'ready\\n');\n"
        "  await null;\n"
        "  return shop.total; // @run\n"
        "}\n"
        "run(Shop.open());\n";
    static const struct expected frames[] = {
        {"sell", "// @sell"}, {"get total", "// @total"}, {"run", "// @run"}, {NULL, NULL}};
    check_script("methods.js", text, NULL, frames);
}
END_TEST

START_TEST(lines_in_modules_are_exact_and_their_names_are_paths)
{
    static const char text[] =
        "import { writeSync } from 'node:fs';\n"
        "\n"
        "export function work(n) {\n"
        "  for (;;) n += Math.sin(n); // @work\n"
        "}\n"
        "writeSync(1, 'ready\\n');\n"
        "await null;\n"
        "work(1); // @top\n";
    static const struct expected frames[] = {
        {"work", "// @work"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    check_script("a module.mjs", text, NULL, frames);
}
END_TEST

START_TEST(a_long_parse_is_in_the_line_that_calls_it)
{
    static const char text[] =
        "const text = '[' + '{\"a\":[1,2,3,\"x\"]},'.repeat(400000) + '1]';\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "function parse() {\n"
        "  for (;;) {\n"
        "    JSON.parse(text); // @parse\n"
        "  }\n"
        "}\n"
        "parse(); // @top\n";
    static const struct expected frames[] = {
        {"parse", "// @parse"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    check_script("parse.js", text, NULL, frames);
}
END_TEST

START_TEST(a_catastrophic_expression_is_in_the_line_that_matches_it)
{
    static const char text[] =
        "function check(name) {\n"
        "  const pattern = /^(\\w+\\s?)*$/;\n"
        "  return pattern.test(name); // @check\n"
        "}\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "check('a'.repeat(40) + '!'); // @top\n";
    static const struct expected frames[] = {
        {"check", "// @check"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    check_script("expression.js", text, NULL, frames);
}
END_TEST

START_TEST(a_wait_is_in_the_line_that_waits)
{
    static const char text[] =
        "const cell = new Int32Array(new SharedArrayBuffer(4));\n"
        "function wait() {\n"
        "  Atomics.wait(cell, 0, 0); // @wait\n"
        "}\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "wait(); // @top\n";
    static const struct expected frames[] = {
        {"wait", "// @wait"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    check_script("wait.js", text, NULL, frames);
}
END_TEST

START_TEST(a_command_is_in_the_line_that_runs_it)
{
    static const char text[] =
        "const { execSync } = require('child_process');\n"
        "function run() {\n"
        "  return execSync('exec sleep 20', { timeout: 20000 }); // @run\n"
        "}\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "run(); // @top\n";
    static const struct expected frames[] = {
        {"run", "// @run"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    check_script("command.js", text, NULL, frames);
}
END_TEST

START_TEST(reading_a_fifo_is_in_the_line_that_reads_it)
{
    char fifo[128];
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    static const char text[] =
        "const fs = require('fs'), path = require('path');\n"
        "function load() {\n"
        "  return fs.readFileSync(path.join(__dirname, 'fifo')); // @load\n"
        "}\n"
        "fs.writeSync(1, 'ready\\n');\n"
        "load(); // @top\n";
    static const struct expected frames[] = {
        {"load", "// @load"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    check_script("fifo.js", text, NULL, frames);
}
END_TEST

START_TEST(hashing_a_password_is_in_the_line_that_hashes_it)
{
    static const char text[] =
        "const { pbkdf2Sync } = require('crypto');\n"
        "const hash = function (word) {\n"
        "  return pbkdf2Sync(word, 'salt', 1e9, 64, 'sha512'); // @hash\n"
        "};\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "hash('x'); // @top\n";
    static const struct expected frames[] = {
        {"hash", "// @hash"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    check_script("password.js", text, NULL, frames);
}
END_TEST

START_TEST(a_deep_recursion_has_as_many_frames_as_fit)
{
    static const char text[] =
        "function dive(n) {\n"
        "  if (n === 0) for (;;) Math.sqrt(n); // @bottom\n"
        "  return dive(n - 1) + 1; // @dive\n"
        "}\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "dive(2000);\n";
    struct expected frames[101] = {{"dive", "// @bottom"}};
    for (int i = 1; i < 100; i++) frames[i] = (struct expected){"dive", "// @dive"};
    check_script("deep.js", text, NULL, frames);
}
END_TEST

START_TEST(text_beyond_latin_1_is_counted_and_named)
{
    static const char text[] =
        "// \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xf0\x9f\x98\x80\n"
        "function \xd1\x81\xd1\x87\xd1\x91\xd1\x82(n) {\n"
        "  while (n) n = (n * 5 + 1) & 1023 | 1; // @count\n"
        "}\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "\xd1\x81\xd1\x87\xd1\x91\xd1\x82(1); // @top\n";
    static const struct expected frames[] = {
        {"\xd1\x81\xd1\x87\xd1\x91\xd1\x82", "// @count"},
        {"(anonymous)", "// @top"},
        {NULL, NULL}};
    check_script("\xe6\x97\xa5\xe6\x9c\xac.js", text, NULL, frames);
}
END_TEST

/* Carriage returns end lines too, together with a newline or alone. */
START_TEST(every_end_of_a_line_is_counted_once)
{
    static const char text[] =
        "require('fs').writeSync(1, 'ready\\n');\r\n"
        "\r\n"
        "function spin(n) {\r\n"
        "  for (;;) n = n * 7 % 1009; // @spin\r\n"
        "}\r\n"
        "spin(3); // @top\r\n";
    static const struct expected frames[] = {
        {"spin", "// @spin"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    check_script("returns.js", text, NULL, frames);
}
END_TEST

START_TEST(a_collection_hides_nothing)
{
    static const char text[] =
        "function litter() {\n"
        "  let kept = [], rest = [];\n"
        "  for (let i = 0; ; i++) (i % 64 ? rest : kept)[i % 4096] = { i, list: [i] }; // @litter\n"
        "}\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "litter(); // @top\n";
    static const struct expected frames[] = {
        {"litter", "// @litter"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    check_script("litter.js", text, small_heap, frames);
}
END_TEST

START_TEST(worker_threads_are_seen_each_by_itself)
{
    static const char text[] =
        "const { Worker, isMainThread } = require('worker_threads');\n"
        "if (isMainThread) {\n"
        "  new Worker(__filename);\n"
        "} else {\n"
        "  require('fs').writeSync(1, 'ready\\n');\n"
        "  work(1); // @top\n"
        "}\n"
        "function work(n) {\n"
        "  while (n) n = n * 3 % 1009; // @work\n"
        "}\n";
    static const struct expected frames[] = {
        {"work", "// @work"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    static struct capture capture;
    struct node_process node = node_start("worker.js", text, NULL);
    char path[64];
    pid_t worker = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)node.pid);
    for (int i = 0; i < LOOKS_MAX && worker == 0; i++) {
        DIR *threads = opendir(path);
        ck_assert_ptr_nonnull(threads);
        for (struct dirent *entry; (entry = readdir(threads)) != NULL && worker == 0;) {
            pid_t tid = (pid_t)atoi(entry->d_name);
            if (tid == 0 || tid == node.pid) continue;
            node_look(&node, tid, &capture);
            if (is_inside(&node, &capture, "work")) worker = tid;
        }
        closedir(threads);
    }
    ck_assert_int_ne(worker, 0);
    check_frames(&node, worker, frames);
    node_look(&node, node.pid, &capture); /* the main thread waits in its loop meanwhile */
    ck_assert(!is_inside(&node, &capture, "work"));
    node_stop(&node);
}
END_TEST

/* Longer than what is copied while the thread stands: it is read when a line is asked for. */
START_TEST(lines_of_a_long_script_are_exact)
{
    static const char end[] =
        "function spin(n) {\n"
        "  while (n) n = n * 3 % 1009; // @spin\n"
        "}\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "spin(1); // @top\n";
    static const struct expected frames[] = {
        {"spin", "// @spin"}, {"(anonymous)", "// @top"}, {NULL, NULL}};
    static char text[400000];
    size_t at = 0;
    while (at < sizeof text - 1000)
        at += (size_t)snprintf(text + at, sizeof text - at, "// %zu\n", at);
    snprintf(text + at, sizeof text - at, "%s", end);
    check_script("long.js", text, NULL, frames);
}
END_TEST

START_TEST(thirty_frames_are_taken)
{
    static const char text[] =
        "function dive(n) {\n"
        "  if (n === 0) for (;;) Math.sqrt(n); // @bottom\n"
        "  return dive(n - 1) + 1; // @dive\n"
        "}\n"
        "require('fs').writeSync(1, 'ready\\n');\n"
        "dive(22); // @top\n";
    struct expected frames[25] = {{"dive", "// @bottom"}};
    for (int i = 1; i < 23; i++) frames[i] = (struct expected){"dive", "// @dive"};
    frames[23] = (struct expected){"(anonymous)", "// @top"};
    check_script("thirty.js", text, NULL, frames);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("javascript");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, lines_of_interpreted_frames_are_exact);
    tcase_add_test(all, lines_of_baseline_frames_are_exact);
    tcase_add_test(all, lines_of_frames_that_became_hot_are_exact);
    tcase_add_test(all, lines_are_exact_while_coverage_is_taken);
    tcase_add_test(all, functions_that_were_inlined_have_frames_and_lines);
    tcase_add_test(all, lines_in_optimized_loops_without_calls_are_exact);
    tcase_add_test(all, methods_and_functions_after_await_are_named);
    tcase_add_test(all, lines_in_modules_are_exact_and_their_names_are_paths);
    tcase_add_test(all, a_long_parse_is_in_the_line_that_calls_it);
    tcase_add_test(all, a_catastrophic_expression_is_in_the_line_that_matches_it);
    tcase_add_test(all, a_wait_is_in_the_line_that_waits);
    tcase_add_test(all, a_command_is_in_the_line_that_runs_it);
    tcase_add_test(all, reading_a_fifo_is_in_the_line_that_reads_it);
    tcase_add_test(all, hashing_a_password_is_in_the_line_that_hashes_it);
    tcase_add_test(all, a_deep_recursion_has_as_many_frames_as_fit);
    tcase_add_test(all, text_beyond_latin_1_is_counted_and_named);
    tcase_add_test(all, every_end_of_a_line_is_counted_once);
    tcase_add_test(all, a_collection_hides_nothing);
    tcase_add_test(all, worker_threads_are_seen_each_by_itself);
    tcase_add_test(all, lines_of_a_long_script_are_exact);
    tcase_add_test(all, thirty_frames_are_taken);
    suite_add_tcase(suite, all);
    return run_with_node(suite);
}
