/* Follows loop threads from pulse to pulse.
 *
 *            age > threshold               waits, or a new turn
 *   in time ----------------> held: looks ---------------------> resolve, classify, report
 *                 begin()      look()            finish()
 *
 * Looks are taken when a thread is found late and then every LOOK_NS, after LOOKS_DENSE of them at
 * doubling intervals. A long turn that was over before anyone looked is told by its writer only. */
#include "stalls/hold.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "stalls/classify.h"

enum { LOOK_NS = 10 * 1000 * 1000, LOOKS_DENSE = 20 };

static int64_t wall_of(int64_t when)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (clock_read() - when);
}

static int64_t clamp(int64_t value, int64_t most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

static struct hold *find(struct holds *holds, pid_t tid)
{
    struct hold *unused = NULL;
    for (int i = 0; i < PULSES_MAX; i++) {
        if (holds->slots[i].tid == tid) return &holds->slots[i];
        if (holds->slots[i].tid != 0) continue;
        if (unused == NULL || holds->slots[i].last_tid == tid) unused = &holds->slots[i];
    }
    if (unused != NULL) {
        struct capture *looks = unused->looks;
        holds->loop_count += unused->last_tid != tid; /* one that comes back is none more */
        *unused = (struct hold){ .tid = tid, .last_tid = tid, .looks = looks };
    }
    return unused;
}

struct question { struct holds *holds; struct hold *hold; };

static bool is_still_held(void *arg)
{
    const struct question *question = arg;
    return source_is_held(question->holds->source, question->hold->tid, question->hold->began_ns);
}

/* A sleep that a look has stopped goes on as another system call, with the same arguments. */
static void keep_call(struct capture *capture, const struct capture *before)
{
    if (capture->call != SYS_restart_syscall || before->call < 0) return;
    capture->call = before->call;
    capture->call_text = before->call_text;
}

/* With /proc only, a look may come when the turn is over already. */
static bool is_over(const struct holds *holds, const struct hold *hold,
                    const struct capture *capture)
{
    if (holds->source->procfs == NULL || hold->last.main_fd < 0) return false;
    return call_is_wait(capture->call) == 1 && (int)capture->arguments[0] == hold->last.main_fd;
}

static void look(struct holds *holds, struct hold *hold, int64_t now)
{
    if (hold->looks == NULL) hold->looks = malloc(LOOKS_MAX * sizeof *hold->looks);
    if (hold->looks == NULL || hold->look_count == LOOKS_MAX || now < hold->next_look_ns) return;
    struct target *target = holds->target;
    struct capture *capture = &hold->looks[hold->look_count];
    struct question question = { holds, hold };
    int sparse = hold->look_count - LOOKS_DENSE;
    hold->next_look_ns = now + (sparse > 0 ? (int64_t)LOOK_NS << sparse : LOOK_NS);
    if (target == NULL || capture_take(target, hold->tid, is_still_held, &question, capture) != 0)
        return;
    if (hold->look_count > 0) keep_call(capture, capture - 1);
    hold->collecting[hold->look_count] = target->python != NULL &&
                                         python_is_collecting(target->python, hold->tid);
    if (!is_over(holds, hold, capture)) hold->look_count++;
    if (holds->source->procfs != NULL) procfs_forgive(holds->source->procfs, hold->tid);
}

static void begin(struct holds *holds, struct hold *hold, const struct pulse *pulse, int64_t now)
{
    hold->is_held = true;
    hold->began_ns = pulse->since_ns;
    hold->look_count = 0;
    hold->next_look_ns = now;
    holds->held_count++;
    look(holds, hold, now);
}

static bool is_collecting(const struct hold *hold, int index, const struct stack *stack)
{
    bool collects = hold->collecting[index];
    for (int i = 0; i < stack->count && !collects; i++)
        collects = stack->frames[i].kind == FRAME_NATIVE &&
                   javascript_is_collecting(stack->frames[i].function);
    return collects;
}

/* Judges by looks that are spread over the stall: naming all of a long one would take too long. */
static void judge(struct holds *holds, const struct hold *hold, struct stall *stall)
{
    static struct stack stacks[LOOKS_JUDGED];
    struct look looks[LOOKS_JUDGED];
    int count = hold->look_count < LOOKS_JUDGED ? hold->look_count : LOOKS_JUDGED;
    if (count > 0) native_refresh(holds->target->native);
    for (int i = 0; i < count; i++) {
        int index = i * hold->look_count / count;
        capture_resolve(holds->target, &hold->looks[index], &stacks[i]);
        looks[i] = (struct look){ &hold->looks[index], &stacks[i],
                                  is_collecting(hold, index, &stacks[i]) };
    }
    classify_stall(stall, holds->threshold_ns, looks, count);
    stall->look_count = hold->look_count;
}

static void report(struct holds *holds, struct hold *hold, int64_t held_ns,
                   const struct thread_times *times)
{
    static struct stall stall; /* too large for a stack */
    stall = (struct stall){
        .pid = holds->source->pid, .tid = hold->tid,
        .began_ns = hold->began_ns, .held_ns = held_ns, .wall_ns = wall_of(hold->began_ns),
        .processor_ns = clamp(times->processor_ns - hold->base.processor_ns, held_ns),
        .queued_ns = clamp(times->queued_ns - hold->base.queued_ns, held_ns),
    };
    judge(holds, hold, &stall);
    report_stall(holds->report, &stall);
}

/* How long it was held: by the writer's word; else until its wait began; else it is in a turn after
 * that, and the end lies between the two pulses. */
static int64_t held_until(const struct hold *hold, const struct pulse *pulse)
{
    if (pulse->is_counting && pulse->long_began_ns == hold->began_ns)
        return hold->began_ns + pulse->long_ns;
    bool is_next = pulse->is_waiting && pulse->turn_count == hold->last.turn_count;
    if (is_next || pulse->since_ns < hold->seen_ns) return pulse->since_ns;
    return hold->seen_ns + (pulse->since_ns - hold->seen_ns) / 2;
}

static void finish(struct holds *holds, struct hold *hold, const struct pulse *pulse)
{
    hold->is_held = false;
    holds->held_count--;
    int64_t held_ns = held_until(hold, pulse) - hold->began_ns;
    if (held_ns > holds->threshold_ns) report(holds, hold, held_ns, &hold->now_times);
}

/* A long turn that nobody saw while it lasted. What the thread used since it was last read may lie
 * outside of that turn, so only what cannot is counted. */
static void tell_missed(struct holds *holds, struct hold *hold, const struct pulse *pulse,
                        int64_t now)
{
    bool is_new = pulse->is_counting && pulse->long_count != hold->last.long_count;
    if (!is_new || !hold->is_known || pulse->long_began_ns == hold->began_ns) return;
    if (pulse->long_ns <= holds->threshold_ns) return;
    int looks = hold->look_count;
    int64_t outside_ns = clamp(now - hold->seen_ns - pulse->long_ns, INT64_MAX);
    struct thread_times times = hold->now_times;
    times.processor_ns -= outside_ns;
    times.queued_ns -= outside_ns;
    hold->look_count = 0;
    hold->began_ns = pulse->long_began_ns;
    report(holds, hold, pulse->long_ns, &times);
    hold->look_count = looks;
}

/* Is this thread late? Procfs may only suspect it, and then has to prove it. */
static bool is_late(struct holds *holds, const struct hold *hold, struct pulse *pulse, int64_t now)
{
    if (pulse->is_waiting || now - pulse->since_ns <= holds->threshold_ns) return false;
    if (!hold->is_held && !thread_has_loop(holds->source->pid, pulse->main_fd)) {
        /* It went on without its loop. The shim sees that by itself. */
        if (holds->source->bpf != NULL) bpf_release(holds->source->bpf, pulse->tid);
        return false;
    }
    if (!pulse->is_suspicion) return true;
    enum proof proof = procfs_confirm(holds->source->procfs, pulse->tid, &pulse->since_ns);
    if (proof == PROOF_WAITED) pulse->is_waiting = true;
    return proof == PROOF_SAME_TURN || (proof == PROOF_NONE && hold->is_held);
}

/* The thread ended in the middle of its turn. */
static void end_gone(struct holds *holds, struct hold *hold)
{
    if (hold->is_held) {
        hold->is_held = false;
        holds->held_count--;
        report(holds, hold, hold->seen_ns - hold->began_ns, &hold->now_times);
    }
    source_release(holds->source, hold->tid);
}

static void note(struct holds *holds, struct hold *hold, struct pulse *pulse, int64_t now)
{
    struct thread_times times, before = hold->now_times;
    bool is_asleep = hold->is_known && hold->last.is_waiting && pulse->is_waiting &&
                     hold->last.since_ns == pulse->since_ns; /* then its times stand still */
    bool is_gone = !is_asleep && thread_times(holds->source->pid, hold->tid, &times) != 0;
    if (is_asleep || is_gone) times = before;
    hold->now_times = times;
    if (hold->is_known) holds->turn_count += pulse->turn_count - hold->last.turn_count;
    bool is_late_now = !is_gone && is_late(holds, hold, pulse, now);
    bool is_same = hold->is_held && !pulse->is_waiting && pulse->since_ns == hold->began_ns;
    if (hold->is_held && !is_same) finish(holds, hold, pulse);
    if (!is_same) tell_missed(holds, hold, pulse, now);
    /* The times before a turn are those of the wait before it, or of the last look if
     * that is all. */
    if (pulse->is_waiting || !hold->is_known) hold->base = times;
    else if (pulse->since_ns != hold->last.since_ns) hold->base = before;
    if (is_gone)
        end_gone(holds, hold);
    else if (hold->is_held)
        look(holds, hold, now);
    else if (is_late_now)
        begin(holds, hold, pulse, now);
    hold->last = *pulse;
    hold->is_known = true;
    if (!is_gone) hold->seen_ns = now;
}

void holds_note(struct holds *holds, const struct pulse *pulses, int count, int64_t now)
{
    for (int i = 0; i < count; i++) {
        struct hold *hold = find(holds, pulses[i].tid);
        struct pulse pulse = pulses[i];
        if (hold != NULL) note(holds, hold, &pulse, now);
    }
    for (int i = 0; i < PULSES_MAX; i++) {
        struct hold *hold = &holds->slots[i];
        bool is_there = hold->tid == 0;
        for (int j = 0; j < count && !is_there; j++) is_there = pulses[j].tid == hold->tid;
        if (is_there) continue;
        if (hold->is_held) {
            holds->held_count--;
            hold->is_held = false;
            int64_t end_ns = hold->seen_ns + (now - hold->seen_ns) / 2;
            report(holds, hold, end_ns - hold->began_ns, &hold->now_times);
        }
        hold->tid = 0; /* it ended, or closed its loop */
    }
}

void holds_end(struct holds *holds, int64_t now)
{
    for (int i = 0; i < PULSES_MAX; i++) {
        struct hold *hold = &holds->slots[i];
        if (hold->tid == 0 || !hold->is_held) continue;
        hold->is_held = false;
        report(holds, hold, now - hold->began_ns, &hold->now_times);
    }
    holds->held_count = 0;
}

void holds_drop(struct holds *holds)
{
    for (int i = 0; i < PULSES_MAX; i++) {
        holds->slots[i].tid = holds->slots[i].last_tid = 0;
        holds->slots[i].is_held = false;
    }
    holds->held_count = 0;
}
