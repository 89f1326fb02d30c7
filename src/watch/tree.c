/* A table of directories sorted by watch number, each with its parent; see tree.h. Renames and
 * removals of directories look at all of them: they are rare, and a table needs no pointers down.
 * */
#include "watch/tree.h"

#include <limits.h>
#include <string.h>
#include <sys/inotify.h>

struct told {
    struct told *next;
    const struct node *node;
    char name[];
};

static size_t node_bytes(const char *name) { return sizeof(struct node) + strlen(name) + 1; }
static size_t told_bytes(const char *name) { return sizeof(struct told) + strlen(name) + 1; }

void tree_free_node(struct tree *tree, struct node *node)
{
    loop_resize(tree->loop, node, node_bytes(node->name), 0);
}

static struct node *make_node(struct tree *tree, struct node *parent, const char *name)
{
    size_t bytes = node_bytes(name);
    struct node *node = loop_resize(tree->loop, NULL, 0, bytes);
    if (node == NULL) return NULL;
    *node = (struct node){ .parent = parent, .wd = -1 };
    memcpy(node->name, name, bytes - sizeof *node);
    return node;
}

struct node *tree_push(struct tree *tree, struct node *parent, const char *name, bool is_told)
{
    struct node *node = make_node(tree, parent, name);
    if (node == NULL) return NULL;
    node->is_told = is_told;
    node->next = tree->to_scan;
    tree->to_scan = node;
    return node;
}

struct node *tree_pop(struct tree *tree)
{
    struct node *node = tree->to_scan;
    if (node != NULL) tree->to_scan = node->next;
    return node;
}

/* Where wd is, or belongs. */
static size_t place_of(const struct tree *tree, int wd)
{
    size_t low = 0, high = tree->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tree->nodes[middle]->wd < wd) low = middle + 1;
        else high = middle;
    }
    return low;
}

struct node *tree_find(const struct tree *tree, int wd)
{
    size_t at = place_of(tree, wd);
    return at < tree->count && tree->nodes[at]->wd == wd ? tree->nodes[at] : NULL;
}

struct node *tree_child(const struct tree *tree, const struct node *parent, const char *name)
{
    for (size_t i = 0; i < tree->count; i++) {
        struct node *node = tree->nodes[i];
        if (node->parent == parent && strcmp(node->name, name) == 0) return node;
    }
    return NULL;
}

/* True also for the node itself. */
static bool is_below(const struct node *node, const struct node *top)
{
    while (node != NULL && node != top) node = node->parent;
    return node == top;
}

static void forget_told(struct tree *tree, const struct node *node)
{
    for (int i = 0; i < TOLD_BUCKETS && tree->told_count != 0; i++) {
        for (struct told **link = &tree->told[i]; *link != NULL;) {
            struct told *told = *link;
            if (node != NULL && told->node != node) {
                link = &told->next;
                continue;
            }
            *link = told->next;
            tree->told_count--;
            loop_resize(tree->loop, told, told_bytes(told->name), 0);
        }
    }
}

/* Puts node where old was. */
static void replace(struct tree *tree, struct node *old, struct node *node)
{
    node->wd = old->wd;
    node->is_incomplete = old->is_incomplete;
    tree->nodes[place_of(tree, old->wd)] = node;
    for (size_t i = 0; i < tree->count; i++)
        if (tree->nodes[i]->parent == old) tree->nodes[i]->parent = node;
    forget_told(tree, old);
    tree_free_node(tree, old);
}

enum entered tree_enter(struct tree *tree, struct node *node, int wd)
{
    size_t at = place_of(tree, wd);
    struct node *known = at < tree->count && tree->nodes[at]->wd == wd ? tree->nodes[at] : NULL;
    if (known != NULL) {
        bool is_same = known->parent == node->parent && strcmp(known->name, node->name) == 0;
        if (is_same || is_below(node, known)) tree_free_node(tree, node); /* or mounted in itself */
        else replace(tree, known, node);
        return KNOWN;
    }
    if (tree->count == tree->room) {
        size_t room = tree->room == 0 ? 8 : 2 * tree->room;
        struct node **nodes = loop_resize(tree->loop, tree->nodes, tree->room * sizeof *nodes,
                                          room * sizeof *nodes);
        if (nodes == NULL) {
            tree_free_node(tree, node);
            return NO_MEMORY;
        }
        tree->nodes = nodes;
        tree->room = room;
    }
    memmove(tree->nodes + at + 1, tree->nodes + at, (tree->count - at) * sizeof *tree->nodes);
    tree->nodes[at] = node;
    tree->count++;
    node->wd = wd;
    return ENTERED;
}

bool tree_move(struct tree *tree, struct node *node, struct node *parent, const char *name)
{
    struct node *moved = make_node(tree, parent, name);
    if (moved == NULL) tree_drop(tree, node);
    else replace(tree, node, moved);
    return moved != NULL;
}

bool tree_complete(struct tree *tree, const struct node *top)
{
    for (size_t i = 0; i < tree->count; i++) {
        struct node *node = tree->nodes[i];
        if (!node->is_incomplete || !is_below(node, top)) continue;
        struct node *again = tree_push(tree, node->parent, node->name, false);
        if (again == NULL) return false;
        again->is_again = true;
    }
    return true;
}

/* Those in and below a directory that were to be scanned. */
static void drop_unscanned(struct tree *tree, const struct node *top)
{
    for (struct node **link = &tree->to_scan; *link != NULL;) {
        struct node *node = *link;
        if (!is_below(node, top)) {
            link = &node->next;
            continue;
        }
        *link = node->next;
        tree_free_node(tree, node);
    }
}

/* In two walks: whether one is below is told by those above it. */
void tree_drop(struct tree *tree, struct node *top)
{
    drop_unscanned(tree, top);
    size_t kept = 0, count = tree->count;
    struct node *gone = NULL;
    for (size_t i = 0; i < count; i++) {
        struct node *node = tree->nodes[i];
        if (is_below(node, top)) {
            node->next = gone;
            gone = node;
        } else {
            tree->nodes[kept++] = node;
        }
    }
    tree->count = kept;
    while (gone != NULL) {
        struct node *node = gone;
        gone = node->next;
        (void)inotify_rm_watch(tree->fd, node->wd); /* fails: the kernel has dropped it already */
        forget_told(tree, node);
        tree_free_node(tree, node);
    }
}

void tree_clear(struct tree *tree)
{
    for (struct node *node; (node = tree_pop(tree)) != NULL;) tree_free_node(tree, node);
    for (size_t i = 0; i < tree->count; i++) tree_free_node(tree, tree->nodes[i]);
    loop_resize(tree->loop, tree->nodes, tree->room * sizeof *tree->nodes, 0);
    forget_told(tree, NULL);
    *tree = (struct tree){ .loop = tree->loop, .fd = -1 };
}

/* Written from its end, then moved to the front. */
bool tree_path(const struct node *node, const char *name, char *path)
{
    size_t len = strlen(name), begin = PATH_MAX - 1;
    path[begin] = '\0';
    if (len > begin) return false;
    begin -= len;
    memcpy(path + begin, name, len);
    for (; node->parent != NULL; node = node->parent) {
        bool wants_slash = path[begin] != '\0';
        len = strlen(node->name);
        if (len + wants_slash > begin) return false;
        if (wants_slash) path[--begin] = '/';
        begin -= len;
        memcpy(path + begin, node->name, len);
    }
    memmove(path, path + begin, PATH_MAX - begin);
    return true;
}

static struct told **bucket(struct tree *tree, const char *name)
{
    uint32_t hash = 2166136261;
    for (const char *at = name; *at != '\0'; at++) hash = (hash ^ (unsigned char)*at) * 16777619;
    return &tree->told[hash % TOLD_BUCKETS];
}

bool tree_tell(struct tree *tree, const struct node *node, const char *name)
{
    size_t bytes = told_bytes(name);
    struct told *told = loop_resize(tree->loop, NULL, 0, bytes), **first = bucket(tree, name);
    if (told == NULL) return false;
    *told = (struct told){ .next = *first, .node = node };
    memcpy(told->name, name, bytes - sizeof *told);
    *first = told;
    tree->told_count++;
    return true;
}

bool tree_was_told(struct tree *tree, const struct node *node, const char *name)
{
    if (tree->told_count == 0) return false;
    for (struct told **link = bucket(tree, name); *link != NULL; link = &(*link)->next) {
        struct told *told = *link;
        if (told->node != node || strcmp(told->name, name) != 0) continue;
        *link = told->next;
        tree->told_count--;
        loop_resize(tree->loop, told, told_bytes(name), 0);
        return true;
    }
    return false;
}

void tree_consumed(struct tree *tree, size_t bytes)
{
    if (tree->told_count == 0) return;
    tree->told_left -= (int64_t)bytes;
    if (tree->told_left <= 0) forget_told(tree, NULL);
}
