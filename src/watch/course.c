/* The course of a watch that keeps what is to be told; see course.h. */
#include "watch/course.h"

#include <errno.h>
#include <string.h>

#include "base/limits.h"

static void cancel(struct hark_op *op);
static void resume(struct hark_op *op);
static const struct layer watch_layer = { "watch", true, cancel, resume };
static const struct layer *over[] = { &watch_layer }; /* what an op has that has no course */

bool course_begin(struct course *course, struct hark_op *op, struct hark_loop *loop,
                  hark_done_fn *done)
{
    course->layer = &watch_layer;
    course->op = op;
    course->loop = loop;
    course->told_end = &course->told;
    if (layer_begin(op, loop, course, done)) return true;
    op->u.layer.layered = over;
    return false;
}

void course_refuse(struct hark_op *op, struct hark_loop *loop, int64_t error, hark_done_fn *done)
{
    if (layer_begin(op, loop, over, done)) layer_end(op, error);
}

void course_fail(struct course *course, int64_t result)
{
    if (course->is_ending) return;
    course->is_ending = true;
    course->result = result;
}

void course_end(struct hark_op *op, int64_t result)
{
    op->u.layer.layered = over; /* for inspection until the callback */
    layer_end(op, result);
}

void course_go(struct course *course)
{
    while (!course->is_ending || course->told != NULL) {
        if (course->is_ending && course->result == -ECANCELED) break;
        if (!watching_step(course)) return;
    }
    watching_end(course);
}

struct hark_op *course_step(struct course *course)
{
    course->step = (struct hark_op){ .user = course };
    return &course->step;
}

bool course_wait(struct course *course)
{
    course->step.label = "watch";
    hark_background(&course->step);
    return false;
}

bool course_look(struct course *course, hark_work_fn *look, hark_done_fn *done)
{
    hark_offload(course_step(course), course->loop, HARK_OFFLOAD_FILE, look, done);
    return course_wait(course);
}

/* Hark itself decides no other error here. */
int64_t course_error(const struct hark_op *op)
{
    if (op->os_error != 0) return -op->os_error;
    return op->result == HARK_EAGAIN ? -EAGAIN : -ECANCELED;
}

bool course_tell(struct course *course, int64_t what, const char *path, const char *old_path,
                 bool is_directory)
{
    size_t len = strlen(path) + 1, old_len = old_path != NULL ? strlen(old_path) + 1 : 0;
    size_t bytes = sizeof(struct told) + len + old_len;
    struct told *told = loop_resize(course->loop, NULL, 0, bytes);
    if (told == NULL) return false;
    *told = (struct told){ .bytes = bytes, .what = what, .is_directory = is_directory };
    memcpy(told->path, path, len);
    if (old_path != NULL) told->old_path = memcpy(told->path + len, old_path, old_len);
    *course->told_end = told;
    course->told_end = &told->next;
    return true;
}

static void forget_first(struct course *course)
{
    struct told *told = course->told;
    course->told = told->next;
    if (course->told == NULL) course->told_end = &course->told;
    loop_resize(course->loop, told, told->bytes, 0);
}

bool course_report(struct course *course)
{
    const struct told *told = course->told;
    course->watch->path = told->path;
    course->watch->old_path = told->old_path;
    course->watch->is_directory = told->is_directory;
    course->is_telling = true;
    layer_report(course->op, told->what);
    return false;
}

bool course_report_root(struct course *course, int64_t what)
{
    course->watch->path = "";
    course->watch->old_path = NULL;
    course->watch->is_directory = course->file == NULL;
    layer_report(course->op, what);
    return false;
}

static void resume(struct hark_op *op)
{
    struct course *course = layer_of(op);
    if (course->is_telling) forget_first(course);
    course->is_telling = false;
    course_go(course);
}

static void cancel(struct hark_op *op)
{
    struct course *course = layer_of(op);
    course_fail(course, -ECANCELED);
    if (hark_is_alive(&course->step)) (void)hark_cancel(&course->step); /* its callback goes on */
    else watching_end(course);
}

bool course_grow_found(struct course *course)
{
    size_t room = course->found_room == 0 ? LIMIT_LISTING_BYTES : 2 * course->found_room;
    char *found = loop_resize(course->loop, course->found, course->found_room, room);
    if (found == NULL) return false;
    course->found = found;
    course->found_room = room;
    return true;
}

void course_clear(struct course *course)
{
    while (course->told != NULL) forget_first(course);
    loop_resize(course->loop, course->found, course->found_room, 0);
}
