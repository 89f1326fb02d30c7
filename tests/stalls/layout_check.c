/* Asks the compiler, with the headers of one CPython, for what python_layout.c says of that
 * version. One program for each version whose headers are found. */
#define Py_BUILD_CORE 1
#include <Python.h>

#include <frameobject.h>
#include <stddef.h>
#include <stdio.h>
#if PY_VERSION_HEX < 0x03090000
#include <internal/pycore_pystate.h>
#else
#include <internal/pycore_gc.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#endif
#if PY_VERSION_HEX >= 0x030b0000
#include <internal/pycore_frame.h>
#endif

#include "stalls/python_layout.h"

static int count, wrong;

static void check(const char *what, uint64_t got, uint64_t wanted)
{
    count++;
    if (got == wanted) return;
    printf("%s: the table has %llu, the headers have %llu\n", what, (unsigned long long)got,
           (unsigned long long)wanted);
    wrong++;
}

#define CHECK(field, type, member) check(#field, layout->field, offsetof(type, member))

#if PY_VERSION_HEX >= 0x030d0000
/* What the version would publish, written by the names of its own headers. */
static const struct python_layout *layout_of_version(void)
{
    static union { _Py_DebugOffsets offsets; char bytes[PYTHON_PUBLISHED_BYTES]; } published;
    static struct python_layout layout;
    _Py_DebugOffsets *to = &published.offsets;
    memcpy(to->cookie, "xdebugpy", 8);
    to->version = PY_VERSION_HEX;
    to->runtime_state.interpreters_head = offsetof(_PyRuntimeState, interpreters.head);
    to->interpreter_state.next = offsetof(PyInterpreterState, next);
    to->interpreter_state.threads_head = offsetof(PyInterpreterState, threads.head);
    to->interpreter_state.gc = offsetof(PyInterpreterState, gc);
    to->gc.collecting = offsetof(struct _gc_runtime_state, collecting);
    to->thread_state.next = offsetof(PyThreadState, next);
    to->thread_state.current_frame = offsetof(PyThreadState, current_frame);
    to->thread_state.thread_id = offsetof(PyThreadState, thread_id);
    to->thread_state.native_thread_id = offsetof(PyThreadState, native_thread_id);
    to->thread_state.status = offsetof(PyThreadState, _status);
    to->interpreter_frame.previous = offsetof(_PyInterpreterFrame, previous);
    to->interpreter_frame.executable = offsetof(_PyInterpreterFrame, f_executable);
    to->interpreter_frame.instr_ptr = offsetof(_PyInterpreterFrame, instr_ptr);
    to->interpreter_frame.owner = offsetof(_PyInterpreterFrame, owner);
    to->code_object.filename = offsetof(PyCodeObject, co_filename);
    to->code_object.name = offsetof(PyCodeObject, co_name);
    to->code_object.qualname = offsetof(PyCodeObject, co_qualname);
    to->code_object.linetable = offsetof(PyCodeObject, co_linetable);
    to->code_object.firstlineno = offsetof(PyCodeObject, co_firstlineno);
    to->code_object.co_code_adaptive = offsetof(PyCodeObject, co_code_adaptive);
    to->pyobject.ob_type = offsetof(PyObject, ob_type);
    to->type_object.tp_name = offsetof(PyTypeObject, tp_name);
    to->bytes_object.ob_size = offsetof(PyBytesObject, ob_base.ob_size);
    to->bytes_object.ob_sval = offsetof(PyBytesObject, ob_sval);
    to->unicode_object.state = offsetof(PyASCIIObject, state);
    to->unicode_object.length = offsetof(PyASCIIObject, length);
    to->unicode_object.asciiobject_size = sizeof(PyASCIIObject);
    return python_layout_published(&published, sizeof published, &layout) ? &layout : NULL;
}
#else
static const struct python_layout *layout_of_version(void)
{
    return python_layout_table(PY_MINOR_VERSION);
}
#endif

static void check_threads(const struct python_layout *layout)
{
    CHECK(runtime.interpreters, _PyRuntimeState, interpreters.head);
#if PY_VERSION_HEX < 0x030c0000
    CHECK(runtime.current_thread, _PyRuntimeState, gilstate.tstate_current);
#else
    CHECK(thread.status, PyThreadState, _status);
#endif
#if PY_VERSION_HEX < 0x03090000
    CHECK(runtime.collecting, _PyRuntimeState, gc.collecting);
#else
    CHECK(interpreter.collecting, struct _is, gc.collecting);
#endif
    CHECK(interpreter.next, struct _is, next);
#if PY_VERSION_HEX < 0x030b0000
    CHECK(interpreter.threads, struct _is, tstate_head);
#else
    CHECK(interpreter.threads, struct _is, threads.head);
    CHECK(thread.native_id, PyThreadState, native_thread_id);
#endif
    CHECK(thread.next, PyThreadState, next);
    CHECK(thread.thread_id, PyThreadState, thread_id);
}

static void check_frames(const struct python_layout *layout)
{
#if PY_VERSION_HEX < 0x030b0000
    CHECK(thread.frame, PyThreadState, frame);
    CHECK(frame.previous, PyFrameObject, f_back);
    CHECK(frame.code, PyFrameObject, f_code);
    CHECK(frame.instruction, PyFrameObject, f_lasti);
#else
    CHECK(frame.previous, _PyInterpreterFrame, previous);
    CHECK(frame.owner, _PyInterpreterFrame, owner);
#if PY_VERSION_HEX < 0x030d0000
    CHECK(thread.frame, PyThreadState, cframe);
    CHECK(thread.frame_holder, _PyCFrame, current_frame);
    CHECK(frame.code, _PyInterpreterFrame, f_code);
    CHECK(frame.instruction, _PyInterpreterFrame, prev_instr);
#else
    CHECK(thread.frame, PyThreadState, current_frame);
    CHECK(frame.code, _PyInterpreterFrame, f_executable);
    CHECK(frame.instruction, _PyInterpreterFrame, instr_ptr);
#endif
#endif
#if PY_MINOR_VERSION == 11
    CHECK(frame.is_entry, _PyInterpreterFrame, is_entry);
#endif
}

static void check_objects(const struct python_layout *layout)
{
    CHECK(code.filename, PyCodeObject, co_filename);
    CHECK(code.name, PyCodeObject, co_name);
    CHECK(code.first_line, PyCodeObject, co_firstlineno);
#if PY_VERSION_HEX < 0x030a0000
    CHECK(code.lines, PyCodeObject, co_lnotab);
#else
    CHECK(code.lines, PyCodeObject, co_linetable);
#endif
#if PY_VERSION_HEX >= 0x030b0000
    CHECK(code.qualname, PyCodeObject, co_qualname);
    CHECK(code.bytecode, PyCodeObject, co_code_adaptive);
#endif
    CHECK(object.type, PyObject, ob_type);
    CHECK(object.type_name, PyTypeObject, tp_name);
    CHECK(string.length, PyASCIIObject, length);
    CHECK(string.state, PyASCIIObject, state);
    check("string.ascii", layout->string.ascii, sizeof(PyASCIIObject));
    check("string.wide", layout->string.wide, sizeof(PyCompactUnicodeObject));
    CHECK(bytes.size, PyBytesObject, ob_base.ob_size);
    CHECK(bytes.data, PyBytesObject, ob_sval);
}

int main(void)
{
    const struct python_layout *layout = layout_of_version();
    if (layout == NULL) {
        printf("there is no layout for Python %s\n", PY_VERSION);
        return 1;
    }
    check("minor", (uint64_t)layout->minor, PY_MINOR_VERSION);
    check_threads(layout);
    check_frames(layout);
    check_objects(layout);
    printf("Python %s: %d offsets, %d wrong\n", PY_VERSION, count, wrong);
    return wrong == 0 ? 0 : 1;
}
