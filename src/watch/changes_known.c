/* What is there below a directory that is watched, by paths, and what is to be told. See
 * changes.h. */
#include "watch/changes.h"

#include <string.h>

static size_t hash_of(const char *path)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *path != 0; path++) hash = (hash ^ (unsigned char)*path) * UINT64_C(1099511628211);
    return (size_t)(hash ^ hash >> 32);
}

static struct known **link_of(const struct watching *w, const char *path)
{
    struct known **link = &w->buckets[hash_of(path) & (w->bucket_count - 1)];
    while (*link != NULL && strcmp((*link)->path, path) != 0) link = &(*link)->next;
    return link;
}

struct known *known_find(const struct watching *w, const char *path)
{
    return w->bucket_count != 0 ? *link_of(w, path) : NULL;
}

static bool grow(struct watching *w)
{
    size_t wider = w->bucket_count != 0 ? 2 * w->bucket_count : BUCKETS;
    size_t bytes = sizeof *w->buckets;
    struct known **buckets = loop_resize(w->course.loop, NULL, 0, wider * bytes);
    if (buckets == NULL) return false;
    memset(buckets, 0, wider * bytes);
    for (size_t i = 0; i < w->bucket_count; i++) {
        while (w->buckets[i] != NULL) {
            struct known *known = w->buckets[i], **to;
            to = &buckets[hash_of(known->path) & (wider - 1)];
            w->buckets[i] = known->next;
            known->next = *to;
            *to = known;
        }
    }
    loop_resize(w->course.loop, w->buckets, w->bucket_count * bytes, 0);
    w->buckets = buckets;
    w->bucket_count = wider;
    return true;
}

struct known *known_add(struct watching *w, const char *path, uint64_t id, bool is_directory)
{
    if (w->known_count >= w->bucket_count && !grow(w)) return NULL;
    struct known **link = link_of(w, path), *known = *link;
    if (known == NULL) {
        size_t len = strlen(path) + 1, bytes = sizeof *known + len;
        known = loop_resize(w->course.loop, NULL, 0, bytes);
        if (known == NULL) return NULL;
        *known = (struct known){ .bytes = bytes };
        memcpy(known->path, path, len);
        *link = known;
        w->known_count++;
    }
    known->id = id;
    known->is_directory = is_directory;
    return known;
}

static void free_known(struct watching *w, struct known **link)
{
    struct known *known = *link, **queued = &w->to_list;
    *link = known->next;
    while (known->is_to_list && *queued != known) queued = &(*queued)->next_to_list;
    if (known->is_to_list) *queued = known->next_to_list;
    w->known_count--;
    loop_resize(w->course.loop, known, known->bytes, 0);
}

static bool is_below(const char *path, const char *top)
{
    size_t len = strlen(top);
    return strncmp(path, top, len) == 0 && path[len] == '/';
}

void known_drop(struct watching *w, const char *path)
{
    struct known *top = known_find(w, path);
    if (top == NULL) return;
    bool is_directory = top->is_directory;
    free_known(w, link_of(w, path));
    for (size_t i = 0; is_directory && i < w->bucket_count; i++) {
        for (struct known **link = &w->buckets[i]; *link != NULL;) {
            if (is_below((*link)->path, path)) free_known(w, link);
            else link = &(*link)->next;
        }
    }
}

/* Puts what is at the old path, the top or below it, to where it is now. */
static bool move_one(struct watching *w, const struct known *known, const char *from,
                     const char *to)
{
    char path[PATH_MAX];
    size_t head = strlen(to), tail = strlen(known->path + strlen(from)) + 1;
    if (head + tail > sizeof path) return true; /* nobody can be told of it */
    memcpy(path, to, head);
    memcpy(path + head, known->path + strlen(from), tail);
    struct known *moved = known_add(w, path, known->id, known->is_directory);
    if (moved != NULL && known->is_to_list) known_list_soon(w, moved);
    return moved != NULL;
}

static bool move_below(struct watching *w, const char *from, const char *to)
{
    struct known *moving = NULL; /* first all are taken out: the table may grow */
    bool has_memory = true;
    for (size_t i = 0; i < w->bucket_count; i++) {
        for (struct known **link = &w->buckets[i]; *link != NULL;) {
            struct known *known = *link;
            if (!is_below(known->path, from)) {
                link = &known->next;
                continue;
            }
            *link = known->next;
            known->next = moving;
            moving = known;
        }
    }
    while (moving != NULL) {
        struct known **link = &moving;
        has_memory = has_memory && move_one(w, moving, from, to);
        free_known(w, link);
    }
    return has_memory;
}

bool known_move(struct watching *w, const char *from, const char *to)
{
    struct known *top = known_find(w, from);
    known_drop(w, to); /* it is replaced */
    if (top == NULL) return true;
    bool is_directory = top->is_directory, has_memory = move_one(w, top, from, to);
    free_known(w, link_of(w, from));
    return has_memory && (!is_directory || move_below(w, from, to));
}

void known_list_soon(struct watching *w, struct known *known)
{
    if (known->is_to_list) return;
    known->is_to_list = true;
    known->next_to_list = w->to_list;
    w->to_list = known;
}

/* One entry of the directory that was listed. */
static bool take_found(struct watching *w, const char *folder, const struct found *found,
                       bool is_told)
{
    char path[PATH_MAX];
    size_t head = strlen(folder), len = strlen(found->name) + 1;
    if (head + 1 + len > sizeof path) return true; /* nobody can be told of it */
    memcpy(path, folder, head);
    if (head != 0) path[head++] = '/';
    memcpy(path + head, found->name, len);
    struct known *known = known_find(w, path);
    bool is_new = known == NULL;
    if (is_new && is_told && !course_tell(&w->course, HARK_WATCH_CREATED, path, NULL,
                                          found->is_directory)) return false;
    bool is_turned = is_new || (found->is_directory && !known->is_directory);
    known = known_add(w, path, found->id, found->is_directory);
    if (known == NULL) return false;
    known->is_listed = known->is_listed || is_new;
    if (is_turned && found->is_directory && w->course.options.is_recursive)
        known_list_soon(w, known);
    return true;
}

bool known_take_listing(struct watching *w, bool is_told)
{
    char folder[PATH_MAX];
    struct known *listed = w->to_list;
    w->to_list = listed->next_to_list;
    listed->is_to_list = false;
    memcpy(folder, listed->path, strlen(listed->path) + 1);
    for (size_t at = 0; at < w->course.found_bytes;) {
        const struct found *found = (const void *)(w->course.found + at);
        if (!take_found(w, folder, found, is_told)) return false;
        at += found->bytes;
    }
    return true;
}

void known_clear(struct watching *w)
{
    for (size_t i = 0; i < w->bucket_count; i++)
        while (w->buckets[i] != NULL) free_known(w, &w->buckets[i]);
    loop_resize(w->course.loop, w->buckets, w->bucket_count * sizeof *w->buckets, 0);
    w->buckets = NULL;
    w->bucket_count = 0;
}
