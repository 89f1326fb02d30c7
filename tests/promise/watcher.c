/* See watcher.h. */
#include "watcher.h"

#include <stdio.h>
#include <sys/stat.h>

struct watcher watcher;

void watcher_hear(struct probe *probe)
{
    struct watcher *w = (struct watcher *)(void *)probe;
    if (!probe->op.more) return;
    ck_assert_int_lt(w->count, HEARD);
    struct heard *heard = &w->heard[w->count++];
    heard->what = probe->result;
    snprintf(heard->path, sizeof heard->path, "%s", w->watch.path);
    snprintf(heard->old_path, sizeof heard->old_path, "%s",
             w->watch.old_path != NULL ? w->watch.old_path : "");
    heard->is_directory = w->watch.is_directory;
}

const char *watched(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", watcher.root, name);
    return path;
}

void watcher_put(const char *name, const char *text) { write_text(watched(name), text); }

void watcher_make(const char *name) { ck_assert_int_eq(mkdir(watched(name), 0700), 0); }

void watcher_move(const char *from, const char *to)
{
    ck_assert_int_eq(rename(watched(from), watched(to)), 0);
}

void watcher_open_root(void)
{
    memset(&watcher, 0, sizeof watcher);
    memcpy(watcher.root, "/tmp/hark-watch-XXXXXX", 23);
    ck_assert_ptr_nonnull(mkdtemp(watcher.root));
}

void watcher_start_at(const char *path, struct hark_watch_options options)
{
    watcher.probe.then = watcher_hear;
    watcher.count = 0;
    hark_watch(&watcher.probe.op, &watcher.watch, loop, path, &options, on_probe);
    await_calls(&watcher.probe, 1);
}

void watcher_start(struct hark_watch_options options)
{
    watcher_open_root();
    watcher_start_at(watcher.root, options);
    ck_assert_int_eq(watcher.heard[0].what, HARK_WATCH_STARTED);
    ck_assert_str_eq(watcher.heard[0].path, "");
}

void watcher_remove_root(void)
{
    ck_assert_int_eq(remove_tree(watcher.root), 0);
}

void watcher_end(void)
{
    if (hark_is_alive(&watcher.probe.op)) {
        hark_cancel(&watcher.probe.op);
        await(&watcher.probe);
        ck_assert_result(&watcher.probe, HARK_ECANCELED);
    }
    watcher_remove_root();
}

static bool is_that(const struct heard *heard, int64_t what, const char *path)
{
    return heard->what == what && strcmp(heard->path, path) == 0;
}

int told_times(int64_t what, const char *path)
{
    int count = 0;
    for (int i = 0; i < watcher.count; i++) count += is_that(&watcher.heard[i], what, path);
    return count;
}

/* Each is looked at once. */
static bool is_told_since(int *seen, int64_t what, const char *path)
{
    for (; *seen < watcher.count; ++*seen)
        if (is_that(&watcher.heard[*seen], what, path)) return true;
    return false;
}

void await_told(int64_t what, const char *path)
{
    int64_t until = clock_now() + PATIENCE_S * HARK_SECOND;
    for (int seen = 0; !is_told_since(&seen, what, path);) {
        ck_assert_msg(clock_now() < until, "%lld of %s is not told", (long long)what, path);
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    }
    spin(20);
}

bool each_is_told(void) { return !backend_is("kqueue"); }

bool written_is_told(void) { return !backend_is("kqueue") && !backend_is("iocp"); }

void let_see(int64_t what, const char *path)
{
    if (!written_is_told()) await_told(what, path);
}

int news_of(const char *path)
{
    if (written_is_told()) return told_times(HARK_WATCH_WRITTEN, path);
    return told_times(HARK_WATCH_CREATED, path) + told_times(HARK_WATCH_CHANGED, path) +
           told_times(HARK_WATCH_RENAMED, path);
}

void await_news(const char *path, int before)
{
    int64_t until = clock_now() + PATIENCE_S * HARK_SECOND;
    while (news_of(path) == before) {
        ck_assert_msg(clock_now() < until, "nothing of %s is told", path);
        ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    }
    spin(20);
}

void put_seen(const char *name)
{
    int before = news_of(name);
    watcher_put(name, "x");
    await_news(name, before);
}

const struct heard *the_told(int64_t what, const char *path)
{
    for (int i = 0; i < watcher.count; i++)
        if (watcher.heard[i].what == what && strcmp(watcher.heard[i].path, path) == 0)
            return &watcher.heard[i];
    ck_abort_msg("%lld of %s is not told", (long long)what, path);
}
