/* What the kernel's events mean. They are taken in their order, one after the other.
 *
 * A rename is two events with the same cookie, the second mostly right behind the first, yet others
 * may come in between. The first one looks ahead for its partner, and waits a little when that has
 * not been read yet; the second one is skipped then. Who finds no partner has left, or entered,
 * what is watched. */
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

#include "watch/watch.h"

static struct inotify_event *event_at(struct watching *w, size_t at)
{
    return (struct inotify_event *)(void *)(w->events + at);
}

static size_t size_of(const struct inotify_event *event) { return sizeof *event + event->len; }

static void consume(struct watching *w, const struct inotify_event *event)
{
    size_t bytes = size_of(event);
    w->at += bytes;
    w->pair_until = 0;
    tree_consumed(&w->tree, bytes);
}

static void on_read(struct hark_op *op)
{
    struct watching *w = op->user;
    if (op->result > 0) {
        w->end += (size_t)op->result;
        w->read_at = w->loop->now;
    } else if (op->result != HARK_ETIMEDOUT) {
        watching_fail(w, op->os_error != 0 ? -op->os_error : -ECANCELED);
    }
    watching_go(w);
}

/* Reads more behind what is there; always false. */
static bool read_more(struct watching *w, int64_t until)
{
    memmove(w->events, w->events + w->at, w->end - w->at);
    w->end -= w->at;
    w->at = 0;
    struct hark_op *op = watching_step(w);
    op->deadline_ns = until;
    hark_read(op, &w->io, w->events + w->end, sizeof w->events - w->end, on_read);
    watching_wait(w);
    return false;
}

/* The second half of a rename, or NULL. */
static struct inotify_event *partner_of(struct watching *w, const struct inotify_event *from)
{
    for (size_t at = w->at + size_of(from); at < w->end; at += size_of(event_at(w, at))) {
        struct inotify_event *event = event_at(w, at);
        if (event->mask & IN_MOVED_TO && event->cookie == from->cookie) return event;
    }
    return NULL;
}

/* May the partner still come? */
static bool waits_for_partner(struct watching *w)
{
    if (w->end - w->at + EVENT_ROOM_BYTES > sizeof w->events) return false;
    if (w->pair_until == 0) w->pair_until = clock_add(w->read_at, RENAME_MS * HARK_MILLISECOND);
    return w->loop->now < w->pair_until;
}

static bool is_wanted(const struct watching *w, const char *name)
{
    return w->file == NULL || strcmp(w->file, name) == 0;
}

/* True: nothing is told, go on. */
static bool tell(struct watching *w, const struct node *node, const struct inotify_event *event,
                 enum hark_watch_event what)
{
    if (!is_wanted(w, event->name) || !tree_path(node, event->name, w->path)) return true;
    watching_report(w, what, event->mask & IN_ISDIR);
    return false;
}

static bool is_of_tree(const struct watching *w, const struct inotify_event *event)
{
    return w->options.is_recursive && event->mask & IN_ISDIR;
}

static bool appeared(struct watching *w, struct node *node, const struct inotify_event *event)
{
    if (tree_was_told(&w->tree, node, event->name)) return true;
    if (is_of_tree(w, event) && tree_push(&w->tree, node, event->name, true) == NULL) {
        watching_fail(w, -ENOMEM);
        return true;
    }
    return tell(w, node, event, HARK_WATCH_CREATED);
}

static bool vanished(struct watching *w, const struct node *node, const struct inotify_event *event)
{
    (void)tree_was_told(&w->tree, node, event->name); /* told, and now gone: the next one is new */
    struct node *child = is_of_tree(w, event) ? tree_child(&w->tree, node, event->name) : NULL;
    if (child != NULL) tree_drop(&w->tree, child);
    return tell(w, node, event, HARK_WATCH_DELETED);
}

/* A directory within the tree has another name. */
static void move_directory(struct watching *w, struct node *from, const char *old_name,
                           struct node *to, const char *name)
{
    struct node *replaced = tree_child(&w->tree, to, name);
    if (replaced != NULL) tree_drop(&w->tree, replaced);
    struct node *child = tree_child(&w->tree, from, old_name);
    bool has_memory = child != NULL ? tree_move(&w->tree, child, to, name)
                                    : tree_push(&w->tree, to, name, true) != NULL;
    struct node *moved = has_memory ? tree_child(&w->tree, to, name) : NULL;
    if (moved != NULL) has_memory = tree_complete(&w->tree, moved);
    if (!has_memory) watching_fail(w, -ENOMEM);
}

static bool moved(struct watching *w, struct node *from, const struct inotify_event *event,
                  struct inotify_event *partner)
{
    struct node *to = tree_find(&w->tree, partner->wd);
    if (to == NULL || tree_was_told(&w->tree, to, partner->name)) {
        partner->mask = IN_MOVE; /* means nothing any more; the listing has told of it */
        return vanished(w, from, event);
    }
    bool is_told = is_wanted(w, event->name) || is_wanted(w, partner->name);
    partner->mask = IN_MOVE;
    (void)tree_was_told(&w->tree, from, event->name);
    bool has_paths = tree_path(from, event->name, w->old_path) &&
                     tree_path(to, partner->name, w->path);
    if (is_of_tree(w, event)) move_directory(w, from, event->name, to, partner->name);
    if (!is_told || !has_paths) return true;
    watching_report(w, HARK_WATCH_RENAMED, event->mask & IN_ISDIR);
    return false;
}

/* About a watched directory itself. */
static bool about_itself(struct watching *w, struct node *node, const struct inotify_event *event)
{
    if (node != w->tree.root) {
        if (event->mask & IN_IGNORED) tree_drop(&w->tree, node);
        return true;
    }
    if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
        watching_fail(w, -ENOENT);
    if (w->is_ending || !(event->mask & IN_ATTRIB) || w->file != NULL) return true;
    w->path[0] = '\0';
    watching_report(w, HARK_WATCH_ATTRIBUTES, true);
    return false;
}

static bool about_entry(struct watching *w, struct node *node, const struct inotify_event *event)
{
    switch (event->mask & IN_ALL_EVENTS) {
    case IN_CREATE: case IN_MOVED_TO: return appeared(w, node, event);
    case IN_MODIFY: return tell(w, node, event, HARK_WATCH_CHANGED);
    case IN_CLOSE_WRITE: return tell(w, node, event, HARK_WATCH_WRITTEN);
    case IN_ATTRIB: return tell(w, node, event, HARK_WATCH_ATTRIBUTES);
    case IN_DELETE: case IN_MOVED_FROM: return vanished(w, node, event);
    default: return true;
    }
}

bool event_go(struct watching *w)
{
    if (w->at == w->end) return read_more(w, 0);
    struct inotify_event *event = event_at(w, w->at), *partner = NULL;
    struct node *node = tree_find(&w->tree, event->wd);
    if (event->mask & IN_Q_OVERFLOW) {
        w->is_lost = true;
        return true;
    }
    if (node != NULL && event->mask & IN_MOVED_FROM && event->mask != IN_MOVE) {
        partner = partner_of(w, event);
        if (partner == NULL && waits_for_partner(w)) return read_more(w, w->pair_until);
    }
    consume(w, event);
    if (node == NULL) return true; /* no longer watched */
    if (event->len == 0) return about_itself(w, node, event);
    return partner != NULL ? moved(w, node, event, partner) : about_entry(w, node, event);
}
