/* Stalls are judged by all looks at them: which kind, and whom to blame. */
#include "stalls/classify.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

#define MS(n) ((int64_t)(n) * 1000000)

enum { LOOKS = 6 };

static struct capture captures[LOOKS];
static struct stack stacks[LOOKS];
static struct look looks[LOOKS];

/* A stack from text, innermost first: ".name" is of a runtime, "*name" a script's. */
static void set(int index, const char *text)
{
    struct stack *stack = &stacks[index];
    captures[index] = (struct capture){ .is_running = true, .call = -1 };
    looks[index] = (struct look){ &captures[index], stack, false };
    stack->count = 0;
    char copy[256];
    snprintf(copy, sizeof copy, "%s", text);
    char *rest = copy, *word;
    while ((word = strsep(&rest, " ")) != NULL) {
        struct frame frame = { .kind = FRAME_NATIVE, .module = "program", .line = index };
        if (*word == '.') frame.is_runtime = true;
        if (*word == '*') frame.kind = FRAME_JAVASCRIPT;
        if (*word == '.' || *word == '*') word++;
        frame.function = text_keep(word);
        stack->frames[stack->count++] = frame;
    }
}

static struct stall judge(int count)
{
    struct stall stall = { .held_ns = MS(100), .processor_ns = MS(100) };
    classify_stall(&stall, MS(20), looks, count);
    return stall;
}

static const char *guilty(const struct stall *stall)
{
    return stall->guilty < 0 ? "nobody" : stall->stack.frames[stall->guilty].function;
}

START_TEST(the_innermost_frame_of_the_program_is_to_blame)
{
    set(0, ".read .fgets load_config on_request .uv_run main ._start");
    struct stall stall = judge(1);
    ck_assert_str_eq(guilty(&stall), "load_config");
    ck_assert_int_eq(stall.kind, STALL_ONE_CALL);
    ck_assert_int_eq(stall.look_count, 1);
}
END_TEST

START_TEST(the_same_frames_in_all_looks_are_one_call)
{
    for (int i = 0; i < 4; i++) set(i, "spin on_request .uv_run main ._start");
    struct stall stall = judge(4);
    ck_assert_int_eq(stall.kind, STALL_ONE_CALL);
    ck_assert_str_eq(guilty(&stall), "spin");
}
END_TEST

START_TEST(a_callback_that_calls_others_is_one_call_and_to_blame_itself)
{
    set(0, "parse on_request .uv_run main ._start");
    set(1, ".memcpy copy on_request .uv_run main ._start");
    set(2, "hash on_request .uv_run main ._start");
    struct stall stall = judge(3);
    ck_assert_int_eq(stall.kind, STALL_ONE_CALL);
    ck_assert_str_eq(guilty(&stall), "on_request");
}
END_TEST

START_TEST(the_call_that_most_looks_share_is_to_blame)
{
    for (int i = 0; i < 5; i++) set(i, "parse on_request .uv_run main ._start");
    set(5, "hash on_request .uv_run main ._start");
    struct stall stall = judge(6);
    ck_assert_int_eq(stall.kind, STALL_ONE_CALL);
    ck_assert_str_eq(guilty(&stall), "parse");
}
END_TEST

START_TEST(different_callbacks_below_the_loop_are_many)
{
    set(0, "on_read .uv_run main ._start");
    set(1, "on_timer .uv_run main ._start");
    set(2, "on_close .uv_run main ._start");
    ck_assert_int_eq(judge(3).kind, STALL_MANY_CALLBACKS);
    /* main lies outside of the loop and proves nothing, whatever calls the loop */
    set(0, "on_read .uv_run serve main ._start");
    set(1, "on_timer .uv_run serve main ._start");
    ck_assert_int_eq(judge(2).kind, STALL_MANY_CALLBACKS);
}
END_TEST

START_TEST(a_loop_of_the_programs_own_is_not_taken_for_a_callback)
{
    set(0, "on_read main ._start");
    set(1, "on_timer main ._start");
    ck_assert_int_eq(judge(2).kind, STALL_MANY_CALLBACKS);
    set(0, "spin main ._start");
    set(1, "spin main ._start");
    ck_assert_int_eq(judge(2).kind, STALL_ONE_CALL);
}
END_TEST

START_TEST(depth_of_a_recursion_does_not_make_many_callbacks)
{
    set(0, "fib fib fib on_request .uv_run main ._start");
    set(1, "fib on_request .uv_run main ._start");
    set(2, "fib fib fib fib fib on_request .uv_run main ._start");
    ck_assert_int_eq(judge(3).kind, STALL_ONE_CALL);
}
END_TEST

START_TEST(collection_in_most_looks_is_a_collection)
{
    for (int i = 0; i < 4; i++) set(i, ".mark *allocate *handler .node::SpinEventLoop .main");
    looks[0].is_collecting = looks[1].is_collecting = looks[2].is_collecting = true;
    struct stall stall = judge(4);
    ck_assert_int_eq(stall.kind, STALL_COLLECTION);
    ck_assert_str_eq(guilty(&stall), "allocate");
    looks[1].is_collecting = looks[2].is_collecting = false;
    ck_assert_int_eq(judge(4).kind, STALL_ONE_CALL);
}
END_TEST

START_TEST(time_in_the_queue_is_descheduled_whatever_the_looks_say)
{
    set(0, "spin on_request .uv_run main ._start");
    looks[0].is_collecting = true;
    struct stall stall = { .held_ns = MS(100), .processor_ns = MS(12), .queued_ns = MS(85) };
    classify_stall(&stall, MS(20), looks, 1);
    ck_assert_int_eq(stall.kind, STALL_DESCHEDULED);
    stall.queued_ns = MS(40);
    looks[0].is_collecting = false;
    classify_stall(&stall, MS(20), looks, 1);
    ck_assert_int_eq(stall.kind, STALL_ONE_CALL);
}
END_TEST

START_TEST(what_would_have_been_a_stall_without_the_queue_is_not_excused_by_it)
{
    set(0, "spin on_request .uv_run main ._start");
    struct stall stall = { .held_ns = MS(100), .processor_ns = MS(30), .queued_ns = MS(60) };
    classify_stall(&stall, MS(20), looks, 1);
    ck_assert_int_eq(stall.kind, STALL_ONE_CALL);
    ck_assert(stall.is_running);
}
END_TEST

START_TEST(a_script_is_blamed_before_a_library_that_has_no_lines)
{
    set(0, "sqlite3_step *query *.run .uv_run *main ._start");
    looks[0].stack = &stacks[0];
    stacks[0].frames[0].line = 0;
    ck_assert_str_eq(stacks[0].frames[classify_guilty(&stacks[0])].function, "query");
    stacks[0].frames[0].line = 7; /* an addon of the program's own */
    ck_assert_str_eq(stacks[0].frames[classify_guilty(&stacks[0])].function, "sqlite3_step");
    set(1, "on_packet .uv_run *main ._start"); /* the script outside of the loop did nothing */
    stacks[1].frames[0].line = 0;
    ck_assert_str_eq(stacks[1].frames[classify_guilty(&stacks[1])].function, "on_packet");
}
END_TEST

START_TEST(without_a_look_only_the_times_are_known)
{
    struct stall stall = { .held_ns = MS(100), .processor_ns = MS(90) };
    classify_stall(&stall, MS(20), NULL, 0);
    ck_assert_int_eq(stall.guilty, -1);
    ck_assert_int_eq(stall.look_count, 0);
    ck_assert_int_eq(stall.stack.count, 0);
    ck_assert(stall.is_running);
    stall.processor_ns = MS(10);
    classify_stall(&stall, MS(20), NULL, 0);
    ck_assert(!stall.is_running);
}
END_TEST

START_TEST(a_wait_is_told_with_its_call_and_a_computation_without)
{
    for (int i = 0; i < 3; i++) {
        set(i, ".read load on_request .uv_run main ._start");
        captures[i].is_running = false;
        captures[i].call_text = "read(7 -> /tmp/fifo)";
    }
    struct stall stall = judge(3);
    ck_assert(!stall.is_running);
    ck_assert_str_eq(stall.call_text, "read(7 -> /tmp/fifo)");
    captures[0].is_running = captures[1].is_running = true;
    stall = judge(3);
    ck_assert(stall.is_running);
    ck_assert_ptr_null(stall.call_text);
}
END_TEST

START_TEST(scripts_are_blamed_before_a_runtime)
{
    set(0, ".EVP_digest .node::PBKDF2 *hash *handler .node::SpinEventLoop .main");
    struct stall stall = judge(1);
    ck_assert_str_eq(guilty(&stall), "hash");
    set(0, ".epoll_wait .uv_run .main");
    stall = judge(1);
    ck_assert_str_eq(guilty(&stall), "nobody");
}
END_TEST

START_TEST(frames_without_a_name_are_told_apart_by_their_place)
{
    set(0, "? .uv_run main ._start");
    set(1, "? .uv_run main ._start");
    stacks[0].frames[0].offset = 0x1000;
    stacks[1].frames[0].offset = 0x1000;
    ck_assert_int_eq(judge(2).kind, STALL_ONE_CALL);
    stacks[1].frames[0].offset = 0x2000;
    ck_assert_int_eq(judge(2).kind, STALL_MANY_CALLBACKS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("classify");
    UNIT_CASE(suite, the_innermost_frame_of_the_program_is_to_blame);
    UNIT_CASE(suite, the_same_frames_in_all_looks_are_one_call);
    UNIT_CASE(suite, a_callback_that_calls_others_is_one_call_and_to_blame_itself);
    UNIT_CASE(suite, the_call_that_most_looks_share_is_to_blame);
    UNIT_CASE(suite, different_callbacks_below_the_loop_are_many);
    UNIT_CASE(suite, a_loop_of_the_programs_own_is_not_taken_for_a_callback);
    UNIT_CASE(suite, depth_of_a_recursion_does_not_make_many_callbacks);
    UNIT_CASE(suite, collection_in_most_looks_is_a_collection);
    UNIT_CASE(suite, what_would_have_been_a_stall_without_the_queue_is_not_excused_by_it);
    UNIT_CASE(suite, a_script_is_blamed_before_a_library_that_has_no_lines);
    UNIT_CASE(suite, time_in_the_queue_is_descheduled_whatever_the_looks_say);
    UNIT_CASE(suite, without_a_look_only_the_times_are_known);
    UNIT_CASE(suite, a_wait_is_told_with_its_call_and_a_computation_without);
    UNIT_CASE(suite, scripts_are_blamed_before_a_runtime);
    UNIT_CASE(suite, frames_without_a_name_are_told_apart_by_their_place);
    return unit_run(suite);
}
