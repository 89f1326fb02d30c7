/* The steps of a watch on kqueue(2): open what is new, list what has changed, compare, tell, one a
 * callback, and wait for more. See vnode.h, and course.h. */
#include "watch/vnode.h"

#include <sys/types.h> /* before event.h, which does not bring it */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/event.h>
#include <unistd.h>

#include "watch/root.h"

enum { NOTES = 64 };

static void on_closed(struct hark_op *op) { course_go(op->user); }

void watching_end(struct course *course)
{
    struct watching *w = (void *)course;
    struct hark_op *op = course->op;
    int64_t result = course->result;
    if (w->io.loop != NULL && w->io.fd >= 0) {
        hark_close(course_step(course), &w->io, on_closed);
        (void)course_wait(course);
        return;
    }
    tree_free(w);
    loop_resize(course->loop, w, sizeof *w + w->path_bytes, 0);
    course_end(op, result);
}

static bool is_about_all(int error)
{
    return error == ENOSPC || error == ENOMEM || error == EMFILE || error == ENFILE ||
           error == EAGAIN || error == ECANCELED;
}

/* The root is no directory, or is not there: then it is the name of a file in one. */
static bool is_turned_to_file(struct watching *w)
{
    int error = w->root->error;
    if (w->course.file != NULL || (error != ENOENT && error != ENOTDIR)) return false;
    char *slash = strrchr(w->path, '/');
    if (slash[1] == '\0' || strcmp(slash + 1, ".") == 0 || strcmp(slash + 1, "..") == 0)
        return false;
    if (strlen(slash + 1) > NAME_MAX) return false;
    *slash = '\0';
    w->course.file = slash + 1;
    w->course.options.is_recursive = w->course.options.tells_existing = false;
    w->root->is_to_open = w->is_opening = true;
    return true;
}

/* One that is gone meanwhile is not spoken of, nor a file whose bytes nobody may read. */
static void take_opened(struct watching *w, struct entry *entry)
{
    int error = entry->error;
    bool is_root = entry->parent == NULL, is_directory = is_root || S_ISDIR(entry->state.mode);
    entry->is_to_open = false;
    if (error == 0) {
        entry->is_dirty = is_root || (is_directory && w->course.options.is_recursive);
        return;
    }
    if (is_root && is_turned_to_file(w)) return;
    if (is_root || is_about_all(error)) course_fail(&w->course, -error);
    if (!is_directory || !w->course.options.is_recursive) return;
    if (error == ENOENT || error == ENOTDIR || error == ELOOP) return;
    if (!tree_tell(w, hark_error_from_os(error), entry)) course_fail(&w->course, -ENOMEM);
}

static void take_all_opened(struct watching *w)
{
    for (struct entry *entry = w->root; entry != NULL; entry = entry_next(entry))
        if (entry->is_to_open) take_opened(w, entry);
}

static void on_opened(struct hark_op *op)
{
    struct watching *w = op->user;
    w->is_opening = false;
    if (op->result == 0) take_all_opened(w);
    else course_fail(&w->course, course_error(op));
    course_go(&w->course);
}

static void on_listed(struct hark_op *op);

static bool list(struct watching *w, struct entry *entry)
{
    w->listed = entry;
    return course_look(&w->course, look_list, on_listed);
}

static void on_listed(struct hark_op *op)
{
    struct watching *w = op->user;
    int error = w->listed->error;
    if (op->result != 0) {
        course_fail(&w->course, course_error(op));
    } else if (error == ENOBUFS && !w->course.is_ending) {
        if (course_grow_found(&w->course)) {
            (void)list(w, w->listed);
            return;
        }
        course_fail(&w->course, -ENOMEM);
    } else if (error != 0) {
        course_fail(&w->course, -error);
    } else if (!tree_take_listing(w)) {
        course_fail(&w->course, -ENOMEM);
    }
    course_go(&w->course);
}

/* Takes what the kernel tells. True: there was something. */
static bool fetch(struct watching *w)
{
    static const struct timespec at_once;
    struct kevent notes[NOTES];
    int count = kevent(w->io.fd, NULL, 0, notes, NOTES, &at_once);
    for (int i = 0; i < count; i++) {
        struct entry *entry = (void *)(uintptr_t)notes[i].udata;
        bool is_listed = entry->parent == NULL || w->course.options.is_recursive;
        if (notes[i].flags & EV_ERROR) continue;
        entry->noted |= notes[i].fflags;
        if (S_ISDIR(entry->state.mode) && is_listed && entry->fd >= 0 &&
            notes[i].fflags & (NOTE_WRITE | NOTE_EXTEND | NOTE_LINK)) entry->is_dirty = true;
    }
    return count > 0;
}

static void on_ready(struct hark_op *op)
{
    struct watching *w = op->user;
    if (op->result < 0) course_fail(&w->course, course_error(op));
    course_go(&w->course);
}

static bool wait_for_notes(struct watching *w)
{
    hark_ready(course_step(&w->course), &w->io, HARK_READABLE, on_ready);
    return course_wait(&w->course);
}

bool watching_step(struct course *course)
{
    struct watching *w = (void *)course;
    if (w->is_opening && !course->is_ending) /* first: who is open cannot be taken for another */
        return course_look(course, look_open, on_opened);
    if (course->told != NULL) return course_report(course);
    bool has_more = fetch(w), differs = w->gone != NULL && tree_can_compare_gone(w);
    for (struct entry *entry = w->root; entry != NULL; entry = entry_next(entry)) {
        if (entry->is_dirty) {
            entry->is_dirty = false;
            return list(w, entry);
        }
        differs = differs || entry->noted != 0 || entry->is_fresh;
    }
    if (has_more) return true; /* before the comparison all must be there */
    if (differs) {
        if (!tree_compare(w)) course_fail(course, -ENOMEM);
        return true;
    }
    if (w->has_started) return wait_for_notes(w);
    w->has_started = true;
    return course_report_root(course, HARK_WATCH_STARTED);
}

static int64_t open_queue(struct watching *w)
{
    int fd = kqueue();
    if (fd < 0) return -errno;
    int error = fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? HARK_ENOMEM
                                                   : layer_adopt(&w->io, w->course.loop, fd);
    if (error != 0) {
        (void)close(fd); /* a new one: closing it cannot lose anything */
        return error == HARK_ECANCELED ? -ECANCELED : -ENOMEM;
    }
    w->io.label = "watch";
    w->root = entry_make(w, NULL, "");
    if (w->root == NULL) return -ENOMEM;
    w->root->is_to_open = w->is_opening = true;
    return 0;
}

void (hark_watch)(struct hark_op *op, struct hark_watch *watch, struct hark_loop *loop,
                  const char *path, const struct hark_watch_options *options, hark_done_fn *done)
{
    static const struct hark_watch_options defaults;
    char directory[PATH_MAX];
    int64_t error = root_begin(path, directory);
    size_t path_bytes = root_room(path, directory);
    struct watching *w = loop_resize(loop, NULL, 0, sizeof *w + path_bytes);
    if (w == NULL) {
        course_refuse(op, loop, -ENOMEM, done);
        return;
    }
    *w = (struct watching){ .course.watch = watch, .path_bytes = path_bytes,
                            .course.options = options != NULL ? *options : defaults };
    w->gone_end = &w->gone;
    if (!course_begin(&w->course, op, loop, done)) {
        loop_resize(loop, w, sizeof *w + path_bytes, 0);
        return;
    }
    root_write(w->path, path, directory);
    if (error == 0) error = open_queue(w);
    if (error != 0) course_fail(&w->course, error);
    course_go(&w->course);
}
