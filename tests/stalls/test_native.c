/* Native stacks and names: through handlers, fibers, compiled code and late libraries. */
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "held.h"
#include "stalls/demangle.h"
#include "stalls/runtime.h"

enum { LOOKS_MAX = 5000, STACK_BYTES = 64 * 1024 };

extern char **environ;
int native_test_variable = 5;

static struct target target;
static struct capture capture;
static struct stack stack;

static void look(pid_t pid)
{
    ck_assert_int_eq(capture_take(&target, pid, NULL, NULL, &capture), 0);
    capture_resolve(&target, &capture, &stack);
}

/* Looks at a child that runs `run` as soon as it is ready. */
static pid_t look_at(void (*run)(void *), struct shared *shared)
{
    pid_t pid = held_start(run, shared);
    await_true(&shared->is_ready);
    open_target(&target, pid);
    look(pid);
    return pid;
}

static void end(pid_t pid)
{
    target_close(&target);
    held_end(pid);
}

static struct shared *global;

static NOINLINE void spin(struct shared *shared)
{
    shared->is_ready = true;
    while (!shared->wants_end) shared->count++;
}

static void spin_in_handler(int sig)
{
    (void)sig;
    spin(global);
    AFTER_CALL;
}

static volatile uintptr_t nowhere = 16;

static NOINLINE void fault(void)
{
    *(volatile char *)nowhere = 1;
}

static NOINLINE void fault_outside(void)
{
    fault();
    AFTER_CALL;
}

static void run_faulting(void *arg)
{
    global = arg;
    signal(SIGSEGV, spin_in_handler);
    fault_outside();
    AFTER_CALL;
}

/* A fault is at its function's instruction, not after a call: the frame below a handler is exact.
 */
START_TEST(below_a_signal_s_handler_stands_what_it_interrupted)
{
    pid_t pid = look_at(run_faulting, shared_new());
    const char *order[] = { "spin", "spin_in_handler", "fault", "fault_outside", "main", NULL };
    assert_order(&stack, order);
    int at = find(&stack, "fault", 0);
    ck_assert(capture.native[at].is_exact);
    ck_assert(!capture.native[at + 1].is_exact);
    end(pid);
}
END_TEST

static void run_on_other_stack(void *arg)
{
    static char room[STACK_BYTES];
    stack_t other = { .ss_sp = room, .ss_size = sizeof room };
    sigaltstack(&other, NULL);
    struct sigaction action = { .sa_handler = spin_in_handler, .sa_flags = SA_ONSTACK };
    sigaction(SIGSEGV, &action, NULL);
    global = arg;
    fault_outside();
    AFTER_CALL;
}

START_TEST(a_handler_on_a_stack_of_its_own_is_no_end)
{
    pid_t pid = look_at(run_on_other_stack, shared_new());
    const char *order[] = { "spin", "spin_in_handler", "fault", "fault_outside", "main", NULL };
    assert_order(&stack, order);
    end(pid);
}
END_TEST

static void run_fiber(void)
{
    spin(global);
    AFTER_CALL;
}

static void switch_to_fiber(void *arg)
{
    static ucontext_t here, there;
    static char room[STACK_BYTES];
    global = arg;
    getcontext(&there);
    there.uc_stack.ss_sp = room;
    there.uc_stack.ss_size = sizeof room;
    makecontext(&there, run_fiber, 0);
    swapcontext(&here, &there);
}

START_TEST(a_fiber_s_stack_is_walked_to_its_own_end)
{
    pid_t pid = look_at(switch_to_fiber, shared_new());
    const char *order[] = { "spin", "run_fiber", NULL };
    assert_order(&stack, order);
    ck_assert_int_le(stack.count, 4);
    ck_assert_int_eq(find(&stack, "main", 0), -1);
    end(pid);
}
END_TEST

#if defined(__x86_64__)
/* push rbp; mov rbp, rsp; call rsi; pop rbp; ret: what a compiler at run time makes, without
 * tables. */
static const unsigned char compiled[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd6, 0x5d, 0xc3 };

static NOINLINE void call_compiled(struct shared *shared, void *code)
{
    void (*call)(struct shared *, void (*)(struct shared *));
    memcpy(&call, &code, sizeof call);
    call(shared, spin);
    AFTER_CALL;
}

static void run_compiled(void *arg)
{
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(code, compiled, sizeof compiled);
    ((struct shared *)arg)->other = (long)code;
    call_compiled(arg, code);
    AFTER_CALL;
}

START_TEST(code_without_tables_is_passed_by_its_frame_pointer)
{
    struct shared *shared = shared_new();
    pid_t pid = look_at(run_compiled, shared);
    const char *order[] = { "spin", "?", "call_compiled", "run_compiled", "main", NULL };
    assert_order(&stack, order);
    ck_assert_int_eq((long)capture.native[1].pc, shared->other + 6); /* behind the call */
    ck_assert_int_eq((long)capture.native[1].fp, (long)capture.native[1].sp);
    ck_assert(stack.frames[1].is_runtime);
    ck_assert(native_is_whole(target.native));
    end(pid);
}
END_TEST

/* Reads the time from within the kernel's own module. */
static void ask_time(void *arg)
{
    struct timespec now;
    ((struct shared *)arg)->is_ready = true;
    for (;;) clock_gettime(CLOCK_MONOTONIC, &now);
}

START_TEST(the_kernel_s_module_is_walked_and_named)
{
    pid_t pid = look_at(ask_time, shared_new());
    int i = 0;
    for (; i < LOOKS_MAX && strcmp(stack.frames[0].module, "[vdso]") != 0; i++) look(pid);
    ck_assert_msg(i < LOOKS_MAX, "never seen in it");
    ck_assert_int_gt(find(&stack, "ask_time", 0), 0);
    end(pid);
}
END_TEST
#endif

static void load_late(void *arg)
{
    struct shared *shared = arg;
    shared->is_ready = true;
    while (!shared->wants_end) pause_us(1000);
    void *library = dlopen(PROGRAM_LATE, RTLD_NOW);
    void (*late_spin)(volatile int *, volatile long *);
    void *symbol = dlsym(library, "late_spin");
    memcpy(&late_spin, &symbol, sizeof late_spin);
    volatile int never = 0;
    late_spin(&never, &shared->count);
    AFTER_CALL;
}

START_TEST(a_library_that_came_after_the_opening_is_named)
{
    struct shared *shared = shared_new();
    pid_t pid = look_at(load_late, shared);
    shared->wants_end = true;
    for (int i = 0; i < WAIT_TURNS && shared->count == 0; i++) pause_us(1000);
    look(pid);
    const char *order[] = { "late_spin", "load_late", "main", NULL };
    assert_order(&stack, order);
    ck_assert_str_eq(stack.frames[0].module, "libstalls_late.so");
    end(pid);
}
END_TEST

/* Starts a program and reads its first line. */
static pid_t start_program(const char *path, char *line, size_t room)
{
    int pipes[2];
    pid_t pid;
    char *argv[] = { strdup(path), NULL };
    posix_spawn_file_actions_t actions;
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
    ck_assert_int_eq(posix_spawn(&pid, path, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    free(argv[0]);
    close(pipes[1]);
    ssize_t got = read(pipes[0], line, room - 1);
    ck_assert_int_gt(got, 0);
    line[got] = '\0';
    close(pipes[0]);
    return pid;
}

/* Looks until the innermost frame is in the program itself. */
static void look_inside(pid_t pid, const char *program)
{
    open_target(&target, pid);
    for (int i = 0; i < LOOKS_MAX; i++) {
        look(pid);
        if (strcmp(stack.frames[0].module, strrchr(program, '/') + 1) == 0) return;
    }
    ck_abort_msg("never seen in the program");
}

START_TEST(a_program_without_symbols_tells_module_and_offset)
{
    char line[64];
    pid_t pid = start_program(PROGRAM_BARE, line, sizeof line);
    uint64_t offset = strtoull(line, NULL, 16);
    look_inside(pid, PROGRAM_BARE);
    for (int i = 0; i < LOOKS_MAX && stack.frames[0].offset < offset; i++) look(pid);
    ck_assert_str_eq(stack.frames[0].function, "?");
    ck_assert_int_ge((long)stack.frames[0].offset, (long)offset);
    ck_assert_int_lt((long)stack.frames[0].offset, (long)offset + 64);
    ck_assert_ptr_null(stack.frames[0].file);
    end(pid);
}
END_TEST

#ifdef PROGRAM_CXX
START_TEST(a_method_in_cxx_has_the_name_that_was_written)
{
    char line[64];
    pid_t pid = start_program(PROGRAM_CXX, line, sizeof line);
    look_inside(pid, PROGRAM_CXX);
    const char *order[] = { "shop::Cart::total", "main", NULL };
    assert_order(&stack, order);
    ck_assert_ptr_nonnull(strstr(stack.frames[0].file, "named.cc"));
    ck_assert_int_eq(stack.frames[0].line, 7);
    end(pid);
}
END_TEST
#endif

#ifdef PROGRAM_RUST
START_TEST(a_function_in_rust_has_the_name_that_was_written)
{
    char line[64];
    pid_t pid = start_program(PROGRAM_RUST, line, sizeof line);
    look_inside(pid, PROGRAM_RUST);
    const char *order[] = { "named::shop::cart::total", "named::main", NULL };
    assert_order(&stack, order);
    ck_assert_ptr_nonnull(stack.frames[0].file); /* rustc writes no index of units */
    /* Some instructions are black_box()'s, of another file, which is inlined there. */
    for (int i = 0; i < LOOKS_MAX && strstr(stack.frames[0].file, "named.rs") == NULL; i++) {
        look(pid);
        ck_assert_ptr_nonnull(stack.frames[0].file);
    }
    ck_assert_ptr_nonnull(strstr(stack.frames[0].file, "named.rs"));
    ck_assert_int_ge(stack.frames[0].line, 5);
    ck_assert_int_le(stack.frames[0].line, 11);
    end(pid);
}
END_TEST
#endif

START_TEST(names_are_shown_as_their_authors_wrote_them)
{
    ck_assert_str_eq(demangle("read"), "read");
    ck_assert_str_eq(demangle("parse.cold"), "parse");
    ck_assert_str_eq(demangle("parse.part.0.constprop.1"), "parse");
    if (strcmp(demangle("_ZN3foo3barEi"), "_ZN3foo3barEi") == 0) return; /* no demangler here */
    ck_assert_str_eq(demangle("_ZN3foo3barEi"), "foo::bar");
    ck_assert_str_eq(demangle("_ZN3foo3barEi.cold"), "foo::bar");
    ck_assert_str_eq(demangle("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
    ck_assert_str_eq(demangle("_RNvC6_123foo3bar"), "123foo::bar");
    ck_assert_str_eq(demangle("_Znope"), "_Znope");
}
END_TEST

START_TEST(runtimes_and_loops_are_not_to_blame)
{
    ck_assert(runtime_owns("/lib/libc.so.6", "read"));
    ck_assert(runtime_owns("/usr/bin/node", "v8::internal::JsonParser::Parse"));
    ck_assert(runtime_owns("/usr/bin/python3.11", "time_sleep"));
    ck_assert(runtime_owns("/opt/server", "uv__io_poll"));
    ck_assert(!runtime_owns("/opt/node_modules/addon.node", "AddonWork"));
    ck_assert(!runtime_owns("/opt/nodefs", "work"));
    ck_assert(!runtime_owns("/opt/server", "handle_request"));
}
END_TEST

START_TEST(a_symbol_s_address_is_found_in_any_module)
{
    struct shared *shared = shared_new();
    pid_t pid = look_at((void (*)(void *))spin, shared);
    ck_assert_int_eq((long)native_symbol(target.native, "native_test_variable"),
                     (long)&native_test_variable);
    ck_assert_int_ne((long)native_symbol(target.native, "epoll_wait"), 0);
    ck_assert_int_eq((long)native_symbol(target.native, "no_such_symbol"), 0);
    end(pid);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("native");
    ADD_CASE(suite, below_a_signal_s_handler_stands_what_it_interrupted);
    ADD_CASE(suite, a_handler_on_a_stack_of_its_own_is_no_end);
    ADD_CASE(suite, a_fiber_s_stack_is_walked_to_its_own_end);
#if defined(__x86_64__)
    ADD_CASE(suite, code_without_tables_is_passed_by_its_frame_pointer);
    ADD_CASE(suite, the_kernel_s_module_is_walked_and_named);
#endif
    ADD_CASE(suite, a_library_that_came_after_the_opening_is_named);
    ADD_CASE(suite, a_program_without_symbols_tells_module_and_offset);
#ifdef PROGRAM_CXX
    ADD_CASE(suite, a_method_in_cxx_has_the_name_that_was_written);
#else
    puts("skipped: no C++ compiler was found when this was built");
#endif
#ifdef PROGRAM_RUST
    ADD_CASE(suite, a_function_in_rust_has_the_name_that_was_written);
#else
    puts("skipped: no Rust compiler was found when this was built");
#endif
    ADD_CASE(suite, names_are_shown_as_their_authors_wrote_them);
    ADD_CASE(suite, runtimes_and_loops_are_not_to_blame);
    ADD_CASE(suite, a_symbol_s_address_is_found_in_any_module);
    return unit_run(suite);
}
