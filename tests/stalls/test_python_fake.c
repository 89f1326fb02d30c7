/* A fake of Python 3.14, which cannot be had everywhere: this program has a _PyRuntime of its
 * own that publishes offsets as 3.14 does, but odd ones, and structures laid out by them. So it
 * is seen that they are obeyed, and, since it can be bent at will, that no torn or wild memory
 * is believed. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"
#include "stalls/capture.h"

/* _Py_DebugOffsets of 3.14, every field by its own name. */
struct published {
    char cookie[8];
    uint64_t version, free_threaded;
    struct { uint64_t size, finalizing, interpreters_head; } runtime_state;
    struct {
        uint64_t size, id, next, threads_head, threads_main, gc, imports_modules, sysdict, builtins,
            ceval_gil, gil_runtime_state, gil_runtime_state_enabled, gil_runtime_state_locked,
            gil_runtime_state_holder, code_object_generation, tlbc_generation;
    } interpreter_state;
    struct {
        uint64_t size, prev, next, interp, current_frame, thread_id, native_thread_id,
            datastack_chunk, status;
    } thread_state;
    struct {
        uint64_t size, previous, executable, instr_ptr, localsplus, owner, stackpointer, tlbc_index;
    } interpreter_frame;
    struct {
        uint64_t size, filename, name, qualname, linetable, firstlineno, argcount, localsplusnames,
            localspluskinds, co_code_adaptive, co_tlbc;
    } code_object;
    struct { uint64_t size, ob_type; } pyobject;
    struct { uint64_t size, tp_name, tp_repr, tp_flags; } type_object;
    struct { uint64_t size, ob_item, ob_size; } tuple_object, list_object;
    struct { uint64_t size, used, table, mask; } set_object;
    struct { uint64_t size, ma_keys, ma_values; } dict_object;
    struct { uint64_t size, ob_fval; } float_object;
    struct { uint64_t size, lv_tag, ob_digit; } long_object;
    struct { uint64_t size, ob_size, ob_sval; } bytes_object;
    struct { uint64_t size, state, length, asciiobject_size; } unicode_object;
    struct { uint64_t size, collecting; } gc;
};

struct fake_text { uint64_t odd[3]; uint32_t state; uint64_t length; char data[40]; };
struct fake_bytes { uint64_t odd, size; unsigned char data[24]; };
struct fake_type { uint64_t odd[6]; const char *name; };

struct fake_code {
    struct fake_bytes *lines;
    int first_line;
    struct fake_text *qualname, *filename;
    uint64_t odd;
    struct fake_type *type;
    struct { uint64_t size; unsigned char *copies[2]; } *bytecodes;
    unsigned char bytecode[32];
};

struct fake_frame {
    int32_t odd, index;       /* no field that may be missing is at 0 */
    char owner;
    unsigned char *instruction;
    uint64_t code;            /* with a tag */
    struct fake_frame *previous;
};

struct fake_thread {
    struct fake_frame *frame;
    uint32_t status;
    uint64_t native_id;
    struct fake_thread *next;
};

struct fake_interpreter {
    uint64_t odd[200];
    struct fake_thread *threads;
    struct { uint64_t odd; int collecting; } gc;
    struct fake_interpreter *next;
};

enum { FRAMES = 5, CODES = 3 };

/* The names by which it is found. */
extern const unsigned long Py_Version;
extern struct fake_runtime {
    struct published published;
    char odd[1000];
    struct fake_interpreter *head;
} _PyRuntime;

struct fake_runtime _PyRuntime;
const unsigned long Py_Version = 0x030e00f0;

static struct {
    struct fake_interpreter interpreters[2];
    struct fake_thread threads[2];
    struct fake_frame frames[FRAMES];
    struct fake_code codes[CODES] __attribute__((aligned(16)));
    struct fake_text names[CODES], file;
    struct fake_bytes lines;
    struct fake_type type;
} fake;

static void publish(struct published *to)
{
    memcpy(to->cookie, "xdebugpy", 8);
    to->version = Py_Version;
    to->runtime_state.interpreters_head = offsetof(struct fake_runtime, head);
    to->interpreter_state.next = offsetof(struct fake_interpreter, next);
    to->interpreter_state.threads_head = offsetof(struct fake_interpreter, threads);
    to->interpreter_state.gc = offsetof(struct fake_interpreter, gc);
    to->gc.collecting = 8;
    to->thread_state.next = offsetof(struct fake_thread, next);
    to->thread_state.current_frame = offsetof(struct fake_thread, frame);
    to->thread_state.native_thread_id = offsetof(struct fake_thread, native_id);
    to->thread_state.status = offsetof(struct fake_thread, status);
    to->interpreter_frame.previous = offsetof(struct fake_frame, previous);
    to->interpreter_frame.executable = offsetof(struct fake_frame, code);
    to->interpreter_frame.instr_ptr = offsetof(struct fake_frame, instruction);
    to->interpreter_frame.owner = offsetof(struct fake_frame, owner);
    to->code_object.filename = offsetof(struct fake_code, filename);
    to->code_object.qualname = offsetof(struct fake_code, qualname);
    to->code_object.linetable = offsetof(struct fake_code, lines);
    to->code_object.firstlineno = offsetof(struct fake_code, first_line);
    to->code_object.co_code_adaptive = offsetof(struct fake_code, bytecode);
    to->pyobject.ob_type = offsetof(struct fake_code, type);
    to->type_object.tp_name = offsetof(struct fake_type, name);
    to->bytes_object.ob_size = offsetof(struct fake_bytes, size);
    to->bytes_object.ob_sval = offsetof(struct fake_bytes, data);
    to->unicode_object.state = offsetof(struct fake_text, state);
    to->unicode_object.length = offsetof(struct fake_text, length);
    to->unicode_object.asciiobject_size = offsetof(struct fake_text, data);
}

static void set_text(struct fake_text *text, const char *content)
{
    text->state = 1 | 1 << 2 | 1 << 5 | 1 << 6; /* interned, a byte a character, compact, ascii */
    text->length = strlen(content);
    memcpy(text->data, content, text->length);
}

static void set_frame(int index, int code, int offset)
{
    fake.frames[index].code = (uint64_t)(uintptr_t)&fake.codes[code] | 1;
    fake.frames[index].instruction = fake.codes[code].bytecode + offset;
    fake.frames[index].owner = 0;
}

/* inner() and middle() in one evaluation, a mark that C called it, outer(), the lowest mark. */
static void lay_out(void)
{
    static const char *names[CODES] = { "inner", "K.middle", "outer" };
    static const unsigned char lines[] = { 128 | 11 << 3 | 3, 0, 0, 128 | 12 << 3 | 7, 0, 0 };
    memset(&fake, 0, sizeof fake);
    memset(&_PyRuntime, 0, sizeof _PyRuntime);
    publish(&_PyRuntime.published);
    _PyRuntime.head = &fake.interpreters[0];
    fake.interpreters[0].next = &fake.interpreters[1];
    fake.interpreters[1].threads = &fake.threads[0];
    fake.threads[0] = (struct fake_thread){ .native_id = 1, .next = &fake.threads[1] };
    fake.threads[1] = (struct fake_thread){ .native_id = (uint64_t)gettid(), .status = 16,
                                            .frame = &fake.frames[0] };
    fake.type.name = "code";
    fake.lines.size = sizeof lines;
    memcpy(fake.lines.data, lines, sizeof lines);
    set_text(&fake.file, "/app/fake.py");
    for (int i = 0; i < CODES; i++) {
        set_text(&fake.names[i], names[i]);
        fake.codes[i].type = &fake.type;
        fake.codes[i].lines = &fake.lines;
        fake.codes[i].first_line = 100 * (i + 1);
        fake.codes[i].qualname = &fake.names[i];
        fake.codes[i].filename = &fake.file;
    }
    set_frame(0, 0, 4);
    set_frame(1, 1, 8);
    set_frame(3, 2, 22);
    fake.frames[2].owner = 4; /* FRAME_OWNED_BY_CSTACK */
    fake.frames[4].owner = 3; /* FRAME_OWNED_BY_INTERPRETER */
    for (int i = 0; i + 1 < FRAMES; i++) fake.frames[i].previous = &fake.frames[i + 1];
}

static struct python *open_fake(void)
{
    char why[256] = "";
    struct python *python = python_open(getpid(), why, sizeof why);
    ck_assert_msg(python != NULL, "%s", why);
    return python;
}

static void check_frame(struct python *python, const struct python_frame *raw, const char *name,
                        int line)
{
    struct frame frame;
    python_resolve(python, raw, &frame);
    ck_assert_str_eq(frame.function, name);
    ck_assert_str_eq(frame.file, "/app/fake.py");
    ck_assert_int_eq(frame.line, line);
}

static void check_all(struct python *python)
{
    struct python_frame frames[8];
    ck_assert_int_eq(python_capture(python, gettid(), frames, 8), 3);
    check_frame(python, &frames[0], "inner", 101);     /* one line on */
    check_frame(python, &frames[1], "K.middle", 203);  /* and two more */
    check_frame(python, &frames[2], "outer", 303);
    ck_assert(!frames[0].is_entry);
    ck_assert(frames[1].is_entry);
    ck_assert(frames[2].is_entry);
}

START_TEST(what_3_14_publishes_is_obeyed)
{
    lay_out();
    struct python *python = open_fake();
    check_all(python);
    ck_assert(!python_is_collecting(python, gettid()));
    fake.interpreters[1].gc.collecting = 1;
    ck_assert(python_is_collecting(python, gettid()));
    ck_assert(!python_is_collecting(python, 1));
    fake.threads[1].status = 0;
    ck_assert(!python_is_collecting(python, gettid()));
    python_close(python);
}
END_TEST

/* Without a global lock each thread runs its own copy of the bytecode, and `interned` is a byte. */
START_TEST(copies_of_the_bytecode_are_followed)
{
    static unsigned char copy[32];
    static struct { uint64_t size; unsigned char *copies[2]; } copies = { 2, { NULL, copy } };
    lay_out();
    struct published *to = &_PyRuntime.published;
    to->free_threaded = 1;
    to->interpreter_frame.tlbc_index = offsetof(struct fake_frame, index);
    to->code_object.co_tlbc = offsetof(struct fake_code, bytecodes);
    for (int i = 0; i < CODES; i++) fake.names[i].state = 1 | 1 << 8 | 1 << 11 | 1 << 12;
    fake.file.state = fake.names[0].state;
    memcpy(&fake.codes[1].bytecodes, &(void *){ &copies }, sizeof(void *));
    fake.frames[1].index = 1;
    fake.frames[1].instruction = copy + 8;
    struct python *python = open_fake();
    check_all(python);
    python_close(python);
}
END_TEST

START_TEST(chains_that_have_no_end_are_left)
{
    struct python_frame frames[SCRIPT_FRAMES_MAX];
    lay_out();
    struct python *python = open_fake();
    fake.frames[1].previous = &fake.frames[0];
    int count = python_capture(python, gettid(), frames, SCRIPT_FRAMES_MAX);
    ck_assert_int_eq(count, SCRIPT_FRAMES_MAX);
    fake.frames[2].previous = &fake.frames[2];
    fake.threads[1].frame = &fake.frames[2]; /* nothing but marks */
    ck_assert_int_eq(python_capture(python, gettid(), frames, SCRIPT_FRAMES_MAX), 0);
    fake.threads[1].next = &fake.threads[0];
    ck_assert_int_eq(python_capture(python, 2, frames, SCRIPT_FRAMES_MAX), 0);
    fake.threads[1].next = NULL;
    fake.interpreters[1].next = &fake.interpreters[0];
    ck_assert_int_eq(python_capture(python, 2, frames, SCRIPT_FRAMES_MAX), 0);
    fake.interpreters[1].threads = NULL;
    ck_assert_int_eq(python_capture(python, 2, frames, SCRIPT_FRAMES_MAX), 0);
    python_close(python);
}
END_TEST

START_TEST(torn_frames_are_left_out)
{
    struct python_frame frames[8];
    lay_out();
    struct python *python = open_fake();
    fake.frames[0].code = (uint64_t)(uintptr_t)&fake.type; /* no code object */
    fake.frames[1].instruction = (unsigned char *)&fake; /* before its bytecode */
    ck_assert_int_eq(python_capture(python, gettid(), frames, 8), 1);
    check_frame(python, &frames[0], "outer", 303);
    lay_out();
    fake.frames[0].previous = (struct fake_frame *)(uintptr_t)0xdead00000000;
    fake.frames[0].code = 0xbeef00000000;
    ck_assert_int_eq(python_capture(python, gettid(), frames, 8), 0);
    python_close(python);
}
END_TEST

/* Another object at the same address is not given the name of the old one. */
START_TEST(an_address_that_is_used_again_has_its_new_name)
{
    struct python_frame frames[8];
    lay_out();
    struct python *python = open_fake();
    check_all(python);
    static struct fake_text later;
    set_text(&later, "later");
    fake.codes[0].qualname = &later;
    fake.codes[0].first_line = 500;
    ck_assert_int_eq(python_capture(python, gettid(), frames, 8), 3);
    check_frame(python, &frames[0], "later", 501);
    python_close(python);
}
END_TEST

START_TEST(offsets_that_make_no_sense_are_refused)
{
    char why[256] = "";
    lay_out();
    _PyRuntime.published.cookie[0] = 'y';
    ck_assert_ptr_null(python_open(getpid(), why, sizeof why));
    ck_assert_str_ne(why, "");
    lay_out();
    _PyRuntime.published.version = 0x030f00f0;
    ck_assert_ptr_null(python_open(getpid(), why, sizeof why));
    lay_out();
    _PyRuntime.published.interpreter_frame.previous = UINT64_C(1) << 40;
    ck_assert_ptr_null(python_open(getpid(), why, sizeof why));
    lay_out();
    _PyRuntime.published.thread_state.native_thread_id = 0;
    ck_assert_ptr_null(python_open(getpid(), why, sizeof why));
}
END_TEST

START_TEST(a_python_that_cannot_be_read_is_told_though_there_is_no_node)
{
    char why[256] = "";
    struct target target = { .pid = getpid() };
    lay_out();
    _PyRuntime.published.version = 0x030f00f0;
    target_find_runtimes(&target, why, sizeof why);
    ck_assert_ptr_null(target.python);
    ck_assert_ptr_nonnull(strstr(why, "Python"));
}
END_TEST

/* Writes over some words, each by chance with noise or with the address of something else in
 * there. */
static void spoil(void *memory, size_t bytes)
{
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        if (rand() % 6 != 0) continue;
        uint64_t noise = (uint64_t)rand() << 33 ^ (uint64_t)rand() << 11 ^ (uint64_t)rand();
        uint64_t address = (uint64_t)(uintptr_t)&fake + (uint64_t)rand() % sizeof fake;
        uint64_t word = rand() % 2 == 0 ? noise >> rand() % 60 : address;
        memcpy((char *)memory + i, &word, sizeof word);
    }
}

START_TEST(memory_of_any_content_does_no_harm)
{
    enum { ROUNDS = 3000 };
    struct python_frame frames[16];
    lay_out();
    struct python *python = open_fake();
    srand(2);
    for (int round = 0; round < ROUNDS; round++) {
        lay_out();
        spoil(&fake, sizeof fake);
        fake.interpreters[1].threads = &fake.threads[1];
        fake.threads[1].native_id = (uint64_t)gettid();
        fake.threads[1].frame = &fake.frames[0];
        int count = python_capture(python, gettid(), frames, 16);
        ck_assert_int_le(count, 16);
        for (int i = 0; i < count; i++) {
            struct frame frame;
            python_resolve(python, &frames[i], &frame);
            ck_assert_ptr_nonnull(frame.function);
        }
    }
    lay_out();
    check_all(python); /* nothing of it is remembered */
    python_close(python);
}
END_TEST

#define CASE(name) unit_add(suite, #name, name, 120)

int main(void)
{
    Suite *suite = suite_create("python_fake");
    CASE(what_3_14_publishes_is_obeyed);
    CASE(copies_of_the_bytecode_are_followed);
    CASE(chains_that_have_no_end_are_left);
    CASE(torn_frames_are_left_out);
    CASE(an_address_that_is_used_again_has_its_new_name);
    CASE(offsets_that_make_no_sense_are_refused);
    CASE(a_python_that_cannot_be_read_is_told_though_there_is_no_node);
    CASE(memory_of_any_content_does_no_harm);
    return unit_run(suite);
}
