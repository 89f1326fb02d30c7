/* One watch at work on kqueue(2): what vnode.c (its steps), vnode_tree.c (what is there, and what
 * differs from what was) and vnode_look.c (how the disk is asked) share.
 *
 * EVFILT_VNODE says that a directory has changed, not how. So a watch is a picture of what there
 * is, with a descriptor for each file and directory in it: what has changed is listed and compared.
 * What comes and goes between two looks is not seen; nothing else can be lost. */
#ifndef HARK_WATCH_VNODE_H
#define HARK_WATCH_VNODE_H

#include <limits.h>
#include <sys/stat.h>

#include "watch/course.h"

/* What is compared. */
struct state {
    uint64_t device, inode;
    int64_t size, changed_ns;      /* ... of its bytes */
    int64_t touched_ns;            /* ... of it, whatever */
    mode_t mode;
};

struct entry {
    struct entry *parent;          /* NULL: the root */
    struct entry *next;            /* in the same directory; or among those that are gone */
    struct entry *children;        /* of a directory that is listed */
    char *name;
    struct state state;
    int fd;                        /* -1: no note of its own */
    int error;                     /* an errno: why it could not be opened or listed, or 0 */
    unsigned noted;                /* NOTE_WRITE and its like, since the last look */
    bool is_dirty;                 /* a directory that is to be listed */
    bool is_seen;                  /* the listing shows it */
    bool is_fresh;                 /* seen for the first time, and not told yet */
    bool is_to_open;
};

/* An entry of a listing. */
struct found { struct state state; size_t bytes; char name[]; };

struct watching {
    struct course course;           /* first */
    struct hark_io io;              /* the queue */
    struct entry *root;             /* of the picture */
    struct entry *gone, **gone_end; /* taken out of it since the last comparison */
    bool has_started;
    bool is_opening;                /* something is to be opened */
    struct entry *listed;           /* whose listing is in found */
    size_t path_bytes;              /* with what room was taken for path */
    char path[];                    /* absolute, of the root */
};

/* vnode_tree.c: the picture. False or NULL: no memory. */
bool tree_can_compare_gone(const struct watching *w);
struct entry *entry_make(struct watching *w, struct entry *parent, const char *name);
struct entry *entry_next(const struct entry *entry); /* of all, those above first; NULL: no more */
bool entry_is_wanted(const struct watching *w, const struct entry *entry);
bool tree_tell(struct watching *w, int64_t what, const struct entry *entry);
bool tree_take_listing(struct watching *w);
bool tree_compare(struct watching *w);
void tree_free(struct watching *w);

/* vnode_look.c: for threads of the pool, which may take their time; the watch stands still. */
int64_t look_list(struct hark_op *op);  /* w->listed; its error: ENOBUFS: there is no room */
int64_t look_open(struct hark_op *op);  /* all that are to be opened, each with a note of it */
struct state look_state(const struct stat *st);

#endif
