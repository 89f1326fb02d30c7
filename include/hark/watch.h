/* Watching files and directories: what is created, changed, renamed and deleted, an event a
 * callback.
 *
 * A directory is watched with its entries, or with the whole tree below it. A file is watched by
 * its name: whatever has that name, also after an editor or a log rotation has put another file
 * there, or before there is any. To know what has changed in a crowd that came too fast, nobody can
 * rely on events alone: HARK_EOVERFLOW then says so.
 *
 * On the BSDs and macOS the kernel tells that something is different, and a watch compares what is
 * there with what was: what comes and goes between two looks is not told, nor how often or in which
 * order of several files; nothing else is lost. It has a descriptor for each directory and each
 * regular file that it can read, and tells nothing of the bytes of others.
 *
 * On Windows the kernel tells what happens by its path, and a watch knows all that is there by a
 * listing at first. A write may be told more than once, bytes and attributes not in their order;
 * whether path is a directory is asked for afterwards, so of one that is gone by then it is not
 * known. Nothing is told of the directory itself but its end.
 *
 *     struct hark_watch watch = { 0 };
 *     hark_watch(&op, &watch, loop, "/etc/service", NULL, on_change);
 *
 *     static void on_change(struct hark_op *op)
 *     {
 *         if (op->result == HARK_WATCH_RENAMED) ...   watch.old_path is called watch.path now
 *     } */
#ifndef HARK_WATCH_H
#define HARK_WATCH_H

#include <hark/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What has happened: the result of a callback with more. */
enum hark_watch_event {
    HARK_WATCH_STARTED = 1,   /* what happens from now on is told; once, the first but for what
                               * tells_existing brings */
    HARK_WATCH_CREATED,       /* path is new: made, linked or moved here from elsewhere */
    HARK_WATCH_CHANGED,       /* bytes were written, or it was cut off */
    HARK_WATCH_WRITTEN,       /* closed by one who had it open for writing; on Linux only */
    HARK_WATCH_ATTRIBUTES,    /* mode, owner, times, number of links */
    HARK_WATCH_RENAMED,       /* old_path is called path now; what was called so is replaced */
    HARK_WATCH_DELETED,       /* path is gone: unlinked or moved elsewhere */
};

/* All zero is the default for each. */
struct hark_watch_options {
    bool is_recursive;        /* a directory with all that are below it, those that come later too;
                               * symbolic links are not followed */
    bool tells_existing;      /* what is in the directory at first is told as created */
};

/* A watch and its latest event. The caller owns the memory; the library borrows it until the last
 * callback. */
struct hark_watch {
    /* To read in a callback with more; borrowed until it returns. */
    const char *path;         /* below the directory that is watched, such as "sub/file"; the file's
                               * name if one is watched; "" for the directory itself */
    const char *old_path;     /* of HARK_WATCH_RENAMED; else NULL */
    bool is_directory;        /* path is one */
};

/* Watches a file or a directory until canceled: a repeating op.
 *
 * path     borrowed until this returns. A file need not be there, its directory must. Of a symbolic
 *          link to a file the link is watched, of one to a directory the directory.
 * options  copied; NULL for the defaults.
 * Result   with more: an enum hark_watch_event, or an error that does not end the watch:
 *          HARK_EOVERFLOW: some events were lost, look again yourself (the watch is whole again,
 *          and tells what happens from now on); HARK_EACCES and its like: the directory path cannot
 *          be watched, the others are. At last: HARK_ENOENT: the directory that is watched, or that
 *          the file is in, was not there or is gone: deleted, moved away, unmounted; HARK_ENOSPC:
 *          the user has no more watches (fs.inotify.max_user_watches); HARK_EMFILE: nor descriptors
 *          of them (fs.inotify.max_user_instances), or, on the BSDs and macOS, for what is watched;
 *          HARK_EACCES, HARK_ENOTDIR, HARK_ENAMETOOLONG, ...; HARK_ECANCELED; HARK_ETIMEDOUT.
 * Thread   loop
 * Order    as they happened (on Linux). A rename is one event also between two directories that are
 *          watched (on Windows if both halves are told in a row); one that leaves or enters them
 *          is told as deleted or created, some milliseconds later. What is in a new directory
 *          before it can be watched is told as created.
 */
HARK_API void hark_watch(struct hark_op *op, struct hark_watch *watch, struct hark_loop *loop,
                         const char *path, const struct hark_watch_options *options,
                         hark_done_fn *done);

#define hark_watch(op, ...) (hark_watch)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
