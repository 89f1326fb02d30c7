/* Signals: one handler for all of them, and a list of listeners for each.
 *
 * A listener posts itself to its loop from inside the handler: the push is lock-free and the wake a
 * write(2), so both are safe there. Rules:
 *  1. Listeners are linked and unlinked under a lock; the handler walks the list without it.
 *     Whoever unlinks one waits until no handler on another thread is inside the list.
 *  2. A delivery is counted before the look at is_posted, which is cleared before the count is
 *     taken: so none is lost, and a listener is posted at most once at a time.
 *  3. The disposition is set after the first listener is linked, and put back before the last one
 *     is unlinked: the handler always finds one, but in a forked child. */
#include <errno.h>
#include <hark/signal.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "loop/layer.h"

enum { SIGNALS = 64 };

struct slot {
    struct hark_signal *first;
    uint32_t inside;             /* handlers that walk the list */
    struct sigaction earlier;
};

static struct slot slots[SIGNALS + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint32_t take_count(struct hark_signal *signal)
{
    return __atomic_exchange_n(&signal->count, 0, __ATOMIC_SEQ_CST);
}

static void note_sender(struct hark_signal *signal)
{
    uint64_t sender = __atomic_load_n(&signal->sender, __ATOMIC_RELAXED);
    signal->pid = (pid_t)(sender >> 32);
    signal->uid = (uid_t)sender;
}

/* Reports what was counted, unless a report waits for its callback: resume() comes after that. */
static void report(struct hark_signal *signal)
{
    if (layer_is_reported(signal->op)) return;
    uint32_t count = take_count(signal);
    if (count == 0) return;
    note_sender(signal);
    layer_report(signal->op, count);
}

/* What was delivered before the end is told by the last callback. */
static void finish(struct hark_signal *signal)
{
    uint32_t count = take_count(signal);
    struct hark_op *op = signal->op;
    if (count != 0) note_sender(signal);
    signal->op = NULL;
    layer_end(op, count != 0 ? (int64_t)count : -ECANCELED);
}

static void on_post(struct hark_op *post)
{
    struct hark_signal *signal = post->user;
    __atomic_store_n(&signal->is_posted, 0, __ATOMIC_SEQ_CST); /* rule 2 */
    if (signal->is_ending) finish(signal);
    else report(signal);
}

/* In the handler. */
static void notify(struct hark_signal *signal, const siginfo_t *info)
{
    uint64_t pid = (uint32_t)info->si_pid;
    __atomic_store_n(&signal->sender, pid << 32 | info->si_uid, __ATOMIC_RELAXED);
    __atomic_fetch_add(&signal->count, 1, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&signal->is_posted, 1, __ATOMIC_SEQ_CST) != 0) return;
    signal->post.label = "signal";
    (hark_post)(&signal->post, signal->op->on.loop, on_post);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct slot *slot = &slots[number];
    int error = errno;
    pid_t self = getpid();
    bool is_heard = false;
    (void)context;
    __atomic_fetch_add(&slot->inside, 1, __ATOMIC_SEQ_CST);
    struct hark_signal *signal = __atomic_load_n(&slot->first, __ATOMIC_SEQ_CST);
    for (; signal != NULL; signal = __atomic_load_n(&signal->next, __ATOMIC_SEQ_CST)) {
        if (signal->owner != self) continue; /* a parent's: its loop's descriptors are shared */
        notify(signal, info);
        is_heard = true;
    }
    __atomic_fetch_sub(&slot->inside, 1, __ATOMIC_SEQ_CST);
    if (!is_heard) { /* rule 3: as before, once this handler has returned */
        sigaction(number, &slot->earlier, NULL);
        raise(number);
    }
    errno = error;
}

static bool can_be_heard(int number)
{
    switch (number) {
    case SIGKILL: case SIGSTOP: case SIGSEGV: case SIGBUS: case SIGFPE: case SIGILL: return false;
    default: return number >= 1 && number <= SIGNALS;
    }
}

/* Makes the handler ours, and keeps what was there. The C library refuses what it needs itself. */
static bool install(int number)
{
    struct sigaction now, ours = { .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
    ours.sa_sigaction = on_signal;
    sigfillset(&ours.sa_mask);
    if (sigaction(number, NULL, &now) != 0) return false;
    if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_signal) slots[number].earlier = now;
    return sigaction(number, &ours, NULL) == 0;
}

static void uninstall(int number)
{
    struct sigaction now;
    sigaction(number, NULL, &now);
    bool is_ours = now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_signal;
    if (is_ours) sigaction(number, &slots[number].earlier, NULL);
}

static void unlink_signal(struct hark_signal *signal)
{
    struct hark_signal **link = &slots[signal->number].first;
    while (*link != signal) link = &(*link)->next;
    __atomic_store_n(link, signal->next, __ATOMIC_SEQ_CST);
}

static bool add(struct hark_signal *signal)
{
    struct slot *slot = &slots[signal->number];
    pthread_mutex_lock(&lock);
    signal->next = slot->first;
    __atomic_store_n(&slot->first, signal, __ATOMIC_SEQ_CST);
    bool is_installed = install(signal->number);
    if (!is_installed) unlink_signal(signal);
    pthread_mutex_unlock(&lock);
    return is_installed;
}

/* Rules 1 and 3. In a forked child no other thread is left that could be inside. */
static void drop(struct hark_signal *signal)
{
    struct slot *slot = &slots[signal->number];
    pthread_mutex_lock(&lock);
    if (slot->first == signal && signal->next == NULL) uninstall(signal->number);
    unlink_signal(signal);
    pthread_mutex_unlock(&lock);
    if (signal->owner != getpid()) return;
    while (__atomic_load_n(&slot->inside, __ATOMIC_SEQ_CST) != 0) sched_yield();
}

static struct hark_signal *of(const struct hark_op *op)
{
    return (struct hark_signal *)(void *)((char *)layer_of(op) -
                                          offsetof(struct hark_signal, layer));
}

static void cancel(struct hark_op *op)
{
    struct hark_signal *signal = of(op);
    if (signal->is_ending) return;
    drop(signal);
    signal->is_ending = true;
    if (__atomic_load_n(&signal->is_posted, __ATOMIC_SEQ_CST) == 0) finish(signal);
}

static void resume(struct hark_op *op) { report(of(op)); }

static const struct layer signal_layer = {
    .name = "signal", .is_repeating = true, .cancel = cancel, .resume = resume,
};

void (hark_signal)(struct hark_op *op, struct hark_signal *signal, struct hark_loop *loop,
                   int number, hark_done_fn *done)
{
    REQUIRE(signal->op == NULL, "promise 3: a hark_signal was used by two ops at once");
    *signal = (struct hark_signal){ .number = number, .layer = &signal_layer, .owner = getpid() };
    signal->post.user = signal;
    if (!layer_begin(op, loop, &signal->layer, done)) return;
    signal->op = op;
    if (can_be_heard(number) && add(signal)) return;
    signal->op = NULL;
    layer_fail(op, HARK_EINVAL);
}
