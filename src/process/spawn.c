/* What a spawn prepares before there is a child, and takes back after it: the paths of the program,
 * the descriptors, the memory for all. What the child itself does stands in system/child.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/sys.h"
#include "process/process.h"

struct plan {
    struct child_plan child;
    char *block;                 /* all that the plan points to; the stack is at its beginning */
    size_t block_bytes;
    bool *is_made;               /* the source is closed here afterwards */
};

static const char *search_path(const struct hark_process_options *options)
{
    const char *path = NULL;
    if (options->env == NULL) path = getenv("PATH");
    else
        for (const char *const *at = options->env; *at != NULL && path == NULL; at++)
            if (strncmp(*at, "PATH=", 5) == 0) path = *at + 5;
    return path != NULL ? path : "/usr/local/bin:/usr/bin:/bin";
}

/* Writes the paths to try into text, which has room. An empty part of PATH is the current
 * directory. */
static void write_candidates(struct plan *plan, const char *name, const char *path, char *text)
{
    const char **out = plan->child.candidates;
    size_t name_bytes = strlen(name) + 1;
    while (path != NULL) {
        size_t len = strcspn(path, ":");
        *out++ = text;
        memcpy(text, path, len);
        text += len;
        if (len != 0) *text++ = '/';
        memcpy(text, name, name_bytes);
        text += name_bytes;
        path = path[len] == ':' ? path + len + 1 : NULL;
    }
    *out = NULL;
}

/* One block for all: the stack, candidates, sources, copies, marks, text. */
static int plan_memory(struct plan *plan, struct hark_loop *loop)
{
    const struct hark_process_options *options = plan->child.options;
    const char *name = options->program != NULL ? options->program : options->argv[0];
    bool has_place = CALL_SEARCHES || strchr(name, '/') != NULL || name[0] == '\0';
    const char *path = has_place ? "" : search_path(options);
    size_t parts = 1, count = options->fd_count;
    for (const char *c = path; *c != '\0'; c++) parts += *c == ':';
    size_t pointers = (parts + 1) * sizeof *plan->child.candidates;
    size_t text = strlen(path) + parts * (strlen(name) + 2);
    if (count > SYS_BYTES_MAX / (2 * sizeof(int) + 1)) return -EINVAL;
    size_t numbers = count * (2 * sizeof(int) + 1);
    plan->block_bytes = CALL_CHILD_STACK_BYTES + pointers + numbers + text;
    plan->block = loop_resize(loop, NULL, 0, plan->block_bytes);
    if (plan->block == NULL) return -ENOMEM;
    plan->child.stack = plan->block;
    plan->child.candidates = (void *)(plan->block + CALL_CHILD_STACK_BYTES);
    plan->child.sources = (void *)(plan->block + CALL_CHILD_STACK_BYTES + pointers);
    plan->child.copies = plan->child.sources + count;
    plan->is_made = (void *)(plan->child.copies + count);
    write_candidates(plan, name, path, (char *)(plan->is_made + count));
    return 0;
}

/* A pipe with its other end opened as an io; gives the child's end, or a negative errno. */
static int make_pipe(struct hark_loop *loop, const struct hark_process_fd *fd)
{
    int ends[2], theirs = fd->source == HARK_PROCESS_WRITES;
    if (fd->io == NULL) return -EINVAL;
    if (call_child_pipe(ends, theirs) != 0) return -errno;
    int error = (hark_io_adopt)(fd->io, loop, ends[1 - theirs]);
    if (error == 0) return ends[theirs];
    (void)close(ends[0]);
    (void)close(ends[1]);
    return error == HARK_EEXIST ? -EEXIST : -ENOMEM;
}

/* A descriptor to copy, or a negative errno. */
static int make_source(struct hark_loop *loop, const struct hark_process_fd *fd, bool *is_made)
{
    *is_made = true;
    switch (fd->source) {
    case HARK_PROCESS_READS: case HARK_PROCESS_WRITES: return make_pipe(loop, fd);
    case HARK_PROCESS_NULL: {
        int null = open(CALL_NULL_DEVICE, O_RDWR | O_CLOEXEC);
        return null >= 0 ? null : -errno;
    }
    default:
        *is_made = false;
        return fd->source == HARK_PROCESS_FD ? fd->fd : fd->number;
    }
}

static bool is_pipe(const struct hark_process_fd *fd)
{
    return fd->source == HARK_PROCESS_READS || fd->source == HARK_PROCESS_WRITES;
}

/* Closes what only the child needs, and after a failure what the caller was to get. */
static void drop_sources(const struct plan *plan, size_t count, bool is_failed)
{
    for (size_t i = 0; i < count; i++) {
        const struct hark_process_fd *fd = &plan->child.options->fds[i];
        if (plan->is_made[i]) (void)close(plan->child.sources[i]);
        if (is_failed && is_pipe(fd)) (void)close(hark_io_release(fd->io));
    }
}

static int make_sources(struct plan *plan, struct hark_loop *loop)
{
    const struct hark_process_options *options = plan->child.options;
    plan->child.highest = CHILD_FIRST_FREE - 1;
    for (size_t i = 0; i < options->fd_count; i++) {
        const struct hark_process_fd *fd = &options->fds[i];
        int number = fd->number < INT_MAX ? fd->number : INT_MAX - 1; /* no process has such */
        if (number > plan->child.highest) plan->child.highest = number;
        int source = fd->number < 0 ? -EINVAL : make_source(loop, fd, &plan->is_made[i]);
        plan->child.sources[i] = source;
        if (source >= 0) continue;
        drop_sources(plan, i, true);
        return fd->number < 0 || plan->is_made[i] ? source : -EBADF;
    }
    return 0;
}

/* Starts the child and opens the io of its end. */
static int start(struct hark_process *process, struct plan *plan)
{
    int fd = child_start(process, &plan->child);
    if (fd < 0) return fd;
    if (layer_adopt(&process->exit, process->loop, fd) == 0) return 0;
    child_abandon(process, fd); /* nobody could learn of its end */
    return -ENOMEM;
}

int spawn_child(struct hark_process *process, const struct hark_process_options *options)
{
    struct plan plan = { .child.options = options };
    if (options->argv == NULL || (options->argv[0] == NULL && options->program == NULL))
        return -EINVAL;
    int error = plan_memory(&plan, process->loop);
    if (error != 0) return error;
    error = make_sources(&plan, process->loop);
    if (error == 0) {
        error = start(process, &plan);
        drop_sources(&plan, options->fd_count, error != 0);
    }
    loop_resize(process->loop, plan.block, plan.block_bytes, 0);
    return error;
}
