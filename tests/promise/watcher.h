/* What the tests of watches share: one watch of a folder, what it has heard, and what is done in
 * there. */
#ifndef TESTS_PROMISE_WATCHER_H
#define TESTS_PROMISE_WATCHER_H

#include "harness.h"

enum { HEARD = 40000 };

struct heard { int64_t what; char path[64], old_path[64]; bool is_directory; };

extern struct watcher {
    struct probe probe;
    struct hark_watch watch;
    char root[64];
    int count;
    struct heard heard[HEARD];
} watcher;

void watcher_hear(struct probe *probe);
void watcher_open_root(void);
void watcher_start_at(const char *path, struct hark_watch_options options);
void watcher_start(struct hark_watch_options options); /* at a new root */
void watcher_remove_root(void);
void watcher_end(void);

/* In the folder. */
const char *watched(const char *name); /* its path, until some calls later */
void watcher_put(const char *name, const char *text);
void watcher_make(const char *name);
void watcher_move(const char *from, const char *to);

int told_times(int64_t what, const char *path);
const struct heard *the_told(int64_t what, const char *path);

/* Runs turns until that is told, and then those that tell what is told besides. */
void await_told(int64_t what, const char *path);

/* kqueue(2) does not: what is undone next must have been seen, or it never was. */
bool each_is_told(void);

/* HARK_WATCH_WRITTEN comes, and all in its order: Linux. */
bool written_is_told(void);
void let_see(int64_t what, const char *path);

/* Whatever says that a file has new bytes: how often it was told, and until it is told again. */
int news_of(const char *path);
void await_news(const char *path, int before);
void put_seen(const char *name);

#endif
