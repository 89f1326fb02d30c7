/* The watch turned on and off: by call, by the environment, and after a fork. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "loop/loop.h"
#include "stall/stall.h"

#define BUDGET_NS (50 * HARK_MILLISECOND)
#define AGAIN_NS (10 * HARK_MILLISECOND)
#define LEAST_NS (100 * HARK_MICROSECOND)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;    /* for what follows; held shortly */
static struct watch watch;
static bool is_on, is_prepared;
static unsigned generation;         /* of the sampler that is to run; others end */
static pthread_t sampler;

static pthread_mutex_t turn_of_samplers = PTHREAD_MUTEX_INITIALIZER; /* held while one runs */
static _Thread_local unsigned own_generation;
static atomic_bool is_environment_read;

bool watch_is_ending(struct watch *as)
{
    pthread_mutex_lock(&lock);
    bool is_ending = own_generation != generation;
    *as = watch;
    pthread_mutex_unlock(&lock);
    return is_ending;
}

static void set_watched(bool is_watched)
{
    beats_lock();
    for (int i = 0; i < HEARTBEAT_SLOTS; i++)
        BEAT_STORE(hark_heartbeats.slots[i].is_watched, is_watched);
    beats_unlock();
}

/* A fork takes the sampler away from the child. */
static void before_fork(void)
{
    pthread_mutex_lock(&lock);
    beats_lock();
}

static void after_fork(void)
{
    beats_unlock();
    pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    after_fork();
    if (is_on) {
        set_watched(false);
        atomic_store(&is_environment_read, false);
    }
    is_on = false;
    generation++; /* one that was told to end may not have yet */
    (void)pthread_mutex_init(&turn_of_samplers, NULL); /* its holder is not here */
    (void)door_open();
    thread_close();
}

static void *sampler_main(void *arg)
{
    own_generation = (unsigned)(uintptr_t)arg;
    pthread_mutex_lock(&turn_of_samplers);
    thread_name("hark-stall");
    sampler_run();
    pthread_mutex_unlock(&turn_of_samplers);
    return NULL;
}

/* Promise 15: no signal is delivered to a thread of ours. */
static int start_sampler(void)
{
    sigset_t all, before;
    sigfillset(&all);
    if (!is_prepared) {
        if (!door_open()) return HARK_EAGAIN;
        (void)call_at_fork(before_fork, after_fork, in_child);
        is_prepared = true;
    }
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    generation++;
    int error = pthread_create(&sampler, NULL, sampler_main, (void *)(uintptr_t)generation);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0 ? 0 : HARK_EAGAIN;
}

static bool is_time(int64_t ns) { return ns == 0 || ns >= LEAST_NS; }

int hark_stall_watch(const struct hark_stall_options *options)
{
    static const struct hark_stall_options defaults;
    if (options == NULL) options = &defaults;
    if (!is_time(options->budget_ns) || !is_time(options->again_ns) ||
        (unsigned)options->action > HARK_STALL_ABORT)
        return HARK_EINVAL;
    atomic_store(&is_environment_read, true);
    pthread_mutex_lock(&lock);
    watch = (struct watch){
        .budget_ns = options->budget_ns != 0 ? options->budget_ns : BUDGET_NS,
        .again_ns = options->again_ns != 0 ? options->again_ns : AGAIN_NS,
        .fn = options->fn, .user = options->user, .action = options->action,
    };
    int error = is_on ? 0 : start_sampler();
    bool is_new = error == 0 && !is_on;
    if (is_new) {
        is_on = true;
        set_watched(true);
    } else if (error == 0) {
        door_knock(); /* its pause was one of the old budget */
    }
    pthread_mutex_unlock(&lock);
    return error;
}

void hark_stall_unwatch(void)
{
    pthread_mutex_lock(&lock);
    bool was_on = is_on;
    pthread_t old = sampler;
    is_on = false;
    if (was_on) {
        generation++;
        set_watched(false);
    }
    pthread_mutex_unlock(&lock);
    if (!was_on) return;
    door_knock();
    if (pthread_equal(old, pthread_self())) pthread_detach(old);
    else pthread_join(old, NULL);
}

/* The environment. */

/* Reads "50ms", and what may follow it; false: that it is not. */
static bool parse(const char *text, struct hark_stall_options *options)
{
    static const struct { const char *name; int64_t ns; } units[] = {
        { "us", HARK_MICROSECOND }, { "ms", HARK_MILLISECOND }, { "s", HARK_SECOND },
    };
    static const struct { const char *name; enum hark_stall_action action; } actions[] = {
        { "", HARK_STALL_WARN }, { ",warn", HARK_STALL_WARN }, { ",dump", HARK_STALL_DUMP },
        { ",abort", HARK_STALL_ABORT },
    };
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || number <= 0 || number > 1000000000 || errno != 0) return false;
    size_t len = strcspn(end, ",");
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strlen(units[i].name) == len && strncmp(end, units[i].name, len) == 0)
            options->budget_ns = number * units[i].ns;
    bool is_action = false;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(end + len, actions[i].name) != 0) continue;
        options->action = actions[i].action;
        is_action = true;
    }
    return is_action && options->budget_ns >= LEAST_NS;
}

/* At the opening of each loop; the first one counts. */
static void on_opened(void)
{
    struct hark_stall_options options = { 0 };
    if (atomic_load_explicit(&is_environment_read, memory_order_relaxed)) return;
    if (atomic_exchange(&is_environment_read, true)) return;
    const char *text = getenv("HARK_STALL");
    if (text == NULL || text[0] == '\0') return;
    if (!parse(text, &options)) {
        fprintf(stderr, "hark: HARK_STALL=%s is no time such as 50ms, 50ms,dump or 50ms,abort: "
                "nothing is watched\n", text);
        return;
    }
    int error = hark_stall_watch(&options);
    if (error != 0) fprintf(stderr, "hark: HARK_STALL: %s\n", hark_strerror(error));
}

static void on_wake(void)
{
    if (__atomic_exchange_n(&beats_sampler_sleeps, 0, __ATOMIC_SEQ_CST)) door_knock();
}

const struct stall_ops stall_seam = { .opened = on_opened, .wake = on_wake };
