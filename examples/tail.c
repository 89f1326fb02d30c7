/* tail -f over a tree: prints what is added to any file below a directory, from now on.
 *
 *     tail [DIRECTORY]
 *
 * The watch tells which file has changed; a fiber opens it, reads on from where it was left, and
 * closes it: none stays open. One that is renamed is followed, one that takes its name is new. */
#include <fcntl.h>
#include <hark/statx.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "example.h"

struct tailed {
    struct tailed *next;
    int64_t offset;             /* of what is not printed yet; -1: behind all that is there */
    unsigned changes;           /* since the latest look at it began; 0: none is under way */
    bool is_gone;
    char path[PATH_MAX];
};

static const char *root;
static struct hark_loop *loop;
static struct tailed *all;
static int64_t first_offset = -1; /* 0 once the watch has started: new files are read whole */
static int unmeasured = 1;        /* files whose end is not known yet, and the watch's start */

static void measured(void)
{
    if (--unmeasured != 0) return;
    printf("watching %s\n", root);
    fflush(stdout);
}

static void print_rest(struct tailed *tailed)
{
    static const struct tailed *last;
    char full[2 * PATH_MAX], buf[4096];
    struct hark_file file = { 0 };
    struct hark_op op = { 0 };
    struct statx stat;
    int64_t n, size = 0;
    snprintf(full, sizeof full, "%s/%s", root, tailed->path);
    bool is_open = hark_fiber_file_open(&file, full, O_RDONLY, 0) == 0;
    bool is_known = is_open && hark_await(&op, hark_file_stat, &file, &stat) == 0;
    if (is_known) size = (int64_t)stat.stx_size;
    if (tailed->offset < 0) { /* one that cannot be read is new if it can be later */
        tailed->offset = size;
        measured();
    }
    if (!is_open) return;
    if (tailed->offset > size) tailed->offset = 0; /* cut off: it begins anew */
    while ((n = hark_fiber_file_read(&file, buf, sizeof buf, tailed->offset)) > 0) {
        if (last != tailed) printf("==> %s <==\n", tailed->path);
        last = tailed;
        tailed->offset += n;
        fwrite(buf, 1, (size_t)n, stdout);
        fflush(stdout);
    }
    hark_fiber_file_close(&file);
}

static int64_t visit(void *arg)
{
    struct tailed *tailed = arg;
    do {
        tailed->changes = 1;
        print_rest(tailed);
    } while (tailed->changes > 1 && !tailed->is_gone);
    tailed->changes = 0;
    return 0;
}

static struct tailed *find(const char *path)
{
    struct tailed *at = all;
    while (at != NULL && (at->is_gone || strcmp(at->path, path) != 0)) at = at->next;
    if (at != NULL) return at;
    at = calloc(1, sizeof *at);
    if (at == NULL) abort();
    snprintf(at->path, sizeof at->path, "%s", path);
    at->offset = first_offset;
    unmeasured += first_offset < 0;
    at->next = all;
    return all = at;
}

static void on_change(struct hark_op *op)
{
    struct hark_watch *watch = op->user;
    if (!op->more && op->result != HARK_ECANCELED) example_require(op->result, root);
    if (op->result < 0) return;
    if (op->result == HARK_WATCH_STARTED) {
        first_offset = 0;
        measured();
    }
    if (watch->is_directory) return;
    struct tailed *tailed = find(watch->path);
    bool is_renamed = op->result == HARK_WATCH_RENAMED;
    if (is_renamed || op->result == HARK_WATCH_DELETED) tailed->is_gone = true; /* not freed yet */
    else if (tailed->changes++ == 0) {
        int error = hark_fiber_start(loop, visit, tailed);
        if (error != HARK_ECANCELED) example_require(error, "no stack"); /* closing: no more */
    }
    if (!is_renamed) return;
    tailed = find(watch->old_path);
    snprintf(tailed->path, sizeof tailed->path, "%s", watch->path);
}

int main(int argc, char **argv)
{
    struct hark_watch_options options = { .is_recursive = true, .tells_existing = true };
    struct hark_watch watch = { 0 };
    struct hark_op op = { .user = &watch };
    root = argc > 1 ? argv[1] : ".";
    loop = example_open();
    hark_watch(&op, &watch, loop, root, &options, on_change);
    return example_run(loop);
}
