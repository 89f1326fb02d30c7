"""The faults that scripts/mutate seeds: name, promise, kernel, groups that ought to notice, file,
the exact text (it stands there once) and what takes its place."""
from typing import NamedTuple


class Mutation(NamedTuple):
    name: str
    promise: int
    kernel: str       # HARK_BACKEND, with @ and HARK_URING_MASK
    groups: list      # of the promise suite, tried first
    path: str
    old: str
    new: str
    is_small: bool = False


MUTATIONS = [
    # 1: callbacks only from inside a turn
    Mutation("nop-calls-back-at-once", 1, "epoll", ["callbacks"], "src/loop/loop.c",
             "if (op_begin(op, loop, OP_NOP, done)) op_end(loop, op, 0, 0);",
             "if (op_begin(op, loop, OP_NOP, done)) { op->result = 0; op_run(loop, op); }"),
    Mutation("nested-run-is-allowed", 1, "epoll", ["misuse"], "src/loop/loop.c",
             "REQUIRE(!loop->is_running, \"promise 1: a loop was run or closed",
             "REQUIRE(true, \"promise 1: a loop was run or closed"),

    # 2: one submit, one last callback
    Mutation("ended-in-callback-called-twice", 2, "epoll", ["accept", "pool", "cancel"],
             "src/loop/op.c",
             "if (op->state != STATE_DONE || !op->more) return;",
             "if (op->state != STATE_DONE) return;"),
    Mutation("second-cancel-of-pause-counts", 2, "poll", ["cancel"], "src/loop/op.c",
             "    io_unqueue(op->on.io, op);\n",
             "    (void)io_unqueue;\n"),
    Mutation("loop-close-forgets-offload", 2, "epoll", ["offload", "close"],
             "src/loop/loop.c",
             "    offload_seam.cancel_all(loop);\n", ""),

    # 3: after the last callback everything is the caller's again
    Mutation("op-is-busy-in-its-callback", 3, "epoll", ["callbacks"], "src/loop/loop.h",
             "    op->state = STATE_IDLE;\n    op->label = NULL;\n    op->done(op);",
             "    op->label = NULL;\n    op->done(op);\n    op->state = STATE_IDLE;"),
    Mutation("ring-cancel-does-not-wait", 3, "io_uring", ["cancel", "close"],
             "src/backend/uring.c",
             "        put_cancel(uring, op);\n        return;\n    }\n"
             "    if (op->backend & TO_START)",
             "        put_cancel(uring, op);\n    }\n    if (op->backend & TO_START)"),
    Mutation("second-give-is-taken", 3, "epoll", ["misuse"], "src/net/buffer.c",
             "pool->out_count != 0, \"promise 3", "true, \"promise 3"),
    Mutation("label-outlives-its-op", 3, "poll", ["callbacks", "deadline"], "src/loop/op.c",
             "    op->label = NULL;\n", ""),

    # 4: order
    Mutation("last-submitted-goes-first", 4, "epoll", ["order"], "src/loop/io.c",
             "        (*last)->next = op;\n    }\n    *last = op;",
             "        (*last)->next = op;\n    }\n    if (*last == NULL) *last = op;"),
    Mutation("newcomer-overtakes-the-queue", 4, "epoll", ["order"], "src/loop/op.c",
             "    io->active[side] = has_waiting ? &io_taken : NULL;",
             "    io->active[side] = NULL;"),
    Mutation("send-blocks-behind-recv", 4, "select", ["order", "send"], "src/backend/backend.h",
             "static inline int op_side(const struct hark_op *op) { return op->kind >= OP_SEND; }",
             "static inline int op_side(const struct hark_op *op) { return op->kind > OP_SEND; }"),

    # 5: cancel asks
    Mutation("queued-op-ignores-cancel", 5, "poll", ["cancel"], "src/loop/op.c",
             "    io_unqueue(op->on.io, op);\n    op_finish(loop, op, -ECANCELED);\n", ""),
    Mutation("ring-cancel-drops-arrived-bytes", 5, "io_uring", ["cancel"], "src/backend/uring.c",
             "    default: backend_finish(backend, op, result);\n    }\n}",
             "    default: backend_finish(backend, op, op->flags & FLAG_CANCELED ? -ECANCELED "
             ": result);\n    }\n}"),
    Mutation("ring-never-asks-the-kernel", 5, "io_uring@5.10", ["cancel"], "src/backend/uring.c",
             "    io_uring_prep_cancel(sqe, op, 0);", "    io_uring_prep_nop(sqe);"),
    Mutation("readiness-ignores-cancel", 5, "select", ["cancel"], "src/backend/readiness.c",
             "    backend_finish(backend, op, -ECANCELED);\n}", "    (void)backend, (void)op;\n}"),

    Mutation("canceled-stays-starved", 5, "poll", ["pool"], "src/loop/op.c",
             "        queue_remove(&op->u.pool.pool->starved, op);\n", ""),
    Mutation("middle-one-stays-in-its-queue", 5, "poll", ["pool"], "src/loop/op.c",
             "        else before->next = op->next;\n", ""),
    Mutation("queue-goes-on-behind-who-left", 5, "select", ["pool"], "src/loop/op.c",
             "        if (queue->tail == op) queue->tail = before;\n", ""),

    # 6: deadlines
    Mutation("canceled-op-is-rearmed", 6, "io_uring", ["deadline"], "src/loop/op.c",
             "    if (op->flags & (FLAG_CANCELED | FLAG_TIMED_OUT)) return false;\n", ""),
    Mutation("timed-out-says-canceled", 6, "epoll", ["deadline"], "src/loop/op.c",
             "if (error == ECANCELED && op->flags & FLAG_TIMED_OUT)", "if (false)"),
    Mutation("queued-op-has-no-deadline", 6, "poll", ["deadline"], "src/loop/io.c",
             "    if (op->deadline_ns != 0) {\n",
             "    if (op->deadline_ns != 0 && io->active[side] == NULL) {\n"),
    Mutation("offload-has-no-deadline", 6, "epoll", ["offload", "deadline"],
             "src/offload/offload.c",
             "    if (op->deadline_ns != 0) op_arm(loop, op, op->deadline_ns);\n", ""),
    Mutation("finished-op-keeps-its-timer", 6, "epoll", ["deadline"], "src/loop/op.c",
             "    if (op->flags & FLAG_TIMED) disarm(loop, op);\n    op->state = STATE_DONE;",
             "    op->state = STATE_DONE;"),

    # 7: close
    Mutation("epoll-does-not-forget", 7, "epoll", ["close", "traps"], "src/loop/io.c",
             "    loop->backend.ops->forget(&loop->backend, io); "
             "/* before the close: trap 2 */\n", ""),
    Mutation("release-does-nothing", 7, "select", ["adopt", "close", "traps"],
             "src/backend/readiness.c",
             "    (void)watch(poller, io, 0); "
             "/* EBADF, ENOENT: closed behind our back, so forgotten already */\n", ""),
    Mutation("close-leaves-ops-waiting", 7, "poll", ["close"], "src/loop/io.c",
             "    io_cancel_all(io);\n    io->state = IO_CLOSING;", "    io->state = IO_CLOSING;"),
    Mutation("close-awaits-one-side", 7, "io_uring", ["close"], "src/loop/io.c",
             "if (io->active[0] != NULL || io->active[1] != NULL) return;",
             "if (io->active[1] != NULL) return;"),
    Mutation("close-leaks-the-descriptor", 7, "epoll", ["close"], "src/loop/io.c",
             "int error = sys_close(detach(op->on.io));", "int error = (detach(op->on.io), 0);"),

    Mutation("repeating-timer-outlives-close", 7, "epoll", ["close"], "src/loop/op.c",
             "    if (loop->is_closing) op->flags |= FLAG_CANCELED; "
             "/* nobody else finds a timer's report here */\n", ""),
    Mutation("release-forgets-results", 7, "poll", ["adopt"], "src/loop/io.c",
             "return search.is_found ? HARK_EBUSY : detach(io);", "return detach(io);"),

    # 8: a turn
    Mutation("timers-have-no-budget", 8, "epoll", ["turn"], "src/loop/timer.c",
             "left != 0; left--", "left != 0;"),
    Mutation("budget-is-ignored", 8, "epoll", ["turn", "starvation"], "src/loop/loop.c",
             "        if (--left == 0) break;\n", "        left--;\n"),
    Mutation("sleeps-on-results", 8, "poll", ["callbacks", "turn"], "src/loop/loop.c",
             "if (!chain_is_empty(&loop->backend.due) || timeout_ns == 0) return 0;",
             "if (timeout_ns == 0) return 0;"),
    Mutation("accept-burst-has-no-end", 8, "epoll", ["starvation", "accept"], "src/loop/op.c",
             "int most = op->kind == OP_ACCEPT ? LIMIT_ACCEPT_BURST : 1;",
             "int most = op->kind == OP_ACCEPT ? 1 << 30 : 1;"),
    Mutation("select-begins-at-zero", 8, "select", ["starvation"], "src/backend/select.c",
             "int fd = sets->from <= top ? sets->from : 0;", "int fd = 0;"),
    Mutation("poll-begins-at-the-end", 8, "poll", ["starvation"], "src/backend/poll.c",
             "size_t at = list->from < list->count ? list->from : 0;", "size_t at = 0;"),
    Mutation("ring-takes-more-than-it-may", 8, "io_uring", ["turn", "starvation"],
             "src/backend/uring.c",
             "if (op->state == STATE_DONE || meant >= most) break;",
             "if (op->state == STATE_DONE) break;"),

    # 9: time
    Mutation("timers-are-early", 9, "epoll", ["timer", "time", "deadline"], "src/base/wheel.c",
             "if (begins > now) break;", "if (begins > now + 1000000) break;"),
    Mutation("equal-moments-are-reversed", 9, "epoll", ["timer"], "src/base/wheel.c",
             "    timer->link.next = head;\n    timer->link.prev = last;\n"
             "    last->next = &timer->link;\n    head->prev = &timer->link;",
             "    last = head->next;\n    timer->link.prev = head;\n    timer->link.next = last;\n"
             "    last->prev = &timer->link;\n    head->next = &timer->link;"),
    Mutation("repeating-timer-drifts", 9, "poll", ["timer"], "src/loop/timer.c",
             "clock_add(next, interval)", "clock_add(loop->now, interval)"),
    Mutation("ring-sleeps-whole-seconds", 9, "io_uring", ["time", "timer"],
             "src/backend/uring.c",
             "{ timeout_ns / 1000000000, timeout_ns % 1000000000 }",
             "{ timeout_ns / 1000000000 + 1, 0 }"),
    Mutation("rearm-keeps-the-old-moment", 9, "select", ["timer", "deadline"], "src/loop/op.c",
             "    if (deadline_ns != 0) op_arm(loop, op, deadline_ns);\n    return true;",
             "    return true;"),

    # 10: idle costs nothing
    Mutation("interest-is-never-dropped", 10, "epoll", ["kernel", "turn", "traps"],
             "src/backend/readiness.c",
             "    else (void)watch(poller, io, io->watched & ~bit);",
             "    else (void)watch(poller, io, io->watched);"),
    Mutation("hole-in-polls-array", 10, "poll", ["close", "traps", "adopt"], "src/backend/poll.c",
             "    list->ios[hole]->index = (int32_t)hole;\n", ""),
    Mutation("polls-hole-is-not-filled", 10, "poll", ["close", "traps", "adopt"],
             "src/backend/poll.c",
             "    list->entries[hole] = list->entries[last];\n", ""),
    Mutation("wake-is-not-drained", 10, "select", ["post", "kernel"], "src/backend/readiness.c",
             "if (!(io->flags & IO_EDGE)) sys_wake_drain(io->fd);", ""),
    Mutation("delayed-report-loses-interest", 10, "select", ["pool"], "src/backend/readiness.c",
             "    if (op != NULL && op->state == STATE_DONE) op->flags |= FLAG_ENDED; "
             "/* start it again */\n", "    (void)op;\n"),
    Mutation("closed-behind-is-spun-on", 10, "poll", ["traps"], "src/backend/poll.c",
             "got & POLLNVAL ? WATCH_BROKEN : 0", "0"),

    # 11: wake and post
    Mutation("post-does-not-wake", 11, "poll", ["post"], "src/loop/post.c",
             "if (inbox_push(&loop->inbox, op, (void **)&op->next)) "
             "loop->backend.ops->wake(&loop->backend);",
             "(void)inbox_push(&loop->inbox, op, (void **)&op->next);"),
    Mutation("wake-is-not-sticky", 11, "epoll", ["post"], "src/base/inbox.h",
             "while (head == NULL || head == INBOX_ASLEEP) {", "while (head == INBOX_ASLEEP) {"),
    Mutation("ring-wakes-once", 11, "io_uring@5.10", ["post"], "src/backend/uring.c",
             "if (!(cqe->flags & IORING_CQE_F_MORE)) uring->is_wake_armed = false;", ""),
    Mutation("posts-arrive-backwards", 11, "select", ["post"], "src/loop/post.c",
             "    while (newest != NULL) { /* turned round */\n"
             "        struct hark_op *next = newest->next;\n        newest->next = oldest;\n"
             "        oldest = newest;\n        newest = next;\n    }",
             "    oldest = newest;"),

    # 12: the choice of a backend
    Mutation("option-loses-to-environment", 12, "poll", ["kernel"], "src/loop/choose.c",
             "if (wanted == NULL) wanted = getenv(\"HARK_BACKEND\");",
             "if (getenv(\"HARK_BACKEND\") != NULL) wanted = getenv(\"HARK_BACKEND\");"),
    Mutation("list-ends-at-the-first", 12, "io_uring", ["kernel"], "src/loop/choose.c",
             "        if (at[len] == '\\0') break;\n", "        break;\n"),
    Mutation("selects-limit-is-forgotten", 12, "select", ["ready", "traps", "kernel"],
             "src/backend/select.c",
             "if (fd >= FD_SETSIZE) return -EMFILE;", "if (fd >= FD_SETSIZE) return 0;"),

    # 13: what the kernel says reaches the op
    Mutation("full-table-ends-accept", 13, "epoll", ["accept", "traps"],
             "src/backend/sys_posix.c",
             "return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;",
             "return error == ENFILE;"),
    Mutation("waiting-are-not-refused", 13, "io_uring", ["accept", "traps"],
             "src/backend/sys_posix.c",
             "refused < 1024; refused++", "refused < 0; refused++"),
    Mutation("epolls-eperm-is-passed-on", 13, "epoll", ["ready", "traps"],
             "src/backend/readiness.c",
             "    if (error == -EPERM) error = (int)sys_try(op);", "    if (false) error = 0;"),
    Mutation("double-open-is-not-noticed", 13, "poll", ["misuse"], "src/loop/io.c",
             "REQUIRE(io->state == IO_CLOSED,", "REQUIRE(true,"),
    Mutation("connect-hides-its-error", 13, "select", ["connect"], "src/backend/sys_posix.c",
             "    if (error != 0) return -error;\n    if (connect(",
             "    if (error != 0) return 0;\n    if (connect("),

    # 14: memory
    Mutation("deadline-allocates", 14, "epoll", ["memory"], "src/loop/op.c",
             "    op->flags |= FLAG_TIMED;\n",
             "    op->flags |= FLAG_TIMED;\n"
             "    loop_resize(loop, loop_resize(loop, NULL, 0, 8), 8, 0);\n"),
    Mutation("idle-connection-pins-a-buffer", 14, "poll", ["pool"], "src/backend/sys_posix.c",
             "    if (n < 0) return -errno;\n    if (n == 0) return 0;\n    pool->free_count--;",
             "    pool->free_count--;\n    if (n < 0) return -errno;\n    if (n == 0) return 0;"),
    Mutation("starved-stay-starved", 14, "io_uring", ["pool"], "src/net/buffer.c",
             "    if (HARK_UNLIKELY(pool->starved.head != NULL)) "
             "op_resume_starved(pool->loop, pool);\n", ""),
    Mutation("pool-closes-under-its-users", 14, "epoll", ["pool"], "src/net/buffer.c",
             "if (pool->out_count != 0 || pool->op_count != 0)", "if (pool->op_count != 0)"),

    # 15: signals and stdio
    Mutation("sends-raise-sigpipe", 15, "epoll", ["signals"], "src/backend/sys.h",
             "SYS_SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL", "SYS_SEND_FLAGS = MSG_DONTWAIT"),
    Mutation("nonblock-stays-behind", 15, "poll", ["signals", "adopt"], "src/loop/io.c",
             "    if (io->flags & IO_WAS_BLOCKING) sys_set_blocking(fd);\n", ""),
    Mutation("pool-threads-take-signals", 15, "epoll", ["signals", "offload"],
             "src/offload/offload.c", "    sigfillset(&all);", "    sigemptyset(&all);"),

    # what the verbs say, and the pool of threads
    Mutation("short-send-counts-as-whole", 2, "select", ["send"], "src/backend/sys_posix.c",
             "    } while (op->u.buf.moved < len);", "    } while (false);"),
    Mutation("ring-short-send-is-whole", 2, "io_uring", ["send"], "src/backend/uring.c",
             "        is_all = moved == op->u.buf.len;", "        is_all = true;"),
    Mutation("slices-are-sent-twice", 4, "io_uring", ["send"], "src/backend/sys_posix.c",
             "            slice->iov_base = (char *)slice->iov_base + n;\n", ""),
    Mutation("truncation-is-not-told", 13, "io_uring", ["datagram"], "src/backend/sys_posix.c",
             "datagram->is_truncated = flags & MSG_TRUNC;", "datagram->is_truncated = false;"),
    Mutation("accepted-survives-exec", 15, "poll", ["accept", "signals"],
             "src/backend/sys_posix.c",
             "accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)",
             "accept4(io->fd, NULL, NULL, SOCK_NONBLOCK)"),
    Mutation("offload-has-no-bound", 8, "epoll", ["offload"], "src/offload/offload.c",
             "lane->idle <= lane->queued && lane->threads < lane->threads_max;", "true;"),
    Mutation("offload-has-one-lane", 8, "epoll", ["offload"], "src/offload/offload.c",
             "return &loop->offload->lanes[op->u.work.lane];", "return &loop->offload->lanes[0];"),
    Mutation("running-work-is-not-asked", 5, "poll", ["offload"], "src/offload/offload.c",
             "    if (!is_waiting) __atomic_store_n(&op->u.work.asked, 1, "
             "__ATOMIC_RELAXED);\n", ""),
    Mutation("background-keeps-the-loop", 1, "epoll", ["alive"], "src/loop/op.c",
             "    loop->alive--;\n    loop->background++;\n", "    loop->background++;\n"),
    Mutation("hold-is-ignored", 11, "epoll", ["alive", "post"], "src/loop/loop.c",
             "loop->alive != 0 || loop->held != 0 ||", "loop->alive != 0 ||"),
    Mutation("inspection-misses-results", 2, "epoll", ["inspect"], "src/loop/inspect.c",
             "    loop_each_due(loop, tell_found, &walk);\n", ""),
]
