/* One watch at work where the kernel tells what happens in a directory or below it, into a buffer:
 * ReadDirectoryChangesW. What changes.c (its steps), changes_event.c (what the kernel tells),
 * changes_known.c (what is there) and changes_look.c (how the disk is asked) share.
 *
 * The kernel tells names and what became of them, and not whether one is a directory, nor which
 * file it is. So a watch knows what there is, by the paths that it has listed or heard of, and asks
 * the disk for what is new. What has happened is told as the kernel tells it. */
#ifndef HARK_WATCH_CHANGES_H
#define HARK_WATCH_CHANGES_H

#include "backend/iocp.h"

#include <limits.h>

#include "watch/course.h"

enum {
    EVENT_BYTES = 65536,    /* the most that a server takes */
    EVENTS_MAX = EVENT_BYTES / 14,
    BUCKETS = 256,          /* of the table, at first */
};

/* What is there, by its path. */
struct known {
    struct known *next;            /* in its bucket */
    struct known *next_to_list;
    uint64_t id;                   /* 0: not asked for, or not to be had */
    size_t bytes;
    bool is_directory;
    bool is_to_list;
    bool is_listed;                /* found by a listing: its event may still come */
    char path[];
};

struct found { uint64_t id; size_t bytes; bool is_directory; char name[]; };

/* What the kernel is asked for: names and bytes of what is watched; attributes, apart, since a
 * change tells not of what; and the names beside the directory that is watched, which is no part of
 * it, for its own end. */
enum source_kind { SOURCE_NAMES, SOURCE_ATTRIBUTES, SOURCE_PARENT, SOURCES };

struct source {
    struct iocp_packet packet;
    struct watching *watching;
    HANDLE handle;                 /* NULL: none */
    bool is_reading;               /* the kernel has buffers[reading] */
    bool has_data;                 /* and gave it back */
    int reading;
    DWORD error, data_bytes;
    uint64_t order;                /* in which they came */
    char *buffers[2];
};

/* What the disk says of an event's path. */
struct looked { uint64_t id; bool is_there, is_directory; };

struct watching {
    struct course course;           /* first */
    int64_t first_result;           /* HARK_WATCH_STARTED, after a loss HARK_EOVERFLOW; 0: told */
    bool is_open, is_lost;
    bool is_waiting;                /* for a source */
    int open_error;
    struct source sources[SOURCES];
    uint64_t order;
    /* Events that are being told. */
    struct source *current;         /* NULL: none */
    const char *events;
    size_t at;
    int index;                      /* of the event at at */
    bool is_looked;
    struct looked looked[EVENTS_MAX];
    char old_path[PATH_MAX];        /* the first half of a rename; "": none waits */
    /* What is there. */
    struct known **buckets;
    size_t bucket_count, known_count;
    struct known *to_list;
    int list_error;
    size_t path_bytes;              /* with what room was taken for path */
    char path[];                    /* absolute, of the directory */
};

/* changes_event.c: handles one event of the current ones; false: no memory. */
bool event_take(struct watching *w);
const FILE_NOTIFY_INFORMATION *event_at(const struct watching *w, size_t at);
bool event_path(const FILE_NOTIFY_INFORMATION *event, char path[PATH_MAX]);
bool event_is_of(const FILE_NOTIFY_INFORMATION *event, const char *name);

/* changes_known.c. False or NULL: no memory, but for known_find(). */
struct known *known_find(const struct watching *w, const char *path);
struct known *known_add(struct watching *w, const char *path, uint64_t id, bool is_directory);
void known_drop(struct watching *w, const char *path); /* with all below */
bool known_move(struct watching *w, const char *from, const char *to);
void known_list_soon(struct watching *w, struct known *known);
bool known_take_listing(struct watching *w, bool is_told);
void known_clear(struct watching *w);

/* changes_look.c: for threads of the pool, which may take their time; the watch stands still. */
int64_t look_open(struct hark_op *op);   /* what is watched: w->open_error */
int64_t look_list(struct hark_op *op);   /* w->to_list: w->list_error, ENOBUFS: there is no room */
int64_t look_events(struct hark_op *op); /* the current ones */
int64_t look_root(struct hark_op *op);   /* is it where it was? w->open_error */

#endif
