/* The course of a watch: scan what is to be watched, say so, then read events and tell them, one a
 * callback. One thing at a time: either an op of its own is under way, or a callback of the
 * caller's op is due. So nothing that an event means can change while a directory is looked at.
 *
 * When the kernel has lost events, all begins anew with another inotify descriptor, and only then
 * the caller hears of it: whoever looks for himself then misses nothing that is not told
 * afterwards. */
#include "watch/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "watch/root.h"

static void cancel(struct hark_op *op);
static void resume(struct hark_op *op);
static const struct layer watch_layer = { "watch", true, cancel, resume };
static const struct layer *over[] = { &watch_layer }; /* what an op has that has no watching */

static void free_watching(struct watching *w)
{
    tree_clear(&w->tree);
    loop_resize(w->loop, w, sizeof *w + w->root_bytes, 0);
}

struct hark_op *watching_step(struct watching *w)
{
    w->step = (struct hark_op){ .user = w };
    return &w->step;
}

void watching_wait(struct watching *w)
{
    w->step.label = "watch";
    hark_background(&w->step);
}

static void on_closed(struct hark_op *op) { watching_go(op->user); }

/* Gives back one thing after the other; true: there is no more. */
static bool let_go(struct watching *w)
{
    if (w->node != NULL && w->node->wd < 0) tree_free_node(&w->tree, w->node);
    w->node = NULL;
    if (hark_file_is_open(&w->dir)) {
        if (w->loop->is_closing) {
            file_seam.shut(&w->dir);
        } else {
            hark_file_close(watching_step(w), &w->dir, on_closed);
            watching_wait(w);
            return false;
        }
    }
    if (w->io.loop == NULL || w->io.fd < 0) return true;
    hark_close(watching_step(w), &w->io, on_closed);
    watching_wait(w);
    return false;
}

static void end(struct watching *w)
{
    struct hark_op *op = w->op;
    int64_t result = w->result;
    if (!let_go(w)) return;
    free_watching(w);
    op->u.layer.layered = over; /* for inspection until the callback */
    layer_end(op, result);
}

void watching_fail(struct watching *w, int64_t result)
{
    if (w->is_ending) return;
    w->is_ending = true;
    w->result = result;
}

void watching_report(struct watching *w, int64_t result, bool is_directory)
{
    w->watch->path = w->path;
    w->watch->old_path = result == HARK_WATCH_RENAMED ? w->old_path : NULL;
    w->watch->is_directory = is_directory;
    layer_report(w->op, result);
}

/* Opens inotify and begins with the root. */
static int64_t start(struct watching *w)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0) return -errno;
    w->io = (struct hark_io){ 0 };
    int error = hark_io_adopt(&w->io, w->loop, fd);
    if (error != 0) {
        (void)close(fd); /* a new one: closing it cannot lose anything */
        return error == HARK_ECANCELED ? -ECANCELED : -ENOMEM;
    }
    w->io.label = "watch";
    w->tree.loop = w->loop;
    w->tree.fd = fd;
    w->at = w->end = 0;
    w->pair_until = 0;
    bool is_told = w->options.tells_existing && w->first_result == HARK_WATCH_STARTED;
    w->tree.root = tree_push(&w->tree, NULL, "", is_told);
    return w->tree.root != NULL ? 0 : -ENOMEM;
}

static void start_anew(struct watching *w)
{
    if (!let_go(w)) return;
    tree_clear(&w->tree);
    w->is_lost = false;
    w->first_result = HARK_EOVERFLOW;
    int64_t error = start(w);
    if (error != 0) watching_fail(w, error);
    watching_go(w);
}

static bool tell_start(struct watching *w)
{
    int64_t result = w->first_result;
    w->first_result = 0;
    w->path[0] = '\0';
    watching_report(w, result, w->file == NULL);
    return false;
}

static bool step(struct watching *w)
{
    if (scan_is_needed(w)) return scan_go(w);
    if (w->first_result != 0) return tell_start(w);
    return event_go(w);
}

void watching_go(struct watching *w)
{
    while (!w->is_ending && !w->is_lost)
        if (!step(w)) return;
    if (w->is_ending) end(w);
    else start_anew(w);
}

static void resume(struct hark_op *op) { watching_go(layer_of(op)); }

static void cancel(struct hark_op *op)
{
    struct watching *w = layer_of(op);
    watching_fail(w, -ECANCELED);
    if (hark_is_alive(&w->step)) (void)hark_cancel(&w->step); /* its callback goes on */
    else end(w);
}

void (hark_watch)(struct hark_op *op, struct hark_watch *watch, struct hark_loop *loop,
                  const char *path, const struct hark_watch_options *options, hark_done_fn *done)
{
    static const struct hark_watch_options defaults;
    char directory[PATH_MAX];
    int64_t error = root_begin(path, directory);
    size_t root_bytes = root_room(path, directory);
    struct watching *w = loop_resize(loop, NULL, 0, sizeof *w + root_bytes);
    if (w == NULL) {
        if (layer_begin(op, loop, over, done)) layer_end(op, -ENOMEM);
        return;
    }
    memset(w, 0, sizeof *w);
    w->layer = &watch_layer;
    w->root_bytes = root_bytes;
    w->op = op;
    w->watch = watch;
    w->loop = loop;
    w->options = options != NULL ? *options : defaults;
    w->first_result = HARK_WATCH_STARTED;
    w->tree.loop = loop;
    if (!layer_begin(op, loop, w, done)) {
        op->u.layer.layered = over;
        free_watching(w);
        return;
    }
    root_write(w->root, path, directory);
    if (error == 0) error = start(w);
    if (error != 0) watching_fail(w, error);
    watching_go(w);
}
