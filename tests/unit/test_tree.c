/* The directories of a watch: one that goes takes along all below it, watched or not yet. */
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"
#include "watch/tree.h"

static struct hark_loop *loop;
static size_t bytes_held;

static void *count_bytes(void *arg, void *ptr, size_t old_bytes, size_t new_bytes)
{
    (void)arg;
    bytes_held += new_bytes - old_bytes;
    if (new_bytes != 0) return realloc(ptr, new_bytes);
    free(ptr);
    return NULL;
}

static struct node *watched(struct tree *tree, struct node *parent, const char *name, int wd)
{
    ck_assert_ptr_nonnull(tree_push(tree, parent, name, false));
    struct node *node = tree_pop(tree);
    ck_assert_int_eq(tree_enter(tree, node, wd), ENTERED);
    return node;
}

START_TEST(a_dropped_directory_takes_along_those_that_wait_to_be_scanned)
{
    struct hark_allocator allocator = { .resize = count_bytes };
    struct hark_loop_options options = { .allocator = &allocator };
    ck_assert_int_eq(hark_loop_open(&loop, &options), 0);
    size_t before = bytes_held;
    struct tree tree = { .loop = loop, .fd = -1 };
    struct node *root = watched(&tree, NULL, "", 1), *top = watched(&tree, root, "top", 2);
    struct node *below = watched(&tree, top, "below", 3);
    tree_push(&tree, root, "beside", false);
    tree_push(&tree, top, "inside", false);
    tree_push(&tree, below, "deep", false);
    tree_drop(&tree, top);
    ck_assert_ptr_null(tree_find(&tree, 2));
    ck_assert_ptr_null(tree_find(&tree, 3));
    struct node *left = tree_pop(&tree);
    ck_assert_str_eq(left->name, "beside");
    ck_assert_ptr_eq(left->parent, root);
    ck_assert_ptr_null(tree_pop(&tree));
    tree_free_node(&tree, left);
    tree_clear(&tree);
    ck_assert_uint_eq(bytes_held, before);
    hark_loop_close(loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tree");
    UNIT_CASE(suite, a_dropped_directory_takes_along_those_that_wait_to_be_scanned);
    return unit_run(suite);
}
