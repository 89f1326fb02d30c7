/* The course of a watch that lists, and keeps what is to be told until each was: what vnode.c
 * (kqueue) and changes.c (Windows) have in common. One thing at a time: either an op of its own is
 * under way, or a callback of the caller's op is due.
 *
 *   course_begin ---> course_go ---> watching_step, again and again, until it waits for an op,
 *                         ^          whose callback goes on, or reports: resume goes on
 *                         |                               |
 *                         +-------------------------------+
 *   course_fail ---> what is to be told is told (unless it was canceled) ---> watching_end */
#ifndef HARK_WATCH_COURSE_H
#define HARK_WATCH_COURSE_H

#include <hark/offload.h>
#include <hark/watch.h>

#include "loop/layer.h"

/* What is to be told, in order. */
struct told {
    struct told *next;
    size_t bytes;
    int64_t what;
    bool is_directory;
    const char *old_path;          /* in path, behind it; or NULL */
    char path[];
};

/* First in a struct watching. */
struct course {
    const struct layer *layer;
    struct hark_op *op;             /* the caller's */
    struct hark_watch *watch;
    struct hark_loop *loop;
    struct hark_watch_options options;
    struct hark_op step;            /* the one that is under way, if any */
    int64_t result;                 /* once it ends: a negative errno */
    bool is_ending, is_telling;
    struct told *told, **told_end;
    char *found;                    /* a listing, on its way from a thread of the pool */
    size_t found_bytes, found_room;
    const char *file;               /* the name, in the path, if a file is watched; else NULL */
};

/* The kernel's. True: go on; false: it waits for an op, a callback or the kernel, whose end goes on
 * by itself. And the end: gives all back, at once or in some rounds, then calls course_end(). */
bool watching_step(struct course *course);
void watching_end(struct course *course);

/* Begins the op, which course is zeroed for. False: it has ended, and course is not needed. */
bool course_begin(struct course *course, struct hark_op *op, struct hark_loop *loop,
                  hark_done_fn *done);
/* The same for one that ends where it begins; error is a negative errno. */
void course_refuse(struct hark_op *op, struct hark_loop *loop, int64_t error, hark_done_fn *done);

void course_go(struct course *course);
void course_fail(struct course *course, int64_t result); /* a negative errno */
/* The last thing: course may be gone by then. */
void course_end(struct hark_op *op, int64_t result);

/* The next op of its own; what follows its submission: false, for watching_step(). */
struct hark_op *course_step(struct course *course);
bool course_wait(struct course *course);
/* A function on a thread of the pool. */
bool course_look(struct course *course, hark_work_fn *look, hark_done_fn *done);
/* The negative errno of one that did not do its work. */
int64_t course_error(const struct hark_op *op);

/* Puts something behind what is to be told; false: no memory. */
bool course_tell(struct course *course, int64_t what, const char *path, const char *old_path,
                 bool is_directory);
/* Reports the first of it; or something of what is watched as a whole. False. */
bool course_report(struct course *course);
bool course_report_root(struct course *course, int64_t what);

/* Makes the room of found larger; false: no memory. */
bool course_grow_found(struct course *course);

/* Gives back what was not told, and found. */
void course_clear(struct course *course);

#endif
