/* The directories that one watch holds, by the numbers that inotify(7) gives them; and the names
 * that a listing has told, so that events which say the same are not told twice. */
#ifndef HARK_WATCH_TREE_H
#define HARK_WATCH_TREE_H

#include "loop/loop.h"

struct node {
    struct node *parent;     /* NULL: the root */
    struct node *next;       /* among those to be scanned */
    int wd;                  /* -1: not watched yet */
    bool is_told;            /* its first entries are told as created */
    bool is_incomplete;      /* one below it was not where it should be: it may have moved along */
    bool is_again;           /* to be scanned for what is missing */
    char name[];
};

struct told;

enum { TOLD_BUCKETS = 64 };

struct tree {
    struct hark_loop *loop;
    int fd;                        /* of inotify */
    struct node *root;
    struct node *to_scan;          /* a stack */
    struct node **nodes;           /* that are watched, by wd */
    size_t count, room;
    struct told *told[TOLD_BUCKETS];
    size_t told_count;
    int64_t told_left;             /* bytes of events that may say what was told */
};

/* A directory to be scanned; NULL: no memory. */
struct node *tree_push(struct tree *tree, struct node *parent, const char *name, bool is_told);
struct node *tree_pop(struct tree *tree);

enum entered { ENTERED, KNOWN, NO_MEMORY };

/* node is watched as wd. KNOWN: it was so already, maybe under another name, and has been listed;
 * node takes that one's place, or is gone. NO_MEMORY: node is gone. */
enum entered tree_enter(struct tree *tree, struct node *node, int wd);

struct node *tree_find(const struct tree *tree, int wd);
struct node *tree_child(const struct tree *tree, const struct node *parent, const char *name);

/* Gives a directory another place. False: no memory; it is no longer watched. */
bool tree_move(struct tree *tree, struct node *node, struct node *parent, const char *name);

/* Scans again what is incomplete in and below a directory that has moved. False: no memory. */
bool tree_complete(struct tree *tree, const struct node *top);

/* Watches a directory and all below it no longer. */
void tree_drop(struct tree *tree, struct node *node);
void tree_free_node(struct tree *tree, struct node *node); /* one that is not watched */
void tree_clear(struct tree *tree);

/* Writes the path of name in node below the root; false: it is longer than PATH_MAX. */
bool tree_path(const struct node *node, const char *name, char *path);

bool tree_tell(struct tree *tree, const struct node *node, const char *name);
bool tree_was_told(struct tree *tree, const struct node *node, const char *name); /* once */
void tree_consumed(struct tree *tree, size_t bytes); /* of events */

#endif
