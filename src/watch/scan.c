/* Scans: a directory is opened, watched by that descriptor, and then, if its entries matter,
 * listed: what was made before the watch was there is found, and what is made later is an event.
 * What is in both is told once: tree_tell() remembers the names of a listing, until the events have
 * been read that were waiting when it ended. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "watch/watch.h"

enum {
    MASK = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO |
           IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK,
};

bool scan_is_needed(const struct watching *w)
{
    return w->node != NULL || w->tree.to_scan != NULL || hark_file_is_open(&w->dir);
}

/* What ends the watch as a whole; everything else concerns one directory. */
static bool is_about_all(const struct watching *w, int error)
{
    switch (error) {
    case ENOSPC: case ENOMEM: case EMFILE: case ENFILE: case EAGAIN: case ECANCELED: return true;
    default: return w->node->parent == NULL;
    }
}

static void drop_node(struct watching *w)
{
    if (w->node->wd >= 0) tree_drop(&w->tree, w->node);
    else tree_free_node(&w->tree, w->node);
    w->node = NULL;
}

/* The directory cannot be watched. One that is gone meanwhile, or is none, is not spoken of. */
static bool failed(struct watching *w, int error)
{
    bool is_gone = error == ENOENT || error == ENOTDIR || error == ELOOP;
    if (is_about_all(w, error)) {
        watching_fail(w, -error);
        return true;
    }
    if (is_gone) w->node->parent->is_incomplete = true;
    bool has_path = tree_path(w->node, "", w->path);
    drop_node(w);
    if (is_gone) return true;
    if (!has_path) w->path[0] = '\0';
    watching_report(w, hark_error_from_os(error), true);
    return false;
}

static int error_of(const struct hark_op *op)
{
    return op->os_error != 0 ? op->os_error : ECANCELED; /* nothing else is decided by hark here */
}

/* The root is no directory, or is not there: then it is the name of a file in one. */
static bool is_turned_to_file(struct watching *w, int error)
{
    if (w->node->parent != NULL || w->file != NULL) return false;
    if (error != ENOENT && error != ENOTDIR) return false;
    char *slash = strrchr(w->root, '/');
    if (slash[1] == '\0' || strcmp(slash + 1, ".") == 0 || strcmp(slash + 1, "..") == 0)
        return false;
    if (strlen(slash + 1) > NAME_MAX) return false;
    *slash = '\0';
    w->file = slash + 1;
    w->options.is_recursive = false;
    w->options.tells_existing = w->node->is_told = false;
    w->node->next = w->tree.to_scan;
    w->tree.to_scan = w->node;
    w->node = NULL;
    return true;
}

/* By its descriptor: no disk is waited for, and it is the directory that is listed. */
static int add(struct watching *w)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", w->dir.fd);
    int wd = inotify_add_watch(w->io.fd, path, MASK);
    if (wd < 0 && errno == ENOENT) wd = inotify_add_watch(w->io.fd, w->full, MASK); /* no /proc */
    return wd >= 0 ? wd : -errno;
}

/* The directory is open. False: its failure is told first. */
static bool enter(struct watching *w)
{
    int wd = add(w);
    if (wd < 0) return failed(w, -wd);
    struct node *known = w->node->is_again ? tree_find(&w->tree, wd) : NULL;
    if (known != NULL) {
        tree_free_node(&w->tree, w->node);
        w->node = known;
        known->is_told = false;
        return true;
    }
    enum entered entered = tree_enter(&w->tree, w->node, wd);
    if (entered != ENTERED) w->node = NULL;
    else w->is_listed = !w->options.is_recursive && !w->node->is_told;
    if (entered == NO_MEMORY) watching_fail(w, -ENOMEM);
    return true;
}

static void on_opened(struct hark_op *op)
{
    struct watching *w = op->user;
    bool goes_on = true;
    if (!w->is_ending) {
        if (op->result >= 0) goes_on = enter(w);
        else if (!is_turned_to_file(w, error_of(op))) goes_on = failed(w, error_of(op));
    }
    if (goes_on) watching_go(w);
}

/* False: its path is longer than the kernel takes. */
static bool begin(struct watching *w)
{
    w->node = tree_pop(&w->tree);
    bool is_root = w->node->parent == NULL;
    if (!tree_path(w->node, "", w->path)) return false;
    const char *directory = w->root[0] != '\0' ? w->root : "/";
    int len = snprintf(w->full, sizeof w->full, is_root ? "%s" : "%s/%s", directory, w->path);
    if (len >= (int)sizeof w->full) return false;
    int flags = O_RDONLY | O_DIRECTORY | (is_root ? 0 : O_NOFOLLOW);
    w->is_listed = false;
    w->list_len = 0;
    w->list_at = 0;
    hark_file_open(watching_step(w), &w->dir, w->loop, w->full, flags, 0, on_opened);
    w->dir.label = "watch";
    watching_wait(w);
    return true;
}

static void on_listed(struct hark_op *op)
{
    struct watching *w = op->user;
    bool goes_on = true;
    w->list_at = 0;
    w->list_len = op->result > 0 ? op->result : 0;
    if (op->result <= 0) w->is_listed = true;
    if (op->result == 0 && w->node != NULL) w->node->is_incomplete = false;
    bool is_failure = op->result < 0 && !w->is_ending && error_of(op) != ENOENT;
    if (is_failure) goes_on = failed(w, error_of(op));
    if (goes_on) watching_go(w);
}

static void on_closed(struct hark_op *op)
{
    struct watching *w = op->user;
    int waiting = 0;
    w->node = NULL;
    if (w->tree.told_count != 0 && ioctl(w->io.fd, FIONREAD, &waiting) == 0)
        w->tree.told_left = waiting + (int64_t)(w->end - w->at);
    watching_go(w);
}

/* One entry of the list. */
static bool take_entry(struct watching *w, const struct hark_dir_entry *entry)
{
    bool may_be_directory = entry->type == DT_DIR || entry->type == DT_UNKNOWN;
    struct node *node = w->node;
    bool is_missing = node->is_incomplete && tree_child(&w->tree, node, entry->name) == NULL;
    bool is_new = may_be_directory && (is_missing || !node->is_incomplete);
    if (w->options.is_recursive && is_new &&
        tree_push(&w->tree, node, entry->name, node->is_told || is_missing) == NULL) {
        watching_fail(w, -ENOMEM);
        return true;
    }
    if (!node->is_told) return true;
    if (!tree_tell(&w->tree, node, entry->name)) {
        watching_fail(w, -ENOMEM);
        return true;
    }
    if (!tree_path(node, entry->name, w->path)) return true;
    watching_report(w, HARK_WATCH_CREATED, entry->type == DT_DIR);
    return false;
}

bool scan_go(struct watching *w)
{
    struct hark_dir_entry entry;
    bool is_open = hark_file_is_open(&w->dir);
    if (w->node == NULL && !is_open) return !begin(w) && failed(w, ENAMETOOLONG);
    if (w->node != NULL && hark_dir_next(w->list, w->list_len, &w->list_at, &entry))
        return take_entry(w, &entry);
    if (!w->is_listed && w->node != NULL) {
        hark_dir_read(watching_step(w), &w->dir, w->list, sizeof w->list, on_listed);
    } else if (is_open) {
        hark_file_close(watching_step(w), &w->dir, on_closed);
    } else {
        w->node = NULL;
        return true;
    }
    watching_wait(w);
    return false;
}
