/* Watches of the run's directory: after it has started, a watch must tell what was done there, each
 * thing once and in order. What is done is recorded; a watch keeps the places at which it
 * may be, since its start may come before or after what was done meanwhile.
 *
 * On kqueue(2) it tells what is different from when it looked last: what it has told must have been
 * so, and must in the end be what is there. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum watch_verb { WATCH = FAMILY_VERBS + 80 };

enum { NAMES = 5, RECORD_MAX = 400 };

struct done { int event; unsigned name, old_name; };

#ifdef HARK_WITH_KQUEUE
/* One watch, and what it has told of each name. */
struct eye {
    struct hark_watch watch;
    bool has_started;
    size_t started_at;
    enum { NEVER, THERE, GONE } told[RECORD_MAX + 1];
    size_t told_at[RECORD_MAX + 1]; /* of the latest about its bytes */
};
#else
/* One watch; may_be[i]: all before done[i] has been told, or was before the start. */
struct eye {
    struct hark_watch watch;
    bool has_started;
    bool may_be[RECORD_MAX + 1];
};
#endif

/* The file that has each name, by a number that no other had; 0: none. */
static unsigned names[NAMES], last_name;
static struct done record[RECORD_MAX];
static size_t record_count;

static void path_of(char *path, size_t len, unsigned name)
{
    snprintf(path, len, "%s/n%u", world.directory, name);
}

static void note(int event, unsigned name, unsigned old_name)
{
    record[record_count++] = (struct done){ event, name, old_name };
}

static void make(unsigned *name)
{
    char path[64];
    *name = ++last_name;
    path_of(path, sizeof path, *name);
    close(checked(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), "a new file"));
    note(HARK_WATCH_CREATED, *name, 0);
    note(HARK_WATCH_WRITTEN, *name, 0);
}

static void change(unsigned name)
{
    char path[64];
    path_of(path, sizeof path, name);
    int fd = checked(open(path, O_WRONLY | O_APPEND | O_CLOEXEC), "a file");
    if (write(fd, "x", 1) != 1) fail("a file cannot be written");
    close(fd);
    note(HARK_WATCH_CHANGED, name, 0);
    note(HARK_WATCH_WRITTEN, name, 0);
}

static void rename_file(unsigned *name)
{
    char from[64], to[64];
    unsigned old_name = *name;
    *name = ++last_name;
    path_of(from, sizeof from, old_name);
    path_of(to, sizeof to, *name);
    if (rename(from, to) != 0) fail("a file cannot be renamed");
    note(HARK_WATCH_RENAMED, *name, old_name);
}

static void drop(unsigned *name, bool is_logged)
{
    char path[64];
    path_of(path, sizeof path, *name);
    if (unlink(path) != 0) fail("a file is gone");
    if (is_logged) note(HARK_WATCH_DELETED, *name, 0);
    *name = 0;
}

static void change_mode(unsigned name)
{
    char path[64];
    path_of(path, sizeof path, name);
    if (chmod(path, one_in(2) ? 0600 : 0640) != 0) fail("chmod");
    note(HARK_WATCH_ATTRIBUTES, name, 0);
}

static void touch(void)
{
    unsigned *name = &names[below(NAMES)];
    if (record_count + 2 > RECORD_MAX) return;
    if (*name == 0) {
        make(name);
        return;
    }
    switch (below(4)) {
    case 0: change(*name); break;
    case 1: rename_file(name); break;
    case 2: drop(name, true); break;
    default:
        /* two in a row would be one event of the kernel's */
        if (record[record_count - 1].event != HARK_WATCH_ATTRIBUTES) change_mode(*name);
    }
}

static void watch_directory(void)
{
    struct slot *slot = slot_prepare(&watches, WATCH, NULL);
    if (slot == NULL) return;
    struct hark_watch_options options = { .is_recursive = one_in(2) };
    struct eye *eye = slot_take_memory(slot, sizeof *eye);
    slot->was_closed = world.is_closing;
    slot->is_repeating = true;
    slot->place = record_count;
    hark_watch(&slot->op, &eye->watch, world.loop, world.directory,
               one_in(2) ? &options : NULL, model_called);
}

static void act_on_watches(void)
{
    if (one_in(8)) watch_directory();
    else touch();
}

#ifdef HARK_WITH_KQUEUE
/* The place after the latest of that kind in the record; 0: none. */
static size_t latest(int event, unsigned name)
{
    size_t i = record_count;
    while (i > 0 && (record[i - 1].event != event || record[i - 1].name != name)) i--;
    return i;
}

static size_t came_at(unsigned name)
{
    size_t made = latest(HARK_WATCH_CREATED, name), named = latest(HARK_WATCH_RENAMED, name);
    return made > named ? made : named;
}

static bool is_there(unsigned name)
{
    for (int i = 0; i < NAMES; i++)
        if (names[i] == name) return true;
    return false;
}

static bool is_due(const struct slot *slot)
{
    const struct eye *eye = slot->memory;
    if (!eye->has_started) return true;
    for (unsigned name = 1; name <= last_name; name++) {
        size_t changed = latest(HARK_WATCH_CHANGED, name);
        if (!is_there(name)) {
            if (eye->told[name] == THERE) return true;
            continue;
        }
        if (eye->told[name] == NEVER && came_at(name) > eye->started_at) return true;
        if (changed > eye->started_at && changed > eye->told_at[name]) return true;
    }
    return false;
}

/* Was a file of that name called old_name before? */
static bool was_called(unsigned name, unsigned old_name)
{
    for (size_t i = record_count; i-- > 0 && name != old_name;)
        if (record[i].event == HARK_WATCH_RENAMED && record[i].name == name)
            name = record[i].old_name;
    return name == old_name;
}

static unsigned name_of(struct slot *slot, const char *path)
{
    char *end = NULL;
    unsigned long name = path != NULL && path[0] == 'n' ? strtoul(path + 1, &end, 10) : 0;
    if (name == 0 || name > last_name || *end != '\0') wrong(slot, "a watch tells of no such file");
    return (unsigned)name;
}

static void check_event(struct slot *slot, struct eye *eye)
{
    const struct hark_watch *watch = &eye->watch;
    unsigned name = name_of(slot, watch->path), old_name = 0;
    int64_t event = slot->op.result;
    if (eye->told[name] == GONE) wrong(slot, "a watch tells of a file that it has told to be gone");
    if (event == HARK_WATCH_RENAMED) {
        old_name = name_of(slot, watch->old_path);
        if (!was_called(name, old_name)) wrong(slot, "a watch tells of a rename that never was");
        if (eye->told[old_name] == GONE) wrong(slot, "what is gone cannot be renamed");
        eye->told[old_name] = GONE;
    } else if (watch->old_path != NULL) {
        wrong(slot, "an old name is of renames only");
    }
    bool is_new = event == HARK_WATCH_CREATED || event == HARK_WATCH_RENAMED;
    if (is_new && eye->told[name] == THERE) wrong(slot, "a watch tells twice of a new file");
    if (event == HARK_WATCH_WRITTEN) wrong(slot, "that is nothing that a watch can know");
    if (event == HARK_WATCH_CHANGED && latest(HARK_WATCH_CHANGED, name) == 0 && old_name == 0 &&
        latest(HARK_WATCH_RENAMED, name) == 0) wrong(slot, "nobody has written that");
    if (event == HARK_WATCH_DELETED && is_there(name)) wrong(slot, "a file is there");
    eye->told[name] = event == HARK_WATCH_DELETED ? GONE : THERE;
    if (is_new || event == HARK_WATCH_CHANGED) eye->told_at[name] = record_count;
    if (watch->is_directory) wrong(slot, "a file is no directory");
}

static void note_start(const struct slot *slot, struct eye *eye)
{
    (void)slot;
    eye->started_at = record_count;
}
#else
static bool is_due(const struct slot *slot)
{
    const struct eye *eye = slot->memory;
    return !eye->has_started || !eye->may_be[record_count];
}

static bool is_called(const char *path, unsigned name)
{
    char wanted[16];
    snprintf(wanted, sizeof wanted, "n%u", name);
    return name == 0 ? path == NULL : path != NULL && strcmp(path, wanted) == 0;
}

static void check_event(struct slot *slot, struct eye *eye)
{
    const struct hark_watch *watch = &eye->watch;
    bool is_possible = false;
    for (size_t i = record_count; i-- > 0;) {
        const struct done *done = &record[i];
        eye->may_be[i + 1] = eye->may_be[i] && slot->op.result == done->event &&
                             is_called(watch->path, done->name) &&
                             is_called(watch->old_path, done->old_name);
        is_possible = is_possible || eye->may_be[i + 1];
    }
    eye->may_be[0] = false;
    if (!is_possible) wrong(slot, "a watch tells what was not done, or has left out something");
    if (watch->is_directory) wrong(slot, "a file is no directory");
}

static void note_start(const struct slot *slot, struct eye *eye)
{
    for (size_t i = slot->place; i <= record_count; i++) eye->may_be[i] = true;
}
#endif

static void check(struct slot *slot, bool is_decision)
{
    struct eye *eye = slot->memory;
    if (is_decision) return;
    if (!slot->op.more) wrong(slot, "a watch cannot end like that");
    if (eye->has_started) {
        check_event(slot, eye);
        return;
    }
    if (slot->op.result != HARK_WATCH_STARTED) wrong(slot, "a watch begins with its start");
    eye->has_started = true;
    note_start(slot, eye);
}

static void nothing(void) {} /* files have no peers, and a watch no close */
static size_t no_ios(void) { return 0; }

static void clear(void)
{
    for (int i = 0; i < NAMES; i++)
        if (names[i] != 0) drop(&names[i], false);
    record_count = last_name = 0;
}

const struct family watches = {
    .act = act_on_watches, .is_due = is_due, .check = check, .help = nothing, .audit = no_ios,
    .wind_up = nothing, .clear = clear,
};
