/* One watch at work: what watch.c (its course), scan.c (directories) and event.c (what the kernel
 * tells) share. */
#ifndef HARK_WATCH_WATCH_H
#define HARK_WATCH_WATCH_H

#include <hark/file.h>
#include <hark/watch.h>
#include <limits.h>

#include "loop/layer.h"
#include "watch/tree.h"

enum {
    EVENT_BYTES = 16384,     /* of events, read at once */
    EVENT_ROOM_BYTES = 512,  /* that the longest one needs */
    LIST_BYTES = 4096,       /* of directory entries */
    RENAME_MS = 10,          /* how long the first half of a rename waits for the second */
};

struct watching {
    const struct layer *layer;
    struct hark_op *op;             /* the caller's */
    struct hark_watch *watch;
    struct hark_loop *loop;
    struct hark_watch_options options;
    struct hark_op step;            /* the one that is under way, if any */
    struct hark_io io;              /* of inotify */
    struct tree tree;
    int64_t result;                 /* once it ends: a negative errno */
    int64_t first_result;           /* HARK_WATCH_STARTED, after a loss HARK_EOVERFLOW; 0: told */
    bool is_ending;
    bool is_lost;                   /* events were lost: begin anew */
    /* A scan. */
    struct node *node;              /* of the directory that dir is; NULL: none is scanned */
    struct hark_file dir;
    bool is_listed;                 /* no more entries are wanted */
    int64_t list_len;
    size_t list_at;
    /* Events. */
    size_t at, end;                 /* in events */
    int64_t read_at;                /* when the latest were read */
    int64_t pair_until;             /* when the first half of a rename gives up; 0: none waits */
    const char *file;               /* the name, in root, if a file is watched; else NULL */
    _Alignas(8) char events[EVENT_BYTES];
    _Alignas(8) char list[LIST_BYTES];
    char path[PATH_MAX], old_path[PATH_MAX], full[PATH_MAX];
    size_t root_bytes;              /* with what room was taken for root */
    char root[];                    /* absolute */
};

/* watch.c. Each of scan_go() and event_go() does a step: true: go on with the next one; false: it
 * waits for an op or a callback, whose end goes on by itself. */
void watching_go(struct watching *w);
void watching_fail(struct watching *w, int64_t result); /* a negative errno */
void watching_report(struct watching *w, int64_t result, bool is_directory); /* of w->path */

/* The next internal op. */
struct hark_op *watching_step(struct watching *w);
void watching_wait(struct watching *w);

bool scan_go(struct watching *w);
bool scan_is_needed(const struct watching *w);
bool event_go(struct watching *w);

#endif
