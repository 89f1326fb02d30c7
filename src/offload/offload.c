/* The offload pool: any function on another thread.
 *
 * A lane for each class: a queue, a bound, threads started on demand that end after idle seconds.
 * A lane's mutex guards its queue and counts. An op is in the queue, or on a thread, or on its way
 * back in the loop's inbox; only in the queue it can be canceled. */
#include <errno.h>
#include <hark/offload.h>
#include <signal.h>
#include <unistd.h>

#include "backend/sys.h"
#include "base/limits.h"
#include "loop/loop.h"

struct lane {
    pthread_mutex_t lock;
    pthread_cond_t work;        /* something was queued, or the pool ends */
    pthread_cond_t gone;        /* a thread has ended */
    struct op_queue queue, running;
    struct hark_loop *loop;
    size_t queued, idle, threads, threads_max;
    bool is_ending;
};

struct offload { struct lane lanes[HARK_OFFLOAD_CLASSES]; };

static int class_of(const struct hark_op *op)
{
    return op->kind == OP_OFFLOAD ? op->u.work.lane : HARK_OFFLOAD_FILE;
}

static struct lane *lane_of(const struct hark_loop *loop, const struct hark_op *op)
{
    return &loop->offload->lanes[class_of(op)];
}

/* Waits for work for some seconds; false: there is none, the thread ends. Holds the lock. */
static bool wait_for_work(struct lane *lane)
{
    const int64_t idle_ns = LIMIT_THREAD_IDLE_S * HARK_SECOND;
    lane->idle++;
    while (lane->queue.head == NULL && !lane->is_ending)
        if (call_condition_wait(&lane->work, &lane->lock, idle_ns) == ETIMEDOUT) break;
    lane->idle--;
    return lane->queue.head != NULL;
}

static int64_t do_work(struct hark_op *op)
{
    if (op->kind == OP_OFFLOAD) return op->u.work.fn(op);
    return op->kind == OP_SEND_FILE ? sys_send_file(op) : sys_file(op);
}

static void *work(void *arg)
{
    struct lane *lane = arg;
    pthread_mutex_lock(&lane->lock);
    while (wait_for_work(lane)) {
        struct hark_op *op = queue_pop(&lane->queue);
        lane->queued--;
        queue_push(&lane->running, op);
        pthread_mutex_unlock(&lane->lock);
        op->result = do_work(op);
        pthread_mutex_lock(&lane->lock);
        queue_remove(&lane->running, op);
        post_send(lane->loop, op); /* from here on the op is the loop's */
    }
    lane->threads--;
    pthread_cond_signal(&lane->gone);
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

/* A new thread, with every signal blocked: the program's handlers run on its own threads. */
static int start_thread(struct lane *lane)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    int error = pthread_attr_init(&attributes);
    if (error != 0) return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, work, lane);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

/* Queues the op and sees to a thread for it. False: there is none, and none can be had. */
static bool enqueue(struct lane *lane, struct hark_op *op)
{
    pthread_mutex_lock(&lane->lock);
    bool wants_thread = lane->idle <= lane->queued && lane->threads < lane->threads_max;
    if (wants_thread && start_thread(lane) == 0) lane->threads++;
    bool is_served = lane->threads != 0;
    if (is_served) {
        queue_push(&lane->queue, op);
        lane->queued++;
        pthread_cond_signal(&lane->work);
    }
    pthread_mutex_unlock(&lane->lock);
    return is_served;
}

void (hark_offload)(struct hark_op *op, struct hark_loop *loop, enum hark_offload_class class,
                    hark_work_fn *fn, hark_done_fn *done)
{
    op->u.work.fn = fn;
    op->u.work.lane = (uint8_t)class;
    op->u.work.asked = 0;
    if (!op_begin(op, loop, OP_OFFLOAD, done)) return;
    if ((unsigned)class >= HARK_OFFLOAD_CLASSES) {
        op_end(loop, op, HARK_EINVAL, 0);
        return;
    }
    if (op->deadline_ns != 0) op_arm(loop, op, op->deadline_ns);
    if (!enqueue(lane_of(loop, op), op)) op_end(loop, op, HARK_EAGAIN, EAGAIN);
}

bool hark_offload_asked(const struct hark_op *op)
{
    return __atomic_load_n(&op->u.work.asked, __ATOMIC_RELAXED);
}

/* The seam towards the loop. */

/* System calls are not asked: they end by themselves. */
static void ask(struct hark_op *op)
{
    if (op->kind == OP_OFFLOAD) __atomic_store_n(&op->u.work.asked, 1, __ATOMIC_RELAXED);
}

static bool start(struct hark_loop *loop, struct hark_op *op)
{
    return enqueue(lane_of(loop, op), op);
}

static bool cancel(struct hark_loop *loop, struct hark_op *op)
{
    struct lane *lane = lane_of(loop, op);
    pthread_mutex_lock(&lane->lock);
    bool is_waiting = queue_remove(&lane->queue, op);
    if (is_waiting) lane->queued--;
    pthread_mutex_unlock(&lane->lock);
    if (!is_waiting) ask(op);
    return is_waiting;
}

struct finished { int lane; void (*fn)(struct hark_op *, void *); void *arg; };

static void look_at_finished(struct hark_op *op, void *arg)
{
    const struct finished *finished = arg;
    bool is_work = op->kind == OP_OFFLOAD || op_is_of_files(op);
    if (is_work && class_of(op) == finished->lane) finished->fn(op, finished->arg);
}

/* fn is called with the lane locked: it may look, and nothing else. While it is locked no op goes
 * from running to the inbox, so each is seen once. */
static void each(const struct hark_loop *loop, void (*fn)(struct hark_op *, void *), void *arg)
{
    for (int i = 0; i < HARK_OFFLOAD_CLASSES; i++) {
        struct lane *lane = &loop->offload->lanes[i];
        pthread_mutex_lock(&lane->lock);
        for (struct hark_op *op = lane->running.head; op != NULL; op = op->next) fn(op, arg);
        for (struct hark_op *op = lane->queue.head; op != NULL; op = op->next) fn(op, arg);
        post_each(loop, look_at_finished, &(struct finished){ i, fn, arg });
        pthread_mutex_unlock(&lane->lock);
    }
}

/* What waits is canceled, but for the closing of files, which comes to its end. */
static void cancel_waiting(struct hark_loop *loop, struct lane *lane)
{
    struct op_queue waiting = lane->queue;
    lane->queue.head = NULL;
    for (struct hark_op *op; (op = queue_pop(&waiting)) != NULL;) {
        if (op->kind == OP_FILE && op->call == CALL_CLOSE) {
            queue_push(&lane->queue, op);
        } else {
            lane->queued--;
            op_finish(loop, op, -ECANCELED);
        }
    }
}

static void cancel_all(struct hark_loop *loop)
{
    for (int i = 0; i < HARK_OFFLOAD_CLASSES; i++) {
        struct lane *lane = &loop->offload->lanes[i];
        pthread_mutex_lock(&lane->lock);
        for (struct hark_op *op = lane->running.head; op != NULL; op = op->next)
            ask(op);
        cancel_waiting(loop, lane);
        pthread_mutex_unlock(&lane->lock);
    }
}

static size_t default_bound(int lane)
{
    static const size_t bounds[HARK_OFFLOAD_CLASSES] = { [HARK_OFFLOAD_FILE] = 16,
                                                         [HARK_OFFLOAD_NAME] = 8 };
    if (bounds[lane] != 0) return bounds[lane];
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (size_t)count : 1;
}

static void open_lane(struct lane *lane, struct hark_loop *loop)
{
    pthread_mutex_init(&lane->lock, NULL);
    call_lock_prepare(&lane->lock);
    call_condition_open(&lane->work);
    pthread_cond_init(&lane->gone, NULL);
    lane->loop = loop;
}

static int open_pool(struct hark_loop *loop, const struct hark_loop_options *options)
{
    struct offload *offload = loop_resize(loop, NULL, 0, sizeof *offload);
    if (offload == NULL) return HARK_ENOMEM;
    *offload = (struct offload){ 0 };
    for (int i = 0; i < HARK_OFFLOAD_CLASSES; i++) {
        struct lane *lane = &offload->lanes[i];
        open_lane(lane, loop);
        lane->threads_max = options->offload_threads[i];
        if (lane->threads_max == 0) lane->threads_max = default_bound(i);
    }
    loop->offload = offload;
    return 0;
}

static void close_pool(struct hark_loop *loop)
{
    for (int i = 0; i < HARK_OFFLOAD_CLASSES; i++) {
        struct lane *lane = &loop->offload->lanes[i];
        pthread_mutex_lock(&lane->lock);
        lane->is_ending = true;
        pthread_cond_broadcast(&lane->work);
        while (lane->threads != 0) pthread_cond_wait(&lane->gone, &lane->lock);
        pthread_mutex_unlock(&lane->lock);
        pthread_cond_destroy(&lane->work);
        pthread_cond_destroy(&lane->gone);
        pthread_mutex_destroy(&lane->lock);
    }
    loop_resize(loop, loop->offload, sizeof *loop->offload, 0);
    loop->offload = NULL;
}

/* The locks stay as the fork has found them: nobody is left to use them. */
static void forget(struct hark_loop *loop)
{
    loop_resize(loop, loop->offload, sizeof *loop->offload, 0);
    loop->offload = NULL;
}

const struct offload_ops offload_seam = {
    .open = open_pool, .start = start, .cancel = cancel, .cancel_all = cancel_all, .each = each,
    .close = close_pool, .forget = forget,
};
