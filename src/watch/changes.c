/* The steps of a watch that ReadDirectoryChangesW serves: open, list what is there, say so, then
 * tell what the kernel tells, one a callback; meanwhile the kernel goes on writing into the other
 * buffer of each source. See changes.h, and course.h.
 *
 * When the kernel has lost events, all is listed anew, and only then the caller hears of it:
 * whoever looks for himself then misses nothing that is not told afterwards. */
#include "watch/changes.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/limits.h"
#include "calls.h"
#include "path.h"

static const struct { DWORD filter, bytes; } asked_of[SOURCES] = {
    [SOURCE_NAMES] = { FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME |
                       FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE, EVENT_BYTES },
    [SOURCE_ATTRIBUTES] = { FILE_NOTIFY_CHANGE_ATTRIBUTES | FILE_NOTIFY_CHANGE_SECURITY,
                            EVENT_BYTES / 4 },
    [SOURCE_PARENT] = { FILE_NOTIFY_CHANGE_DIR_NAME, EVENT_BYTES / 16 },
};

/* Sources. */

static struct source *source_of(struct iocp_packet *packet)
{
    return (struct source *)(void *)((char *)packet - offsetof(struct source, packet));
}

static void on_packet(struct iocp_packet *packet, DWORD error, DWORD n)
{
    struct source *source = source_of(packet);
    struct watching *w = source->watching;
    source->is_reading = false;
    source->has_data = true;
    source->error = error;
    source->data_bytes = n;
    source->order = ++w->order;
    if (!w->is_waiting) return;
    w->is_waiting = false;
    course_go(&w->course);
}

static void read_source(struct watching *w, enum source_kind kind)
{
    struct source *source = &w->sources[kind];
    bool is_deep = w->course.options.is_recursive && kind != SOURCE_PARENT;
    source->packet = (struct iocp_packet){ .done = on_packet };
    source->is_reading = true;
    if (ReadDirectoryChangesW(source->handle, source->buffers[source->reading],
                              asked_of[kind].bytes, is_deep, asked_of[kind].filter, NULL,
                              &source->packet.overlapped, NULL)) return;
    on_packet(&source->packet, GetLastError(), 0);
}

static bool begin_sources(struct watching *w)
{
    for (int kind = 0; kind < SOURCES; kind++) {
        struct source *source = &w->sources[kind];
        if (source->handle == NULL) continue;
        source->watching = w;
        char *both = loop_resize(w->course.loop, NULL, 0, 2 * asked_of[kind].bytes);
        if (both == NULL || !iocp_attach(&w->course.loop->backend, source->handle)) {
            if (both != NULL) loop_resize(w->course.loop, both, 2 * asked_of[kind].bytes, 0);
            return false;
        }
        source->buffers[0] = both;
        source->buffers[1] = both + asked_of[kind].bytes;
        read_source(w, kind);
    }
    return true;
}

/* True: the kernel has none of them, and they are gone. */
static bool end_sources(struct watching *w)
{
    bool is_quiet = true;
    for (int kind = 0; kind < SOURCES; kind++) {
        struct source *source = &w->sources[kind];
        if (!source->is_reading) continue;
        (void)CancelIoEx(source->handle, &source->packet.overlapped); /* or its packet is there */
        is_quiet = false;
    }
    for (int kind = 0; is_quiet && kind < SOURCES; kind++) {
        struct source *source = &w->sources[kind];
        if (source->handle != NULL) (void)CloseHandle(source->handle); /* nothing is written */
        if (source->buffers[0] != NULL)
            loop_resize(w->course.loop, source->buffers[0], 2 * asked_of[kind].bytes, 0);
        *source = (struct source){ 0 };
    }
    return is_quiet;
}

void watching_end(struct course *course)
{
    struct watching *w = (void *)course;
    struct hark_op *op = course->op;
    int64_t result = course->result;
    if (!end_sources(w)) {
        w->is_waiting = true;
        return;
    }
    known_clear(w);
    course_clear(course);
    loop_resize(course->loop, w, sizeof *w + w->path_bytes, 0);
    course_end(op, result);
}

/* What is watched is opened, and listed. */

static bool list_root(struct watching *w)
{
    struct known *root = known_add(w, "", 0, true);
    if (root == NULL) return false;
    known_list_soon(w, root);
    return true;
}

static void on_opened(struct hark_op *op)
{
    struct watching *w = op->user;
    struct course *course = &w->course;
    int64_t error = op->result != 0 ? course_error(op) : -w->open_error;
    w->is_open = true;
    if (course->file != NULL) course->options.is_recursive = course->options.tells_existing = false;
    if (error != 0) course_fail(course, error);
    else if (!begin_sources(w) || (course->file == NULL && !list_root(w)))
        course_fail(course, -ENOMEM);
    course_go(course);
}

/* One that is gone, or that moved, is found again where it is. Of another the caller is told. */
static bool take_unlisted(struct watching *w)
{
    int number = call_errno(w->list_error);
    const struct known *listed = w->to_list;
    bool is_gone = number == ENOENT || number == ENOTDIR || number == ELOOP;
    w->course.found_bytes = 0;
    if (listed->path[0] == 0) course_fail(&w->course, -w->list_error);
    else if (!is_gone && !course_tell(&w->course, hark_error_from_os(w->list_error), listed->path,
                                      NULL, true)) return false;
    return known_take_listing(w, false);
}

static bool tells_what_it_finds(const struct watching *w)
{
    return w->first_result == 0 ||
           (w->first_result == HARK_WATCH_STARTED && w->course.options.tells_existing);
}

static void on_listed(struct hark_op *op)
{
    struct watching *w = op->user;
    bool has_memory = true;
    if (op->result != 0) course_fail(&w->course, course_error(op));
    else if (w->list_error == ENOBUFS) has_memory = course_grow_found(&w->course);
    else if (w->list_error != 0) has_memory = take_unlisted(w);
    else has_memory = known_take_listing(w, tells_what_it_finds(w));
    if (!has_memory) course_fail(&w->course, -ENOMEM);
    course_go(&w->course);
}

/* Telling. */

static void on_checked(struct hark_op *op)
{
    struct watching *w = op->user;
    if (op->result != 0) course_fail(&w->course, course_error(op));
    else if (w->open_error != 0) course_fail(&w->course, -ENOENT);
    course_go(&w->course);
}

static void on_looked(struct hark_op *op)
{
    struct watching *w = op->user;
    w->is_looked = true;
    if (op->result != 0) course_fail(&w->course, course_error(op));
    course_go(&w->course);
}

static struct source *earliest(struct watching *w)
{
    struct source *first = NULL;
    for (int kind = 0; kind < SOURCES; kind++) {
        struct source *source = &w->sources[kind];
        if (source->has_data && (first == NULL || source->order < first->order)) first = source;
    }
    return first;
}

/* Takes what a source has brought, and lets the kernel have the other buffer. True: go on. */
static bool take_source(struct watching *w, struct source *source)
{
    enum source_kind kind = (enum source_kind)(source - w->sources);
    source->has_data = false;
    bool is_over = source->error == ERROR_NOTIFY_ENUM_DIR ||
                   (source->error == 0 && source->data_bytes == 0);
    if (source->error != 0 && !is_over) {
        bool is_gone = source->error != ERROR_INVALID_FUNCTION &&
                       source->error != ERROR_NOT_SUPPORTED &&
                       source->error != ERROR_NOT_ENOUGH_MEMORY;
        int number = CALL_WINDOWS_ERRORS + (int)source->error;
        if (kind != SOURCE_PARENT) course_fail(&w->course, is_gone ? -ENOENT : -number);
        return true;
    }
    w->events = source->buffers[source->reading];
    source->reading = !source->reading;
    read_source(w, kind);
    if (is_over && kind == SOURCE_PARENT) return course_look(&w->course, look_root, on_checked);
    w->is_lost = w->is_lost || is_over;
    if (is_over) return true;
    w->current = source;
    w->at = 0;
    w->index = 0;
    w->is_looked = kind != SOURCE_NAMES;
    return true;
}

/* All that is known is old, and so is what was told before and not taken. */
static bool start_anew(struct watching *w)
{
    w->is_lost = false;
    w->first_result = w->first_result != 0 ? w->first_result : HARK_EOVERFLOW;
    w->old_path[0] = 0;
    known_clear(w);
    if (w->course.file == NULL && !list_root(w)) course_fail(&w->course, -ENOMEM);
    return true;
}

bool watching_step(struct course *course)
{
    struct watching *w = (void *)course;
    if (course->told != NULL) return course_report(course);
    if (!w->is_open) return course_look(course, look_open, on_opened);
    if (w->is_lost) return start_anew(w);
    if (w->to_list != NULL) return course_look(course, look_list, on_listed);
    if (w->first_result != 0) {
        int64_t result = w->first_result;
        w->first_result = 0;
        return course_report_root(course, result);
    }
    if (w->current != NULL) {
        if (!w->is_looked) return course_look(course, look_events, on_looked);
        if (!event_take(w)) course_fail(course, -ENOMEM);
        return true;
    }
    struct source *source = earliest(w);
    if (source != NULL) return take_source(w, source);
    w->is_waiting = true;
    return false;
}

/* The full form of path, since the program may go to another directory meanwhile; with its
 * separators. 0 or a negative errno. */
static int64_t full_form(const char *path, char full[PATH_MAX])
{
    WCHAR wide[PATH_WIDE];
    if (!path_widen(path, wide)) return -call_last_error();
    int n = WideCharToMultiByte(CP_UTF8, 0, wide, -1, full, PATH_MAX, NULL, NULL);
    if (n <= 0) return -ENAMETOOLONG;
    size_t len = (size_t)n - 1;
    return len != 0 ? 0 : -ENOENT;
}

static struct watching *make(struct hark_loop *loop, const char *full)
{
    size_t path_bytes = strlen(full) + 2; /* see is_turned_to_file() */
    struct watching *w = loop_resize(loop, NULL, 0, sizeof *w + path_bytes);
    if (w == NULL) return NULL;
    memset(w, 0, sizeof *w);
    w->first_result = HARK_WATCH_STARTED;
    w->path_bytes = path_bytes;
    memcpy(w->path, full, path_bytes - 1);
    return w;
}

void (hark_watch)(struct hark_op *op, struct hark_watch *watch, struct hark_loop *loop,
                  const char *path, const struct hark_watch_options *options, hark_done_fn *done)
{
    static const struct hark_watch_options defaults;
    char full[PATH_MAX];
    int64_t error = full_form(path, full);
    struct watching *w = error == 0 ? make(loop, full) : NULL;
    if (w == NULL) {
        course_refuse(op, loop, error != 0 ? error : -ENOMEM, done);
        return;
    }
    w->course.watch = watch;
    w->course.options = options != NULL ? *options : defaults;
    if (course_begin(&w->course, op, loop, done)) course_go(&w->course);
    else loop_resize(loop, w, sizeof *w + w->path_bytes, 0);
}
