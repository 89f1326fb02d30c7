/* Watches of files, directories and trees: each thing that happens is told once, with its names,
 * and what cannot be told is said so. The test makes it happen by plain system calls. Where a
 * kernel only tells that something is different, the watch is let see each step before the next. */
#include "groups.h"
#include "watcher.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>

START_TEST(a_file_is_told_when_it_is_created_changed_and_deleted)
{
    watcher_start((struct hark_watch_options){ 0 });
    watcher_put("file", "text");
    let_see(HARK_WATCH_CREATED, "file");
    if (!each_is_told()) watcher_put("file", "more");
    let_see(HARK_WATCH_CHANGED, "file");
    ck_assert_int_eq(change_attributes(watched("file")), 0);
    let_see(HARK_WATCH_ATTRIBUTES, "file");
    ck_assert_int_eq(unlink(watched("file")), 0);
    await_told(HARK_WATCH_DELETED, "file");
    static const int64_t wanted[] = { HARK_WATCH_STARTED, HARK_WATCH_CREATED, HARK_WATCH_CHANGED,
                                      HARK_WATCH_WRITTEN, HARK_WATCH_ATTRIBUTES,
                                      HARK_WATCH_DELETED };
    bool is_in_parts = backend_is("iocp"); /* its size, then its bytes */
    int count = 0;
    for (int i = 0; i < 6; i++) {
        if (wanted[i] == HARK_WATCH_WRITTEN && !written_is_told()) continue;
        ck_assert_int_eq(watcher.heard[count++].what, wanted[i]);
        while (is_in_parts && count < watcher.count && watcher.heard[count].what == wanted[i])
            count++;
    }
    ck_assert_int_eq(watcher.count, count);
    watcher_end();
}
END_TEST

START_TEST(a_rename_is_one_event_with_both_names)
{
    watcher_start((struct hark_watch_options){ .is_recursive = true });
    watcher_make("a");
    watcher_make("b");
    watcher_put("a/one", "1");
    watcher_put("b/seen", "1");
    await_told(HARK_WATCH_CREATED, "b/seen"); /* so it is watched */
    await_told(HARK_WATCH_CREATED, "a/one");
    watcher_move("a/one", "b/two");
    await_told(HARK_WATCH_RENAMED, "b/two");
    ck_assert_str_eq(the_told(HARK_WATCH_RENAMED, "b/two")->old_path, "a/one");
    ck_assert_int_eq(told_times(HARK_WATCH_DELETED, "a/one"), 0);
    ck_assert_int_eq(told_times(HARK_WATCH_CREATED, "b/two"), 0);
    watcher_end();
}
END_TEST

START_TEST(a_file_that_leaves_is_deleted_and_one_that_comes_is_created)
{
    char outside[] = "/tmp/hark-other-XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(outside));
    snprintf(path, sizeof path, "%s/file", outside);
    watcher_start((struct hark_watch_options){ 0 });
    watcher_put("file", "x");
    let_see(HARK_WATCH_CREATED, "file");
    ck_assert_int_eq(rename(watched("file"), path), 0);
    await_told(HARK_WATCH_DELETED, "file");
    ck_assert_int_eq(rename(path, watched("back")), 0);
    await_told(HARK_WATCH_CREATED, "back");
    ck_assert_int_eq(told_times(HARK_WATCH_CREATED, "file"), 1);
    ck_assert_int_eq(rmdir(outside), 0);
    watcher_end();
}
END_TEST

/* Other events stand between the halves: of each of many files that leave, and of renames. */
START_TEST(many_that_leave_do_not_wait_for_each_other)
{
    char outside[] = "/tmp/hark-other-XXXXXX", path[64], name[16];
    ck_assert_ptr_nonnull(mkdtemp(outside));
    watcher_start((struct hark_watch_options){ 0 });
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "f%d", i);
        watcher_put(name, "x");
    }
    await_news("f399", 0);
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "f%d", i);
        snprintf(path, sizeof path, "%s/f", outside);
        ck_assert_int_eq(rename(watched(name), path), 0);
    }
    int64_t before = clock_now(); /* the loop has not run meanwhile */
    await_told(HARK_WATCH_DELETED, "f399");
    ck_assert_int_lt(clock_now() - before, 3 * HARK_SECOND); /* not ten ms each */
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "f%d", i);
        await_told(HARK_WATCH_DELETED, name);
        ck_assert_int_eq(told_times(HARK_WATCH_DELETED, name), 1);
    }
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(outside), 0);
    watcher_end();
}
END_TEST

/* Made at once, before anybody can have watched the new directories. */
START_TEST(what_a_new_directory_holds_before_it_is_watched_is_told_once)
{
    char name[64];
    watcher_start((struct hark_watch_options){ .is_recursive = true });
    for (int round = 0; round < 10; round++) {
        snprintf(name, sizeof name, "d%d", round);
        watcher_make(name);
        snprintf(name, sizeof name, "d%d/sub", round);
        watcher_make(name);
        for (int i = 0; i < 5; i++) {
            snprintf(name, sizeof name, "d%d/sub/f%d", round, i);
            watcher_put(name, "x");
            if (i == 2) spin(round); /* so that some come while it is looked at */
        }
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 5; i++) {
            snprintf(name, sizeof name, "d%d/sub/f%d", round, i);
            await_told(HARK_WATCH_CREATED, name);
        }
    }
    spin(50);
    for (int i = 0; i < watcher.count; i++) {
        const struct heard *heard = &watcher.heard[i];
        if (heard->what != HARK_WATCH_CREATED) continue;
        ck_assert_msg(told_times(HARK_WATCH_CREATED, heard->path) == 1, "%s twice", heard->path);
    }
    put_seen("d3/sub/late");
    watcher_end();
}
END_TEST

/* A listing of many takes many turns: what is made meanwhile may be in it, and is an event too. */
START_TEST(what_is_made_while_a_directory_is_listed_is_told_once)
{
    enum { BEFORE = 400, MEANWHILE = 100 };
    char name[64];
    watcher_start((struct hark_watch_options){ .is_recursive = true });
    watcher_make("d");
    for (int i = 0; i < BEFORE; i++) {
        snprintf(name, sizeof name, "d/f%d", i);
        watcher_put(name, "");
    }
    await_calls(&watcher.probe, 20); /* the listing has begun */
    for (int i = BEFORE; i < BEFORE + MEANWHILE; i++) {
        snprintf(name, sizeof name, "d/f%d", i);
        watcher_put(name, "");
    }
    for (int i = 0; i < BEFORE + MEANWHILE; i++) {
        snprintf(name, sizeof name, "d/f%d", i);
        await_told(HARK_WATCH_CREATED, name);
    }
    put_seen("d/last");
    for (int i = 0; i < BEFORE + MEANWHILE; i++) {
        snprintf(name, sizeof name, "d/f%d", i);
        ck_assert_msg(told_times(HARK_WATCH_CREATED, name) == 1, "%s twice", name);
    }
    watcher_end();
}
END_TEST

START_TEST(a_tree_that_is_there_is_watched_and_told_only_if_asked_for)
{
    watcher_open_root();
    watcher_make("a");
    watcher_make("a/b");
    watcher_put("a/b/old", "x");
    watcher_start_at(watcher.root, (struct hark_watch_options){ .is_recursive = true });
    ck_assert_int_eq(watcher.heard[0].what, HARK_WATCH_STARTED);
    watcher_put("a/b/new", "x");
    await_told(HARK_WATCH_CREATED, "a/b/new");
    ck_assert_int_eq(told_times(HARK_WATCH_CREATED, "a/b/old"), 0);
    hark_cancel(&watcher.probe.op);
    await(&watcher.probe);
    memset(&watcher.probe, 0, sizeof watcher.probe);
    watcher_start_at(watcher.root, (struct hark_watch_options){ .is_recursive = true,
                                                        .tells_existing = true });
    await_told(HARK_WATCH_STARTED, "");
    ck_assert_int_eq(watcher.count, 5);
    ck_assert_int_eq(watcher.heard[4].what, HARK_WATCH_STARTED);
    ck_assert(the_told(HARK_WATCH_CREATED, "a/b")->is_directory);
    ck_assert(!the_told(HARK_WATCH_CREATED, "a/b/old")->is_directory);
    ck_assert_int_eq(told_times(HARK_WATCH_CREATED, "a/b/new"), 1);
    watcher_end();
}
END_TEST

START_TEST(a_directory_that_is_renamed_tells_by_its_new_name)
{
    watcher_start((struct hark_watch_options){ .is_recursive = true });
    watcher_make("a");
    watcher_make("a/sub");
    watcher_make("b");
    watcher_put("b/seen", "1");
    await_told(HARK_WATCH_CREATED, "a/sub");
    await_told(HARK_WATCH_CREATED, "b/seen"); /* so it is watched */
    watcher_move("a", "b/c");
    await_told(HARK_WATCH_RENAMED, "b/c");
    put_seen("b/c/sub/file");
    ck_assert_int_eq(told_times(HARK_WATCH_CREATED, "b/c/sub"), 0);
    watcher_make("a");
    watcher_put("a/new", "x");
    await_told(HARK_WATCH_CREATED, "a/new");
    ck_assert_int_eq(rmdir(watched("b/c/sub")), -1);
    ck_assert_int_eq(unlink(watched("b/c/sub/file")) | rmdir(watched("b/c/sub")), 0);
    await_told(HARK_WATCH_DELETED, "b/c/sub");
    watcher_end();
}
END_TEST

static void rename_what_is_told(struct probe *probe)
{
    watcher_hear(probe);
    if (!probe->op.more || strcmp(watcher.watch.path, "d") != 0) return;
    if (probe->result != HARK_WATCH_CREATED) return;
    watcher_make("d/sub"); /* it looks different now */
    watcher_move("d", "e");
}

START_TEST(what_is_told_may_be_renamed_in_the_callback)
{
    watcher_start((struct hark_watch_options){ .is_recursive = true });
    watcher.probe.then = rename_what_is_told;
    watcher_make("d");
    await_told(HARK_WATCH_RENAMED, "e");
    ck_assert_str_eq(the_told(HARK_WATCH_RENAMED, "e")->old_path, "d");
    ck_assert_int_eq(told_times(HARK_WATCH_DELETED, "d"), 0);
    watcher_put("e/sub/file", "x");
    await_told(HARK_WATCH_CREATED, "e/sub/file");
    watcher_end();
}
END_TEST

/* The watch finds a new directory gone that has moved with the one above it. */
START_TEST(a_directory_that_moves_before_it_is_watched_is_found)
{
    char from[32], to[32], path[64];
    watcher_start((struct hark_watch_options){ .is_recursive = true });
    for (int i = 0; i < 20; i++) {
        snprintf(from, sizeof from, "d%d", i);
        snprintf(to, sizeof to, "moved%d", i);
        snprintf(path, sizeof path, "%s/sub", from);
        watcher_make(from);
        await_told(HARK_WATCH_CREATED, from);
        watcher_make(path);
        snprintf(path, sizeof path, "%s/sub/x", from);
        watcher_make(path);
        spin(i / 2);
        watcher_move(from, to);
        snprintf(path, sizeof path, "%s/sub/file", to);
        await_told(HARK_WATCH_RENAMED, to);
        watcher_put(path, "x");
        await_told(HARK_WATCH_CREATED, path);
    }
    watcher_end();
}
END_TEST

START_TEST(a_watched_file_goes_on_being_watched_when_it_is_replaced)
{
    watcher_open_root();
    watcher_put("log", "1");
    watcher_start_at(watched("log"), (struct hark_watch_options){ 0 });
    watcher_put("other", "x");
    watcher_move("log", "log.1"); /* rotation */
    put_seen("log");
    ck_assert_str_eq(the_told(HARK_WATCH_RENAMED, "log.1")->old_path, "log");
    ck_assert_int_eq(told_times(HARK_WATCH_CREATED, "log"), 1);
    int before = news_of("log");
    watcher_put("log.tmp", "3");
    watcher_move("log.tmp", "log"); /* an editor */
    if (each_is_told()) {
        await_told(HARK_WATCH_RENAMED, "log");
        ck_assert_str_eq(the_told(HARK_WATCH_RENAMED, "log")->old_path, "log.tmp");
    } else {
        await_news("log", before); /* another file, whatever its name was */
        ck_assert_int_eq(told_times(HARK_WATCH_DELETED, "log"), 1);
    }
    watcher.count = 0;
    put_seen("log");
    ck_assert_int_eq(unlink(watched("log")), 0);
    await_told(HARK_WATCH_DELETED, "log");
    for (int i = 0; i < watcher.count; i++) ck_assert_str_eq(watcher.heard[i].path, "log");
    watcher_end();
}
END_TEST

START_TEST(a_file_that_is_not_there_yet_is_told_when_it_comes)
{
    watcher_open_root();
    watcher_start_at(watched("later"), (struct hark_watch_options){ .is_recursive = true });
    ck_assert_int_eq(watcher.heard[0].what, HARK_WATCH_STARTED);
    watcher_put("sooner", "x");
    put_seen("later");
    ck_assert_int_eq(watcher.heard[1].what, HARK_WATCH_CREATED);
    ck_assert_str_eq(watcher.heard[1].path, "later");
    watcher_end();
}
END_TEST

static size_t event_limit(void)
{
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    unsigned limit = 0;
    if (file == NULL || fscanf(file, "%u", &limit) != 1) limit = 0;
    if (file != NULL) fclose(file);
    return limit;
}

START_TEST(lost_events_are_told_as_lost_and_the_watch_is_whole_again)
{
    size_t limit = event_limit();
    if (limit == 0 || limit > 50000 || !written_is_told()) { /* else none can be lost */
        printf("skipped: a queue of %zu events\n", limit);
        return;
    }
    watcher_start((struct hark_watch_options){ .is_recursive = true });
    watcher_put("a", "x");
    watcher_put("b", "x");
    for (size_t i = 0; i < limit; i++) /* alike in a row they would be one */
        ck_assert_int_eq(chmod(watched(i % 2 == 0 ? "a" : "b"), 0600), 0);
    watcher_make("unseen");
    watcher_put("unseen/file", "x");
    await_told(HARK_EOVERFLOW, "");
    ck_assert_int_eq(told_times(HARK_EOVERFLOW, ""), 1);
    ck_assert_int_eq(told_times(HARK_WATCH_CREATED, "unseen"), 0);
    watcher_put("unseen/new", "x");
    await_told(HARK_WATCH_WRITTEN, "unseen/new");
    watcher_end();
}
END_TEST

START_TEST(the_end_of_what_is_watched_ends_the_watch)
{
    watcher_start((struct hark_watch_options){ .is_recursive = true });
    watcher_remove_root();
    await(&watcher.probe);
    ck_assert_result(&watcher.probe, HARK_ENOENT);
}
END_TEST

START_TEST(a_watch_ends_when_what_is_watched_is_moved)
{
    char moved[sizeof watcher.root + 6];
    watcher_start((struct hark_watch_options){ 0 });
    snprintf(moved, sizeof moved, "%s-moved", watcher.root);
    ck_assert_int_eq(rename(watcher.root, moved), 0);
    await(&watcher.probe);
    ck_assert_result(&watcher.probe, HARK_ENOENT);
    ck_assert_int_eq(rmdir(moved), 0);
}
END_TEST

START_TEST(what_cannot_be_watched_is_an_error)
{
    char longest[5000];
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    const struct { const char *path; int64_t wanted; } wrong[] = {
        { "", HARK_ENOENT }, { "/absent/file", HARK_ENOENT }, { "/dev/null/x", HARK_ENOTDIR },
        { longest, HARK_ENAMETOOLONG }, { "/absent/", HARK_ENOENT },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct probe watching = { 0 };
        struct hark_watch watch = { 0 };
        snprintf(doing, sizeof doing, "%.20s", wrong[i].path);
        hark_watch(&watching.op, &watch, loop, wrong[i].path, NULL, on_probe);
        ck_assert_int_eq(watching.calls, 0);
        await(&watching);
        ck_assert_result(&watching, wrong[i].wanted);
        ck_assert_int_eq(watching.calls, 1);
    }
}
END_TEST

/* It is not taken for a name at the root of everything. */
START_TEST(a_relative_path_where_no_directory_is_the_current_one_is_enoent)
{
    static const char *const paths[] = { "tmp", ".", "etc/passwd" };
    char root[] = "/tmp/hark-watch-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(root));
    ck_assert_int_eq(chdir(root), 0);
    if (rmdir(root) != 0) {
        printf("skipped: the current directory cannot be removed here\n");
        ck_assert_int_eq(chdir(".."), 0);
        ck_assert_int_eq(rmdir(root), 0);
        return;
    }
    for (int i = 0; i < 3; i++) {
        struct probe watching = { 0 };
        struct hark_watch watch = { 0 };
        hark_watch(&watching.op, &watch, loop, paths[i], NULL, on_probe);
        await_calls(&watching, 1);
        ck_assert_result(&watching, HARK_ENOENT);
        ck_assert_int_eq(watching.last_calls, 1);
    }
}
END_TEST

START_TEST(a_watch_can_be_canceled_times_out_and_ends_with_its_loop)
{
    for (int turns = 0; turns < 12; turns++) {
        struct probe watching = { 0 };
        struct hark_watch watch = { 0 };
        struct hark_watch_options options = { .is_recursive = true, .tells_existing = true };
        hark_watch(&watching.op, &watch, loop, "/proc/self/task", &options, on_probe);
        spin(turns);
        if (!hark_is_alive(&watching.op)) break;
        ck_assert(hark_cancel(&watching.op));
        await(&watching);
        ck_assert_result(&watching, HARK_ECANCELED);
    }
    struct probe timed = { 0 };
    struct hark_watch watch = { 0 };
    timed.op.deadline_ns = hark_after(loop, 2 * HARK_MILLISECOND);
    hark_watch(&timed.op, &watch, loop, "/tmp", NULL, on_probe);
    await(&timed);
    ck_assert_result(&timed, HARK_ETIMEDOUT);
    static struct probe left[3];
    static struct hark_watch watches[3];
    static struct hark_watch_options all = { .is_recursive = true };
    for (int i = 0; i < 3; i++) {
        hark_watch(&left[i].op, &watches[i], loop, i == 0 ? "/tmp" : "/etc", &all, on_probe);
        hark_background(&left[i].op);
        spin(2 * i);
    }
}
END_TEST

/* The limit of a user namespace of the test's own. */
START_TEST(no_more_watches_is_enospc)
{
    int fd = -1;
    if (!each_is_told()) return; /* the limit is that of descriptors */
    watcher_open_root();
    watcher_make("a");
    watcher_make("b");
    if (unshare(CLONE_NEWUSER) == 0)
        fd = open("/proc/sys/user/max_inotify_watches", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "2", 1) != 1) {
        printf("skipped: no user namespace with a limit of its own\n");
        if (fd >= 0) close(fd);
        watcher_remove_root();
        return;
    }
    close(fd);
    watcher.probe.then = watcher_hear;
    struct hark_watch_options all = { .is_recursive = true };
    hark_watch(&watcher.probe.op, &watcher.watch, loop, watcher.root, &all, on_probe);
    await(&watcher.probe);
    ck_assert_result(&watcher.probe, HARK_ENOSPC);
    ck_assert_int_eq(watcher.count, 0);
    watcher_remove_root();
}
END_TEST

/* Each file has one there. */
START_TEST(no_more_descriptors_is_emfile)
{
    char name[16];
    struct rlimit limit;
    if (each_is_told()) return;
    watcher_open_root();
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "f%d", i);
        watcher_put(name, "x");
    }
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)open_descriptor_count() + 10;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    watcher.probe.then = watcher_hear;
    hark_watch(&watcher.probe.op, &watcher.watch, loop, watcher.root, NULL, on_probe);
    await(&watcher.probe);
    ck_assert_result(&watcher.probe, HARK_EMFILE);
    ck_assert_int_eq(watcher.count, 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    watcher_remove_root();
}
END_TEST

static void hear_for_fiber(struct probe *probe)
{
    struct hark_channel *channel = probe->arg;
    if (probe->op.more) ck_assert_int_eq(hark_channel_try_send(channel, &probe->result), 0);
    else hark_channel_close(channel);
}

static int64_t makes_and_hears(void *arg)
{
    static const int64_t wanted[] = { HARK_WATCH_CREATED, HARK_WATCH_CHANGED, HARK_WATCH_WRITTEN };
    struct hark_channel *channel = arg;
    int64_t what;
    watcher_put("file", "x");
    for (int i = 0; i < (written_is_told() ? 3 : 1); i++) {
        ck_assert_int_eq(hark_channel_receive(channel, &what), 0);
        ck_assert_int_eq(what, wanted[i]);
    }
    hark_cancel(&watcher.probe.op);
    return hark_channel_receive(channel, &what);
}

START_TEST(a_fiber_hears_a_watch_through_a_channel)
{
    struct hark_channel *channel;
    watcher_start((struct hark_watch_options){ 0 });
    ck_assert_int_eq(hark_channel_open(&channel, loop, sizeof(int64_t), 8), 0);
    watcher.probe.then = hear_for_fiber;
    watcher.probe.arg = channel;
    ck_assert_int_eq(hark_fiber_main(loop, makes_and_hears, channel), HARK_ECLOSED);
    hark_channel_free(channel);
    watcher_end();
}
END_TEST

Suite *group_watch(void)
{
    Suite *suite = suite_create("watch");
    CASE(suite, a_file_is_told_when_it_is_created_changed_and_deleted);
    CASE(suite, a_rename_is_one_event_with_both_names);
    CASE(suite, a_file_that_leaves_is_deleted_and_one_that_comes_is_created);
    CASE(suite, many_that_leave_do_not_wait_for_each_other);
    CASE(suite, what_a_new_directory_holds_before_it_is_watched_is_told_once);
    CASE(suite, what_is_made_while_a_directory_is_listed_is_told_once);
    CASE(suite, a_tree_that_is_there_is_watched_and_told_only_if_asked_for);
    CASE(suite, a_directory_that_is_renamed_tells_by_its_new_name);
    CASE(suite, what_is_told_may_be_renamed_in_the_callback);
    CASE(suite, a_directory_that_moves_before_it_is_watched_is_found);
    CASE(suite, a_watched_file_goes_on_being_watched_when_it_is_replaced);
    CASE(suite, a_file_that_is_not_there_yet_is_told_when_it_comes);
    CASE(suite, lost_events_are_told_as_lost_and_the_watch_is_whole_again);
    CASE(suite, the_end_of_what_is_watched_ends_the_watch);
    CASE(suite, a_watch_ends_when_what_is_watched_is_moved);
    CASE(suite, what_cannot_be_watched_is_an_error);
    CASE(suite, a_relative_path_where_no_directory_is_the_current_one_is_enoent);
    CASE(suite, a_watch_can_be_canceled_times_out_and_ends_with_its_loop);
    CASE(suite, no_more_watches_is_enospc);
    CASE(suite, no_more_descriptors_is_emfile);
    CASE(suite, a_fiber_hears_a_watch_through_a_channel);
    return suite;
}
