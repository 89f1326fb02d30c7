/* When is a turn a stall, and whose? The sampler looks at all loops every quarter of the budget
 * while one of them runs, and sleeps without a bound while none does.
 *
 * Nobody tells when a callback begins, only that another one has. What a callback has taken is
 * counted from the look that met it first; the first of a turn began with the turn. A turn in which
 * no callback was seen for half of its length is one of many. */
#include <stdio.h>
#include <string.h>

#include "base/symbol.h"
#include "fiber/fiber.h"
#include "stall/stall.h"

enum { TALLIES = 16 };

/* What the sampler remembers of a loop. */
struct track {
    int tid;
    uint64_t seen_turn;         /* at the last look, for whether anything goes on */
    uint64_t turn;              /* that the rest is about */
    int64_t since_ns;
    bool is_caught;
    int64_t next_ns;            /* the next look at its stack */
    uint64_t what, label;       /* the callback that ran at the last look, */
    const char *kind;
    uintptr_t fiber;
    int64_t met_ns;             /* and when it was met first */
    int64_t longest_ns;         /* that one of this turn was seen */
    int64_t ready_ns;           /* of the thread in all, at the first look at this turn */
    unsigned samples;
    struct { uint64_t what, label; const char *kind; unsigned samples; } tally[TALLIES];
};

static struct track tracks[HEARTBEAT_SLOTS];
static struct stall_record records[HEARTBEAT_SLOTS];
static struct watch watch;

enum found { FOUND_NOTHING, FOUND_STALL, FOUND_END };

static const uint64_t label_bits = (UINT64_C(1) << HEARTBEAT_COUNT_SHIFT) - 1;
static const uint64_t place_bits = (UINT64_C(1) << HEARTBEAT_KIND_SHIFT) - 1;

/* Reads up to the end of a page at a time: the text may end before memory that is not there. */
void memory_text(uintptr_t address, char *text, size_t room)
{
    const uintptr_t page = 4096;
    size_t len = 0;
    while (len < room - 1 && address != 0) {
        size_t bytes = page - (address + len) % page;
        if (bytes > room - 1 - len) bytes = room - 1 - len;
        size_t got = memory_read(address + len, text + len, bytes);
        size_t end = strnlen(text + len, got);
        len += end;
        if (end < got || got == 0) break;
    }
    text[len] = '\0';
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) text[i] = '?';
}

static uintptr_t read_pointer(const void *at)
{
    uintptr_t pointer = 0;
    if (memory_read((uintptr_t)at, &pointer, sizeof pointer) != sizeof pointer) return 0;
    return pointer;
}

/* The fiber that runs on a loop, or 0. */
static uintptr_t running_fiber(const struct hark_loop *loop)
{
    uintptr_t fibers = read_pointer(&loop->fibers);
    if (fibers == 0) return 0;
    return read_pointer((const char *)fibers + offsetof(struct fibers, running));
}

static void begin_turn(struct track *track, uint64_t turn, int64_t since_ns)
{
    int tid = track->tid;
    uint64_t seen_turn = track->seen_turn;
    *track = (struct track){ .tid = tid, .seen_turn = seen_turn, .turn = turn,
                             .since_ns = since_ns, .met_ns = since_ns };
}

/* Counts the callback that a look has met. The loop is there, since the slots are locked. */
static void meet(struct track *track, const struct heartbeat *beat, const struct hark_loop *loop,
                 int64_t now)
{
    uint64_t what = BEAT_LOAD(beat->what), label = BEAT_LOAD(beat->label);
    const char *kind = BEAT_LOAD(loop->calling);
    uintptr_t fiber = running_fiber(loop);
    bool is_first = label >> HEARTBEAT_COUNT_SHIFT <= 1;
    if (what != track->what || label != track->label || fiber != track->fiber)
        track->met_ns = is_first && track->samples == 0 ? track->since_ns : now;
    track->what = what;
    track->label = label;
    track->kind = kind;
    track->fiber = fiber;
    if (now - track->met_ns > track->longest_ns) track->longest_ns = now - track->met_ns;
    track->samples++;
    if (label >> HEARTBEAT_COUNT_SHIFT == 0) return; /* before the first callback */
    for (int i = 0; i < TALLIES; i++) {
        if (track->tally[i].samples != 0 && track->tally[i].what != what) continue;
        track->tally[i].what = what;
        track->tally[i].label = label;
        track->tally[i].kind = kind;
        track->tally[i].samples++;
        return;
    }
}

/* How long the turn that was caught took in all. */
static int64_t end_turn(struct track *track, struct heartbeat *beat, int64_t now)
{
    bool is_told = __atomic_load_n(&beat->wants_end, __ATOMIC_ACQUIRE) == 0;
    int64_t ended_ns = is_told ? BEAT_LOAD(beat->ended_ns) : now;
    if (!is_told) BEAT_STORE(beat->wants_end, 0); /* it ended just when it was caught */
    return ended_ns - track->since_ns;
}

/* Looks at one loop. Slots are locked. */
static enum found look(int slot, int64_t now, bool *is_active, int64_t *total_ns)
{
    struct heartbeat *beat = &hark_heartbeats.slots[slot];
    struct track *track = &tracks[slot];
    int tid = __atomic_load_n(&beat->tid, __ATOMIC_ACQUIRE);
    if (tid != track->tid) *track = (struct track){ .tid = tid };
    if (tid == 0) return FOUND_NOTHING;
    uint64_t turn = __atomic_load_n(&beat->turn_count, __ATOMIC_ACQUIRE);
    bool is_waiting = __atomic_load_n(&beat->is_waiting, __ATOMIC_ACQUIRE);
    int64_t since_ns = __atomic_load_n(&beat->since_ns, __ATOMIC_ACQUIRE);
    if (!is_waiting || turn != track->seen_turn) *is_active = true;
    track->seen_turn = turn;
    if (track->is_caught && (is_waiting || turn != track->turn)) {
        *total_ns = end_turn(track, beat, now);
        return FOUND_END;
    }
    if (is_waiting || BEAT_LOAD(beat->turn_count) != turn) return FOUND_NOTHING;
    if (turn != track->turn || track->samples == 0) {
        begin_turn(track, turn, since_ns);
        track->ready_ns = thread_ready_ns(tid);
    }
    meet(track, beat, beats_loop(slot), now);
    bool is_due = track->is_caught ? now >= track->next_ns : now - since_ns > watch.budget_ns;
    return is_due ? FOUND_STALL : FOUND_NOTHING;
}

/* Whose callback. Slots are locked; what is pointed to may be gone all the same. */
static void tell_callback(const struct track *track, struct stall_record *record)
{
    struct hark_stall *stall = &record->stall;
    uint64_t what = track->what, label = track->label;
    const char *kind = track->kind;
    unsigned most = 0, samples = 0;
    for (int i = 0; i < TALLIES; i++) {
        samples += track->tally[i].samples;
        if (track->tally[i].samples <= most) continue;
        most = track->tally[i].samples;
        if (!stall->is_many && stall->moment != HARK_STALL_OVER) continue;
        what = track->tally[i].what;
        label = track->tally[i].label;
        kind = track->tally[i].kind;
    }
    stall->share = samples != 0 ? 100 * most / samples : 0;
    stall->callbacks = (unsigned)(track->label >> HEARTBEAT_COUNT_SHIFT);
    stall->kind = label >> HEARTBEAT_COUNT_SHIFT != 0 ? kind : NULL; /* NULL: before the first */
    stall->place = (const char *)(uintptr_t)(what & place_bits);
    memory_text((uintptr_t)(label & label_bits), record->label, sizeof record->label);
    stall->label = record->label[0] != '\0' ? record->label : NULL;
}

static void tell_fiber(const struct track *track, struct stall_record *record)
{
    struct hark_stall *stall = &record->stall;
    const char *fiber = (const char *)track->fiber;
    stall->fiber = stall->fiber_place = NULL;
    if (fiber == NULL) return;
    memory_text(read_pointer(fiber + offsetof(struct hark_fiber, name)), record->fiber,
                sizeof record->fiber);
    stall->fiber = record->fiber;
    stall->fiber_place = (const char *)read_pointer(fiber + offsetof(struct hark_fiber, place));
}

static void tell_turn(int slot, struct stall_record *record, int64_t held_ns, int64_t now)
{
    const struct track *track = &tracks[slot];
    struct hark_stall *stall = &record->stall;
    stall->budget_ns = watch.budget_ns;
    stall->thread = track->tid;
    stall->held_ns = held_ns;
    stall->call_ns = stall->moment == HARK_STALL_OVER ? track->longest_ns : now - track->met_ns;
    stall->ready_ns = thread_ready_ns(track->tid) - track->ready_ns;
    stall->is_many = track->longest_ns * 2 < held_ns && track->label >> HEARTBEAT_COUNT_SHIFT > 1;
    tell_callback(track, record);
    if (stall->moment != HARK_STALL_OVER) tell_fiber(track, record);
}

/* Whether what was just captured belongs to what is told. */
static bool still_holds(const struct track *track, const struct heartbeat *beat, bool is_many)
{
    if (BEAT_LOAD(beat->tid) != track->tid || BEAT_LOAD(beat->is_waiting)) return false;
    if (BEAT_LOAD(beat->turn_count) != track->turn) return false;
    return is_many || BEAT_LOAD(beat->label) == track->label;
}

/* Rule 2: while nothing is locked. What came too late is not told: false. */
static bool capture(int slot, struct stall_record *record)
{
    static struct frames frames;
    struct thread_state thread;
    struct hark_stall *stall = &record->stall;
    const struct track *track = &tracks[slot];
    const struct heartbeat *beat = &hark_heartbeats.slots[slot];
    thread_frames(track->tid, beat, track->turn, &thread, &frames);
    bool is_true = still_holds(track, beat, stall->is_many);
    if (!is_true && stall->moment == HARK_STALL_GOES_ON) return false; /* the last one stands */
    if (!is_true) {
        thread = (struct thread_state){ .state = HARK_STALL_UNKNOWN, .syscall = -1 };
        frames.count = frames.certain = 0;
    }
    record->frames = frames;
    stall->state = thread.state;
    stall->syscall = thread.syscall;
    target_find(&thread, stall, record->target, sizeof record->target);
    stall->frames = record->frames.at;
    stall->frame_count = frames.count;
    stall->certain = frames.certain;
    return true;
}

static void hand_over(const struct hark_stall *stall)
{
    if (watch.fn != NULL) watch.fn(stall, watch.user);
    report_stall(stall, watch.action);
}

/* One loop, from look to report; whether anything goes on there. */
static bool visit_slot(int slot)
{
    struct track *track = &tracks[slot];
    struct stall_record *record = &records[slot];
    int64_t now = clock_read(), total_ns = 0;
    bool is_active = false;
    beats_lock();
    enum found found = look(slot, now, &is_active, &total_ns);
    if (found != FOUND_NOTHING) {
        bool is_over = found == FOUND_END;
        record->stall.loop = beats_loop(slot);
        record->stall.moment = is_over ? HARK_STALL_OVER
                             : track->is_caught ? HARK_STALL_GOES_ON : HARK_STALL_CAUGHT;
        if (!is_over && !track->is_caught) BEAT_STORE(hark_heartbeats.slots[slot].wants_end, 1);
        tell_turn(slot, record, is_over ? total_ns : now - track->since_ns, now);
        track->is_caught = !is_over;
        track->samples = is_over ? 0 : track->samples;
        track->next_ns = now + watch.again_ns;
    }
    beats_unlock();
    bool is_told = found == FOUND_END || (found == FOUND_STALL && capture(slot, record));
    if (is_told) hand_over(&record->stall);
    return is_active;
}

/* Whether all loops wait, and none has run since the last look. */
static bool is_quiet(void)
{
    for (int i = 0; i < HEARTBEAT_SLOTS; i++) {
        struct heartbeat *beat = &hark_heartbeats.slots[i];
        if (BEAT_LOAD(beat->tid) == 0) continue;
        bool is_waiting = __atomic_load_n(&beat->is_waiting, __ATOMIC_SEQ_CST);
        if (!is_waiting || BEAT_LOAD(beat->turn_count) != tracks[i].seen_turn) return false;
    }
    return true;
}

/* See beat_wake(): the sleep is announced before the last look. */
static void sleep_until_a_turn(void)
{
    __atomic_store_n(&beats_sampler_sleeps, 1, __ATOMIC_SEQ_CST);
    if (is_quiet()) door_wait(-1);
    BEAT_STORE(beats_sampler_sleeps, 0);
}

static int64_t next_look(void)
{
    int64_t pause = watch.budget_ns / 4, now = clock_read();
    for (int i = 0; i < HEARTBEAT_SLOTS; i++) {
        if (!tracks[i].is_caught) continue;
        int64_t left = tracks[i].next_ns - now;
        if (left < pause) pause = left;
    }
    return pause > 0 ? pause : 0;
}

void sampler_run(void)
{
    memset(tracks, 0, sizeof tracks);
    thread_open();
    while (!watch_is_ending(&watch)) {
        bool is_active = false;
        for (int i = 0; i < HEARTBEAT_SLOTS; i++) is_active |= visit_slot(i);
        if (is_active) door_wait(next_look());
        else sleep_until_a_turn();
    }
    thread_close();
    symbol_close();
}
