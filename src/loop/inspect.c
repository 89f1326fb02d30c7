/* Everything that is alive, found where it is: nothing is kept for inspection's sake but two words
 * in each op. */
#include <inttypes.h>

#include "loop/loop.h"

static const char *const kind_names[OP_KINDS] = {
    [OP_NOP] = "nop", [OP_TIMER] = "timer", [OP_EVERY] = "timer_every", [OP_POST] = "post",
    [OP_OFFLOAD] = "offload", [OP_CLOSE] = "close", [OP_RECV] = "recv",
    [OP_RECV_POOL] = "recv_pool", [OP_RECVFROM] = "recvfrom", [OP_ACCEPT] = "accept",
    [OP_ACCEPT_ONE] = "accept_one", [OP_MOMENT] = "moment",
    [OP_REFUSED] = "refused",
    [OP_READ_READY] = "ready to read", [OP_RECV_NOTHING] = "recv", [OP_SEND] = "send",
    [OP_SENDV] = "sendv", [OP_SENDTO] = "sendto", [OP_CONNECT] = "connect",
    [OP_WRITE_READY] = "ready to write", [OP_SHUTDOWN] = "shutdown",
    [OP_READ] = "read", [OP_WRITE] = "write", [OP_SEND_FILE] = "send file",
    [OP_RECV_BATCH] = "recv_batch", [OP_SEND_BATCH] = "send_batch",
    [OP_RECV_RIGHTS] = "recv_descriptors", [OP_SEND_RIGHTS] = "send_descriptors",
};

static const char *const op_state_names[] = {
    [STATE_IDLE] = "idle", [STATE_QUEUED] = "queued", [STATE_RUNNING] = "running",
    [STATE_DONE] = "done",
};

struct walk {
    const struct hark_loop *loop;
    hark_inspect_fn *fn;
    void *arg;
    size_t count;
    int64_t now;
};

static const char *const call_names[CALLS] = {
    [CALL_OPEN] = "file open", [CALL_CLOSE] = "file close", [CALL_READ] = "file read",
    [CALL_WRITE] = "file write", [CALL_READV] = "file readv", [CALL_WRITEV] = "file writev",
    [CALL_SYNC] = "file sync", [CALL_DATASYNC] = "file datasync",
    [CALL_TRUNCATE] = "file truncate", [CALL_STAT] = "file stat", [CALL_READ_DIR] = "dir read",
    [CALL_COPY] = "file copy", [CALL_STAT_PATH] = "path stat", [CALL_RENAME] = "path rename",
    [CALL_LINK] = "path link", [CALL_SYMLINK] = "path symlink",
    [CALL_READLINK] = "path readlink", [CALL_UNLINK] = "path unlink",
    [CALL_MKDIR] = "path mkdir", [CALL_RMDIR] = "path rmdir", [CALL_ACCESS] = "path access",
    [CALL_CHMOD] = "path chmod", [CALL_UTIMES] = "path utimes",
    [CALL_TRUNCATE_PATH] = "path truncate", [CALL_NAME] = "file name",
    [CALL_REPLACE] = "path replace", [CALL_COPY_PATH] = "path copy",
};

const char *op_kind_name(const struct hark_op *op)
{
    if (op->kind == OP_LAYER) return layer_name(op);
    return op_is_of_files(op) ? call_names[op->call] : kind_names[op->kind];
}

static void tell_op(struct walk *walk, const struct hark_op *op)
{
    const struct hark_loop *loop = walk->loop;
    if (op == &loop->retry) return; /* the loop's own */
    bool is_on_its_way = op->kind == OP_POST && op->state == STATE_RUNNING; /* not stamped yet */
    uint32_t age = is_on_its_way ? 0 : (uint32_t)(walk->now >> AGE_SHIFT) - op->started;
    const struct hark_io *io = hark_op_io(op);
    struct hark_inspect_entry entry = {
        .kind = op_kind_name(op),
        .state = op_state_names[op->state],
        .label = op->label,
        .place = op->place,
        .age_ns = (int64_t)age << AGE_SHIFT,
        .deadline_ns = op->flags & FLAG_TIMED ? op->timer.when : 0,
        .fd = io != NULL ? io->fd : op->kind == OP_FILE ? op->on.file->fd : -1,
        .is_background = op->flags & FLAG_BACKGROUND,
        .op = op,
        .io = io,
    };
    walk->count++;
    walk->fn(&entry, walk->arg);
}

/* An op on an io that has its result is in the loop's queue, and told from there. */
static void tell_io(struct walk *walk, const struct hark_io *io)
{
    struct hark_inspect_entry entry = {
        .kind = "io", .state = io->state == IO_CLOSING ? "closing" : "open", .label = io->label,
        .place = io->place, .age_ns = walk->now - io->opened_ns, .fd = io->fd, .io = io,
    };
    walk->count++;
    walk->fn(&entry, walk->arg);
    for (int side = 0; side < 2; side++) {
        const struct hark_op *active = io->active[side];
        if (active != NULL && active->state == STATE_RUNNING) tell_op(walk, active);
        const struct hark_op *last = io->waiting[side];
        if (last == NULL || (last->kind == OP_CLOSE && side == 1)) continue; /* stands on both */
        const struct hark_op *op = last;
        do {
            op = op->next;
            tell_op(walk, op);
        } while (op != last);
    }
}

/* Its ops are told by whoever does their work. A close that waits for them is nowhere else. */
static void tell_file(struct walk *walk, const struct hark_file *file)
{
    struct hark_inspect_entry entry = {
        .kind = "file", .state = file->closing != NULL ? "closing" : "open", .label = file->label,
        .place = file->place, .age_ns = walk->now - file->opened_ns, .fd = file->fd,
    };
    walk->count++;
    walk->fn(&entry, walk->arg);
    if (file->closing != NULL && file->closing->state == STATE_QUEUED)
        tell_op(walk, file->closing);
}

/* Of the ops in the wheel only timers are nowhere else. */
static void tell_timer(struct wheel_timer *timer, void *arg)
{
    const struct hark_op *op = op_of_timer(timer);
    if (op->kind == OP_TIMER || op->kind == OP_EVERY) tell_op(arg, op);
}

/* One that was asked to end is no longer in the wheel in its callback. */
static void tell_repeating(struct walk *walk, const struct hark_op *op)
{
    if (op == NULL || op->kind != OP_EVERY || op->state != STATE_RUNNING) return;
    if (!(op->flags & FLAG_TIMED)) tell_op(walk, op);
}

static void tell_found(struct hark_op *op, void *arg) { tell_op(arg, op); }

/* A file that is sent is told with its io. */
static void tell_offloaded(struct hark_op *op, void *arg)
{
    if (op->kind != OP_SEND_FILE) tell_op(arg, op);
}

/* One that was reported is told where it waits for its callback. */
static void tell_running(struct hark_op *op, void *arg)
{
    if (op->state == STATE_RUNNING) tell_op(arg, op);
}

/* Work that is over is told by the offload pool, which knows that it is not there twice. */
static void tell_post(struct hark_op *op, void *arg)
{
    if (op->kind == OP_POST) tell_op(arg, op);
}

static void tell_fiber(const struct hark_inspect_entry *entry, void *arg)
{
    struct walk *walk = arg;
    walk->count++;
    walk->fn(entry, walk->arg);
}

size_t hark_loop_inspect(const struct hark_loop *loop, hark_inspect_fn *fn, void *arg)
{
    struct walk walk = { .loop = loop, .fn = fn, .arg = arg, .now = clock_read() };
    for (const struct hark_io *io = loop->ios; io != NULL; io = io->all_next) tell_io(&walk, io);
    for (const struct hark_file *file = loop->files; file != NULL; file = file->all_next)
        tell_file(&walk, file);
    if (loop->backend.ops->each_file != NULL)
        loop->backend.ops->each_file(&loop->backend, tell_found, &walk);
    layer_each(loop, tell_running, &walk);
    loop_each_due(loop, tell_found, &walk);
    tell_repeating(&walk, loop->repeating);
    wheel_each(&loop->wheel, tell_timer, &walk);
    offload_seam.each(loop, tell_offloaded, &walk);
    post_each(loop, tell_post, &walk);
    fiber_seam.each(loop, tell_fiber, &walk);
    return walk.count;
}

static void print_entry(const struct hark_inspect_entry *entry, void *arg)
{
    FILE *to = arg;
    bool is_below = entry->op != NULL && entry->io != NULL;
    fprintf(to, "%*s%-14s %-8s", is_below ? 2 : 2 * (int)entry->depth, "", entry->kind,
            entry->state);
    const char *awaited = entry->fiber != NULL && entry->op != NULL ? op_kind_name(entry->op)
                                                                    : entry->waits_for;
    if (awaited != NULL) fprintf(to, " for %s,", awaited);
    if (entry->fd >= 0) fprintf(to, " fd %d", entry->fd);
    fprintf(to, " for %" PRId64 " ms", entry->age_ns / HARK_MILLISECOND);
    if (entry->deadline_ns != 0) {
        int64_t left = entry->deadline_ns - clock_read();
        fprintf(to, ", due in %" PRId64 " ms", left / HARK_MILLISECOND);
    }
    if (entry->is_background) fprintf(to, ", background");
    if (entry->label != NULL) fprintf(to, ", \"%s\"", entry->label);
    if (entry->place != NULL) fprintf(to, "  %s", entry->place);
    if (entry->waits_at != NULL) fprintf(to, ", waits at %s", entry->waits_at);
    fputc('\n', to);
}

void hark_loop_print(const struct hark_loop *loop, FILE *to)
{
    bool goes_on = loop->alive != 0 || loop->held != 0 || loop->has_ready;
    fprintf(to, "loop on %s: hark_run() %s: %zu ops alive, %zu in the background, %zu holds, "
            "%zu fibers\n", loop->backend.ops->name, goes_on ? "goes on" : "would end",
            loop->alive, loop->background, loop->held, loop->fiber_count);
    hark_loop_inspect(loop, print_entry, to);
}
