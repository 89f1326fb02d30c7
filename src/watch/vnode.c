/* The course of a watch on kqueue(2): open what is new, list what has changed, compare, tell, one a
 * callback, and wait for more. One thing at a time: either an op of its own is under way, or a
 * callback of the caller's op is due. See vnode.h. */
#include "watch/vnode.h"

#include <sys/types.h> /* before event.h, which does not bring it */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/event.h>
#include <unistd.h>

#include "base/limits.h"
#include "watch/root.h"

enum { NOTES = 64 };

static void cancel(struct hark_op *op);
static void resume(struct hark_op *op);
static const struct layer watch_layer = { "watch", true, cancel, resume };
static const struct layer *over[] = { &watch_layer }; /* what an op has that has no watching */

static void go(struct watching *w);

static struct hark_op *step_of(struct watching *w)
{
    w->step = (struct hark_op){ .user = w };
    return &w->step;
}

static bool wait_for_step(struct watching *w)
{
    w->step.label = "watch";
    hark_background(&w->step);
    return false;
}

static void on_closed(struct hark_op *op) { go(op->user); }

static void end(struct watching *w)
{
    struct hark_op *op = w->op;
    int64_t result = w->result;
    if (w->io.loop != NULL && w->io.fd >= 0) {
        hark_close(step_of(w), &w->io, on_closed);
        (void)wait_for_step(w);
        return;
    }
    tree_free(w);
    loop_resize(w->loop, w, sizeof *w + w->path_bytes, 0);
    op->u.layer.layered = over; /* for inspection until the callback */
    layer_end(op, result);
}

void watching_fail(struct watching *w, int64_t result)
{
    if (w->is_ending) return;
    w->is_ending = true;
    w->result = result;
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
    if (w->file != NULL || (error != ENOENT && error != ENOTDIR)) return false;
    char *slash = strrchr(w->path, '/');
    if (slash[1] == '\0' || strcmp(slash + 1, ".") == 0 || strcmp(slash + 1, "..") == 0)
        return false;
    if (strlen(slash + 1) > NAME_MAX) return false;
    *slash = '\0';
    w->file = slash + 1;
    w->options.is_recursive = w->options.tells_existing = false;
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
        entry->is_dirty = is_root || (is_directory && w->options.is_recursive);
        return;
    }
    if (is_root && is_turned_to_file(w)) return;
    if (is_root || is_about_all(error)) watching_fail(w, -error);
    if (!is_directory || !w->options.is_recursive) return;
    if (error == ENOENT || error == ENOTDIR || error == ELOOP) return;
    if (!tree_tell(w, hark_error_from_os(error), entry)) watching_fail(w, -ENOMEM);
}

static void take_all_opened(struct watching *w)
{
    for (struct entry *entry = w->root; entry != NULL; entry = entry_next(entry))
        if (entry->is_to_open) take_opened(w, entry);
}

/* Of an op that did not do its work; hark itself decides no other error here. */
static int64_t error_of(const struct hark_op *op)
{
    if (op->os_error != 0) return -op->os_error;
    return op->result == HARK_EAGAIN ? -EAGAIN : -ECANCELED;
}

static void on_opened(struct hark_op *op)
{
    struct watching *w = op->user;
    w->is_opening = false;
    if (op->result == 0) take_all_opened(w);
    else watching_fail(w, error_of(op));
    go(w);
}

static bool grow_found(struct watching *w)
{
    size_t room = w->found_room == 0 ? LIMIT_LISTING_BYTES : 2 * w->found_room;
    char *found = loop_resize(w->loop, w->found, w->found_room, room);
    if (found == NULL) return false;
    w->found = found;
    w->found_room = room;
    return true;
}

static void on_listed(struct hark_op *op);

static bool list(struct watching *w, struct entry *entry)
{
    w->listed = entry;
    hark_offload(step_of(w), w->loop, HARK_OFFLOAD_FILE, look_list, on_listed);
    return wait_for_step(w);
}

static void on_listed(struct hark_op *op)
{
    struct watching *w = op->user;
    int error = w->listed->error;
    if (op->result != 0) {
        watching_fail(w, error_of(op));
    } else if (error == ENOBUFS && !w->is_ending) {
        if (grow_found(w)) {
            (void)list(w, w->listed);
            return;
        }
        watching_fail(w, -ENOMEM);
    } else if (error != 0) {
        watching_fail(w, -error);
    } else if (!tree_take_listing(w)) {
        watching_fail(w, -ENOMEM);
    }
    go(w);
}

/* Takes what the kernel tells. True: there was something. */
static bool fetch(struct watching *w)
{
    static const struct timespec at_once;
    struct kevent notes[NOTES];
    int count = kevent(w->io.fd, NULL, 0, notes, NOTES, &at_once);
    for (int i = 0; i < count; i++) {
        struct entry *entry = (void *)(uintptr_t)notes[i].udata;
        bool is_listed = entry->parent == NULL || w->options.is_recursive;
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
    if (op->result < 0) watching_fail(w, error_of(op));
    go(w);
}

static bool wait_for_notes(struct watching *w)
{
    hark_ready(step_of(w), &w->io, HARK_READABLE, on_ready);
    return wait_for_step(w);
}

static bool tell(struct watching *w, const struct told *told)
{
    w->watch->path = told->path;
    w->watch->old_path = told->old_path;
    w->watch->is_directory = told->is_directory;
    w->is_telling = true;
    layer_report(w->op, told->what);
    return false;
}

static bool tell_start(struct watching *w)
{
    w->has_started = true;
    w->watch->path = "";
    w->watch->old_path = NULL;
    w->watch->is_directory = w->file == NULL;
    layer_report(w->op, HARK_WATCH_STARTED);
    return false;
}

/* True: go on; false: it waits for an op or a callback, whose end goes on by itself. */
static bool step(struct watching *w)
{
    if (w->is_opening && !w->is_ending) { /* first: who is open cannot be taken for another */
        hark_offload(step_of(w), w->loop, HARK_OFFLOAD_FILE, look_open, on_opened);
        return wait_for_step(w);
    }
    if (w->told != NULL) return tell(w, w->told);
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
        if (!tree_compare(w)) watching_fail(w, -ENOMEM);
        return true;
    }
    return w->has_started ? wait_for_notes(w) : tell_start(w);
}

static void go(struct watching *w)
{
    while (!w->is_ending || w->told != NULL) {
        if (w->is_ending && w->result == -ECANCELED) break;
        if (!step(w)) return;
    }
    end(w);
}

static void resume(struct hark_op *op)
{
    struct watching *w = layer_of(op);
    if (w->is_telling) tree_forget_told(w);
    w->is_telling = false;
    go(w);
}

static void cancel(struct hark_op *op)
{
    struct watching *w = layer_of(op);
    watching_fail(w, -ECANCELED);
    if (hark_is_alive(&w->step)) (void)hark_cancel(&w->step); /* its callback goes on */
    else end(w);
}

static int64_t open_queue(struct watching *w)
{
    int fd = kqueue();
    if (fd < 0) return -errno;
    int error = fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? HARK_ENOMEM
                                                   : layer_adopt(&w->io, w->loop, fd);
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
        if (layer_begin(op, loop, over, done)) layer_end(op, -ENOMEM);
        return;
    }
    *w = (struct watching){ .layer = &watch_layer, .op = op, .watch = watch, .loop = loop,
                            .options = options != NULL ? *options : defaults,
                            .path_bytes = path_bytes };
    w->gone_end = &w->gone;
    w->told_end = &w->told;
    if (!layer_begin(op, loop, w, done)) {
        op->u.layer.layered = over;
        loop_resize(loop, w, sizeof *w + path_bytes, 0);
        return;
    }
    root_write(w->path, path, directory);
    if (error == 0) error = open_queue(w);
    if (error != 0) watching_fail(w, error);
    go(w);
}
