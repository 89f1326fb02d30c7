/* The watch: reads pulses at fixed moments and lets hold.c judge them, until something ends it.
 *
 * It sleeps in ppoll on the target's pidfd, so that the end of the target wakes it at once. Signals
 * are let in only there. While a thread is held it reads every HELD_NS: that is when
 * ends matter. */
#include "stalls/watch.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/call.h"
#include "stalls/hold.h"
#include "stalls/launch.h"
#include "stalls/opening.h"
#include "stalls/source.h"

#define MS(n) ((int64_t)(n) * 1000000)

enum { HELD_NS = 1000 * 1000, SLACK_NS = 20 * 1000, SIGNALS = 3 };

static const int signals[SIGNALS] = { SIGINT, SIGTERM, SIGHUP };
static volatile sig_atomic_t signal_count, signal_to_pass;

struct watch {
    const struct watch_options *options;
    struct launch launch;
    struct source source;
    struct source waiting;        /* of the command, while its child is watched */
    bool is_following;
    struct opening *opening;      /* of the target; NULL: not begun */
    bool is_opened_late, has_failed; /* with a loop there; then, for good */
    struct holds holds;
    int64_t began_ns, next_idle_ns;
    long call;                    /* of the main thread, while there is no loop, as thread_call() */
    sigset_t mask;                /* as it was before */
    struct sigaction actions[SIGNALS];
};

/* A terminal sends to the whole group, the command included; what others send is only ours. */
static void note_signal(int number, siginfo_t *info, void *context)
{
    (void)context; /* where it struck does not matter */
    signal_count++;
    if (info->si_code != SI_KERNEL) signal_to_pass = number;
}

static void catch_signals(struct watch *watch)
{
    sigset_t set;
    struct sigaction action = { .sa_sigaction = note_signal, .sa_flags = SA_SIGINFO };
    signal_count = signal_to_pass = 0;
    sigemptyset(&set);
    for (int i = 0; i < SIGNALS; i++) sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, &watch->mask);
    for (int i = 0; i < SIGNALS; i++) {
        sigaction(signals[i], NULL, &watch->actions[i]);
        if (watch->actions[i].sa_handler != SIG_IGN) sigaction(signals[i], &action, NULL);
    }
}

static void restore_signals(struct watch *watch)
{
    for (int i = 0; i < SIGNALS; i++) sigaction(signals[i], &watch->actions[i], NULL);
    sigprocmask(SIG_SETMASK, &watch->mask, NULL);
}

static void close_target(struct watch *watch)
{
    watch->holds.target = NULL;
    opening_end(watch->opening);
    watch->opening = NULL;
    watch->is_opened_late = watch->has_failed = false;
}

/* Names are read before there is a loop, whose first turns may be stalls. */
static void open_early(struct watch *watch)
{
    close_target(watch);
    watch->opening = opening_begin(watch->source.pid);
}

static void open_late(struct watch *watch)
{
    open_early(watch);
    watch->is_opened_late = true;
}

/* A target that was opened before there was a loop may have got its runtime later. why: what was
 * said of it then. */
static void find_runtime(const struct watch *watch, struct target *target, const char *why)
{
    char unread[TEXT_ROOM];
    bool has_runtime = target->python != NULL || target->javascript != NULL;
    if (!has_runtime && !watch->is_opened_late) {
        target_find_runtimes(target, unread, sizeof unread);
        has_runtime = target->python != NULL || target->javascript != NULL;
        why = unread;
    }
    if (!has_runtime && why[0] != '\0')
        fprintf(stderr, "hark stalls: native frames only: %s\n", why);
}

/* There is a loop. What was opened before may have come at a bad moment. */
static void open_for_loop(struct watch *watch)
{
    const char *why = "out of memory";
    if (watch->has_failed) return;
    if (watch->opening == NULL && !watch->is_opened_late) open_late(watch);
    if (watch->opening != NULL && !opening_is_over(watch->opening)) return;
    struct target *target = watch->opening != NULL ? opening_target(watch->opening, &why) : NULL;
    if (target == NULL && watch->opening != NULL && !watch->is_opened_late) {
        open_late(watch);
        return;
    }
    if (target != NULL) find_runtime(watch, target, why);
    watch->is_opened_late = true;
    watch->has_failed = target == NULL;
    watch->holds.target = target;
    if (watch->has_failed) fprintf(stderr, "hark stalls: no stacks: %s\n", why);
}

/* A command that only waits for its single child (a shell, make, sudo) stands for that child, until
 * the child ends or the command becomes another program. */
static void follow_child(struct watch *watch)
{
    char why[TEXT_ROOM];
    bool waits = watch->call == SYS_wait4 || watch->call == SYS_waitid;
    bool may_follow = waits && !watch->options->has_mode && !watch->is_following;
    pid_t child = may_follow ? launch_only_child(watch->source.pid) : 0;
    struct source source = { .pid = child, .threshold_ns = watch->options->threshold_ns };
    if (child == 0 || source_open(&source, NULL, why, sizeof why) != 0) return;
    watch->waiting = watch->source;
    watch->source = source;
    watch->is_following = true;
    open_early(watch);
}

static void follow_no_more(struct watch *watch)
{
    if (!watch->is_following) return;
    holds_end(&watch->holds, clock_read());
    holds_drop(&watch->holds);
    close_target(watch);
    source_close(&watch->source);
    watch->source = watch->waiting;
    watch->is_following = false;
}

static bool is_following_in_vain(struct watch *watch)
{
    return watch->is_following &&
           (kill(watch->source.pid, 0) != 0 || source_has_new_image(&watch->waiting));
}

/* What is not urgent, a few times a second. */
static void idle(struct watch *watch, int64_t now)
{
    if (now < watch->next_idle_ns || watch->holds.held_count > 0) return;
    watch->next_idle_ns = now + MS(watch->holds.loop_count == 0 ? 250 : 2000);
    if (watch->holds.target != NULL) native_refresh(watch->holds.target->native);
    if (watch->holds.loop_count > 0) return;
    long call = procfs_call(watch->source.pid);
    if (call != -2) watch->call = call;
    if (now - watch->began_ns > MS(300)) follow_child(watch);
}

static void turn(struct watch *watch, int64_t now)
{
    struct pulse pulses[PULSES_MAX];
    if (is_following_in_vain(watch)) follow_no_more(watch);
    if (source_has_new_image(&watch->source)) {
        holds_drop(&watch->holds);
        open_early(watch);
    }
    int count = source_read(&watch->source, now, pulses);
    if (count > 0 && watch->holds.target == NULL) open_for_loop(watch);
    holds_note(&watch->holds, pulses, count, now);
    idle(watch, now);
}

static bool is_over(struct watch *watch, int64_t now)
{
    const struct watch_options *options = watch->options;
    if (signal_to_pass != 0 && watch->launch.is_child) {
        kill(watch->launch.pid, signal_to_pass);
        signal_to_pass = 0;
    }
    if (signal_count > (watch->launch.is_child ? 1 : 0)) return true;
    if (options->stop != NULL && *options->stop != 0) return true;
    return options->duration_ns > 0 && now - watch->began_ns >= options->duration_ns;
}

/* Sleeps until a moment; true: the target has ended. */
static bool sleep_until(struct watch *watch, int64_t when)
{
    struct pollfd fd = { .fd = watch->launch.pidfd, .events = POLLIN };
    int64_t left = when - clock_read();
    if (left < 0) left = 0;
    struct timespec timeout = { left / 1000000000, left % 1000000000 };
    return ppoll(&fd, 1, &timeout, &watch->mask) > 0;
}

static void watch_on(struct watch *watch)
{
    int64_t next = clock_read();
    for (;;) {
        int64_t now = clock_read();
        if (is_over(watch, now)) break;
        turn(watch, now);
        int64_t period = source_period(&watch->source);
        if (watch->holds.held_count > 0 && period > HELD_NS) period = HELD_NS;
        next += period;
        now = clock_read();
        if (next < now || next > now + period) next = now + period;
        if (!sleep_until(watch, next)) continue;
        watch->launch.has_ended = !watch->launch.is_child;
        break;
    }
    int64_t now = clock_read();
    struct pulse pulses[PULSES_MAX];
    holds_note(&watch->holds, pulses, source_read(&watch->source, now, pulses), now);
    holds_end(&watch->holds, now);
}

/* The command with the shim in it, if there is one that can be preloaded. */
static int begin_command(struct watch *watch, struct beat **page, char *why)
{
    const struct watch_options *options = watch->options;
    char path[64];
    bool is_wanted = !options->has_mode || options->mode == WATCH_HEARTBEAT;
    const char *shim = options->shim != NULL ? options->shim : launch_find_shim();
    /* ld.so would read a colon or a space in the name as the end of it. */
    if (is_wanted && shim != NULL && strpbrk(shim, ": ") == NULL)
        *page = beat_create(options->threshold_ns, path, sizeof path);
    if (*page == NULL && options->has_mode && options->mode == WATCH_HEARTBEAT) {
        snprintf(why, TEXT_ROOM, "libhark-heartbeat.so is not where the command looks for it");
        return WATCH_REFUSED;
    }
    struct preload preload = { *page, path, shim };
    /* What cannot be watched as it was asked for is not even started. */
    struct bpf *bpf = NULL;
    bool needs_bpf = options->has_mode && options->mode == WATCH_BPF;
    if (needs_bpf && (bpf = bpf_open(getpid(), options->threshold_ns, why, TEXT_ROOM)) == NULL)
        return WATCH_REFUSED;
    bpf_close(bpf);
    return launch_start(&watch->launch, options->command, &preload, &watch->mask, why);
}

static int begin(struct watch *watch, char *why)
{
    const struct watch_options *options = watch->options;
    struct beat *page = NULL;
    int result = options->command != NULL ? begin_command(watch, &page, why)
                                          : launch_attach(&watch->launch, options->pid, why);
    if (result != 0) {
        beat_close(page);
        return result;
    }
    /* After the fork, or the command would inherit them. libdw may ask servers for what is not
     * installed, and the watch would wait for them. */
    prctl(PR_SET_TIMERSLACK, SLACK_NS);
    unsetenv("DEBUGINFOD_URLS");
    watch->source = (struct source){ .pid = watch->launch.pid, .has_mode = options->has_mode,
                                     .threshold_ns = options->threshold_ns, .mode = options->mode };
    result = source_open(&watch->source, page, why, TEXT_ROOM);
    if (result == 0 && page == NULL) open_early(watch); /* else once the shim has told of itself */
    if (result == 0) return 0;
    if (watch->launch.is_child) { /* it has begun, and its end and exit code are waited for */
        fprintf(stderr, "hark stalls: nothing is watched: %s\n", why);
        return 0;
    }
    launch_close(&watch->launch);
    return WATCH_REFUSED;
}

static const char *activity_text(long call)
{
    static const char seen[] = "; the main thread was last seen";
    const struct call *known = call_find(call);
    if (call == -2) return "";
    if (call == -1) return text_format("%s on the processor", seen);
    if (known != NULL) return text_format("%s in %s", seen, known->name);
    return text_format("%s in system call %ld", seen, call);
}

static void fill_facts(struct watch *watch, struct report_facts *facts)
{
    facts->mode = watch->source.mode;
    facts->mode_text = source_text(&watch->source);
    if (watch->is_following)
        facts->mode_text = text_format("process %d, for which the command waits, was watched; %s",
                                       (int)watch->source.pid, facts->mode_text);
    facts->began_ns = watch->began_ns;
    facts->ended_ns = clock_read();
    facts->turn_count = (int64_t)watch->holds.turn_count;
    facts->loop_count = watch->holds.loop_count;
    facts->exit_text = launch_exit_text(&watch->launch);
    if (facts->loop_count != 0 || watch->source.is_go) return;
    facts->mode_text = text_format("no thread waited in epoll, poll, select or io_uring%s",
                                   activity_text(watch->call));
}

int watch_run(const struct watch_options *options, struct report *report,
              struct report_facts *facts)
{
    char why[TEXT_ROOM] = "";
    struct watch *watch = calloc(1, sizeof *watch);
    *facts = (struct report_facts){ .exit_text = "out of memory" };
    if (watch == NULL) return WATCH_REFUSED;
    watch->options = options;
    watch->call = -2;
    watch->began_ns = clock_read();
    watch->holds = (struct holds){ .source = &watch->source, .report = report,
                                   .threshold_ns = options->threshold_ns };
    catch_signals(watch);
    int result = begin(watch, why);
    if (result == 0) {
        watch_on(watch);
        result = launch_exit_code(&watch->launch);
        fill_facts(watch, facts);
        follow_no_more(watch);
        close_target(watch);
        source_close(&watch->source);
        launch_close(&watch->launch);
    } else {
        facts->exit_text = text_keep(why);
    }
    restore_signals(watch);
    for (int i = 0; i < PULSES_MAX; i++) free(watch->holds.slots[i].looks);
    free(watch);
    return result;
}
